"""Replies against truths that are emotion words or a sentiment: grouped synonyms, emotion wheels, HIT and WAF."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from emotion_llama.errors import InputError
from emotion_llama.evaluation.intervals import label_score
from emotion_llama.evaluation.open_vocabulary import (
    Grouping,
    emotion_wheels,
    group_by_first,
    hit_rate,
    sentiment,
    set_level,
)
from emotion_llama.evaluation.parsers import Told, check_parser, tell_sentiment, tell_words
from emotion_llama.evaluation.records import Case, Figure, Reply, Result
from emotion_llama.evaluation.scoring import Rows, Run, counted, groups_of, true_label, with_interval
from emotion_llama.evaluation.wheels import WheelFiles

Scores = npt.NDArray[np.float64]


def true_words(case: Case) -> tuple[str, ...]:
    """The words of a case.

    Raises:
        InputError: its truth is something else.
    """
    if case.truth.words is None:
        raise InputError(f"{case.case_id}: its truth is no list of words")
    return case.truth.words


def _told_words(cases: Sequence[Case], replies: Mapping[str, Reply], run: Run) -> list[Told]:
    parser = check_parser(run.parser)
    return [tell_words(replies.get(case.case_id), parser) for case in cases]


@dataclass(frozen=True)
class GroupScorer:
    """Set-level scores after a language model has grouped synonyms: MER2024-OV.

    A clip without an answer counts as one that tells no word (0 and 0). A clip whose words nobody grouped has no score
    and is left out, and counted as "not grouped": the published code scores the clips that have groups.
    """

    def score(self, cases: Sequence[Case], replies: Mapping[str, Reply], run: Run) -> Result:
        """`average` of `set_accuracy` and `set_recall`, each with its interval.

        Raises:
            InputError: no groups were given, or none is of these cases.
        """
        told = _told_words(cases, replies, run)
        if run.groups is None:
            raise InputError(
                "this metric needs groups of synonyms: the folder openset-synonym beside the labels, or a judge"
            )
        kept = [i for i, case in enumerate(cases) if case.case_id in run.groups]
        if not kept:
            raise InputError(
                f"groups of synonyms are there for none of {len(cases)} cases; are they of this benchmark?"
            )
        truth = [[word.lower() for word in true_words(cases[i])] for i in kept]
        words = [told[i].words or () for i in kept]
        rules = [group_by_first(run.groups[cases[i].case_id]) for i in kept]
        precision, recall = (np.nan_to_num(values) for values in _clip_scores(truth, words, rules))
        whole = set_level(truth, words, rules, skip_empty_truth=False)
        groups = groups_of([cases[i] for i in kept])
        figures = tuple(
            with_interval(name, score, len(kept), run, groups)
            for name, score in (
                ("average", lambda rows: float(precision[rows].mean() + recall[rows].mean()) / 2),
                ("set_accuracy", lambda rows: float(precision[rows].mean())),
                ("set_recall", lambda rows: float(recall[rows].mean())),
            )
        )
        counts = counted(told) | {"not grouped": len(cases) - len(kept), "told no word": whole.num_empty}
        return Result(run.benchmark, run.system, run.parser, (*figures, Figure("set_f1", whole.f1)), counts)


@dataclass(frozen=True)
class WheelScorer:
    """EW: F1 after mapping words to the groups of five wheels, averaged over the wheels and over the levels asked.

    MER-UniBench and MER2026 read level 1, MER2025 the mean of levels 1 and 2.
    """

    wheels: WheelFiles
    levels: tuple[int, ...]

    def score(self, cases: Sequence[Case], replies: Mapping[str, Reply], run: Run) -> Result:
        """`ew`, `ew_precision` and `ew_recall`; parts "level/L" and "level/L wheel/W".

        Raises:
            InputError: no truth names a group.
        """
        told = _told_words(cases, replies, run)
        truth, words = [true_words(case) for case in cases], [one.words or () for one in told]
        parts: dict[str, tuple[Figure, ...]] = {}
        all_wheels: list[tuple[Scores, Scores]] = []
        skipped = empty = 0
        for level in self.levels:
            groupings = self.wheels.groupings(level)
            found = emotion_wheels(truth, words, groupings)
            parts[f"level/{level}"] = _prf(found.f1, found.precision, found.recall)
            for number, one in enumerate(found.wheels, 1):
                parts[f"level/{level} wheel/{number}"] = _prf(one.f1, one.precision, one.recall)
            all_wheels += [_clip_scores(truth, words, [grouping] * len(cases)) for grouping in groupings]
            skipped, empty = found.wheels[0].num_skipped, found.wheels[0].num_empty
        figures = tuple(
            with_interval(name, _mean_over_wheels(all_wheels, measure), len(cases), run, groups_of(cases))
            for name, measure in (("ew", _f1), ("ew_precision", lambda p, r: p), ("ew_recall", lambda p, r: r))
        )
        counts = counted(told) | {"skipped: truth in no group of wheel 1": skipped, "told no group of wheel 1": empty}
        return Result(run.benchmark, run.system, run.parser, figures, counts, parts)


@dataclass(frozen=True)
class HitScorer:
    """HIT of MER-UniBench: is the true word's group among the groups told, on five wheels at level 1."""

    wheels: WheelFiles

    def score(self, cases: Sequence[Case], replies: Mapping[str, Reply], run: Run) -> Result:
        """`hit` and `hit_precision`; parts "wheel/W".

        Raises:
            InputError: no truth names a group.
        """
        told = _told_words(cases, replies, run)
        truth, words = [true_label(case) for case in cases], [one.words or () for one in told]
        groupings = self.wheels.groupings(1)
        whole = hit_rate(truth, words, groupings)
        parts = {}
        hits: list[tuple[Scores, Scores]] = []
        for number, grouping in enumerate(groupings, 1):
            one = hit_rate(truth, words, [grouping])
            parts[f"wheel/{number}"] = (Figure("hit", one.hit), Figure("hit_precision", one.precision))
            # One true word: its recall is 1 or 0, and the precision of a hit is 1 / |P|.
            hits.append(_clip_scores([[word] for word in truth], words, [grouping] * len(cases)))
        figures = tuple(
            with_interval(name, _mean_over_wheels(hits, measure), len(cases), run, groups_of(cases))
            for name, measure in (("hit", lambda p, r: r), ("hit_precision", lambda p, r: p))
        )
        counts = counted(told) | {
            "skipped: truth in no group of wheel 1": whole.num_skipped,
            "told no group of wheel 1": whole.num_empty,
        }
        return Result(run.benchmark, run.system, run.parser, figures, counts, parts)


