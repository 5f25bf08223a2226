"""Two runs on the same cases: how much better one is, and how sure that is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np

from emotion_llama.errors import InputError
from emotion_llama.evaluation.intervals import NUM_RESAMPLES, Interval, bootstrap, label_score, paired_test
from emotion_llama.evaluation.run_folder import CaseRow

LABEL_FIGURES = ("accuracy", "uar", "weighted_f1", "macro_f1")
MCNEMAR, SIGNED_RANK = "McNemar, exact", "Wilcoxon signed-rank"


@dataclass(frozen=True)
class Comparison:
    """First minus second run.

    Attributes:
        first, second: names, with their parsers.
        figure: what is compared.
        difference: with its bootstrap interval.
        p_value: two-sided.
        test: which test it is of.
        only_first, only_second: cases that only one of the two has right, or has the higher score.
        num_cases: that both answered or failed to answer.
    """

    first: str
    second: str
    figure: str
    difference: Interval
    p_value: float
    test: str
    only_first: int
    only_second: int
    num_cases: int


def compare_labels(
    first: tuple[str, str, Sequence[CaseRow]],
    second: tuple[str, str, Sequence[CaseRow]],
    figure: str,
    *,
    num_resamples: int = NUM_RESAMPLES,
) -> Comparison:
    """Compare labels told; a case without an answer is wrong.

    Over all cases together: where a benchmark averages over folds, this difference is that of the folds joined.

    Args:
        first: name of a run, parser, rows.
        second: likewise.
        figure: of `LABEL_FIGURES`.
        num_resamples: of the bootstrap.

    Raises:
        InputError: the runs share no case, or a case has another truth in one of them.
    """
    rows = _shared(first[2], second[2])
    truth = [one.truth or "" for one, _ in rows]
    told = [[one.answers.get(parser) for one in side] for side, parser in zip(zip(*rows), (first[1], second[1]))]
    groups = _groups([one for one, _ in rows])
    scores = [label_score(truth, answers, figure) for answers in told]
    right = [[answer == label for answer, label in zip(answers, truth)] for answers in told]
    found = paired_test(scores[0], scores[1], right[0], right[1], groups=groups, num_resamples=num_resamples)
    return Comparison(
        _name(first), _name(second), figure, found.difference, found.p_value, MCNEMAR, found.only_first,
        found.only_second, len(rows),
    )  # fmt: skip


def compare_scores(
    first: tuple[str, str, Sequence[CaseRow]],
    second: tuple[str, str, Sequence[CaseRow]],
    figure: str,
    *,
    num_resamples: int = NUM_RESAMPLES,
) -> Comparison:
    """Compare figures that are means over cases, on the cases that have one in both runs; arguments as above.

    Raises:
        InputError: no case has the figure in both runs.
    """
    from scipy.stats import wilcoxon

    pairs = [
        (one, _score(one, first[1], figure), _score(other, second[1], figure))
        for one, other in _shared(first[2], second[2])
    ]
    kept = [(row, a, b) for row, a, b in pairs if a is not None and b is not None]
    if not kept:
        raise InputError(f"no case has the figure {figure} in both runs")
    differences = np.array([a - b for _, a, b in kept])
    difference = bootstrap(
        lambda rows: float(differences[rows].mean()), len(kept), groups=_groups([row for row, _, _ in kept]),
        num_resamples=num_resamples,
    )  # fmt: skip
    p_value = float(wilcoxon(differences).pvalue) if differences.any() else 1.0
    above, below = int((differences > 0).sum()), int((differences < 0).sum())
    return Comparison(
        _name(first), _name(second), figure, difference, p_value, SIGNED_RANK, above, below, len(kept)
    )  # fmt: skip


def adjusted(p_values: Sequence[float]) -> list[float]:
    """P values of several tests after Holm (1979): the smallest times their number, and so on, never falling."""
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    found, least = [0.0] * len(p_values), 0.0
    for place, i in enumerate(order):
        least = max(least, min(1.0, p_values[i] * (len(p_values) - place)))
        found[i] = least
    return found


def mean_of(rows: Sequence[CaseRow], parser: str, figure: str) -> float | None:
    """Mean of a figure over the cases that have it; None where none has."""
    known = [value for row in rows if (value := _score(row, parser, figure)) is not None]
    return fmean(known) if known else None


def _score(row: CaseRow, parser: str, figure: str) -> float | None:
    scores: Mapping[str, float] = row.scores.get(parser, {})
    return scores.get(figure)


def _shared(first: Sequence[CaseRow], second: Sequence[CaseRow]) -> list[tuple[CaseRow, CaseRow]]:
    others = {row.case_id: row for row in second}
    found = [(row, others[row.case_id]) for row in first if row.case_id in others]
    if not found:
        raise InputError("the runs share no case; a paired test needs the same cases")
    if strange := next((one.case_id for one, other in found if one.truth != other.truth), None):
        raise InputError(f"{strange} has another truth in the two runs; evaluate both on the same files")
    return found


def _groups(rows: Sequence[CaseRow]) -> list[str] | None:
    if all(row.group is None for row in rows):
        return None
    return [f"case {row.case_id}" if row.group is None else f"group {row.group}" for row in rows]


def _name(side: tuple[str, str, Sequence[CaseRow]]) -> str:
    return f"{side[0]} ({side[1]})"
