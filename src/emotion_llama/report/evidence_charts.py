"""The charts of what was measured over time: action units, each with its peaks, and the voice with the transcript."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from markupsafe import Markup

from emotion_llama.records import AU_DESCRIPTIONS, ActionUnits, Bool, Float, PeakFrame, Transcript, VoiceTrack
from emotion_llama.report.charts import (
    AXIS,
    TimeAxis,
    drawing,
    join,
    path,
    shade,
    shape,
    stretched,
    text,
    time_axis,
)
from emotion_llama.report.wording import clock, figure
from emotion_llama.results import SHOWN, held_units, shown_units

ROW = 28  # height of a unit's row, pixels
HEAD = 22  # room for the peak's time above the rows, pixels
STRIP = 18  # height of the two strips that say when the person talks and blinks, pixels
UNITS_HIGH = 200  # vertical resolution of a unit's row
MAX_SPANS = 500  # blinks, gaps and stretches of speech that are closer than this share of the axis are drawn as one
MAX_SHADED_SECONDS = 60.0  # seconds; on a longer axis the shades would run together, and only the strips remain
# Of the axis: what the label of a peak ("peak 1:02:05", 95 px) takes in the narrowest full layout (430 px),
# and on a phone (250 px). One that is closer to the label before gets none.
LABEL_SHARE, PHONE_LABEL_SHARE = 0.22, 0.4
MIN_SCALE = 2.0  # a row never shows less than 0..2 of 5, so that a resting face looks at rest

WAVE = 72  # height of the waveform, pixels
PITCH = 112  # height of the pitch, pixels
GAP = 10  # between the two, pixels
WORDS = 24  # height of the strip with the transcript, pixels
VOICE_HIGH = 1000  # vertical resolution of the waveform and of the pitch
PITCH_TICKS_HZ = (50, 75, 100, 150, 200, 300, 400, 600, 800)


def scale_of(units: ActionUnits) -> float:
    """What the height of every row means: the next whole intensity above the strongest, at least MIN_SCALE."""
    seen = units.intensity[np.isfinite(units.intensity)]
    return float(max(MIN_SCALE, np.ceil(seen.max()))) if len(seen) else MIN_SCALE


def areas(axis: TimeAxis, times: Float, values: Float, scale: float, most: int) -> list[Float]:
    """Closed outlines [M, 2] of an intensity curve, one for each unbroken run, in units of `stretched`."""
    times, values = decimate(times, values, most)
    x = axis.units(times)
    y = UNITS_HIGH * (1 - np.clip(values / scale, 0, 1))
    outlines = []
    for first, end in runs_of_values(values):
        left, right = (x[first], UNITS_HIGH), (x[end - 1], UNITS_HIGH)
        outlines.append(np.array([left, *zip(x[first:end], y[first:end]), right]))
    return outlines


def unit_chart(units: ActionUnits, peaks: Sequence[PeakFrame], axis: TimeAxis, *, most_points: int = 800) -> Markup:
    """All units over `axis`; units that are held at 0.8 or more stand out, and every peak is marked."""
    held = held_units(units)
    scale = scale_of(units)
    top = HEAD + STRIP
    bottom = top + ROW * len(units.names)
    gaps = covered(spans(~units.valid, units.pts_seconds), axis, MAX_SPANS)
    blinks = covered(spans(units.is_blink, units.pts_seconds), axis, MAX_SPANS)
    talks = covered(spans(units.is_speech, units.pts_seconds), axis, MAX_SPANS)
    parts = []
    if axis.end_seconds - axis.start_seconds <= MAX_SHADED_SECONDS:
        parts += [shade(axis, talks, top, bottom - top, "talk faint")]
        parts += [shade(axis, blinks, top, bottom - top, "blink faint")]
    parts += [
        shade(axis, gaps, HEAD, bottom - HEAD, "gap"),
        shade(axis, talks, HEAD, STRIP / 2 - 2, "talk"),
        shade(axis, blinks, HEAD + STRIP / 2, STRIP / 2 - 2, "blink"),
        time_axis(axis, HEAD, bottom),
    ]
    for row, name in enumerate(units.names):
        parts.append(_row(units, name, axis, top + ROW * row, scale, most_points, held.get(name)))
    parts.append(_peak_marks(peaks, axis, bottom))
    return drawing(bottom + AXIS, "Action units over time", _units_description(units, peaks, len(gaps)), *parts)


def _row(units: ActionUnits, name: str, axis: TimeAxis, y: int, scale: float, most: int, held: float | None) -> Markup:
    values = units.column(name)
    is_shown = held is not None and held >= SHOWN
    curves = [
        path(outline, "area fired" if is_shown else "area", closed=True)
        for outline in areas(axis, units.pts_seconds, values, scale, most)
    ]
    description = shape("tspan", " " + AU_DESCRIPTIONS.get(name, ""), class_="long")
    emphasis = " chosen" if is_shown else ""
    return join(
        [
            shape("line", x1=0, x2="100%", y1=y + ROW, y2=y + ROW, class_="rule"),
            stretched(y + 2, ROW - 2, UNITS_HIGH, *curves),
            shape("text", name, description, x=-10, y=y + 20, class_="name" + emphasis, text_anchor="end"),
            text(figure(held) or "–", "100%", y + 20, "value" + emphasis, dx=8),
        ]
    )


def _peak_marks(peaks: Sequence[PeakFrame], axis: TimeAxis, bottom: int) -> Markup:
    parts = []
    labelled, labelled_on_phone = -1.0, -1.0
    for peak in sorted(peaks, key=lambda peak: peak.pts_seconds):
        x, share = axis.percent(peak.pts_seconds), axis.share(peak.pts_seconds)
        parts.append(shape("line", x1=x, x2=x, y1=HEAD - 4, y2=bottom, class_="peak"))
        if share - labelled < LABEL_SHARE:
            continue
        labelled, kind = share, "peak-label long"
        if share - labelled_on_phone >= PHONE_LABEL_SHARE:
            labelled_on_phone, kind = share, "peak-label"
        parts.append(text(f"peak {clock(peak.pts_seconds)}", x, HEAD - 9, kind, "middle"))
    return join(parts)


def _units_description(units: ActionUnits, peaks: Sequence[PeakFrame], gap_count: int) -> str:
    """The description that a screen reader reads out."""
    held = ", ".join(f"{name} {value:.1f}" for name, value in shown_units(units).items())
    said = [f"Held: {held or 'none of them'}."]
    said += [f"Peak at {clock(peak.pts_seconds)}." for peak in peaks[:3]]
    if gap_count:
        said.append(f"The face is missing in {gap_count} stretches.")
    return " ".join([f"{len(units.names)} units, intensity 0 to 5.", *said])


def wave_outlines(axis: TimeAxis, voice: VoiceTrack, most: int) -> list[Float]:
    """Closed outlines [M, 2] of the waveform on 0..VOICE_HIGH, its largest sample touching the border."""
    times, extremes = envelope(voice.times_seconds, voice.envelope, most)
    loudest = float(np.nanmax(np.abs(extremes))) if np.isfinite(extremes).any() else 0.0
    x, y = axis.units(times), VOICE_HIGH / 2 * (1 - extremes / (loudest or 1.0))
    outlines = []
    for first, end in runs_of_values(extremes.sum(axis=1)):
        upper = np.column_stack([x[first:end], y[first:end, 1]])
        lower = np.column_stack([x[first:end], y[first:end, 0]])
        outlines.append(np.concatenate([upper, lower[::-1]]))
    return outlines


def pitch_range_hz(f0_hz: Float) -> tuple[float, float] | None:
    """Lower and upper end of the pitch axis: the values' own, widened by a semitone, at least an octave apart."""
    seen = f0_hz[np.isfinite(f0_hz)]
    if not len(seen):
        return None
    semitone = 2 ** (1 / 12)
    low, high = float(seen.min()) / semitone, float(seen.max()) * semitone
    if high < 2 * low:
        middle = math.sqrt(low * high)
        low, high = middle / math.sqrt(2), middle * math.sqrt(2)
    return low, high


