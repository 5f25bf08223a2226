"""Coordinates of tiny charts, worked out by hand."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import numpy as np
import pytest

from emotion_llama.records import ActionUnits, PeakFrame, Transcript, TranscriptLine, VoiceTrack
from emotion_llama.report import charts, evidence_charts
from emotion_llama.report.charts import TimeAxis
from emotion_llama.results import Evidence, Prediction, Segment

NAN = float("nan")


def _parse(svg: str) -> ElementTree.Element:
    return ElementTree.fromstring(svg)


def _all(root: ElementTree.Element, name: str, class_: str | None = None) -> list[ElementTree.Element]:
    return [e for e in root.iter(name) if class_ is None or class_ in (e.get("class") or "").split()]


# --- probabilities ---------------------------------------------------------------------------------------------------


def test_probability_bars_are_sorted_and_as_long_as_their_share() -> None:
    root = _parse(charts.probability_bars({"sad": 0.125, "happy": 0.75, "fear": 0.125}, "happy"))
    bars = _all(root, "rect", "bar")
    assert [bar.get("width") for bar in bars] == ["75.00%", "12.50%", "12.50%"]
    assert [bar.get("y") for bar in bars] == ["4", "30", "56"]
    assert [e.text for e in _all(root, "text", "name")] == ["happy", "sad", "fear"]
    assert [e.text for e in _all(root, "text", "value")] == ["75\u00a0%", "13\u00a0%", "13\u00a0%"]
    assert [bar.get("class") for bar in bars] == ["bar chosen", "bar", "bar"]
    (guess,) = _all(root, "line", "guess")
    assert guess.get("x1") == "33.33%"


def test_a_long_label_of_an_open_vocabulary_is_cut() -> None:
    root = _parse(charts.probability_bars({"overwhelmed by everything": 1.0}, None))
    assert _all(root, "text", "name")[0].text == "overwhelmed by ev…"


# --- timeline --------------------------------------------------------------------------------------------------------


def _segment(start: float, end: float, label: str | None, share: float = 1.0) -> Segment:
    if label is None:
        return Segment(start, end, Evidence(), Prediction(None, None, "", "", "rules", problem="no face"))
    shares = {label: share, "other": 1 - share}
    return Segment(start, end, Evidence(), Prediction(label, shares, "", "", "rules"))


def test_timeline_has_a_lane_for_each_label_the_longest_first() -> None:
    segments = [_segment(0, 1, "sad", 0.5), _segment(1, 4, "happy", 0.75), _segment(4, 5, None)]
    root = _parse(charts.timeline(segments, TimeAxis(0, 5)))
    assert [e.text for e in _all(root, "text", "name")] == ["happy", "sad", "no answer"]
    happy, sad, unanswered = _all(root, "rect", "block")
    # Lanes are 30 high, blocks at most 24: 0.75 x 24 = 18 above the lane's end at 30.
    assert [happy.get(k) for k in ("x", "width", "y", "height")] == ["20.00%", "60.00%", "12", "18"]
    assert [sad.get(k) for k in ("x", "width", "y", "height")] == ["0.00%", "20.00%", "48", "12"]
    assert unanswered.get("class") == "block unanswered"
    assert happy.find("title") is not None
    assert happy.find("title").text == "1.00 – 4.00\u00a0s: happy 75\u00a0%"  # type: ignore[union-attr]


# --- action units ----------------------------------------------------------------------------------------------------


def _units(columns: dict[str, list[float]], **masks: list[bool]) -> ActionUnits:
    intensity = np.array(list(columns.values())).T
    n = len(intensity)
    seen = np.isfinite(intensity).all(axis=1)
    return ActionUnits(
        tuple(columns), np.arange(n, dtype=float), intensity, seen.astype(float),
        np.array(masks.get("blink", [False] * n)), np.array(masks.get("speech", [False] * n)), "population", "test",
    )  # fmt: skip


def test_area_outline_by_hand() -> None:
    # 0..4 s over 2000 units; scale 4 over 200 units high: intensity 1 is 150 from the top, 4 is at the top.
    values = np.array([0, 4, NAN, 1, 1])
    first, second = evidence_charts.areas(TimeAxis(0, 4), np.arange(5.0), values, 4.0, 800)
    assert first.tolist() == [[0, 200], [0, 200], [500, 0], [500, 200]]
    assert second.tolist() == [[1500, 200], [1500, 150], [2000, 150], [2000, 200]]


@pytest.mark.parametrize(("strongest", "scale"), [(0.3, 2.0), (2.0, 2.0), (2.1, 3.0), (5.0, 5.0)])
def test_scale_is_the_next_whole_intensity(strongest: float, scale: float) -> None:
    assert evidence_charts.scale_of(_units({"AU12": [0.0, strongest, NAN]})) == scale
    assert evidence_charts.scale_of(_units({"AU12": [NAN]})) == 2.0


def test_unit_chart_marks_peak_gap_speech_and_blink() -> None:
    units = _units(
        {"AU12": [0, 1, 2, NAN, 1], "AU45": [0, 0, 0, NAN, 3]},
        blink=[False, False, False, False, True],
        speech=[True, True, False, False, False],
    )
    peak = PeakFrame(2, 2.0, 2.0, "all", None, {"AU12": 2.0}, "largest sum")
    root = _parse(evidence_charts.unit_chart(units, [peak], TimeAxis(0, 5)))
    (mark,) = _all(root, "line", "peak")
    assert mark.get("x1") == mark.get("x2") == "40%"
    assert _all(root, "text", "peak-label")[0].text == "peak 2.00\u00a0s"
    (gap,) = _all(root, "rect", "gap")
    assert (gap.get("x"), gap.get("width")) == ("50%", "20.00%")  # row 3, half a step to each side: 2.5..3.5 of 5 s
    talk = [e for e in _all(root, "rect", "talk") if "faint" not in e.get("class", "")]
    assert [(e.get("x"), e.get("width")) for e in talk] == [("0%", "30.00%")]
    blink = [e for e in _all(root, "rect", "blink") if "faint" not in e.get("class", "")]
    assert [(e.get("x"), e.get("width")) for e in blink] == [("70%", "20.00%")]
    assert [e.text for e in _all(root, "text", "value")] == ["2.0", "0.0"]  # held: a blink is not
    assert [e.get("class") for e in _all(root, "text", "name")] == ["name chosen", "name"]
    assert [e.get("class") for e in _all(root, "path")] == ["area fired", "area fired", "area", "area"]


def test_labels_of_near_peaks_do_not_run_into_each_other() -> None:
    # Seen on the example clip: peaks at 2.00 and 2.16 of 6 s wrote their times over each other.
    units = _units({"AU12": [0.0, 1.0, 2.0, 1.0, 0.0, 0.0, 0.0]})
    peaks = [PeakFrame(2, seconds, 1.0, "all", None, {}, "") for seconds in (2.0, 2.16, 5.0)]
    root = _parse(evidence_charts.unit_chart(units, peaks, TimeAxis(0, 6)))
    assert len(_all(root, "line", "peak")) == 3
    assert [e.text for e in _all(root, "text", "peak-label")] == ["peak 2.00\u00a0s", "peak 5.00\u00a0s"]


def test_a_phone_labels_fewer_peaks() -> None:
    # At 375 px the plot is 250 px wide and a label 85: "peak 1.12 speak 2.12 s". Those marked long are hidden there.
    units = _units({"AU12": [0.0, 1.0, 2.0, 1.0, 0.0, 0.0, 0.0]})
    peaks = [PeakFrame(2, seconds, 1.0, "all", None, {}, "") for seconds in (2.7, 0.5, 1.6, 5.0)]
    root = _parse(evidence_charts.unit_chart(units, peaks, TimeAxis(0, 5)))
    labels = [(e.text, e.get("class")) for e in _all(root, "text") if "peak-label" in (e.get("class") or "")]
    assert labels == [
        ("peak 0.50\u00a0s", "peak-label"),
        ("peak 1.60\u00a0s", "peak-label long"),
        ("peak 2.70\u00a0s", "peak-label"),
        ("peak 5.00\u00a0s", "peak-label"),
    ]


def test_unit_chart_without_any_face_shows_no_number() -> None:
    root = _parse(evidence_charts.unit_chart(_units({"AU12": [NAN, NAN]}), [], TimeAxis(0, 2)))
    assert _all(root, "path") == []
    assert [e.text for e in _all(root, "text", "value")] == ["–"]


def test_long_charts_keep_strips_only() -> None:
    columns = {"AU12": [1.0] * 100}
    units = _units(columns, speech=[True] * 50 + [False] * 50)
    assert _all(_parse(evidence_charts.unit_chart(units, [], TimeAxis(0, 100))), "rect", "faint") == []
    assert len(_all(_parse(evidence_charts.unit_chart(units, [], TimeAxis(0, 60))), "rect", "faint")) == 1


# --- voice -----------------------------------------------------------------------------------------------------------


def _voice(envelope: list[tuple[float, float]], f0_hz: list[float]) -> VoiceTrack:
    n = len(f0_hz)
    times = np.arange(n, dtype=float)
    nothing = np.full(n, NAN)
    return VoiceTrack(
        times_seconds=times, f0_hz=np.array(f0_hz), loudness_db=nothing, harmonicity_db=nothing, tilt_db=nothing,
        sonority_db=nothing, is_speech=np.isfinite(np.array(f0_hz)), envelope=np.array(envelope),
    )  # fmt: skip


def test_wave_outline_by_hand() -> None:
    # The loudest sample, 0.5, touches the border: 0.25 is a quarter of 1000 above the middle line at 500.
    voice = _voice([(-0.25, 0.25), (-0.5, 0.0)], [NAN, NAN])
    (outline,) = evidence_charts.wave_outlines(TimeAxis(0, 1), voice, 800)
    assert outline.tolist() == [[0, 250], [2000, 500], [2000, 1000], [0, 750]]


def test_silence_is_a_flat_line_not_a_division_by_zero() -> None:
    (outline,) = evidence_charts.wave_outlines(TimeAxis(0, 1), _voice([(0, 0), (0, 0)], [NAN, NAN]), 800)
    assert set(outline[:, 1].tolist()) == {500.0}


def test_pitch_axis_is_logarithmic() -> None:
    shares = evidence_charts.pitch_share(np.array([100.0, 200.0, 400.0]), 100.0, 400.0)
    assert shares.tolist() == pytest.approx([0, 0.5, 1])
    assert evidence_charts.pitch_range_hz(np.array([NAN])) is None
    low, high = evidence_charts.pitch_range_hz(np.array([100.0, 400.0])) or (0, 0)
    assert (low, high) == pytest.approx((94.387, 423.785), abs=1e-3)  # a semitone, a factor of 1.059463, outwards
    low, high = evidence_charts.pitch_range_hz(np.array([200.0])) or (0, 0)
    assert (low, high) == pytest.approx((141.421, 282.843), abs=1e-3)  # an octave around 200 Hz


def test_voice_chart_draws_dots_pauses_and_words() -> None:
    voice = _voice([(-1, 1)] * 5, [200, NAN, 200, 200, NAN])
    transcript = Transcript((TranscriptLine("hello", 1.0, 2.0), TranscriptLine("untimed")), "given")
    root = _parse(
        evidence_charts.voice_chart(voice, TimeAxis(0, 4), pauses=[(0.5, 1.5)], transcript=transcript, most_points=800)
    )
    (dots,) = _all(root, "path", "pitch")
    # One pitch, in the middle of its octave: height 500 of 1000; frames 0, 2 and 3 of 4 s.
    assert dots.get("d") == "M0 500h0M1000 500h0M1500 500h0"
    (pause,) = _all(root, "rect", "pause")
    assert (pause.get("x"), pause.get("width")) == ("12.5%", "25.00%")
    (words,) = _all(root, "text", "words-text")
    assert words.text == "hello"
    block = next(e for e in root.iter("svg") if words in list(e))
    assert (block.get("x"), block.get("width")) == ("25%", "25.00%")


def test_voice_without_pitch_says_so() -> None:
    svg = evidence_charts.voice_chart(_voice([(-1, 1)] * 3, [NAN] * 3), TimeAxis(0, 3))
    assert "no pitch was found" in svg
    assert _all(_parse(svg), "path", "pitch") == []


def test_coordinates_are_whole_numbers() -> None:
    svg = charts.path(np.array([[0.4, 1.6], [10.5, 3.0]]), "x")
    assert re.search(r'd="([^"]*)"', svg).group(1) == "M0 2 10 3"  # type: ignore[union-attr]
