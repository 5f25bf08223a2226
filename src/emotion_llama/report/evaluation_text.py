"""A report for a terminal of 80 columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from emotion_llama.evaluation.published import RECALL
from emotion_llama.evaluation.report import Row, Section, by_sentence, published_lines, shown
from emotion_llama.report.sheet import Part, Sheet

WIDTH = 80
NAME, CELL = 34, 9  # columns of a name and of a figure
MOST_COLUMNS = (WIDTH - NAME) // CELL
SHORT = {
    "weighted_f1": "w. F1", "accuracy": "acc.", "macro_f1": "mac. F1", "micro_f1": "mic. F1", "uar": "UAR",
    "answered_accuracy": "acc. ans", "clue_overlap": "clues", "label_overlap": "labels", "set_accuracy": "set acc.",
    "set_recall": "set rec.", "named_cue_overlap": "cues", "named_label_overlap": "labels",
}  # fmt: skip


def render_report_text(report: Sequence[Section], *, colour: bool = False, encoding: str | None = "utf-8") -> str:
    """The whole report, lines of at most 80 columns, with a line break at the end."""
    sheet = Sheet(WIDTH, colour=colour, encoding=encoding)
    for number, section in enumerate(report):
        if number:
            sheet.line()
        _section(sheet, section)
    return sheet.text()


def _section(sheet: Sheet, section: Section) -> None:
    sheet.line(Part(section.benchmark, "bold"))
    columns = section.columns[:MOST_COLUMNS]
    sheet.line(Part(" " * NAME + "".join(f"{SHORT.get(c, c)[: CELL - 1]:>{CELL}}" for c in columns), "dim"))
    for row in section.rows:
        _row(sheet, row, columns, section.primary)
    rest = [column for column in section.columns[MOST_COLUMNS:] if not column.startswith(RECALL)]
    if rest:
        sheet.paragraph(f"further figures in the other formats: {', '.join(rest)}", style="dim")
    _counts(sheet, section)
    _comparisons(sheet, section)
    _listed(sheet, "How it was done", [f"{who}: {told}" for who, told in by_sentence(section.protocol)])
    _listed(sheet, "Published rows", published_lines(section))


def _row(sheet: Sheet, row: Row, columns: Sequence[str], primary: str) -> None:
    cells = "".join(f"{shown(row.metrics[c]) if c in row.metrics else '-':>{CELL}}" for c in columns)
    sheet.line(Part(sheet.pad(row.label, NAME) + cells, "accent" if row.is_own else "plain"))
    first = row.metrics.get(primary)
    if row.is_own and first is not None and first.low is not None:
        sheet.line(Part(f"  {shown(first, with_interval=True)}", "dim"))


def _counts(sheet: Sheet, section: Section) -> None:
    if not section.counts:
        return
    sheet.line()
    sheet.line(Part("Cases", "bold"))
    for name, counts in section.counts.items():
        sheet.paragraph(counts_text(counts), first=f"  {name}: ", indent="    ")
    for name, problems in section.problems.items():
        for problem, count in problems.items():
            sheet.paragraph(problem, first=f"  {count:>6}  {sheet.pad(name, 16)}  ", style="warning")


def counts_text(counts: Mapping[str, int]) -> str:
    """Counts as one line."""
    return ", ".join(f"{name} {count}" for name, count in counts.items())


def _comparisons(sheet: Sheet, section: Section) -> None:
    if not section.comparisons and not section.not_compared:
        return
    sheet.line()
    sheet.line(Part("Paired tests", "bold"))
    for one in section.comparisons:
        scale = 1 if one.test != "McNemar, exact" else 100
        low, high = one.difference.low * scale, one.difference.high * scale
        sheet.paragraph(
            f"{one.first} minus {one.second}: {one.metric} {one.difference.value * scale:+.2f} "
            f"[{low:+.2f}, {high:+.2f}], p = {one.p_value:.3g} ({one.test}; {one.only_first} against "
            f"{one.only_second} of {one.num_samples} cases)",
            first="  ",
            indent="    ",
        )
    for why in section.not_compared:
        sheet.paragraph(f"not compared: {why}", first="  ", indent="    ", style="dim")


def _listed(sheet: Sheet, title: str, sentences: Sequence[str]) -> None:
    if not sentences:
        return
    sheet.line()
    sheet.line(Part(title, "bold"))
    for sentence in sentences:
        sheet.paragraph(sentence, first="  - ", indent="    ", style="dim")
