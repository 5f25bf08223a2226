"""The HTML page of an evaluation: runs beside published rows, as `templates/evaluation.html.j2` shows them."""

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
    name_of,
    part_tables,
    problem_table,
    recall_table,
    result_table,
    shown,
)
from emotion_llama.report.charts import drawing, join, shape, text
from emotion_llama.report.pages import render
from emotion_llama.report.wording import NBSP, clock

BAR_ROW = 48  # height of a row of the chart: its name, and the bar below
MAX_SCALE = 10.0  # judges' metrics end at 10 on both scales

LIMITS = (
    "A benchmark measures agreement with the labels of a data set: what raters saw in a clip, not what a person felt.",
    "An interval says how far a figure would move with other clips of the same kind. It does not cover other "
    "people, languages, cameras or situations, nor checkpoints that were chosen by their score on the test set.",
    "Do not base decisions about people on it: not on hiring, schooling, policing, health, credit or asylum. In the "
    "European Union, inferring emotions at work and in education is prohibited except for medical or safety reasons "
    "(Regulation (EU) 2024/1689, Article 5).",
)


def render_evaluation_page(report: Sequence[Section]) -> str:
    """The whole page as HTML text, to be written as UTF-8."""
    return render(
        "evaluation.html.j2",
        report=report,
        verdict=_verdict(report),
        detail=_detail(report),
        units=UNITS,
        limits=LIMITS,
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
