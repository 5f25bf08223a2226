from __future__ import annotations

import pytest

from emotion_llama.report import wording
from emotion_llama.results import Analysis, Evidence, PersonAnalysis, Prediction, Segment


@pytest.mark.parametrize(
    ("share", "shown"),
    [
        (0.714, "71 %"),
        (0.715, "72 %"),
        (0.0, "0 %"),
        (0.004, "<1 %"),
        (0.005, "1 %"),
        (0.9951, ">99 %"),
        (1.0, "100 %"),
    ],
)
def test_percent_rounds_half_up_and_never_to_certainty(share: float, shown: str) -> None:
    assert wording.percent(share).replace(wording.NBSP, " ") == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0.0, "0.00 s"),
        (59.99, "59.99 s"),
        (59.996, "1:00.0"),
        (125.34, "2:05.3"),
        (3599.96, "1:00:00"),
        (7325, "2:02:05"),
    ],
)
def test_clock(seconds: float, shown: str) -> None:
    assert wording.clock(seconds).replace(wording.NBSP, " ") == shown


def test_span_keeps_the_unit_where_only_one_end_has_it() -> None:
    assert wording.span(1.2, 4.25) == f"1.20 – 4.25{wording.NBSP}s"
    assert wording.span(58.0, 64.0) == f"58.00{wording.NBSP}s – 1:04.0"


@pytest.mark.parametrize(
    ("value", "shown"),
    [(-3.14, "−3.1"), (-0.04, "0.0"), (2.0, "2.0"), (None, None), (float("nan"), None), (float("inf"), None)],
)
def test_figure_shows_no_nan_and_no_negative_zero(value: float | None, shown: str | None) -> None:
    assert wording.figure(value) == shown


def test_signed() -> None:
    assert [wording.signed(v) for v in (1.25, 0.0, -0.4)] == ["+1.2", "+0.0", "−0.4"]


def test_weights_are_sorted_by_size_and_small_ones_left_out() -> None:
    weights = {"sad": -0.9, "fear": 0.04, "happy": 1.9, "angry": -0.05}
    assert wording.weights_in_words(weights).replace(wording.NBSP, " ") == "happy +1.9, sad −0.9, angry −0.1"
    assert wording.weights_in_words(weights, "angry").startswith("angry")
    assert wording.weights_in_words({"fear": -0.04}) == ""


def test_printable_drops_what_could_forge_a_line() -> None:
    # ESC would start a terminal command, U+202E would show "gpj.exe" as "exe.jpg", a lone surrogate cannot be encoded.
    assert (
        wording.printable("a\x1b[31m\n\u202eb\udc80c") == "a\N{REPLACEMENT CHARACTER}[31m b\N{REPLACEMENT CHARACTER}c"
    )


def test_sentence() -> None:
    assert [wording.sentence(t) for t in ("no face", "Why?", "", " x. ")] == ["No face.", "Why?", "", "X."]


@pytest.mark.parametrize(
    ("shares", "words"),
    [((0.6, 0.3, 0.1), "a clear lead"), ((0.45, 0.3, 0.25), "a moderate lead"), ((0.4, 0.35, 0.25), "a close call")],
)
def test_lead_in_words(shares: tuple[float, ...], words: str) -> None:
    assert wording.lead_in_words(wording.ranked(dict(zip("abc", shares)))) == words


def test_lead_needs_two_labels() -> None:
    assert wording.lead_in_words(wording.ranked({"a": 1.0})) is None


def _prediction(**shares: float) -> Prediction:
    return Prediction(max(shares, key=lambda k: shares[k]), shares, "", "", "rules")


def _segment(start: float, end: float, prediction: Prediction) -> Segment:
    return Segment(start, end, Evidence(), prediction)


def test_headline_names_the_runner_up() -> None:
    headline = wording.prediction_headline(_prediction(sad=0.25, happy=0.75))
    assert headline[0].replace(wording.NBSP, " ") == "Predicted: happy · 75 %"
    assert headline[1].replace(wording.NBSP, " ") == "Next is sad with 25 %: a clear lead."


def test_headline_without_probabilities_makes_none_up() -> None:
    headline = wording.prediction_headline(Prediction("happy", None, "", "", "a model"))
    assert headline == ("Predicted: happy", "The model gave no probability for its answer.")


def test_headline_of_an_answer_that_is_not_the_most_probable() -> None:
    headline = wording.prediction_headline(Prediction("sad", {"sad": 0.25, "happy": 0.75}, "", "", "a model"))
    assert headline[1].replace(wording.NBSP, " ") == "Not the most probable label: happy has 75 %."


def test_headline_with_one_label_only() -> None:
    assert wording.prediction_headline(_prediction(happy=1.0))[1] == "No other label was considered."


def test_a_problem_is_not_a_label() -> None:
    prediction = Prediction(None, None, "", "", "rules", problem="no evidence")
    assert wording.prediction_headline(prediction) == ("No answer", "no evidence")


def test_mean_weighs_by_length_and_leaves_unanswered_out() -> None:
    segments = (
        _segment(0, 1, _prediction(happy=0.9, sad=0.1)),
        _segment(1, 4, _prediction(happy=0.1, sad=0.9)),
        _segment(4, 99, Prediction(None, None, "", "", "rules", problem="no face")),
    )
    mean = wording.mean_probabilities(segments)
    assert mean == pytest.approx({"happy": 0.3, "sad": 0.7})  # (1 * 0.9 + 3 * 0.1) / 4
    person = PersonAnalysis(1, True, "", None, segments)
    headline = wording.person_headline(person)
    assert headline[0].replace(wording.NBSP, " ") == "Predicted overall: sad · 70 %"
    assert headline[1].startswith("Mean over 2 segments")
    assert headline[1].endswith("1 of 3 segments have no answer.")


def test_a_person_without_any_answer() -> None:
    problem = Prediction(None, None, "", "", "rules", problem="no face")
    segments = (_segment(0, 1, problem), _segment(1, 2, problem))
    assert wording.person_headline(PersonAnalysis(1, True, "", None, segments)) == ("No answer", "no face")
    assert wording.person_headline(PersonAnalysis(1, True, "", None, ())) == ("No answer", "No segment was analysed.")
    assert not wording.is_answered([PersonAnalysis(1, True, "", None, segments)])


def test_names_of_people(one_person: Analysis, sound_only: Analysis, no_answer: Analysis) -> None:
    names = [wording.person_name(a.people[0]) for a in (one_person, sound_only, no_answer)]
    assert names == ["Person 1", "Voice without a visible face", "Nobody seen or heard"]


def test_lead_segment_prefers_a_face_to_a_higher_probability(one_person: Analysis) -> None:
    with_face = one_person.people[0].segments[0]
    without = _segment(6, 9, _prediction(sad=0.99, happy=0.01))
    assert wording.lead_segment(PersonAnalysis(1, True, "", None, (without, with_face))) == 1
    assert wording.lead_segment(PersonAnalysis(1, True, "", None, ())) is None


def test_caveat_says_what_rules_are() -> None:
    assert "without a learned model" in wording.caveat("rules")
    assert "not on yours" in wording.caveat("rules")
    assert "“llama”" in wording.caveat("llama")
    assert "drawn faces and synthetic voices alone" in wording.caveat("nano")
