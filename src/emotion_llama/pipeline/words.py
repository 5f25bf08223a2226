"""Which words belong to a clip: given text, a transcript file, a recogniser, or a subtitle file beside the clip."""

from __future__ import annotations

from pathlib import Path

from emotion_llama.pipeline.options import Options
from emotion_llama.records import Clip, Missing, Transcript, TranscriptLine


def find_words(clip: Clip, options: Options) -> Transcript | Missing:
    """The transcript of `clip`, or why there is none.

    Raises:
        InputError: the named file cannot be used.
        MissingDependency: recognition was asked for and is not installed.
    """
    from emotion_llama.media.subtitles import read_subtitles

    if options.subtitle is not None:
        text = " ".join(options.subtitle.split())
        if not text:
            return Missing("transcript", "the given subtitle is empty")
        return Transcript((TranscriptLine(text),), source="given")
    path = options.words_file(clip.path)
    if path is not None:
        return read_subtitles(path, clip_name=clip.path.stem)
    if options.asr_model is None:
        return Missing(
            "transcript", "no subtitle was given, none lies beside the clip, and no recogniser was asked for"
        )
    if clip.audio is None:
        return Missing("transcript", "the file has no sound to recognise")
    return _recognise(clip, options.asr_model)


def _recognise(clip: Clip, model: Path) -> Transcript | Missing:
    from emotion_llama.media.audio import read_audio
    from emotion_llama.speech.transcribe import transcribe

    heard = transcribe(read_audio(clip), model=model)
    return heard if heard.lines else Missing("transcript", "the recogniser heard no words")
