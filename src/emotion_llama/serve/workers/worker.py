"""One child and its conversation with the server: a clip goes in, questions to a model come, an analysis comes out."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from emotion_llama.errors import BackendError, EmotionLlamaError, InputError
from emotion_llama.predictors.base import Sample
from emotion_llama.results import Prediction
from emotion_llama.serve.errors import ChildDied, ClipRefused
from emotion_llama.serve.workers.confine import EXIT_MEMORY
from emotion_llama.serve.workers.process import Process, described
from emotion_llama.serve.workers.protocol import (
    LENGTH,
    BrokenProtocol,
    ChildMessage,
    from_child,
    message_length,
    pack,
    prediction_message,
    read_sample,
    unpack,
)

Arrays = dict[str, npt.NDArray[Any]]
Answer = Callable[[Sample], Awaitable[Prediction]]
Progress = Callable[[str, float], None]  # stage, share done 0..1

_START_SECONDS = 120.0  # for a child to come up on a loaded machine; 1.5 s on an idle one
_ABORT_SECONDS = 5.0
_CHECK_SECONDS = 0.05  # between checks of a child's memory
_IN_LOOP_BYTES = 1 << 18  # larger messages are unpacked in a thread
_STREAM_BYTES = 1 << 20
_MAX_QUESTIONS = 50_000  # people times segments of one clip

logger = logging.getLogger("emotion_llama.serve")
clock = time.monotonic


@dataclass(frozen=True, repr=False)
class Analyzed:
    """A finished analysis: the published document as JSON, the page where it was asked for, and its parts in order.

    `parts` are (person id, start and end in seconds), person by person, the main person first, segment by segment.
    """

    document_json: str
    html: str | None
    parts: tuple[tuple[int, float, float], ...]


class Worker:
    """A child that is warm; `is_fit` says whether it may take another clip."""

    def __init__(
        self, process: Process, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, memory_bytes: int
    ) -> None:
        self.process = process
        self.clips = 0
        self.is_fit = True
        self.is_confined = False
        self._memory_bytes = memory_bytes
        self._reader = reader
        self._writer = writer
        self._verdict: EmotionLlamaError | None = None

    @classmethod
    async def start(cls, folder: Path, memory_bytes: int, niceness: int, *folders: Path | None) -> Worker:
        """Start a child (see `Process`) and wait until it is warm.

        Raises:
            BackendError: it does not come up.
        """
        process = Process(folder, memory_bytes, niceness, *folders)
        try:
            reader, writer = await asyncio.open_unix_connection(sock=process.socket, limit=_STREAM_BYTES)
        except BaseException:
            process.kill()
            process.socket.close()
            await process.ended()
            process.close()
            raise
        worker = cls(process, reader, writer, memory_bytes)
        try:
            message, _ = await asyncio.wait_for(worker.receive(), _START_SECONDS)
        except (asyncio.TimeoutError, EmotionLlamaError, OSError, EOFError):
            words = process.stderr_tail()
            await worker.end()
            raise BackendError(f"a process for measuring clips does not start; it said: {words or 'nothing'}") from None
        except BaseException:
            await worker.end()
            raise
        if message.type != "ready":
            await worker.end()
            raise BackendError("a process for measuring clips began with an unexpected message")
        worker.is_confined = message.confined
        return worker

    def kill(self, because: EmotionLlamaError | None = None) -> None:
        """End the child at once; the clip that it works on fails with `because`."""
        self.is_fit = False
        self._verdict = self._verdict or because
        self.process.kill()

    async def end(self) -> None:
        """End the child, which has no clip, and close everything."""
        self.is_fit = False
        self._writer.close()
        self.process.kill()
        try:
            await self.process.ended()
            with suppress(OSError):
                await self._writer.wait_closed()
        finally:  # also where this is cancelled
            self.process.close()

    async def run(
        self,
        request: Mapping[str, Any],
        answer: Answer | None,
        progress: Progress,
        seconds: float,
        seconds_per_clip_second: float,
    ) -> Analyzed:
        """Have one clip measured.

        Args:
            request: the message "analyze".
            answer: the model, where the message names one.
            progress: called with stages and shares.
            seconds: how long it may take, the model's time not counted ...
            seconds_per_clip_second: ... and so much more for each second of the clip.

        Raises:
            ClipRefused, ChildDied: as `MeasuringPool.analyze`.
            BackendError: the child failed in a way that says nothing about the clip.
            Exception: what `answer` raised.
        """
        self.clips += 1
        self.is_fit = False  # until it has said that it is done
        conversation = _Conversation(self, request, answer, progress)
        async with self._memory_watch():
            try:
                return await conversation.hold(seconds, seconds_per_clip_second)
            except (EOFError, OSError):
                raise await self._cause_of_death() from None
            except BrokenProtocol as error:
                logger.warning("%s", error)
                self.kill()
                raise ChildDied("sent what it should not") from None
            finally:
                if not self.is_fit:
                    self.kill()

    async def send(self, message: Mapping[str, Any]) -> None:
        """Send a message to the child."""
        data = pack(message)
        self._writer.writelines((LENGTH.pack(len(data)), data))
        await self._writer.drain()

    async def receive(self) -> tuple[ChildMessage, Arrays]:
        """The child's next message, checked.

        Raises:
            EOFError, OSError: it has ended.
            BrokenProtocol: this is no message.
        """
        head = await self._reader.readexactly(LENGTH.size)
        data = await self._reader.readexactly(message_length(head))
        try:
            header, arrays = unpack(data) if len(data) < _IN_LOOP_BYTES else await asyncio.to_thread(unpack, data)
        except InputError as error:
            raise BrokenProtocol(str(error)) from None
        return from_child(header), arrays

    async def _cause_of_death(self) -> EmotionLlamaError:
        code = await self.process.ended()
        if self._verdict is not None:
            return self._verdict
        if code == EXIT_MEMORY:
            return _too_much_memory()
        if code == -signal.SIGXCPU:
            return _too_slow()
        logger.warning("a process that measured a clip %s", described(code))
        return ChildDied(described(code))

    @asynccontextmanager
    async def _memory_watch(self) -> AsyncIterator[None]:
        async def check() -> None:
            while True:
                used = self.process.resident_bytes()
                if used is not None and used > self._memory_bytes:
                    self.kill(_too_much_memory())
                    return
                await asyncio.sleep(_CHECK_SECONDS)

        task = asyncio.create_task(check())
        try:
            yield
        finally:
            task.cancel()


class _Conversation:
    """From the request to the answer, with one child about one clip."""

    def __init__(self, worker: Worker, request: Mapping[str, Any], answer: Answer | None, progress: Progress) -> None:
        self._worker, self._request, self._answer, self._progress = worker, request, answer, progress
        self._deadline = 0.0
        self._num_questions = 0

    async def hold(self, seconds: float, seconds_per_clip_second: float) -> Analyzed:
        self._deadline = clock() + seconds
        await self._worker.send(self._request)
        while True:
            try:
                message, arrays = await asyncio.wait_for(self._worker.receive(), self._deadline - clock())
            except asyncio.TimeoutError:
                raise _too_slow() from None
            if message.type == "progress":
                self._progress(message.stage, message.share)
            elif message.type == "clip":
                longest = self._request["limits"]["max_duration_seconds"]
                self._deadline += seconds_per_clip_second * min(message.duration_seconds, longest)
            elif message.type == "seen":
                await self._question(message, arrays)
            else:
                return self._end(message, arrays)

    async def _question(self, message: ChildMessage, arrays: Arrays) -> None:
        if self._answer is None or self._num_questions >= _MAX_QUESTIONS:
            raise BrokenProtocol("a child asked a model that nobody named, or too often")
        seen = await asyncio.to_thread(_seen, message, arrays)
        self._num_questions += 1
        began = clock()
        try:
            prediction = await self._answer(seen)
        except Exception:
            await self._abort()
            raise
        self._deadline += clock() - began
        await self._worker.send({"type": "prediction", "prediction": prediction_message(prediction)})

    async def _abort(self) -> None:
        """Have the child drop the clip, so that it need not be replaced."""
        with suppress(asyncio.TimeoutError, EmotionLlamaError, OSError, EOFError):
            await self._worker.send({"type": "abort"})
            message, _ = await asyncio.wait_for(self._worker.receive(), _ABORT_SECONDS)
            self._worker.is_fit = message.type == "aborted"

    def _end(self, message: ChildMessage, arrays: Arrays) -> Analyzed:
        if message.type == "refused":
            self._worker.is_fit = message.code != "too_much_memory"
            raise ClipRefused(message.reason, message.status, message.code)
        if message.type == "failed":
            logger.error("a clip could not be measured: %s\n%s", message.problem, message.trace)
            raise BackendError(f"the clip could not be measured: {message.problem}")
        if message.type != "done":
            raise BrokenProtocol(f"a child sent {message.type!r} while it worked")
        if self._answer is not None and self._num_questions != len(message.parts):
            raise BrokenProtocol(f"{self._num_questions} questions for {len(message.parts)} parts of a clip")
        analyzed = Analyzed(_text(arrays, "document") or "", _text(arrays, "html"), tuple(message.parts))
        self._worker.is_fit = True
        return analyzed


def _too_slow() -> ClipRefused:
    return ClipRefused("it takes longer to measure than a clip may; make it smaller or shorter", 422, "too_slow")


def _too_much_memory() -> ClipRefused:
    return ClipRefused("it takes more memory than a clip may; make it smaller or shorter", 413, "too_much_memory")


def _seen(message: ChildMessage, arrays: Arrays) -> Sample:
    """What a child sent, under the SHA-256 of frame, crops and samples with their shapes as its id.

    Equal ids mean equal features, and no file can pass for another.
    """
    try:
        sample = read_sample(message.seen, arrays)
    except InputError as error:
        raise BrokenProtocol(f"what a child sent for the model is malformed: {str(error)[:300]}") from None
    digest = hashlib.sha256()
    for array in (arrays.get(name) for name in ("frame", "faces", "sound")):
        digest.update(b"none;" if array is None else f"{list(array.shape)} {array.dtype.str};".encode())
        if array is not None:
            digest.update(np.ascontiguousarray(array).data)
    return replace(sample, sample_id=digest.hexdigest())


def _text(arrays: Arrays, name: str) -> str | None:
    if name not in arrays:
        return None
    try:
        return bytes(arrays[name]).decode()
    except ValueError as error:
        raise BrokenProtocol(f"a child's {name} is no text: {error}") from None
