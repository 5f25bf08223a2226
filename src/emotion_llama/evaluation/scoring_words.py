"""Metrics of emotion words, sentiments and descriptions: grouped synonyms, emotion wheels, HIT, WAF and overlap."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from emotion_llama.errors import InputError
from emotion_llama.evaluation.metrics.classification import Rows, label_score
from emotion_llama.evaluation.metrics.words import (
    Grouping,
    Scores,
    clip_scores,
    emotion_wheels,
    group_by_first,
    harmonic_mean,
    hit_rate,
    named_in,
    named_overlap,
    sentiment,
    set_level,
)
from emotion_llama.evaluation.parsers import (
    ParsedAnswer,
    check_parser,
    count_answers,
    parse_sentiment,
    parse_words,
)
from emotion_llama.evaluation.records import EvalSample, Metric, Output
from emotion_llama.evaluation.tasks.base import Benchmark, SynonymGroups

Judged = Mapping[str, Mapping[str, float]]  # sample -> name of a metric -> a judge's score
Outputs = Mapping[str, Output]  # by sample
Parts = dict[str, tuple[Metric, ...]]
Scored = tuple[list[Metric], dict[str, int], Parts]
# From the name of a metric, its value over sample numbers, and the samples, to the metric with its interval.
Estimate = Callable[[str, Callable[[Rows], float], Sequence[EvalSample]], Metric]
DESCRIPTION_PARSERS = ("offline", "judge")
JUDGED_METRICS = ("clue_overlap", "label_overlap")


def true_label(sample: EvalSample, space: Sequence[str] | None = None) -> str:
    """The label of a sample; InputError where its truth is none, or none of `space`."""
    label = sample.truth.label
    if label is None:
        raise InputError(f"{sample.sample_id}: its truth is no label")
    if space is not None and label not in space:
        raise InputError(f"{sample.sample_id}: the label {label!r} is none of {', '.join(space)}")
    return label


def _true_words(sample: EvalSample) -> tuple[str, ...]:
    if sample.truth.words is None:
        raise InputError(f"{sample.sample_id}: its truth is no list of words")
    return sample.truth.words


def _predicted_words(samples: Sequence[EvalSample], outputs: Outputs, parser: str) -> list[ParsedAnswer]:
    return [parse_words(outputs.get(one.sample_id), check_parser(parser)) for one in samples]


def score_grouped_words(
    samples: Sequence[EvalSample], outputs: Outputs, parser: str, estimate: Estimate, groups: SynonymGroups | None
) -> Scored:
    """Set-level scores after a language model has grouped synonyms: MER2024-OV.

    A clip without an answer counts as one with no predicted word (0 and 0). A clip whose words were not grouped has no
    score and is left out, and counted as "not grouped": the published code scores the clips that have groups.
    """
    answers = _predicted_words(samples, outputs, parser)
    if groups is None:
        raise InputError(
            "this metric needs groups of synonyms: the folder openset-synonym beside the labels, or a judge"
        )
    kept = [i for i, one in enumerate(samples) if one.sample_id in groups]
    if not kept:
        raise InputError(f"groups of synonyms are there for none of {len(samples)} samples: of another benchmark?")
    some = [samples[i] for i in kept]
    truth = [[word.lower() for word in _true_words(one)] for one in some]
    words = [answers[i].words or () for i in kept]
    rules = [group_by_first(groups[one.sample_id]) for one in some]
    precision, recall = (np.nan_to_num(values) for values in clip_scores(truth, words, rules)[:2])
    whole = set_level(truth, words, rules, skip_empty_truth=False)
    metrics = [
        estimate("average", lambda rows: float(precision[rows].mean() + recall[rows].mean()) / 2, some),
        estimate("set_accuracy", lambda rows: float(precision[rows].mean()), some),
        estimate("set_recall", lambda rows: float(recall[rows].mean()), some),
        Metric("set_f1", whole["f1"]),
    ]
    left_out = {"not grouped": len(samples) - len(kept), "told no word": int(whole["num_empty"])}
    return metrics, count_answers(answers) | left_out, {}


def score_wheels(
    benchmark: Benchmark, samples: Sequence[EvalSample], outputs: Outputs, parser: str, estimate: Estimate
) -> Scored:
    """EW: F1 after mapping words to the groups of five wheels, averaged over the wheels and over the levels asked.

    MER-UniBench and MER2026 read level 1, MER2025 the mean of levels 1 and 2. Parts "level/L", "level/L wheel/W".
    """
    assert benchmark.wheels is not None
    answers = _predicted_words(samples, outputs, parser)
    truth, words = [_true_words(one) for one in samples], [one.words or () for one in answers]
    parts: Parts = {}
    groupings: list[Grouping] = []
    counts: dict[str, int] = {}
    for level in benchmark.levels:
        found = emotion_wheels(truth, words, benchmark.wheels.groupings(level))
        for name, one in (("", found), *((f" wheel/{k}", wheel) for k, wheel in enumerate(found["wheels"], 1))):
            parts[f"level/{level}{name}"] = tuple(Metric(key, one[key]) for key in ("f1", "precision", "recall"))
        groupings += benchmark.wheels.groupings(level)
        counts = _wheel_counts(found["wheels"][0])
    by_wheel = [clip_scores(truth, words, grouping)[:2] for grouping in groupings]
    metrics = [
        estimate(name, _mean_over_wheels(by_wheel, measure), samples)
        for name, measure in (("ew", harmonic_mean), ("ew_precision", lambda p, r: p), ("ew_recall", lambda p, r: r))
    ]
    return metrics, count_answers(answers) | counts, parts


def score_hits(
    benchmark: Benchmark, samples: Sequence[EvalSample], outputs: Outputs, parser: str, estimate: Estimate
) -> Scored:
    """HIT of MER-UniBench: is the true word's group among those predicted, at level 1; parts "wheel/W"."""
    assert benchmark.wheels is not None
    answers = _predicted_words(samples, outputs, parser)
    truth, words = [true_label(one) for one in samples], [one.words or () for one in answers]
    groupings = benchmark.wheels.groupings(1)
    whole = hit_rate(truth, words, groupings)
    by_wheel = [clip_scores([[word] for word in truth], words, grouping)[:2] for grouping in groupings]
    metrics = [
        estimate(name, _mean_over_wheels(by_wheel, measure), samples)
        for name, measure in (("hit", lambda p, r: r), ("hit_precision", lambda p, r: p))
    ]
    parts: Parts = {
        f"wheel/{k}": (Metric("hit", one["recall"]), Metric("hit_precision", one["precision"]))
        for k, one in enumerate(whole["wheels"], 1)
    }
    return metrics, count_answers(answers) | _wheel_counts(whole), parts


