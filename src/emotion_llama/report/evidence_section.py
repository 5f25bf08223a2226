"""The part of a segment that shows what was measured: units, voice, words, and what is missing."""

from __future__ import annotations

from collections.abc import Sequence

from emotion_llama.records import ActionUnits, Evidence, PeakFrame, Segment, Transcript, VoiceTrack
from emotion_llama.report.charts import figure
from emotion_llama.report.markup import Html, element
from emotion_llama.report.series import TimeAxis
from emotion_llama.report.tables import bullet_list, details, facts, field_name, prosody_table, unit_table
from emotion_llama.report.unit_chart import scale_of, unit_chart
from emotion_llama.report.voice_chart import voice_chart
from emotion_llama.report.wording import clock, sentence, span


def unit_figure(units: ActionUnits, peaks: Sequence[PeakFrame], axis: TimeAxis, most: int, caption: str) -> Html:
    """The chart of units with what its height, its zero and its shades mean."""
    neutral = {
        "person": "the person's own neutral face, kept within what faces differ by: a smile that lasts the whole clip "
        "still counts",
        "population": "the neutral face of a population, as the clip shows too little of the person's own",
        "backend": "what its source calls zero",
    }[units.neutral]
    note = element(
        "p",
        f"Each row is 0 to {scale_of(units):.0f} of 5 high; the number at its end is its maximum. "
        f"Zero is {neutral}. Measured by {units.source}. ",
        *(element("span", words, class_=f"key {kind}") for kind, words in _keys(units, bool(peaks))),
        class_="note",
    )
    return figure(caption, unit_chart(units, peaks, axis, most_points=most), note, class_="chart")


def _keys(units: ActionUnits, with_peaks: bool) -> list[tuple[str, str]]:
    present = (
        ("peak-key", "peak", with_peaks),
        ("gap-key", "no face", bool((~units.valid).any())),
        ("talk-key", "talking", bool(units.is_speech.any())),
        ("blink-key", "blink", bool(units.is_blink.any())),
    )
    return [(kind, words) for kind, words, there in present if there]


def face_evidence(segment: Segment, most_points: int) -> list[Html]:
    """Action units as a chart and in numbers; nothing where the segment has none."""
    units, peak = segment.evidence.action_units, segment.evidence.peak_frame
    if units is None or not len(units.pts_seconds):
        return []
    axis = TimeAxis(segment.start_seconds, segment.end_seconds)
    chart = unit_figure(units, [peak] if peak else [], axis, most_points, "Action units over time")
    return [chart, details("Action units in numbers", unit_table(units, peak))]


def voice_evidence(
    segment: Segment, voice: VoiceTrack | None, pauses: Sequence[tuple[float, float]], most_points: int
) -> list[Html]:
    """Sound, tone and words; nothing of the sound where it is not this person's."""
    evidence = segment.evidence
    parts: list[Html] = []
    if voice is not None and (evidence.prosody is not None or evidence.transcript is not None):
        axis = TimeAxis(segment.start_seconds, segment.end_seconds)
        part = voice.between(segment.start_seconds, segment.end_seconds)
        if len(part.times_seconds):
            parts.append(voice_figure(part, axis, pauses, evidence.transcript, most_points))
    if evidence.tone is not None:
        parts.append(element("p", "Tone of voice: ", element("strong", evidence.tone.phrase), class_="tone"))
        parts.append(facts(evidence.tone.words.items(), "facts tone-words"))
    if evidence.prosody is not None:
        parts.append(details("Voice in numbers", prosody_table(evidence.prosody)))
    if evidence.transcript is not None:
        parts.append(_transcript(evidence.transcript))
    return parts


def voice_figure(
    voice: VoiceTrack,
    axis: TimeAxis,
    pauses: Sequence[tuple[float, float]],
    transcript: Transcript | None,
    most_points: int,
) -> Html:
    """The chart of the sound with what its shade means."""
    drawn = voice_chart(voice, axis, pauses=pauses, transcript=transcript, most_points=most_points)
    note = element("p", element("span", "pause", class_="key pause-key"), class_="note")
    return figure("Waveform, pitch and words over time", drawn, note, class_="chart")


def _transcript(transcript: Transcript) -> Html:
    language = f", language {transcript.language}" if transcript.language else ""
    lines = []
    for line in transcript.lines:
        when = "" if line.start_seconds is None else clock(line.start_seconds)
        if line.start_seconds is not None and line.end_seconds is not None:
            when = span(line.start_seconds, line.end_seconds)
        speaker = f"{line.speaker}: " if line.speaker else ""
        lines.append(
            element("p", element("span", when, class_="when") if when else "", f"{speaker}“{line.text}”", dir="auto")
        )
    source = element("figcaption", f"What was said (source: {transcript.source}{language})")
    return element("figure", source, element("blockquote", *lines), class_="transcript")


def missing_evidence(evidence: Evidence, heading: str) -> list[Html]:
    """What could not be measured, and why."""
    if not evidence.missing:
        return []
    items = [sentence(f"{field_name(missing.what)}: {missing.reason}") for missing in evidence.missing]
    return [element(heading, "What could not be measured", class_="small-heading"), bullet_list(items, "missing")]
