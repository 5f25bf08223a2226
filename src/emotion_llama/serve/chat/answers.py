"""The answer to a chat's question: text as a model writes it, its scored label, or the prediction over measurements."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from emotion_llama.analysis.options import Options
from emotion_llama.prompts.tasks import TASKS
from emotion_llama.results import Prediction
from emotion_llama.rules.conversation import answer, understands
from emotion_llama.schema import PredictionDocument
from emotion_llama.serve.analysis import AnalyzeForm, Seen, asked_model, clip_limits, spoken
from emotion_llama.serve.chat.messages import ChatQuestion, ClipReference
from emotion_llama.serve.chat.schemas import ClipAnswer, ClipOptions, Usage
from emotion_llama.serve.clips import ClipId, KnownClip, KnownPerson
from emotion_llama.serve.errors import NotFound, Problem
from emotion_llama.serve.files import StoredFile
from emotion_llama.serve.state import ServeState
from emotion_llama.serve.workers.worker import Analyzed

if TYPE_CHECKING:
    from emotion_llama.predictors.base import Predictor
    from emotion_llama.serve.request_queue import TextAnswer

_OF_RULES = ("emotion", "reason", "reason_v2")  # tasks that a predictor over measurements answers


def tasks_of(predictor: Predictor) -> tuple[str, ...]:
    """The tasks that a predictor can do, where its weights say what they learned; all, where they do not."""
    if predictor.frame_policy is None:
        return _OF_RULES
    why_not: Callable[[str], str | None] = getattr(predictor, "why_not", lambda task: None)
    return tuple(task for task in TASKS if why_not(task) is None)


class Reply:
    """An answer about one person, whole or still being written: `async for piece in reply.pieces()`.

    Attributes:
        about: whom and what it is about.
    """

    def __init__(
        self, about: ClipAnswer, text: str = "", writing: TextAnswer | None = None, stop: Sequence[str] = ()
    ) -> None:
        self.about = about
        self._text, self._writing, self._stop = text, writing, StopAt(stop)
        self._first: str | None = None

    async def begin(self) -> None:
        """Wait for the first piece: what a model refuses, it refuses here."""
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
        """The text as it comes; leaving early ends the writing."""
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

    async def _next(self, writing: TextAnswer) -> str | None:
        """The next piece; None at the end. The model is not asked for more once a stop was found."""
        return None if self._stop.has_stopped else await anext(writing, None)

    @property
    def finish_reason(self) -> Literal["stop", "length"]:
        """Why it ended, once it has."""
        was_cut = self._writing is not None and not self._stop.has_stopped and self._writing.finish_reason == "length"
        return "length" if was_cut else "stop"

    @property
    def usage(self) -> Usage:
        """Tokens, once it has ended; 0 where nothing was written by a model."""
        prompt = 0 if self._writing is None else self._writing.prompt_tokens
        written = 0 if self._writing is None else self._writing.completion_tokens
        return Usage(prompt_tokens=prompt, completion_tokens=written, total_tokens=prompt + written)


class StopAt:
    """Cuts a text that comes in pieces before the first of some texts, however these are spread over pieces."""

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = tuple(stops)
        self._held = ""
        self.has_stopped = False

    def take(self, piece: str) -> str:
        """What may be sent now; `has_stopped` afterwards where a stop was found."""
        if not self._stops or self.has_stopped:
            return "" if self.has_stopped else piece
        text = self._held + piece
        found = [at for stop in self._stops if (at := text.find(stop)) >= 0]
        if found:
            self.has_stopped, self._held = True, ""
            return text[: min(found)]
        # An end that may be the beginning of a stop is held back until it is known.
        keep = max(
            (n for stop in self._stops for n in range(1, min(len(stop), len(text) + 1)) if text.endswith(stop[:n])),
            default=0,
        )
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep]

    def rest(self) -> str:
        """What was held back, when nothing more comes."""
        rest, self._held = self._held, ""
        return rest


async def reply_to(
    state: ServeState, owner: str, model: str, query: ChatQuestion, options: ClipOptions, folder: ExitStack
) -> Reply:
    """Measure the clip if it is not known, and ask; returns with the first piece of the answer.

    Args:
        state: of the server.
        owner: who asks.
        model: a name of the server's.
        query: what is asked.
        options: transcript and person.
        folder: removes the folder that the request's clip lies in; taken over by whoever measures it.

    Raises:
        Problem: the model cannot answer this, the clip is not there or not usable, or nobody is meant; and as file
            store, pool and engine.
        InputError: as the engine.
    """
    _check_able(state, model, query.task)
    person = _person(await _known_clip(state, owner, model, query.clip, options, folder), options)
    about = ClipAnswer(
        person_id=person.person_id, start_seconds=person.start_seconds, end_seconds=person.end_seconds, task=query.task
    )
    question = query.turns[-1].text
    # Measured facts are told as they were measured; what goes beyond them is for a model that learned to write freely.
    if query.task == "free" and person.document is not None and (understands(question) or not _is_free(state, model)):
        document = person.document
        if person.seen is not None:
            document = _with(document, person, await _prediction(state, model, person))
        return Reply(about, text=answer(question, document, person.person_id, person.start_seconds))
    if query.task == "emotion" or person.seen is None:
        return _predicted(about, await _prediction(state, model, person))
    assert state.engine is not None
    writing = state.engine.ask(model, person.seen, query.turns, task=query.task, **query.options)
    reply = Reply(about, writing=writing, stop=query.stop)
    await reply.begin()
    return reply


def _is_free(state: ServeState, model: str) -> bool:
    return "free" in tasks_of(state.predictors[model])


def _with(document: dict[str, Any], person: KnownPerson, prediction: Prediction) -> dict[str, Any]:
    """A copy of a document with a model's prediction of this person."""
    known = PredictionDocument.model_validate(prediction, from_attributes=True).model_dump(mode="json")
    people = [
        one if one["person_id"] != person.person_id
        else {
            **one,
            "segments": [
                {**segment, "prediction": known} if segment["start_seconds"] == person.start_seconds else segment
                for segment in one["segments"]
            ],
        }
        for one in document["people"]
    ]  # fmt: skip
    return {**document, "people": people}


