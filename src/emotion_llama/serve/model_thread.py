"""The thread of one model: encodes, predicts and writes what waits in its queue."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from emotion_llama.errors import BackendError, EmotionLlamaError, InputError
from emotion_llama.models.clips import ClipInputs
from emotion_llama.prompts.builder import Turn
from emotion_llama.results import Prediction
from emotion_llama.serve.questions import Question, Sample
from emotion_llama.serve.request_queue import (
    Batch,
    LruCache,
    PredictRequest,
    RequestQueue,
    TextAnswer,
    TextBuffer,
    TextRequest,
)

if TYPE_CHECKING:
    from emotion_llama.predictors import Predictor, Sample
    from emotion_llama.predictors.base import TextStream


T = TypeVar("T")
_STOPPED = "the server stops; ask again when it is back"
_COUNTED = ("answers", "questions", "tokens", "encodes", "cache_hits", "failures")


class ForgottenClip(InputError):
    """The features of a clip are no longer kept; give its arrays again."""


@dataclass(frozen=True)
class EngineCounts:
    """What one model has done since it was warm; for /metrics and tests.

    Attributes:
        waiting: requests that wait now.
        asking: questions that are being answered now.
        batch_sizes: size -> how many batches of labels and reasons had it.
        answers: predictions made, declined ones among them.
        questions: questions begun.
        tokens: tokens written for questions.
        encodes: how often encoders ran over a clip.
        cache_hits: how often they were spared.
        failures: requests that ended in an error.
        busy_seconds: time spent in the model.
    """

    waiting: int
    asking: int
    batch_sizes: Mapping[int, int]
    answers: int
    questions: int
    tokens: int
    encodes: int
    cache_hits: int
    failures: int
    busy_seconds: float


class ModelThread:
    """Runs one predictor in a thread of its own: torch models are not asked from several at once.

    Predictions and texts share its time: after a batch of predictions, texts are continued for as long as the batch
    took.

    Args:
        name: of the model.
        predictor: of the model.
        queue: where requests come from.
        max_questions: that are written side by side, each with a cache of its own in memory.
        cache_clips: clips whose features are kept.
    """

    def __init__(
        self, name: str, predictor: Predictor, queue: RequestQueue, *, max_questions: int, cache_clips: int
    ) -> None:
        self._name, self._predictor, self._queue, self._max_questions = name, predictor, queue, max_questions
        self._kept: LruCache[Sample] = LruCache(cache_clips)
        self._writing: list[tuple[TextBuffer, TextStream]] = []
        self._batch: Batch = ([], [])  # what the thread took last
        self._gives_up = False
        self._batch_sizes: Counter[int] = Counter()
        self._counts: Counter[str] = Counter()
        self._busy_seconds = 0.0
        # A daemon: a computation that outlives the grace does not keep the process.
        self._thread = threading.Thread(target=self._run, name=f"model {name}", daemon=True)

    @property
    def counts(self) -> EngineCounts:
        """What it has done so far."""
        counts = {name: self._counts[name] for name in _COUNTED}
        return EngineCounts(
            waiting=len(self._queue), asking=len(self._writing), batch_sizes=MappingProxyType(dict(self._batch_sizes)),
            busy_seconds=self._busy_seconds, **counts,
        )  # fmt: skip

    async def start(self) -> None:
        """Start, and answer once.

        Raises:
            BackendError: the model fails at its first answer.
        """
        loop = asyncio.get_running_loop()
        warm: asyncio.Future[Prediction] = loop.create_future()
        self._queue.put(PredictRequest(_blank_sample(), warm, loop))
        self._thread.start()
        await warm
        buffer = TextBuffer(loop)
        self._queue.put(TextRequest(_blank_sample(), Question(task="emotion", max_new_tokens=2), buffer))
        async for _ in TextAnswer(buffer):
            pass
        self._counts.clear()
        self._batch_sizes.clear()

    async def join(self, seconds: float) -> None:
        """Wait for what runs; after `seconds` give it up, and end."""
        if self._thread.ident is None:
            return
        await asyncio.to_thread(self._thread.join, seconds)
        self._gives_up = True
        # Those that were taken may be answered already; a second outcome changes nothing.
        for predictions, texts in (self._queue.clear(), self._batch):
            for request in predictions:
                request.settle(BackendError(_STOPPED))
            for text in texts:
                text.buffer.fail(BackendError(_STOPPED))
        for buffer, _ in self._writing:
            buffer.fail(BackendError(_STOPPED))

    # --- in the thread ----------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._gives_up:
            room = self._max_questions - len(self._writing)
            batch = self._queue.take(room, is_idle=not self._writing)
            if batch is None and not self._writing:
                return
            self._batch = predictions, texts = batch or ([], [])
            start = time.perf_counter()
            if predictions:
                self._predict(predictions)
                self._queue.took(time.perf_counter() - start, len(predictions))
            until = 2 * time.perf_counter() - start  # as long again as the predictions took
            for text in texts:
                self._begin(text)
            self._batch = ([], [])
            self._write_round()
            while self._writing and time.perf_counter() < until and not self._gives_up:
                self._write_round()
            self._busy_seconds += time.perf_counter() - start

    def _predict(self, requests: Sequence[PredictRequest]) -> None:
        ready: list[tuple[PredictRequest, Sample]] = []
        for request in requests:
            if request.future.cancelled():
                continue
            sample = self._guarded(self._encode, request.seen)
            if isinstance(sample, Exception | Prediction):
                self._settle(request, sample)
            else:
                ready.append((request, sample))
        if ready:
            self._answer(ready)

    def _answer(self, ready: Sequence[tuple[PredictRequest, Sample]]) -> None:
        answers = self._guarded(self._predictor.predict, [sample for _, sample in ready])
        if isinstance(answers, Exception) and len(ready) > 1:
            # One clip, or too little memory for all of them: each for itself, so that one costs one answer. The error's
            # traceback holds on to the memory of the whole batch.
            del answers
            for one in ready:
                self._answer([one])
            return
        self._batch_sizes[len(ready)] += 1
        outcomes: Sequence[Prediction | Exception] = [answers] if isinstance(answers, Exception) else answers
        for (request, _), outcome in zip(ready, outcomes, strict=True):
            self._settle(request, outcome)

    def _settle(self, request: PredictRequest, outcome: Prediction | Exception) -> None:
        self._counts["failures" if isinstance(outcome, Exception) else "answers"] += 1
        request.settle(outcome)

    def _begin(self, request: TextRequest) -> None:
        if request.buffer.is_abandoned:
            return
        self._counts["questions"] += 1
        stream = self._guarded(self._stream, request)
        if isinstance(stream, Exception):
            self._counts["failures"] += 1
            request.buffer.fail(stream)
        else:
            self._writing.append((request.buffer, stream))

    def _stream(self, request: TextRequest) -> TextStream:
        sample = self._recall(request.clip) if isinstance(request.clip, str) else self._encode(request.clip)
        if isinstance(sample, Prediction):
            raise InputError(f"there is nothing to ask about: {sample.problem}")
        question = request.question
        return self._predictor.stream(
            sample, (*question.history, Turn(question.instruction)), task=question.task or "free",
            temperature=question.temperature, top_p=question.top_p, max_new_tokens=question.max_new_tokens,
            seed=question.seed,
        )  # fmt: skip

    def _write_round(self) -> None:
        """A piece for each question that is being answered."""
        self._writing = [(buffer, stream) for buffer, stream in self._writing if self._write(buffer, stream)]

    def _write(self, buffer: TextBuffer, stream: TextStream) -> bool:
        """Write a piece; whether there is more to write."""
        if buffer.is_abandoned:
            stream.close()
            return False
        before = stream.completion_tokens
        piece = self._guarded(next, stream, None)
        self._counts["tokens"] += stream.completion_tokens - before
        if isinstance(piece, Exception):
            self._counts["failures"] += 1
            buffer.fail(piece)
            return False
        if piece is not None:
            buffer.write(piece, stream.prompt_tokens, stream.completion_tokens)
        # The end is sent with the last piece, not a round later.
        if stream.finish_reason is None:
            return True
        buffer.end(stream.finish_reason, stream.prompt_tokens, stream.completion_tokens)
        return False

    def _guarded(self, do: Callable[..., T], *args: Any) -> T | Exception:
        """What `do` returns or raises; what is none of our own errors says that the model failed."""
        try:
            return do(*args)
        except EmotionLlamaError as error:
            return error
        except Exception as error:  # noqa: BLE001  the edge of the thread: an error costs its own requests, not the rest
            line = f"{type(error).__name__}: {error}".partition("\n")[0][:200]
            failed = BackendError(f"the model {self._name!r} failed ({line})")
            failed.__cause__ = error
            return failed

    # --- clips ------------------------------------------------------------------------------------------------------

    def _recall(self, clip_key: str) -> Sample:
        kept = self._kept.get(clip_key)
        if kept is None:
            raise ForgottenClip(f"the clip {clip_key[:12]!r} is not known, or no longer; give it again")
        self._counts["cache_hits"] += 1
        return kept

    def _encode(self, sample: Sample) -> Sample | Prediction:
        kept = self._kept.get(sample.sample_id) if sample.sample_id else None
        encoded = self._predictor.encode(sample if kept is None else replace(sample, features=kept.features))
        if isinstance(encoded, Prediction):
            return encoded
        encoded = replace(encoded, inputs=None)  # large, and of no use any more
        self._counts["encodes" if kept is None else "cache_hits"] += 1
        if sample.sample_id:
            self._kept.put(sample.sample_id, encoded)
        return encoded


def _blank_sample() -> Sample:
    """A clip that lets every part of a model run: a second of grey pictures, a hum, a word."""
    hum = np.sin(np.arange(16_000, dtype=np.float32) * 0.1)
    grey = np.full((2, 112, 112, 3), 128, np.uint8)
    cues = "Measured cues. Face: no marked movement. Voice: not measured (not given)."
    return Sample(None, ClipInputs(grey[0], grey, hum), None, "Hello.", cues)
