"""The parts every chart is drawn from, and the two charts of probabilities: bars and the timeline.

A chart is an inline SVG as wide as its column and with a fixed height: horizontal positions are percentages, text keeps
its size on any screen, and curves are drawn in nested drawings that stretch (`stretched`). Text left of x = 0 stands in
the margin that the style sheet leaves beside a plot.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from emotion_llama.records import Float, Segment
from emotion_llama.report.markup import Attribute, Html, element, join, number
from emotion_llama.report.selection import Run, timeline_rows
from emotion_llama.report.series import UNITS, TimeAxis, tick_label
from emotion_llama.report.wording import percent, ranked, span

BAR_ROW = 26  # height of a row of probability bars, pixels
LONGEST_NAME = 18  # characters of a label beside its bar
LANE = 30  # height of a lane of the timeline, pixels
AXIS = 22  # height of the time axis below a chart, pixels


def drawing(height: int, title: str, description: str, *children: str, style: str | None = None) -> Html:
    """An SVG of the full width of its column and `height` pixels, with the text that screen readers read out."""
    head = (element("title", title), element("desc", description))
    return element("svg", *head, *children, class_="plot", role="img", width="100%", height=height, style=style)


def figure(caption: str, picture: Html, *below: str, class_: str | None = None) -> Html:
    """A picture with its caption above and, below, notes or the numbers as a table."""
    return element("figure", element("figcaption", caption), picture, *below, class_=class_)


def stretched(y: float, height: float, units_high: int, *children: str) -> Html:
    """A nested drawing that stretches coordinates 0..UNITS x 0..units_high over the width and `height` pixels."""
    return element(
        "svg", *children, x=0, y=y, width="100%", height=height,
        viewBox=f"0 0 {UNITS} {units_high}", preserveAspectRatio="none",
    )  # fmt: skip


def path(points: Float, class_: str, *, closed: bool = False, dots: bool = False) -> Html:
    """A curve, an area or single dots through [N, 2] points, rounded to whole units."""
    whole = np.rint(points).astype(int)
    if dots:
        data = "".join(f"M{x} {y}h0" for x, y in whole)
    else:
        data = "M" + " ".join(f"{x} {y}" for x, y in whole) + ("z" if closed else "")
    return element("path", class_=class_, d=data)


def text(
    content: str, x: Attribute, y: float, class_: str | None = None, anchor: str | None = None, *, dx: int | None = None
) -> Html:
    """Text with its baseline at `y`, `dx` pixels right of `x`; `anchor` is None (start), "middle" or "end"."""
    return element("text", content, x=x, dx=dx, y=y, class_=class_, text_anchor=anchor)


def shade(axis: TimeAxis, spans_seconds: Sequence[tuple[float, float]], y: float, height: float, class_: str) -> Html:
    """One rectangle for each stretch of time."""
    return join(
        element(
            "rect", x=axis.percent(start), y=y, height=height, class_=class_,
            width=f"{100 * (axis.share(end) - axis.share(start)):.2f}%",
        )
        for start, end in spans_seconds
    )  # fmt: skip


def time_axis(axis: TimeAxis, top: float, bottom: float) -> Html:
    """Vertical lines from `top` to `bottom` at round times, and the times below them."""
    ticks = axis.ticks()
    step = ticks[1] - ticks[0] if len(ticks) > 1 else 1.0
    parts = []
    for tick in ticks:
        x = axis.percent(tick)
        parts.append(element("line", x1=x, x2=x, y1=top, y2=bottom, class_="grid"))
        parts.append(text(tick_label(tick, step), x, bottom + 15, "tick", "middle"))
    return join(parts)


def probability_bars(probabilities: Mapping[str, float], label: str | None) -> Html:
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
            element("rect", x=0, y=y + 4, width=f"{100 * share:.2f}%", height=BAR_ROW - 8, rx=2,
                    class_="bar chosen" if chosen else "bar")
        )  # fmt: skip
        rows.append(text(percent(share), f"{100 * share:.2f}%", y + 17, "value chosen" if chosen else "value", dx=8))
    line = element("line", x1=guess, x2=guess, y1=0, y2=height, class_="guess")
    words = "; ".join(f"{name} {percent(share)}" for name, share in ranking)
    margin = f"--gutter:{number(1.2 + 0.56 * max(len(_short(pair.label)) for pair in ranking))}rem"
    return drawing(height, "Probability of each label", words + ".", line, *rows, style=margin)


def _short(name: str) -> str:
    return name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 1] + "…"


def timeline(segments: Sequence[Segment], axis: TimeAxis) -> Html:
    """One lane for each label that was read, a block for each segment, as high as its probability.

    Of many segments, neighbours without an answer, which have no height of their own, are one block.
    """
    blocks = [
        block
        for run in timeline_rows(segments)
        for block in ([run] if run.label is None else [Run((segment,)) for segment in run.segments])
    ]
    lanes = list(dict.fromkeys(s.prediction.label for s in segments if s.prediction.label is not None))
    total = {
        lane: sum(s.end_seconds - s.start_seconds for s in segments if s.prediction.label == lane) for lane in lanes
    }
    lanes.sort(key=lambda lane: -total[lane])
    rows: list[str | None] = [*lanes]
    if any(s.prediction.label is None for s in segments):
        rows.append(None)
    height = LANE * len(rows)
    parts = [time_axis(axis, 0, height)]
    for row, lane in enumerate(rows):
        bottom = LANE * (row + 1)
        parts.append(element("line", x1=0, x2="100%", y1=bottom, y2=bottom, class_="rule"))
        parts.append(text(_short(lane or "no answer"), -10, bottom - 9, "name", "end"))
        parts.extend(_block(run, axis, bottom) for run in blocks if run.label == lane)
    listed = "; ".join(f"{lane} for {total[lane]:.0f} s" for lane in lanes)
    return drawing(height + AXIS, "Labels over time", f"{len(segments)} segments: {listed or 'no answer'}.", *parts)


def _block(run: Run, axis: TimeAxis, bottom: float) -> Html:
    label = run.label
    share = (run.probabilities or {}).get(label or "")
    when = span(run.start_seconds, run.end_seconds)
    said = "no answer" if label is None else label + (f" {percent(share)}" if share is not None else "")
    said += f" ({len(run.segments)} segments)" if len(run.segments) > 1 else ""
    high = (LANE - 6) * (share if share is not None else 1.0)
    left, right = axis.share(run.start_seconds), axis.share(run.end_seconds)
    return element(
        "rect", element("title", f"{when}: {said}"), x=f"{100 * left:.2f}%", width=f"{100 * (right - left):.2f}%",
        y=bottom - high, height=high, class_="block unanswered" if label is None else "block",
    )  # fmt: skip
