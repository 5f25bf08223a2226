"""Which words of tone are true of a voice that was made: from what it was made of, not from what was measured.

A word is expected where the true figure lies clearly beyond the bound of `speech.tone.SCALES`, excluded where it lies
clearly within, and open in between, or where there is too little speech for it. The margins are our own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from types import MappingProxyType

import numpy as np

from emotion_llama.records import Bool, Float
from emotion_llama.speech.tone import MIN_PAUSES_FOR_HALTING, MIN_VOICED_FOR_RANGE_SECONDS, SCALES
from merr_synth.render.prosody_table import ProsodyPlan
from merr_synth.render.speaker import Spoken
from merr_synth.render.voice import HOP_SECONDS, SAMPLE_RATE_HZ, VoiceTruth

MARGINS: Mapping[str, float] = MappingProxyType(
    {
        "pitch_median_semitones": 0.5,
        "pitch_range_semitones": 0.5,
        "loudness_median_db": 2.0,
        "articulation_rate": 0.3,
        "pause_share": 0.03,
        "tremor_depth_percent": 1.5,
        "pitch_slope_semitones_per_second": 4.0,
    }
)
LEAST_TREMBLING_SECONDS = 0.6  # of voice without a break, to tell a tremor
LEAST_TEMPO_SECONDS, LEAST_TEMPO_SYLLABLES = 1.0, 3
_LEAST_RUN_FRAMES, _JUMP_SEMITONES = 10, 2.0
_LOWEST_HZ = 27.5


@dataclass(frozen=True)
class ToneTruth:
    """figures: field of Prosody -> true value, None where the speech is too short for it; words by what is true."""

    figures: Mapping[str, float | None]
    expected: tuple[str, ...]
    excluded: tuple[str, ...]

    @property
    def open(self) -> tuple[str, ...]:
        """Words of which nothing is claimed."""
        words = [word for scale in SCALES for word in (scale.low_word, scale.high_word) if word]
        return tuple(word for word in words if word not in (*self.expected, *self.excluded))


def tone_truth(spoken: Spoken, prosody: ProsodyPlan) -> ToneTruth | None:
    """What is true of a spoken sentence; None where the voice does not tell what it did (`spoken.truth` is None)."""
    if spoken.truth is None:
        return None
    figures = true_figures(spoken.samples, spoken.truth, prosody)
    expected, excluded = [], []
    for scale in SCALES:
        value, margin = figures[scale.figure], MARGINS[scale.figure]
        for word, bound, side in ((scale.low_word, scale.low, -1), (scale.high_word, scale.high, 1)):
            if word is None or value is None:
                continue
            beyond = side * (value - bound)
            if beyond > margin:
                expected.append(word)
            elif beyond < -margin:
                excluded.append(word)
    return ToneTruth(MappingProxyType(figures), tuple(expected), tuple(excluded))


def true_figures(samples: Float, truth: VoiceTruth, prosody: ProsodyPlan) -> dict[str, float | None]:
    """Figures of `records.Prosody` as they truly are."""
    voiced = np.isfinite(truth.f0_hz)
    semitones = 12 * np.log2(truth.f0_hz / _LOWEST_HZ)
    heard = semitones[voiced]
    low, high = np.percentile(heard, [10, 90])
    span = truth.spans[-1][1] - truth.spans[0][0]
    speaking = sum(end - start for start, end in truth.spans)
    has_tempo = span >= LEAST_TEMPO_SECONDS and len(truth.nucleus_seconds) >= LEAST_TEMPO_SYLLABLES
    pauses = len(truth.spans) - 1
    longest = max((end - start for start, end in _runs(voiced)), default=0) * HOP_SECONDS
    is_ranged = voiced.sum() * HOP_SECONDS >= MIN_VOICED_FOR_RANGE_SECONDS
    return {
        "pitch_median_semitones": float(np.median(heard)),
        "pitch_range_semitones": float(high - low) if is_ranged else None,
        "loudness_median_db": _loudness(samples, truth.spans),
        "articulation_rate": truth.articulation_rate if has_tempo else None,
        "pause_share": (span - speaking) / span if pauses >= MIN_PAUSES_FOR_HALTING or pauses == 0 else None,
        "tremor_depth_percent": prosody.tremor_percent if longest >= LEAST_TREMBLING_SECONDS else None,
        "pitch_slope_semitones_per_second": _slope(semitones, voiced),
    }


def _loudness(samples: Float, spans: tuple[tuple[float, float], ...]) -> float:
    """Median level of every 10 ms within the spans, over 50 ms under a Hann window, dB re a sine of amplitude 1."""
    weights = np.hanning(round(0.05 * SAMPLE_RATE_HZ)) ** 2
    power = np.convolve(samples.astype(np.float64) ** 2, weights / weights.sum(), mode="same")
    hop = round(HOP_SECONDS * SAMPLE_RATE_HZ)
    times = np.arange(0, len(power), hop) / SAMPLE_RATE_HZ
    inside = np.any([(times >= start) & (times < end) for start, end in spans], axis=0)
    return float(np.median(10 * np.log10(2 * power[::hop][inside] + 1e-20)))


def _slope(semitones: Float, voiced: Bool) -> float | None:
    """Median over voiced time of the straight line through each stretch of voice without a jump, semitones/s."""
    jumps = np.concatenate([[False], np.abs(np.diff(semitones)) > _JUMP_SEMITONES])
    slopes: list[float] = []
    for start, end in _runs(voiced):
        edges = [start, *(i for i in range(start + 1, end) if jumps[i]), end]
        for a, b in pairwise(edges):
            if b - a >= _LEAST_RUN_FRAMES:
                line = np.polyfit(np.arange(b - a) * HOP_SECONDS, semitones[a:b], 1)
                slopes += [float(line[0])] * (b - a)
    return float(np.median(slopes)) if slopes else None


def _runs(mask: Bool) -> list[tuple[int, int]]:
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]).astype(np.int8)))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist()))
