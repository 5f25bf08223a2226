"""What one analysis is asked for: choices that are checked once, and the stretches of a clip that they ask for."""

from __future__ import annotations

import codecs
import itertools
import math
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from emotion_llama.errors import InputError
from emotion_llama.records import VoiceTrack

# Without a voice, `auto` has no pauses to cut at. MERR's and MER2023's clips last 2-15 s; this is their middle.
AUTO_SECONDS_WITHOUT_VOICE = 8.0
# A rest shorter than this joins the segment before it.
MIN_SECONDS = 0.5


@dataclass(frozen=True)
class Options:
    """The choices of one call of `Analyzer.analyze`, which documents them.

    With `asr_fallback` speech is recognised only where no words are given, beside the clip or in it.

    Raises:
        InputError: a choice is unknown, or words are to come from two places.
    """

    subtitle: str | None = None
    transcript: Path | None = None
    asr_model: Path | None = None
    people: Literal["main", "all"] = "main"
    segment: Literal["none", "auto"] | float = "none"
    peak_rule: Literal["all", "label"] = "all"
    audio_track: int | None = None
    subtitle_track: int | None = None
    encoding: str | None = None
    asr_language: str | None = None
    asr_fallback: bool = False
    screen_text: bool = False
    speakers: Path | None = None

    def __post_init__(self) -> None:
        sources = ("subtitle", "transcript", "subtitle_track", "asr_model")
        given = [name for name in sources if getattr(self, name) is not None]
        given += ["screen_text"] if self.screen_text else []
        if self.asr_fallback or self.screen_text:  # speech is heard where nothing is written, or beside what is shown
            given = [name for name in given if name != "asr_model"]
        if len(given) > 1:
            raise InputError(f"words come from one place, got {' and '.join(given)}; give one of them")
        if self.audio_track is not None and self.audio_track < 1:
            raise InputError(f"audio_track={self.audio_track}: expected the number of a sound track, from 1")
        if self.subtitle_track is not None and self.subtitle_track < 1:
            raise InputError(f"subtitle_track={self.subtitle_track}: expected the number of a subtitle track, from 1")
        check_language(self.asr_language)
        check_encoding(self.encoding)
        check_choice("people", self.people, ("main", "all"))
        check_choice("peak_rule", self.peak_rule, ("all", "label"))
        segment = self.segment
        if segment in ("none", "auto"):
            return
        if isinstance(segment, (str, bool)) or not MIN_SECONDS <= segment < math.inf:
            raise InputError(f"segment={segment!r}: expected 'none', 'auto' or seconds of at least {MIN_SECONDS}")


def check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    """Raise InputError unless `value` is one of `choices`."""
    if value not in choices:
        raise InputError(f"{name}={value!r} is not known; expected one of: {', '.join(choices)}")


def check_language(tag: str | None) -> None:
    """Raise InputError unless `tag` is None or may be a language's code."""
    if tag is not None and re.fullmatch("[a-z]{2,3}", tag) is None:
        raise InputError(f"asr_language={tag!r}: expected a language's code of ISO 639, such as en, zh, ja")


def check_encoding(name: str | None) -> None:
    """Raise InputError unless `name` is None or an encoding of text that Python knows."""
    if name is None:
        return
    try:
        codecs.lookup(name)
    except LookupError:
        raise InputError(f"encoding={name!r} is not known; expected such as utf-8, cp1250, gb18030") from None


def file_and_hash(path: Path | None) -> str | None:
    """`name sha256:...` of a file; just its path where there is no such file (reading it will say so)."""
    if path is None:
        return None
    if not path.is_file():
        return str(path)
    from emotion_llama.media.probe import file_sha256

    return f"{path.name} sha256:{file_sha256(path)}"


def spans_of(
    segment: Literal["none", "auto"] | float, duration_seconds: float, voice: VoiceTrack | None
) -> list[tuple[float, float]]:
    """Start and end of each segment in seconds, in order, without gaps, from 0 to `duration_seconds`."""
    if segment == "none":
        return [(0.0, duration_seconds)]
    if segment == "auto":
        if voice is not None and voice.is_speech.any():
            from emotion_llama.speech.pauses import split_at_pauses

            return split_at_pauses(voice, duration_seconds=duration_seconds)
        segment = AUTO_SECONDS_WITHOUT_VOICE
    count = max(1, math.ceil((duration_seconds - MIN_SECONDS) / segment))
    return list(itertools.pairwise([*(i * segment for i in range(count)), duration_seconds]))


def installed_versions(
    names: Sequence[str] = ("emotion-llama", "onnxruntime", "av", "numpy", "opencv-python-headless"),
) -> dict[str, str]:
    """Versions of packages, without those that are not installed; by default this one and what measures for it."""
    from importlib.metadata import PackageNotFoundError, version

    found = {}
    for name in names:
        with suppress(PackageNotFoundError):  # running from a copied source tree
            found[name] = version(name)
    return found
