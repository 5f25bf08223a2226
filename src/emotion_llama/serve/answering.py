"""Requests on their way to a model's thread, and answers on their way back to the clients' event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

from emotion_llama.records import Prediction
from emotion_llama.serve.questions import Question, SeenArrays

FinishReason = Literal["stop", "length"]


class Sheet:
    """What a model's thread writes on; the client's `Answering` reads from it.

    Attributes:
        is_left: the client has gone: nothing needs to be written any more.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.pieces: asyncio.Queue[str | Exception | None] = asyncio.Queue()
        self.is_left = False
        self.prompt_tokens = 0
        self.completion_tokens = 0
        self.finish_reason: FinishReason | None = None

    def write(self, piece: str, prompt_tokens: int, completion_tokens: int) -> None:
        """From the model's thread: the next piece, and how long prompt and answer are by now."""
        self._post(lambda: self._add(piece, prompt_tokens, completion_tokens))

    def end(self, reason: FinishReason, prompt_tokens: int, completion_tokens: int) -> None:
        """From the model's thread: that was all."""

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
        # A loop that is closed has no client left who waits.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(action)


class Answering:
    """The answer to a question as it is written: `async for piece in answering`.

    Leaving it (`aclose`, or letting go of the object) ends the writing.
    """

    def __init__(self, sheet: Sheet) -> None:
        self._sheet = sheet
        self._is_over = False

    @property
    def prompt_tokens(self) -> int:
        """Length of the prompt; 0 until the first piece came."""
        return self._sheet.prompt_tokens

    @property
    def completion_tokens(self) -> int:
        """Tokens written so far."""
        return self._sheet.completion_tokens

    @property
    def finish_reason(self) -> FinishReason | None:
        """Who ended it: the model ("stop") or `max_new_tokens` ("length"); None until then."""
        return self._sheet.finish_reason

    def __aiter__(self) -> Answering:
        return self

    async def __anext__(self) -> str:
        if self._is_over:
            raise StopAsyncIteration
        piece = await self._sheet.pieces.get()
        if isinstance(piece, str):
            return piece
        self._is_over = True
        if piece is None:
            raise StopAsyncIteration
        raise piece

    async def aclose(self) -> None:
        """Leave: nothing more is written."""
        self._is_over = self._sheet.is_left = True

    def __del__(self) -> None:
        self._sheet.is_left = True


@dataclass(eq=False)
class Reading:
    """A clip to be read, and where its answer goes."""

    seen: SeenArrays
    future: asyncio.Future[Prediction]
    loop: asyncio.AbstractEventLoop

    def settle(self, outcome: Prediction | Exception) -> None:
        """From any thread: the answer, or why there is none."""

        def tell() -> None:
            if self.future.done():  # the client has gone
                return
            if isinstance(outcome, Exception):
                self.future.set_exception(outcome)
            else:
                self.future.set_result(outcome)

        with suppress(RuntimeError):  # the loop is closed, and nobody waits
            self.loop.call_soon_threadsafe(tell)


@dataclass(eq=False)
class Asked:
    """A question, the clip it is about, and the sheet that its answer is written on."""

    clip: str | SeenArrays
    question: Question
    sheet: Sheet
