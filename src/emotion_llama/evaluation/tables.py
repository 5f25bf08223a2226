"""The tables and lists of a report as plain text cells: what terminal, Markdown, LaTeX and HTML print alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from emotion_llama.evaluation.records import Metric
from emotion_llama.evaluation.report import RECALL, Section, metrics_of

Cells = tuple[str, ...]
Table = tuple[Cells, list[Cells]]  # header and rows
# Header and rows of a table whose cells are the darker the larger their share 0..1: name, shares, texts.
Shaded = tuple[Cells, list[tuple[str, list[float | None], list[str]]]]
CONFUSION = "confusion/"
UNITS = "Shares in percent, in brackets their 95 % bootstrap interval. Rows without a parser are published."
# Metrics that are no shares: printed as they are. All others are printed in percent.
AS_THEY_ARE = frozenset({"clue_overlap", "label_overlap", "brier", "log_loss", "gain_over_gpt4v_percent"})
_NAMES: Mapping[str, str] = {
    "weighted_f1": "weighted F1", "macro_f1": "macro F1", "micro_f1": "micro F1", "uar": "UAR", "accuracy": "accuracy",
    "answered_accuracy": "accuracy of the answered", "ece": "ECE", "brier": "Brier", "log_loss": "log loss",
    "clue_overlap": "clue overlap", "label_overlap": "label overlap", "waf": "WAF", "ew": "EW", "hit": "HIT",
}  # fmt: skip


def name_of(metric: str) -> str:
    """A metric's name for people."""
    return _NAMES.get(metric, metric.removeprefix(RECALL).replace("_", " "))


def shown(metric: Metric, *, with_interval: bool = False) -> str:
    """A metric as tables print it: shares in percent with two decimals, others as they are."""
    scale = 1 if metric.name in AS_THEY_ARE else 100
    text = f"{metric.value * scale:.2f}"
    if with_interval and metric.low is not None and metric.high is not None:
        text += f" [{metric.low * scale:.1f}, {metric.high * scale:.1f}]"
    return text


# --- tables ---------------------------------------------------------------------------------------------------------


def result_table(section: Section, columns: Sequence[str], *, with_interval: bool = True, missing: str = "") -> Table:
    """Model, parser ("" of published rows) and metrics of every row of a benchmark, ours first."""
    rows = []
    for result in section.results:
        metrics = metrics_of(result)
        found = (metrics.get(column) for column in columns)
        cells = (missing if one is None else shown(one, with_interval=with_interval) for one in found)
        rows.append((result.model, result.parser, *cells))
    return ("Model", "Parser", *columns), rows


def recall_table(section: Section) -> Shaded | None:
    """The recalls of each label; None without any."""
    columns = [name for name in section.columns if name.startswith(RECALL)]
    rows = []
    for result in section.results:
        metrics = metrics_of(result)
        shares = [metrics[column].value if column in metrics else None for column in columns]
        if any(share is not None for share in shares):
            rows.append((result.label, shares, ["–" if share is None else f"{100 * share:.2f}" for share in shares]))
    return (("", *map(name_of, columns)), rows) if columns else None


def confusion_tables(section: Section) -> list[tuple[str, Shaded]]:
    """Each run's confusion matrix, by its name: true labels by row, predicted ones by column."""
    found = []
    for result in section.own:
        counts = {
            part.removeprefix(CONFUSION): some for part, some in result.parts.items() if part.startswith(CONFUSION)
        }
        if not counts:
            continue
        rows: list[tuple[str, list[float | None], list[str]]] = []
        for label, metrics in counts.items():
            total = sum(one.value for one in metrics) or 1.0
            rows.append((label, [one.value / total for one in metrics], [f"{one.value:,.0f}" for one in metrics]))
        found.append((result.label, (("", *(one.name for one in next(iter(counts.values())))), rows)))
    return found


