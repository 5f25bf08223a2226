"""Voice and words: sound to measurements with units, measurements to words, speech to text."""