def pitch_share(f0_hz: Float, low_hz: float, high_hz: float) -> Float:
    """Height 0..1 of pitches on a logarithmic axis, on which equal intervals are equally high."""
    return np.asarray(np.log(f0_hz / low_hz) / math.log(high_hz / low_hz))


def voice_chart(
    voice: VoiceTrack,
    axis: TimeAxis,
    *,
    pauses: Sequence[tuple[float, float]] = (),
    transcript: Transcript | None = None,
    most_points: int = 800,
) -> Markup:
    """The sound over `axis`. Lines without times are left out here; the page lists them below."""
    timed = [line for line in transcript.lines if line.start_seconds is not None] if transcript else []
    bottom = WAVE + GAP + PITCH + (WORDS if timed else 0)
    shown = covered(list(pauses), axis, 500)
    parts = [
        shade(axis, shown, 0, WAVE + GAP + PITCH, "pause"),
        time_axis(axis, 0, bottom),
        text("wave", -10, WAVE / 2 + 4, "name", "end"),
        shape("line", x1=0, x2="100%", y1=WAVE / 2, y2=WAVE / 2, class_="rule"),
        stretched(
            0, WAVE, VOICE_HIGH, *(path(o, "wave", closed=True) for o in wave_outlines(axis, voice, most_points))
        ),
        _pitch(axis, voice, WAVE + GAP, most_points),
    ]
    if timed:
        y = WAVE + GAP + PITCH
        parts.append(text("transcript", -10, y + 16, "name", "end"))
        for line in timed:
            start = line.start_seconds or 0.0
            end = line.end_seconds if line.end_seconds is not None else axis.end_seconds
            parts.append(_phrase(axis, start, end, line.text, y))
    return drawing(bottom + AXIS, "Sound over time", _voice_description(voice, len(pauses)), *parts)


