"""The published learning rate, step by step."""

import math

import pytest

from emotion_llama.errors import InputError
from emotion_llama.train.schedule import Schedule

PUBLISHED = Schedule(1e-5, 1e-6, 1e-6, 1000, 30_000)


def test_warm_up_is_linear_and_the_cosine_runs_from_step_0() -> None:
    assert PUBLISHED.rate(0) == 1e-6
    assert PUBLISHED.rate(500) == pytest.approx(5.5e-6)
    # At the end of the warm-up the cosine has already moved: it is not 1e-5 exactly.
    assert PUBLISHED.rate(1000) == pytest.approx(1e-6 + 9e-6 * 0.5 * (1 + math.cos(math.pi / 30)))
    assert PUBLISHED.rate(15_000) == pytest.approx(5.5e-6)
    assert PUBLISHED.rate(30_000) == pytest.approx(1e-6)
    assert PUBLISHED.rate(40_000) == pytest.approx(1e-6)


def test_stage_2_as_published_is_constant() -> None:
    stage_2 = Schedule(1e-6, 1e-6, 1e-6, 1000, 30_000)
    assert {stage_2.rate(step) for step in (0, 999, 1000, 29_999)} == {1e-6}


def test_refusals() -> None:
    with pytest.raises(InputError, match="none above the peak: peak 1e-06"):
        Schedule(1e-6, 1e-5, 0.0, 0, 1)
    with pytest.raises(InputError, match="got 11 of 10"):
        Schedule(1e-5, 0.0, 0.0, 11, 10)
