"""The shapes that charts are made of, and the charts of probabilities and counts: bars, timeline, histogram.

A chart is an inline SVG as wide as its column and with a fixed height: horizontal positions are percentages, text keeps
its size on any screen, and curves are drawn in nested drawings that stretch (`stretched`). Text left of x = 0 stands in
the margin that the style sheet leaves beside a plot.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from markupsafe import Markup, escape

from emotion_llama.records import Float
from emotion_llama.report.selection import Run, timeline_rows
from emotion_llama.report.wording import answer_name, percent, printable, ranked, span
from emotion_llama.results import Segment

Attribute = str | int | float | None

# Horizontal resolution of every drawing: paths are drawn on 0..2000 and stretched to the width of the page, so that
# whole numbers are finer than a pixel of any screen this page is read on.
UNITS = 2000
BAR_ROW = 26  # height of a row of bars, pixels
MAX_LABEL, MAX_NAME = 18, 30  # characters of a label, and of any other name, beside its bar
HISTOGRAM_HEIGHT = 120  # pixels, without the axis
LANE = 30  # height of a lane of the timeline, pixels
AXIS = 22  # height of the time axis below a chart, pixels


class TimeAxis(NamedTuple):
    """A stretch of time laid over the width of a drawing."""

    start_seconds: float
    end_seconds: float

    def share(self, seconds: float) -> float:
        """Position 0..1 of a time, clipped to the axis; 0 on an axis without length."""
        length = self.end_seconds - self.start_seconds
        return min(1.0, max(0.0, (seconds - self.start_seconds) / length)) if length > 0 else 0.0

    def percent(self, seconds: float) -> str:
        """Position as an SVG percentage: "37.5%"."""
        return f"{100 * self.share(seconds):.2f}".rstrip("0").rstrip(".") + "%"

    def units(self, seconds: Float) -> Float:
        """[N] positions 0..UNITS of [N] times."""
        length = self.end_seconds - self.start_seconds
        shares = (seconds - self.start_seconds) / length if length > 0 else np.zeros_like(seconds)
        return np.asarray(np.clip(shares, 0.0, 1.0) * UNITS)

    def ticks(self, most: int = 6) -> list[float]:
        """At most `most` round times within the axis (steps of 1, 2, 5 x 10^k; of clock units from 10 s on)."""
        length = self.end_seconds - self.start_seconds
        if length <= 0:
            return [self.start_seconds]
        step = _step(length / most)
        first = math.ceil(self.start_seconds / step - 1e-9)
        last = math.floor(self.end_seconds / step + 1e-9)
        return [round(i * step, 6) for i in range(first, last + 1)][:most]


def _step(least: float) -> float:
    clock_steps = (15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1800.0, 3600.0)
    if least > 10:
        return next((step for step in clock_steps if step >= least), 3600.0 * math.ceil(least / 3600))
    power = 10.0 ** math.floor(math.log10(least))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= least * (1 - 1e-9))


def tick_label(seconds: float, step: float) -> str:
    """A time on an axis whose ticks are `step` apart: "0.5 s", "4 s", "1:30", "1:00:00"."""
    if seconds >= 60 or step >= 15:
        whole = math.floor(seconds + 0.5)
        hours, minutes = whole // 3600, whole // 60 % 60
        return f"{hours}:{minutes:02d}:{whole % 60:02d}" if hours else f"{minutes}:{whole % 60:02d}"
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    return f"{seconds:.{decimals}f} s"


def number(value: float) -> str:
    """A coordinate with at most two decimals and no trailing zeros: 12.50 -> "12.5", 3.0 -> "3"."""
    text = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text


def safe(text: str) -> Markup:
    """`text` as markup that shows exactly its printable characters."""
    return text if isinstance(text, Markup) else escape(printable(text))


def shape(name: str, /, *children: str, **attributes: Attribute) -> Markup:
    """`<name attributes>children</name>`; everything is escaped but children that are markup already.

    A trailing underscore of an attribute's name is dropped (`class_`), other underscores become hyphens; None is left
    out, and floats are coordinates (see `number`).
    """
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{safe(number(value) if isinstance(value, float) else str(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    return Markup(f"<{name}{written}>{''.join(map(safe, children))}</{name}>")  # noqa: S704  every part is escaped


def join(shapes: Iterable[str]) -> Markup:
    """All shapes, one after another; text that is no markup is escaped."""
    return Markup("").join(map(safe, shapes))


def drawing(height: int, title: str, description: str, *children: str, style: str | None = None) -> Markup:
    """An SVG of the full width of its column and `height` pixels, with the text that screen readers read out."""
    head = (shape("title", title), shape("desc", description))
    return shape("svg", *head, *children, class_="plot", role="img", width="100%", height=height, style=style)


def stretched(y: float, height: float, units_high: int, *children: str) -> Markup:
    """A nested drawing that stretches coordinates 0..UNITS x 0..units_high over the width and `height` pixels."""
    return shape(
        "svg", *children, x=0, y=y, width="100%", height=height,
        viewBox=f"0 0 {UNITS} {units_high}", preserveAspectRatio="none",
    )  # fmt: skip


def path(points: Float, class_: str, *, closed: bool = False, dots: bool = False) -> Markup:
    """A curve, an area or single dots through [N, 2] points, rounded to whole units."""
    whole = np.rint(points).astype(int)
    if dots:
        data = "".join(f"M{x} {y}h0" for x, y in whole)
    else:
        data = "M" + " ".join(f"{x} {y}" for x, y in whole) + ("z" if closed else "")
    return shape("path", class_=class_, d=data)


def text(
    content: str, x: Attribute, y: float, class_: str | None = None, anchor: str | None = None, *, dx: int | None = None
) -> Markup:
    """Text with its baseline at `y`, `dx` pixels right of `x`; `anchor` is None (start), "middle" or "end"."""
    return shape("text", content, x=x, dx=dx, y=y, class_=class_, text_anchor=anchor)


def shade(axis: TimeAxis, spans_seconds: Sequence[tuple[float, float]], y: float, height: float, class_: str) -> Markup:
    """One rectangle for each stretch of time."""
    return join(
        shape(
            "rect", x=axis.percent(start), y=y, height=height, class_=class_,
            width=f"{100 * (axis.share(end) - axis.share(start)):.2f}%",
        )
        for start, end in spans_seconds
    )  # fmt: skip


def time_axis(axis: TimeAxis, top: float, bottom: float) -> Markup:
    """Vertical lines from `top` to `bottom` at round times, and the times below them."""
    ticks = axis.ticks()
    step = ticks[1] - ticks[0] if len(ticks) > 1 else 1.0
    parts = []
    for tick in ticks:
        x = axis.percent(tick)
        parts.append(shape("line", x1=x, x2=x, y1=top, y2=bottom, class_="grid"))
        parts.append(text(tick_label(tick, step), x, bottom + 15, "tick", "middle"))
    return join(parts)


def probability_bars(probabilities: Mapping[str, float], label: str | None) -> Markup:
    """All labels by falling probability, with numbers; a dashed line where an even guess over them would be.

    The margin for the names is as wide as the longest one needs; names of an open vocabulary are cut.
    """
    ranking = ranked(probabilities)
    height = BAR_ROW * len(ranking)
    guess = f"{100 / len(ranking):.2f}%"
    rows = []
    for row, (name, share) in enumerate(ranking):
        y = BAR_ROW * row
        chosen = name == label
        rows.append(text(_short(name), -10, y + 17, "name chosen" if chosen else "name", "end"))
        rows.append(
            shape("rect", x=0, y=y + 4, width=f"{100 * share:.2f}%", height=BAR_ROW - 8, rx=2,
                    class_="bar chosen" if chosen else "bar")
        )  # fmt: skip
        rows.append(text(percent(share), f"{100 * share:.2f}%", y + 17, "value chosen" if chosen else "value", dx=8))
    line = shape("line", x1=guess, x2=guess, y1=0, y2=height, class_="guess")
    words = "; ".join(f"{name} {percent(share)}" for name, share in ranking)
    margin = f"--gutter:{number(1.2 + 0.56 * max(len(_short(name)) for name, _ in ranking))}rem"
    return drawing(height, "Probability of each label", words + ".", line, *rows, style=margin)


def _short(name: str, most: int = MAX_LABEL) -> str:
    return name if len(name) <= most else name[: most - 1] + "…"


def timeline(segments: Sequence[Segment], axis: TimeAxis) -> Markup:
    """One lane for each predicted label, a block for each segment, as high as its probability.

    Of many segments, neighbours without an answer, which have no height of their own, are one block.
    """
    blocks = [
        block
        for run in timeline_rows(segments)
        for block in ([run] if run.label is None else [Run((segment,)) for segment in run.segments])
    ]
    names = [answer_name(segment.prediction) for segment in segments]
    total: dict[str, float] = {}
    for name, segment in zip(names, segments):
        total[name] = total.get(name, 0.0) + segment.end_seconds - segment.start_seconds
    unlabelled = [name for name in ("uncertain", "no answer") if name in total]
    lanes = sorted((name for name in total if name not in unlabelled), key=lambda name: -total[name])
    rows = [*lanes, *unlabelled]
    height = LANE * len(rows)
    parts = [time_axis(axis, 0, height)]
    for row, lane in enumerate(rows):
        bottom = LANE * (row + 1)
        parts.append(shape("line", x1=0, x2="100%", y1=bottom, y2=bottom, class_="rule"))
        parts.append(text(_short(lane), -10, bottom - 9, "name", "end"))
        parts.extend(_block(run, axis, bottom) for run in blocks if run.name == lane)
    listed = "; ".join(f"{lane} for {total[lane]:.0f} s" for lane in lanes)
    return drawing(
        height + AXIS,
        "Labels over time",
        f"{len(segments)} segments: {listed or ' and '.join(unlabelled) or 'no answer'}.",
        *parts,
    )


def _block(run: Run, axis: TimeAxis, bottom: float) -> Markup:
    label = run.label
    share = (run.probabilities or {}).get(label or "")
    when = span(run.start_seconds, run.end_seconds)
    said = run.name + (f" {percent(share)}" if share is not None and not run.is_guess else "")
    said += f" ({len(run.segments)} segments)" if len(run.segments) > 1 else ""
    high = (LANE - 6) * (share if share is not None else 1.0)
    left, right = axis.share(run.start_seconds), axis.share(run.end_seconds)
    return shape(
        "rect", shape("title", f"{when}: {said}"), x=f"{100 * left:.2f}%", width=f"{100 * (right - left):.2f}%",
        y=bottom - high, height=high, class_="block unanswered" if label is None else "block",
    )  # fmt: skip


class Bar(NamedTuple):
    """One row: its name, the part drawn strongly, the whole, what stands behind it; and what phones leave out."""

    name: str
    strong: float
    whole: float
    shown: str
    more_name: str = ""
    more_shown: str = ""


def count_bars(rows: Sequence[Bar], title: str) -> Markup:
    """Horizontal bars from a common zero; the largest one fills the width."""
    most = max((row.whole for row in rows), default=0) or 1
    parts = []
    for index, row in enumerate(rows):
        y = BAR_ROW * index
        whole, strong = f"{100 * row.whole / most:.2f}%", f"{100 * row.strong / most:.2f}%"
        parts.append(_text(_short(row.name, MAX_NAME), row.more_name, -10, y + 17, "name", "end"))
        parts.append(shape("rect", x=0, y=y + 4, width=whole, height=BAR_ROW - 8, rx=2, class_="bar"))
        if row.strong:
            parts.append(shape("rect", x=0, y=y + 4, width=strong, height=BAR_ROW - 8, rx=2, class_="bar chosen"))
        parts.append(_text(row.shown, row.more_shown, whole, y + 17, "value", None))
    words = "; ".join(f"{row.name}{row.more_name} {row.shown}{row.more_shown}" for row in rows)
    before, behind = (max(map(len, texts), default=0) for texts in (
        [_short(row.name, MAX_NAME) for row in rows], [row.shown for row in rows]
    ))  # fmt: skip
    wide, wide_tail = (max(map(len, texts), default=0) for texts in (
        [_short(row.name, MAX_NAME) + row.more_name for row in rows], [row.shown + row.more_shown for row in rows]
    ))  # fmt: skip
    # Margins for a wide screen and a phone, in widths of an average character; style.css chooses.
    margins = (
        f"--wide:{number(1.2 + 0.5 * wide)}rem;--wide-tail:{number(1.0 + 0.46 * wide_tail)}rem;"
        f"--narrow:{number(1.2 + 0.5 * before)}rem;--narrow-tail:{number(1.0 + 0.46 * behind)}rem"
    )
    return drawing(BAR_ROW * len(rows), title, words + ".", *parts, style=margins)


def _text(words: str, more: str, x: str | int, y: int, class_: str, anchor: str | None) -> Markup:
    content = join([words, shape("tspan", more, class_="long")]) if more else words
    return shape("text", content, x=x, dx=None if anchor else 8, y=y, class_=class_, text_anchor=anchor)


def histogram(values: Sequence[float], unit: str, title: str) -> Markup:
    """How many values fall between round bounds, with the bounds below."""
    edges = round_edges(min(values), max(values))
    counts, _ = np.histogram(values, edges)
    bins, most = len(counts), int(counts.max())
    parts = []
    for index, count in enumerate(counts):
        high = (HISTOGRAM_HEIGHT - 18) * int(count) / most
        left, width = f"{100 * index / bins:.2f}%", f"{100 / bins:.2f}%"
        middle = f"{100 * (index + 0.5) / bins:.2f}%"
        title_of = shape("title", f"{edges[index]:g} to {edges[index + 1]:g} {unit}: {count}")
        parts.append(
            shape("rect", title_of, x=left, y=HISTOGRAM_HEIGHT - high, width=width, height=high, class_="column")
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
