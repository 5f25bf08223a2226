"""What a report says: runs beside published rows, how they differ in protocol, and which differences are sure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import TYPE_CHECKING, Any

from emotion_llama.errors import InputError
from emotion_llama.evaluation.paired import LABEL_FIGURES, Comparison, compare_labels, compare_scores
from emotion_llama.evaluation.protocol import protocol_of, table_checks
from emotion_llama.evaluation.published import PublishedTable, published_for
from emotion_llama.evaluation.records import Figure, Result
from emotion_llama.evaluation.run_folder import CaseRow, RunRecord

if TYPE_CHECKING:
    from emotion_llama.evaluation.run import EvalRun

MOST_PAIRED = 4  # runs that are all compared with each other; of more, each is compared with the first
RECALL = "recall/"
UNIBENCH = "unibench-"  # how the names of MER-UniBench's sets begin
# Figures that are no shares: printed as they are. All others are printed in percent.
AS_THEY_ARE = frozenset({"clue_overlap", "label_overlap", "brier", "log_loss", "gain_over_gpt4v_percent"})


@dataclass(frozen=True)
class ReportRun:
    """One run: its name in this report, results by parser, card and rows."""

    name: str
    results: tuple[Result, ...]
    card: Mapping[str, Any]
    rows: tuple[CaseRow, ...]


@dataclass(frozen=True)
class Row:
    """A line of a table.

    Attributes:
        system: its name.
        parser: of ours; "" of published rows.
        figures: column -> figure; what is not there was not measured or not printed.
        is_own: of a run, not published.
        source: of a published row: its table's name.
    """

    system: str
    parser: str
    figures: Mapping[str, Figure]
    is_own: bool
    source: str = ""


@dataclass(frozen=True)
class Section:
    """One benchmark in one version.

    Attributes:
        benchmark: name and version.
        primary: the figure it is ranked by.
        columns: figures shown, the primary one first.
        rows: ours first, then published.
        counts: run and parser -> counts of its cases.
        problems: run -> why cases failed, in the systems' own words, with counts.
        protocol: run -> sentences on how it was done.
        published: tables whose rows are shown.
        checks: what the arithmetic of published rows shows.
        comparisons: paired tests between runs.
        not_compared: why some pairs were not.
        parts: run and parser -> parts of its result.
        cards: run -> its card.
    """

    benchmark: str
    primary: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    counts: Mapping[str, Mapping[str, int]]
    problems: Mapping[str, Mapping[str, int]]
    protocol: Mapping[str, tuple[str, ...]]
    published: tuple[PublishedTable, ...]
    checks: tuple[str, ...]
    comparisons: tuple[Comparison, ...]
    not_compared: tuple[str, ...]
    parts: Mapping[str, Mapping[str, tuple[Figure, ...]]]
    cards: Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Report:
    """Sections by benchmark."""

    sections: tuple[Section, ...]


def run_of(run: EvalRun) -> ReportRun:
    """A run that has just ended."""
    return ReportRun(run.results[0].system, run.results, run.card, run.rows)


def run_of_record(record: RunRecord) -> ReportRun:
    """A run that was read from its folder."""
    return ReportRun(record.system, record.results, record.card, record.rows)


def report_of(runs: Sequence[ReportRun], *, num_resamples: int = 2000) -> Report:
    """The report of some runs.

    Raises:
        InputError: there are none, or judged figures of one benchmark are of different judges.
    """
    if not runs:
        raise InputError("there are no runs to report")
    by_benchmark: dict[str, list[ReportRun]] = {}
    named = _named_apart(runs)
    for run in named:
        by_benchmark.setdefault(run.results[0].benchmark, []).append(run)
    sections = [_section(name, some, num_resamples) for name, some in by_benchmark.items()]
    return Report((*sections, *_unibench(named)))


def _named_apart(runs: Sequence[ReportRun]) -> list[ReportRun]:
    """Runs of one name on one benchmark are numbered."""
    keys = [(run.name, run.results[0].benchmark) for run in runs]
    return [
        run if keys.count(key) == 1 else replace(run, name=f"{run.name} #{keys[: place + 1].count(key)}")
        for place, (run, key) in enumerate(zip(runs, keys))
    ]


def _section(benchmark: str, runs: Sequence[ReportRun], num_resamples: int) -> Section:
    check_one_judge(benchmark, runs)
    about: Mapping[str, Any] = runs[0].card["benchmark"]
    primary = str(about["primary"])
    tables = tuple(published_for(str(about["name"])))
    own = [_own_row(run, result) for run in runs for result in run.results]
    printed = [_published_row(table, system) for table in tables for system in table.rows]
    comparisons, not_compared = _compare(runs, primary, num_resamples)
    return Section(
        benchmark,
        primary,
        _columns(primary, own, printed),
        tuple(own + printed),
        {_key(run, result): result.counts for run in runs for result in run.results},
        {run.name: dict(run.card.get("problems", {})) for run in runs},
        {run.name: protocol_of(run.card, [result.parser for result in run.results]) for run in runs},
        tables,
        tuple(sentence for table in tables for sentence in table_checks(table)),
        tuple(comparisons),
        tuple(not_compared),
        {_key(run, result): result.parts for run in runs for result in run.results},
        {run.name: run.card for run in runs},
    )


def _unibench(runs: Sequence[ReportRun]) -> list[Section]:
    """MER-UniBench's sets side by side with their mean, where runs of more than one of them are reported."""
    from emotion_llama.evaluation.benchmarks.unibench import SETS, unibench_mean

    results: dict[tuple[str, str], dict[str, Result]] = {}
    for run in runs:
        _, prefix, name = str(run.card["benchmark"]["name"]).partition(UNIBENCH)
        for result in run.results if prefix else ():
            results.setdefault((run.name, result.parser), {})[name] = result
    if len({name for sets in results.values() for name in sets}) < 2:
        return []
    rows, notes = [], {}
    for (system, parser), sets in results.items():
        figures = {name: replace(result.figures[0], name=name) for name, result in sets.items()}
        try:
            figures["mean"] = Figure("mean", unibench_mean(sets))
        except InputError as error:
            notes[f"{system} ({parser})"] = (f"no mean: {error}",)
        rows.append(Row(system, parser, figures, is_own=True))
    tables = tuple(published_for(f"{UNIBENCH}{SETS[0]}"))
    printed = [_published_row(table, system) for table in tables for system in table.rows]
    return [
        Section(
            "MER-UniBench: primary figures of the nine sets and their mean", "mean", ("mean", *SETS),
            (*rows, *printed), {}, {}, notes, tables, (), (), (), {}, {},
        )
    ]  # fmt: skip


