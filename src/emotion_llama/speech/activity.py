"""Voice activity: which frames hold speech, from level and voicing alone.

No learned model: speech is what stands out of the background and is voiced, or is loud within reach of something
voiced. Where nothing is voiced for seconds, whispering is what stands out and changes its spectrum at the pace of
syllables. A tone or melody that stands out counts as voice too. Notation: T frames of 10 ms.
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
NOISE_OVER_QUIETEST_DB = 3.0
LEAST_SHARE = 0.05
ABOVE_FLOOR_DB = 6.0
REACH_SECONDS = 0.20  # unvoiced sound this close to voicing belongs to it: [s], [t] and breath of a word
BRIDGE_SECONDS = 0.10  # shorter gaps are closures of plosives, not pauses (Goldman-Eisler 1968 starts at 0.25)
SHORTEST_SECONDS = 0.05  # shorter voiced runs are chance

# Whispering, within a window without voicing: most of it stands out, and its tilt (the level under 1 kHz less that
# over it) swings from vowel to vowel and from vowel to [s]. Between averages of 90 and 610 ms that is 3.5-12 dB in
# whispers (espeak-ng's, and read speech whose voice was replaced by noise), at most 2 dB in noise, wind, rain, breath
# and applause, 2.8 dB in slow sweeps of noise. Single claps swing as much, but fill little of the window.
WHISPER_WINDOW_FRAMES = 401
WHISPER_SMOOTHING_FRAMES = (9, 61)
WHISPER_SWING_DB = 3.2
WHISPER_SHARE = 0.55
WHISPER_VOICED_SHARE = 0.1
WHISPER_SHORTEST_FRAMES = 10
WHISPER_LEAST_FRAMES = 50


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


def background_share(loudness_db: Float) -> Float:
    """[T] share of each frame's power that the background has: the 5th percentile of the 10 s around, up to 1."""
    floor = _percentile_around(loudness_db, np.ones(len(loudness_db), dtype=bool), BACKGROUND_PERCENTILE)
    return np.asarray(np.minimum(10 ** ((floor - loudness_db) / 10), 1.0))


def is_above_noise(loudness_db: Float, voiced: Bool) -> Bool:
    """[T] 6 dB above the 10th percentile of the unvoiced frames of the 10 s around.

    Where nearly all is voiced there is no noise to be seen, and everything audible counts. Where pauses are voiced (a
    hum, music) the unvoiced frames are consonants: the noise is at most 3 dB over the quietest frames of all.
    """
    floor = _percentile_around(loudness_db, ~voiced, NOISE_PERCENTILE)
    quietest = _percentile_around(loudness_db, np.ones(len(loudness_db), dtype=bool), BACKGROUND_PERCENTILE)
    floor = np.minimum(floor, quietest + NOISE_OVER_QUIETEST_DB)
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


def find_speech(loudness_db: Float, voiced: Bool, whispered: Bool | None = None) -> Bool:
    """[T] speech.

    Voiced runs of at least 0.05 s that stand out; with them unvoiced frames above the noise up to 0.2 s away; what is
    whispered; gaps under 0.1 s filled.
    """
    prominent = stands_out(loudness_db)
    core = voiced & prominent
    for start, end in runs(core):
        if end - start < SHORTEST_SECONDS / HOP_SECONDS:
            core[start:end] = False
    speech = core | (prominent & is_above_noise(loudness_db, voiced) & near(core))
    if whispered is not None:
        speech |= whispered
    for start, end in runs(~speech):
        if start > 0 and end < len(speech) and (end - start) * HOP_SECONDS < BRIDGE_SECONDS:
            speech[start:end] = True
    return speech


def find_whispers(loudness_db: Float, tilt_db: Float, voiced: Bool) -> Bool:
    """[T] whispered speech: see WHISPER_SWING_DB.

    Args:
        loudness_db: [T] level of the whole spectrum.
        tilt_db: [T] level under 1 kHz less that of 1-5 kHz.
        voiced: [T] frames with a pitch.
    """
    core = voiced & stands_out(loudness_db)
    loud = stands_out(loudness_db) & is_audible(loudness_db) & ~voiced
    for start, end in runs(core):
        core[start:end] &= end - start >= SHORTEST_SECONDS / HOP_SECONDS
    for start, end in runs(loud):
        loud[start:end] &= end - start >= WHISPER_SHORTEST_FRAMES
    everything = np.ones(len(loud), dtype=bool)
    short, long = (_mean_around(tilt_db, loud, frames) for frames in WHISPER_SMOOTHING_FRAMES)
    swing_db = np.sqrt(_mean_around((short - long) ** 2, loud, WHISPER_WINDOW_FRAMES))
    share, voiced_share = (
        _mean_around(mask.astype(np.float64), everything, WHISPER_WINDOW_FRAMES) for mask in (loud, core)
    )
    found = loud & (swing_db >= WHISPER_SWING_DB) & (share >= WHISPER_SHARE) & (voiced_share <= WHISPER_VOICED_SHARE)
    return found if found.sum() >= WHISPER_LEAST_FRAMES else np.zeros_like(found)


def _mean_around(values: Float, use: Bool, frames: int) -> Float:
    """[T] mean of the used values among the `frames` around each, 0 where there are none."""
    half = frames // 2
    index = np.arange(len(values))
    first, last = np.maximum(index - half, 0), np.minimum(index + half + 1, len(values))
    sums, counts = (np.concatenate([[0.0], np.cumsum(part)]) for part in (np.where(use, values, 0.0), use))
    return np.asarray((sums[last] - sums[first]) / np.maximum(counts[last] - counts[first], 1))


def runs(mask: Bool) -> list[tuple[int, int]]:
    """(first, one past last) of each run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]).astype(np.int8)))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist()))


def near(mask: Bool) -> Bool:
    """[T] True within 0.2 s of a True."""
    reach = round(REACH_SECONDS / HOP_SECONDS)
    sums = np.concatenate([[0], np.cumsum(mask)])
    index = np.arange(len(mask))
    return np.asarray(sums[np.minimum(index + reach + 1, len(mask))] > sums[np.maximum(index - reach, 0)])
