"""Scores of a condition, counted by hand; intervals over people."""

import math

import pytest

from emotion_llama.errors import InputError
from merr_synth.nano.condition_scores import (
    TestClip,
    adjusted,
    compare,
    fit_temperature,
    label_of,
    part_of,
    score_condition,
    score_reasons,
)
from merr_synth.nano.naming import Naming

CLIPS = [
    TestClip("a", "sad", "p", "plain"),
    TestClip("b", "sad", "p", "conflict sarcasm"),
    TestClip("c", "happy", "q", "conflict leak"),
    TestClip("d", "happy", "q", "missing silent"),
]
SAD, HAPPY = {"sad": 0.75, "happy": 0.25}, {"sad": 0.25, "happy": 0.75}


def test_a_clip_without_an_answer_is_wrong_and_counted() -> None:
    found = score_condition(CLIPS, [SAD, HAPPY, HAPPY, None], num_resamples=50)
    assert (found.clips, found.unanswered) == (4, 1)
    assert found.figures["uar"].value == pytest.approx(0.5)
    assert found.figures["accuracy"].value == pytest.approx(0.5)
    # sad: 1 of 1 told right, 1 of 2 found: F1 2/3; happy: 1 of 2 told right, 1 of 2 found: F1 1/2
    assert found.figures["weighted_f1"].value == pytest.approx((2 / 3 + 1 / 2) / 2)
    assert found.answered_accuracy == pytest.approx(2 / 3)
    assert found.ece == pytest.approx(abs(2 / 3 - 0.75))


def test_nothing_answered_has_no_calibration() -> None:
    found = score_condition(CLIPS, [None] * 4, num_resamples=5)
    assert (found.figures["uar"].value, found.answered_accuracy, found.ece) == (0.0, None, None)
    assert label_of(None) is None


def test_intervals_draw_people_and_not_clips() -> None:
    """Of two people one is always right, the other never: a draw has 0, 1 or half right, and nothing between."""
    found = score_condition(CLIPS, [SAD, SAD, SAD, SAD], num_resamples=400)
    assert (found.figures["accuracy"].low, found.figures["accuracy"].high) == (0.0, 1.0)


def test_two_systems_on_the_same_clips() -> None:
    found = compare(CLIPS, [SAD, SAD, HAPPY, HAPPY], [SAD, None, SAD, HAPPY], num_resamples=50)
    assert found.uar.value == pytest.approx(0.5)
    assert (found.only_first, found.only_second) == (2, 0)
    assert found.p_value == pytest.approx(0.5)  # two of two: 2 x 1/4


def test_parts_are_by_the_first_word_of_the_kind() -> None:
    assert part_of(CLIPS, "all") == [0, 1, 2, 3]
    assert part_of(CLIPS, "conflict") == [1, 2]
    assert part_of(CLIPS, "missing") == [3]
    assert part_of(CLIPS, "ambiguous") == []


def test_reasons_in_sums_and_shares() -> None:
    cues = frozenset({"loud", "fast"})
    rows = [
        Naming(cues, frozenset({"loud"}), frozenset(), 1, 1),
        Naming(cues, frozenset({"loud", "fast", "slow"}), frozenset({"slow"}), 1, 0),
    ]
    found = score_reasons(["p", "q"], rows, num_resamples=100)
    assert (found.totals.told, found.totals.found, found.totals.named, found.totals.invented) == (4, 3, 4, 1)
    named, invented, quoted = (found.shares[n] for n in ("share_named", "share_invented", "share_quoted_right"))
    assert named is not None
    assert (named.value, named.low, named.high) == (0.75, 0.5, 1.0)
    assert invented is not None
    assert invented.value == 0.25
    assert quoted is not None
    assert quoted.value == 0.5
    assert (
        score_reasons(["p"], [rows[0]._replace(quotations=0, quotations_right=0)]).shares["share_quoted_right"] is None
    )


def test_answers_must_fit_the_clips() -> None:
    for call in (
        lambda: score_condition(CLIPS, [SAD]),
        lambda: compare(CLIPS, [SAD] * 4, []),
        lambda: score_reasons([], []),
    ):
        with pytest.raises(InputError, match="expected at least one clip and an answer for each, got"):
            call()


def test_several_tests_are_adjusted_after_holm() -> None:
    assert adjusted([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert adjusted([0.6, 0.9]) == [1.0, 1.0]


def test_the_temperature_of_answers_that_are_too_sure() -> None:
    """Three of four are right, whatever the scores say: the best temperature gives the top label 3/4."""
    sure = {"a": 0.0, "b": -6.0}
    found = fit_temperature(["a", "a", "a", "b"], [sure] * 4)
    assert 1 / (1 + math.exp(-6.0 / found)) == pytest.approx(0.75, abs=1e-3)


def test_a_temperature_needs_something_to_fit_to() -> None:
    with pytest.raises(InputError, match="expected scores for each of at least one clip, got 0 for 0 clips"):
        fit_temperature([], [])
    with pytest.raises(InputError, match="got 1 for 2 clips"):
        fit_temperature(["a", "b"], [{"a": 0.0}])
    with pytest.raises(InputError, match=r"'c' is not among the scored labels \(a, b\)"):
        fit_temperature(["c"], [{"a": 0.0, "b": -1.0}])