def _predicted(about: ClipAnswer, prediction: Prediction) -> Reply:
    """A prediction as an answer: the label or "uncertain" for [emotion], the reasons for [reason]; both beside it."""
    if prediction.problem is not None:
        raise Problem(422, f"there is no answer: {prediction.problem}", code="nothing_to_read", param="messages")
    is_label = about.task == "emotion"
    whole = about.model_copy(
        update={
            "label": prediction.label,
            "probabilities": None if prediction.probabilities is None else dict(prediction.probabilities),
            "reasoning": prediction.reasoning if is_label else None,  # else it is the text
        }
    )
    return Reply(whole, text=(prediction.label or "uncertain") if is_label else prediction.reasoning)


def _check_able(state: ServeState, model: str, task: str) -> None:
    if state.predictors[model].frame_policy is not None or task in (*_OF_RULES, "free"):
        return
    others = [name for name, predictor in state.predictors.items() if predictor.frame_policy is not None]
    hint = f"; models that do: {', '.join(others)}" if others else ", and this server has no model that does"
    raise Problem(
        400,
        f"{model!r} predicts from measurements and has no language model: it answers [emotion], [reason] and "
        f"questions about what was measured, not the task [{task}]{hint}",
        code="task_not_supported",
        param="messages",
    )


async def _prediction(state: ServeState, model: str, person: KnownPerson) -> Prediction:
    if model not in person.predictions:
        assert state.engine is not None
        assert person.seen is not None
        person.predictions[model] = await state.engine.predict(model, person.seen)
    return person.predictions[model]


def _person(clip: KnownClip, options: ClipOptions) -> KnownPerson:
    """Who is meant, in the segment that is meant where the clip was cut."""
    found = [person for person in clip if options.person_id in (None, person.person_id)]
    if not found:
        there = ", ".join(str(number) for number in sorted({person.person_id for person in clip}))
        raise Problem(
            422, f"there is no person {options.person_id} in the clip; there are: {there}", code="person_not_found",
            param="emotion_llama.person_id",
        )  # fmt: skip
    at = options.at_seconds
    return next((one for one in found if at is not None and one.start_seconds <= at < one.end_seconds), found[0])


# --- measuring


async def _known_clip(
    state: ServeState, owner: str, model: str, reference: ClipReference, options: ClipOptions, folder: ExitStack
) -> KnownClip:
    """The clip of a chat as this model is shown it, measured now if it is not known; raises as `reply_to`."""
    subtitle = spoken(options.subtitle)
    people: Literal["main", "all"] = "main" if options.person_id is None else "all"
    sha256, path, name, stored = reference.sha256, reference.path, reference.name, None
    if reference.file_id is not None:
        stored = await asyncio.to_thread(state.files.get, owner, reference.file_id)
        sha256, name = stored.sha256, stored.name

    async def measure() -> KnownClip:
        with folder.pop_all() as own:  # others who ask meanwhile may wait for this longer than this request does
            clip = path if stored is None else await linked(state, stored, own)
            assert clip is not None
            asked = Options(subtitle, None, state.settings.asr, people, asr_fallback=True)
            return await _measured(state, model, clip, asked, name)

    if options.at_seconds is not None:
        for kind in ("main", "all"):
            cut = state.clips.find(_clip_id(state, owner, model, sha256, f"{kind}, cut", subtitle))
            if cut is not None and any(options.person_id in (None, person.person_id) for person in cut):
                return cut
    whole = state.clips.find(_clip_id(state, owner, model, sha256, "main", subtitle))
    if whole is not None and any(person.person_id == options.person_id for person in whole):
        people = "main"  # measured with the main person alone, who is meant
    return await state.clips.get(_clip_id(state, owner, model, sha256, people, subtitle), measure)


