"""Stages that ask an annotator: questions of many clips and languages at once, answers back into fields.

A refusal, an empty or malformed reply, a server that is gone: these are errors of the clip's stage, tried again by the
next build. Only "cannot" (the annotator says that this question is beyond it) and a missing modality make a field that
is missing with that reason. Nothing else ever becomes a field.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from typing import TYPE_CHECKING

from emotion_llama.chat.questions import Language, Question, Task
from emotion_llama.chat.records import Answer, Outcome
from emotion_llama.errors import AnnotationError, EmotionLlamaError, InputError
from emotion_llama.merr.annotators import Annotator
from emotion_llama.merr.records import Field, Provenance, now
from emotion_llama.merr.stage import Results, Stage, StageInput, StageOutput, chance, sha256_of

if TYPE_CHECKING:
    from emotion_llama.merr.recipe import Recipe


class AskingStage(Stage):
    """Asks `task` of every clip in every language.

    A stage says what it asks (`plan`) and which fields an answer makes (`fields_of`).
    """

    task: Task
    field_names: tuple[str, ...]  # fields of a language that are missing where the annotator says "cannot"
    reads_clip = ()

    def __init__(self, recipe: Recipe, annotator: Annotator) -> None:
        self.asks(annotator)
        self.languages, self.seed, self.include_speech = recipe.languages, recipe.seed, recipe.peak.include_speech
        self.settings = {
            "annotator": annotator.facts,
            "languages": list(self.languages),
            "seed": self.seed,
            "include_speech": self.include_speech,
        }

    def asks(self, annotator: Annotator) -> None:
        """Take an annotator; InputError when it cannot be asked this."""
        if self.task not in annotator.tasks:
            can = ", ".join(sorted(annotator.tasks)) or "nothing"
            raise InputError(
                f"the annotator {annotator.name!r} cannot be asked for {self.task!r} (it can: {can}); choose another "
                f"for annotators.{self.task}"
            )
        self.annotator, self.pool, self.batch_size = annotator, annotator.where, annotator.batch_size

    def plan(self, item: StageInput, language: Language) -> Question | tuple[Field, ...]:
        """The question, or the fields that are there without asking."""
        raise NotImplementedError

    def fields_of(self, item: StageInput, answer: Answer, language: Language) -> tuple[Field, ...]:
        """The fields of an answer; AnnotationError where it is not what was asked for."""
        raise NotImplementedError

    def finish(self, item: StageInput, fields: Sequence[Field]) -> StageOutput:
        """The output of the fields of all languages."""
        return StageOutput(tuple(fields))

    def run(self, items: Sequence[StageInput]) -> Results:
        """See `Stage`."""
        planned = [self._planned(item) for item in items]
        asked = [
            (item, one)
            for item, plan in zip(items, planned, strict=True)
            if not isinstance(plan, EmotionLlamaError)
            for one in plan
            if isinstance(one, Question)
        ]
        answers = iter(ask(self.annotator, asked) if self.annotator is not None and asked else [])
        return [
            plan if isinstance(plan, EmotionLlamaError) else self._result(item, plan, answers)
            for item, plan in zip(items, planned, strict=True)
        ]

    def missing(self, language: Language, why: str, provenance: Provenance | None = None) -> tuple[Field, ...]:
        """The fields of a language without values."""
        source = provenance or Provenance("measured", "none", made_at=now())
        return tuple(Field(name, None, source, language, why) for name in self.field_names)

    def variant(self, item: StageInput) -> int:
        """Which of several wordings a clip gets."""
        return chance(self.seed, "wording", item.clip.clip_id) & 0xFFFF

    def provenance_of(self, answer: Answer, *, label_shown: bool = False) -> Provenance:
        """Who answered, by which model and prompt, at what cost."""
        shown = label_shown if answer.label_shown is None else answer.label_shown
        return Provenance(
            self._annotator_name, answer.model, answer.prompt_sha256, shown, answer.tokens_in, answer.tokens_out,
            now(), answer.seconds,
        )  # fmt: skip

    @property
    def _annotator_name(self) -> str:
        return "" if self.annotator is None else self.annotator.name

    def _planned(self, item: StageInput) -> list[Question | tuple[Field, ...]] | EmotionLlamaError:
        try:
            return [self.plan(item, language) for language in self.languages]
        except EmotionLlamaError as error:  # its measurements are gone
            return error

    def _result(
        self, item: StageInput, plan: Sequence[Question | tuple[Field, ...]], answers: Iterator[tuple[str, Outcome]]
    ) -> StageOutput | EmotionLlamaError:
        fields: list[Field] = []
        keys, good = [], []  # of the clip's answers; of those that became fields
        error: EmotionLlamaError | None = None
        for one in plan:
            if not isinstance(one, Question):
                fields += one
                continue
            key, outcome = next(answers)
            keys.append(key)
            try:
                fields += self._fields(item, outcome, one.language)
                good.append(key)
            except EmotionLlamaError as problem:
                error = error or problem
        if self.annotator is not None and self.annotator.kept is not None:
            self.annotator.kept.settle(keys, good, is_through=error is None)
        try:
            return error or self.finish(item, fields)
        except EmotionLlamaError as problem:
            return problem

    def _fields(self, item: StageInput, outcome: Outcome, language: Language) -> tuple[Field, ...]:
        if isinstance(outcome, Answer):
            return self.fields_of(item, outcome, language)
        if outcome.kind == "cannot" and self.field_names:
            source = Provenance(self._annotator_name, "none", made_at=now())
            return self.missing(language, outcome.message, source)
        raise outcome


def ask(annotator: Annotator, asked: Sequence[tuple[StageInput, Question]]) -> list[tuple[str, Outcome]]:
    """To each question the key that its answer is kept under, and an answer: one kept, or what is said now.

    One question after the other, so that each answer is held as soon as it is there; a model that is quicker with more
    is given all.
    """
    kept = annotator.kept
    if kept is None:
        return [("", outcome) for outcome in annotator.answer([question for _, question in asked])]
    keys = [key_of(item, question, annotator.facts) for item, question in asked]
    found: dict[str, Outcome] = {key: answer for key in keys if (answer := kept.find(key)) is not None}
    still = [(key, question) for key, (_, question) in zip(keys, asked, strict=True) if key not in found]
    size = len(still) if annotator.batch_size > 1 else 1
    for at in range(0, len(still), size or 1):
        some = still[at : at + size]
        for (key, _), outcome in zip(some, annotator.answer([question for _, question in some]), strict=True):
            found[key] = outcome
            if isinstance(outcome, Answer):
                kept.hold(key, outcome)
    return [(key, found[key]) for key in keys]


def key_of(item: StageInput, question: Question, settings: Mapping[str, object]) -> str:
    """SHA-256 of what an answer depends on: the clip's artifacts, the question, and the annotator's settings.

    So a kept answer is only ever found by the very same question.
    """
    facts = question.facts
    whole = {
        "clip": item.clip.clip_id,
        "artifacts": {name: sha256(data).hexdigest() for name, data in sorted(item.artifacts.items())},
        "question": [question.task, question.language, list(question.labels), question.variant],
        "facts": [facts.label, dict(facts.clues), dict(facts.why_missing), dict(facts.peak_units), facts.text],
        "settings": dict(settings),
    }
    return sha256_of(json.dumps(whole, sort_keys=True, ensure_ascii=False, default=str))


def answer_text(answer: Answer, key: str) -> str:
    """A text of an answer, which its schema promises.

    Raises:
        AnnotationError: it is none, or blank; the annotator has let it through.
    """
    value = answer.values.get(key)
    if not isinstance(value, str) or not value.strip():
        raise AnnotationError("malformed", f"expected {key!r} as a text, got {type(value).__name__}", answer.attempts)
    return value.strip()


def answer_texts(answer: Answer, key: str, *, least: int = 0) -> list[str]:
    """A list of texts of an answer; raises as `answer_text`."""
    value = answer.values.get(key)
    if not isinstance(value, (list, tuple)) or not all(isinstance(text, str) and text.strip() for text in value):
        raise AnnotationError("malformed", f"expected {key!r} as texts, got {type(value).__name__}", answer.attempts)
    if len(value) < least:
        raise AnnotationError("empty", f"expected {least} or more of {key!r}, got {len(value)}", answer.attempts)
    return [text.strip() for text in value]
