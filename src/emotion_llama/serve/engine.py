"""The models of a server: each in one thread, which answers the requests of many clients together."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from emotion_llama.errors import InputError
from emotion_llama.records import Prediction
from emotion_llama.serve.questions import Question, SeenArrays

if TYPE_CHECKING:
    from emotion_llama.annotators.reader import Reader


class ForgottenClip(InputError):
    """The features of a clip are no longer kept; give what was seen again."""


@dataclass(frozen=True)
class EngineFigures:
    """What one model has done since it was warm; for /metrics and tests.

    Attributes:
        waiting: requests that wait now.
        asking: chats that are being answered now.
        batch_sizes: size -> how many batches of labels and reasons had it.
        answers: labels given, declined ones among them.
        questions: chats begun.
        tokens: tokens written in chats.
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


class Answering:
    """The answer to a question as it is written: `async for piece in answering`. Leaving early ends the writing.

    Attributes:
        prompt_tokens: length of the prompt; 0 until the first piece came.
        completion_tokens: tokens written so far.
        finish_reason: "stop" where the model ended, "length" where `max_new_tokens` did; None until then.
    """

    prompt_tokens: int
    completion_tokens: int
    finish_reason: Literal["stop", "length"] | None

    def __aiter__(self) -> AsyncIterator[str]: ...

    async def __anext__(self) -> str: ...

    async def aclose(self) -> None: ...


class Engine:
    """Models behind bounded queues. Used from one event loop.

    Args:
        readers: name -> reader; one of measurements alone (`frame_policy` None) is left to the children.
        max_batch: requests that are answered together.
        max_wait_ms: how long the first of a batch waits for others.
        max_queue: requests that may wait for a model, and as many chats that may be under way.
        cache_clips: clips whose features are kept, the last used, for each model.
    """

    def __init__(
        self,
        readers: Mapping[str, Reader],
        *,
        max_batch: int = 8,
        max_wait_ms: float = 10.0,
        max_queue: int = 64,
        cache_clips: int = 256,
    ) -> None: ...

    @property
    def models(self) -> tuple[str, ...]:
        """Names of the models that are asked here."""

    @property
    def figures(self) -> Mapping[str, EngineFigures]:
        """Model -> what it has done."""

    async def start(self) -> None:
        """Start the threads and let every model answer once, so that the first client does not pay for it."""

    async def close(self, grace_seconds: float = 10.0) -> None:
        """Take nothing new, let what runs finish within the grace, and give the rest up."""

    async def read(self, model: str, seen: SeenArrays) -> Prediction:
        """Label, probabilities and reasons of what was seen.

        Raises:
            InputError: there is no such model.
            Busy: the queue is full, or the server is about to stop.
            BackendError: the model failed.
        """

    def ask(self, model: str, clip: str | SeenArrays, question: Question) -> Answering:
        """The answer to a question, piece by piece; a plain call, not a coroutine: `async for x in engine.ask(...)`.

        Args:
            model: its name.
            clip: what was seen, whose features are taken from the cache where they are there; or a clip key.
            question: what is asked.

        Raises:
            InputError: there is no such model.
            Busy: the queue is full, or the server is about to stop.
            (with the first piece) ForgottenClip: the features of that key are gone.
            (with the first piece) InputError: nothing was measured of the clip, or its sound is too long for the model.
            (with any piece) BackendError: the model failed.
        """
