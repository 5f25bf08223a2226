"""Scores of one label a clip: accuracy, F1, recalls and the confusion matrix, with unanswered clips counted apart.

Notation: N clips, L labels. Weighted F1 is sum over labels of (n_c / N) F1_c, over the labels that occur in the truth
or the answers, with F1_c = 0 where it is undefined: scikit-learn's `average="weighted"`, which the challenges of MER
2023 and 2024 and the published code of Emotion-LLaMA use. UAR is the unweighted mean of the recalls of the labels that
occur in the truth, WAR is accuracy (DFEW, Jiang et al., ACM MM 2020).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from emotion_llama.errors import InputError, MissingDependency

NO_ANSWER = "(no answer)"


@dataclass(frozen=True)
class ClassScores:
    """How well labels were told.

    A clip without an answer is wrong in `accuracy`, `weighted_f1`, `macro_f1`, `micro_f1`, `uar` and `recalls`: a
    system gains nothing by staying silent. `answered_accuracy` is over the answered clips alone.

    Attributes:
        num_clips: N, all clips with a truth.
        num_unanswered: clips without a usable answer.
        accuracy: share of right answers (WAR).
        weighted_f1, macro_f1, micro_f1: macro over the labels of the truth or the answers; micro over the labels.
        uar: mean recall over the labels of the truth (UAR, balanced accuracy).
        recalls: label of the truth -> recall.
        supports: label of the truth -> clips.
        labels: rows and columns of `confusion`, in the order given; columns end with one of `NO_ANSWER`.
        confusion: [L, L + 1] counts, rows are the truth.
        answered_accuracy: None when nothing was answered.
    """

    num_clips: int
    num_unanswered: int
    accuracy: float
    weighted_f1: float
    macro_f1: float
    micro_f1: float
    uar: float
    recalls: Mapping[str, float]
    supports: Mapping[str, int]
    labels: tuple[str, ...]
    confusion: npt.NDArray[np.int64] = field(repr=False)
    answered_accuracy: float | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "recalls", MappingProxyType(dict(self.recalls)))
        object.__setattr__(self, "supports", MappingProxyType(dict(self.supports)))


def score_labels(
    truth: Sequence[str], answers: Sequence[str | None], *, labels: Sequence[str] | None = None
) -> ClassScores:
    """Scores of `answers` against `truth`.

    Args:
        truth: the true label of each clip.
        answers: the label told, None where there is no usable answer.
        labels: the order of the confusion matrix, all labels of the truth among them; alphabetical by default. Labels
            that occur in neither truth nor answers take no part in the macro average.

    Raises:
        InputError: there is nothing to score, the lengths differ, or a label is not in `labels`.
        MissingDependency: scikit-learn is not installed.
    """
    if len(truth) != len(answers) or not truth:
        raise InputError(f"expected as many answers as truths, and at least one: {len(answers)} and {len(truth)}")
    metrics = _sklearn_metrics()
    order = tuple(labels) if labels is not None else tuple(sorted({*truth, *(a for a in answers if a is not None)}))
    if strange := sorted(({*truth} | {a for a in answers if a is not None}) - set(order)):
        raise InputError(f"{strange[0]!r} is not among the labels to score ({', '.join(order)}); map it first")
    told = [NO_ANSWER if answer is None else answer for answer in answers]
    occurring = [label for label in order if label in {*truth, *told}]

    def f1(average: str) -> float:
        return float(metrics.f1_score(truth, told, labels=occurring, average=average, zero_division=0.0))

    confusion = metrics.confusion_matrix(truth, told, labels=[*order, NO_ANSWER])[:-1]
    supports = {label: int(row.sum()) for label, row in zip(order, confusion, strict=True) if row.sum()}
    recalls = {label: float(confusion[order.index(label)][order.index(label)] / n) for label, n in supports.items()}
    right, unanswered = int(np.trace(confusion)), told.count(NO_ANSWER)
    return ClassScores(
        num_clips=len(truth),
        num_unanswered=unanswered,
        accuracy=right / len(truth),
        weighted_f1=f1("weighted"),
        macro_f1=f1("macro"),
        micro_f1=f1("micro"),
        uar=float(np.mean(list(recalls.values()))),
        recalls=recalls,
        supports=supports,
        labels=order,
        confusion=confusion,
        answered_accuracy=right / (len(truth) - unanswered) if unanswered < len(truth) else None,
    )


def from_confusion(
    confusion: Sequence[Sequence[int]] | npt.NDArray[np.int64], labels: Sequence[str]
) -> tuple[list[str], list[str | None]]:
    """Truths and answers that have this confusion matrix [L, L] or [L, L + 1] (last column: no answer).

    Raises:
        InputError: the matrix does not fit the labels, or holds something that is no count.
    """
    counts = np.asarray(confusion)
    n = len(labels)
    if counts.ndim != 2 or len(counts) != n or counts.shape[1] not in (n, n + 1):
        raise InputError(f"a confusion matrix of {n} labels is [{n}, {n}] or [{n}, {n + 1}], got {list(counts.shape)}")
    if counts.dtype.kind not in "iu" or (counts < 0).any():
        raise InputError("a confusion matrix holds counts of 0 and more")
    columns: list[str | None] = [*labels, None]
    truth: list[str] = []
    answers: list[str | None] = []
    for row, label in zip(counts, labels, strict=True):
        for count, answer in zip(row, columns, strict=False):
            truth += [label] * int(count)
            answers += [answer] * int(count)
    return truth, answers


def mean_recall(recalls: Mapping[str, float]) -> float:
    """UAR of given recalls.

    Raises:
        InputError: there are none.
    """
    if not recalls:
        raise InputError("UAR is a mean over classes, and there are none")
    return float(np.mean(list(recalls.values())))


def weighted_recall(recalls: Mapping[str, float], sizes: Mapping[str, int]) -> float:
    """WAR of given recalls and class sizes: sum of recall x size / sum of sizes.

    Raises:
        InputError: the classes differ.
    """
    if set(recalls) != set(sizes) or not sizes:
        raise InputError(f"recalls are of {sorted(recalls)}, sizes of {sorted(sizes)}; give both for the same classes")
    return sum(recalls[label] * sizes[label] for label in sizes) / sum(sizes.values())


def _sklearn_metrics() -> Any:
    try:
        from sklearn import metrics
    except ImportError as error:
        raise MissingDependency(
            "scikit-learn", "scoring", "pip install 'emotion-llama[evaluation]' -c constraints.txt"
        ) from error
    return metrics
