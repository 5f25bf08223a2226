"""How sure a score is: bootstrap intervals, and paired tests between two systems on the same clips."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from emotion_llama.errors import InputError

NUM_RESAMPLES = 2000
Groups = Sequence[str] | None


class Interval(NamedTuple):
    """A score and its confidence interval."""

    value: float
    low: float
    high: float
    level: float


class PairedTest(NamedTuple):
    """First minus second system.

    Attributes:
        difference: of the score, with its bootstrap interval.
        p_value: two-sided, of the exact McNemar test on right and wrong answers.
        only_first, only_second: clips that only one of the two has right.
    """

    difference: Interval
    p_value: float
    only_first: int
    only_second: int


def bootstrap(
    score: Callable[[npt.NDArray[np.int64]], float],
    num_clips: int,
    *,
    groups: Groups = None,
    level: float = 0.95,
    num_resamples: int = NUM_RESAMPLES,
    seed: int = 0,
) -> Interval:
    """Percentile bootstrap (Efron 1979) of a score over clips.

    Args:
        score: from clip numbers (with repeats) to the score.
        num_clips: how many clips there are.
        groups: a name for each clip, e.g. its speaker: whole groups are drawn, because clips of one person are alike.
        level: of the interval.
        num_resamples: draws.
        seed: of the draws: the same seed gives the same interval.

    Raises:
        InputError: no clips, or `groups` of another length.
    """
    if num_clips < 1 or (groups is not None and len(groups) != num_clips):
        given = "none" if groups is None else len(groups)
        raise InputError(f"expected at least one clip and a group for each, got {num_clips} clips and {given} groups")
    rng = np.random.default_rng(seed)
    members = None if groups is None else _members(groups)
    drawn = [score(_draw(rng, num_clips, members)) for _ in range(num_resamples)]
    low, high = np.nanquantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(score(np.arange(num_clips))), float(low), float(high), level)


def paired_test(
    score_first: Callable[[npt.NDArray[np.int64]], float],
    score_second: Callable[[npt.NDArray[np.int64]], float],
    right_first: Sequence[bool],
    right_second: Sequence[bool],
    *,
    groups: Groups = None,
    level: float = 0.95,
    num_resamples: int = NUM_RESAMPLES,
    seed: int = 0,
) -> PairedTest:
    """Is one system better than another on the same clips?

    The interval is of the difference of scores over the same draws of clips; the p value is McNemar's exact test (1947;
    a binomial test of the clips on which the two disagree). With `groups` the p value still takes clips as independent.

    Args:
        score_first: from clip numbers to the first system's score.
        score_second: likewise.
        right_first: whether the first system has each clip right.
        right_second: likewise.
        groups: as `bootstrap`'s, as are the rest.
        level: of the interval.
        num_resamples: draws.
        seed: of the draws.

    Raises:
        InputError: the systems were scored on different numbers of clips.
    """
    from scipy.stats import binomtest

    if len(right_first) != len(right_second):
        raise InputError(f"a paired test needs the same clips, got {len(right_first)} and {len(right_second)}")
    first, second = np.asarray(right_first, bool), np.asarray(right_second, bool)
    difference = bootstrap(
        lambda rows: score_first(rows) - score_second(rows),
        len(first),
        groups=groups,
        level=level,
        num_resamples=num_resamples,
        seed=seed,
    )
    only_first, only_second = int((first & ~second).sum()), int((second & ~first).sum())
    disagreements = only_first + only_second
    p_value = float(binomtest(only_first, disagreements).pvalue) if disagreements else 1.0
    return PairedTest(difference, p_value, only_first, only_second)


def label_score(
    truth: Sequence[str], answers: Sequence[str | None], metric: str
) -> Callable[[npt.NDArray[np.int64]], float]:
    """A score over clip numbers, quick enough for the bootstrap: "accuracy", "uar", "weighted_f1" or "macro_f1".

    The same figures as `classification.score_labels`; UAR is over the labels that a draw holds.

    Raises:
        InputError: there is no such metric.
    """
    if metric not in _FROM_COUNTS:
        raise InputError(f"{metric!r} is not a score of labels; use one of: {', '.join(_FROM_COUNTS)}")
    names = sorted({*truth, *(a for a in answers if a is not None)})
    number = {name: i for i, name in enumerate(names)}
    rows = np.array([number[t] for t in truth])
    columns = np.array([len(names) if a is None else number[a] for a in answers])
    pairs = rows * (len(names) + 1) + columns
    reduce = _FROM_COUNTS[metric]

    def score(drawn: npt.NDArray[np.int64]) -> float:
        counts = np.bincount(pairs[drawn], minlength=len(names) * (len(names) + 1))
        return reduce(counts.reshape(len(names), len(names) + 1).astype(float))

    return score


Counts = npt.NDArray[np.floating[Any]]  # [L, L + 1], rows are the truth, the last column is no answer


def _accuracy(counts: Counts) -> float:
    return float(np.trace(counts) / counts.sum())


def _uar(counts: Counts) -> float:
    n = counts.sum(axis=1)
    return float((np.diag(counts)[n > 0] / n[n > 0]).mean())


def _f1s(counts: Counts) -> tuple[Counts, Counts, Counts]:
    """F1, truths and answers of each label."""
    truths, answered = counts.sum(axis=1), counts[:, :-1].sum(axis=0)
    return 2 * np.diag(counts) / np.maximum(truths + answered, 1.0), truths, answered


def _weighted_f1(counts: Counts) -> float:
    f1, truths, _ = _f1s(counts)
    return float((f1 * truths).sum() / truths.sum())


def _macro_f1(counts: Counts) -> float:
    f1, truths, answered = _f1s(counts)
    return float(f1[truths + answered > 0].mean())


_FROM_COUNTS: dict[str, Callable[[Counts], float]] = {
    "accuracy": _accuracy,
    "uar": _uar,
    "weighted_f1": _weighted_f1,
    "macro_f1": _macro_f1,
}


def _draw(
    rng: np.random.Generator, num_clips: int, members: Sequence[npt.NDArray[np.int64]] | None
) -> npt.NDArray[np.int64]:
    """As many clips as there are, with repeats; or as many groups, each with all its clips."""
    if members is None:
        return rng.integers(num_clips, size=num_clips)
    chosen: npt.NDArray[np.int64] = np.concatenate([members[i] for i in rng.integers(len(members), size=len(members))])
    return chosen


def _members(groups: Sequence[str]) -> list[npt.NDArray[np.int64]]:
    by_name: dict[str, list[int]] = {}
    for i, name in enumerate(groups):
        by_name.setdefault(name, []).append(i)
    return [np.array(rows) for rows in by_name.values()]