def _wheel_counts(scores: Mapping[str, float]) -> dict[str, int]:
    return {
        "skipped: truth in no group of wheel 1": int(scores["num_skipped"]),
        "told no group of wheel 1": int(scores["num_empty"]),
    }


def _mean_over_wheels(
    wheels: Sequence[tuple[Scores, Scores]], measure: Callable[[float, float], float]
) -> Callable[[Rows], float]:
    """The mean over wheels of a measure of the mean precision and mean recall of the clips that count."""

    def mean(values: Scores) -> float:
        counted = values[~np.isnan(values)]
        return float(counted.mean()) if len(counted) else 0.0

    def score(rows: Rows) -> float:
        return float(np.mean([measure(mean(precision[rows]), mean(recall[rows])) for precision, recall in wheels]))

    return score


def score_sentiments(
    benchmark: Benchmark, samples: Sequence[EvalSample], outputs: Outputs, parser: str, estimate: Estimate
) -> Scored:
    """WAF of MER-UniBench: weighted F1 of positive against not positive, clips of sentiment 0 left out."""
    answers = [parse_sentiment(outputs.get(one.sample_id), check_parser(parser)) for one in samples]
    truth = [one.truth.sentiment for one in samples]
    for one, value in zip(samples, truth):
        if value is None or not math.isfinite(value):
            raise InputError(f"{one.sample_id}: its truth is no sentiment")
    whole = sentiment([value or 0.0 for value in truth], [one.label for one in answers])
    some = [samples[i] for i in whole["kept"]]
    metrics = [
        estimate(name, label_score(whole["truth"], whole["answers"], metric), some)
        for name, metric in (("waf", "weighted_f1"), ("accuracy", "accuracy"))
    ]
    return metrics, count_answers(answers) | {"skipped: sentiment 0": whole["num_skipped"]}, {}


# --- descriptions ---------------------------------------------------------------------------------------------------


def description_pairs(samples: Sequence[EvalSample], outputs: Outputs) -> dict[str, tuple[str, str]]:
    """Sample -> true and given description, of those whose output has a text.

    Raises:
        InputError: a truth is something else.
    """
    found = {}
    for sample in samples:
        output = outputs.get(sample.sample_id)
        if output is not None and output.text and output.text.strip():
            if sample.truth.description is None:
                raise InputError(f"{sample.sample_id}: its truth is no description")
            found[sample.sample_id] = (sample.truth.description, output.text)
    return found


def score_descriptions(
    samples: Sequence[EvalSample], outputs: Outputs, parser: str, estimate: Estimate, judged: Judged | None
) -> Scored:
    """Parser "judge": means of a judge's `clue_overlap` and `label_overlap`; "offline": what both texts name.

    Neither counts a clip without a description as 0: means are over clips that have a score, and the rest is counted.
    """
    if parser not in DESCRIPTION_PARSERS:
        raise InputError(f"descriptions are compared by {' or '.join(DESCRIPTION_PARSERS)}, not by {parser!r}")
    pairs = description_pairs(samples, outputs)
    counts = {"cases": len(samples), "answered": len(pairs), "unanswered": len(samples) - len(pairs)}
    reasons = Counter(_why_no_text(outputs.get(one.sample_id)) for one in samples if one.sample_id not in pairs)
    counts |= {f"unanswered: {why}": count for why, count in sorted(reasons.items())}
    values: dict[str, dict[str, float]] = {}
    if parser == "judge":
        if judged is None:
            raise InputError("the parser 'judge' needs a judge's scores; name a judge, or take 'offline'")
        values = {name: {key: row[name] for key, row in judged.items() if name in row} for name in JUDGED_METRICS}
    else:
        for sample_id, texts in pairs.items():
            truth, named = map(named_in, texts)
            for name, one, other in zip(("named_cue_overlap", "named_label_overlap"), truth, named):
                found = values.setdefault(name, {})
                if (overlap := named_overlap(one, other)) is not None:
                    found[sample_id] = overlap
    metrics = []
    for name, by_id in values.items():
        kept = [one for one in samples if one.sample_id in by_id and one.sample_id in pairs]
        counts[f"no {name}"] = len(pairs) - len(kept)
        if kept:
            array = np.array([by_id[one.sample_id] for one in kept], float)
            metrics.append(estimate(name, lambda rows, array=array: float(array[rows].mean()), kept))  # type: ignore[misc]
    if not metrics:
        raise InputError(f"no clip of {len(samples)} has a score to average: {counts}")
    return metrics, counts, {}


def _why_no_text(output: Output | None) -> str:
    if output is None:
        return "no reply"
    if output.problem is not None:
        return "failed"
    return "no text" if output.text is None else "empty"
