"""Which words belong to a clip: given text, a transcript file, a recogniser, or a subtitle file beside the clip."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

from emotion_llama.analysis.options import Options
from emotion_llama.errors import InputError
from emotion_llama.records import Clip, Missing, Transcript, TranscriptLine


def find_words(clip: Clip, options: Options, warn: Callable[[str], None]) -> Transcript | Missing:
    """The transcript of `clip`, or why there is none; `warn` hears of a file beside the clip that cannot be used.

    Raises:
        InputError: the file that was named cannot be used.
        MissingDependency: recognition was asked for and is not installed.
    """
    words = _written_words(clip.path, options)
    if words is not None:
        if isinstance(words, Missing) and options.subtitle is None:
            warn(words.reason)
        return words
    if options.asr_model is None:
        return Missing(
            "transcript", "no subtitle was given, none lies beside the clip, and no recogniser was asked for"
        )
    if clip.audio is None:
        return Missing("transcript", "the file has no sound to recognise")
    return _recognise(clip, options.asr_model)


def words_record(clip_path: Path, options: Options) -> str | None:
    """Source and hash of the words that this clip will get without listening; None where there are none.

    Of a table only the clip's own line counts: a change in another clip's line is no change.

    Raises:
        InputError: the file that was named cannot be used.
    """
    words = _written_words(clip_path, options)
    if words is None or isinstance(words, Missing):
        return None if words is None else words.reason
    digest = hashlib.sha256(repr(words.lines).encode("utf-8", "surrogateescape")).hexdigest()
    return f"{words.source} sha256:{digest}"


def _written_words(clip_path: Path, options: Options) -> Transcript | Missing | None:
    """Words that are given or stand in a file; None where there are none."""
    from emotion_llama.media.subtitles import find_sidecar, read_subtitles

    if options.subtitle is not None:
        text = " ".join(options.subtitle.split())
        if not text:
            return Missing("transcript", "the given subtitle is empty")
        return Transcript((TranscriptLine(text),), source="given")
    if options.transcript is not None:
        return read_subtitles(options.transcript, clip_name=clip_path.stem)
    beside = find_sidecar(clip_path) if options.asr_model is None else None
    if beside is None:
        return None
    try:
        return read_subtitles(beside, clip_name=clip_path.stem)
    except InputError as error:
        # Nobody asked for this file: it must not cost the clip its face and voice.
        return Missing("transcript", f"the file beside the clip cannot be used: {error}")


def _recognise(clip: Clip, model: Path) -> Transcript | Missing:
    from emotion_llama.media.audio import read_audio
    from emotion_llama.speech.transcribe import transcribe

    heard = transcribe(read_audio(clip), model=model)
    return heard if heard.lines else Missing("transcript", "the recogniser heard no words")
