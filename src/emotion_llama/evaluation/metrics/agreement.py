"""Agreement of coders, from sums that add up over clips: a bootstrap over clips adds sums and needs no frames again.

Every coefficient takes sums with any number of leading axes, [..., L, L] say, and returns an array of those axes; it is
NaN where it is not defined, as where both coders use one and the same label only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import Any

import numpy as np
import numpy.typing as npt

from emotion_llama.errors import MissingDependency
from emotion_llama.evaluation.metrics.intervals import LEVEL

Array = npt.NDArray[np.floating[Any]]
Codes = npt.NDArray[np.integer[Any]]  # labels by their numbers; below 0 where there is none
Span = tuple[float, float, str]  # start and end in seconds, and what is there
Pair = tuple[str, str]  # of coders
HUMANS, OURS, DIFFERENCE = "human-human", "human-machine", "difference"

# --- labels -----------------------------------------------------------------------------------------------------------


def confusion_counts(first: Codes, second: Codes, size: int) -> Array:
    """Counts [size, size] of the label pairs where both coders have one: the first coder's by row."""
    both = (first >= 0) & (second >= 0)
    pairs = first[both] * size + second[both]
    return np.bincount(pairs, minlength=size * size).reshape(size, size).astype(float)


def coincidence_counts(codes: Codes, size: int) -> Array:
    """Krippendorff's coincidence matrix [size, size] of labels [coders, times].

    A time with m >= 2 labels adds 1 / (m - 1) for each ordered pair of coders; other times add nothing.
    """
    found, shares = np.zeros((size, size)), (codes >= 0).sum(axis=0) - 1
    for one, other in permutations(range(len(codes)), 2):
        both = (codes[one] >= 0) & (codes[other] >= 0)
        np.add.at(found, (codes[one][both], codes[other][both]), 1 / shares[both])
    return found


