"""Stages that ask an annotator: questions of many clips and languages at once, answers back into fields.

A refusal, an empty or malformed reply, a server that is gone: these are errors of the clip's stage, tried again by the
next build. Only "cannot" (the annotator says that this question is beyond it) and a missing modality make a field that
is missing with that reason. Nothing else ever becomes a field.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from emotion_llama.chat.questions import Language, Question, Task
from emotion_llama.chat.records import Answer
from emotion_llama.errors import AnnotationError, EmotionLlamaError, InputError
from emotion_llama.merr.annotators import Annotator, load_annotator
from emotion_llama.merr.kept_answers import KeptAnswers, key_of
from emotion_llama.merr.records import Field, Provenance, StageInput, StageOutput, now
from emotion_llama.merr.stage import Pool, Results


class Respondent:
    """The annotator of one configuration, loaded at its first use; it travels to other processes as configuration.

    Stages of one build with equal configurations share one, and with it its connection, model and budget.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        self.config = dict(config)
        self.kept: KeptAnswers | None = None  # of the build's folder; an annotator that costs nothing needs none
        self._lock = threading.Lock()
        self._annotator: Annotator | None = None

    @property
    def annotator(self) -> Annotator:
        """The annotator itself; InputError when its configuration does not fit."""
        with self._lock:
            if self._annotator is None:
                self._annotator = load_annotator(self.config)
            return self._annotator

    def must_answer(self, task: Task) -> Respondent:
        """Itself; InputError when its annotator cannot be asked this."""
        if task not in self.annotator.tasks:
            can = ", ".join(sorted(self.annotator.tasks)) or "nothing"
            raise InputError(
                f"the annotator {self.annotator.name!r} cannot be asked for {task!r} (it can: {can}); choose another "
                f"for annotators.{task}"
            )
        return self

    @property
    def settings(self) -> dict[str, object]:
        """What answers depend on."""
        return {"name": self.annotator.name, **self.annotator.settings}

    @property
    def looks(self) -> bool:
        """Whether it looks and listens itself, also where it reasons."""
        return self.annotator.takes_media

    @property
    def pool(self) -> Pool:
        """Where it may be asked."""
        return self.annotator.where

    def __getstate__(self) -> dict[str, Any]:
        return {"config": self.config}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["config"])  # type: ignore[misc]


class Respondents:
    """One `Respondent` a configuration."""

    def __init__(self) -> None:
        self._by_config: dict[str, Respondent] = {}

    def of(self, config: Mapping[str, Any]) -> Respondent:
        """The one of this configuration."""
        key = json.dumps(config, sort_keys=True, default=str)
        return self._by_config.setdefault(key, Respondent(config))


class Wanted(NamedTuple):
    """One description of one clip: a question, or the fields that are there without asking."""

    language: Language
    question: Question | None
    fields: tuple[Field, ...] = ()


Plan = Callable[[StageInput, Language], Wanted]
Told = Callable[[StageInput, Wanted, Answer], tuple[Field, ...]]
CannotSay = Callable[[Language, Provenance, str], tuple[Field, ...]]


def ask(
    respondent: Respondent,
    items: Sequence[StageInput],
    languages: Sequence[Language],
    *,
    plan: Plan,
    told: Told,
    cannot: CannotSay,
) -> Results:
    """Ask for every clip and language at once; one output, or the first error, for each clip.

    Args:
        respondent: whom.
        items: the clips.
        languages: of the answers.
        plan: what is to be asked of a clip in a language.
        told: the fields of an answer.
        cannot: the fields where the annotator says it cannot, from language, provenance and reason.
    """
    wanted = [_planned(plan, item, languages) for item in items]
    asked = [
        (item, one.question)
        for item, of_clip in zip(items, wanted, strict=True)
        if not isinstance(of_clip, EmotionLlamaError)
        for one in of_clip
        if one.question is not None
    ]
    answers = iter(_answers(respondent, asked))
    results: Results = []
    for item, of_clip in zip(items, wanted, strict=True):
        if isinstance(of_clip, EmotionLlamaError):
            results.append(of_clip)
            continue
        fields: list[Field] = []
        good: list[tuple[Question, Answer]] = []
        error: EmotionLlamaError | None = None
        for one in of_clip:
            if one.question is None:
                fields += one.fields
                continue
            answer = next(answers)
            try:
                fields += _fields(item, one, answer, respondent.annotator.name, told, cannot)
                good += [(one.question, answer)] if isinstance(answer, Answer) else []
            except EmotionLlamaError as problem:
                error = error or problem
        if error is not None and respondent.kept is not None:
            for question, answer in good:
                respondent.kept.keep(key_of(item, question, respondent.settings), answer)
        results.append(error or StageOutput(tuple(fields)))
    return results


def _answers(respondent: Respondent, asked: Sequence[tuple[StageInput, Question]]) -> list[Answer | AnnotationError]:
    """An answer to each question: one kept from a build before, or what the annotator says now."""
    kept, settings = respondent.kept, respondent.settings
    found = [kept.find(key_of(item, question, settings)) if kept else None for item, question in asked]
    open_questions = [question for (_, question), answer in zip(asked, found, strict=True) if answer is None]
    new = iter(respondent.annotator.answer(open_questions) if open_questions else [])
    return [next(new) if answer is None else answer for answer in found]


def _planned(plan: Plan, item: StageInput, languages: Sequence[Language]) -> list[Wanted] | EmotionLlamaError:
    """What is wanted of one clip, or why nothing can be asked: its measurements are gone."""
    try:
        return [plan(item, language) for language in languages]
    except EmotionLlamaError as error:
        return error


def _fields(
    item: StageInput, wanted: Wanted, answer: Answer | AnnotationError, name: str, told: Told, cannot: CannotSay
) -> tuple[Field, ...]:
    if isinstance(answer, Answer):
        return told(item, wanted, answer)
    if answer.kind == "cannot":
        return cannot(wanted.language, Provenance(name, "none", made_at=now()), answer.message)
    raise answer


def provenance_of(respondent: Respondent, answer: Answer, *, label_shown: bool = False) -> Provenance:
    """Who answered, by which model and prompt, at what cost."""
    return Provenance(
        respondent.annotator.name,
        answer.model,
        answer.prompt_sha256,
        label_shown if answer.label_shown is None else answer.label_shown,
        answer.tokens_in,
        answer.tokens_out,
        now(),
        answer.seconds,
    )


def text_of(answer: Answer, key: str) -> str:
    """A text of an answer, which its schema promises.

    Raises:
        AnnotationError: it is none, or blank; the annotator has let it through.
    """
    value = answer.values.get(key)
    if not isinstance(value, str) or not value.strip():
        raise AnnotationError("malformed", f"expected {key!r} as a text, got {type(value).__name__}", answer.attempts)
    return value.strip()


def texts_of(answer: Answer, key: str, *, least: int = 0) -> list[str]:
    """A list of texts of an answer; raises as `text_of`."""
    value = answer.values.get(key)
    if not isinstance(value, (list, tuple)) or not all(isinstance(text, str) and text.strip() for text in value):
        raise AnnotationError("malformed", f"expected {key!r} as texts, got {type(value).__name__}", answer.attempts)
    if len(value) < least:
        raise AnnotationError("empty", f"expected {least} or more of {key!r}, got {len(value)}", answer.attempts)
    return [text.strip() for text in value]