def part_tables(section: Section) -> list[tuple[str, Table]]:
    """Folds, notes, wheels of each run, by its name: everything but recalls and confusions."""
    found = []
    for result in section.own:
        rest = {
            part: some for part, some in result.parts.items() if part != "recall" and not part.startswith(CONFUSION)
        }
        if not rest:
            continue
        columns = list(dict.fromkeys(one.name for some in rest.values() for one in some))
        rows = []
        for part, some in rest.items():
            by_name = {one.name: shown(one) for one in some}
            rows.append((part, *(by_name.get(column, "") for column in columns)))
        found.append((result.label, (("Part", *map(name_of, columns)), rows)))
    return found


def count_table(section: Section) -> Table | None:
    """Samples by run and parser; None without any."""
    columns = list(dict.fromkeys(name for result in section.own for name in result.counts))
    rows = [(one.label, *(f"{one.counts.get(column, 0):,}" for column in columns)) for one in section.own if one.counts]
    return (("Run", *columns), rows) if rows else None


def problem_table(section: Section) -> Table | None:
    """Why models gave no answer; None where all answered."""
    rows: list[Cells] = [
        (name, why, f"{count:,}") for name, some in section.problems.items() for why, count in some.items()
    ]
    return (("Run", "Reason", "Samples"), rows) if rows else None


def comparison_table(section: Section) -> Table | None:
    """The paired tests; None without any."""
    rows: list[Cells] = []
    for one in section.comparisons:
        scale = 1 if one.metric in AS_THEY_ARE else 100
        value, low, high = (f"{x * scale:+.2f}" for x in one.difference)
        rows.append(
            (
                f"{one.first} minus {one.second}", name_of(one.metric), f"{value} [{low}, {high}]",
                f"{one.p_value:.3g}", one.test, f"{one.only_first} : {one.only_second}", f"{one.num_samples:,}",
            )
        )  # fmt: skip
    return (("Pair", "Metric", "Difference", "p", "Test", "Only one right", "Samples"), rows) if rows else None


# --- lists ----------------------------------------------------------------------------------------------------------


def counts_text(counts: Mapping[str, int]) -> str:
    """Counts as one line."""
    return ", ".join(f"{name} {count}" for name, count in counts.items())


def comparison_lines(section: Section) -> list[str]:
    """A sentence for each paired test, and for each pair that was not compared."""
    _, rows = comparison_table(section) or ((), [])
    lines = [
        f"{pair}: {metric} {difference}, p = {p} ({test}), only one right {only} of {count} samples"
        for pair, metric, difference, p, test, only, count in rows
    ]
    return [*lines, *(f"not compared: {why}" for why in section.not_compared)]


def by_sentence(protocol: Mapping[str, Sequence[str]]) -> list[tuple[str, str]]:
    """(whose, sentence) of every run, each sentence once."""
    whose: dict[str, list[str]] = {}
    for name, sentences in protocol.items():
        for sentence in sentences:
            whose.setdefault(sentence, []).append(name)
    everybody = len(protocol)
    return [("all runs" if len(names) == everybody > 1 else ", ".join(names), text) for text, names in whose.items()]


def published_lines(section: Section) -> list[str]:
    """What is known of published rows: where each table is printed, its protocol, and what its arithmetic says."""
    lines = [
        line
        for table in section.published
        for line in (f"{table['name']}: {table['source']}", *(f"{table['name']}: {note}" for note in table["notes"]))
    ]
    return [*lines, *section.checks]


def lists_of(section: Section) -> list[tuple[str, list[str]]]:
    """Title and lines of the lists below a benchmark's table; those without lines are left out."""
    lists = [
        ("Samples", [f"{one.label}: {counts_text(one.counts)}" for one in section.own if one.counts]),
        ("Failures", [f"{name}: {n} x {why}" for name, some in section.problems.items() for why, n in some.items()]),
        ("Paired tests", comparison_lines(section)),
        ("How it was done", [f"{who}: {what}" for who, what in by_sentence(section.protocol)]),
        ("Published rows", published_lines(section)),
    ]
    return [(title, lines) for title, lines in lists if lines]
