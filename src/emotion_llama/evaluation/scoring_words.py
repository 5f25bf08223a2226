"""Metrics of emotion words, sentiments and descriptions: grouped synonyms, emotion wheels, HIT, WAF and overlap."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from emotion_llama.errors import InputError
from emotion_llama.evaluation.metrics.classification import Rows, label_score
from emotion_llama.evaluation.metrics.words import (
    Grouping,
    Scores,
    Words,
    clip_scores,
    group_by_first,
    harmonic_mean,
    named_in,
    named_overlap,
)
from emotion_llama.evaluation.parsers import ParsedAnswer, count_answers, parse_sentiment, parse_words, why_unreadable
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


def _predicted_words(samples: Sequence[EvalSample], outputs: Outputs, parser: str) -> list[ParsedAnswer]:
    return [parse_words(outputs.get(one.sample_id), parser) for one in samples]


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
    truth = [[word.lower() for word in one.truth.words or ()] for one in some]
    words = [answers[i].words or () for i in kept]
    rules = [group_by_first(groups[one.sample_id]) for one in some]
    *scores, empty = clip_scores(truth, words, rules)
    precision, recall = (np.nan_to_num(values) for values in scores)
    metrics = [
        estimate("average", lambda rows: float(precision[rows].mean() + recall[rows].mean()) / 2, some),
        estimate("set_accuracy", lambda rows: float(precision[rows].mean()), some),
        estimate("set_recall", lambda rows: float(recall[rows].mean()), some),
        Metric("set_f1", harmonic_mean(float(precision.mean()), float(recall.mean()))),
    ]
    left_out = {"not grouped": len(samples) - len(kept), "predicted no word": int(empty.sum())}
    return metrics, count_answers(answers) | left_out, {}


def score_wheels(
    benchmark: Benchmark, samples: Sequence[EvalSample], outputs: Outputs, parser: str, estimate: Estimate
) -> Scored:
    """EW: F1 after mapping words to the groups of five wheels, averaged over the wheels and over the levels asked.

    MER-UniBench and MER2026 read level 1, MER2025 the mean of levels 1 and 2. Parts "level/L", "level/L wheel/W".
    """
    assert benchmark.wheels is not None
    answers = _predicted_words(samples, outputs, parser)
    truth, words = [one.truth.words or () for one in samples], [one.words or () for one in answers]
    parts: Parts = {}
    by_wheel: list[tuple[Scores, Scores]] = []
    counts: dict[str, int] = {}
    for level in benchmark.levels:
        wheels, counts = _on_wheels(truth, words, benchmark.wheels[level])
        by_wheel += wheels
        means = [_means(precision, recall) for precision, recall in wheels]
        for name, values in (("", np.mean(means, axis=0)), *((f" wheel/{k}", one) for k, one in enumerate(means, 1))):
            parts[f"level/{level}{name}"] = tuple(map(Metric, ("f1", "precision", "recall"), map(float, values)))
    metrics = [
        estimate(name, _mean_over_wheels(by_wheel, place), samples)
        for place, name in enumerate(("ew", "ew_precision", "ew_recall"))
    ]
    return metrics, count_answers(answers) | counts, parts


def score_hits(
    benchmark: Benchmark, samples: Sequence[EvalSample], outputs: Outputs, parser: str, estimate: Estimate
) -> Scored:
    """HIT of MER-UniBench: is the true word's group among those predicted, at level 1; parts "wheel/W"."""
    assert benchmark.wheels is not None
    answers = _predicted_words(samples, outputs, parser)
    truth, words = [(one.truth.label or "",) for one in samples], [one.words or () for one in answers]
    by_wheel, counts = _on_wheels(truth, words, benchmark.wheels[1])
    # With one true word, a hit is a recall of 1, and its precision is 1 / |P|.
    metrics = [
        estimate(name, _mean_over_wheels(by_wheel, place), samples)
        for name, place in (("hit", 2), ("hit_precision", 1))
    ]
    parts: Parts = {}
    for k, (_, precision, recall) in enumerate((_means(*scores) for scores in by_wheel), 1):
        parts[f"wheel/{k}"] = (Metric("hit", recall), Metric("hit_precision", precision))
    return metrics, count_answers(answers) | counts, parts


def _on_wheels(
    truth: Words, words: Words, groupings: Sequence[Grouping]
) -> tuple[list[tuple[Scores, Scores]], dict[str, int]]:
    """Precision and recall of every clip on every wheel, and counts on the first."""
    scores = [clip_scores(truth, words, grouping) for grouping in groupings]
    if any(np.isnan(recall).all() for _, recall, _ in scores):
        raise InputError("no clip's truth names a known emotion group; check the words and the wheel files")
    _, recall, empty = scores[0]
    skipped = np.isnan(recall)
    counts = {
        "skipped: truth in no group of wheel 1": int(skipped.sum()),
        "predicted no group of wheel 1": int((empty & ~skipped).sum()),
    }
    return [(precision, recall) for precision, recall, _ in scores], counts


def _means(precision: Scores, recall: Scores) -> tuple[float, float, float]:
    """F1 of the mean precision and recall, and these, of the clips that count; 0 where none does."""
    means = (float(kept.mean()) if len(kept := values[~np.isnan(values)]) else 0.0 for values in (precision, recall))
    p, r = means
    return harmonic_mean(p, r), p, r


def _mean_over_wheels(wheels: Sequence[tuple[Scores, Scores]], place: int) -> Callable[[Rows], float]:
    """The mean over wheels of one of `_means`, for clip numbers."""
    return lambda rows: float(np.mean([_means(precision[rows], recall[rows])[place] for precision, recall in wheels]))


def score_sentiments(
    benchmark: Benchmark, samples: Sequence[EvalSample], outputs: Outputs, parser: str, estimate: Estimate
) -> Scored:
    """WAF of MER-UniBench: weighted F1 of positive against not positive, clips of sentiment 0 left out."""
    answers = [parse_sentiment(outputs.get(one.sample_id), parser) for one in samples]
    kept = [(one, answer) for one, answer in zip(samples, answers) if one.truth.sentiment]
    if not kept:
        raise InputError("no clip has a sentiment other than 0")
    truth = ["positive" if (one.truth.sentiment or 0.0) > 0 else "negative" for one, _ in kept]
    # What is not positive, neutral and no answer among it, counts as negative, as there.
    predicted = ["positive" if answer.label == "positive" else "negative" for _, answer in kept]
    metrics = [
        estimate(name, label_score(truth, predicted, metric), [one for one, _ in kept])
        for name, metric in (("waf", "weighted_f1"), ("accuracy", "accuracy"))
    ]
    return metrics, count_answers(answers) | {"skipped: sentiment 0": len(samples) - len(kept)}, {}


# --- descriptions ---------------------------------------------------------------------------------------------------


def description_pairs(samples: Sequence[EvalSample], outputs: Outputs) -> dict[str, tuple[str, str]]:
    """Sample -> true and given description, of those whose output has a text."""
    texts = {one.sample_id: output.text or "" for one in samples if (output := outputs.get(one.sample_id)) is not None}
    given = [(one, texts.get(one.sample_id, "")) for one in samples]
    return {one.sample_id: (one.truth.description or "", text) for one, text in given if text.strip()}


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
    missing = (outputs.get(one.sample_id) for one in samples if one.sample_id not in pairs)
    reasons = Counter(why_unreadable(output, "tolerant") or "empty" for output in missing)
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
