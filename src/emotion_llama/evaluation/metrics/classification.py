"""Metrics of one label a clip, by scikit-learn, and calibration of its probabilities.

Clips without an answer are wrong and are counted apart.

Weighted F1 is scikit-learn's `average="weighted"`, which the challenges MER2023 and MER2024 and the published code of
Emotion-LLaMA use. UAR is the unweighted mean of the recalls of the labels that occur in the truth (balanced accuracy);
WAR is accuracy (DFEW, Jiang et al., ACM MM 2020).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from emotion_llama.errors import MissingDependency

NO_ANSWER = "(no answer)"
NUM_BINS = 15  # Guo et al., On Calibration of Modern Neural Networks (ICML 2017)
_MIN_PROBABILITY = 1e-12  # a probability of 0 for the truth would be an infinite loss
Rows = npt.NDArray[np.int64]  # clip numbers, with repeats where they are drawn
LABEL_METRICS = ("accuracy", "uar", "weighted_f1", "macro_f1")


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
        MissingDependency: scikit-learn is not installed.
    """
    metrics = _sklearn_metrics()
    occurring = {*truth, *(answer for answer in answers if answer is not None)}
    order = tuple(labels) if labels is not None else tuple(sorted(occurring))
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
    """The metric of `LABEL_METRICS` over clip numbers, quick enough for the bootstrap; UAR is over a draw's labels.

    The same values as `score_labels`, from counts instead of labels.
    """
    names = sorted({*truth, *(answer for answer in answers if answer is not None)})
    number = {name: i for i, name in enumerate(names)}
    width = len(names) + 1
    rows = np.array([number[label] for label in truth])
    columns = np.array([len(names) if answer is None else number[answer] for answer in answers])
    pairs = rows * width + columns

    def score(drawn: Rows) -> float:
        counts = np.bincount(pairs[drawn], minlength=len(names) * width)
        return float(_of_counts(counts.reshape(len(names), width).astype(float), metric))

    return score


def _of_counts(counts: npt.NDArray[np.floating[Any]], metric: str) -> Any:
    """A metric of `LABEL_METRICS` from counts [L, L + 1], rows are the truth, the last column is no answer."""
    right, truths, answered = np.diag(counts), counts.sum(axis=1), counts[:, :-1].sum(axis=0)
    if metric == "accuracy":
        return right.sum() / counts.sum()
    if metric == "uar":
        return (right[truths > 0] / truths[truths > 0]).mean()
    f1 = 2 * right / np.maximum(truths + answered, 1.0)
    return (f1 * truths).sum() / truths.sum() if metric == "weighted_f1" else f1[truths + answered > 0].mean()


def _sklearn_metrics() -> Any:
    try:
        from sklearn import metrics
    except ImportError as error:
        raise MissingDependency(
            "scikit-learn", "scoring", "pip install 'emotion-llama[evaluation]' -c constraints.txt"
        ) from error
    return metrics


# --- calibration ------------------------------------------------------------------------------------------------------


def calibration(
    truth: Sequence[str], probabilities: Sequence[Mapping[str, float] | None], *, num_bins: int = NUM_BINS
) -> dict[str, Any] | None:
    """Calibration of the answers that have probabilities; None when none has.

    ECE after Guo et al. (ICML 2017): equal-width bins of the top probability, mean of |accuracy - confidence| weighted
    by the bins' clips. Brier (1950): mean over clips of the squared distance to the truth's indicator. A truth that the
    predictor's label space does not hold has probability 0.

    Returns:
        "ece" 0..1, "brier" 0..2 (a sum over labels), "log_loss" in nats, "num_clips" with probabilities.
    """
    kept = [(label, p) for label, p in zip(truth, probabilities, strict=True) if p is not None]
    if not kept:
        return None
    top = np.array([max(p.values()) for _, p in kept])
    right = np.array([max(p, key=lambda name: p[name]) == label for label, p in kept], float)
    of_truth = np.array([p.get(label, 0.0) for label, p in kept])
    squares = np.array([sum(x * x for x in p.values()) for _, p in kept])
    which = np.clip(np.ceil(top * num_bins).astype(int) - 1, 0, num_bins - 1)  # of bins (low, high]
    error = np.abs(np.bincount(which, top - right)).sum()
    return {
        "ece": float(error / len(kept)),
        "brier": float(np.mean(squares - 2 * of_truth + 1.0)),
        "log_loss": float(-np.log(np.maximum(of_truth, _MIN_PROBABILITY)).mean()),
        "num_clips": len(kept),
    }
