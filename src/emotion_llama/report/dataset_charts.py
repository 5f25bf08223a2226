"""The charts of a data set's page: bars of counts, a histogram, shares as a shaded table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from emotion_llama.report.charts import BAR_ROW, drawing, text
from emotion_llama.report.markup import Html, element, join, number

LONGEST_NAME = 30  # characters of a name beside its bar
HISTOGRAM_HEIGHT = 120  # pixels, without the axis
AXIS = 22


class Bar(NamedTuple):
    """One row: its name, the part drawn strongly, the whole, what stands behind it; and what phones leave out."""

    name: str
    strong: float
    whole: float
    shown: str
    more_name: str = ""
    more_shown: str = ""


def count_bars(rows: Sequence[Bar], title: str) -> Html:
    """Horizontal bars from a common zero; the largest one fills the width."""
    most = max((row.whole for row in rows), default=0) or 1
    parts = []
    for index, row in enumerate(rows):
        y = BAR_ROW * index
        whole, strong = f"{100 * row.whole / most:.2f}%", f"{100 * row.strong / most:.2f}%"
        parts.append(_text(_short(row.name), row.more_name, -10, y + 17, "name", "end"))
        parts.append(element("rect", x=0, y=y + 4, width=whole, height=BAR_ROW - 8, rx=2, class_="bar"))
        if row.strong:
            parts.append(element("rect", x=0, y=y + 4, width=strong, height=BAR_ROW - 8, rx=2, class_="bar chosen"))
        parts.append(_text(row.shown, row.more_shown, whole, y + 17, "value", None))
    words = "; ".join(f"{row.name}{row.more_name} {row.shown}{row.more_shown}" for row in rows)
    before, behind = (max(map(len, texts), default=0) for texts in (
        [_short(row.name) for row in rows], [row.shown for row in rows]
    ))  # fmt: skip
    wide, wide_tail = (max(map(len, texts), default=0) for texts in (
        [_short(row.name) + row.more_name for row in rows], [row.shown + row.more_shown for row in rows]
    ))  # fmt: skip
    # Margins for a wide screen and a phone, in widths of an average character; dataset.css chooses.
    margins = (
        f"--wide:{number(1.2 + 0.5 * wide)}rem;--wide-tail:{number(1.0 + 0.46 * wide_tail)}rem;"
        f"--narrow:{number(1.2 + 0.5 * before)}rem;--narrow-tail:{number(1.0 + 0.46 * behind)}rem"
    )
    return drawing(BAR_ROW * len(rows), title, words + ".", *parts, style=margins)


def _text(words: str, more: str, x: str | int, y: int, class_: str, anchor: str | None) -> Html:
    content = join([words, element("tspan", more, class_="long")]) if more else words
    return element("text", content, x=x, dx=None if anchor else 8, y=y, class_=class_, text_anchor=anchor)


def histogram(values: Sequence[float], unit: str, title: str) -> Html:
    """How many values fall between round bounds, with the bounds below."""
    edges = round_edges(min(values), max(values))
    counts, _ = np.histogram(values, edges)
    bins, most = len(counts), int(counts.max())
    parts = []
    for index, count in enumerate(counts):
        high = (HISTOGRAM_HEIGHT - 18) * int(count) / most
        left, width = f"{100 * index / bins:.2f}%", f"{100 / bins:.2f}%"
        middle = f"{100 * (index + 0.5) / bins:.2f}%"
        title_of = element("title", f"{edges[index]:g} to {edges[index + 1]:g} {unit}: {count}")
        parts.append(
            element("rect", title_of, x=left, y=HISTOGRAM_HEIGHT - high, width=width, height=high, class_="column")
        )
        if count:
            parts.append(text(str(count), middle, HISTOGRAM_HEIGHT - high - 5, "tick", "middle"))
    every = max(1, bins // 6)
    parts += [
        text(f"{edges[index]:g}", f"{100 * index / bins:.2f}%", HISTOGRAM_HEIGHT + 15, "tick", "middle")
        for index in range(0, bins + 1, every)
    ]
    words = "; ".join(f"{a:g} to {b:g} {unit}: {c}" for a, b, c in zip(edges, edges[1:], counts))
    return drawing(HISTOGRAM_HEIGHT + AXIS, title, words + ".", *parts, style="--gutter:1.2rem;--tail:1.2rem")


def round_edges(least: float, most: float, bins: int = 12) -> list[float]:
    """Bounds at multiples of 1, 2 or 5 times a power of ten, about `bins` of them, from below `least` to `most`."""
    raw = max(most - least, 1e-6, 0.05 * most) / bins
    power = 10.0 ** np.floor(np.log10(raw))
    step = next(float(power * f) for f in (1, 2, 5, 10) if power * f >= raw)
    first, last = int(np.floor(least / step)), int(np.floor(most / step)) + 1
    return [round(step * index, 6) for index in range(first, last + 1)]


def shaded_table(caption: str, corner: str, columns: Sequence[str], rows: Mapping[str, Sequence[float | None]]) -> Html:
    """Shares 0..1 as percent, the darker the larger; None is left empty. Scrolls sideways on a phone."""
    head = element("tr", *(element("th", name, scope="col") for name in (corner, *columns)))
    body = [
        element("tr", element("th", name, scope="row"), *(_cell(value) for value in values))
        for name, values in rows.items()
    ]
    inner = element(
        "table", element("caption", caption), element("thead", head), element("tbody", *body), class_="shaded"
    )
    return element("div", inner, class_="scrolls", tabindex=0, role="group", aria_label=caption)


def key(*entries: tuple[str, str]) -> Html:
    """What the colours mean: (class, words) pairs."""
    return element(
        "p", join(element("span", words, class_=f"key {class_}-key") for class_, words in entries), class_="note"
    )


def _cell(value: float | None) -> Html:
    if not value:
        return element("td", "" if value is None else "·", class_="none")
    return element("td", f"{100 * value:.0f}", style=f"--share:{value:.2f}")


def _short(name: str) -> str:
    return name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 1] + "…"
