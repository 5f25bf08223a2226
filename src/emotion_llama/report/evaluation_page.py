"""The HTML page of an evaluation: runs beside published rows, as `templates/evaluation.html.j2` shows them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from emotion_llama.evaluation.published import RECALL
from emotion_llama.evaluation.records import Metric
from emotion_llama.evaluation.report import AS_THEY_ARE, Row, Section, by_sentence, shown
from emotion_llama.report.charts import drawing, join, shape, text
from emotion_llama.report.evaluation_markup import UNITS
from emotion_llama.report.pages import render
from emotion_llama.report.wording import NBSP, clock

CONFUSION = "confusion/"
BAR_ROW = 48  # height of a row of the chart: its name, and the bar below
MAX_SCALE = 10.0  # judges' metrics end at 10 on both scales

Cells = tuple[str, ...]
Shaded = list[tuple[str, list[float | None], list[str]]]  # name, shares 0..1, texts

NAMES: Mapping[str, str] = {
    "weighted_f1": "weighted F1", "macro_f1": "macro F1", "micro_f1": "micro F1", "uar": "UAR", "accuracy": "accuracy",
    "answered_accuracy": "accuracy of the answered", "ece": "ECE", "brier": "Brier", "log_loss": "log loss",
    "clue_overlap": "clue overlap", "label_overlap": "label overlap", "waf": "WAF", "ew": "EW", "hit": "HIT",
}  # fmt: skip

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


def _best(section: Section) -> Row | None:
    own = [row for row in section.rows if row.is_own and section.primary in row.metrics]
    return max(own, key=lambda row: row.metrics[section.primary].value, default=None)


def _verdict(report: Sequence[Section]) -> str:
    best = _best(report[0])
    if best is None:
        return "No figure"
    primary = report[0].primary
    return f"{_name(primary)} {shown(best.metrics[primary])}"


def _detail(report: Sequence[Section]) -> str:
    section = report[0]
    best = _best(section)
    if best is None:
        return "Nothing was scored."
    found = best.metrics[section.primary]
    counts = section.counts[f"{best.system} ({best.parser})"]
    detail = f"{best.system}, parsed by {best.parser}: the highest of the runs in this report"
    if found.low is not None and found.high is not None:
        detail += f", between {_plain(found, found.low)} and {_plain(found, found.high)} with 95 % confidence"
    return f"{detail}. {counts.get('cases', 0):,} cases, {counts.get('unanswered', 0):,} without an answer."


def _plain(found: Metric, value: float) -> str:
    return shown(Metric(found.name, value))


def chart(section: Section) -> tuple[str, Markup] | None:
    """The caption and the bars of the primary metric of every row, ours with their intervals; None without any."""
    rows = [row for row in section.rows if section.primary in row.metrics]
    if not rows:
        return None
    scale = MAX_SCALE if section.primary in AS_THEY_ARE else 1.0
    drawn = [_bar(row, row.metrics[section.primary], place, scale) for place, row in enumerate(rows)]
    description = "; ".join(f"{row.label} {shown(row.metrics[section.primary])}" for row in rows)
    margins = "--wide:0rem;--wide-tail:9rem;--narrow:0rem;--narrow-tail:8.2rem"
    name = f"{_name(section.primary)}; ours dark with the 95 % interval, published rows pale"
    return name, drawing(BAR_ROW * len(rows), name, description, *drawn, style=margins)


def _bar(row: Row, found: Metric, place: int, scale: float) -> Markup:
    top = BAR_ROW * place
    kind = " chosen" if row.is_own else ""
    share = min(max(found.value / scale, 0.0), 1.0)
    parts = [
        text(row.label, 0, top + 15, f"name{kind}"),
        shape("rect", x=0, y=top + 22, width=f"{100 * share:.2f}%", height=14, rx=2, class_=f"bar{kind}"),
    ]
    end = share
    if row.is_own and found.low is not None and found.high is not None:
        low, high = (f"{100 * min(max(one / scale, 0.0), 1.0):.2f}%" for one in (found.low, found.high))
        parts.append(shape("line", x1=low, x2=high, y1=top + 29, y2=top + 29, class_="peak"))
        parts += [shape("line", x1=x, x2=x, y1=top + 25, y2=top + 33, class_="peak") for x in (low, high)]
        end = max(share, min(found.high / scale, 1.0))
    parts.append(text(shown(found, with_interval=row.is_own), f"{100 * end:.2f}%", top + 34, f"value{kind}", dx=8))
    return join(parts)


def metrics(section: Section) -> tuple[Cells, list[Cells]]:
    """Header and rows of the table of all metrics but recalls."""
    columns = [name for name in section.columns if not name.startswith(RECALL)]
    rows = [
        (row.system, row.parser if row.is_own else "published", *(_cell(row, column) for column in columns))
        for row in section.rows
        if any(column in row.metrics for column in columns)
    ]
    return ("System", "Parser", *map(_name, columns)), rows


def _cell(row: Row, column: str) -> str:
    return shown(row.metrics[column], with_interval=True).replace(" ", NBSP) if column in row.metrics else ""


def recalls(section: Section) -> tuple[Cells, Shaded] | None:
    """Header and rows of the recalls of each label; None without any."""
    columns = [name for name in section.columns if name.startswith(RECALL)]
    if not columns:
        return None
    rows: Shaded = []
    for row in section.rows:
        shares = [row.metrics[c].value if c in row.metrics else None for c in columns]
        if any(share is not None for share in shares):
            rows.append((row.label, shares, ["–" if share is None else f"{100 * share:.2f}" for share in shares]))
    return ("", *(column.removeprefix(RECALL) for column in columns)), rows


def confusions(section: Section) -> list[tuple[str, Cells, Shaded]]:
    """Name, header and rows of each run's confusion matrix: true labels by row, predicted ones by column."""
    found = []
    for name, parts in section.parts.items():
        rows = {part.removeprefix(CONFUSION): figures for part, figures in parts.items() if part.startswith(CONFUSION)}
        if not rows:
            continue
        lines: Shaded = []
        for label, figures in rows.items():
            total = sum(one.value for one in figures) or 1.0
            lines.append((label, [one.value / total for one in figures], [f"{one.value:,.0f}" for one in figures]))
        found.append((name, ("", *(one.name for one in next(iter(rows.values())))), lines))
    return found


