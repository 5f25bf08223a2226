"""The HTML page of an analysis: one file that asks nothing of any network.

The page carries a content security policy that forbids every request (only `data:` pictures and inline style), no
script, and no link that loads anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from typing import TYPE_CHECKING

from emotion_llama import __version__
from emotion_llama.records import Analysis
from emotion_llama.report.evidence_section import voice_figure
from emotion_llama.report.markup import Html, element, join
from emotion_llama.report.person_section import Context, person_section
from emotion_llama.report.pictures import PeakPicture, peak_pictures
from emotion_llama.report.selection import MOST_DETAILED, choose_detailed, points_per_curve, within_budget
from emotion_llama.report.series import TimeAxis
from emotion_llama.report.tables import bullet_list, clip_facts, details, facts, stage_facts
from emotion_llama.report.wording import Headline, caveat, is_answered, person_headline, person_name, sentence
from emotion_llama.speech.pauses import pauses

if TYPE_CHECKING:
    from emotion_llama.analysis import Analyzer

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"

LIMITS = (
    "This page describes expressions: what a face, a voice and words show in one recording. What a person feels is "
    "not visible in them; people scowl in concentration and smile in embarrassment, and differ by culture, habit and "
    "situation (Barrett et al., 2019, Psychological Science in the Public Interest 20).",
    "Action units are estimated from the geometry of a face mesh. Head turns, glasses, beards, hands, poor light, low "
    "resolution and talking all change them.",
    "A label is one of a short list. A state that is not on the list cannot be found, and mixed states are forced "
    "into shares.",
    "Do not base decisions about people on it: not on hiring, schooling, policing, health, credit or asylum. In the "
    "European Union, inferring emotions at work and in education is prohibited except for medical or safety reasons "
    "(Regulation (EU) 2024/1689, Article 5).",
)


def analysis_page(analyzer: Analyzer, analysis: Analysis) -> str:
    """The whole page of an analysis, with the pictures of its peak frames taken from the clip."""
    return render_page(analysis, peak_pictures(analyzer, analysis), versions=analysis.versions)


def render_page(
    analysis: Analysis,
    pictures: Mapping[tuple[int, int], PeakPicture],
    *,
    versions: Mapping[str, str] | None = None,
    max_detailed_segments: int = MOST_DETAILED,
) -> str:
    """The whole page as HTML text, to be written as UTF-8.

    Args:
        analysis: what is shown.
        pictures: the face at the peak frame, by (person_id, index of the segment). One that is missing is explained.
        versions: name -> version of what made the analysis, for the record.
        max_detailed_segments: how many segments are shown in full; the others are rows of a table. The most telling
            come first: one of each person, then by probability.
    """
    detailed = choose_detailed(analysis.people, max_detailed_segments)
    # Base64 writes four characters for three bytes.
    sizes = {key: 4 * len(picture.jpeg) // 3 for key, picture in pictures.items()}
    context = Context(
        analysis,
        {key: pictures[key] for key in within_budget(sizes, detailed)},
        pauses(analysis.voice) if analysis.voice is not None else (),
        frozenset(detailed),
        points_per_curve(len(detailed) + sum(len(person.segments) > 1 for person in analysis.people)),
    )
    body = element(
        "main",
        _summary(analysis),
        *(person_section(context, person) for person in analysis.people),
        _unowned_sound(context),
        _record(analysis, versions or {}),
        _limits(),
    )
    return f"<!doctype html>\n{element('html', _head(analysis), element('body', body), lang='en')}\n"


def _head(analysis: Analysis) -> Html:
    style = resources.files("emotion_llama.report").joinpath("style.css").read_text(encoding="utf-8")
    return element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=POLICY),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("meta", name="referrer", content="no-referrer"),
        element("title", f"{analysis.clip.path.name} · emotion analysis"),
        element("style", Html(style)),
    )


def _summary(analysis: Analysis) -> Html:
    """File, verdict and how sure it is: what one has to know after a second."""
    if analysis.people:
        main = person_headline(analysis.people[0])
    else:
        main = Headline(
            "No answer", "No person was found: " + ("; ".join(analysis.warnings) or "no face and no voice.")
        )
    others = analysis.people[1:]
    listed = [
        element(
            "li",
            element("a", person_name(person), href=f"#person-{person.person_id}"),
            f": {person_headline(person).title}",
        )
        for person in others
    ]
    parts = [
        element("p", "Emotion analysis", class_="kicker"),
        element("h1", analysis.clip.path.name, dir="auto"),
        element("p", main.title, class_="verdict"),
        element("p", sentence(main.detail), class_="detail"),
        element("ul", *listed, class_="others") if listed else "",
        element("p", caveat(analysis.model), class_="caveat") if is_answered(analysis.people) else "",
    ]
    if analysis.warnings:
        parts.append(element("div", element("h2", "Warnings"), bullet_list(analysis.warnings), class_="warnings"))
    return element("header", *parts)


def _unowned_sound(context: Context) -> Html:
    """The sound of a recording in which nobody was found, so that it is not lost."""
    voice = context.analysis.voice
    if context.analysis.people or voice is None or not len(voice.times_seconds):
        return Html()
    axis = TimeAxis(0.0, context.analysis.clip.duration_seconds)
    drawn = voice_figure(voice, axis, context.pauses, None, context.most_points)
    return element("section", element("h2", "Sound"), drawn)


def _record(analysis: Analysis, versions: Mapping[str, str]) -> Html:
    """File, settings, versions and time taken."""
    settings = [(name, _setting(value)) for name, value in analysis.settings.items()]
    parts = [element("h2", "For the record"), clip_facts(analysis.clip)]
    shown = {"model": analysis.model, "emotion-llama": __version__, **versions}
    parts.append(details("Model and versions", facts(shown.items()), printed=True))
    if settings:
        parts.append(details("Settings", facts(settings), printed=True))
    if analysis.seconds_by_stage:
        parts.append(details("Time taken by each stage", stage_facts(analysis.seconds_by_stage), printed=True))
    return element("section", *parts, class_="record")


def _setting(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_setting(part)}" for name, part in value.items())
    return "not given" if value is None else str(value)


def _limits() -> Html:
    head = element("h2", "What this can and cannot know")
    return element("section", head, join(element("p", sentence) for sentence in LIMITS), class_="limits")
