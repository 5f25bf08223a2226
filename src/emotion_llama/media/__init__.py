"""From files to pictures, sound and words: probing, decoding, subtitles, and finding media in folders."""
