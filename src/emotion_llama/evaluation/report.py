"""What a report says: runs beside published rows, how they differ in protocol, and which differences are sure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from importlib.resources import files
from typing import Any

from emotion_llama.errors import InputError
from emotion_llama.evaluation.comparisons import Comparison, compare_runs
from emotion_llama.evaluation.metrics.intervals import NUM_RESAMPLES
from emotion_llama.evaluation.records import EvalResult, Metric
from emotion_llama.evaluation.run_folder import EvalRun

RECALL = "recall/"
# A table as data/published.yaml has it; the head of that file explains the keys.
Published = Mapping[str, Any]
UNIBENCH = "unibench-"  # how the names of MER-UniBench's sets begin
# Parser -> the rule that it applies, by the kind of the benchmark's answers.
PARSERS: Mapping[str, Mapping[str, str]] = {
    "label": {
        "upstream": "the published rule: the last word of the answer, and neutral where it is none of the labels",
        "tolerant": "the label that a person would find in the answer; none where there is none",
        "likelihood": "the likeliest of the labels after the prompt; nothing is parsed",
    },
    "words": {
        "upstream": "the published rule for lists: brackets off, then quotes and commas separate the words",
        "tolerant": "the words of a list anywhere in the answer, or of its prose those known and not denied",
        "likelihood": "the likeliest of the labels after the prompt, as the only word",
    },
    "sentiment": {
        "upstream": "the whole answer is positive, negative or neutral",
        "tolerant": "the one of positive, negative and neutral that the answer names and does not deny",
        "likelihood": "the likeliest of positive, negative and neutral after the prompt",
    },
    "description": {
        "offline": "shared cues and labels by this project's word lists; not the published measure, no judge's score"
    },
}
JUDGE = "a judge's verdicts, or the words that a judge finds in answers; no published row has the same judge"


@dataclass(frozen=True)
class Section:
    """One benchmark in one version."""

    benchmark: str  # name and version
    primary: str  # the metric it is ranked by
    columns: tuple[str, ...]  # metrics shown, the primary one first; "recall/LABEL" is of the part "recall"
    results: tuple[EvalResult, ...]  # ours first, then published rows
    protocol: Mapping[str, tuple[str, ...]]  # run -> sentences on how it was done
    published: tuple[Published, ...]  # tables whose rows are shown
    checks: tuple[str, ...] = ()  # what the arithmetic of published rows shows
    # run -> why samples failed, in the models' own words, with counts
    problems: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    comparisons: tuple[Comparison, ...] = ()  # paired tests between runs
    not_compared: tuple[str, ...] = ()  # why some pairs were not
    cards: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # run -> its card

    @property
    def own(self) -> tuple[EvalResult, ...]:
        """Those of runs."""
        return tuple(result for result in self.results if result.parser)


def metrics_of(result: EvalResult) -> dict[str, Metric]:
    """Column -> metric of a result; what is not there was not measured or not printed."""
    metrics = {metric.name: metric for metric in result.metrics}
    return metrics | {f"{RECALL}{metric.name}": metric for metric in result.parts.get("recall", ())}


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
    own = [replace(result, model=run.name) for run in runs for result in run.results]
    results = (*own, *(row for table in tables for row in published_results(table)))
    comparisons, not_compared = compare_runs(runs, primary, num_resamples=num_resamples)
    # The primary metric, what published rows have, then what ours have; recalls last.
    names = [primary, *(n for is_own in (False, True) for one in results if bool(one.parser) is is_own
                        for n in metrics_of(one))]  # fmt: skip
    found = [name for name in dict.fromkeys(names) if any(name in metrics_of(one) for one in results)]
    return Section(
        benchmark,
        primary,
        tuple(sorted(found, key=lambda name: name.startswith(RECALL))),
        results,
        {run.name: protocol_of(run.card, [result.parser for result in run.results]) for run in runs},
        tables,
        tuple(sentence for table in tables for sentence in table.get("checks", ())),
        {run.name: dict(run.card.get("problems", {})) for run in runs},
        tuple(comparisons),
        tuple(not_compared),
        {run.name: run.card for run in runs},
    )


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

    Raises:
        InputError: a set is missing: a mean over fewer sets is another metric; or models or parsers differ.
    """
    from emotion_llama.evaluation.tasks.unibench import SETS

    if missing := [name for name in SETS if name not in results]:
        raise InputError(f"MER-UniBench's mean is over nine sets; missing: {', '.join(missing)}")
    chosen = [results[name] for name in SETS]
    if len({(result.model, result.parser) for result in chosen}) > 1:
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
    title = "MER-UniBench: primary metrics of the nine sets and their mean"
    for (model, parser), sets in results.items():
        metrics = [replace(result.metrics[0], name=name) for name, result in sets.items()]
        row = EvalResult(title, model, parser, tuple(metrics))
        try:
            row = replace(row, metrics=(*metrics, Metric("mean", unibench_mean(sets))))
        except InputError as error:
            notes[row.label] = (f"no mean: {error}",)
        rows.append(row)
    tables = tuple(published_for(f"{UNIBENCH}{SETS[0]}"))
    published = [row for table in tables for row in published_results(table)]
    return [Section(title, "mean", ("mean", *SETS), (*rows, *published), notes, tables)]


# --- protocol -------------------------------------------------------------------------------------------------------


def protocol_of(card: Mapping[str, Any], parsers: Sequence[str]) -> tuple[str, ...]:
    """How a run was done: what has to be known before it is compared with published rows, in sentences."""
    benchmark, settings = card["benchmark"], card["system"]["settings"]
    rules = {**PARSERS[benchmark.get("kind", "label")], "judge": JUDGE}
    sentences = [f"{parser}: {rules[parser]}" for parser in parsers if parser in rules]
    if benchmark.get("metric") == "groups":
        given = (
            "stored with the benchmark, made for the words of another model" if benchmark["groups"] else "the judge's"
        )
        sentences.append(f"groups of synonyms: {given}")
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
    return ["measured in the raw clips"] if kind == "reader" else []


# --- published rows -------------------------------------------------------------------------------------------------


@cache
def published_tables() -> Mapping[str, Published]:
    """All tables of data/published.yaml by name, in the order of the file."""
    import yaml

    text = (files("emotion_llama.evaluation") / "data" / "published.yaml").read_text(encoding="utf-8")
    return {table["name"]: table for table in yaml.safe_load(text)["tables"]}


def published_for(benchmark: str) -> list[Published]:
    """Tables of a benchmark; those of MER-UniBench for each of its nine sets."""
    name = "unibench" if benchmark.startswith("unibench-") else benchmark
    return [table for table in published_tables().values() if table["benchmark"] == name]


def published_results(table: Published) -> list[EvalResult]:
    """The rows of a table as results without a parser, on the scale of ours (shares are 0..1).

    Where a table states its setting, each row says it: a model may stand in several tables.
    """
    setting = f", {table['setting']}" if "setting" in table else ""
    return [
        EvalResult(
            table["benchmark"], f"{model}{setting}", "",
            tuple(Metric(name, value / table["scale"]) for name, value in zip(table["figures"], row, strict=True)),
        )
        for model, row in table["rows"].items()
    ]  # fmt: skip
