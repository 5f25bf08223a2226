"""The models of a server, each in a thread of its own that answers the requests of many clients together."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from emotion_llama.errors import BackendError, EmotionLlamaError, InputError
from emotion_llama.models.clips import ClipInputs
from emotion_llama.predictors.base import Sample, TextStream
from emotion_llama.prompts.builder import Turn
from emotion_llama.results import Prediction
from emotion_llama.serve.errors import Stopping
from emotion_llama.serve.request_queue import Batch, PredictRequest, RequestQueue, TextAnswer

if TYPE_CHECKING:
    from emotion_llama.predictors import Predictor

T = TypeVar("T")
COUNTED = ("answers", "questions", "tokens", "encodes", "cache_hits", "failures", "busy_seconds")


class Engine:
    """Models behind bounded queues. Used from one event loop, between `start` and `close`.

    Args:
        predictors: name -> predictor; one over measurements (`frame_policy` None) runs in the children.
        max_batch: samples that are predicted together, and texts that are written side by side.
        max_wait_ms: how long the first of a batch waits for others.
        max_queue: requests that may wait for a model.
        cache_clips: clips whose features are kept, the last used, for each model.
    """

    def __init__(
        self,
        predictors: Mapping[str, Predictor],
        *,
        max_batch: int = 8,
        max_wait_ms: float = 10.0,
        max_queue: int = 64,
        cache_clips: int = 256,
    ) -> None:
        self._threads: dict[str, _ModelThread] = {}
        for name, predictor in predictors.items():
            if predictor.frame_policy is not None:
                queue = RequestQueue(
                    f"requests for the model {name!r}", max_waiting=max_queue, max_batch=max_batch,
                    max_wait_seconds=max_wait_ms / 1000,
                )  # fmt: skip
                self._threads[name] = _ModelThread(name, predictor, queue, max_batch, cache_clips)

    @property
    def models(self) -> tuple[str, ...]:
        """Names of the models that are asked here."""
        return tuple(self._threads)

    @property
    def counts(self) -> dict[str, dict[str, Any]]:
        """Model -> what it has done since it was warm.

        `waiting` and `asking` are the requests and texts of this moment, `batch_sizes` size -> batches of that size;
        the others of `COUNTED` are explained where they are published (`serve.metrics`).
        """
        return {name: thread.counts for name, thread in self._threads.items()}

    async def start(self) -> None:
        """Start the threads and let every model answer once, so that the first client does not pay for it.

        Raises:
            BackendError: a model fails.
        """
        await asyncio.gather(*(thread.start() for thread in self._threads.values()))

    async def close(self, grace_seconds: float = 10.0) -> None:
        """Take nothing new, let what runs finish within the grace, and give the rest up."""
        for thread in self._threads.values():
            thread.queue.close()
        await asyncio.gather(*(thread.join(grace_seconds) for thread in self._threads.values()))

    async def predict(self, model: str, sample: Sample) -> Prediction:
        """Label, probabilities and reasons for a sample.

        Raises:
            InputError: there is no such model.
            Busy: the queue is full, or the server is about to stop.
            Stopping: the server stops before the answer is there.
            BackendError: the model failed.
        """
        request = PredictRequest(sample)
        self._queue(model).put(request)
        return await request.future

    def ask(self, model: str, sample: Sample, messages: Sequence[Turn], **options: Any) -> TextAnswer:
        """The answer to the last message, piece by piece; a plain call, not a coroutine.

        Args:
            model: its name.
            sample: what the chat is about; features are taken from the cache where they are there (by `sample_id`).
            messages: the chat, as `Predictor.stream` takes it.
            **options: others of `Predictor.stream`.

        Raises:
            InputError: there is no such model. With the first piece: nothing was measured of the clip, its sound or
                the chat is too long for the model, or the task is not for its weights.
            Busy: the queue is full, or the server is about to stop.
            (with any piece) Stopping, BackendError: as `predict`.
        """
        answer = TextAnswer(sample, messages, options)
        self._queue(model).put(answer)
        return answer

    def _queue(self, model: str) -> RequestQueue:
        if model not in self._threads:
            raise InputError(f"no model {model!r} is asked here (there are: {', '.join(self._threads) or 'none'})")
        return self._threads[model].queue


class _ModelThread:
    """Runs one predictor in a thread of its own: torch models are not asked from several at once.

    Predictions and texts share its time: after a batch of predictions, texts are continued for as long as the batch
    took. `max_texts` are written side by side, each with a cache of its own in memory.
    """

    def __init__(self, name: str, predictor: Predictor, queue: RequestQueue, max_texts: int, cache_clips: int) -> None:
        self.queue = queue
        self._name, self._predictor, self._max_texts, self._cache_clips = name, predictor, max_texts, cache_clips
        self._encoded: OrderedDict[str, Sample] = OrderedDict()  # by sample id, the one used last at the end
        self._writing: list[tuple[TextAnswer, TextStream]] = []
        self._batch: Batch = ([], [])  # what the thread took last
        self._gives_up = False
        self._batch_sizes: Counter[int] = Counter()
        self._counts: dict[str, float] = dict.fromkeys(COUNTED, 0)
        # A daemon: a computation that outlives the grace does not keep the process.
        self._thread = threading.Thread(target=self._run, name=f"model {name}", daemon=True)

    @property
    def counts(self) -> dict[str, Any]:
        now = {"waiting": len(self.queue), "asking": len(self._writing), "batch_sizes": dict(self._batch_sizes)}
        return {**now, **self._counts}

    async def start(self) -> None:
        """Start, and answer once; raises what the model fails with."""
        request = PredictRequest(_blank_sample())
        self.queue.put(request)
        self._thread.start()
        await request.future
        text = TextAnswer(_blank_sample(), (Turn(""),), {"task": "emotion", "max_new_tokens": 2})
        self.queue.put(text)
        async for _ in text:
            pass
        self._counts.update(dict.fromkeys(COUNTED, 0))
        self._batch_sizes.clear()

    async def join(self, seconds: float) -> None:
        """Wait for what runs; after `seconds` give it up, and end."""
        if self._thread.ident is None:
            return
        await asyncio.to_thread(self._thread.join, seconds)
        self._gives_up = True
        # Those that were taken may be answered already; a second outcome changes nothing.
        for predictions, texts in (self.queue.clear(), self._batch, ([], [answer for answer, _ in self._writing])):
            for request in predictions:
                request.settle(Stopping())
            for text in texts:
                text.fail(Stopping())

    # --- in the thread ----------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._gives_up:
            room = self._max_texts - len(self._writing)
            batch = self.queue.take(room, is_idle=not self._writing)
            if batch is None and not self._writing:
                return
            self._batch = predictions, texts = batch or ([], [])
            start = time.perf_counter()
            if predictions:
                self._predict(predictions)
                self.queue.took(time.perf_counter() - start, len(predictions))
            until = 2 * time.perf_counter() - start  # as long again as the predictions took
            for text in texts:
                self._begin(text)
            self._batch = ([], [])
            self._write_round()
            while self._writing and time.perf_counter() < until and not self._gives_up:
                self._write_round()
            self._counts["busy_seconds"] += time.perf_counter() - start

    def _predict(self, requests: Sequence[PredictRequest]) -> None:
        ready: list[tuple[PredictRequest, Sample]] = []
        for request in requests:
            if request.future.cancelled():
                continue
            sample = self._guarded(self._encode, request.sample)
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

    def _begin(self, text: TextAnswer) -> None:
        if text.is_abandoned:
            return
        self._counts["questions"] += 1
        stream = self._guarded(self._stream, text)
        if isinstance(stream, Exception):
            self._counts["failures"] += 1
            text.fail(stream)
        else:
            self._writing.append((text, stream))

    def _stream(self, text: TextAnswer) -> TextStream:
        sample = self._encode(text.sample)
        if isinstance(sample, Prediction):
            raise InputError(f"there is nothing to ask about: {sample.problem}")
        return self._predictor.stream(sample, text.messages, **text.options)

    def _write_round(self) -> None:
        """A piece for each text that is being written."""
        for text, stream in list(self._writing):
            self._write(text, stream)

    def _write(self, text: TextAnswer, stream: TextStream) -> None:
        """Write a piece; what ends with it is no longer counted when its client sees the end."""
        if text.is_abandoned:
            self._writing.remove((text, stream))
            stream.close()
            return
        before = stream.completion_tokens
        piece = self._guarded(next, stream, None)
        self._counts["tokens"] += stream.completion_tokens - before
        if isinstance(piece, Exception) or stream.finish_reason is not None:
            self._writing.remove((text, stream))
        if isinstance(piece, Exception):
            self._counts["failures"] += 1
            text.fail(piece)
        else:
            text.write(piece, stream)  # the end is sent with the last piece, not a round later

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

    def _encode(self, sample: Sample) -> Sample | Prediction:
        """The sample with its features, which are kept by its id; samples without one are encoded each time."""
        kept = self._encoded.get(sample.sample_id)
        encoded = self._predictor.encode(sample if kept is None else replace(sample, features=kept.features))
        if isinstance(encoded, Prediction):
            return encoded
        encoded = replace(encoded, inputs=None)  # large, and of no use any more
        self._counts["encodes" if kept is None else "cache_hits"] += 1
        if sample.sample_id:
            self._encoded[sample.sample_id] = encoded
            self._encoded.move_to_end(sample.sample_id)
            if len(self._encoded) > self._cache_clips:
                self._encoded.popitem(last=False)
        return encoded


def _blank_sample() -> Sample:
    """A clip that lets every part of a model run: a second of grey pictures, a hum, a word."""
    hum = np.sin(np.arange(16_000, dtype=np.float32) * 0.1)
    grey = np.full((2, 112, 112, 3), 128, np.uint8)
    cues = "Measured cues. Face: no marked movement. Voice: not measured (not given)."
    return Sample(None, ClipInputs(grey[0], grey, hum), None, "Hello.", cues)
