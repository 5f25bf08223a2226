"""The line before a model: bounded, taken in batches, and left in order."""

import threading
import time

import pytest

from emotion_llama.serve.batching import Kept, Line, Taken
from emotion_llama.serve.errors import Busy


def line(*, max_waiting: int = 5, max_batch: int = 3, max_wait_seconds: float = 0.0) -> Line[str, str]:
    return Line("requests", max_waiting=max_waiting, max_batch=max_batch, max_wait_seconds=max_wait_seconds)


def test_batches_in_order_of_coming() -> None:
    found = line()
    for name in "abcd":
        found.put_reading(name)
    found.put_question("q")
    assert len(found) == 5
    assert found.take(2, is_idle=True) == Taken(["a", "b", "c"], ["q"])
    assert found.take(2, is_idle=False) == Taken(["d"], [])
    assert found.take(2, is_idle=False) == Taken([], [])


def test_questions_wait_for_room() -> None:
    found = line()
    for name in "abc":
        found.put_question(name)
    assert found.take(2, is_idle=True) == Taken([], ["a", "b"])
    assert found.take(0, is_idle=False) == Taken([], [])
    assert found.take(1, is_idle=False) == Taken([], ["c"])


def test_a_full_line_is_busy_and_says_how_long() -> None:
    found = line(max_waiting=2)
    found.put_reading("a")
    found.put_question("b")
    with pytest.raises(Busy, match="2 requests are waiting already, no more are taken; try again in 1 s") as caught:
        found.put_reading("c")
    assert caught.value.retry_after_seconds == 1.0
    for _ in range(60):
        found.took(40.0, 4)  # 10 s each
    with pytest.raises(Busy) as caught:
        found.put_question("c")
    assert caught.value.retry_after_seconds == pytest.approx(20.0, rel=1e-3)
    found.took(1.0, 0)
    assert found.clear() == Taken(["a"], ["b"])
    assert len(found) == 0


def test_the_first_waits_for_others() -> None:
    found = line(max_wait_seconds=5.0)
    found.put_reading("a")
    threading.Timer(0.05, lambda: [found.put_reading(name) for name in "bc"]).start()
    start = time.monotonic()
    assert found.take(1, is_idle=True) == Taken(["a", "b", "c"], [])  # a full batch waits no longer
    assert 0.03 < time.monotonic() - start < 4
    found = line(max_wait_seconds=0.05)
    found.put_reading("a")
    start = time.monotonic()
    assert found.take(1, is_idle=True) == Taken(["a"], [])
    assert 0.04 < time.monotonic() - start < 4


def test_nobody_waits_where_there_is_a_question_or_work() -> None:
    found = line(max_wait_seconds=30.0)
    found.put_reading("a")
    assert found.take(1, is_idle=False) == Taken(["a"], [])
    found.put_reading("a")
    threading.Timer(0.05, lambda: found.put_question("q")).start()
    start = time.monotonic()
    assert found.take(1, is_idle=True) == Taken(["a"], ["q"])
    assert time.monotonic() - start < 10


def test_an_empty_line_waits_for_the_first_and_ends_when_closed() -> None:
    found = line()
    threading.Timer(0.03, lambda: found.put_question("a")).start()
    assert found.take(1, is_idle=True) == Taken([], ["a"])
    found.put_reading("b")
    found.close()
    with pytest.raises(Busy, match="1 requests are waiting"):
        found.put_reading("c")
    assert found.take(1, is_idle=True) == Taken(["b"], [])  # who stands in line is still taken
    assert found.take(1, is_idle=True) is None
    assert found.take(1, is_idle=False) is None
    open_line = line()
    threading.Timer(0.03, open_line.close).start()
    assert open_line.take(1, is_idle=True) is None


def test_the_last_used_are_kept() -> None:
    kept: Kept[int] = Kept(2)
    kept.put("a", 1)
    kept.put("b", 2)
    assert kept.get("a") == 1
    kept.put("c", 3)
    assert (kept.get("b"), kept.get("a"), kept.get("c"), len(kept)) == (None, 1, 3, 2)
    kept.put("a", 4)
    assert (kept.get("a"), len(kept)) == (4, 2)
