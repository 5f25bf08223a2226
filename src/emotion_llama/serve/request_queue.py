"""What waits for a model: requests in a bounded queue, and answers that are written piece by piece.

Clients use both from the server's event loop, the model from its own thread.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Literal

from emotion_llama.predictors.base import Sample, TextStream
from emotion_llama.results import Prediction
from emotion_llama.serve.errors import Busy


def post(loop: asyncio.AbstractEventLoop, action: Callable[[], object]) -> None:
    """Run `action` in the event loop; nothing where it is closed, for then no client waits."""
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(action)


class TextAnswer:
    """The answer to the last of `messages` about a sample as it is written: `async for piece in answer`.

    `options` are those of `Predictor.stream`. `aclose` ends the writing: whoever asks has to call it.

    Attributes:
        prompt_tokens: length of the prompt; 0 until the first piece came.
        completion_tokens: tokens written so far.
        finish_reason: who ended it: the model ("stop") or `max_new_tokens` ("length"); None until then.
        is_abandoned: the client has gone: nothing needs to be written any more.
    """

    def __init__(self, sample: Sample, messages: Any, options: dict[str, Any]) -> None:
        self.sample, self.messages, self.options = sample, messages, options
        self.prompt_tokens = self.completion_tokens = 0
        self.finish_reason: Literal["stop", "length"] | None = None
        self.is_abandoned = False
        self._loop = asyncio.get_running_loop()
        self._pieces: asyncio.Queue[str | Exception | None] = asyncio.Queue()
        self._is_over = False

    def write(self, piece: str | None, stream: TextStream) -> None:
        """From the model's thread: what `stream` gave, and whether it has ended with it."""
        counts = stream.prompt_tokens, stream.completion_tokens, stream.finish_reason

        def add() -> None:
            self.prompt_tokens, self.completion_tokens, self.finish_reason = counts
            if piece is not None:
                self._pieces.put_nowait(piece)
            if self.finish_reason is not None:
                self._pieces.put_nowait(None)

        post(self._loop, add)

    def fail(self, error: Exception) -> None:
        """From any thread: there will be no more, and why."""
        post(self._loop, lambda: self._pieces.put_nowait(error))

    def __aiter__(self) -> TextAnswer:
        return self

    async def __anext__(self) -> str:
        if self._is_over:
            raise StopAsyncIteration
        piece = await self._pieces.get()
        if isinstance(piece, str):
            return piece
        self._is_over = True
        if piece is None:
            raise StopAsyncIteration
        raise piece

    async def aclose(self) -> None:
        """Leave: nothing more is written."""
        self._is_over = self.is_abandoned = True


class PredictRequest:
    """A sample to be predicted; `future` gets the prediction."""

    def __init__(self, sample: Sample) -> None:
        self.sample = sample
        self._loop = asyncio.get_running_loop()
        self.future: asyncio.Future[Prediction] = self._loop.create_future()

    def settle(self, outcome: Prediction | Exception) -> None:
        """From any thread: the prediction, or why there is none."""

        def resolve() -> None:
            if self.future.done():  # the client has gone
                return
            if isinstance(outcome, Exception):
                self.future.set_exception(outcome)
            else:
                self.future.set_result(outcome)

        post(self._loop, resolve)


Batch = tuple[list[PredictRequest], list[TextAnswer]]  # predicted together; written side by side


class RequestQueue:
    """A bounded queue before a model; clients add to it from any thread, one thread takes from it.

    Args:
        what: waits in it, for messages.
        max_waiting: of both kinds together.
        max_batch: predictions that are taken at once.
        max_wait_seconds: how long the first prediction waits for others. Texts do not wait: their first word counts.
    """

    def __init__(self, what: str, *, max_waiting: int, max_batch: int, max_wait_seconds: float) -> None:
        self._what = what
        self._max_waiting, self._max_batch, self._max_wait_seconds = max_waiting, max_batch, max_wait_seconds
        self._predictions: deque[PredictRequest] = deque()
        self._texts: deque[TextAnswer] = deque()
        self._changed = threading.Condition()
        self._is_closed = False
        self._seconds_each = 0.5  # what a prediction costs: a guess, then estimated

    def __len__(self) -> int:
        return len(self._predictions) + len(self._texts)

    def put(self, request: PredictRequest | TextAnswer) -> None:
        """Add a request.

        Raises:
            Busy: the queue is full, or closed.
        """
        with self._changed:
            if self._is_closed or len(self) >= self._max_waiting:
                # A second at least: those that come back at once would find it full again.
                raise Busy(self._what, len(self), max(1.0, len(self) * self._seconds_each))
            if isinstance(request, PredictRequest):
                self._predictions.append(request)
            else:
                self._texts.append(request)
            self._changed.notify_all()

    def take(self, room: int, *, is_idle: bool) -> Batch | None:
        """What is next; None where the queue is closed and empty.

        Args:
            room: how many texts can be taken on.
            is_idle: there is nothing else to do: wait for the first request, and for others with it.
        """
        with self._changed:
            while is_idle and not self._is_closed and not len(self):
                self._changed.wait()
            if self._is_closed and not len(self):
                return None
            if is_idle and self._predictions and not self._texts:
                self._wait_for_others()
            predictions = [self._predictions.popleft() for _ in range(min(self._max_batch, len(self._predictions)))]
            return predictions, [self._texts.popleft() for _ in range(min(room, len(self._texts)))]

    def _wait_for_others(self) -> None:
        until = time.monotonic() + self._max_wait_seconds
        while len(self._predictions) < self._max_batch and not self._texts and not self._is_closed:
            left = until - time.monotonic()
            if left <= 0 or not self._changed.wait(left):
                return

    def took(self, seconds: float, count: int) -> None:
        """Update the estimate of what a prediction costs, which clients get when the queue is full."""
        if count:
            self._seconds_each += 0.2 * (seconds / count - self._seconds_each)

    def close(self) -> None:
        """Refuse new requests; those that wait are still taken."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()

    def clear(self) -> Batch:
        """All requests that still wait, taken out."""
        with self._changed:
            left = list(self._predictions), list(self._texts)
            self._predictions.clear()
            self._texts.clear()
            return left
