"""The part of the page about one person: verdict, portrait, reasons, evidence, one segment after another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from emotion_llama.records import AU_DESCRIPTIONS, ActionUnits, Analysis, Evidence, PeakFrame, PersonAnalysis, Segment
from emotion_llama.report.charts import figure, probability_bars, timeline
from emotion_llama.report.evidence_section import face_evidence, missing_evidence, unit_figure, voice_evidence
from emotion_llama.report.markup import Html, element, number
from emotion_llama.report.pictures import PeakPicture
from emotion_llama.report.portrait import portrait
from emotion_llama.report.selection import timeline_rows
from emotion_llama.report.series import TimeAxis
from emotion_llama.report.tables import cue_table, details, probability_table, segment_table
from emotion_llama.report.wording import (
    clock,
    lead_segment,
    person_headline,
    person_name,
    prediction_headline,
    sentence,
    span,
)

MOST_PEAKS = 12  # marked in the chart of a whole recording
MOST_PRINTED_ROWS = 20  # of a table of segments; a longer one stays on the screen


class Context(NamedTuple):
    """What every section of one page shares.

    Attributes:
        analysis: the whole analysis.
        pictures: those that fit the page's size, by (person_id, segment index).
        pauses: of the whole recording.
        detailed: (person_id, segment index) of the segments that are shown in full.
        most_points: length of a drawn curve.
    """

    analysis: Analysis
    pictures: Mapping[tuple[int, int], PeakPicture]
    pauses: Sequence[tuple[float, float]]
    detailed: frozenset[tuple[int, int]]
    most_points: int


def person_section(context: Context, person: PersonAnalysis) -> Html:
    """Everything about one person."""
    headline = person_headline(person)
    role = "main person" if person.is_main else "also seen"
    head = [
        element("h2", person_name(person), " ", element("span", role, class_="role")),
        element("p", sentence(person.why), class_="why"),
    ]
    if len(context.analysis.people) > 1 or not person.segments:
        head.append(element("p", element("strong", headline.title), ". ", sentence(headline.detail)))
    if len(person.segments) > 1:
        head.extend(_overview(context, person))
    shown = [i for i in range(len(person.segments)) if (person.person_id, i) in context.detailed]
    body = [segment_section(context, person, index) for index in shown]
    return element("section", *head, *body, class_="person", id=f"person-{person.person_id}")


def _overview(context: Context, person: PersonAnalysis) -> list[Html]:
    """The whole recording at a glance, for a person with several segments."""
    axis = TimeAxis(person.segments[0].start_seconds, person.segments[-1].end_seconds)
    parts = [figure("What the person reads as over time; the higher a block, the more probable",
                    timeline(person.segments, axis), class_="timeline")]  # fmt: skip
    units = _joined(person.segments)
    if units is not None:
        peaks = [s.evidence.peak_frame for s in person.segments if s.evidence.peak_frame is not None]
        # With many segments the lines would hide the curves.
        marked = peaks if len(peaks) <= MOST_PEAKS else []
        parts.append(unit_figure(units, marked, axis, context.most_points, "Action units over the whole recording"))
    count = len(person.segments)
    shown = sum((person.person_id, i) in context.detailed for i in range(count))
    is_short = len(timeline_rows(person.segments)) <= MOST_PRINTED_ROWS
    parts.append(details(f"All {count} segments as a table", segment_table(person.segments), printed=is_short))
    if shown < count:
        words = f"{shown} of {count} segments are shown in full below; the JSON holds all."
        parts.append(element("p", words, class_="note"))
    if shown > 1:
        words = f"On paper, only the most telling of the {count} segments follows in full."
        parts.append(element("p", words, class_="note on-paper"))
    return parts


def _joined(segments: Sequence[Segment]) -> ActionUnits | None:
    """The units of all segments in one, where all come from one source; None otherwise."""
    parts = [s.evidence.action_units for s in segments if s.evidence.action_units is not None]
    if not parts or any(part.names != parts[0].names for part in parts):
        return None
    return ActionUnits(
        parts[0].names,
        np.concatenate([part.pts_seconds for part in parts]),
        np.concatenate([part.intensity for part in parts]),
        np.concatenate([part.confidence for part in parts]),
        np.concatenate([part.is_blink for part in parts]),
        np.concatenate([part.is_speech for part in parts]),
        parts[0].neutral,
        parts[0].source,
    )


def segment_section(context: Context, person: PersonAnalysis, index: int) -> Html:
    """One segment of a person in full."""
    segment = person.segments[index]
    several = len(person.segments) > 1
    headline = prediction_headline(segment.prediction)
    parts: list[Html] = []
    if several:
        when = span(segment.start_seconds, segment.end_seconds)
        parts.append(element("h3", element("span", when, class_="when"), " ", headline.title))
        parts.append(element("p", sentence(headline.detail)))
    answer = _answer(segment)
    parts.append(
        element("div", _portrait_figure(context, person, index), element("div", *answer), class_="side-by-side")
    )
    if segment.prediction.cues:
        parts.append(cue_table(segment.prediction.cues))
    parts.extend(face_evidence(segment, context.most_points))
    parts.extend(voice_evidence(segment, context.analysis.voice, context.pauses, context.most_points))
    parts.extend(missing_evidence(segment.evidence, "h4" if several else "h3"))
    # On paper one segment of a person is enough; the others stay on the screen.
    kind = "segment" if index == lead_segment(person) else "segment on-screen"
    return element("article" if several else "div", *parts, class_=kind)


def _answer(segment: Segment) -> list[Html]:
    prediction = segment.prediction
    parts = []
    if prediction.probabilities:
        parts.append(
            figure(
                "Probabilities; the dashed line is an even guess",
                probability_bars(prediction.probabilities, prediction.label),
                details("Numbers", probability_table(prediction.probabilities)),
                class_="probabilities",
            )
        )
    if prediction.label is None:
        parts.append(
            element("p", element("strong", "No answer. "), sentence(prediction.problem or ""), class_="problem")
        )
    if prediction.reasoning.strip():
        parts.append(element("p", prediction.reasoning, class_="reasoning"))
    return parts


def _portrait_figure(context: Context, person: PersonAnalysis, index: int) -> Html:
    evidence = person.segments[index].evidence
    peak, picture = evidence.peak_frame, context.pictures.get((person.person_id, index))
    if picture is None or peak is None:
        return element("div", element("p", _why_no_picture(evidence), class_="no-picture"))
    fired = ", ".join(f"{name} {AU_DESCRIPTIONS.get(name, '')}" for name in peak.units) or "no unit above the threshold"
    when = clock(peak.pts_seconds)
    toggles = []
    if picture.mesh is not None:
        for kind, label in (("mesh", "mesh points"), ("fired-units", "units that fired")):
            name = f"show-{kind}-{person.person_id}-{index}"
            toggles.append(element("input", type="checkbox", id=name, class_=f"show-{kind}", checked=True))
            toggles.append(element("label", label, for_=name))
    drawn = portrait(picture, peak.units, f"Face of {person_name(person)} at the peak frame, {when}: {fired}")
    caption = element("figcaption", f"Peak frame at {when}. {sentence(peak.why)}")
    return element("figure", *toggles, drawn, caption, _unit_levels(peak), class_="face")


def _why_no_picture(evidence: Evidence) -> str:
    if evidence.peak_frame is not None:
        return f"The peak is at {clock(evidence.peak_frame.pts_seconds)}; its picture is not part of this page."
    reason = evidence.why_missing("peak_frame") or evidence.why_missing("action_units") or "there is no peak frame"
    return sentence(f"No picture of the face: {reason}")


def _unit_levels(peak: PeakFrame) -> Html:
    """The units that fired as a list, each with a bar that is full at 5."""
    rows = [
        element(
            "li",
            element("b", f"{value:.1f}"),
            f" {name} {AU_DESCRIPTIONS.get(name, '')}",
            element("span", class_="level", style=f"width:{number(20 * value)}%"),
        )
        for name, value in peak.units.items()
    ]
    return element("ul", *rows, class_="levels") if rows else Html()
