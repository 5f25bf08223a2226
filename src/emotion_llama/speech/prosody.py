"""VoiceTrack -> Prosody: the figures of a stretch of speech.

What each figure needs: pitch, harmonicity and tilt 0.2 s of voicing; loudness 0.2 s of speech; tempo a span of 1 s
with three syllables; tremor a voiced run of 0.52 s (its outermost frames are left out). A figure without its
need is None.
Notation: T frames of 10 ms.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import numpy.typing as npt

from emotion_llama.records import Bool, Float, Prosody, VoiceTrack
from emotion_llama.speech.activity import HOP_SECONDS, runs
from emotion_llama.speech.pauses import pauses
from emotion_llama.speech.tempo import find_nuclei

BACKEND = "autocorrelation"
SEMITONE_REFERENCE_HZ = 27.5  # A0, the zero of eGeMAPS (Eyben et al., IEEE TAC 7(2), 2016)

MIN_VOICED_SECONDS = MIN_SPEECH_SECONDS = 0.2
MIN_SPAN_SECONDS, MIN_SYLLABLES = 1.0, 3
MIN_SLOPE_RUN_SECONDS = 0.1
MIN_NOTE_SECONDS, MAX_NOTE_SEMITONES = 0.2, 0.8
MIN_PERTURBATION_RUN_SECONDS = 0.05
RANGE_PERCENTILES = (10.0, 90.0)

# Tremor: involuntary modulation of 3-10 Hz. A melody has swings of 3-5 Hz too, but they are not regular: only a
# sinusoid that explains half of what the smooth contour leaves, over two and a half cycles, counts.
TREMOR_HZ = (3.0, 10.0)
TREMOR_STEP_HZ = 0.25
MIN_TREMOR_RUN_SECONDS = 0.5
MIN_TREMOR_CYCLES = 2.5
MIN_TREMOR_SHARE = 0.5
MAX_JUMP_SEMITONES = 2.0  # in 10 ms: a run is parted where the pitch jumps, its sides are not one gesture


def summarise(voice: VoiceTrack) -> Prosody:
    """Figures over a whole VoiceTrack; take `voice.between(start, end)` for a part."""
    speech = voice.is_speech
    voiced = speech & np.isfinite(voice.f0_hz)
    voiced_seconds, speech_seconds = float(voiced.sum()) * HOP_SECONDS, float(speech.sum()) * HOP_SECONDS
    pitched, heard = voiced_seconds >= MIN_VOICED_SECONDS - 1e-9, speech_seconds >= MIN_SPEECH_SECONDS - 1e-9
    semitones = to_semitones(voice.f0_hz)
    gestures = _gestures(semitones, voiced) if pitched else []
    found_pauses = pauses(voice) if heard else None
    rate, articulation, pause_share = _tempo(voice, found_pauses or [])
    return Prosody(
        speech_seconds=speech_seconds,
        voiced_seconds=voiced_seconds,
        pitch_median_hz=_median(voice.f0_hz[voiced]) if pitched else None,
        pitch_median_semitones=_median(semitones[voiced]) if pitched else None,
        pitch_range_semitones=_range(semitones[voiced]) if pitched else None,
        pitch_slope_semitones_per_second=_slope(semitones, gestures),
        loudness_median_db=_median(voice.loudness_db[speech]) if heard else None,
        loudness_range_db=_range(voice.loudness_db[speech]) if heard else None,
        syllables_per_second=rate,
        articulation_rate=articulation,
        pause_count=None if found_pauses is None else len(found_pauses),
        pause_share=pause_share if heard else None,
        harmonicity_db=_median(voice.harmonicity_db[voiced]) if pitched else None,
        pitch_perturbation_percent=_pitch_perturbation(voice.f0_hz, gestures),
        loudness_perturbation_db=_bend(voice.loudness_db, gestures),
        tremor_depth_percent=_tremor(voice.f0_hz, gestures),
        tilt_db=_median(voice.tilt_db[voiced]) if pitched else None,
        backend=BACKEND,
    )


def to_semitones(f0_hz: npt.ArrayLike) -> Float:
    """Semitones above 27.5 Hz."""
    return np.asarray(12 * np.log2(np.asarray(f0_hz, dtype=np.float64) / SEMITONE_REFERENCE_HZ))


def _median(values: Float) -> float:
    return float(np.median(values))


def _range(values: Float) -> float:
    low, high = np.percentile(values, RANGE_PERCENTILES)
    return float(high - low)


def _gestures(semitones: Float, voiced: Bool) -> list[tuple[int, int]]:
    """Voiced runs, parted where the pitch jumps."""
    found = []
    for start, end in runs(voiced):
        jumps = np.flatnonzero(np.abs(np.diff(semitones[start:end])) > MAX_JUMP_SEMITONES) + 1
        edges = [start, *(start + jumps).tolist(), end]
        found += list(pairwise(edges))
    return found


def held_notes(voice: VoiceTrack) -> tuple[float, float]:
    """The share of voiced time in held notes, and the standard deviation of their pitches in semitones.

    A note is 0.2 s or more within 0.8 semitones. Speech glides from syllable to syllable: in read speech of five
    voices (1100 s, benchmarks/prosody_agreement.py) notes are 0-35 % of the voiced time, in a monotonous synthetic
    voice more, but of one pitch. Melodies hold nearly all of theirs, several semitones apart.
    """
    semitones = to_semitones(voice.f0_hz)
    voiced = voice.is_speech & np.isfinite(voice.f0_hz)
    least = round(MIN_NOTE_SECONDS / HOP_SECONDS)
    pitches, lengths = [], []
    for first, stop in _gestures(semitones, voiced):
        while first < stop:
            spread = np.maximum.accumulate(semitones[first:stop]) - np.minimum.accumulate(semitones[first:stop])
            length = int(np.count_nonzero(spread <= MAX_NOTE_SEMITONES))
            if length >= least:
                pitches.append(float(np.median(semitones[first : first + length])))
                lengths.append(length)
            first += length
    return sum(lengths) / max(int(voiced.sum()), 1), float(np.std(pitches)) if pitches else 0.0


def _slope(semitones: Float, gestures: list[tuple[int, int]]) -> float | None:
    """Median over voiced time of the straight line through each gesture, semitones per second."""
    long = [(a, b) for a, b in gestures if (b - a) * HOP_SECONDS >= MIN_SLOPE_RUN_SECONDS - 1e-9]
    if not long:
        return None
    slopes = [np.polyfit(np.arange(b - a) * HOP_SECONDS, semitones[a:b], 1)[0] for a, b in long]
    return float(np.median(np.repeat(slopes, [b - a for a, b in long])))


def _tempo(voice: VoiceTrack, gaps: list[tuple[float, float]]) -> tuple[float | None, float | None, float | None]:
    """Syllables per second with and without pauses, and the pauses' share of the span."""
    rows = np.flatnonzero(voice.is_speech)
    if len(rows) == 0:
        return None, None, None
    span = float(rows[-1] + 1 - rows[0]) * HOP_SECONDS
    paused = sum(end - start for start, end in gaps)
    nuclei = find_nuclei(voice)
    if span < MIN_SPAN_SECONDS or len(nuclei) < MIN_SYLLABLES:
        return None, None, paused / span
    return len(nuclei) / span, len(nuclei) / (span - paused), paused / span