def _clip_id(state: ServeState, owner: str, model: str, sha256: str, people: str, subtitle: str | None) -> ClipId:
    """Models that are shown the same frame share the measurement; predictions of rules are theirs alone."""
    return owner, sha256, (state.predictors[model].frame_policy or f"predictor {model}", people, subtitle)


async def remember(
    state: ServeState, owner: str, stored: StoredFile, form: AnalyzeForm, analyzed: Analyzed, seen: Seen
) -> None:
    """Keep what was measured of a stored clip for the chats about it, as long as these are remembered.

    Only of a clip that was read with nothing but a subtitle: that is what chats are about. The segments of one that was
    cut are kept apart, for questions that name a moment.
    """
    plain = form.model_copy(update={"file_id": None, "model": None, "subtitle": None, "people": "main"})
    if plain.model_copy(update={"format": "json", "curves": True, "segment": "none"}) != AnalyzeForm():
        return
    model = state.model_name(form.model)
    document = await asyncio.to_thread(_without_curves, analyzed.document_json)
    seconds = document["clip"]["duration_seconds"]
    # A short clip with no pause is one segment.
    segments = [segment for person in document["people"] for segment in person["segments"]]
    is_cut = form.segment != "none" and any(
        one["end_seconds"] - one["start_seconds"] < seconds - 0.01 for one in segments
    )
    if asked_model(state, model) is None:
        clip = _read_by_rules(model, document)
    else:
        clip = tuple(
            KnownPerson(*part, sample, {model: prediction}, document)
            for part, (sample, prediction) in zip(analyzed.parts, seen, strict=True)
        )
    people = f"{form.people}, cut" if is_cut else form.people
    state.clips.put(_clip_id(state, owner, model, stored.sha256, people, spoken(form.subtitle)), clip)


def _without_curves(document_json: str) -> dict[str, Any]:
    """A document without its frame-by-frame values, which are most of it."""
    document: dict[str, Any] = json.loads(document_json)
    document["voice"] = None
    for person in document["people"]:
        for part in (person["face"], *(segment["evidence"]["action_units"] for segment in person["segments"])):
            if part is not None:
                part["curves"] = None
    return document


async def linked(state: ServeState, stored: StoredFile, own: ExitStack | AsyncExitStack) -> Path:
    """A name of its own for a stored file, in a folder that goes with `own`.

    Raises:
        NotFound: it was deleted just now.
    """
    clip = Path(tempfile.mkdtemp(prefix="stored-", dir=state.uploads_dir)) / stored.path.name
    own.callback(shutil.rmtree, clip.parent, ignore_errors=True)
    try:
        await asyncio.to_thread(link_or_copy, stored.path, clip)
    except FileNotFoundError:
        raise NotFound("file", stored.id) from None
    return clip


def link_or_copy(source: Path, target: Path) -> None:
    """A second name for a file, so that it stays readable when the first goes; a copy where the disk has no links."""
    try:
        os.link(source, target)
    except FileNotFoundError:
        raise
    except OSError:
        shutil.copyfile(source, target)


async def _measured(state: ServeState, model: str, path: Path, options: Options, name: str) -> KnownClip:
    """A clip as chats need it; for a predictor over measurements with its predictions."""
    asked, limits = asked_model(state, model), clip_limits(state)
    if asked is not None:
        parts, measured = await state.pool.measure(path, options, model=asked, shown_name=name, limits=limits)
        document = json.loads(measured)
        return tuple(KnownPerson(*part, document=document) for part in parts)
    analyzed = await state.pool.analyze(path, options, shown_name=name, curves=False, limits=limits)
    return _read_by_rules(model, json.loads(analyzed.document_json))


def _read_by_rules(model: str, document: dict[str, Any]) -> KnownClip:
    """The people of a document, in each of its segments, with its own predictions."""
    clip = []
    for person in document["people"]:
        for segment in person["segments"]:
            found = {key: segment["prediction"][key] for key in ("label", "probabilities", "reasoning", "problem")}
            prediction = Prediction(**found, raw_text="", model=model)
            start, end = segment["start_seconds"], segment["end_seconds"]
            clip.append(KnownPerson(person["person_id"], start, end, None, {model: prediction}, document))
    return tuple(clip)
