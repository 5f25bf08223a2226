"""The page as a browser would read it: structure, safety, size, and nothing that is not there."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from emotion_llama.records import ActionUnits, Prosody, Transcript, TranscriptLine
from emotion_llama.report.analysis_page import render_page
from emotion_llama.report.pages import POLICY
from emotion_llama.results import Analysis, Cue, Evidence, Missing, PeakImage

VOID = {"meta", "img", "input", "br", "hr", "link", "col"}


class Page(HTMLParser):
    """Elements with their attributes, parents and text; every tag must be closed in order."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None], tuple[str, ...]]] = []
        self.texts: list[tuple[str, str]] = []
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs), tuple(self._open)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.texts.append((self._open[-1] if self._open else "", data))

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes, _ in self.elements if name == tag]

    def text(self) -> str:
        return " ".join(" ".join(data for tag, data in self.texts if tag != "style").split())


@pytest.fixture(scope="module")
def picture() -> PeakImage:
    mesh = np.column_stack([np.linspace(100, 300, 478), np.linspace(80, 380, 478)])
    return PeakImage(b"\xff\xd8 a picture \xff\xd9", 400, 400, mesh)


@pytest.fixture(scope="module", params=["one_person", "two_people", "sound_only", "no_answer"])
def page(request: pytest.FixtureRequest, picture: PeakImage) -> Page:
    analysis: Analysis = request.getfixturevalue(request.param)
    return Page(render_page(analysis, {(1, 0): picture, (2, 2): picture}))


# --- whatever is shown ----------------------------------------------------------------------------------


def test_page_forbids_and_makes_no_request(page: Page) -> None:
    (policy,) = [m["content"] for m in page.named("meta") if m.get("http-equiv") == "Content-Security-Policy"]
    assert policy == POLICY
    assert policy is not None
    assert policy.startswith("default-src 'none'; img-src data:; style-src 'unsafe-inline'")
    # No element that loads anything, and no address but pictures within the page and anchors.
    assert not {"script", "link", "iframe", "object", "embed", "audio", "video", "base", "form", "use"} & {
        tag for tag, _, _ in page.elements
    }
    for tag, attributes, _ in page.elements:
        for name, value in attributes.items():
            assert not name.startswith("on"), f"<{tag} {name}>"
            if name in ("src", "href", "srcset", "xlink:href", "action", "poster", "data"):
                assert value is not None
                assert value.startswith(("data:image/jpeg;base64,", "#")), f"<{tag} {name}={value}>"
            assert "url(" not in (value or "")
    styles = [data for tag, data in page.texts if tag == "style"]
    assert len(styles) == 1
    assert not re.search(r"url\(|@import|//", styles[0])


def test_page_can_be_read_without_seeing_it(page: Page) -> None:
    assert page.named("html") == [{"lang": "en"}]
    assert len(page.named("h1")) == 1
    levels = [int(tag[1]) for tag, _, _ in page.elements if re.fullmatch("h[1-6]", tag)]
    assert all(after <= before + 1 for before, after in pairwise(levels)), levels
    charts = [i for i, (_, attributes, _) in enumerate(page.elements) if attributes.get("role") == "img"]
    for i in charts:
        children = [tag for tag, _, _ in page.elements[i + 1 : i + 3]]
        assert children == ["title", "desc"]
    for tag in ("figure", "table"):
        count = len(page.named(tag))
        assert len(page.named("figcaption" if tag == "figure" else "caption")) == count
    assert all(image.get("alt") for image in page.named("img"))


