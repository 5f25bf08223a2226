"""The pitch of an utterance: declination, accents, an ending, and exactly the median and range that were asked for.

Notation: T frames of 5 ms.
"""

from __future__ import annotations

import numpy as np

from emotion_llama.records import Bool, Float
from merr_synth.render.prosody_table import ProsodyPlan
from merr_synth.render.utterance import Utterance

STEP_SECONDS = 0.005
PERCENTILES = (10.0, 90.0)  # of the range, as speech.prosody measures it
# A voice that trembles has few accents left (fear: little variability of the pitch, Juslin & Laukka 2003); number: own.
TREMOR_FLATTENS_PERCENT = 1.5
ACCENTED_SHARE = 0.6  # of the stressed syllables; own
DECLINATION = 0.5  # fall over the sentence, relative to an accent; own
LOWEST_HZ, HIGHEST_HZ = 62.0, 700.0
_ROUNDS = 25


def draw_melody(
    utterance: Utterance,
    prosody: ProsodyPlan,
    median_hz: float,
    times: Float,
    voiced: Bool,
    rng: np.random.Generator,
) -> Float:
    """[T] pitch in Hz at `times` (seconds from the first sound), without jitter.

    Over the frames of `voiced` its median is `median_hz`, and its 10th to 90th percentile the plan's range, as far as
    the ramps of the plan's slope leave room; tremor comes on top.
    """
    shape = _shape(utterance, prosody, times, rng)
    ramp = _ramp(utterance, prosody.slope_semitones_per_second, times)
    wanted = prosody.pitch_range_semitones
    own_range = _range(ramp[voiced])
    if own_range > 0.9 * wanted:  # the ramps alone are as wide as the whole is to be
        ramp *= 0.9 * wanted / own_range
    low, high = 0.0, 4.0 * wanted / max(_range(shape[voiced]), 1e-6)
    for _ in range(_ROUNDS):
        middle = (low + high) / 2
        low, high = (middle, high) if _range((middle * shape + ramp)[voiced]) < wanted else (low, middle)
    semitones = low * shape + ramp
    semitones -= np.median(semitones[voiced])
    tremor = 1 + prosody.tremor_percent / 100 * np.sin(2 * np.pi * prosody.tremor_hz * times)
    return np.asarray(np.clip(median_hz * 2 ** (semitones / 12) * tremor, LOWEST_HZ, HIGHEST_HZ))


def _range(values: Float) -> float:
    low, high = np.percentile(values, PERCENTILES)
    return float(high - low)


def _shape(utterance: Utterance, prosody: ProsodyPlan, times: Float, rng: np.random.Generator) -> Float:
    """[T] melody without unit: accents of about 1 on stressed syllables, a fall, and the ending."""
    middles = utterance.nuclei.mean(axis=1)
    # Not every stress bears an accent: a melody that swings with each would be as regular as a tremor.
    accented = np.asarray(utterance.is_stressed) & (rng.random(len(middles)) < ACCENTED_SHARE)
    heights = np.where(
        accented, np.clip(rng.normal(1.0, 0.3, len(middles)), 0.3, 1.7), rng.normal(0.0, 0.12, len(middles))
    )
    last = len(middles) - 1
    heights /= 1 + prosody.tremor_percent / TREMOR_FLATTENS_PERCENT
    heights[list(utterance.phrase_ends)] += 0.3  # a pause is announced by a small rise
    heights[last] = 1.6 * prosody.ending
    corners = np.concatenate([[0.0], middles, [utterance.duration_seconds]])
    levels = np.concatenate([[heights[0] / 2], heights, [heights[last]]])
    melody = np.interp(times, corners, levels)
    fall = DECLINATION * times / max(utterance.duration_seconds, 1e-6)
    return np.asarray(_smooth(melody) - fall)


def _smooth(values: Float) -> Float:
    from scipy.ndimage import gaussian_filter1d

    return np.asarray(gaussian_filter1d(values, 0.02 / STEP_SECONDS, mode="nearest"))


def _ramp(utterance: Utterance, slope: float, times: Float) -> Float:
    """[T] semitones: `slope` through each vowel, and back between vowels."""
    corners, levels = [0.0], [0.0]
    for start, end in utterance.nuclei.tolist():
        half = slope * (end - start) / 2
        corners += [start, end]
        levels += [-half, half]
    return np.asarray(np.interp(times, corners, levels))