def check_one_judge(benchmark: str, runs: Sequence[ReportRun]) -> None:
    """All judged rows of a table are of one judge.

    Raises:
        InputError: they are not.
    """
    judges: dict[str, str] = {}
    for run in runs:
        if any(result.parser == "judge" for result in run.results) and run.card.get("judge") is not None:
            judges.setdefault(repr(sorted(run.card["judge"].items(), key=str)), run.name)
    if len(judges) > 1:
        names = list(judges.values())
        raise InputError(
            f"{benchmark}: {names[0]} and {names[1]} were judged by different judges, prompts or scales, and such "
            "figures are not to be compared; judge all runs by one judge, or report them apart"
        )


def _key(run: ReportRun, result: Result) -> str:
    return f"{run.name} ({result.parser})"


def _own_row(run: ReportRun, result: Result) -> Row:
    figures = {figure.name: figure for figure in result.figures}
    figures |= {f"{RECALL}{figure.name}": figure for figure in result.parts.get("recall", ())}
    return Row(run.name, result.parser, figures, is_own=True)


def _published_row(table: PublishedTable, system: str) -> Row:
    figures = {name: Figure(name, table.value(system, name)) for name in table.figures}
    return Row(system, "", figures, is_own=False, source=table.name)


def _columns(primary: str, own: Sequence[Row], printed: Sequence[Row]) -> tuple[str, ...]:
    """The primary figure, what published rows have, then what ours have; recalls last."""
    names = [primary, *(name for row in (*printed, *own) for name in row.figures)]
    found = [name for name in dict.fromkeys(names) if any(name in row.figures for row in (*own, *printed))]
    return tuple(sorted(found, key=lambda name: name.startswith(RECALL)))


