"""The chart of action units over time: one small area for each unit, the peak marked, gaps and speech shaded."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from emotion_llama.records import AU_DESCRIPTIONS, ActionUnits, Float, PeakFrame
from emotion_llama.report.charts import AXIS, drawing, path, shade, stretched, text, time_axis
from emotion_llama.report.markup import Html, element, join
from emotion_llama.report.series import Series, TimeAxis, covered, decimate, runs_of_values, spans
from emotion_llama.report.wording import clock, figure

ROW = 28  # height of a unit's row, pixels
HEAD = 22  # room for the peak's time above the rows, pixels
STRIP = 18  # height of the two strips that say when the person talks and blinks, pixels
UNITS_HIGH = 200  # vertical resolution of a row
MOST_SPANS = 500  # blinks, gaps and stretches of speech that are closer than this share of the axis are drawn as one
LONGEST_SHADED = 60.0  # seconds; on a longer axis the shades would run together, and only the strips remain
# Of the axis: what the label of a peak ("peak 1:02:05", 95 px) takes in the narrowest full layout (430 px),
# and on a phone (250 px). One that is closer to the label before gets none.
LABEL_SHARE, PHONE_LABEL_SHARE = 0.22, 0.4
LEAST_SCALE = 2.0  # a row never shows less than 0..2 of 5, so that a resting face looks at rest


def scale_of(units: ActionUnits) -> float:
    """What the height of every row means: the next whole intensity above the strongest, at least LEAST_SCALE."""
    seen = units.intensity[np.isfinite(units.intensity)]
    return float(max(LEAST_SCALE, np.ceil(seen.max()))) if len(seen) else LEAST_SCALE


def areas(axis: TimeAxis, series: Series, scale: float, most: int) -> list[Float]:
    """Closed outlines [M, 2] of an intensity curve, one for each unbroken run, in units of `stretched`."""
    times, values = decimate(series, most)
    x = axis.units(times)
    y = UNITS_HIGH * (1 - np.clip(values / scale, 0, 1))
    outlines = []
    for first, end in runs_of_values(values):
        left, right = (x[first], UNITS_HIGH), (x[end - 1], UNITS_HIGH)
        outlines.append(np.array([left, *zip(x[first:end], y[first:end]), right]))
    return outlines


def unit_chart(units: ActionUnits, peaks: Sequence[PeakFrame], axis: TimeAxis, *, most_points: int = 800) -> Html:
    """All units over `axis`; units that fired at a peak stand out, and every peak is marked."""
    fired = {name for peak in peaks for name in peak.units}
    scale = scale_of(units)
    top = HEAD + STRIP
    bottom = top + ROW * len(units.names)
    gaps = covered(spans(~units.valid, units.pts_seconds), axis, MOST_SPANS)
    blinks = covered(spans(units.is_blink, units.pts_seconds), axis, MOST_SPANS)
    talks = covered(spans(units.is_speech, units.pts_seconds), axis, MOST_SPANS)
    parts = []
    if axis.end_seconds - axis.start_seconds <= LONGEST_SHADED:
        parts += [shade(axis, talks, top, bottom - top, "talk faint")]
        parts += [shade(axis, blinks, top, bottom - top, "blink faint")]
    parts += [
        shade(axis, gaps, HEAD, bottom - HEAD, "gap"),
        shade(axis, talks, HEAD, STRIP / 2 - 2, "talk"),
        shade(axis, blinks, HEAD + STRIP / 2, STRIP / 2 - 2, "blink"),
        time_axis(axis, HEAD, bottom),
    ]
    for row, name in enumerate(units.names):
        parts.append(_row(units, name, axis, top + ROW * row, scale, most_points, name in fired))
    parts.append(_peak_marks(peaks, axis, bottom))
    return drawing(bottom + AXIS, "Action units over time", _described(units, peaks, len(gaps)), *parts)


def _row(units: ActionUnits, name: str, axis: TimeAxis, y: int, scale: float, most: int, fired: bool) -> Html:
    values = units.column(name)
    strongest = figure(float(np.nanmax(values)) if np.isfinite(values).any() else None)
    curves = [
        path(outline, "area fired" if fired else "area", closed=True)
        for outline in areas(axis, Series(units.pts_seconds, values), scale, most)
    ]
    description = element("tspan", " " + AU_DESCRIPTIONS.get(name, ""), class_="long")
    emphasis = " chosen" if fired else ""
    return join(
        [
            element("line", x1=0, x2="100%", y1=y + ROW, y2=y + ROW, class_="rule"),
            stretched(y + 2, ROW - 2, UNITS_HIGH, *curves),
            element("text", name, description, x=-10, y=y + 20, class_="name" + emphasis, text_anchor="end"),
            text(strongest or "–", "100%", y + 20, "value" + emphasis, dx=8),
        ]
    )


def _peak_marks(peaks: Sequence[PeakFrame], axis: TimeAxis, bottom: int) -> Html:
    parts = []
    labelled, labelled_on_phone = -1.0, -1.0
    for peak in sorted(peaks, key=lambda peak: peak.pts_seconds):
        x, share = axis.percent(peak.pts_seconds), axis.share(peak.pts_seconds)
        parts.append(element("line", x1=x, x2=x, y1=HEAD - 4, y2=bottom, class_="peak"))
        if share - labelled < LABEL_SHARE:
            continue
        labelled, kind = share, "peak-label long"
        if share - labelled_on_phone >= PHONE_LABEL_SHARE:
            labelled_on_phone, kind = share, "peak-label"
        parts.append(text(f"peak {clock(peak.pts_seconds)}", x, HEAD - 9, kind, "middle"))
    return join(parts)


def _described(units: ActionUnits, peaks: Sequence[PeakFrame], gap_count: int) -> str:
    """What a screen reader says instead of the picture."""
    told = []
    for peak in peaks[:3]:
        fired = ", ".join(f"{name} {value:.1f}" for name, value in peak.units.items())
        told.append(f"Peak at {clock(peak.pts_seconds)}: {fired or 'no unit above the threshold'}.")
    if gap_count:
        told.append(f"The face is missing in {gap_count} stretches.")
    return " ".join([f"{len(units.names)} units, intensity 0 to 5.", *told])
