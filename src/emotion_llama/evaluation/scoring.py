"""Replies against truths: the part that all kinds of benchmark share, and scores of one label a clip."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from emotion_llama.errors import InputError
from emotion_llama.evaluation.calibration import calibration
from emotion_llama.evaluation.classification import NO_ANSWER, ClassScores, score_labels
from emotion_llama.evaluation.intervals import NUM_RESAMPLES, bootstrap, label_score
from emotion_llama.evaluation.parsers import Told, check_parser, tell_label
from emotion_llama.evaluation.records import Case, Figure, Reply, Result
from emotion_llama.labels import LabelSpace

Rows = npt.NDArray[np.int64]
SynonymGroups = Mapping[str, Sequence[Sequence[str]]]  # case -> groups of words that mean the same
Judged = Mapping[str, Mapping[str, float]]  # case -> name of a figure -> what a judge gave
_FIGURES = ("weighted_f1", "accuracy", "uar", "macro_f1", "micro_f1")


@dataclass(frozen=True)
class Intervals:
    """Bootstrap intervals (`intervals.bootstrap`); `num_resamples` 0 leaves them out."""

    num_resamples: int = NUM_RESAMPLES
    seed: int = 0
    level: float = 0.95


@dataclass(frozen=True)
class Run:
    """What is scored: one system's replies, and what was found about them beside the benchmark's own files.

    Attributes:
        benchmark: name and version, for the result.
        system: its name.
        parser: how replies are read.
        intervals: how intervals are made.
        groups: of synonyms, where the metric groups by them: stored, or a judge's; a case without is left out.
        judged: figures that a judge gave, where the metric is one; a case without is left out.
    """

    benchmark: str
    system: str
    parser: str
    intervals: Intervals = field(default_factory=Intervals)
    groups: SynonymGroups | None = None
    judged: Judged | None = None


class Scorer(Protocol):
    """The metric of a benchmark."""

    def score(self, cases: Sequence[Case], replies: Mapping[str, Reply], run: Run) -> Result:
        """The scores of these cases; `replies` are by case."""


def by_case(cases: Sequence[Case], replies: Iterable[Reply]) -> Mapping[str, Reply]:
    """Replies by their case. Cases without a reply are counted when they are scored.

    Raises:
        InputError: there is no case, two cases have one id, a reply is to no case, or two are to one.
    """
    ids = Counter(case.case_id for case in cases)
    if not cases or max(ids.values()) > 1:
        doubled = next((name for name, count in ids.items() if count > 1), None)
        raise InputError("there are no cases to score" if doubled is None else f"two cases are called {doubled!r}")
    found: dict[str, Reply] = {}
    for reply in replies:
        if reply.case_id not in ids:
            raise InputError(f"a reply is to {reply.case_id!r}, which is no case here ({len(ids)} cases)")
        if reply.case_id in found:
            raise InputError(f"two replies are to {reply.case_id!r}")
        found[reply.case_id] = reply
    return MappingProxyType(found)


def counted(told: Sequence[Told]) -> dict[str, int]:
    """Cases in all, answered, without an answer by reason, and answered by the published rule's default."""
    reasons = Counter(one.why_none for one in told if one.why_none is not None)
    by_default = sum(one.by_default for one in told)
    counts = {"cases": len(told), "answered": len(told) - reasons.total(), "unanswered": reasons.total()}
    counts |= {f"unanswered: {reason}": count for reason, count in sorted(reasons.items())}
    return counts | ({"neutral by the published rule": by_default} if by_default else {})


def with_interval(
    name: str, score: Callable[[Rows], float], num_clips: int, run: Run, groups: Sequence[str] | None = None
) -> Figure:
    """A figure with its bootstrap interval, where the run wants intervals."""
    how = run.intervals
    if not how.num_resamples:
        return Figure(name, score(np.arange(num_clips)))
    found = bootstrap(score, num_clips, groups=groups, level=how.level, num_resamples=how.num_resamples, seed=how.seed)
    return Figure(name, found.value, found.low, found.high)


def groups_of(cases: Sequence[Case]) -> list[str] | None:
    """A group for each case, its own where it has none; None where no case has one."""
    if all(case.group is None for case in cases):
        return None
    return [f"case {case.case_id}" if case.group is None else f"group {case.group}" for case in cases]


def true_label(case: Case) -> str:
    """The label of a case.

    Raises:
        InputError: its truth is something else.
    """
    if case.truth.label is None:
        raise InputError(f"{case.case_id}: its truth is no label")
    return case.truth.label


