"""Arithmetic on frame times: which frames a chosen rate keeps, and whether a rate is constant. Pure functions."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, TypeVar

import numpy as np

T = TypeVar("T")

# Two times closer than this are the same; containers store them in steps of 11 microseconds (1/90000 s) or more.
EPSILON_SECONDS = 1e-6
# A gap between frames may differ by this share from the usual gap in a constant-rate stream: phones keep their rate
# to 1 or 2 ms of 33, and a dropped frame doubles the gap.
_GAP_TOLERANCE = 0.1


class Pace(NamedTuple):
    """Rate of a run of frames: mean frames per second (None under two different times), and whether gaps differ."""

    fps: float | None
    is_variable: bool


def measure_pace(times_seconds: Sequence[float], tick_seconds: float) -> Pace:
    """Frame rate from frame times in any order.

    Args:
        times_seconds: [N] times of consecutive frames.
        tick_seconds: the step of the container's clock; times are rounded to it.
    """
    times = np.sort(np.asarray(times_seconds, dtype=np.float64))
    if len(times) < 2 or times[-1] - times[0] <= EPSILON_SECONDS:
        return Pace(None, False)
    gaps = np.diff(times)
    usual = float(np.median(gaps))
    tolerance = max(_GAP_TOLERANCE * usual, 1.01 * tick_seconds)
    return Pace(
        fps=float((len(times) - 1) / (times[-1] - times[0])), is_variable=bool(np.any(np.abs(gaps - usual) > tolerance))
    )


def pick_nearest(timed: Iterable[tuple[float, T]], fps: float) -> Iterator[tuple[float, T]]:
    """Of frames in time order, those nearest to the times 0, 1/fps, 2/fps, ... seconds.

    Of two equally near frames the earlier is taken. A frame that is nearest to several times is given once, so that a
    rate above the stream's own gives every frame. The times count from zero wherever the frames begin, so that a part
    of a stream gives the same frames as the whole. The first frame is always given.

    Args:
        timed: (seconds, frame) with strictly growing seconds; read one frame ahead.
        fps: the chosen rate.
    """
    before: tuple[float, T] | None = None
    step = 0  # number of the next wanted time
    gap = 0.0
    for now in timed:
        if before is None:
            step = math.floor(now[0] * fps + EPSILON_SECONDS)
        else:
            middle = (before[0] + now[0]) / 2 + EPSILON_SECONDS
            if step / fps <= middle:
                yield before
                step = math.floor(middle * fps) + 1
            gap = now[0] - before[0]
        before = now
    # The last frame is taken to be shown as long as the one before it.
    if before is not None and step / fps < before[0] + max(gap, 2 * EPSILON_SECONDS) - EPSILON_SECONDS:
        yield before


def fit_size(width: int, height: int, max_side: int | None) -> tuple[int, int]:
    """(width, height) scaled so that the longer side is at most `max_side`; never enlarged, never under 1."""
    if max_side is None or max(width, height) <= max_side:
        return width, height
    scale = max_side / max(width, height)
    return max(round(width * scale), 1), max(round(height * scale), 1)
