"""An evaluation as text for a terminal, Markdown, LaTeX tables, and the HTML page of `evaluation.html.j2`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from markupsafe import Markup

from emotion_llama.evaluation.records import EvalResult, Metric
from emotion_llama.evaluation.report import RECALL, Section, metrics_of
from emotion_llama.evaluation.tables import (
    AS_THEY_ARE,
    UNITS,
    Table,
    by_sentence,
    comparison_table,
    confusion_tables,
    count_table,
    counts_text,
    lists_of,
    name_of,
    part_tables,
    problem_table,
    recall_table,
    result_table,
    shown,
)
from emotion_llama.report.charts import drawing, join, shape, text
from emotion_llama.report.console import Printout
from emotion_llama.report.pages import render
from emotion_llama.report.wording import NBSP, clock, printable

BAR_ROW = 48  # height of a row of the chart: its name, and the bar below
MAX_SCALE = 10.0  # judges' metrics end at 10 on both scales

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


def render_evaluation_page(report: Sequence[Section]) -> str:
    """The whole page as HTML text, to be written as UTF-8."""
    return render(
        "evaluation.html.j2",
        report=report,
        verdict=_verdict(report),
        detail=_detail(report),
        units=UNITS,
        **_HELPERS,
    )


def _best(section: Section) -> tuple[EvalResult, Metric] | None:
    """The result of a run with the highest primary metric, and this metric."""
    own = [(one, metrics_of(one)[section.primary]) for one in section.own if section.primary in metrics_of(one)]
    return max(own, key=lambda pair: pair[1].value, default=None)


def _verdict(report: Sequence[Section]) -> str:
    best = _best(report[0])
    return "No figure" if best is None else f"{name_of(report[0].primary)} {shown(best[1])}"


def _detail(report: Sequence[Section]) -> str:
    best = _best(report[0])
    if best is None:
        return "Nothing was scored."
    result, found = best
    counts = result.counts
    detail = f"{result.model}, parsed by {result.parser}: the highest of the runs in this report"
    if found.low is not None and found.high is not None:
        detail += f", between {_plain(found, found.low)} and {_plain(found, found.high)} with 95 % confidence"
    return f"{detail}. {counts.get('cases', 0):,} cases, {counts.get('unanswered', 0):,} without an answer."


def _plain(found: Metric, value: float) -> str:
    return shown(Metric(found.name, value))


def chart(section: Section) -> tuple[str, Markup] | None:
    """The caption and the bars of the primary metric of every row, ours with their intervals; None without any."""
    found = ((result, metrics_of(result).get(section.primary)) for result in section.results)
    rows = [(result, metric) for result, metric in found if metric is not None]
    if not rows:
        return None
    scale = MAX_SCALE if section.primary in AS_THEY_ARE else 1.0
    drawn = [_bar(result, metric, place, scale) for place, (result, metric) in enumerate(rows)]
    description = "; ".join(f"{result.label} {shown(metric)}" for result, metric in rows)
    margins = "--wide:0rem;--wide-tail:9rem;--narrow:0rem;--narrow-tail:8.2rem"
    name = f"{name_of(section.primary)}; ours dark with the 95 % interval, published rows pale"
    return name, drawing(BAR_ROW * len(rows), name, description, *drawn, style=margins)


def _bar(result: EvalResult, found: Metric, place: int, scale: float) -> Markup:
    top = BAR_ROW * place
    kind = " chosen" if result.parser else ""
    share = min(max(found.value / scale, 0.0), 1.0)
    parts = [
        text(result.label, 0, top + 15, f"name{kind}"),
        shape("rect", x=0, y=top + 22, width=f"{100 * share:.2f}%", height=14, rx=2, class_=f"bar{kind}"),
    ]
    end = share
    if result.parser and found.low is not None and found.high is not None:
        low, high = (f"{100 * min(max(one / scale, 0.0), 1.0):.2f}%" for one in (found.low, found.high))
        parts.append(shape("line", x1=low, x2=high, y1=top + 29, y2=top + 29, class_="peak"))
        parts += [shape("line", x1=x, x2=x, y1=top + 25, y2=top + 33, class_="peak") for x in (low, high)]
        end = max(share, min(found.high / scale, 1.0))
    parts.append(
        text(shown(found, with_interval=bool(result.parser)), f"{100 * end:.2f}%", top + 34, f"value{kind}", dx=8)
    )
    return join(parts)


def metric_table(section: Section) -> Table:
    """All metrics but recalls; published rows say so, and an interval stays on one line."""
    columns = [name for name in section.columns if not name.startswith(RECALL)]
    header, rows = result_table(section, columns)
    kept = [
        (cells[0], cells[1] or "published", *(cell.replace(" ", NBSP) for cell in cells[2:]))
        for cells in rows
        if any(cells[2:])
    ]
    return (*header[:2], *map(name_of, columns)), kept


def run_cards(section: Section) -> list[tuple[str, str, str]]:
    """Name, time of all answers, and YAML text of each run card."""
    import yaml

    found = []
    for name, card in section.cards.items():
        time: Any = card.get("time")  # as the file has it
        seconds = time.get("seconds_of_all_replies", 0.0) if isinstance(time, dict) else 0.0
        text = yaml.safe_dump(dict(card), sort_keys=False, allow_unicode=True, width=100).rstrip()
        found.append((name, clock(float(seconds or 0.0)), text))
    return found


# What the template calls.
_HELPERS = {
    "by_sentence": by_sentence,
    "chart": chart,
    "comparison_table": comparison_table,
    "confusion_tables": confusion_tables,
    "count_table": count_table,
    "metric_table": metric_table,
    "part_tables": part_tables,
    "problem_table": problem_table,
    "recall_table": recall_table,
    "run_cards": run_cards,
}


# --- text -------------------------------------------------------------------------------------------------------------


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
