"""Long series made short for drawing, and the axes they are drawn on: pure functions on arrays."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from emotion_llama.records import Bool, Float

# Horizontal resolution of every drawing: paths are drawn on 0..2000 and stretched to the width of the page, so that
# whole numbers are finer than a pixel of any screen this page is read on.
UNITS = 2000


class TimeAxis(NamedTuple):
    """A stretch of time laid over the width of a drawing."""

    start_seconds: float
    end_seconds: float

    def share(self, seconds: float) -> float:
        """Position 0..1 of a time, clipped to the axis; 0 on an axis without length."""
        length = self.end_seconds - self.start_seconds
        return min(1.0, max(0.0, (seconds - self.start_seconds) / length)) if length > 0 else 0.0

    def percent(self, seconds: float) -> str:
        """Position as an SVG percentage: "37.5%"."""
        return f"{100 * self.share(seconds):.2f}".rstrip("0").rstrip(".") + "%"

    def units(self, seconds: Float) -> Float:
        """[N] positions 0..UNITS of [N] times."""
        length = self.end_seconds - self.start_seconds
        shares = (seconds - self.start_seconds) / length if length > 0 else np.zeros_like(seconds)
        return np.asarray(np.clip(shares, 0.0, 1.0) * UNITS)

    def ticks(self, most: int = 6) -> list[float]:
        """At most `most` round times within the axis (steps of 1, 2, 5 x 10^k; of clock units from 10 s on)."""
        length = self.end_seconds - self.start_seconds
        if length <= 0:
            return [self.start_seconds]
        step = _step(length / most)
        first = math.ceil(self.start_seconds / step - 1e-9)
        last = math.floor(self.end_seconds / step + 1e-9)
        return [round(i * step, 6) for i in range(first, last + 1)][:most]


def _step(least: float) -> float:
    clock_steps = (15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1800.0, 3600.0)
    if least > 10:
        return next((step for step in clock_steps if step >= least), 3600.0 * math.ceil(least / 3600))
    power = 10.0 ** math.floor(math.log10(least))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= least * (1 - 1e-9))


def tick_label(seconds: float, step: float) -> str:
    """A time on an axis whose ticks are `step` apart: "0.5 s", "4 s", "1:30", "1:00:00"."""
    if seconds >= 60 or step >= 15:
        whole = math.floor(seconds + 0.5)
        hours, minutes = whole // 3600, whole // 60 % 60
        return f"{hours}:{minutes:02d}:{whole % 60:02d}" if hours else f"{minutes}:{whole % 60:02d}"
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    return f"{seconds:.{decimals}f} s"


def decimate(times: Float, values: Float, most: int) -> tuple[Float, Float]:
    """At most `most` points of [N] times and values that keep every extreme; a value is NaN where there is none.

    The series is cut into `most // 2` equal runs; of each, the lowest and the highest value stay, in their order. A run
    without any value becomes one NaN, so that a gap stays a gap.
    """
    if len(values) <= most:
        return times, values
    runs = max(1, most // 2)
    edges = np.linspace(0, len(values), runs + 1).astype(int)
    keep: list[int] = []
    for start, end in pairwise(edges.tolist()):
        finite = np.flatnonzero(np.isfinite(values[start:end]))
        if len(finite) == 0:
            keep.append(start)
            continue
        seen = values[start:end][finite]
        keep.extend(sorted({start + int(finite[np.argmin(seen)]), start + int(finite[np.argmax(seen)])}))
    return times[keep], values[keep]


def envelope(times_seconds: Float, lowest_highest: Float, most: int) -> tuple[Float, Float]:
    """At most `most` columns of [T, 2] lowest and highest samples: times [M] and extremes [M, 2]."""
    if len(times_seconds) <= most:
        return times_seconds, lowest_highest
    starts = np.linspace(0, len(times_seconds), most + 1).astype(int)[:-1]
    lowest = np.fmin.reduceat(lowest_highest[:, 0], starts)
    highest = np.fmax.reduceat(lowest_highest[:, 1], starts)
    return times_seconds[starts], np.column_stack([lowest, highest])


def spans(mask: Bool, times_seconds: Float) -> list[tuple[float, float]]:
    """Stretches where `mask` [N] holds, each reaching half a step beyond its first and last sample."""
    if not len(mask):
        return []
    steps = np.diff(times_seconds) / 2
    before = np.concatenate([steps[:1], steps]) if len(steps) else np.zeros(1)
    after = np.concatenate([steps, steps[-1:]]) if len(steps) else np.zeros(1)
    turns = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]).astype(np.int8)))
    return [
        (float(times_seconds[first] - before[first]), float(times_seconds[end - 1] + after[end - 1]))
        for first, end in turns.reshape(-1, 2)
    ]


def covered(spans_seconds: list[tuple[float, float]], axis: TimeAxis, most: int) -> list[tuple[float, float]]:
    """The spans that overlap the axis; those closer than a `most`-th of its length are drawn as one."""
    least_gap = (axis.end_seconds - axis.start_seconds) / most
    joined: list[tuple[float, float]] = []
    for start, end in sorted(spans_seconds):
        if end < axis.start_seconds or start > axis.end_seconds:
            continue
        if joined and start - joined[-1][1] < least_gap:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, end))
    return joined


def runs_of_values(values: Float) -> list[tuple[int, int]]:
    """Index ranges [first, end) of unbroken finite values."""
    finite = np.concatenate([[False], np.isfinite(values), [False]]).astype(np.int8)
    return [(int(a), int(b)) for a, b in np.flatnonzero(np.diff(finite)).reshape(-1, 2)]
