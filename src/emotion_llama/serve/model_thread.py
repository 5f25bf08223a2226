"""The thread of one model: encodes, answers and writes for whoever stands in its line."""

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
from emotion_llama.prompts.builder import Turn
from emotion_llama.records import Prediction
from emotion_llama.serve.answering import Answering, Asked, Reading, Sheet
from emotion_llama.serve.batching import Kept, Line, Taken
from emotion_llama.serve.questions import Question, SeenArrays

if TYPE_CHECKING:
    from emotion_llama.predictors import Predictor, Sample
    from emotion_llama.predictors.base import TextStream


T = TypeVar("T")
_STOPPED = "the server stops; ask again when it is back"
_COUNTED = ("answers", "questions", "tokens", "encodes", "cache_hits", "failures")


class ForgottenClip(InputError):
    """The features of a clip are no longer kept; give what was seen again."""


@dataclass(frozen=True)
class EngineFigures:
    """What one model has done since it was warm; for /metrics and tests.

    Attributes:
        waiting: requests that wait now.
        asking: questions that are being answered now.
        batch_sizes: size -> how many batches of labels and reasons had it.
        answers: readings answered, declined ones among them.
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


@dataclass(eq=False)
class _Writing:
    sheet: Sheet
    writer: TextStream
    tokens: int = 0


class ModelThread:
    """Runs one predictor in a thread of its own: torch models are not asked from several at once.

    Readings and questions share its time: after a batch of readings, questions are written on for as long as the
    batch took.

    Args:
        name: of the model.
        predictor: of the model.
        line: where requests come from.
        max_questions: that are written side by side, each with a cache of its own in memory.
        cache_clips: clips whose features are kept.
    """

    def __init__(
        self,
        name: str,
        predictor: Predictor,
        line: Line[Reading, Asked],
        *,
        max_questions: int,
        cache_clips: int,
    ) -> None:
        self._name, self._predictor, self._line, self._max_questions = name, predictor, line, max_questions
        self._kept: Kept[Sample] = Kept(cache_clips)
        self._writings: list[_Writing] = []
        self._taken: Taken[Reading, Asked] = Taken([], [])  # what the thread took last
        self._gives_up = False
        self._batch_sizes: Counter[int] = Counter()
        self._counts: Counter[str] = Counter()
        self._busy_seconds = 0.0
        # A daemon: a computation that outlives the grace does not keep the process.
        self._thread = threading.Thread(target=self._run, name=f"model {name}", daemon=True)

    @property
    def figures(self) -> EngineFigures:
        """What it has done so far."""
        counts = {name: self._counts[name] for name in _COUNTED}
        return EngineFigures(
            waiting=len(self._line), asking=len(self._writings), batch_sizes=MappingProxyType(dict(self._batch_sizes)),
            busy_seconds=self._busy_seconds, **counts,
        )  # fmt: skip

    async def start(self) -> None:
        """Start, and answer once.

        Raises:
            BackendError: the model fails at its first answer.
        """
        loop = asyncio.get_running_loop()
        warm: asyncio.Future[Prediction] = loop.create_future()
        self._line.put_reading(Reading(_picture_of_nothing(), warm, loop))
        self._thread.start()
        await warm
        sheet = Sheet(loop)
        self._line.put_question(Asked(_picture_of_nothing(), Question(task="emotion", max_new_tokens=2), sheet))
        async for _ in Answering(sheet):
            pass
        self._counts.clear()
        self._batch_sizes.clear()

    async def join(self, seconds: float) -> None:
        """Wait for what runs; after `seconds` give it up, and end."""
        if self._thread.ident is None:
            return
        await asyncio.to_thread(self._thread.join, seconds)
        self._gives_up = True
        left = self._line.clear()
        # Those that were taken may be answered already; a second outcome changes nothing.
        for reading in [*left.readings, *self._taken.readings]:
            reading.settle(BackendError(_STOPPED))
        asked = [*left.questions, *self._taken.questions]
        for sheet in [*(one.sheet for one in asked), *(one.sheet for one in self._writings)]:
            sheet.fail(BackendError(_STOPPED))

    # --- in the thread ----------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._gives_up:
            room = self._max_questions - len(self._writings)
            taken = self._line.take(room, is_idle=not self._writings)
            if taken is None and not self._writings:
                return
            self._taken = taken or Taken([], [])
            start = time.perf_counter()
            if self._taken.readings:
                self._read(self._taken.readings)
                self._line.took(time.perf_counter() - start, len(self._taken.readings))
            until = 2 * time.perf_counter() - start  # as long again as the readings took
            for asked in self._taken.questions:
                self._begin(asked)
            self._taken = Taken([], [])
            self._write_round()
            while self._writings and time.perf_counter() < until and not self._gives_up:
                self._write_round()
            self._busy_seconds += time.perf_counter() - start

    def _read(self, readings: Sequence[Reading]) -> None:
        ready: list[tuple[Reading, Sample]] = []
        for reading in readings:
            if reading.future.cancelled():
                continue
            sample = self._guarded(self._encode, reading.seen)
            if isinstance(sample, Exception | Prediction):
                self._settle(reading, sample)
            else:
                ready.append((reading, sample))
        if ready:
            self._answer(ready)

    def _answer(self, ready: Sequence[tuple[Reading, Sample]]) -> None:
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
        for (reading, _), outcome in zip(ready, outcomes, strict=True):
            self._settle(reading, outcome)

    def _settle(self, reading: Reading, outcome: Prediction | Exception) -> None:
        self._counts["failures" if isinstance(outcome, Exception) else "answers"] += 1
        reading.settle(outcome)

    def _begin(self, asked: Asked) -> None:
        if asked.sheet.is_left:
            return
        self._counts["questions"] += 1
        writer = self._guarded(self._writer, asked)
        if isinstance(writer, Exception):
            self._counts["failures"] += 1
            asked.sheet.fail(writer)
        else:
            self._writings.append(_Writing(asked.sheet, writer))

    def _writer(self, asked: Asked) -> TextStream:
        sample = self._recall(asked.clip) if isinstance(asked.clip, str) else self._encode(asked.clip)
        if isinstance(sample, Prediction):
            raise InputError(f"there is nothing to ask about: {sample.problem}")
        question = asked.question
        return self._predictor.stream(
            sample, (*question.history, Turn(question.instruction)), task=question.task or "free",
            temperature=question.temperature, top_p=question.top_p, max_new_tokens=question.max_new_tokens,
            seed=question.seed,
        )  # fmt: skip

    def _write_round(self) -> None:
        """A piece for each question that is being answered."""
        self._writings = [writing for writing in self._writings if self._write(writing)]

    def _write(self, writing: _Writing) -> bool:
        """Write a piece; whether there is more to write."""
        sheet, writer = writing.sheet, writing.writer
        if sheet.is_left:
            writer.close()
            return False
        piece = self._guarded(next, writer, None)
        self._counts["tokens"] += writer.completion_tokens - writing.tokens
        writing.tokens = writer.completion_tokens
        if isinstance(piece, Exception):
            self._counts["failures"] += 1
            sheet.fail(piece)
            return False
        if piece is not None:
            sheet.write(piece, writer.prompt_tokens, writer.completion_tokens)
        # Told with the last piece, not a round later.
        if writer.finish_reason is None:
            return True
        sheet.end(writer.finish_reason, writer.prompt_tokens, writer.completion_tokens)
        return False

    def _guarded(self, do: Callable[..., T], *args: Any) -> T | Exception:
        """What `do` returns or raises; what is none of our own errors says that the model failed."""
        try:
            return do(*args)
        except EmotionLlamaError as error:
            return error
        except Exception as error:  # noqa: BLE001  the edge of the thread: a fault costs those who asked, not the rest
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

    def _encode(self, seen: SeenArrays) -> Sample | Prediction:
        kept = self._kept.get(seen.clip_key) if seen.clip_key else None
        sample = seen.sample()
        encoded = self._predictor.encode(sample if kept is None else replace(sample, features=kept.features))
        if isinstance(encoded, Prediction):
            return encoded
        encoded = replace(encoded, inputs=None)  # large, and of no use any more
        self._counts["encodes" if kept is None else "cache_hits"] += 1
        if seen.clip_key:
            self._kept.put(seen.clip_key, encoded)
        return encoded


def _picture_of_nothing() -> SeenArrays:
    """A clip that lets every part of a model run: a second of grey pictures, a hum, a word."""
    hum = np.sin(np.arange(16_000, dtype=np.float32) * 0.1)
    grey = np.full((2, 112, 112, 3), 128, np.uint8)
    cues = "Measured cues. Face: no marked movement. Voice: not measured (not given)."
    return SeenArrays("", grey[0], grey, hum, "Hello.", cues, True, (), 1.0)
