"""Requests that wait for a model's thread, and the way of predictions and texts back to the clients' event loop."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

from emotion_llama.results import Prediction
from emotion_llama.serve.errors import Busy
from emotion_llama.serve.questions import Question, Sample

FinishReason = Literal["stop", "length"]
V = TypeVar("V")


class TextBuffer:
    """What a model's thread writes to; the client's `TextAnswer` reads from it.

    Attributes:
        is_abandoned: the client has gone: nothing needs to be written any more.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.pieces: asyncio.Queue[str | Exception | None] = asyncio.Queue()
        self.is_abandoned = False
        self.prompt_tokens = 0
        self.completion_tokens = 0
        self.finish_reason: FinishReason | None = None

    def write(self, piece: str, prompt_tokens: int, completion_tokens: int) -> None:
        """From the model's thread: the next piece, and how long prompt and answer are by now."""
        self._post(lambda: self._add(piece, prompt_tokens, completion_tokens))

    def end(self, reason: FinishReason, prompt_tokens: int, completion_tokens: int) -> None:
        """From the model's thread: the text is complete."""

        def close() -> None:
            self._add(None, prompt_tokens, completion_tokens)
            self.finish_reason = reason

        self._post(close)

    def fail(self, error: Exception) -> None:
        """From any thread: there will be no more, and why."""
        self._post(lambda: self.pieces.put_nowait(error))

    def _add(self, piece: str | None, prompt_tokens: int, completion_tokens: int) -> None:
        self.prompt_tokens, self.completion_tokens = prompt_tokens, completion_tokens
        self.pieces.put_nowait(piece)

    def _post(self, action: Callable[[], None]) -> None:
        with suppress(RuntimeError):  # the loop is closed, and no client waits
            self._loop.call_soon_threadsafe(action)


class TextAnswer:
    """The answer to a question as it is written: `async for piece in answer`.

    Leaving it (`aclose`, or dropping the object) ends the writing.
    """

    def __init__(self, buffer: TextBuffer) -> None:
        self._buffer = buffer
        self._is_over = False

    @property
    def prompt_tokens(self) -> int:
        """Length of the prompt; 0 until the first piece came."""
        return self._buffer.prompt_tokens

    @property
    def completion_tokens(self) -> int:
        """Tokens written so far."""
        return self._buffer.completion_tokens

    @property
    def finish_reason(self) -> FinishReason | None:
        """Who ended it: the model ("stop") or `max_new_tokens` ("length"); None until then."""
        return self._buffer.finish_reason

    def __aiter__(self) -> TextAnswer:
        return self

    async def __anext__(self) -> str:
        if self._is_over:
            raise StopAsyncIteration
        piece = await self._buffer.pieces.get()
        if isinstance(piece, str):
            return piece
        self._is_over = True
        if piece is None:
            raise StopAsyncIteration
        raise piece

    async def aclose(self) -> None:
        """Leave: nothing more is written."""
        self._is_over = self._buffer.is_abandoned = True

    def __del__(self) -> None:
        self._buffer.is_abandoned = True


@dataclass(eq=False)
class PredictRequest:
    """A sample to be predicted, and where its prediction goes."""

    seen: Sample
    future: asyncio.Future[Prediction]
    loop: asyncio.AbstractEventLoop

    def settle(self, outcome: Prediction | Exception) -> None:
        """From any thread: the prediction, or why there is none."""

        def resolve() -> None:
            if self.future.done():  # the client has gone
                return
            if isinstance(outcome, Exception):
                self.future.set_exception(outcome)
            else:
                self.future.set_result(outcome)

        with suppress(RuntimeError):  # the loop is closed, and no client waits
            self.loop.call_soon_threadsafe(resolve)


@dataclass(eq=False)
class TextRequest:
    """A question, the clip it is about (its arrays, or the key of kept features), and the buffer for its answer."""

    clip: str | Sample
    question: Question
    buffer: TextBuffer


Batch = tuple[list[PredictRequest], list[TextRequest]]  # predicted together; written side by side


class RequestQueue:
    """A bounded queue before a model; clients add to it from any thread, one thread takes from it.

    Args:
        what: waits in it, for messages.
        max_waiting: of both kinds together.
        max_batch: predictions that are taken at once.
        max_wait_seconds: how long the first prediction waits for others. Questions do not wait: their first word
            counts.
        seconds_each: what a prediction costs at first; then it is estimated.
    """

    def __init__(
        self, what: str, *, max_waiting: int, max_batch: int, max_wait_seconds: float, seconds_each: float = 0.5
    ) -> None:
        self._what = what
        self._max_waiting, self._max_batch, self._max_wait_seconds = max_waiting, max_batch, max_wait_seconds
        self._predictions: deque[PredictRequest] = deque()
        self._texts: deque[TextRequest] = deque()
        self._changed = threading.Condition()
        self._is_closed = False
        self._seconds_each = seconds_each

    def __len__(self) -> int:
        return len(self._predictions) + len(self._texts)

    def put(self, request: PredictRequest | TextRequest) -> None:
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
            room: how many questions can be taken on.
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


class LruCache(Generic[V]):
    """The `max_values` values last used, by key; of one thread."""

    def __init__(self, max_values: int) -> None:
        self._max_values = max_values
        self._values: OrderedDict[str, V] = OrderedDict()

    def get(self, key: str) -> V | None:
        """The value, which thereby was used last; None where it is gone."""
        if key in self._values:
            self._values.move_to_end(key)
        return self._values.get(key)

    def put(self, key: str, value: V) -> None:
        """Keep a value; where there are too many, the one not used for longest is dropped."""
        self._values[key] = value
        self._values.move_to_end(key)
        if len(self._values) > self._max_values:
            self._values.popitem(last=False)

    def __len__(self) -> int:
        return len(self._values)
