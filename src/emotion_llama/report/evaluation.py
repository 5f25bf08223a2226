"""Text for a terminal, and HTML pages, of an evaluation (Markdown and LaTeX too) and of agreement with human coders."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from markupsafe import Markup

from emotion_llama.evaluation.agreement import MACHINE, Agreement
from emotion_llama.evaluation.metrics.agreement import DIFFERENCE, HUMANS, OURS, Figure
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
        *_HELPERS,
        report=report,
        verdict=_verdict(report),
        detail=_detail(report),
        units=UNITS,
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
_HELPERS = (
    by_sentence, chart, comparison_table, confusion_tables, count_table, metric_table, part_tables, problem_table,
    recall_table, run_cards,
)  # fmt: skip


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


# --- agreement with human coders ------------------------------------------------------------------------------------

AGREEMENT = {
    "labels": "Labels, by sample", "label": "Each label", "unit": "Action units",
    "label episodes": "Label episodes (s)", "unit episodes": "Unit episodes (s)", "peaks": "Peaks (s)",
}  # fmt: skip
_IN_SHORT = ("F1", "ICC(2,1)", "F1 at 1")  # of labels and units; the page and the table have all
Rows = list[tuple[str, ...]]


def render_agreement_text(found: Agreement, *, colour: bool = False, encoding: str | None = "utf-8") -> str:
    """The figures for a terminal of 80 columns, and what was left out."""
    out = Printout(WIDTH, colour=colour, encoding=encoding)
    out.paragraph(_agreement_heading(found))
    for section, title in AGREEMENT.items():
        if rows := _agreement_rows(found, section, in_short=True):
            out.line()
            out.columns(title, ("human-human", "human-machine", "difference"), rows)
    if found.notes:
        out.line()
        out.line(("What to know", "bold"))
        for note in found.notes:
            out.paragraph(note, "  ", indent=4)
    return out.text()


def render_agreement_page(found: Agreement) -> str:
    """The whole page as HTML text, to be written as UTF-8."""
    sections = [(title, _agreement_rows(found, section)) for section, title in AGREEMENT.items()]
    pairs = dict.fromkeys(one.between for one in found.figures if one.between not in (HUMANS, OURS, DIFFERENCE))
    of_pairs = [
        (pair, [(AGREEMENT[f.section], _figure_name(f), _with_interval(f)) for f in found.figures if f.between == pair])
        for pair in pairs
    ]
    totals = found.confusion.sum(axis=1)
    confusion = [
        (label, [float(n / total) if total else 0.0 for n in row], [f"{n:.0f}" for n in row])
        for label, row, total in zip(found.labels, found.confusion, totals, strict=True)
    ]
    return render(
        "agreement.html.j2", found=found, heading=_agreement_heading(found), sections=sections, pairs=of_pairs,
        confusion=confusion if found.confusion.any() else None, main=found.figure("labels", "Cohen's kappa", OURS),
        shown=_with_interval,
    )  # fmt: skip


def _agreement_rows(found: Agreement, section: str, *, in_short: bool = False) -> Rows:
    """Name, human-human, human-machine and difference of each figure of a section; "–" for what there is not."""
    kept = [
        one
        for one in found.figures
        if one.section == section and not (in_short and one.of and one.name not in _IN_SHORT)
    ]
    keys = dict.fromkeys((one.of, one.name) for one in kept if one.between in (HUMANS, OURS))
    rows = [
        (_figure_name(next(one for one in kept if (one.of, one.name) == key)),
         *(_with_interval(found.figure(section, key[1], between, key[0])) for between in (HUMANS, OURS, DIFFERENCE)))
        for key in keys
    ]  # fmt: skip
    both = [one for one in kept if one.between in ("all humans", "all humans & machine")]
    if len(both) == 2:
        rows.append(("alpha of all", _with_interval(both[0]), _with_interval(both[1]), "–"))
    return rows


def _with_interval(figure: Figure | None) -> str:
    """The figure and its interval."""
    if figure is None or figure.value is None:
        return "–"
    value = _short(figure.value)
    if figure.low is None or figure.high is None:
        return value
    return f"{value} [{_short(figure.low)}, {_short(figure.high)}]"


def _short(value: float) -> str:
    """Two digits, no nought before the point, and no minus before nothing: .86, -.14, 1.00."""
    text = f"{value:.2f}"
    return ".00" if float(text) == 0 else text.replace("0.", ".", 1) if abs(float(text)) < 1 else text


def _figure_name(figure: Figure) -> str:
    return f"{figure.of} {figure.name}".strip()


def _agreement_heading(found: Agreement) -> str:
    humans: Sequence[str] = [name for name in found.coders if name != MACHINE]
    clips = f"{len(found.clips)} clips" if len(found.clips) > 1 else "1 clip, which gives no intervals"
    return (
        f"{len(humans)} human coders ({', '.join(humans)}) and the machine, {clips}, a sample every "
        f"{found.step_seconds:g} s. Means over pairs of coders, [95 % bootstrap interval over clips]."
    )
