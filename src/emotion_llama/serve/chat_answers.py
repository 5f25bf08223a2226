"""The answer to a chat's question: a model's words as it writes them, its scored label, or what the rules say."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Literal

from emotion_llama.serve.chat_clips import KnownClip, KnownPerson, Reading
from emotion_llama.serve.chat_measuring import known_clip
from emotion_llama.serve.chat_parts import Asked
from emotion_llama.serve.chat_schemas import ClipAnswer, ClipOptions, Usage
from emotion_llama.serve.chat_stop import StopAt
from emotion_llama.serve.engine import Answering
from emotion_llama.serve.problems import Problem
from emotion_llama.serve.state import ServeState

Finish = Literal["stop", "length"]
_OF_RULES = ("emotion", "reason", "reason_v2")  # tasks that a predictor of measurements answers


class Reply:
    """An answer about one person, whole or still being written: `async for piece in reply.pieces()`.

    Attributes:
        about: whom and what it is about.
    """

    def __init__(self, about: ClipAnswer, text: str = "", writing: Answering | None = None, stop: StopAt | None = None):
        self.about = about
        self._text, self._writing, self._stop = text, writing, stop or StopAt(())
        self._first: str | None = None

    async def begin(self) -> None:
        """Wait for the first words: what a model refuses, it refuses here."""
        if self._writing is None:
            return
        try:
            self._first = await self._next(self._writing)
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """End the writing, if it has not ended."""
        if self._writing is not None:
            await self._writing.aclose()

    async def pieces(self) -> AsyncIterator[str]:
        """The words as they come; leaving early ends the writing."""
        if self._writing is None:
            yield self._text
            return
        try:
            piece: str | None = self._first
            while piece is not None:
                yield self._stop.take(piece)
                piece = await self._next(self._writing)
            yield self._stop.rest()
        finally:
            await self.close()

    async def _next(self, writing: Answering) -> str | None:
        """The next words; None at the end. The model is not asked for another word once a stop was found."""
        if self._stop.has_stopped:
            return None
        try:
            return await writing.__anext__()
        except StopAsyncIteration:
            return None

    @property
    def finish_reason(self) -> Finish:
        """Why it ended, once it has."""
        was_cut = self._writing is not None and not self._stop.has_stopped and self._writing.finish_reason == "length"
        return "length" if was_cut else "stop"

    @property
    def usage(self) -> Usage:
        """Tokens, once it has ended; none where nothing was written by a model."""
        read = 0 if self._writing is None else self._writing.prompt_tokens
        written = 0 if self._writing is None else self._writing.completion_tokens
        return Usage(prompt_tokens=read, completion_tokens=written, total_tokens=read + written)


async def reply_to(state: ServeState, owner: str, model: str, query: Asked, options: ClipOptions) -> Reply:
    """Measure the clip if it is not known, and ask; returns with the first words.

    Args:
        state: of the server.
        owner: who asks.
        model: a name of the server's.
        query: what is asked.
        options: words and person.

    Raises:
        Problem: the model cannot answer this, the clip is not there or not usable, or nobody is meant.
        ClipRefused, ChildDied, Busy, InputError: as pool and engine.
    """
    _check_able(state, model, query.task)
    clip = await known_clip(state, owner, model, query.clip, options)
    person = _person(clip, options.person_id)
    about = ClipAnswer(
        person_id=person.person_id, start_seconds=person.start_seconds, end_seconds=person.end_seconds, task=query.task
    )
    if query.task == "emotion" or person.seen is None:
        return _told(about, await _reading(state, model, clip, person))
    assert state.engine is not None
    reply = Reply(about, writing=state.engine.ask(model, person.seen, query.question), stop=StopAt(query.stop))
    await reply.begin()
    return reply


def _told(about: ClipAnswer, reading: Reading) -> Reply:
    """A reading as an answer: the label for [emotion], the reasons for [reason]; both beside the text."""
    if reading.label is None:
        raise Problem(422, f"there is no answer: {reading.problem}", code="nothing_to_read", param="messages")
    told = about.model_copy(
        update={
            "label": reading.label,
            "probabilities": None if reading.probabilities is None else dict(reading.probabilities),
            "reasoning": reading.reasoning if about.task == "emotion" else None,  # else it is the text
        }
    )
    return Reply(told, text=reading.label if about.task == "emotion" else reading.reasoning)


def _check_able(state: ServeState, model: str, task: str) -> None:
    if state.predictors[model].frame_policy is not None or task in _OF_RULES:
        return
    others = [name for name, predictor in state.predictors.items() if predictor.frame_policy is not None]
    asked = "a free question" if task == "free" else f"the task [{task}]"
    told = f"; models that do: {', '.join(others)}" if others else ", and this server has no model that does"
    raise Problem(
        400,
        f"{model!r} reads measurements and has no language model: it answers [emotion] and [reason], not {asked}{told}",
        code="task_not_supported",
        param="messages",
    )


async def _reading(state: ServeState, model: str, clip: KnownClip, person: KnownPerson) -> Reading:
    if person.reading is not None:
        return person.reading
    key = (model, person.person_id)
    if key not in clip.readings:
        assert state.engine is not None
        assert person.seen is not None
        answer = await state.engine.read(model, person.seen)
        clip.readings[key] = Reading(answer.label, answer.probabilities, answer.reasoning, answer.problem)
    return clip.readings[key]


def _person(clip: KnownClip, person_id: int | None) -> KnownPerson:
    if person_id is None:
        return clip.people[0]
    found = [person for person in clip.people if person.person_id == person_id]
    if not found:
        there = ", ".join(str(person.person_id) for person in clip.people)
        raise Problem(
            422, f"there is no person {person_id} in the clip; there are: {there}", code="person_not_found",
            param="emotion_llama.person_id",
        )  # fmt: skip
    return found[0]
