"""Movements known by their timing: blinks, and the mouth of somebody who talks.

Legend: N frames in time order. Frames without a measurement are NaN and break a run.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from emotion_llama.records import Bool, Float

# Spontaneous blinks last 0.1-0.4 s from closing to open again (VanderWerf et al., J Neurophysiol 89, 2003: 0.33 s);
# a longer closure is AU43, eyes closed, and stays an expression.
BLINK_SECONDS = (0.03, 0.5)
BLINK_CLOSED = 0.6  # both apertures below this share of the open eyes' around
BLINK_OPEN = 0.8  # and above this share before and after
BLINK_AROUND_SECONDS = 1.0
# Syllables come at 2-8 Hz; lip aperture and speech envelope are both modulated there (Chandrasekaran et al., PLoS
# Comput Biol 5, 2009).
SPEECH_HZ = (2.0, 8.0)
SPEECH_WINDOW_SECONDS = 1.0
SPEECH_MIN_CM = 0.07  # rms of the lip gap in that band: three times the mesh's jitter
MIN_RATE_HZ = 10.0  # below it, syllables cannot be followed
GRID_HZ = 25.0


def runs(mask: Bool) -> Iterator[tuple[int, int]]:
    """(start, end) of each stretch of True, end excluded."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]).astype(np.int8)))
    yield from ((int(a), int(b)) for a, b in zip(edges[::2], edges[1::2]))


def typical_step(pts_seconds: Float) -> float:
    """Median time between frames, seconds; 0 for a single frame."""
    return float(np.median(np.diff(pts_seconds))) if len(pts_seconds) > 1 else 0.0


def find_blinks(pts_seconds: Float, right_aperture: Float, left_aperture: Float) -> Bool:
    """[N] frames in which both eyes are closing, shut or opening in a blink; apertures [N] cm.

    A blink closes both eyes to under BLINK_CLOSED of how open they are around it, for a time within BLINK_SECONDS, and
    the eyes are open again before and after. A closure that runs into a gap or an end of the track is not known to be
    one.
    """
    n = len(pts_seconds)
    out = np.zeros(n, dtype=bool)
    if n < 3:
        return out
    openness = np.fmax(*(_share_of_open(pts_seconds, np.asarray(a)) for a in (right_aperture, left_aperture)))
    step = typical_step(pts_seconds)
    with np.errstate(invalid="ignore"):
        narrowed, closed = openness < BLINK_OPEN, openness < BLINK_CLOSED
    for start, end in runs(narrowed):
        shut = np.flatnonzero(closed[start:end])
        if not len(shut) or start == 0 or end == n:
            continue
        if not (np.isfinite(openness[start - 1]) and np.isfinite(openness[end])):
            continue
        lasted = pts_seconds[end - 1] - pts_seconds[start] + step
        if BLINK_SECONDS[0] <= lasted <= BLINK_SECONDS[1]:
            out[start:end] = True
    return out


def _share_of_open(pts_seconds: Float, aperture: Float) -> Float:
    """[N] aperture over the upper quartile of the apertures within BLINK_AROUND_SECONDS."""
    first = np.searchsorted(pts_seconds, pts_seconds - BLINK_AROUND_SECONDS)
    last = np.searchsorted(pts_seconds, pts_seconds + BLINK_AROUND_SECONDS, side="right")
    out = np.full(len(aperture), np.nan)
    for i in np.flatnonzero(np.isfinite(aperture)):
        around = aperture[first[i] : last[i]]
        around = np.sort(around[np.isfinite(around)])
        out[i] = aperture[i] / max(around[int(0.75 * (len(around) - 1))], 1e-3)
    return out


def find_speech(pts_seconds: Float, lip_gap: Float) -> Bool:
    """[N] frames in which the lips open and close at the rate of syllables; lip_gap [N] cm.

    The gap, without what is slower than SPEECH_HZ, must move by SPEECH_MIN_CM rms within SPEECH_WINDOW_SECONDS and
    change direction at least at the lower rate of SPEECH_HZ.
    """
    out = np.zeros(len(pts_seconds), dtype=bool)
    step = typical_step(pts_seconds)
    if not step or 1 / step < MIN_RATE_HZ:
        return out
    for start, end in runs(np.isfinite(lip_gap)):
        span = pts_seconds[end - 1] - pts_seconds[start]
        if span >= SPEECH_WINDOW_SECONDS:
            grid = np.arange(pts_seconds[start], pts_seconds[end - 1] + 1e-9, 1 / GRID_HZ)
            talking = _oscillates(np.interp(grid, pts_seconds[start:end], lip_gap[start:end]))
            nearest = np.rint((pts_seconds[start:end] - grid[0]) * GRID_HZ).astype(int)
            out[start:end] = talking[np.clip(nearest, 0, len(grid) - 1)]
    return out


def _oscillates(values: Float) -> Bool:
    """[G] on the GRID_HZ grid: strong enough and fast enough around each point."""
    # The grid itself ends at 12.5 Hz, so only what is slower than syllables has to be taken out.
    fast = values - _moving_mean(values, 1 / SPEECH_HZ[0])
    strength = np.sqrt(_moving_mean(fast**2, SPEECH_WINDOW_SECONDS))
    # Turns are counted only where they are not jitter: crossings of a band of half the required strength.
    sign = np.where(np.abs(fast) > SPEECH_MIN_CM / 2, np.sign(fast), 0.0)
    known = np.flatnonzero(sign)
    turns = np.zeros(len(values))
    if len(known):
        changes = known[1:][np.diff(sign[known]) != 0]
        turns[changes] = GRID_HZ
    per_second = _moving_mean(turns, SPEECH_WINDOW_SECONDS)
    # Two turns a cycle, less one: a window need not begin with a turn.
    return np.asarray((strength >= SPEECH_MIN_CM) & (per_second >= 2 * SPEECH_HZ[0] - 1))


def _moving_mean(values: Float, seconds: float) -> Float:
    """[G] centred mean over `seconds`; near the ends over what there is."""
    half = round(seconds * GRID_HZ / 2)
    total = np.concatenate([[0.0], np.cumsum(values)])
    first = np.maximum(np.arange(len(values)) - half, 0)
    last = np.minimum(np.arange(len(values)) + half + 1, len(values))
    return np.asarray((total[last] - total[first]) / (last - first))
