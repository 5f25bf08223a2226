"""Which stretches of a clip are read: the whole, fixed lengths, or between pauses. Pure."""

from __future__ import annotations

import itertools
import math
from typing import Literal

from emotion_llama.errors import InputError
from emotion_llama.records import VoiceTrack

# Without a voice, `auto` has no pauses to cut at. MERR's and MER2023's clips last 2-15 s; this is their middle.
AUTO_SECONDS_WITHOUT_VOICE = 8.0
# A rest shorter than this joins the segment before it.
SHORTEST_SECONDS = 0.5


def check_segment(segment: Literal["none", "auto"] | float) -> None:
    """Raise InputError unless `segment` is none, auto or a number of seconds of at least 0.5."""
    if segment in ("none", "auto"):
        return
    if isinstance(segment, (str, bool)) or not SHORTEST_SECONDS <= segment < math.inf:
        raise InputError(f"segment={segment!r}: expected 'none', 'auto' or seconds of at least {SHORTEST_SECONDS}")


def spans_of(
    segment: Literal["none", "auto"] | float, duration_seconds: float, voice: VoiceTrack | None
) -> list[tuple[float, float]]:
    """Start and end of each segment in seconds, in order, without gaps, from 0 to `duration_seconds`."""
    if segment == "none":
        return [(0.0, duration_seconds)]
    if segment == "auto":
        if voice is None or not voice.is_speech.any():
            return _fixed(duration_seconds, AUTO_SECONDS_WITHOUT_VOICE)
        from emotion_llama.speech.pauses import split_at_pauses

        return split_at_pauses(voice, duration_seconds=duration_seconds)
    return _fixed(duration_seconds, segment)


def _fixed(duration_seconds: float, length_seconds: float) -> list[tuple[float, float]]:
    count = max(1, math.ceil((duration_seconds - SHORTEST_SECONDS) / length_seconds))
    edges = [i * length_seconds for i in range(count)] + [duration_seconds]
    return list(itertools.pairwise(edges))
