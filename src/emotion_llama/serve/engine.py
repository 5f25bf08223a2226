"""The models of a server: each in one thread, which answers the requests of many clients together."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING

from emotion_llama.errors import InputError
from emotion_llama.records import Prediction
from emotion_llama.serve.answering import Answering, Asked, Reading, Sheet
from emotion_llama.serve.batching import Line
from emotion_llama.serve.errors import Busy
from emotion_llama.serve.model_thread import EngineFigures, ForgottenClip, ModelThread
from emotion_llama.serve.questions import Question, SeenArrays

if TYPE_CHECKING:
    from emotion_llama.predictors import Predictor

__all__ = ["Answering", "Busy", "Engine", "EngineFigures", "ForgottenClip"]


class Engine:
    """Models behind bounded lines. Used from one event loop, between `start` and `close`.

    Args:
        predictors: name -> predictor; one of measurements alone (`frame_policy` None) is left to the children.
        max_batch: readings that are answered together, and questions that are answered side by side.
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
        self._lines: dict[str, Line[Reading, Asked]] = {}
        self._threads: dict[str, ModelThread] = {}
        for name, predictor in predictors.items():
            if predictor.frame_policy is None:
                continue
            line: Line[Reading, Asked] = Line(
                f"requests for the model {name!r}", max_waiting=max_queue, max_batch=max_batch,
                max_wait_seconds=max_wait_ms / 1000,
            )  # fmt: skip
            self._lines[name] = line
            self._threads[name] = ModelThread(name, predictor, line, max_questions=max_batch, cache_clips=cache_clips)

    @property
    def models(self) -> tuple[str, ...]:
        """Names of the models that are asked here."""
        return tuple(self._threads)

    @property
    def figures(self) -> Mapping[str, EngineFigures]:
        """Model -> what it has done."""
        return {name: thread.figures for name, thread in self._threads.items()}

    async def start(self) -> None:
        """Start the threads and let every model answer once, so that the first client does not pay for it.

        Raises:
            BackendError: a model fails.
        """
        await asyncio.gather(*(thread.start() for thread in self._threads.values()))

    async def close(self, grace_seconds: float = 10.0) -> None:
        """Take nothing new, let what runs finish within the grace, and give the rest up."""
        for line in self._lines.values():
            line.close()
        await asyncio.gather(*(thread.join(grace_seconds) for thread in self._threads.values()))

    async def read(self, model: str, seen: SeenArrays) -> Prediction:
        """Label, probabilities and reasons of what was seen.

        Raises:
            InputError: there is no such model.
            Busy: the line is full, or the server is about to stop.
            BackendError: the model failed.
        """
        loop = asyncio.get_running_loop()
        reading = Reading(seen, loop.create_future(), loop)
        self._line(model).put_reading(reading)
        return await reading.future

    def ask(self, model: str, clip: str | SeenArrays, question: Question) -> Answering:
        """The answer to a question, piece by piece; a plain call, not a coroutine: `async for x in engine.ask(...)`.

        Args:
            model: its name.
            clip: what was seen, whose features are taken from the cache where they are there; or a clip key, which
                asks with the words that were told with it last.
            question: what is asked.

        Raises:
            InputError: there is no such model.
            Busy: the line is full, or the server is about to stop.
            (with the first piece) ForgottenClip: the features of that key are gone.
            (with the first piece) InputError: nothing was measured of the clip, its sound or the chat is too long for
                the model, or the task is not for its weights.
            (with any piece) BackendError: the model failed.
        """
        sheet = Sheet(asyncio.get_running_loop())
        self._line(model).put_question(Asked(clip, question, sheet))
        return Answering(sheet)

    def _line(self, model: str) -> Line[Reading, Asked]:
        if model not in self._lines:
            raise InputError(f"no model {model!r} is asked here (there are: {', '.join(self._lines) or 'none'})")
        return self._lines[model]