def _compare(runs: Sequence[ReportRun], primary: str, num_resamples: int) -> tuple[list[Comparison], list[str]]:
    pairs = list(combinations(runs, 2)) if len(runs) <= MOST_PAIRED else [(runs[0], other) for other in runs[1:]]
    outcomes = [_compared(first, second, primary, num_resamples) for first, second in pairs]
    found = [one for some in outcomes if not isinstance(some, str) for one in some]
    return found, [why for why in outcomes if isinstance(why, str)]


def _compared(first: ReportRun, second: ReportRun, primary: str, num_resamples: int) -> list[Comparison] | str:
    """The tests of a pair, or why there is none."""
    try:
        return _compare_two(first, second, primary, num_resamples)
    except InputError as error:
        return f"{first.name} and {second.name}: {error}"


def _compare_two(first: ReportRun, second: ReportRun, primary: str, num_resamples: int) -> list[Comparison]:
    parsers = _shared_parsers(first, second)
    found = []
    for one, other in parsers:
        sides = (first.name, one, first.rows), (second.name, other, second.rows)
        if one == "judge" and other == "judge":
            found += [compare_scores(*sides, name, num_resamples=num_resamples) for name in _judged(first)]
        elif any(one in row.answers for row in first.rows) and any(other in row.answers for row in second.rows):
            figure = primary if primary in LABEL_FIGURES else "accuracy"
            found.append(compare_labels(*sides, figure, num_resamples=num_resamples))
    if not found:
        raise InputError("paired tests are made of labels and of judged figures; compare the intervals instead")
    return found


def _shared_parsers(first: ReportRun, second: ReportRun) -> list[tuple[str, str]]:
    """The parsers that both have; where there is none, the last of each."""
    ours, theirs = ([result.parser for result in run.results] for run in (first, second))
    shared = [(parser, parser) for parser in ours if parser in theirs]
    return shared or [(ours[-1], theirs[-1])]


def _judged(run: ReportRun) -> list[str]:
    return list(dict.fromkeys(name for row in run.rows for name in row.scores.get("judge", {})))


def shown(figure: Figure, *, with_interval: bool = False) -> str:
    """A figure as tables print it: shares in percent with two decimals, others as they are."""
    scale = 1 if figure.name in AS_THEY_ARE else 100
    text = f"{figure.value * scale:.2f}"
    if with_interval and figure.low is not None and figure.high is not None:
        text += f" [{figure.low * scale:.1f}, {figure.high * scale:.1f}]"
    return text


def spoken(protocol: Mapping[str, Sequence[str]]) -> list[tuple[str, str]]:
    """(whose, sentence) of every run, each sentence once."""
    whose: dict[str, list[str]] = {}
    for name, sentences in protocol.items():
        for sentence in sentences:
            whose.setdefault(sentence, []).append(name)
    everybody = len(protocol)
    return [("all runs" if len(names) == everybody > 1 else ", ".join(names), told) for told, names in whose.items()]


def published_lines(section: Section) -> list[str]:
    """What is known of published rows: where each table is printed, what its protocol was, what its arithmetic says."""
    lines = [
        line
        for table in section.published
        for line in (f"{table.name}: {table.source}", *(f"{table.name}: {note}" for note in table.notes))
    ]
    return [*lines, *section.checks]
