"""Metrics of one label a clip, by scikit-learn; clips without an answer are wrong and are counted apart.

Weighted F1 is scikit-learn's `average="weighted"`, which the challenges MER2023 and MER2024 and the published code of
Emotion-LLaMA use. UAR is the unweighted mean of the recalls of the labels that occur in the truth (balanced accuracy);
WAR is accuracy (DFEW, Jiang et al., ACM MM 2020).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from emotion_llama.errors import InputError, MissingDependency

NO_ANSWER = "(no answer)"
Rows = npt.NDArray[np.int64]  # clip numbers, with repeats where they are drawn
Counts = npt.NDArray[np.floating[Any]]  # [L, L + 1], rows are the truth, the last column is no answer


def score_labels(
    truth: Sequence[str], answers: Sequence[str | None], *, labels: Sequence[str] | None = None
) -> dict[str, Any]:
    """Metrics of `answers` (None: no usable answer, which is wrong) against `truth`.

    Args:
        truth: the true label of each of N clips.
        answers: the predicted label of each.
        labels: the order of the confusion matrix, all labels of the truth among them; alphabetical by default. Labels
            that occur in neither truth nor answers take no part in the macro average.

    Returns:
        "accuracy" (WAR), "weighted_f1", "macro_f1", "micro_f1", "uar"; "answered_accuracy" over the answered clips,
        None where there is none; "recalls" and "supports" by label of the truth; "confusion", counts [L, L + 1] with
        the truth in rows and `NO_ANSWER` in the last column, and its "labels"; "num_clips" and "num_unanswered".

    Raises:
        InputError: there is nothing to score, the lengths differ, or a label is not in `labels`.
        MissingDependency: scikit-learn is not installed.
    """
    if len(truth) != len(answers) or not truth:
        raise InputError(f"expected as many answers as truths, and at least one: {len(answers)} and {len(truth)}")
    metrics = _sklearn_metrics()
    occurring = {*truth, *(answer for answer in answers if answer is not None)}
    order = tuple(labels) if labels is not None else tuple(sorted(occurring))
    if unknown := sorted(occurring - set(order)):
        raise InputError(f"{unknown[0]!r} is not among the labels to score ({', '.join(order)}); map it first")
    predicted = [NO_ANSWER if answer is None else answer for answer in answers]
    scored, in_truth = ([label for label in order if label in some] for some in (occurring, set(truth)))

    def f1(average: str) -> float:
        return float(metrics.f1_score(truth, predicted, labels=scored, average=average, zero_division=0.0))

    confusion = metrics.confusion_matrix(truth, predicted, labels=[*order, NO_ANSWER])[:-1]
    _, recalls, _, supports = metrics.precision_recall_fscore_support(
        truth, predicted, labels=in_truth, average=None, zero_division=0.0
    )
    right, unanswered = int(np.trace(confusion)), predicted.count(NO_ANSWER)
    return {
        "accuracy": float(metrics.accuracy_score(truth, predicted)),
        **{f"{average}_f1": f1(average) for average in ("weighted", "macro", "micro")},
        "uar": float(np.mean(recalls)),
        "answered_accuracy": right / (len(truth) - unanswered) if unanswered < len(truth) else None,
        "recalls": dict(zip(in_truth, recalls.tolist(), strict=True)),
        "supports": dict(zip(in_truth, supports.tolist(), strict=True)),
        "confusion": confusion,
        "labels": order,
        "num_clips": len(truth),
        "num_unanswered": unanswered,
    }


def label_score(truth: Sequence[str], answers: Sequence[str | None], metric: str) -> Callable[[Rows], float]:
    """The metric "accuracy", "uar", "weighted_f1" or "macro_f1" over clip numbers, quick enough for the bootstrap.

    The same values as `score_labels`, from counts instead of labels; UAR is over the labels that a draw holds.

    Raises:
        InputError: there is no such metric.
    """
    if metric not in _FROM_COUNTS:
        raise InputError(f"{metric!r} is not a score of labels; use one of: {', '.join(_FROM_COUNTS)}")
    names = sorted({*truth, *(answer for answer in answers if answer is not None)})
    number = {name: i for i, name in enumerate(names)}
    width = len(names) + 1
    rows = np.array([number[label] for label in truth])
    columns = np.array([len(names) if answer is None else number[answer] for answer in answers])
    pairs, reduce = rows * width + columns, _FROM_COUNTS[metric]

    def score(drawn: Rows) -> float:
        counts = np.bincount(pairs[drawn], minlength=len(names) * width)
        return reduce(counts.reshape(len(names), width).astype(float))

    return score


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
LABEL_METRICS = tuple(_FROM_COUNTS)


def _sklearn_metrics() -> Any:
    try:
        from sklearn import metrics
    except ImportError as error:
        raise MissingDependency(
            "scikit-learn", "scoring", "pip install 'emotion-llama[evaluation]' -c constraints.txt"
        ) from error
    return metrics
