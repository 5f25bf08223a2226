"""What a report says: runs beside published rows, how they differ in protocol, and which differences are sure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import Any

from emotion_llama.errors import InputError
from emotion_llama.evaluation.comparisons import Comparison, compare_labels, compare_scores
from emotion_llama.evaluation.metrics.classification import LABEL_METRICS
from emotion_llama.evaluation.metrics.intervals import NUM_RESAMPLES
from emotion_llama.evaluation.published import RECALL, PublishedTable, published_for, table_checks
from emotion_llama.evaluation.records import EvalResult, Metric
from emotion_llama.evaluation.run_folder import EvalRun

MAX_PAIRED = 4  # runs that are all compared with each other; of more, each is compared with the first
UNIBENCH = "unibench-"  # how the names of MER-UniBench's sets begin
PARSERS = {
    "upstream": "the published rule: the last word of the answer, and neutral where it is none of the labels",
    "tolerant": "the label that a reader would find in the answer; none where there is none",
    "likelihood": "the likeliest of the labels after the prompt; nothing is parsed",
    "judge": "a judge's verdicts, or the words that a judge finds in answers; no published row has the same judge",
    "offline": "shared cues and labels by this project's word lists; not the published measure, and no judge's figure",
}


@dataclass(frozen=True)
class Row:
    """A row of a section's table.

    Attributes:
        system: name of the model.
        parser: of ours; "" of published rows.
        metrics: column -> metric; what is not there was not measured or not printed.
        is_own: of a run, not published.
    """

    system: str
    parser: str
    metrics: Mapping[str, Metric]
    is_own: bool

    @property
    def label(self) -> str:
        """The model, with the parser of a run."""
        return f"{self.system} ({self.parser})" if self.is_own else self.system


@dataclass(frozen=True)
class Section:
    """One benchmark in one version.

    Attributes:
        benchmark: name and version.
        primary: the metric it is ranked by.
        columns: metrics shown, the primary one first.
        rows: ours first, then published.
        protocol: run -> sentences on how it was done.
        published: tables whose rows are shown.
        checks: what the arithmetic of published rows shows.
        counts: run and parser -> counts of its samples.
        problems: run -> why samples failed, in the models' own words, with counts.
        comparisons: paired tests between runs.
        not_compared: why some pairs were not.
        parts: run and parser -> parts of its result.
        cards: run -> its card.
    """

    benchmark: str
    primary: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    protocol: Mapping[str, tuple[str, ...]]
    published: tuple[PublishedTable, ...]
    checks: tuple[str, ...] = ()
    counts: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    problems: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    comparisons: tuple[Comparison, ...] = ()
    not_compared: tuple[str, ...] = ()
    parts: Mapping[str, Mapping[str, tuple[Metric, ...]]] = field(default_factory=dict)
    cards: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def report_of(runs: Sequence[EvalRun], *, num_resamples: int = NUM_RESAMPLES) -> tuple[Section, ...]:
    """Sections by benchmark.

    Raises:
        InputError: there are no runs, or judged metrics of one benchmark are of different judges.
    """
    if not runs:
        raise InputError("there are no runs to report")
    keys = [(run.name, run.results[0].benchmark) for run in runs]
    numbered = [
        run if keys.count(key) == 1 else replace(run, name=f"{run.name} #{keys[: place + 1].count(key)}")
        for place, (run, key) in enumerate(zip(runs, keys))
    ]
    by_benchmark: dict[str, list[EvalRun]] = {}
    for run in numbered:
        by_benchmark.setdefault(run.results[0].benchmark, []).append(run)
    sections = [_section(name, some, num_resamples) for name, some in by_benchmark.items()]
    return (*sections, *_unibench(numbered))


def _section(benchmark: str, runs: Sequence[EvalRun], num_resamples: int) -> Section:
    _check_one_judge(benchmark, runs)
    about: Mapping[str, Any] = runs[0].card["benchmark"]
    primary = str(about["primary"])
    tables = tuple(published_for(str(about["name"])))
    results = [(run, result, f"{run.name} ({result.parser})") for run in runs for result in run.results]
    rows = [_own_row(run, result) for run, result, _ in results] + _published_rows(tables)
    comparisons, not_compared = _compare(runs, primary, num_resamples)
    # The primary metric, what published rows have, then what ours have; recalls last.
    names = [primary, *(n for own in (False, True) for row in rows if row.is_own is own for n in row.metrics)]
    found = [name for name in dict.fromkeys(names) if any(name in row.metrics for row in rows)]
    return Section(
        benchmark,
        primary,
        tuple(sorted(found, key=lambda name: name.startswith(RECALL))),
        tuple(rows),
        {run.name: protocol_of(run.card, [result.parser for result in run.results]) for run in runs},
        tables,
        tuple(sentence for table in tables for sentence in table_checks(table)),
        {key: result.counts for _, result, key in results},
        {run.name: dict(run.card.get("problems", {})) for run in runs},
        tuple(comparisons),
        tuple(not_compared),
        {key: result.parts for _, result, key in results},
        {run.name: run.card for run in runs},
    )


def _own_row(run: EvalRun, result: EvalResult) -> Row:
    metrics = {metric.name: metric for metric in result.metrics}
    metrics |= {f"{RECALL}{metric.name}": metric for metric in result.parts.get("recall", ())}
    return Row(run.name, result.parser, metrics, is_own=True)


def _published_rows(tables: Sequence[PublishedTable]) -> list[Row]:
    return [
        Row(system, "", {name: Metric(name, table.value(system, name)) for name in table.figures}, is_own=False)
        for table in tables
        for system in table.rows
    ]


def _check_one_judge(benchmark: str, runs: Sequence[EvalRun]) -> None:
    """All judged rows of a table are of one judge; InputError where they are not."""
    judges: dict[str, str] = {}
    for run in runs:
        if any(result.parser == "judge" for result in run.results) and run.card.get("judge") is not None:
            judges.setdefault(repr(sorted(run.card["judge"].items(), key=str)), run.name)
    if len(judges) > 1:
        names = list(judges.values())
        raise InputError(
            f"{benchmark}: {names[0]} and {names[1]} were judged by different judges, prompts or scales, and such "
            "scores are not to be compared; judge all runs by one judge, or report them apart"
        )


# --- MER-UniBench ---------------------------------------------------------------------------------------------------


def unibench_mean(results: Mapping[str, EvalResult]) -> float:
    """The plain mean of MER-UniBench's nine primary metrics.

    Args:
        results: by the set's name, one of `unibench.SETS`, all of one model and one parser.

    Raises:
        InputError: a set is missing: a mean over fewer sets is another metric; or models or parsers differ.
    """
    from emotion_llama.evaluation.tasks.unibench import SETS

    if missing := [name for name in SETS if name not in results]:
        raise InputError(f"MER-UniBench's mean is over nine sets; missing: {', '.join(missing)}")
    chosen = [results[name] for name in SETS]
    if len({(result.system, result.parser) for result in chosen}) > 1:
        raise InputError("MER-UniBench's mean is of one model and one parser, got several")
    return sum(result.metrics[0].value for result in chosen) / len(chosen)


def _unibench(runs: Sequence[EvalRun]) -> list[Section]:
    """MER-UniBench's sets side by side with their mean, where runs of more than one of them are reported."""
    from emotion_llama.evaluation.tasks.unibench import SETS

    results: dict[tuple[str, str], dict[str, EvalResult]] = {}
    for run in runs:
        _, prefix, name = str(run.card["benchmark"]["name"]).partition(UNIBENCH)
        for result in run.results if prefix else ():
            results.setdefault((run.name, result.parser), {})[name] = result
    if len({name for sets in results.values() for name in sets}) < 2:
        return []
    rows, notes = [], {}
    for (system, parser), sets in results.items():
        metrics = {name: replace(result.metrics[0], name=name) for name, result in sets.items()}
        try:
            metrics["mean"] = Metric("mean", unibench_mean(sets))
        except InputError as error:
            notes[f"{system} ({parser})"] = (f"no mean: {error}",)
        rows.append(Row(system, parser, metrics, is_own=True))
    tables = tuple(published_for(f"{UNIBENCH}{SETS[0]}"))
    title = "MER-UniBench: primary figures of the nine sets and their mean"
    return [Section(title, "mean", ("mean", *SETS), (*rows, *_published_rows(tables)), notes, tables)]


