"""Calibration, worked out by hand."""

import math

import pytest

from emotion_llama.evaluation.metrics.classification import calibration


def test_two_bins_by_hand() -> None:
    found = calibration(["a", "a", "b"], [{"a": 0.9, "b": 0.1}, {"a": 0.7, "b": 0.3}, {"a": 0.8, "b": 0.2}], num_bins=4)
    assert found is not None
    # bin (0.5, 0.75]: 0.7, right; bin (0.75, 1]: 0.9 right, 0.8 wrong
    assert found["ece"] == pytest.approx((1 * abs(1.0 - 0.7) + 2 * abs(0.5 - 0.85)) / 3)
    assert found["brier"] == pytest.approx((0.02 + 0.18 + 2 * 0.64) / 3)
    assert found["log_loss"] == pytest.approx(-(math.log(0.9) + math.log(0.7) + math.log(0.2)) / 3)


def test_edges_belong_to_the_bin_below() -> None:
    found = calibration(["b", "b"], [{"a": 1.0}, {"b": 0.5, "a": 0.5}], num_bins=2)
    assert found is not None
    assert found["ece"] == pytest.approx((1.0 + 0.5) / 2)  # in one bin the two would make up for each other


def test_answers_without_probabilities_do_not_count() -> None:
    found = calibration(["a", "b"], [None, {"b": 1.0}])
    assert found is not None
    assert (found["num_clips"], found["ece"], found["brier"]) == (1, 0.0, 0.0)
    assert calibration(["a"], [None]) is None


def test_a_truth_outside_the_space_has_probability_zero() -> None:
    found = calibration(["disgust"], [{"a": 1.0}])
    assert found is not None
    assert found["brier"] == pytest.approx(2.0)
    assert found["log_loss"] > 20
