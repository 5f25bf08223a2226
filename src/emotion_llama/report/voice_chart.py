"""The chart of a voice: waveform, pitch in Hz, pauses shaded, and what was said at its time."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from emotion_llama.records import Float, Transcript, VoiceTrack
from emotion_llama.report.charts import AXIS, drawing, path, shade, stretched, text, time_axis
from emotion_llama.report.markup import Html, element, join
from emotion_llama.report.series import Series, TimeAxis, covered, decimate, envelope, runs_of_values
from emotion_llama.report.wording import figure

WAVE = 72  # height of the waveform, pixels
PITCH = 112  # height of the pitch, pixels
GAP = 10  # between the two, pixels
WORDS = 24  # height of the strip of words, pixels
UNITS_HIGH = 1000
PITCH_TICKS_HZ = (50, 75, 100, 150, 200, 300, 400, 600, 800)


def wave_outlines(axis: TimeAxis, voice: VoiceTrack, most: int) -> list[Float]:
    """Closed outlines [M, 2] of the waveform on 0..UNITS_HIGH, its largest sample touching the border."""
    times, extremes = envelope(voice.times_seconds, voice.envelope, most)
    loudest = float(np.nanmax(np.abs(extremes))) if np.isfinite(extremes).any() else 0.0
    x, y = axis.units(times), UNITS_HIGH / 2 * (1 - extremes / (loudest or 1.0))
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
) -> Html:
    """The sound over `axis`. Words without times are left out here; the page lists them below."""
    timed = [line for line in transcript.lines if line.start_seconds is not None] if transcript else []
    bottom = WAVE + GAP + PITCH + (WORDS if timed else 0)
    shown = covered(list(pauses), axis, 500)
    parts = [
        shade(axis, shown, 0, WAVE + GAP + PITCH, "pause"),
        time_axis(axis, 0, bottom),
        text("wave", -10, WAVE / 2 + 4, "name", "end"),
        element("line", x1=0, x2="100%", y1=WAVE / 2, y2=WAVE / 2, class_="rule"),
        stretched(
            0, WAVE, UNITS_HIGH, *(path(o, "wave", closed=True) for o in wave_outlines(axis, voice, most_points))
        ),
        _pitch(axis, voice, WAVE + GAP, most_points),
    ]
    if timed:
        y = WAVE + GAP + PITCH
        parts.append(text("words", -10, y + 16, "name", "end"))
        for line in timed:
            start = line.start_seconds or 0.0
            end = line.end_seconds if line.end_seconds is not None else axis.end_seconds
            parts.append(_words(axis, start, end, line.text, y))
    return drawing(bottom + AXIS, "Sound over time", _described(voice, len(pauses)), *parts)


def _pitch(axis: TimeAxis, voice: VoiceTrack, y: int, most: int) -> Html:
    ends = pitch_range_hz(voice.f0_hz)
    if ends is None:
        return text("no pitch was found", "50%", y + PITCH / 2, "tick", "middle")
    low, high = ends
    parts = []
    for tick in (hz for hz in PITCH_TICKS_HZ if low <= hz <= high):
        height = y + PITCH * (1 - float(pitch_share(np.array(tick), low, high)))
        parts.append(element("line", x1=0, x2="100%", y1=height, y2=height, class_="grid"))
        parts.append(text(f"{tick} Hz", -10, height + 4, "tick", "end"))
    times, values = decimate(Series(voice.times_seconds, voice.f0_hz), most)
    voiced = np.isfinite(values)
    heights = UNITS_HIGH * (1 - pitch_share(values[voiced], low, high))
    points = np.column_stack([axis.units(times[voiced]), heights])
    return join([*parts, stretched(y, PITCH, UNITS_HIGH, path(points, "pitch", dots=True))])


def _words(axis: TimeAxis, start: float, end: float, words: str, y: int) -> Html:
    """A block from start to end; the nested drawing cuts the words off at its border."""
    width = f"{100 * (axis.share(end) - axis.share(start)):.2f}%"
    return element(
        "svg", element("title", words), element("rect", width="100%", height=WORDS - 4, class_="words"),
        text(words, 5, 14, "words-text"), x=axis.percent(start), y=y + 4, width=width, height=WORDS - 4,
    )  # fmt: skip


def _described(voice: VoiceTrack, pause_count: int) -> str:
    seen = voice.f0_hz[np.isfinite(voice.f0_hz)]
    pitch = "no pitch"
    if len(seen):
        pitch = f"pitch from {figure(float(seen.min()), 0)} to {figure(float(seen.max()), 0)} Hz"
    return f"Waveform and {pitch}; {pause_count} pauses."