def part_tables(section: Section) -> list[tuple[str, Cells, list[Cells]]]:
    """Folds, notes, wheels: everything but recalls and confusions; name, header and rows of each run."""
    found = []
    for name, parts in section.parts.items():
        rest = {part: some for part, some in parts.items() if part != "recall" and not part.startswith(CONFUSION)}
        if not rest:
            continue
        columns = list(dict.fromkeys(one.name for some in rest.values() for one in some))
        rows = [
            (part, *(next((shown(one) for one in some if one.name == column), "") for column in columns))
            for part, some in rest.items()
        ]
        found.append((name, ("Part", *map(_name, columns)), rows))
    return found


def count_table(section: Section) -> tuple[Cells, list[Cells]] | None:
    """Header and rows of the cases by run and parser; None without any."""
    columns = list(dict.fromkeys(name for counts in section.counts.values() for name in counts))
    rows = [(name, *(f"{counts.get(column, 0):,}" for column in columns)) for name, counts in section.counts.items()]
    return (("Run", *columns), rows) if rows else None


def problem_rows(section: Section) -> list[Cells]:
    """Why systems gave no answer."""
    return [(name, why, f"{count:,}") for name, some in section.problems.items() for why, count in some.items()]


def comparison_rows(section: Section) -> list[Cells]:
    """The paired tests."""
    rows: list[Cells] = []
    for one in section.comparisons:
        scale = 1 if one.metric in AS_THEY_ARE else 100
        low, value, high = (
            f"{x * scale:+.2f}" for x in (one.difference.low, one.difference.value, one.difference.high)
        )
        rows.append(
            (
                f"{one.first} minus {one.second}", _name(one.metric), f"{value} [{low}, {high}]", f"{one.p_value:.3g}",
                one.test, f"{one.only_first} : {one.only_second}", f"{one.num_samples:,}",
            )
        )  # fmt: skip
    return rows


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


def _name(column: str) -> str:
    return NAMES.get(column, column.removeprefix(RECALL).replace("_", " "))


# What the template calls.
_HELPERS = {
    "chart": chart,
    "comparison_rows": comparison_rows,
    "confusions": confusions,
    "count_table": count_table,
    "metrics": metrics,
    "part_tables": part_tables,
    "problem_rows": problem_rows,
    "recalls": recalls,
    "run_cards": run_cards,
    "by_sentence": by_sentence,
}
