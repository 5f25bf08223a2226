"""Follows faces within one shot: who of the faces seen now is which of the faces seen just before."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from math import inf, isnan, log
from typing import NamedTuple

import numpy as np

from emotion_llama.face import appearance
from emotion_llama.records import Float

# A face may be away so long (turned, hidden) and still be followed by position; later only its looks can tell.
MAX_GAP_SECONDS = 1.0
# How far a face may be from where it was expected, in face sizes: at once, and more for each second since it was seen.
_REACH, _REACH_PER_SECOND = 0.6, 2.0
_REACH_LIMIT = 2.0
_MAX_SIZE_RATIO = 2.0
# Looks this different are another person, also at the same place (a cut that went unnoticed).
_MAX_APPEARANCE_DISTANCE = 0.6
# A hidden face keeps its speed for so long only: people stop more often than they go on.
_EXTRAPOLATE_SECONDS = 0.4
_SPEED_MEMORY = 0.6  # share of the old speed in the new estimate
_SIZE_WEIGHT, _APPEARANCE_WEIGHT = 0.5, 1.0  # against 1.0 for the distance
_FORBIDDEN = 1e6


class Candidate(NamedTuple):
    """A face seen now: centre and size in pixels, and its descriptor."""

    center_xy: Float  # [2]
    size: float  # square root of the box's area
    descriptor: Float  # [D]


class Tracklet:
    """One face within one shot: compact rows of measurements and what is needed to find it again.

    Keeps one number and one float32 row for each frame the face was measured in; no picture, no mesh.
    """

    def __init__(self, candidate: Candidate, pts_seconds: float) -> None:
        self.positions = array("q")  # number of the analysed frame, for each row
        self.values = array("f")  # the rows, one after the other
        self.looks = appearance.MeanDescriptor()
        self.first_seconds = self.last_seconds = pts_seconds
        self._center, self._size = candidate.center_xy, candidate.size
        self._speed = np.zeros(2)  # pixels a second
        self.looks.add(candidate.descriptor)

    def follow(self, candidate: Candidate, pts_seconds: float) -> None:
        """The face was seen again."""
        passed = pts_seconds - self.last_seconds
        if passed > 0:
            speed = (candidate.center_xy - self._center) / passed
            self._speed = _SPEED_MEMORY * self._speed + (1 - _SPEED_MEMORY) * speed
        self._center, self._size, self.last_seconds = candidate.center_xy, candidate.size, pts_seconds
        self.looks.add(candidate.descriptor)

    def append(self, position: int, row: Float) -> None:
        """Keeps the measurements of the analysed frame number `position`."""
        self.positions.append(position)
        self.values.frombytes(np.asarray(row, np.float32).tobytes())

    def cost(self, candidate: Candidate, pts_seconds: float) -> float:
        """How badly `candidate` continues this face: 0 is perfect, `_FORBIDDEN` is impossible."""
        gap = pts_seconds - self.last_seconds
        expected = self._center + self._speed * min(gap, _EXTRAPOLATE_SECONDS)
        reach = min(_REACH + _REACH_PER_SECOND * gap, _REACH_LIMIT) * max(self._size, candidate.size)
        away = float(np.hypot(*(candidate.center_xy - expected))) / reach
        size = abs(log(candidate.size / self._size)) / log(_MAX_SIZE_RATIO)
        looks = appearance.distance(self.looks.mean, candidate.descriptor)
        looks = 0.0 if isnan(looks) else looks / _MAX_APPEARANCE_DISTANCE
        if away > 1 or size > 1 or looks > 1:
            return _FORBIDDEN
        return away + _SIZE_WEIGHT * size + _APPEARANCE_WEIGHT * looks


def match(tracklets: Sequence[Tracklet], candidates: Sequence[Candidate], pts_seconds: float) -> list[tuple[int, int]]:
    """Pairs (tracklet, candidate) of least total cost; impossible pairs are left out.

    Solved by the Hungarian method (Kuhn 1955), as in SORT (Bewley et al., ICIP 2016), whose constant-speed prediction
    is used too; the appearance term follows DeepSORT (Wojke et al., ICIP 2017) with colour in place of a network.
    """
    if not tracklets or not candidates:
        return []
    costs = [[tracklet.cost(candidate, pts_seconds) for candidate in candidates] for tracklet in tracklets]
    return [(i, j) for i, j in assign(costs) if costs[i][j] < _FORBIDDEN]


def assign(costs: Sequence[Sequence[float]]) -> list[tuple[int, int]]:
    """Pairs (row, column) of least total cost, in the order of rows, each row and each column once at most.

    The Hungarian method by shortest augmenting paths (Jonker & Volgenant 1987), in plain Python: a frame has few faces.
    """
    if len(costs) > len(costs[0]):
        return sorted((row, column) for column, row in assign(list(zip(*costs))))
    free, width = -1, len(costs[0])
    row_of = [free] * (width + 1)  # of each column; the one more at the end begins the path
    row_price, column_price = [0.0] * len(costs), [0.0] * (width + 1)
    for start in range(len(costs)):
        column, row_of[width] = width, start
        cheapest, came_from = [inf] * width, [width] * width  # of each column: the path there, and its column before
        open_columns, passed = set(range(width)), []
        while (row := row_of[column]) != free:
            passed.append(column)
            for j in open_columns:
                price = costs[row][j] - row_price[row] - column_price[j]
                if price < cheapest[j]:
                    cheapest[j], came_from[j] = price, column
            column = min(open_columns, key=cheapest.__getitem__)
            open_columns.remove(column)
            step = cheapest[column]
            for j in passed:
                row_price[row_of[j]] += step
                column_price[j] -= step
            for j in open_columns:
                cheapest[j] -= step
        while column != width:
            before = came_from[column]
            row_of[column], column = row_of[before], before
    return sorted((row, column) for column, row in enumerate(row_of[:width]) if row != free)


def group(tracklets: Sequence[Tracklet], max_distance: float) -> list[list[Tracklet]]:
    """Joins the tracklets of one person: the most alike first, never two that were seen in the same frame.

    Agglomerative clustering of the mean descriptors, stopped at `max_distance`, never of two with other hair.
    """
    groups = [[tracklet] for tracklet in tracklets]
    looks = [_copy(tracklet.looks) for tracklet in tracklets]
    frames = [set(tracklet.positions) for tracklet in tracklets]
    means = np.array([look.mean for look in looks])
    costs = np.full((len(groups), len(groups)), np.inf)  # symmetric; infinite where two must not be joined

    def compare(i: int, others: list[int]) -> None:
        contradicted = appearance.contradicts(means[i], means[others]).tolist()
        for k, apart, other in zip(others, appearance.distances(means[i], means[others]).tolist(), contradicted):
            allowed = apart <= max_distance and not other and frames[i].isdisjoint(frames[k])
            costs[i, k] = costs[k, i] = apart if allowed else np.inf

    for i in range(1, len(groups)):
        compare(i, list(range(i)))
    while costs.size:
        i, j = sorted(int(k) for k in np.unravel_index(np.argmin(costs), costs.shape))
        if costs[i, j] == np.inf:
            break
        groups[i] += groups[j]
        frames[i] |= frames[j]
        looks[i].merge(looks[j])
        means[i] = looks[i].mean
        groups[j] = []
        costs[j, :] = costs[:, j] = np.inf
        compare(i, [k for k in range(len(groups)) if groups[k] and k != i])
    return [members for members in groups if members]


def _copy(looks: appearance.MeanDescriptor) -> appearance.MeanDescriptor:
    copy = appearance.MeanDescriptor()
    copy.merge(looks)
    return copy
