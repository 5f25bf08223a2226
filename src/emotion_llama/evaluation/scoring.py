"""Outputs against truths: the metric of a benchmark by a parser, with intervals, counts and parts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from emotion_llama.errors import InputError
from emotion_llama.evaluation.metrics.classification import Rows
from emotion_llama.evaluation.metrics.intervals import NUM_RESAMPLES, bootstrap
from emotion_llama.evaluation.parsers import parsers_for
from emotion_llama.evaluation.records import EvalResult, EvalSample, Metric, Output
from emotion_llama.evaluation.scoring_labels import score_label_answers
from emotion_llama.evaluation.scoring_words import (
    Judged,
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
    system: str,
    num_resamples: int = NUM_RESAMPLES,
    groups: SynonymGroups | None = None,
    judged: Judged | None = None,
) -> EvalResult:
    """Metrics of some or all samples of a benchmark.

    Args:
        benchmark: whose metric is taken.
        samples: of this benchmark.
        outputs: for them, in any order; a sample without one counts as unanswered.
        parser: one of `applicable_parsers`.
        system: name of the model, for the result.
        num_resamples: of the bootstrap intervals; 0 makes none.
        groups: of synonyms, by sample, in place of the stored ones.
        judged: scores of a judge, by sample.

    Raises:
        InputError: outputs do not fit the samples, a truth is not of the benchmark's kind, the parser does not apply,
            or something that the metric needs is missing.
    """
    by_id = outputs_by_sample(samples, outputs)

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
        of_metric = scored.get(benchmark.metric, score_label_answers)
        metrics, counts, parts = of_metric(benchmark, samples, by_id, parser, estimate)
    return EvalResult(benchmark.full_name, system, parser, tuple(metrics), counts, parts)


def applicable_parsers(
    benchmark: Benchmark, outputs: Sequence[Output], *, judged: Judged | None = None
) -> tuple[str, ...]:
    """The ways in which these outputs can be scored, to be reported side by side."""
    if benchmark.kind == "description":
        return ("offline",) if judged is None else ("judge", "offline")
    return parsers_for(outputs)


def outputs_by_sample(samples: Sequence[EvalSample], outputs: Iterable[Output]) -> dict[str, Output]:
    """Outputs by their sample. Samples without one are counted when they are scored.

    Raises:
        InputError: there is no sample, two samples have one id, an output is for no sample, or two are for one.
    """
    ids = Counter(sample.sample_id for sample in samples)
    if not samples or max(ids.values()) > 1:
        doubled = next((name for name, count in ids.items() if count > 1), None)
        raise InputError("there are no samples to score" if doubled is None else f"two samples are called {doubled!r}")
    found: dict[str, Output] = {}
    for output in outputs:
        if output.sample_id not in ids:
            raise InputError(f"an output is for {output.sample_id!r}, which is no sample here ({len(ids)} samples)")
        if output.sample_id in found:
            raise InputError(f"two outputs are for {output.sample_id!r}")
        found[output.sample_id] = output
    return found


def bootstrap_groups(samples: Sequence[EvalSample]) -> list[str] | None:
    """A group for each sample, its own where it has none; None where no sample has one."""
    if all(sample.group is None for sample in samples):
        return None
    return [f"case {one.sample_id}" if one.group is None else f"group {one.group}" for one in samples]
