"""Two runs on the same samples: how much better one is, and how sure that is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from emotion_llama.errors import InputError, MissingDependency
from emotion_llama.evaluation.metrics.classification import LABEL_METRICS, label_score
from emotion_llama.evaluation.metrics.intervals import NUM_RESAMPLES, Interval, bootstrap, mcnemar
from emotion_llama.evaluation.run_folder import EvalRun, SampleRow
from emotion_llama.evaluation.scoring import bootstrap_groups

MCNEMAR, SIGNED_RANK = "McNemar, exact", "Wilcoxon signed-rank"
MAX_PAIRED = 4  # runs that are all compared with each other; of more, each is compared with the first
Side = tuple[str, str, Sequence[SampleRow]]  # name of a run, parser, rows


@dataclass(frozen=True)
class Comparison:
    """First minus second run."""

    # first, second: names, with their parsers
    first: str
    second: str
    metric: str  # what is compared
    difference: Interval  # with its bootstrap interval
    p_value: float  # two-sided
    test: str  # which test it is of
    # only_first, only_second: samples that only one of the two has right, or has the higher score
    only_first: int
    only_second: int
    num_samples: int  # that both runs have


def compare_runs(
    runs: Sequence[EvalRun], primary: str, *, num_resamples: int = NUM_RESAMPLES
) -> tuple[list[Comparison], list[str]]:
    """Runs of one benchmark in pairs, and why some pairs are not compared; of many runs, each with the first."""
    pairs = list(combinations(runs, 2)) if len(runs) <= MAX_PAIRED else [(runs[0], other) for other in runs[1:]]
    found, not_compared = [], []
    for first, second in pairs:
        try:
            found += _compare_two(first, second, primary, num_resamples)
        except InputError as error:  # noqa: PERF203 - at most a few pairs
            not_compared.append(f"{first.name} and {second.name}: {error}")
    return found, not_compared


def _compare_two(first: EvalRun, second: EvalRun, primary: str, num_resamples: int) -> list[Comparison]:
    """The tests of a pair by the parsers that both have; where there is none, by the last of each."""
    ours, theirs = ([result.parser for result in run.results] for run in (first, second))
    shared = [(parser, parser) for parser in ours if parser in theirs]
    found = []
    for one, other in shared or [(ours[-1], theirs[-1])]:
        sides = (first.name, one, first.rows), (second.name, other, second.rows)
        if one == "judge" and other == "judge":
            names = dict.fromkeys(name for row in first.rows for name in row.scores.get("judge", {}))
            found += [compare_scores(*sides, name, num_resamples=num_resamples) for name in names]
        elif any(one in row.answers for row in first.rows) and any(other in row.answers for row in second.rows):
            metric = primary if primary in LABEL_METRICS else "accuracy"
            found.append(compare_labels(*sides, metric, num_resamples=num_resamples))
    if not found:
        raise InputError("paired tests are made of labels and of judged scores; compare the intervals instead")
    return found


def compare_labels(first: Side, second: Side, metric: str, *, num_resamples: int = NUM_RESAMPLES) -> Comparison:
    """Compare predicted labels; a sample without an answer is wrong.

    Over all samples together: where a benchmark averages over folds, this difference is that of the folds joined.

    Raises:
        InputError: the runs share no sample, or a sample has another truth in one of them.
    """
    pairs = _shared(first, second)
    truth = [one.truth or "" for one, _ in pairs]
    answers = [one.answers.get(first[1]) for one, _ in pairs], [other.answers.get(second[1]) for _, other in pairs]
    ours, theirs = (label_score(truth, some, metric) for some in answers)
    right = ([answer == label for answer, label in zip(some, truth)] for some in answers)
    difference = bootstrap(
        lambda rows: ours(rows) - theirs(rows), len(pairs), groups=bootstrap_groups([one for one, _ in pairs]),
        num_resamples=num_resamples,
    )  # fmt: skip
    p_value, only_first, only_second = mcnemar(*right)
    return Comparison(
        _name(first), _name(second), metric, difference, p_value, MCNEMAR, only_first, only_second, len(pairs)
    )  # fmt: skip


def compare_scores(first: Side, second: Side, metric: str, *, num_resamples: int = NUM_RESAMPLES) -> Comparison:
    """Compare metrics that are means over samples, on the samples that have one in both runs; arguments as above.

    Raises:
        InputError: no sample has the metric in both runs.
    """
    try:
        from scipy.stats import wilcoxon
    except ImportError as error:
        raise MissingDependency("scipy", "comparing scores", "pip install 'emotion-llama[evaluation]'") from error
    pairs = [
        (one, one.scores.get(first[1], {}).get(metric), other.scores.get(second[1], {}).get(metric))
        for one, other in _shared(first, second)
    ]
    kept = [(row, a - b) for row, a, b in pairs if a is not None and b is not None]
    if not kept:
        raise InputError(f"no sample has the metric {metric} in both runs")
    differences = np.array([value for _, value in kept])
    difference = bootstrap(
        lambda rows: float(differences[rows].mean()), len(kept), groups=bootstrap_groups([row for row, _ in kept]),
        num_resamples=num_resamples,
    )  # fmt: skip
    p_value = float(wilcoxon(differences).pvalue) if differences.any() else 1.0
    above, below = int((differences > 0).sum()), int((differences < 0).sum())
    return Comparison(_name(first), _name(second), metric, difference, p_value, SIGNED_RANK, above, below, len(kept))


def _shared(first: Side, second: Side) -> list[tuple[SampleRow, SampleRow]]:
    others = {row.sample_id: row for row in second[2]}
    found = [(row, others[row.sample_id]) for row in first[2] if row.sample_id in others]
    if not found:
        raise InputError("the runs share no sample; a paired test needs the same samples")
    if changed := next((one.sample_id for one, other in found if one.truth != other.truth), None):
        raise InputError(f"{changed} has another truth in the two runs; evaluate both on the same files")
    return found


def _name(side: Side) -> str:
    return f"{side[0]} ({side[1]})"
