"""Outputs against truths: the metric of a benchmark by a parser, with intervals, counts and parts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from emotion_llama.evaluation.metrics.classification import (
    LABEL_METRICS,
    NO_ANSWER,
    Rows,
    calibration,
    label_score,
    score_labels,
)
from emotion_llama.evaluation.metrics.intervals import NUM_RESAMPLES, bootstrap
from emotion_llama.evaluation.parsers import count_answers, parse_label, parsers_for
from emotion_llama.evaluation.records import EvalResult, EvalSample, Metric, Output
from emotion_llama.evaluation.run_folder import SampleRow
from emotion_llama.evaluation.scoring_words import (
    Estimate,
    Judged,
    Outputs,
    Parts,
    Scored,
    score_descriptions,
    score_grouped_words,
    score_hits,
    score_sentiments,
    score_wheels,
)
from emotion_llama.evaluation.tasks.base import Benchmark, SynonymGroups


def score_outputs(
    benchmark: Benchmark,
    samples: Sequence[EvalSample],
    outputs: Iterable[Output],
    parser: str,
    *,
    model: str,
    num_resamples: int = NUM_RESAMPLES,
    groups: SynonymGroups | None = None,
    judged: Judged | None = None,
) -> EvalResult:
    """Metrics of some or all samples of a benchmark.

    Raises:
        InputError: the parser does not apply, or something that the metric needs is missing.
    """
    by_id = {output.sample_id: output for output in outputs}

    def estimate(name: str, score: Callable[[Rows], float], some: Sequence[EvalSample]) -> Metric:
        if not num_resamples:
            return Metric(name, score(np.arange(len(some))))
        found = bootstrap(score, len(some), groups=bootstrap_groups(some), num_resamples=num_resamples)
        return Metric(name, found.value, found.low, found.high)

    if benchmark.metric == "description":
        metrics, counts, parts = score_descriptions(samples, by_id, parser, estimate, judged)
    elif benchmark.metric == "groups":
        chosen = benchmark.groups if groups is None else groups
        metrics, counts, parts = score_grouped_words(samples, by_id, parser, estimate, chosen)
    else:
        scored = {"wheels": score_wheels, "hit": score_hits, "sentiment": score_sentiments}
        of_metric = scored.get(benchmark.metric, _score_labels)
        metrics, counts, parts = of_metric(benchmark, samples, by_id, parser, estimate)
    return EvalResult(benchmark.full_name, model, parser, tuple(metrics), counts, parts)


def applicable_parsers(
    benchmark: Benchmark, outputs: Sequence[Output], *, judged: Judged | None = None
) -> tuple[str, ...]:
    """The ways in which these outputs can be scored, to be reported side by side."""
    if benchmark.kind == "description":
        return ("offline",) if judged is None else ("judge", "offline")
    return parsers_for(outputs)


def bootstrap_groups(samples: Sequence[EvalSample | SampleRow]) -> list[str] | None:
    """A group for each sample, its own where it has none; None where no sample has one."""
    if all(sample.group is None for sample in samples):
        return None
    return [f"case {one.sample_id}" if one.group is None else f"group {one.group}" for one in samples]


# --- one label a clip -----------------------------------------------------------------------------------------------


def _score_labels(
    benchmark: Benchmark, samples: Sequence[EvalSample], outputs: Outputs, parser: str, estimate: Estimate
) -> Scored:
    """Metrics over all samples; where these have several folds, means over the folds.

    Parts: "recall" by label, "confusion/LABEL" (the row of a true label), "fold/K", "note/NOTE" of samples with notes,
    the samples' own parts, and "follows": shares of samples whose answer is what one modality alone shows. Calibration
    is added by the parser "likelihood".
    """
    assert benchmark.asked is not None
    assert benchmark.scored is not None
    space = benchmark.scored.labels
    spaces = benchmark.asked, benchmark.scored
    answers = [parse_label(outputs.get(one.sample_id), parser, *spaces) for one in samples]
    truth, predicted = [one.truth.label or "" for one in samples], [one.label for one in answers]
    order = ("weighted_f1", "accuracy", "uar", "macro_f1", "micro_f1")
    if benchmark.primary == "uar":
        order = ("uar", "accuracy", "weighted_f1", "macro_f1", "micro_f1")

    def scores(rows: Rows) -> dict[str, float]:
        found = score_labels([truth[i] for i in rows], [predicted[i] for i in rows], labels=space)
        return {name: found[name] for name in order}

    whole = score_labels(truth, predicted, labels=space)
    folds = _rows_by(sample.fold for sample in samples)
    by_fold = [scores(rows) for rows in folds.values()]
    metrics = [
        estimate(name, _over_folds(label_score(truth, predicted, name), folds), samples)
        for name in order[:2]
        if name in LABEL_METRICS
    ]
    metrics += [Metric(name, float(np.mean([fold[name] for fold in by_fold]))) for name in order[2:]]
    if whole["answered_accuracy"] is not None:
        metrics.append(Metric("answered_accuracy", whole["answered_accuracy"]))
    if (fit := calibration(truth, [one.probabilities for one in answers])) is not None:
        metrics += [Metric(name, fit[name], better="lower") for name in ("ece", "brier", "log_loss")]
    parts: Parts = {"recall": tuple(Metric(label, recall) for label, recall in whole["recalls"].items())}
    for label, row in zip(space, whole["confusion"].tolist(), strict=True):
        if label in whole["supports"]:
            parts[f"confusion/{label}"] = tuple(map(Metric, (*space, NO_ANSWER), map(float, row)))
    chosen = {f"fold/{fold}": rows for fold, rows in folds.items()} if len(folds) > 1 else {}
    if any(sample.note for sample in samples):
        notes = _rows_by(sample.note or "plain" for sample in samples)
        chosen |= {f"note/{note}": rows for note, rows in notes.items()}
    parts |= {name: tuple(map(Metric, order, scores(rows).values())) for name, rows in chosen.items()}
    for part in sorted({name for sample in samples for name in sample.parts}):
        some = [replace(one, parts=(), alone={}) for one in samples if part in one.parts]
        plain: Estimate = lambda name, score, of: Metric(name, score(np.arange(len(of))))  # noqa: E731
        parts[part] = tuple(_score_labels(benchmark, some, outputs, parser, plain)[0])
    for modality in dict.fromkeys(name for sample in samples for name in sample.alone):
        hits = [label == one.alone[modality] for one, label in zip(samples, predicted) if modality in one.alone]
        parts["follows"] = (*parts.get("follows", ()), Metric(modality, sum(hits) / len(hits)))
    return metrics, count_answers(answers), parts


def _rows_by(keys: Iterable[object]) -> dict[object, Rows]:
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
