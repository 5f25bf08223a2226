"""The HTML page of an evaluation: runs beside published rows; one file that asks nothing of any network."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from emotion_llama import __version__
from emotion_llama.evaluation.published import RECALL, PublishedTable
from emotion_llama.evaluation.records import Metric
from emotion_llama.evaluation.report import AS_THEY_ARE, Row, Section, by_sentence, shown
from emotion_llama.report.charts import drawing, figure, text
from emotion_llama.report.dataset_page import page
from emotion_llama.report.evaluation_markup import UNITS
from emotion_llama.report.markup import Html, element
from emotion_llama.report.tables import bullet_list, details, facts, table
from emotion_llama.report.wording import NBSP, clock

CONFUSION = "confusion/"
BAR_ROW = 48  # height of a row of the chart: its name, and the bar below
MOST_SCALE = 10.0  # judges' figures end at 10 on both scales

NAMES: Mapping[str, str] = {
    "weighted_f1": "weighted F1", "macro_f1": "macro F1", "micro_f1": "micro F1", "uar": "UAR", "accuracy": "accuracy",
    "answered_accuracy": "accuracy of the answered", "ece": "ECE", "brier": "Brier", "log_loss": "log loss",
    "clue_overlap": "clue overlap", "label_overlap": "label overlap", "waf": "WAF", "ew": "EW", "hit": "HIT",
}  # fmt: skip

LIMITS = (
    "A benchmark measures agreement with the labels of a data set: what raters saw in a clip, not what a person felt.",
    "An interval says how far a figure would move with other clips of the same kind. It knows nothing of other "
    "people, languages, cameras or situations, nor of checkpoints that were chosen by their score on the test set.",
    "Do not build on it what decides about people: hiring, schooling, policing, health, credit or asylum. In the "
    "European Union, inferring emotions at work and in education is prohibited except for medical or safety reasons "
    "(Regulation (EU) 2024/1689, Article 5).",
)


def render_evaluation_page(report: Sequence[Section]) -> str:
    """The whole page as HTML text, to be written as UTF-8."""
    names = [section.benchmark for section in report]
    links = [element("a", name, href=f"#s{number}") for number, name in enumerate(names)]
    head = [
        element("p", "Evaluation", class_="kicker"),
        element("h1", ", ".join(names)),
        element("p", _verdict(report), class_="verdict"),
        element("p", _detail(report), class_="detail"),
    ]
    if len(links) > 1:
        head.append(element("nav", *links, class_="sections", aria_label="Benchmarks"))
    body = [_section(section, number) for number, section in enumerate(report)]
    limits = element(
        "section", element("h2", "What this can and cannot know"), *(element("p", one) for one in LIMITS),
        class_="limits",
    )  # fmt: skip
    return page(f"{names[0]} · evaluation", element("main", element("header", *head), *body, limits))


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
    told = f"{best.system}, read by the parser {best.parser}: the highest of the runs in this report"
    if found.low is not None and found.high is not None:
        told += f", between {_plain(found, found.low)} and {_plain(found, found.high)} with 95 % confidence"
    return f"{told}. {counts.get('cases', 0):,} cases, {counts.get('unanswered', 0):,} without an answer."


def _plain(found: Metric, value: float) -> str:
    return shown(Metric(found.name, value))


def _section(section: Section, number: int) -> Html:
    parts = [
        element("h2", section.benchmark),
        _chart(section),
        _figures(section),
        element("p", UNITS, class_="note"),
        *_recalls(section),
        *_confusions(section),
        *_parts(section),
        *_counts(section),
        *_problems(section),
        *_comparisons(section),
        *_protocol(section),
        *_published(section.published, section.checks),
        *_cards(section),
    ]
    return element("section", *parts, id=f"s{number}")


# --- figures --------------------------------------------------------------------------------------------------------


def _chart(section: Section) -> Html:
    """The primary figure of every row, ours with their intervals."""
    rows = [row for row in section.rows if section.primary in row.metrics]
    if not rows:
        return Html()
    scale = MOST_SCALE if section.primary in AS_THEY_ARE else 1.0
    drawn = [_bar(row, row.metrics[section.primary], place, scale) for place, row in enumerate(rows)]
    words = "; ".join(f"{row.label} {shown(row.metrics[section.primary])}" for row in rows)
    margins = "--wide:0rem;--wide-tail:9rem;--narrow:0rem;--narrow-tail:8.2rem"
    name = f"{_name(section.primary)}; ours dark with the 95 % interval, published rows pale"
    return figure(name, drawing(BAR_ROW * len(rows), name, words, *drawn, style=margins), class_="chart")


def _bar(row: Row, found: Metric, place: int, scale: float) -> Html:
    top = BAR_ROW * place
    kind = " chosen" if row.is_own else ""
    share = min(max(found.value / scale, 0.0), 1.0)
    parts = [
        text(row.label, 0, top + 15, f"name{kind}"),
        element("rect", x=0, y=top + 22, width=f"{100 * share:.2f}%", height=14, rx=2, class_=f"bar{kind}"),
    ]
    end = share
    if row.is_own and found.low is not None and found.high is not None:
        low, high = (f"{100 * min(max(one / scale, 0.0), 1.0):.2f}%" for one in (found.low, found.high))
        parts.append(element("line", x1=low, x2=high, y1=top + 29, y2=top + 29, class_="peak"))
        parts += [element("line", x1=x, x2=x, y1=top + 25, y2=top + 33, class_="peak") for x in (low, high)]
        end = max(share, min(found.high / scale, 1.0))
    parts.append(text(shown(found, with_interval=row.is_own), f"{100 * end:.2f}%", top + 34, f"value{kind}", dx=8))
    return Html("".join(parts))


def _figures(section: Section) -> Html:
    columns = [name for name in section.columns if not name.startswith(RECALL)]
    header = ("System", "Read by", *map(_name, columns))
    rows = [
        (row.system, row.parser if row.is_own else "published", *(_cell(row, column) for column in columns))
        for row in section.rows
        if any(column in row.metrics for column in columns)
    ]
    return element("div", table("Figures", header, rows, "numbers-wide stacks"), class_="scrolls")


def _cell(row: Row, column: str) -> str:
    return shown(row.metrics[column], with_interval=True).replace(" ", NBSP) if column in row.metrics else ""


def _recalls(section: Section) -> list[Html]:
    columns = [name for name in section.columns if name.startswith(RECALL)]
    if not columns:
        return []
    rows = [row for row in section.rows if any(column in row.metrics for column in columns)]
    labels = [column.removeprefix(RECALL) for column in columns]
    lines = [
        (row.label, [row.metrics[c].value if c in row.metrics else None for c in columns]) for row in rows
    ]  # fmt: skip
    return [_shaded("Recall of each label, in percent", ("", *labels), lines, percent=True)]


def _confusions(section: Section) -> list[Html]:
    found = []
    for name, parts in section.parts.items():
        rows = {part.removeprefix(CONFUSION): figures for part, figures in parts.items() if part.startswith(CONFUSION)}
        if not rows:
            continue
        told = [one.name for one in next(iter(rows.values()))]
        totals = {label: sum(one.value for one in figures) or 1.0 for label, figures in rows.items()}
        lines = [(label, [one.value / totals[label] for one in figures]) for label, figures in rows.items()]
        counts = [[one.value for one in figures] for figures in rows.values()]
        caption = "True label (rows), told (columns)"
        found.append(details(f"Confusion: {name}", _shaded(caption, ("", *told), lines, counts=counts)))
    return found


def _shaded(
    caption: str,
    header: Sequence[str],
    lines: Sequence[tuple[str, Sequence[float | None]]],
    *,
    percent: bool = False,
    counts: Sequence[Sequence[float]] | None = None,
) -> Html:
    """A table whose cells are as dark as their share 0..1."""
    head = element("thead", element("tr", *(element("th", name, scope="col") for name in header)))
    body = []
    for number, (name, shares) in enumerate(lines):
        cells = []
        for place, share in enumerate(shares):
            if share is None:
                cells.append(element("td", "–", class_="none"))
                continue
            value = f"{100 * share:.2f}" if percent else f"{(counts or [[share]])[number][place]:,.0f}"
            cells.append(element("td", value, style=f"--share:{share:.2f}"))
        body.append(element("tr", element("th", name, scope="row"), *cells))
    whole = element("table", element("caption", caption), head, element("tbody", *body), class_="shaded")
    return element("div", whole, class_="scrolls")


def _parts(section: Section) -> list[Html]:
    """Folds, notes, wheels: everything but recalls and confusions."""
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
        caption = "Figures of parts, in percent"
        listed = table(caption, ("Part", *map(_name, columns)), rows, "stacks")
        found.append(details(f"Parts: {name}", element("div", listed, class_="scrolls")))
    return found


# --- cases, tests, protocol -----------------------------------------------------------------------------------------


def _counts(section: Section) -> list[Html]:
    if not section.counts:
        return []
    columns = list(dict.fromkeys(name for counts in section.counts.values() for name in counts))
    rows = [
        (name, *(f"{counts[column]:,}" if column in counts else "0" for column in columns))
        for name, counts in section.counts.items()
    ]
    listed = element("div", table("Cases by parser", ("Run", *columns), rows, "stacks"), class_="scrolls")
    return [element("h3", "Cases and failures"), listed]


def _protocol(section: Section) -> list[Html]:
    if not section.protocol:
        return []
    listed = table("What a reader has to know", ("Of", ""), by_sentence(section.protocol), "stacks")
    return [element("h3", "How it was done"), listed]


def _cards(section: Section) -> list[Html]:
    if not section.cards:
        return []
    return [element("h3", "For the record"), *(_card(name, card) for name, card in section.cards.items())]


def _problems(section: Section) -> list[Html]:
    rows = [(name, why, f"{count:,}") for name, some in section.problems.items() for why, count in some.items()]
    return [table("Why systems gave no answer", ("Run", "Reason", "Cases"), rows, "stacks")] if rows else []


def _comparisons(section: Section) -> list[Html]:
    if not section.comparisons and not section.not_compared:
        return []
    rows = []
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
    header = ("Pair", "Figure", "Difference", "p", "Test", "Only one right", "Cases")
    parts = [element("h3", "Paired tests")]
    if rows:
        parts.append(element("div", table("On the same cases", header, rows, "stacks"), class_="scrolls"))
    parts += [element("p", f"Not compared: {why}.", class_="note") for why in section.not_compared]
    return parts


def _published(tables: Sequence[PublishedTable], checks: Iterable[str]) -> list[Html]:
    if not tables:
        return []
    parts = [element("h3", "The published rows")]
    for one in tables:
        parts.append(element("p", f"{one.name}: {one.source}.", class_="why"))
        parts.append(bullet_list([f"{note}." for note in one.notes]))
    listed = list(checks)
    return [*parts, bullet_list([f"{check}." for check in listed])] if listed else parts


def _card(name: str, card: Mapping[str, object]) -> Html:
    import yaml

    time = card["time"] if isinstance(card.get("time"), dict) else {}
    seconds = time.get("seconds_of_all_replies", 0.0) if isinstance(time, dict) else 0.0
    lines = yaml.safe_dump(dict(card), sort_keys=False, allow_unicode=True, width=100).rstrip()
    short = facts([("Asked for", clock(float(seconds or 0.0))), ("Reported by", f"emotion-llama {__version__}")])
    return details(f"Run card: {name}", short, element("pre", lines_of(lines), class_="recipe"))


def lines_of(content: str) -> Html:
    """Text with its line breaks kept."""
    return Html("\n".join(element("span", line) for line in content.split("\n")))


def _name(column: str) -> str:
    return NAMES.get(column, column.removeprefix(RECALL).replace("_", " "))
