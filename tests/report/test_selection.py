from __future__ import annotations

import dataclasses

import pytest

from emotion_llama.report import selection
from emotion_llama.results import Analysis, Prediction


def test_each_person_gets_a_segment_before_anybody_gets_two(two_people: Analysis) -> None:
    # Person 1: happy .71, happy .55, surprise .38. Person 2: sad .44, no answer and no face, sad .44.
    assert selection.choose_detailed(two_people.people, 3) == [(1, 0), (2, 0), (1, 1)]
    assert selection.choose_detailed(two_people.people) == [(1, 0), (2, 0), (1, 1), (2, 2), (1, 2), (2, 1)]
    assert selection.choose_detailed(two_people.people, 0) == []
    assert selection.choose_detailed(()) == []


def test_segments_without_an_answer_leave_the_room_to_others(two_people: Analysis, silent_hour: Analysis) -> None:
    # Of six, five are wanted: person 2's middle one has no answer. Of 1800 without any, one stands for all.
    assert selection.choose_detailed(two_people.people, 5) == [(1, 0), (2, 0), (1, 1), (2, 2), (1, 2)]
    assert selection.choose_detailed(silent_hour.people) == [(1, 0)]


def test_neighbours_that_read_the_same_share_a_row_only_where_there_are_many(two_people: Analysis) -> None:
    first, second, third = two_people.people[0].segments  # happy .71, happy .55, surprise .38
    rows = selection.timeline_rows((first, second, third), most=3)
    assert [row.segments for row in rows] == [(first,), (second,), (third,)]
    assert rows[0].probabilities == first.prediction.probabilities
    joined = selection.timeline_rows((first, second, third), most=2)
    assert [row.segments for row in joined] == [(first, second), (third,)]
    assert (joined[0].label, joined[0].start_seconds, joined[0].end_seconds) == ("happy", 0.0, 8.0)
    assert (joined[0].probabilities or {})["happy"] == pytest.approx(0.63)
    assert joined[0].evidence is first.evidence


def test_a_run_without_an_answer_names_the_most_frequent_reason(two_people: Analysis) -> None:
    unanswered = two_people.people[1].segments[1]
    other = dataclasses.replace(unanswered, prediction=Prediction(None, None, "", "", "rules", problem="too dark"))
    (run,) = selection.timeline_rows((other, unanswered, unanswered), most=1)
    assert run.problem == "no evidence: no face and no speech in this segment (2 of 3 segments)"
    assert (run.probabilities, run.evidence.missing) == (None, ())
    assert selection.Run((other,)).problem == "too dark"


def test_images_are_taken_in_order_until_the_budget_is_spent() -> None:
    sizes = {(0, 0): 40, (0, 1): 50, (0, 2): 20, (0, 3): 1}
    assert selection.within_budget(sizes, [(0, 2), (9, 9), (0, 0), (0, 1), (0, 3)], 100) == [(0, 2), (0, 0)]
    assert selection.within_budget(sizes, [(0, 1), (0, 0)], 90) == [(0, 1), (0, 0)]


@pytest.mark.parametrize(("charts", "points"), [(0, 800), (1, 800), (4, 500), (10, 200), (1000, 60)])
def test_curves_share_the_points_of_a_page(charts: int, points: int) -> None:
    assert selection.points_per_curve(charts) == points
