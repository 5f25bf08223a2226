"""The models of a server: each in one thread, which answers the requests of many clients together."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING

from emotion_llama.errors import InputError
from emotion_llama.results import Prediction
from emotion_llama.serve.model_thread import EngineCounts, ModelThread
from emotion_llama.serve.questions import Question, Sample
from emotion_llama.serve.request_queue import PredictRequest, RequestQueue, TextAnswer, TextBuffer, TextRequest

if TYPE_CHECKING:
    from emotion_llama.predictors import Predictor


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
        self._queues: dict[str, RequestQueue] = {}
        self._threads: dict[str, ModelThread] = {}
        for name, predictor in predictors.items():
            if predictor.frame_policy is None:
                continue
            queue = RequestQueue(
                f"requests for the model {name!r}", max_waiting=max_queue, max_batch=max_batch,
                max_wait_seconds=max_wait_ms / 1000,
            )  # fmt: skip
            self._queues[name] = queue
            self._threads[name] = ModelThread(name, predictor, queue, max_questions=max_batch, cache_clips=cache_clips)

    @property
    def models(self) -> tuple[str, ...]:
        """Names of the models that are asked here."""
        return tuple(self._threads)

    @property
    def counts(self) -> Mapping[str, EngineCounts]:
        """Model -> what it has done."""
        return {name: thread.counts for name, thread in self._threads.items()}

    async def start(self) -> None:
        """Start the threads and let every model answer once, so that the first client does not pay for it.

        Raises:
            BackendError: a model fails.
        """
        await asyncio.gather(*(thread.start() for thread in self._threads.values()))

    async def close(self, grace_seconds: float = 10.0) -> None:
        """Take nothing new, let what runs finish within the grace, and give the rest up."""
        for queue in self._queues.values():
            queue.close()
        await asyncio.gather(*(thread.join(grace_seconds) for thread in self._threads.values()))

    async def predict(self, model: str, seen: Sample) -> Prediction:
        """Label, probabilities and reasons for a sample.

        Raises:
            InputError: there is no such model.
            Busy: the queue is full, or the server is about to stop.
            BackendError: the model failed.
        """
        loop = asyncio.get_running_loop()
        request = PredictRequest(seen, loop.create_future(), loop)
        self._queue(model).put(request)
        return await request.future

    def ask(self, model: str, clip: str | Sample, question: Question) -> TextAnswer:
        """The answer to a question, piece by piece; a plain call, not a coroutine: `async for x in engine.ask(...)`.

        Args:
            model: its name.
            clip: the sample, whose features are taken from the cache where they are there; or a clip key, with the
                transcript that came with it last.
            question: what is asked.

        Raises:
            InputError: there is no such model.
            Busy: the queue is full, or the server is about to stop.
            (with the first piece) ForgottenClip: the features of that key are gone.
            (with the first piece) InputError: nothing was measured of the clip, its sound or the chat is too long for
                the model, or the task is not for its weights.
            (with any piece) BackendError: the model failed.
        """
        buffer = TextBuffer(asyncio.get_running_loop())
        self._queue(model).put(TextRequest(clip, question, buffer))
        return TextAnswer(buffer)

    def _queue(self, model: str) -> RequestQueue:
        if model not in self._queues:
            raise InputError(f"no model {model!r} is asked here (there are: {', '.join(self._queues) or 'none'})")
        return self._queues[model]
