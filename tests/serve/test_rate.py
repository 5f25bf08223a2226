"""The token bucket, by a clock of the test's own."""

import pytest

from emotion_llama.serve import auth as rate
from emotion_llama.serve.auth import RateLimiter


def test_a_minutes_worth_at_once_then_evenly() -> None:
    now = [1000.0]
    limiter = RateLimiter(6, now=lambda: now[0])  # a token in 10 s
    assert [limiter.take("a") for _ in range(6)] == [0.0] * 6
    assert limiter.take("a") == pytest.approx(10.0)
    now[0] += 4.0
    assert limiter.take("a") == pytest.approx(6.0)  # asking costs nothing
    assert limiter.take("b") == 0.0
    now[0] += 6.0
    assert limiter.take("a") == 0.0
    assert limiter.take("a") == pytest.approx(10.0)
    now[0] += 3600.0
    assert [limiter.take("a") > 0 for _ in range(7)] == [False] * 6 + [True]  # never more than a minute's worth


def test_no_limit() -> None:
    limiter = RateLimiter(None)
    assert {limiter.take("a") for _ in range(1000)} == {0.0}


def test_the_longest_silent_caller_is_forgotten_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rate, "MAX_CALLERS", 2)
    limiter = RateLimiter(1, now=lambda: 0.0)
    for caller in ("a", "b", "a", "c"):  # "a" called after "b": "b" goes
        limiter.take(caller)
    assert limiter.take("a") > 0
    assert limiter.take("c") > 0
    assert limiter.take("b") == 0.0