@dataclass(frozen=True)
class LabelScorer:
    """One label a clip.

    Attributes:
        asked: labels that the instruction offers.
        scored: labels of the benchmark.
        figures: of `ClassScores`, the primary one first; the first two get intervals.
    """

    asked: LabelSpace
    scored: LabelSpace
    figures: tuple[str, ...] = _FIGURES

    def score(self, cases: Sequence[Case], replies: Mapping[str, Reply], run: Run) -> Result:
        """Figures over all cases; where these have several folds, means over the folds.

        Parts: "recall" by label, "confusion/LABEL" (the row of a true label), "fold/K", and "note/NOTE" of cases with
        notes. Calibration is added by the parser "likelihood".

        Raises:
            InputError: a truth is not in the label space, or the parser is unknown.
        """
        parser = check_parser(run.parser)
        told = [tell_label(replies.get(case.case_id), parser, self.asked, self.scored) for case in cases]
        truth = [self._true_label(case) for case in cases]
        answers = [one.label for one in told]
        whole = score_labels(truth, answers, labels=self.scored.labels)
        folds = _rows_by(case.fold for case in cases)
        figures = list(self._figures(truth, answers, folds, cases, run))
        if whole.answered_accuracy is not None:
            figures.append(Figure("answered_accuracy", whole.answered_accuracy))
        figures += _calibration(truth, told)
        parts = _class_parts(whole)
        for name, rows in _parts(cases, folds):
            scores = score_labels([truth[i] for i in rows], [answers[i] for i in rows], labels=self.scored.labels)
            parts[name] = tuple(Figure(figure, getattr(scores, figure)) for figure in self.figures)
        return Result(run.benchmark, run.system, run.parser, tuple(figures), counted(told), parts)

    def _true_label(self, case: Case) -> str:
        label = true_label(case)
        if label not in self.scored.labels:
            raise InputError(f"{case.case_id}: the label {label!r} is none of {', '.join(self.scored.labels)}")
        return label

    def _figures(
        self,
        truth: Sequence[str],
        answers: Sequence[str | None],
        folds: Mapping[object, Rows],
        cases: Sequence[Case],
        run: Run,
    ) -> Iterable[Figure]:
        for number, name in enumerate(self.figures):
            if name == "micro_f1" or number > 1:
                yield Figure(name, self._mean_of_folds(truth, answers, folds, name))
            else:
                score = _over_folds(label_score(truth, answers, name), folds)
                yield with_interval(name, score, len(cases), run, groups_of(cases))

    def _mean_of_folds(
        self, truth: Sequence[str], answers: Sequence[str | None], folds: Mapping[object, Rows], name: str
    ) -> float:
        chosen = (
            score_labels([truth[i] for i in rows], [answers[i] for i in rows], labels=self.scored.labels)
            for rows in folds.values()
        )
        return float(np.mean([getattr(scores, name) for scores in chosen]))


def _rows_by(keys: Iterable[object]) -> dict[object, Rows]:
    """Numbers of the cases that share a key, by key in order."""
    rows: dict[object, list[int]] = {}
    for number, key in enumerate(keys):
        rows.setdefault(key, []).append(number)
    return {key: np.array(rows[key]) for key in sorted(rows, key=str)}


def _over_folds(score: Callable[[Rows], float], folds: Mapping[object, Rows]) -> Callable[[Rows], float]:
    """The mean over folds of a score; of a draw of clips, over the folds it holds."""
    if len(folds) == 1:
        return score
    number = np.concatenate([np.full(len(rows), k) for k, rows in enumerate(folds.values())])
    fold_of = number[np.argsort(np.concatenate(list(folds.values())))]

    def mean(drawn: Rows) -> float:
        parts = (drawn[fold_of[drawn] == k] for k in range(len(folds)))
        return float(np.mean([score(part) for part in parts if len(part)]))

    return mean


def _parts(cases: Sequence[Case], folds: Mapping[object, Rows]) -> Iterable[tuple[str, Rows]]:
    if len(folds) > 1:
        yield from ((f"fold/{fold}", rows) for fold, rows in folds.items())
    if any(case.note for case in cases):
        yield from ((f"note/{note}", rows) for note, rows in _rows_by(case.note or "plain" for case in cases).items())


def _class_parts(scores: ClassScores) -> dict[str, tuple[Figure, ...]]:
    parts = {"recall": tuple(Figure(label, recall) for label, recall in scores.recalls.items())}
    for label, row in zip(scores.labels, scores.confusion, strict=True):
        if label in scores.supports:
            named = zip((*scores.labels, NO_ANSWER), row, strict=True)
            parts[f"confusion/{label}"] = tuple(Figure(name, float(count)) for name, count in named)
    return parts


def _calibration(truth: Sequence[str], told: Sequence[Told]) -> list[Figure]:
    fit = calibration(truth, [one.probabilities for one in told])
    if fit is None:
        return []
    names: dict[str, Any] = {"ece": fit.ece, "brier": fit.brier, "log_loss": fit.log_loss}
    return [Figure(name, value, better="lower") for name, value in names.items()]
