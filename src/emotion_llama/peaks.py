"""Peaks of a curve as `scipy.signal.find_peaks` defines them, without scipy, which is a quarter of the installation."""

from __future__ import annotations

from math import ceil
from typing import Any

import numpy as np
import numpy.typing as npt

Rows = npt.NDArray[np.int64]


def find_peaks(curve: npt.ArrayLike, height: float, *, distance: float = 1.0, prominence: float = 0.0) -> Rows:
    """[P] rows of a curve [N] that are higher than both neighbours, in order; of a plateau its middle.

    Args:
        curve: [N], without NaN.
        height: the least value of a peak.
        distance: the least number of rows between two; of two that are closer the higher one stays.
        prominence: by how much the curve has to fall on both sides before it rises above the peak, or ends.
    """
    values = np.asarray(curve, dtype=np.float64)
    first = np.flatnonzero(np.diff(values, prepend=np.nan) != 0)  # of each run of equal values
    middle, level = (first + np.append(first[1:], len(values)) - 1) // 2, values[first]
    is_top = np.zeros(len(first), dtype=bool)
    is_top[1:-1] = (level[1:-1] > level[:-2]) & (level[1:-1] > level[2:])
    tops = middle[is_top]
    peaks = _apart(tops[values[tops] >= height], values, ceil(distance))
    if prominence > 0:
        peaks = peaks[_prominences(values, tops)[np.searchsorted(tops, peaks)] >= prominence]
    return peaks


def _apart(peaks: Rows, values: npt.NDArray[Any], distance: int) -> Rows:
    keep = np.ones(len(peaks), dtype=bool)
    for i in np.argsort(values[peaks])[::-1]:
        if keep[i]:
            low, high = np.searchsorted(peaks, [peaks[i] - distance + 1, peaks[i] + distance])
            keep[low:high] = False
            keep[i] = True
    return peaks[keep]


def _prominences(values: npt.NDArray[Any], tops: Rows) -> npt.NDArray[Any]:
    """[P] height of each local maximum, all being given, over the higher one of the lowest points on its two sides."""
    heights = values[tops]
    lowest = [values[a:b].min() for a, b in zip([0, *tops], [*tops, len(values)])] if len(tops) else []
    left = _lowest_until_higher(heights, lowest[:-1])
    right = _lowest_until_higher(heights[::-1], lowest[:0:-1])[::-1]
    return np.asarray(heights - np.maximum(left, right))


def _lowest_until_higher(heights: npt.NDArray[Any], before: list[Any]) -> npt.NDArray[Any]:
    """[P] lowest point since the last higher maximum; `before`: the lowest since the last maximum."""
    found = np.empty(len(heights))
    higher: list[tuple[Any, Any]] = []  # falling heights, each with what was found for it
    for i, (height, lowest) in enumerate(zip(heights, before)):
        while higher and higher[-1][0] <= height:
            lowest = min(lowest, higher.pop()[1])
        found[i] = lowest
        higher.append((height, lowest))
    return found