# --- paired tests ---------------------------------------------------------------------------------------------------


def _compare(runs: Sequence[EvalRun], primary: str, num_resamples: int) -> tuple[list[Comparison], list[str]]:
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


# --- protocol -------------------------------------------------------------------------------------------------------


def protocol_of(card: Mapping[str, Any], parsers: Sequence[str]) -> tuple[str, ...]:
    """How a run was done: what has to be known before it is compared with published rows, in sentences."""
    benchmark, settings = card["benchmark"], card["system"]["settings"]
    sentences = [f"{parser}: {PARSERS[parser]}" for parser in parsers if parser in PARSERS]
    if benchmark["limit"] is not None:
        sentences.append(f"the first {benchmark['cases']} cases only: not comparable with figures over all")
    if settings.get("system") != "predictions":
        for problem in benchmark["file_problems"]:
            times = f" ({problem['count']} times)" if problem["count"] > 1 else ""
            sentences.append(f"files: {problem['what']}{times}")
        sentences.append(f"instruction: {benchmark['ask']['instruction']}")
    sentences += _protocol_of_model(settings)
    if (judge := card.get("judge")) is not None:
        sentences.append(f"judge: {judge['judge']}, scale {judge['scale']}, {judge['votes']} vote(s) a pair")
    return tuple(sentences)


def _protocol_of_model(settings: Mapping[str, Any]) -> list[str]:
    kind = settings.get("system")
    if kind == "emotion-llama":
        return [
            f"layout {settings['layout']}, frame {settings['frame_policy']}, {settings['dtype']}, greedy",
            "features made by others" if settings["features"] else "features made from the raw clips",
        ]
    if kind == "chat":
        chat = settings["chat"]
        decoding = f"temperature {chat['temperature']}" if "temperature" in chat else "greedy"
        return [f"{settings['frames']} frames a clip, {', '.join(chat['modalities'])}, {decoding}"]
    if kind == "predictions":
        return [f"predictions of a file ({settings['file']}): how they came about is not known here"]
    return ["measured and read from the raw clips"] if kind == "reader" else []
