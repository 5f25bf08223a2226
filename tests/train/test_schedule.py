"""The published learning rate, step by step."""

import math

import pytest

from emotion_llama.train.trainer import warmup_cosine


def rate(step: int, learning_rate: float = 1e-5) -> float:
    return warmup_cosine(
        step, learning_rate=learning_rate, min_lr=1e-6, warmup_start_lr=1e-6, warmup_steps=1000, num_steps=30_000
    )


def test_warm_up_is_linear_and_the_cosine_runs_from_step_0() -> None:
    assert rate(0) == 1e-6
    assert rate(500) == pytest.approx(5.5e-6)
    # At the end of the warm-up the cosine has already moved: it is not 1e-5 exactly.
    assert rate(1000) == pytest.approx(1e-6 + 9e-6 * 0.5 * (1 + math.cos(math.pi / 30)))
    assert rate(15_000) == pytest.approx(5.5e-6)
    assert rate(30_000) == pytest.approx(1e-6)
    assert rate(40_000) == pytest.approx(1e-6)


def test_stage_2_as_published_is_constant() -> None:
    assert {rate(step, 1e-6) for step in (0, 999, 1000, 29_999)} == {1e-6}
