"""A report as text: for a terminal of 80 columns, in Markdown, and as LaTeX tables."""

from __future__ import annotations

from collections.abc import Sequence

from emotion_llama.evaluation.report import RECALL, Section, metrics_of
from emotion_llama.evaluation.tables import UNITS, Table, counts_text, lists_of, result_table, shown
from emotion_llama.report.console import Printout
from emotion_llama.report.wording import printable

WIDTH = 80
NAME, MAX_COLUMNS = 30, 5  # columns of a name, and metrics beside it
SHORT = {
    "weighted_f1": "w. F1", "accuracy": "acc.", "macro_f1": "mac. F1", "micro_f1": "mic. F1", "uar": "UAR",
    "answered_accuracy": "acc. ans", "clue_overlap": "clues", "label_overlap": "labels", "set_accuracy": "set acc.",
    "set_recall": "set rec.", "named_cue_overlap": "cues", "named_label_overlap": "labels",
}  # fmt: skip
_LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
}  # fmt: skip


def render_report_text(report: Sequence[Section], *, colour: bool = False, encoding: str | None = "utf-8") -> str:
    """The whole report for a terminal, lines of at most 80 columns, with a line break at the end."""
    out = Printout(WIDTH, colour=colour, encoding=encoding)
    for number, section in enumerate(report):
        if number:
            out.line()
        _print(out, section)
    return out.text()


def _print(out: Printout, section: Section) -> None:
    columns = section.columns[:MAX_COLUMNS]
    rows: list[list[str | tuple[str, str]]] = []
    _, found = result_table(section, columns, with_interval=False, missing="-")
    for result, (_, _, *cells) in zip(section.results, found, strict=True):
        rows.append([(result.label, "cyan" if result.parser else ""), *cells])
        first = metrics_of(result).get(section.primary)
        if result.parser and first is not None and first.low is not None:
            rows.append([(f"  {shown(first, with_interval=True)}", "dim"), *[""] * len(columns)])
    out.numbers(section.benchmark, [SHORT.get(column, column) for column in columns], rows, name_width=NAME)
    rest = [column for column in section.columns[MAX_COLUMNS:] if not column.startswith(RECALL)]
    if rest:
        out.paragraph(f"further metrics in the other formats: {', '.join(rest)}", style="dim")
    styles = {"Samples": "", "Failures": "yellow", "Paired tests": ""}
    for title, lines in lists_of(section):
        out.line()
        out.line((title, "bold"))
        for line in lines:
            out.paragraph(line, "  - ", style=styles.get(title, "dim"))


def markdown(text: str) -> str:
    """Text that Markdown shows as it is, inside a table too."""
    return "".join(f"\\{c}" if c in "\\|*_`[]<>#~" else c for c in printable(text))


def render_markdown(report: Sequence[Section]) -> str:
    """The whole report in Markdown."""
    lines = []
    for section in report:
        lines += [f"## {markdown(section.benchmark)}", "", *_markdown(result_table(section, section.columns))]
        lines += ["", UNITS, ""]
        for title, items in lists_of(section):
            lines += [f"### {title}", "", *(f"- {markdown(item)}" for item in items), ""]
    return "\n".join(lines) + "\n"


def _markdown(table: Table) -> list[str]:
    header, rows = table
    lines = [f"| {' | '.join(map(markdown, cells))} |" for cells in (header, *rows)]
    return [lines[0], f"| --- | --- | {' | '.join(['---:'] * (len(header) - 2))} |", *lines[1:]]


def latex(text: str) -> str:
    """Text that LaTeX shows as it is."""
    return "".join(_LATEX.get(c, c) for c in printable(text))


def render_latex(report: Sequence[Section]) -> str:
    """One `table` environment a benchmark (booktabs)."""
    return "\n".join(_latex(section) for section in report)


def _latex(section: Section) -> str:
    header, rows = result_table(section, section.columns)
    head, *lines = (f"{' & '.join(map(latex, cells))} \\\\" for cells in (header, *rows))
    num_own = len(section.own)
    if 0 < num_own < len(lines):
        lines.insert(num_own, "\\midrule")
    notes = "; ".join(f"{one.label}: {counts_text(one.counts)}" for one in section.own if one.counts)
    return "\n".join(
        [
            "% \\usepackage{booktabs}", "\\begin{table}", "\\centering",
            f"\\begin{{tabular}}{{ll{'r' * len(section.columns)}}}", "\\toprule", head, "\\midrule", *lines,
            "\\bottomrule", "\\end{tabular}", f"\\caption{{{latex(f'{section.benchmark}. {UNITS} {notes}.')}}}",
            "\\end{table}", "",
        ]
    )  # fmt: skip