def _pitch(axis: TimeAxis, voice: VoiceTrack, y: int, most: int) -> Markup:
    ends = pitch_range_hz(voice.f0_hz)
    if ends is None:
        return text("no pitch was found", "50%", y + PITCH / 2, "tick", "middle")
    low, high = ends
    parts = []
    for tick in (hz for hz in PITCH_TICKS_HZ if low <= hz <= high):
        height = y + PITCH * (1 - float(pitch_share(np.array(tick), low, high)))
        parts.append(shape("line", x1=0, x2="100%", y1=height, y2=height, class_="grid"))
        parts.append(text(f"{tick} Hz", -10, height + 4, "tick", "end"))
    times, values = decimate(voice.times_seconds, voice.f0_hz, most)
    voiced = np.isfinite(values)
    heights = VOICE_HIGH * (1 - pitch_share(values[voiced], low, high))
    points = np.column_stack([axis.units(times[voiced]), heights])
    return join([*parts, stretched(y, PITCH, VOICE_HIGH, path(points, "pitch", dots=True))])


def _phrase(axis: TimeAxis, start: float, end: float, spoken: str, y: int) -> Markup:
    """A block from start to end; the nested drawing cuts the text off at its border."""
    width = f"{100 * (axis.share(end) - axis.share(start)):.2f}%"
    return shape(
        "svg", shape("title", spoken), shape("rect", width="100%", height=WORDS - 4, class_="words"),
        text(spoken, 5, 14, "words-text"), x=axis.percent(start), y=y + 4, width=width, height=WORDS - 4,
    )  # fmt: skip


def _voice_description(voice: VoiceTrack, pause_count: int) -> str:
    seen = voice.f0_hz[np.isfinite(voice.f0_hz)]
    pitch = "no pitch"
    if len(seen):
        pitch = f"pitch from {figure(float(seen.min()), 0)} to {figure(float(seen.max()), 0)} Hz"
    return f"Waveform and {pitch}; {pause_count} pauses."


# --- long series made short for drawing -------------------------------------------------------------------------------


def decimate(times: Float, values: Float, most: int) -> tuple[Float, Float]:
    """At most `most` points of [N] times and values that keep every extreme; a value is NaN where there is none.

    The series is cut into `most // 2` equal runs; of each, the lowest and the highest value stay, in their order. A run
    without any value becomes one NaN, so that a gap stays a gap.
    """
    if len(values) <= most:
        return times, values
    runs = max(1, most // 2)
    edges = np.linspace(0, len(values), runs + 1).astype(int)
    keep: list[int] = []
    for start, end in pairwise(edges.tolist()):
        finite = np.flatnonzero(np.isfinite(values[start:end]))
        if len(finite) == 0:
            keep.append(start)
            continue
        seen = values[start:end][finite]
        keep.extend(sorted({start + int(finite[np.argmin(seen)]), start + int(finite[np.argmax(seen)])}))
    return times[keep], values[keep]


def envelope(times_seconds: Float, lowest_highest: Float, most: int) -> tuple[Float, Float]:
    """At most `most` columns of [T, 2] lowest and highest samples: times [M] and extremes [M, 2]."""
    if len(times_seconds) <= most:
        return times_seconds, lowest_highest
    starts = np.linspace(0, len(times_seconds), most + 1).astype(int)[:-1]
    lowest = np.fmin.reduceat(lowest_highest[:, 0], starts)
    highest = np.fmax.reduceat(lowest_highest[:, 1], starts)
    return times_seconds[starts], np.column_stack([lowest, highest])


def spans(mask: Bool, times_seconds: Float) -> list[tuple[float, float]]:
    """Stretches where `mask` [N] holds, each reaching half a step beyond its first and last sample."""
    if not len(mask):
        return []
    steps = np.diff(times_seconds) / 2
    before = np.concatenate([steps[:1], steps]) if len(steps) else np.zeros(1)
    after = np.concatenate([steps, steps[-1:]]) if len(steps) else np.zeros(1)
    turns = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]).astype(np.int8)))
    return [
        (float(times_seconds[first] - before[first]), float(times_seconds[end - 1] + after[end - 1]))
        for first, end in turns.reshape(-1, 2)
    ]


def covered(spans_seconds: list[tuple[float, float]], axis: TimeAxis, most: int) -> list[tuple[float, float]]:
    """The spans that overlap the axis; those closer than a `most`-th of its length are drawn as one."""
    least_gap = (axis.end_seconds - axis.start_seconds) / most
    joined: list[tuple[float, float]] = []
    for start, end in sorted(spans_seconds):
        if end < axis.start_seconds or start > axis.end_seconds:
            continue
        if joined and start - joined[-1][1] < least_gap:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, end))
    return joined


def runs_of_values(values: Float) -> list[tuple[int, int]]:
    """Index ranges [first, end) of unbroken finite values."""
    finite = np.concatenate([[False], np.isfinite(values), [False]]).astype(np.int8)
    return [(int(a), int(b)) for a, b in np.flatnonzero(np.diff(finite)).reshape(-1, 2)]