def kappa(confusion: Array, weights: Array | None = None) -> Array:
    """Cohen's kappa (1960) of confusions [..., L, L]; with `weights` [L, L] of disagreement, weighted kappa (1968)."""
    disagreement = 1 - np.eye(confusion.shape[-1]) if weights is None else weights
    total = confusion.sum(axis=(-2, -1), keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        expected = confusion.sum(axis=-1, keepdims=True) * confusion.sum(axis=-2, keepdims=True) / total
        chance = (disagreement * expected).sum(axis=(-2, -1))
        seen: Array = (disagreement * confusion).sum(axis=(-2, -1))
        return np.where(chance > 0, 1 - seen / chance, np.nan)


def distances(size: int, power: int) -> Array:
    """Weights [size, size] for weighted kappa: |i - j| to the power, 1 linear and 2 quadratic."""
    places = np.arange(size)
    return np.asarray(np.abs(places[:, None] - places).astype(float) ** power)


def alpha_nominal(counts: Array) -> Array:
    """Krippendorff's alpha of coincidences [..., L, L] of labels without an order (Content Analysis, 2004, ch. 11)."""
    by_label = counts.sum(axis=-1)
    total = by_label.sum(axis=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        seen = total - np.trace(counts, axis1=-2, axis2=-1)
        chance = (total**2 - (by_label**2).sum(axis=-1)) / (total - 1)
        return np.where(chance > 0, 1 - seen / chance, np.nan)


def precision_recall_f1(confusion: Array) -> tuple[Array, Array, Array]:
    """Of each label [..., L], the truth by row; NaN where a share is of nothing."""
    right, truths, answers = np.diagonal(confusion, axis1=-2, axis2=-1), confusion.sum(axis=-1), confusion.sum(axis=-2)
    with np.errstate(invalid="ignore", divide="ignore"):
        return right / answers, right / truths, 2 * right / (truths + answers)


# --- intensities ------------------------------------------------------------------------------------------------------


def intensity_of(text: str) -> float:
    """0..5 of a figure or of FACS's A..E; infinite of anything else, which says no more than that a unit is present."""
    word = text.strip().upper()
    if len(word) == 1 and word in "ABCDE":
        return 1.0 + "ABCDE".index(word)
    try:
        value = float(word)
    except ValueError:
        return np.inf
    return value if 0 <= value <= 5 else np.inf


def interval_sums(values: Array) -> Array:
    """What `alpha_interval` needs [4] of intensities [coders, times], NaN where there is none."""
    values = values[:, np.isfinite(values).sum(axis=0) >= 2]
    count, total, squares = np.isfinite(values).sum(axis=0), np.nansum(values, axis=0), np.nansum(values**2, axis=0)
    within = (2 * count * squares - 2 * total**2) / (count - 1)  # of all ordered pairs of one time
    return np.array([count.sum(), total.sum(), squares.sum(), within.sum()], float)


def alpha_interval(sums: Array) -> Array:
    """Krippendorff's alpha with squared differences, of `interval_sums` [..., 4]."""
    count, total, squares, within = np.moveaxis(sums, -1, 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        chance = (2 * count * squares - 2 * total**2) / (count - 1)
        return np.where(chance > 0, 1 - within / chance, np.nan)


def icc_sums(values: Array) -> Array:
    """What `icc` needs [3 + coders] of intensities [coders, times], at the times where all coders have one."""
    values = values[:, np.isfinite(values).all(axis=0)]
    rows = values.sum(axis=0)
    return np.array([values.shape[1], (values**2).sum(), (rows**2).sum(), *values.sum(axis=1)], float)


def icc(sums: Array) -> Array:
    """ICC(2,1) of `icc_sums` [..., 3 + coders]: two-way random, absolute agreement (Shrout & Fleiss, 1979)."""
    count, squares, rows = np.moveaxis(sums[..., :3], -1, 0)
    columns = sums[..., 3:]
    k = columns.shape[-1]
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = columns.sum(axis=-1) ** 2 / (count * k)
        of_rows = rows / k - mean
        of_columns = (columns**2).sum(axis=-1) / count - mean
        rest = (squares - mean - of_rows - of_columns) / ((count - 1) * (k - 1))
        targets, coders = of_rows / (count - 1), of_columns / (k - 1)
        whole = targets + (k - 1) * rest + k * (coders - rest) / count
        return np.where((count > 1) & (squares - mean > 1e-9), (targets - rest) / whole, np.nan)


# --- episodes ---------------------------------------------------------------------------------------------------------


def matched_episodes(first: Sequence[Span], second: Sequence[Span]) -> list[tuple[int, int]]:
    """Numbers of episodes that belong together: of one label, one to one, with the most overlap in all."""
    try:
        from scipy.optimize import linear_sum_assignment
    except ImportError as error:
        raise MissingDependency("scipy", "matching episodes", "pip install 'emotion-llama[evaluation]'") from error

    if not first or not second:
        return []
    overlap = np.array([
        [max(0.0, min(a[1], b[1]) - max(a[0], b[0])) if a[2] == b[2] else 0.0 for b in second] for a in first
    ])  # fmt: skip
    return [(int(i), int(j)) for i, j in zip(*linear_sum_assignment(overlap, maximize=True)) if overlap[i, j] > 0]


# --- figures with intervals -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Figure:
    """One figure: of which label or unit ("" of all), between whom, and its interval where there are clips enough.

    `between` is `HUMANS` or `OURS` (means over pairs of coders), their `DIFFERENCE`, or the names of the coders.
    """

    section: str
    of: str
    name: str
    between: str
    value: float | None
    low: float | None = None
    high: float | None = None


class Score:
    """Makes figures of sums [clips, ...] by pair of coders, with intervals over `draws` [resamples, clips] of clips."""

    def __init__(self, groups: Mapping[str, Sequence[Pair]], draws: Array) -> None:
        self._groups, self._draws = groups, draws
        self.num_clips, self.pairs = draws.shape[1], [pair for group in groups.values() for pair in group]

    def __call__(
        self, section: str, name: str, function: Callable[[Array], Array], sums: Mapping[Pair, Array],
        of: Sequence[str] = ("",), mean: str | None = None,
    ) -> list[Figure]:  # fmt: skip
        """The figure of every pair, its mean over the pairs of a group, and how far the machine's is above the humans'.

        Args:
            section: of the figures.
            name: of the figure.
            function: from sums [..., ...] to the figure [...], or [..., of].
            sums: of each pair; a pair ("", group) holds those of a group that were added before.
            of: labels or units.
            mean: the name of the mean over `of`, if it is to be made.
        """
        made: dict[str, Array] = {}
        for pair, found in sums.items():
            # The first row is of all clips as they are, the others are of the draws; one clip alone has no draws.
            several = found.any(axis=tuple(range(1, found.ndim))).sum() > 1
            values = function(np.concatenate([found.sum(axis=0)[None], np.tensordot(self._draws, found, 1)]))
            values = values if values.ndim > 1 else values[:, None]
            values[1:] = values[1:] if several else np.nan
            made[" & ".join(filter(None, pair))] = values
        for group, pairs in self._groups.items():
            if some := [made[" & ".join(pair)] for pair in pairs if pair in sums]:
                made[group] = _mean(np.array(some), 0)
        if HUMANS in made and OURS in made:
            made[DIFFERENCE] = made[OURS] - made[HUMANS]
        columns = [*of, *([mean] if mean is not None and len(of) > 1 else [])]
        made = {key: np.column_stack([values, _mean(values, 1)])[:, : len(columns)] for key, values in made.items()}
        return [
            Figure(section, one, name, between, float(values[0, i]), *_interval(values[1:, i]))
            for i, one in enumerate(columns)
            for between, values in made.items()
            if np.isfinite(values[0, i])
        ]


def _interval(drawn: Array) -> tuple[float | None, float | None]:
    known, tail = drawn[np.isfinite(drawn)], (1 - LEVEL) / 2
    return (float(np.quantile(known, tail)), float(np.quantile(known, 1 - tail))) if len(known) else (None, None)


def _mean(values: Array, axis: int) -> Array:
    """The mean of what is defined."""
    known = np.isfinite(values)
    return ratio(np.where(known, values, 0).sum(axis=axis), known.sum(axis=axis).astype(float))


def ratio(above: Array, below: Array) -> Array:
    """One array over the other; NaN or infinite where the other is 0."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(above / below)