@dataclass(frozen=True)
class SentimentScorer:
    """WAF of MER-UniBench: weighted F1 of positive against not positive, clips of sentiment 0 left out."""

    def score(self, cases: Sequence[Case], replies: Mapping[str, Reply], run: Run) -> Result:
        """`waf` and `accuracy`.

        Raises:
            InputError: a truth is no sentiment, or all are 0.
        """
        parser = check_parser(run.parser)
        told = [tell_sentiment(replies.get(case.case_id), parser) for case in cases]
        truth = [_true_sentiment(case) for case in cases]
        whole = sentiment(truth, [one.label for one in told])
        kept = [i for i, value in enumerate(truth) if value]
        halves = [_half(truth[i] > 0) for i in kept]
        answers = [_half(told[i].label == "positive") for i in kept]
        groups = groups_of([cases[i] for i in kept])
        figures = tuple(
            with_interval(name, label_score(halves, answers, metric), len(kept), run, groups)
            for name, metric in (("waf", "weighted_f1"), ("accuracy", "accuracy"))
        )
        counts = counted(told) | {"skipped: sentiment 0": whole.num_skipped}
        return Result(run.benchmark, run.system, run.parser, figures, counts)


def _half(is_positive: bool) -> str:
    return "positive" if is_positive else "negative"


def _true_sentiment(case: Case) -> float:
    if case.truth.sentiment is None or not math.isfinite(case.truth.sentiment):
        raise InputError(f"{case.case_id}: its truth is no sentiment")
    return case.truth.sentiment


def _prf(f1: float, precision: float, recall: float) -> tuple[Figure, ...]:
    return Figure("f1", f1), Figure("precision", precision), Figure("recall", recall)


def _clip_scores(
    truth: Sequence[Sequence[str]], told: Sequence[Sequence[str]], rules: Sequence[Grouping]
) -> tuple[Scores, Scores]:
    """Precision and recall of each clip; NaN where the truth names no group."""
    precision, recall = np.full(len(truth), np.nan), np.full(len(truth), np.nan)
    for i, (true, words, rule) in enumerate(zip(truth, told, rules, strict=True)):
        if any(word.strip() and rule(word) is not None for word in true):
            scores = set_level([true], [words], rule)
            precision[i], recall[i] = scores.precision, scores.recall
    return precision, recall


def _f1(precision: float, recall: float) -> float:
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def _mean_over_wheels(
    wheels: Sequence[tuple[Scores, Scores]], measure: Callable[[float, float], float]
) -> Callable[[Rows], float]:
    """The mean over wheels of a measure of the mean precision and mean recall of the clips that count."""

    def score(rows: Rows) -> float:
        means = [(precision[rows], recall[rows]) for precision, recall in wheels]
        return float(np.mean([measure(_mean(p), _mean(r)) for p, r in means]))

    return score


def _mean(values: Scores) -> float:
    counted_values = values[~np.isnan(values)]
    return float(counted_values.mean()) if len(counted_values) else 0.0
