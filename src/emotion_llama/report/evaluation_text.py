"""A report for a terminal of 80 columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from emotion_llama.evaluation.published import RECALL
from emotion_llama.evaluation.report import Section, by_sentence, published_lines, shown
from emotion_llama.report.console import Printout

WIDTH = 80
NAME, MAX_COLUMNS = 30, 5  # columns of a name, and figures beside it
SHORT = {
    "weighted_f1": "w. F1", "accuracy": "acc.", "macro_f1": "mac. F1", "micro_f1": "mic. F1", "uar": "UAR",
    "answered_accuracy": "acc. ans", "clue_overlap": "clues", "label_overlap": "labels", "set_accuracy": "set acc.",
    "set_recall": "set rec.", "named_cue_overlap": "cues", "named_label_overlap": "labels",
}  # fmt: skip


def render_report_text(report: Sequence[Section], *, colour: bool = False, encoding: str | None = "utf-8") -> str:
    """The whole report, lines of at most 80 columns, with a line break at the end."""
    out = Printout(WIDTH, colour=colour, encoding=encoding)
    for number, section in enumerate(report):
        if number:
            out.line()
        _section(out, section)
    return out.text()


def _section(out: Printout, section: Section) -> None:
    columns = section.columns[:MAX_COLUMNS]
    rows: list[list[str | tuple[str, str]]] = []
    for row in section.rows:
        shown_figures = [shown(row.metrics[c]) if c in row.metrics else "-" for c in columns]
        rows.append([(row.label, "cyan" if row.is_own else ""), *shown_figures])
        first = row.metrics.get(section.primary)
        if row.is_own and first is not None and first.low is not None:
            rows.append([(f"  {shown(first, with_interval=True)}", "dim"), *[""] * len(columns)])
    out.numbers(section.benchmark, [SHORT.get(c, c) for c in columns], rows, name_width=NAME)
    rest = [column for column in section.columns[MAX_COLUMNS:] if not column.startswith(RECALL)]
    if rest:
        out.paragraph(f"further metrics in the other formats: {', '.join(rest)}", style="dim")
    _counts(out, section)
    _comparisons(out, section)
    _listed(out, "How it was done", [f"{who}: {what}" for who, what in by_sentence(section.protocol)])
    _listed(out, "Published rows", published_lines(section))


def _counts(out: Printout, section: Section) -> None:
    if not section.counts:
        return
    out.line()
    out.line(("Cases", "bold"))
    for name, counts in section.counts.items():
        out.paragraph(counts_text(counts), f"  {name}: ", indent=4)
    for name, problems in section.problems.items():
        for problem, count in problems.items():
            out.paragraph(problem, f"  {count:>6}  {name:<16}  ", style="yellow", indent=28)


def counts_text(counts: Mapping[str, int]) -> str:
    """Counts as one line."""
    return ", ".join(f"{name} {count}" for name, count in counts.items())


def comparison_lines(section: Section) -> list[str]:
    """A sentence for each paired test."""
    lines = []
    for one in section.comparisons:
        scale = 1 if one.test != "McNemar, exact" else 100
        low, value, high = (x * scale for x in (one.difference.low, one.difference.value, one.difference.high))
        lines.append(
            f"{one.first} minus {one.second}: {one.metric} {value:+.2f} [{low:+.2f}, {high:+.2f}], "
            f"p = {one.p_value:.3g} ({one.test}), {one.only_first} against {one.only_second} of {one.num_samples} cases"
        )
    return [*lines, *(f"not compared: {why}" for why in section.not_compared)]


def _comparisons(out: Printout, section: Section) -> None:
    _listed(out, "Paired tests", comparison_lines(section), style="")


def _listed(out: Printout, title: str, sentences: Sequence[str], *, style: str = "dim") -> None:
    if not sentences:
        return
    out.line()
    out.line((title, "bold"))
    for sentence in sentences:
        out.paragraph(sentence, "  - ", style=style)
