"""One child and its conversation with the server: a clip goes in, questions come, an analysis comes out."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from emotion_llama.errors import BackendError, EmotionLlamaError, InputError
from emotion_llama.records import Prediction
from emotion_llama.serve.isolation import protocol
from emotion_llama.serve.isolation.harden import EXIT_MEMORY
from emotion_llama.serve.isolation.limits import ChildDied, ClipRefused
from emotion_llama.serve.isolation.process import Process, Setup, described
from emotion_llama.serve.questions import SeenArrays, pack, prediction_message, read_seen, unpack

Arrays = dict[str, npt.NDArray[Any]]
Answer = Callable[[SeenArrays], Awaitable[Prediction]]
Progress = Callable[[str, float], None]

_START_SECONDS = 120.0  # for a child to come up on a loaded machine; 1.5 s on an idle one
_ABORT_SECONDS = 5.0
_LOOK_SECONDS = 0.05  # between looks at a child's memory
_IN_LOOP_BYTES = 1 << 18  # larger messages are taken apart in a thread
_STREAM_BYTES = 1 << 20
_MOST_QUESTIONS = 50_000  # people times segments of one clip

logger = logging.getLogger("emotion_llama.serve")


@dataclass(frozen=True)
class Job:
    """One clip for a child.

    Attributes:
        message: what is asked of the child.
        answer: the model, where the message names one.
        progress: hears stages and shares.
        seconds, seconds_per_clip_second: how long it may take, the model's time not counted.
    """

    message: protocol.AnalyzeMessage
    answer: Answer | None
    progress: Progress
    seconds: float
    seconds_per_clip_second: float


@dataclass(frozen=True, repr=False)
class Result:
    """What a child made of a clip; `clip_keys` are of the questions in the order of `parts`, none without a model."""

    document_json: str
    html: str | None
    parts: tuple[protocol.PartMessage, ...]
    clip_keys: tuple[str, ...]


class Worker:
    """A child that is warm; `is_fit` says whether it may take another clip."""

    def __init__(
        self, process: Process, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, memory_bytes: int
    ) -> None:
        self.process = process
        self._memory_bytes = memory_bytes
        self.clips = 0
        self.is_fit = True
        self.is_confined = False
        self._reader = reader
        self._writer = writer
        self._verdict: EmotionLlamaError | None = None

    @classmethod
    async def start(cls, setup: Setup) -> Worker:
        """Start a child and wait until it is warm.

        Raises:
            BackendError: it does not come up.
        """
        process = Process(setup)
        try:
            reader, writer = await asyncio.open_unix_connection(sock=process.socket, limit=_STREAM_BYTES)
        except BaseException:
            process.kill()
            process.socket.close()
            await process.ended()
            process.close()
            raise
        worker = cls(process, reader, writer, setup.memory_bytes)
        try:
            message, _ = await asyncio.wait_for(worker.receive(), _START_SECONDS)
        except (asyncio.TimeoutError, EmotionLlamaError, OSError, EOFError):
            words = process.last_words()
            await worker.end()
            raise BackendError(f"a process for measuring clips does not start; it said: {words or 'nothing'}") from None
        except BaseException:
            await worker.end()
            raise
        if not isinstance(message, protocol.ReadyMessage):
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
        """End the child, which has no clip, and let go of everything."""
        self.is_fit = False
        self._writer.close()
        self.process.kill()
        try:
            await self.process.ended()
            with suppress(OSError):
                await self._writer.wait_closed()
        finally:  # also where this is cancelled
            self.process.close()

    async def run(self, job: Job) -> Result:
        """Have one clip measured.

        Raises:
            ClipRefused, ChildDied: as `MeasuringPool.analyze`.
            BackendError: the child failed in a way that says nothing of the clip.
            Exception: what `job.answer` raised.
        """
        self.clips += 1
        self.is_fit = False  # until it has said that it is done
        async with self._memory_watch():
            try:
                return await _Conversation(self, job).hold()
            except (EOFError, OSError):
                raise await self._cause_of_death() from None
            except protocol.BrokenProtocol as error:
                logger.warning("%s", error)
                self.kill()
                raise ChildDied("sent what it should not") from None
            finally:
                if not self.is_fit:
                    self.kill()

    async def send(self, message: Mapping[str, Any]) -> None:
        """Send a message to the child."""
        for piece in protocol.with_length(pack(message, {})):
            self._writer.write(piece)
        await self._writer.drain()

    async def receive(self) -> tuple[protocol.Message, Arrays]:
        """The child's next message, checked.

        Raises:
            EOFError, OSError: it has ended.
            BrokenProtocol: this is no message.
        """
        head = await self._reader.readexactly(protocol.LENGTH.size)
        data = await self._reader.readexactly(protocol.message_length(head))
        try:
            header, arrays = unpack(data) if len(data) < _IN_LOOP_BYTES else await asyncio.to_thread(unpack, data)
        except InputError as error:
            raise protocol.BrokenProtocol(str(error)) from None
        return protocol.from_child(header), arrays

    async def _cause_of_death(self) -> EmotionLlamaError:
        code = await self.process.ended()
        if self._verdict is not None:
            return self._verdict
        if code == EXIT_MEMORY:
            return too_much_memory()
        if code == -signal.SIGXCPU:
            return too_slow()
        logger.warning("a process that measured a clip %s", described(code))
        return ChildDied(described(code))

    @asynccontextmanager
    async def _memory_watch(self) -> AsyncIterator[None]:
        async def look() -> None:
            while True:
                used = self.process.resident_bytes()
                if used is not None and used > self._memory_bytes:
                    self.kill(too_much_memory())
                    return
                await asyncio.sleep(_LOOK_SECONDS)

        task = asyncio.create_task(look())
        try:
            yield
        finally:
            task.cancel()


class _Conversation:
    """From the request to the answer, with one child about one clip."""

    def __init__(self, worker: Worker, job: Job) -> None:
        self._worker = worker
        self._job = job
        self._deadline = time.monotonic() + job.seconds
        self._keys: list[str] = []

    async def hold(self) -> Result:
        await self._worker.send(self._job.message.model_dump())
        while True:
            message, arrays = await self._next()
            if isinstance(message, protocol.ProgressMessage):
                self._job.progress(message.stage, message.share)
            elif isinstance(message, protocol.ClipMessage):
                longest = self._job.message.clip_limits().max_duration_seconds
                self._deadline += self._job.seconds_per_clip_second * min(message.duration_seconds, longest)
            elif isinstance(message, protocol.SeenMessage):
                await self._question(message, arrays)
            else:
                return self._end(message, arrays)

    async def _next(self) -> tuple[protocol.Message, Arrays]:
        try:
            return await asyncio.wait_for(self._worker.receive(), self._deadline - time.monotonic())
        except asyncio.TimeoutError:
            raise too_slow() from None

    async def _question(self, message: protocol.SeenMessage, arrays: Arrays) -> None:
        answer = self._job.answer
        if answer is None or len(self._keys) >= _MOST_QUESTIONS:
            raise protocol.BrokenProtocol("a child asked a model that nobody named, or too often")
        seen = await asyncio.to_thread(_seen, message, arrays)
        self._keys.append(seen.clip_key)
        began = time.monotonic()
        try:
            prediction = await answer(seen)
        except Exception:
            await self._abort()
            raise
        self._deadline += time.monotonic() - began
        await self._worker.send({"type": "prediction", "prediction": prediction_message(prediction)})

    async def _abort(self) -> None:
        """Have the child drop the clip, so that it need not be replaced."""
        with suppress(asyncio.TimeoutError, EmotionLlamaError, OSError, EOFError):
            await self._worker.send({"type": "abort"})
            message, _ = await asyncio.wait_for(self._worker.receive(), _ABORT_SECONDS)
            self._worker.is_fit = isinstance(message, protocol.AbortedMessage)

    def _end(self, message: protocol.Message, arrays: Arrays) -> Result:
        if isinstance(message, protocol.RefusedMessage):
            self._worker.is_fit = message.code != "too_much_memory"
            raise ClipRefused(message.reason, message.status, message.code)
        if isinstance(message, protocol.FailedMessage):
            logger.error("a clip could not be measured: %s\n%s", message.problem, message.trace)
            raise BackendError(f"the clip could not be measured: {message.problem}")
        if not isinstance(message, protocol.DoneMessage):
            raise protocol.BrokenProtocol(f"a child sent {type(message).__name__} while it worked")
        if self._job.answer is not None and len(self._keys) != len(message.parts):
            raise protocol.BrokenProtocol(f"{len(self._keys)} questions for {len(message.parts)} parts of a clip")
        result = Result(_text(arrays, "document") or "", _text(arrays, "html"), tuple(message.parts), tuple(self._keys))
        self._worker.is_fit = True
        return result


def too_slow() -> ClipRefused:
    """The refusal of a clip that takes too long."""
    return ClipRefused("it takes longer to measure than a clip may; make it smaller or shorter", 422, "too_slow")


def too_much_memory() -> ClipRefused:
    """The refusal of a clip that takes too much memory."""
    return ClipRefused("it takes more memory than a clip may; make it smaller or shorter", 413, "too_much_memory")


def content_key(seen: SeenArrays) -> str:
    """SHA-256 of what an encoder is given: frame, crops and samples, with their shapes."""
    digest = hashlib.sha256()
    for array in (seen.frame, seen.faces, seen.sound):
        digest.update(b"none;" if array is None else f"{list(array.shape)} {array.dtype.str};".encode())
        if array is not None:
            digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def _seen(message: protocol.SeenMessage, arrays: Arrays) -> SeenArrays:
    try:
        seen = read_seen(message.seen, arrays)
    except InputError as error:
        raise protocol.BrokenProtocol(f"what a child saw is malformed: {str(error)[:300]}") from None
    return replace(seen, clip_key=content_key(seen))


def _text(arrays: Arrays, name: str) -> str | None:
    if name not in arrays:
        return None
    try:
        return bytes(arrays[name]).decode()
    except ValueError as error:
        raise protocol.BrokenProtocol(f"a child's {name} is no text: {error}") from None
