"""A report as Markdown and as LaTeX tables."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from emotion_llama.evaluation.report import Row, Section, by_sentence, published_lines, shown
from emotion_llama.report.evaluation_text import comparison_lines, counts_text
from emotion_llama.report.wording import printable

UNITS = "Shares in percent, in brackets their 95 % bootstrap interval. Rows without a parser are published."
_LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
}  # fmt: skip


def markdown(text: str) -> str:
    """Text that Markdown shows as it is, inside a table too."""
    return "".join(f"\\{c}" if c in "\\|*_`[]<>#~" else c for c in printable(text))


def latex(text: str) -> str:
    """Text that LaTeX shows as it is."""
    return "".join(_LATEX.get(c, c) for c in printable(text))


def render_markdown(report: Sequence[Section]) -> str:
    """The whole report in Markdown."""
    return "\n".join(line for section in report for line in _markdown(section)) + "\n"


def _markdown(section: Section) -> list[str]:
    lines = [f"## {markdown(section.benchmark)}", "", _table_row(["System", "Parser", *section.columns])]
    lines.append(_table_row(["---", "---", *["---:"] * len(section.columns)], escape=False))
    lines += [_table_row(_cells(row, section.columns)) for row in section.rows]
    lines += [
        "",
        UNITS,
        "",
    ]
    lines += _bullets("Cases", [f"{name}: {counts_text(counts)}" for name, counts in section.counts.items()])
    failed = [f"{name}: {n} x {why}" for name, some in section.problems.items() for why, n in some.items()]
    lines += _bullets("Failures", failed)
    lines += _bullets("Paired tests", comparison_lines(section))
    lines += _bullets("How it was done", [f"{who}: {told}" for who, told in by_sentence(section.protocol)])
    return lines + _bullets("Published rows", published_lines(section))


def render_latex(report: Sequence[Section]) -> str:
    """One `table` environment a benchmark (booktabs)."""
    return "\n".join(_latex(section) for section in report)


def _latex(section: Section) -> str:
    head = " & ".join(["System", "Parser", *map(latex, section.columns)])
    lines = [
        "% \\usepackage{booktabs}", "\\begin{table}", "\\centering",
        f"\\begin{{tabular}}{{ll{'r' * len(section.columns)}}}", "\\toprule", f"{head} \\\\", "\\midrule",
    ]  # fmt: skip
    previous: Row | None = None
    for row in section.rows:
        if previous is not None and previous.is_own and not row.is_own:
            lines.append("\\midrule")
        lines.append(" & ".join(map(latex, _cells(row, section.columns))) + " \\\\")
        previous = row
    notes = "; ".join(f"{name}: {counts_text(counts)}" for name, counts in section.counts.items())
    caption = f"{section.benchmark}. {UNITS} {notes}."
    return "\n".join([*lines, "\\bottomrule", "\\end{tabular}", f"\\caption{{{latex(caption)}}}", "\\end{table}", ""])


def _cells(row: Row, columns: Sequence[str]) -> list[str]:
    figures = (shown(row.metrics[c], with_interval=True) if c in row.metrics else "" for c in columns)
    return [row.system, row.parser, *figures]


def _table_row(cells: Sequence[str], *, escape: bool = True) -> str:
    keep: Callable[[str], str] = markdown if escape else str
    return "| " + " | ".join(keep(cell) for cell in cells) + " |"


def _bullets(title: str, sentences: Sequence[str]) -> list[str]:
    if not sentences:
        return []
    return [f"### {title}", "", *(f"- {markdown(sentence)}" for sentence in sentences), ""]
