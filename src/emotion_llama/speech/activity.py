"""Voice activity: which frames hold speech, from level and voicing alone.

No learned model: speech is what stands out of the background and is voiced, or is loud within reach of something
voiced. A tone or melody that stands out counts as voice too; whispering does not. Notation: T frames of 10 ms.
"""

from __future__ import annotations

import numpy as np

from emotion_llama.records import Bool, Float

HOP_SECONDS = 0.01
SILENCE_DB = -75.0  # re full scale: below it nothing is speech (16-bit dither lies near -95)
FLOOR_WINDOW_SECONDS = 10.0
FLOOR_STEP_SECONDS = 1.0
PEAK_PERCENTILE = 95.0
AUDIBLE_RANGE_DB = 30.0
BACKGROUND_PERCENTILE = 5.0
BACKGROUND_RANGE_DB = 24.0
NOISE_PERCENTILE = 10.0  # of the unvoiced frames
LEAST_SHARE = 0.05
ABOVE_FLOOR_DB = 6.0
REACH_SECONDS = 0.20  # unvoiced sound this close to voicing belongs to it: [s], [t] and breath of a word
BRIDGE_SECONDS = 0.10  # shorter gaps are closures of plosives, not pauses (Goldman-Eisler 1968 starts at 0.25)
SHORTEST_SECONDS = 0.05  # shorter voiced runs are chance


def is_audible(loudness_db: Float) -> Bool:
    """[T] above silence, and within 30 dB of the 95th percentile of the 10 s around (Praat's silence threshold)."""
    peak = _percentile_around(loudness_db, np.ones(len(loudness_db), dtype=bool), PEAK_PERCENTILE)
    return np.asarray(loudness_db > np.maximum(peak - AUDIBLE_RANGE_DB, SILENCE_DB))


def stands_out(loudness_db: Float) -> Bool:
    """[T] 6 dB above the background: the 5th percentile of the 10 s around, or 24 dB under the 95th where that is less.

    The first keeps hum and music under a voice out of its pauses; the second a sound without pauses from being its own
    background.
    """
    everything = np.ones(len(loudness_db), dtype=bool)
    low, high = (_percentile_around(loudness_db, everything, p) for p in (BACKGROUND_PERCENTILE, PEAK_PERCENTILE))
    return np.asarray(loudness_db > np.minimum(low, high - BACKGROUND_RANGE_DB) + ABOVE_FLOOR_DB)


def is_above_noise(loudness_db: Float, voiced: Bool) -> Bool:
    """[T] 6 dB above the 10th percentile of the unvoiced frames of the 10 s around.

    Where nearly all is voiced there is no noise to be seen, and everything audible counts.
    """
    floor = _percentile_around(loudness_db, ~voiced, NOISE_PERCENTILE)
    return np.asarray(loudness_db > np.maximum(np.nan_to_num(floor, nan=-np.inf) + ABOVE_FLOOR_DB, SILENCE_DB))


def _percentile_around(values: Float, use: Bool, percentile: float) -> Float:
    """[T] running percentile of the used values, NaN where fewer than 5 % are used."""
    count = len(values)
    if count == 0:
        return np.zeros(0)
    half, step = round(FLOOR_WINDOW_SECONDS / 2 / HOP_SECONDS), round(FLOOR_STEP_SECONDS / HOP_SECONDS)
    centres = np.arange(0, count + step, step)
    found = np.full(len(centres), np.nan)
    for k, centre in enumerate(centres.tolist()):
        around = slice(max(0, min(centre, count - half) - half), max(centre, half) + half)
        used = values[around][use[around]]
        if len(used) >= LEAST_SHARE * len(use[around]):
            found[k] = np.percentile(used, percentile)
    return np.asarray(np.interp(np.arange(count), centres, found))


def find_speech(loudness_db: Float, voiced: Bool) -> Bool:
    """[T] speech.

    Voiced runs of at least 0.05 s that stand out; with them unvoiced frames above the noise up to 0.2 s away; gaps
    under 0.1 s filled.
    """
    prominent = stands_out(loudness_db)
    core = voiced & prominent
    for start, end in runs(core):
        if end - start < SHORTEST_SECONDS / HOP_SECONDS:
            core[start:end] = False
    reach = round(REACH_SECONDS / HOP_SECONDS)
    speech = core | (prominent & is_above_noise(loudness_db, voiced) & _dilate(core, reach))
    for start, end in runs(~speech):
        if start > 0 and end < len(speech) and (end - start) * HOP_SECONDS < BRIDGE_SECONDS:
            speech[start:end] = True
    return speech


def runs(mask: Bool) -> list[tuple[int, int]]:
    """(first, one past last) of each run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]).astype(np.int8)))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist()))


def _dilate(mask: Bool, reach: int) -> Bool:
    """[T] True within `reach` frames of a True."""
    sums = np.concatenate([[0], np.cumsum(mask)])
    index = np.arange(len(mask))
    return np.asarray(sums[np.minimum(index + reach + 1, len(mask))] > sums[np.maximum(index - reach, 0)])
