"""How sure a metric is: bootstrap intervals, and tests of two predictors on the same clips."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import comb
from typing import NamedTuple

import numpy as np

from emotion_llama.errors import InputError
from emotion_llama.evaluation.metrics.classification import Rows

NUM_RESAMPLES = 2000
LEVEL = 0.95


class Interval(NamedTuple):
    """A metric and its confidence interval at `LEVEL`."""

    value: float
    low: float
    high: float


def bootstrap(
    score: Callable[[Rows], float],
    num_clips: int,
    *,
    groups: Sequence[str] | None = None,
    num_resamples: int = NUM_RESAMPLES,
    seed: int = 0,
) -> Interval:
    """Percentile bootstrap (Efron 1979) of a metric over clips.

    Args:
        score: from clip numbers (with repeats) to the metric.
        num_clips: how many clips there are.
        groups: a name for each clip, e.g. its speaker: whole groups are drawn, because clips of one person are alike.
        num_resamples: draws.
        seed: of the draws: the same seed gives the same interval.

    Raises:
        InputError: no clips, or `groups` of another length.
    """
    if num_clips < 1 or (groups is not None and len(groups) != num_clips):
        given = "none" if groups is None else len(groups)
        raise InputError(f"expected at least one clip and a group for each, got {num_clips} clips and {given} groups")
    rng = np.random.default_rng(seed)
    members = None
    if groups is not None:
        by_name: dict[str, list[int]] = {}
        for number, name in enumerate(groups):
            by_name.setdefault(name, []).append(number)
        members = [np.array(rows) for rows in by_name.values()]

    def drawn() -> Rows:
        if members is None:
            return rng.integers(num_clips, size=num_clips)
        chosen: Rows = np.concatenate([members[i] for i in rng.integers(len(members), size=len(members))])
        return chosen

    tail = (1 - LEVEL) / 2
    low, high = np.nanquantile([score(drawn()) for _ in range(num_resamples)], [tail, 1 - tail])
    return Interval(float(score(np.arange(num_clips))), float(low), float(high))


def mcnemar(right_first: Sequence[bool], right_second: Sequence[bool]) -> tuple[float, int, int]:
    """McNemar's exact test (1947) of which clips two predictors have right.

    A binomial test of the clips on which the two disagree; it takes clips as independent.

    Returns:
        The two-sided p value, and the clips that only the first, and only the second, has right.
    """
    first, second = np.asarray(right_first, bool), np.asarray(right_second, bool)
    only_first, only_second = int((first & ~second).sum()), int((second & ~first).sum())
    disagreements = only_first + only_second
    outcomes = sum(comb(disagreements, count) for count in range(min(only_first, only_second) + 1))
    p_value = min(1.0, 2 * outcomes / 2**disagreements)  # both tails; integers, which Python divides at any size
    return p_value, only_first, only_second
