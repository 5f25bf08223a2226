"""The queue before a model: bounded, taken in batches, and left in order."""

import asyncio
import threading
from typing import Any, cast

import pytest

from emotion_llama.serve.errors import Busy
from emotion_llama.serve.request_queue import PredictRequest, RequestQueue, TextAnswer


async def _requests() -> tuple[list[PredictRequest], list[TextAnswer]]:
    samples = [cast(Any, name) for name in "abcdpqr"]
    return [PredictRequest(one) for one in samples[:4]], [TextAnswer(one, (), {}) for one in samples[4:]]


(A, B, C, D), (P, Q, R) = asyncio.run(_requests())


def queue(*, max_waiting: int = 5, max_batch: int = 3, max_wait_seconds: float = 0.0) -> RequestQueue:
    return RequestQueue("requests", max_waiting=max_waiting, max_batch=max_batch, max_wait_seconds=max_wait_seconds)


def filled(found: RequestQueue, *requests: PredictRequest | TextAnswer) -> RequestQueue:
    for request in requests:
        found.put(request)
    return found


def test_batches_in_order_of_coming() -> None:
    found = filled(queue(), A, B, C, D, Q)
    assert len(found) == 5
    assert found.take(2, is_idle=True) == ([A, B, C], [Q])
    assert found.take(2, is_idle=False) == ([D], [])
    assert found.take(2, is_idle=False) == ([], [])


def test_questions_wait_for_room() -> None:
    found = filled(queue(), P, Q, R)
    assert found.take(2, is_idle=True) == ([], [P, Q])
    assert found.take(0, is_idle=False) == ([], [])
    assert found.take(1, is_idle=False) == ([], [R])


def test_a_full_queue_is_busy_and_says_how_long() -> None:
    found = filled(queue(max_waiting=2), A, Q)
    with pytest.raises(Busy, match="2 requests are waiting already, no more are taken; try again in 1 s") as caught:
        found.put(C)
    assert caught.value.retry_after_seconds == 1.0
    for _ in range(60):
        found.took(40.0, 4)  # 10 s each
    with pytest.raises(Busy) as caught:
        found.put(R)
    assert caught.value.retry_after_seconds == pytest.approx(20.0, rel=1e-3)
    found.took(1.0, 0)
    assert found.clear() == ([A], [Q])
    assert len(found) == 0


def test_the_first_waits_for_others() -> None:
    found = filled(queue(max_wait_seconds=1e6), A)  # for ever, were it not that a full batch waits no longer
    threading.Timer(0.05, filled, (found, B, C)).start()
    assert found.take(1, is_idle=True) == ([A, B, C], [])
    assert filled(queue(max_wait_seconds=0.05), A).take(1, is_idle=True) == ([A], [])


def test_nobody_waits_where_there_is_a_question_or_work() -> None:
    found = filled(queue(max_wait_seconds=1e6), A)
    assert found.take(1, is_idle=False) == ([A], [])
    found.put(A)
    threading.Timer(0.05, found.put, (Q,)).start()
    assert found.take(1, is_idle=True) == ([A], [Q])


def test_an_empty_queue_waits_for_the_first_and_ends_when_closed() -> None:
    found = queue()
    threading.Timer(0.03, found.put, (Q,)).start()
    assert found.take(1, is_idle=True) == ([], [Q])
    found.put(B)
    found.close()
    with pytest.raises(Busy, match="1 requests are waiting"):
        found.put(C)
    assert found.take(1, is_idle=True) == ([B], [])  # what waits is still taken
    assert found.take(1, is_idle=True) is None
    assert found.take(1, is_idle=False) is None
    still_open = queue()
    threading.Timer(0.03, still_open.close).start()
    assert still_open.take(1, is_idle=True) is None