def test_anchors_labels_and_ids_match(page: Page) -> None:
    ids = [attributes["id"] for _, attributes, _ in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert {a["href"] for a in page.named("a")} <= {f"#{i}" for i in ids}
    assert {label["for"] for label in page.named("label")} == {box["id"] for box in page.named("input")}


def test_no_value_is_shown_as_nan_or_none(page: Page) -> None:
    shown = page.text()
    assert not re.search(r"\b(nan|NaN|None|inf)\b", shown)
    values = " ".join(v or "" for _, attributes, _ in page.elements for v in attributes.values())
    assert not re.search(r"\b(nan|None|inf)\b", values)


# --- what is shown --------------------------------------------------------------------------------------


def test_verdict_uncertainty_and_caveat_come_first(one_person: Analysis, picture: PeakImage) -> None:
    shown = Page(render_page(one_person, {(1, 0): picture})).text()
    order = [
        "talk.mp4", "Predicted: happy · 71 %", "Next is surprise with 12 %: a clear lead.", "without a learned model",
        "Person 1", "Peak frame at", "Probabilities", "The cheeks are raised", "Cues", "Action units over time",
        "Waveform", "Pitch range, 10th to 90th percentile", "Transcript (source", "What could not be measured",
        "For the record", "SHA-256", "Settings", "Time taken", "What this can and cannot show",
    ]  # fmt: skip
    places = [shown.rindex("talk.mp4", 0, 400) if words == "talk.mp4" else shown.index(words) for words in order]
    assert places == sorted(places)


def test_figures_carry_their_units(one_person: Analysis) -> None:
    shown = Page(render_page(one_person, {})).text()
    assert "Pitch, median 205 Hz" in shown
    assert "Loudness, median −19.5 dB re full scale" in shown
    assert "Pauses, share of the speech span 18 %" in shown
    assert "Tremor, pitch modulation at 3–10 Hz not measurable" in shown
    assert "1280 × 720 px, 25 fps, h264, yuv420p" in shown
    assert "48000 Hz, stereo, aac" in shown
    assert "all 3.58 s" in shown  # 0.02 + 0.01 + 0.61 + 2.93 + 0.01


def test_cues_speak_for_and_against(one_person: Analysis) -> None:
    page = Page(render_page(one_person, {}))
    shown = page.text()
    assert "lip corner puller (AU12) 3.3 of 5 happy +1.9 sad −0.9, angry −0.7 EMFACS, AU06 + AU12" in shown


def test_portrait_has_mesh_and_marks_that_can_be_hidden(one_person: Analysis, picture: PeakImage) -> None:
    html = render_page(one_person, {(1, 0): picture})
    page = Page(html)
    (image,) = page.named("img")
    assert (image["width"], image["height"]) == ("400", "400")
    assert str(image["alt"]).startswith("Face of Person 1 at the peak frame, 2.60\u00a0s: AU45 blink, AU12 lip corner")
    boxes = page.named("input")
    assert [(box["type"], box["class"], "checked" in box) for box in boxes] == [
        ("checkbox", "show-mesh", True), ("checkbox", "show-fired-units", True),
    ]  # fmt: skip
    assert ".show-mesh:not(:checked) ~ .portrait .mesh" in html
    (dots,) = [a["d"] for a in page.named("path") if a.get("class") == "dots"]
    assert dots is not None
    assert dots.count("M") == 478
    assert dots.startswith("M1000 800h0")  # the first point, (100, 80), in tenths of a pixel


def test_why_there_is_no_picture(one_person: Analysis, sound_only: Analysis) -> None:
    assert "No image of the face: the file has no video." in Page(render_page(sound_only, {})).text()
    assert "its image is not part of this page" in Page(render_page(one_person, {})).text()


def test_picture_without_mesh(one_person: Analysis, picture: PeakImage) -> None:
    page = Page(render_page(one_person, {(1, 0): dataclasses.replace(picture, mesh=None)}))
    assert len(page.named("img")) == 1
    assert page.named("input") == []


def test_no_answer_shows_the_problem_and_no_number(no_answer: Analysis) -> None:
    page = Page(render_page(no_answer, {}))
    shown = page.text()
    assert "No answer No evidence: no face, no voice, no words." in shown
    assert "%" not in shown
    assert "Action units: no face was found in 150 frames." in shown
    assert "Transcript: no subtitle was given and there is none beside the file." in shown


def test_nobody_at_all_still_shows_the_sound(one_person: Analysis) -> None:
    page = Page(render_page(dataclasses.replace(one_person, people=(), warnings=("the film is black",)), {}))
    assert "No person was found: the film is black." in page.text()
    assert [s["class"] for s in page.named("svg") if s.get("role")] == ["plot"]


def test_several_people_and_segments(two_people: Analysis) -> None:
    page = Page(render_page(two_people, {}))
    shown = page.text()
    assert "Predicted overall: happy · 42 %" in shown  # the mean of 71, 55 and 62 x 0.02 %
    assert {"person-1", "person-2"} <= {s.get("id") for s in page.named("section")}
    assert "1 of 3 segments have no answer." in shown
    assert len(page.named("article")) == 6
    assert shown.count("All 3 segments as a table") == 2


def test_an_hour_without_an_answer_is_one_row_one_block_and_one_section(silent_hour: Analysis) -> None:
    page = Page(render_page(silent_hour, {}))
    shown = page.text()
    assert "0.00 s – 1:00:00 (1800 segments) no answer: no evidence: no face, no voice, no words" in shown
    assert [r["class"] for r in page.named("rect")] == ["block unanswered"]
    assert "0.00 s – 1:00:00: no answer (1800 segments)" in shown
    assert len(page.named("article")) == 1


def test_on_paper_each_person_has_one_segment(two_people: Analysis, one_person: Analysis) -> None:
    # A clip of 3 s with two people in three segments took 26 pages.
    page = Page(render_page(two_people, {}))
    kinds = [article["class"] for article in page.named("article")]
    assert kinds == ["segment", "segment on-screen", "segment on-screen"] * 2
    assert page.text().count("On paper, only the most probable of the 3 segments follows in full.") == 2
    printed = [details.get("class") == "printed" for details in page.named("details")]
    assert printed.count(True) == 2 + 3  # the segments of each person; model, settings, stages
    alone = Page(render_page(one_person, {}))
    assert "On paper" not in alone.text()
    assert [s["class"] for s in alone.named("div") if "segment" in (s.get("class") or "")] == ["segment"]


def test_a_long_table_of_segments_stays_off_paper(make_long: Callable[..., Analysis]) -> None:
    short, long = (Page(render_page(make_long(seconds, people=1), {})) for seconds in (120.0, 126.0))
    assert short.named("details")[0].get("class") == "printed"
    assert long.named("details")[0].get("class") is None


def test_what_is_cut_or_bounded_says_so(one_person: Analysis) -> None:
    shown = Page(render_page(one_person, {})).text()
    assert "SHA-256 0123456789abcdef…" in shown
    assert "kept within what faces differ by: a smile that lasts the whole clip still counts" in shown


def test_words_without_times_have_no_time(sound_only: Analysis) -> None:
    page = Page(render_page(sound_only, {}))
    assert "Transcript (source: given) “Are you really stupid or just pretending?”" in page.text()
    assert [s for s in page.named("rect") if s.get("class") == "words"] == []


def test_a_turned_video_says_so(one_person: Analysis) -> None:
    assert one_person.clip.video is not None
    video = dataclasses.replace(one_person.clip.video, rotation_degrees=90, is_variable_frame_rate=True, fps=29.97)
    turned = dataclasses.replace(one_person, clip=dataclasses.replace(one_person.clip, video=video))
    shown = Page(render_page(turned, {})).text()
    assert "29.97 fps, variable" in shown
    assert "Turned upright by 90°" in shown


def test_versions_and_settings_are_recorded(one_person: Analysis) -> None:
    shown = Page(render_page(one_person, {}, versions={"mediapipe": "0.10.21"})).text()
    assert "mediapipe 0.10.21" in shown
    assert "peak_rule all" in shown
    assert "segment not given" in shown


# --- what must not break it -----------------------------------------------------------------------------

EVIL = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>&\u202e\udc80"


def test_no_text_gets_out_of_its_place(one_person: Analysis) -> None:
    person = one_person.people[0]
    segment = person.segments[0]
    units = segment.evidence.action_units
    assert units is not None
    assert segment.evidence.peak_frame is not None
    evidence = dataclasses.replace(
        segment.evidence,
        action_units=dataclasses.replace(units, names=(EVIL, *units.names[1:]), source=EVIL),
        peak_frame=dataclasses.replace(segment.evidence.peak_frame, units={EVIL: 1.0}, why=EVIL),
        transcript=Transcript((TranscriptLine(EVIL, 1.0, 2.0, EVIL),), EVIL, EVIL),
        missing=(Missing(EVIL, EVIL),),
    )
    prediction = dataclasses.replace(
        segment.prediction, label=EVIL, probabilities={EVIL: 1.0}, reasoning=EVIL,
        cues=(Cue("words", EVIL, {EVIL: 1.0}, EVIL),),
    )  # fmt: skip
    evil = dataclasses.replace(
        one_person,
        clip=dataclasses.replace(one_person.clip, path=Path(f"/data/{EVIL.replace('/', '')}.mp4")),
        people=(
            dataclasses.replace(
                person, why=EVIL, segments=(dataclasses.replace(segment, evidence=evidence, prediction=prediction),)
            ),
        ),
        settings={EVIL: EVIL},
        warnings=(EVIL,),
        model=EVIL,
    )
    html = render_page(evil, {(1, 0): PeakImage(b"x", 10, 10, np.zeros((478, 2)))}, versions={EVIL: EVIL})
    assert "<script" not in html
    assert "\u202e" not in html
    html.encode("utf-8")  # a lone surrogate would fail here
    page = Page(html)
    assert len(page.named("img")) == 1
    assert "script" not in {tag for tag, _, _ in page.elements}
    assert page.text().count("<script>alert(1)</script>") > 15


def test_missing_numbers_do_not_break_it(one_person: Analysis) -> None:
    segment = one_person.people[0].segments[0]
    nothing = Prosody(0.0, 0.0, *([None] * 14), None, "librosa")
    assert segment.evidence.action_units is not None
    unseen = dataclasses.replace(
        segment.evidence.action_units,
        intensity=np.full_like(segment.evidence.action_units.intensity, np.nan),
        confidence=np.zeros_like(segment.evidence.action_units.confidence),
    )
    for evidence in (
        Evidence(action_units=unseen, prosody=nothing),
        Evidence(action_units=unseen.between(90, 91)),
        Evidence(),
    ):
        person = dataclasses.replace(one_person.people[0], segments=(dataclasses.replace(segment, evidence=evidence),))
        shown = Page(render_page(dataclasses.replace(one_person, people=(person,)), {})).text()
        assert "nan" not in shown.lower().split()
        assert "No image of the face: there is no peak frame." in shown


def test_an_empty_person(one_person: Analysis) -> None:
    person = dataclasses.replace(one_person.people[0], segments=())
    shown = Page(render_page(dataclasses.replace(one_person, people=(person,)), {})).text()
    assert "No segment was analysed." in shown


def test_units_of_different_sources_get_no_common_chart(two_people: Analysis) -> None:
    person = two_people.people[0]
    first, second, third = person.segments
    units = first.evidence.action_units
    assert units is not None
    fewer = ActionUnits(
        units.names[:3], units.pts_seconds, units.intensity[:, :3], units.confidence, units.is_blink, units.is_speech,
        "backend", "OpenFace",
    )  # fmt: skip
    changed = dataclasses.replace(first, evidence=dataclasses.replace(first.evidence, action_units=fewer))
    mixed = dataclasses.replace(two_people, people=(dataclasses.replace(person, segments=(changed, second, third)),))
    shown = Page(render_page(mixed, {})).text()
    assert "Action units over the whole recording" not in shown
    assert shown.count("Action units over time") == 6  # caption and title of three charts


# --- size -----------------------------------------------------------------------------------------------


def test_ten_minutes_stay_under_a_megabyte_and_a_half(make_long: Callable[..., Analysis]) -> None:
    analysis = make_long(600.0, people=2)
    large = PeakImage(bytes(60_000), 480, 480, np.full((478, 2), 123.4))
    pictures = {(p, i): large for p in (1, 2) for i in range(100)}
    html = render_page(analysis, pictures)
    assert len(html.encode("utf-8")) < 1_500_000
    page = Page(html)
    assert len(page.named("article")) == 12  # of 200 segments
    # 600 kB of pictures at 80 kB each: seven.
    assert len(page.named("img")) == 7
    assert "6 of 100 segments are shown in full below; the JSON holds all." in page.text()
    assert len(page.named("tr")) > 200


def test_one_long_segment_is_thinned(make_long: Callable[..., Analysis]) -> None:
    analysis = make_long(600.0, people=1)
    parts = [s.evidence.action_units for s in analysis.people[0].segments]
    whole = ActionUnits(
        parts[0].names,
        *(np.concatenate([getattr(p, k) for p in parts]) for k in ("pts_seconds", "intensity", "confidence")),
        *(np.concatenate([getattr(p, k) for p in parts]) for k in ("is_blink", "is_speech")),
        "person", "mesh",
    )  # fmt: skip
    segment = analysis.people[0].segments[0]
    one = dataclasses.replace(
        segment, end_seconds=600.0, evidence=dataclasses.replace(segment.evidence, action_units=whole)
    )
    person = dataclasses.replace(analysis.people[0], segments=(one,))
    page = Page(render_page(dataclasses.replace(analysis, people=(person,)), {}))
    areas = [str(a["d"]) for a in page.named("path") if str(a.get("class")).startswith("area")]
    points = sum(d.count(" ") + 1 for d in areas) / 2
    assert points < 17 * (800 + 2 * 100)  # 800 a row, and two corners for each of the hundred stretches between gaps


# --- colours --------------------------------------------------------------------------------------------


def _luminance(colour: str) -> float:
    """Relative luminance of "#rrggbb" (WCAG 2.2)."""
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _contrast(first: str, second: str) -> float:
    low, high = sorted((_luminance(first), _luminance(second)))
    return (high + 0.05) / (low + 0.05)


def test_contrast_reaches_wcag_aa_in_light_dark_and_print(one_person: Analysis) -> None:
    html = render_page(one_person, {})
    palettes = [
        dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{3,6})", block))
        for block in re.findall(r":root \{([^}]*)\}", html)
        if "--paper" in block
    ]
    assert len(palettes) == 3
    for palette in palettes:
        full = {k: v if len(v) == 7 else "#" + "".join(2 * c for c in v[1:]) for k, v in palette.items()}
        for name in ("ink", "soft", "main", "peak"):
            assert _contrast(full[name], full["paper"]) >= 4.5, (name, full)
        assert _contrast(full["ink"], full["raised"]) >= 4.5
        assert _contrast(full["wave"], full["paper"]) >= 3.0  # graphics: WCAG 1.4.11
