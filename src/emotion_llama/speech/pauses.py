"""Pauses in speech, and the spans that they cut a recording into."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from emotion_llama.errors import InputError
from emotion_llama.records import VoiceTrack
from emotion_llama.speech.activity import HOP_SECONDS, runs

MIN_PAUSE_SECONDS = 0.2
Span = tuple[float, float]


def pauses(voice: VoiceTrack, min_seconds: float = MIN_PAUSE_SECONDS) -> list[Span]:
    """(start, end) seconds of each silence of at least `min_seconds` between two stretches of speech."""
    spoken = runs(voice.is_speech)
    gaps = [(end, start) for (_, end), (start, _) in pairwise(spoken)]
    edge = voice.times_seconds - HOP_SECONDS / 2
    # The comparison is in whole frames: 0.2 s must not be lost to rounding of times.
    least = round(min_seconds / HOP_SECONDS)
    # By the number of frames: the time of other speakers may be cut out.
    found = ((float(edge[first]), stop - first) for first, stop in gaps if stop - first >= least)
    return [(start, start + count * HOP_SECONDS) for start, count in found]


def split_at_pauses(
    voice: VoiceTrack,
    *,
    duration_seconds: float,
    min_pause_seconds: float = 0.5,
    max_seconds: float = 15.0,
    min_seconds: float = 1.0,
) -> list[Span]:
    """Spans that cover 0..`duration_seconds` without gap or overlap, cut in the middle of pauses.

    A piece longer than `max_seconds` is cut again at its longest pause of 0.2 s or more; where it has none, at its
    quietest moment, or in the middle where there is no sound. A cut that would leave a piece shorter than
    `min_seconds` is not made.

    Raises:
        InputError: a duration or limit is not positive, or `max_seconds` is under twice `min_seconds`.
    """
    if min(duration_seconds, min_pause_seconds, min_seconds) <= 0 or max_seconds < 2 * min_seconds:
        raise InputError(
            f"cannot split: {duration_seconds = }, {min_pause_seconds = }, {min_seconds = } must be positive and "
            f"{max_seconds = } at least twice min_seconds"
        )
    edges = [0.0]
    for start, end in pauses(voice, min_pause_seconds):
        middle = (start + end) / 2
        if middle - edges[-1] >= min_seconds and duration_seconds - middle >= min_seconds:
            edges.append(middle)
    edges.append(duration_seconds)
    found: list[Span] = []
    for span in pairwise(edges):
        found += _cut_long(voice, span, max_seconds, min_seconds)
    return found


def _cut_long(voice: VoiceTrack, span: Span, max_seconds: float, min_seconds: float) -> list[Span]:
    start, end = span
    if end - start <= max_seconds:
        return [span]
    cut = _best_cut(voice, start, end, min_seconds)
    left, right = (_cut_long(voice, part, max_seconds, min_seconds) for part in ((start, cut), (cut, end)))
    return left + right


def _best_cut(voice: VoiceTrack, start: float, end: float, min_seconds: float) -> float:
    inside = [
        (stop - first, (first + stop) / 2)
        for first, stop in pauses(voice.between(start, end))
        if start + min_seconds <= (first + stop) / 2 <= end - min_seconds
    ]
    if inside:
        return max(inside)[1]
    # The middle half only: a quiet moment near an end would shave off slivers.
    quarter = (end - start) / 4
    middle = voice.between(start + quarter, end - quarter)
    if len(middle.times_seconds) == 0:
        return (start + end) / 2
    return float(middle.times_seconds[np.argmin(middle.loudness_db)])
