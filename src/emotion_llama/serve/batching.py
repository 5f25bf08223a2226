"""Requests that wait for a model, and how many of them it is handed together."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from emotion_llama.serve.errors import Busy

R = TypeVar("R")
Q = TypeVar("Q")
V = TypeVar("V")


@dataclass(frozen=True)
class Taken(Generic[R, Q]):
    """What a model is to do next: readings, answered together, and questions, answered side by side."""

    readings: list[R]
    questions: list[Q]


class Line(Generic[R, Q]):
    """A bounded line before a model; clients stand in it from any thread, one thread takes from it.

    Args:
        what: stands in it, for messages.
        max_waiting: of both kinds together.
        max_batch: readings that are taken at once.
        max_wait_seconds: how long the first reading waits for others. Questions do not wait: their first word counts.
        seconds_each: what one costs at first; then it is learnt.
    """

    def __init__(
        self, what: str, *, max_waiting: int, max_batch: int, max_wait_seconds: float, seconds_each: float = 0.5
    ) -> None:
        self._what = what
        self._max_waiting, self._max_batch, self._max_wait_seconds = max_waiting, max_batch, max_wait_seconds
        self._readings: deque[R] = deque()
        self._questions: deque[Q] = deque()
        self._changed = threading.Condition()
        self._is_closed = False
        self._seconds_each = seconds_each

    def __len__(self) -> int:
        return len(self._readings) + len(self._questions)

    def put_reading(self, reading: R) -> None:
        """Stand in line.

        Raises:
            Busy: the line is full, or closed.
        """
        self._put(lambda: self._readings.append(reading))

    def put_question(self, question: Q) -> None:
        """Stand in line; raises as `put_reading`."""
        self._put(lambda: self._questions.append(question))

    def _put(self, append: Callable[[], None]) -> None:
        with self._changed:
            if self._is_closed or len(self) >= self._max_waiting:
                # A second at least: those that come back at once would find it full again.
                raise Busy(self._what, len(self), max(1.0, len(self) * self._seconds_each))
            append()
            self._changed.notify_all()

    def take(self, room: int, *, is_idle: bool) -> Taken[R, Q] | None:
        """What is next; None where the line is closed and empty.

        Args:
            room: how many questions can be taken on.
            is_idle: there is nothing else to do: wait for the first to come, and for others with it.
        """
        with self._changed:
            while is_idle and not self._is_closed and not len(self):
                self._changed.wait()
            if self._is_closed and not len(self):
                return None
            if is_idle and self._readings and not self._questions:
                self._wait_for_others()
            readings = [self._readings.popleft() for _ in range(min(self._max_batch, len(self._readings)))]
            questions = [self._questions.popleft() for _ in range(min(room, len(self._questions)))]
            return Taken(readings, questions)

    def _wait_for_others(self) -> None:
        until = time.monotonic() + self._max_wait_seconds
        while len(self._readings) < self._max_batch and not self._questions and not self._is_closed:
            left = until - time.monotonic()
            if left <= 0 or not self._changed.wait(left):
                return

    def took(self, seconds: float, count: int) -> None:
        """Learn what one costs, for what clients are told when the line is full."""
        if count:
            self._seconds_each += 0.2 * (seconds / count - self._seconds_each)

    def close(self) -> None:
        """Let nobody in; those who stand in line are still taken."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()

    def clear(self) -> Taken[R, Q]:
        """Everybody who still stands in line, taken out of it."""
        with self._changed:
            left = Taken(list(self._readings), list(self._questions))
            self._readings.clear()
            self._questions.clear()
            return left


class Kept(Generic[V]):
    """The values last used, `most` of them, by key; of one thread."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._values: OrderedDict[str, V] = OrderedDict()

    def get(self, key: str) -> V | None:
        """The value, which thereby was used last; None where it is gone."""
        if key in self._values:
            self._values.move_to_end(key)
        return self._values.get(key)

    def put(self, key: str, value: V) -> None:
        """Keep a value; the one that was not used for longest goes where there are too many."""
        self._values[key] = value
        self._values.move_to_end(key)
        if len(self._values) > self._most:
            self._values.popitem(last=False)

    def __len__(self) -> int:
        return len(self._values)