def _bend(values: Float, gestures: list[tuple[int, int]]) -> float | None:
    """Mean distance of a value from the mean of its neighbours, within gestures without their outermost frames."""
    least = MIN_PERTURBATION_RUN_SECONDS / HOP_SECONDS + 2
    kept = [np.asarray(values[a + 1 : b - 1], dtype=np.float64) for a, b in gestures if b - a >= least]
    if not kept:
        return None
    return float(np.mean(np.abs(np.concatenate([v[1:-1] - (v[:-2] + v[2:]) / 2 for v in kept]))))


def _pitch_perturbation(f0_hz: Float, gestures: list[tuple[int, int]]) -> float | None:
    """Relative average perturbation (Koike 1973) over 10 ms pitch values instead of cycles, percent.

    Each value averages the cycles of 50 ms, so this is far smaller than jitter; it grows with it.
    """
    share = _bend(np.log(f0_hz), gestures)
    return None if share is None else 100 * share


def _tremor(f0_hz: Float, gestures: list[tuple[int, int]]) -> float | None:
    """Median over long voiced runs of the amplitude of a regular 3-10 Hz modulation, percent of the pitch."""
    least = MIN_TREMOR_RUN_SECONDS / HOP_SECONDS
    long = [(a + 1, b - 1) for a, b in gestures if b - a - 2 >= least]
    if not long:
        return None
    depths = [_tremor_of_run(np.log(np.asarray(f0_hz[a:b], dtype=np.float64))) for a, b in long]
    return 100 * float(np.median(np.repeat(depths, [b - a for a, b in long])))


def _tremor_of_run(log_f0: Float) -> float:
    """Amplitude of the best sinusoid beside a cubic trend; 0 where it explains less than half of the rest."""
    seconds = np.arange(len(log_f0)) * HOP_SECONDS
    trend = np.vander(np.linspace(-1, 1, len(log_f0)), 4)
    rest_of_trend = log_f0 - trend @ np.linalg.lstsq(trend, log_f0, rcond=None)[0]
    total = float(np.sum(rest_of_trend**2))
    lowest = max(TREMOR_HZ[0], MIN_TREMOR_CYCLES / (seconds[-1] + HOP_SECONDS))
    best_error, best_depth = np.inf, 0.0
    for frequency in np.arange(lowest, TREMOR_HZ[1] + 1e-9, TREMOR_STEP_HZ):
        angle = 2 * np.pi * frequency * seconds
        basis = np.column_stack([trend, np.cos(angle), np.sin(angle)])
        weights = np.linalg.lstsq(basis, log_f0, rcond=None)[0]
        error = float(np.sum((log_f0 - basis @ weights) ** 2))
        if error < best_error:
            best_error, best_depth = error, float(np.hypot(weights[-2], weights[-1]))
    return best_depth if total > 0 and best_error <= (1 - MIN_TREMOR_SHARE) * total else 0.0
