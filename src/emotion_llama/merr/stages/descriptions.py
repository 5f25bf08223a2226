"""Stages that ask an annotator: questions of many clips and languages at once, answers back into fields.

A refusal, an empty or malformed reply, a server that is gone: these are errors of the clip's stage, tried again by the
next build. Only "cannot" (the annotator says that this question is beyond it) and a missing modality make a field that
is missing with that reason. Nothing else ever becomes a field.

Stages visual_expression, visual_objective and audio_tone describe one modality each; the label is never shown to any.
The face may be described in phrases of your own: a YAML or CSV file, checked, with its hash.
"""

from __future__ import annotations

import hashlib
import json
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from emotion_llama.chat.questions import LANGUAGES, Facts, Language, Question, Task
from emotion_llama.chat.records import Answer, Outcome
from emotion_llama.config import read_yaml
from emotion_llama.errors import EmotionLlamaError, InputError
from emotion_llama.face.peak import SPEECH_UNITS
from emotion_llama.media.scene_facts import scene_from_json
from emotion_llama.merr.annotators import Annotator, question_hash
from emotion_llama.merr.measured import Measured
from emotion_llama.merr.records import Field, Json, Provenance, now, to_json
from emotion_llama.merr.stage import Results, Stage, StageInput, StageOutput, chance, sha256_of
from emotion_llama.merr.stages.evidence import EVIDENCE, SOUND, measured_of
from emotion_llama.merr.stages.peak import FACE_CROP, PEAK_FRAME
from emotion_llama.rules.phrases import Phrases, expression_phrases, own_phrases
from emotion_llama.rules.wording import pick, wording
from emotion_llama.tables import read_records

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

    @abstractmethod
    def plan(self, item: StageInput, language: Language) -> Question | tuple[Field, ...]:
        """The question, or the fields that are there without asking."""

    @abstractmethod
    def fields_of(self, item: StageInput, answer: Answer, language: Language) -> tuple[Field, ...]:
        """The fields of an answer."""

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
        keys = []  # of the clip's answers
        error: EmotionLlamaError | None = None
        for one in plan:
            if not isinstance(one, Question):
                fields += one
                continue
            key, outcome = next(answers)
            keys.append(key)
            try:
                fields += self._fields(item, outcome, one.language)
            except EmotionLlamaError as problem:
                error = error or problem
        if self.annotator is not None and self.annotator.kept is not None:
            self.annotator.kept.settle(keys, is_through=error is None)
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
    artifacts = {name: sha256(data).hexdigest() for name, data in sorted(item.artifacts.items())}
    whole = [item.clip.clip_id, artifacts, question_hash(question), dict(settings)]
    return sha256_of(json.dumps(whole, sort_keys=True, ensure_ascii=False, default=str))


def answer_texts(answer: Answer, key: str) -> list[Json]:
    """A list of texts of an answer, which was checked where it was made."""
    texts: Any = answer.values[key]
    return [str(text) for text in texts]


_COLUMNS = ("language", "units", "phrase")  # of a table of phrases
# Stage and field -> what it asks, the stages it needs, and the artifacts it reads. It needs "select", since clips that
# are left out there are not worth a question.
_OF_MODALITY: dict[str, tuple[Task, tuple[str, ...], tuple[str, ...]]] = {
    "visual_expression": ("expression", ("evidence", "peak"), (EVIDENCE, PEAK_FRAME)),
    "visual_objective": ("visual", ("evidence", "peak"), (EVIDENCE, PEAK_FRAME, FACE_CROP)),
    "audio_tone": ("audio", ("evidence", "select"), (EVIDENCE, SOUND)),
}


class DescriptionStage(AskingStage):
    """One modality; the field has the stage's name.

    visual_expression is a list of phrases for the face at its peak; where the recipe names phrases of your own, they
    are taken and no annotator is asked. visual_objective is what the peak frame shows, audio_tone how the voice sounds.
    """

    def __init__(self, name: str, recipe: Recipe, annotator: Annotator) -> None:
        self.name, self.field_names = name, (name,)
        self.task, self.needs, self.reads_artifacts = _OF_MODALITY[name]
        super().__init__(recipe, annotator)
        path = recipe.visual_expression.phrases if name == "visual_expression" else None
        self.phrases = None if path is None else load_own_phrases(path, recipe.languages)
        sha256 = None if path is None else hashlib.sha256(path.read_bytes()).hexdigest()
        self.phrases_source = None if path is None else f"{path.name} sha256:{sha256}"
        if name == "visual_expression":
            self.settings = {**self.settings, "phrases": sha256}

    def plan(self, item: StageInput, language: Language) -> Question | tuple[Field, ...]:
        """See `AskingStage`."""
        frame, face, sound = (item.artifacts.get(name) for name in (PEAK_FRAME, FACE_CROP, SOUND))
        if self.task == "audio":
            if sound is None:
                return self.missing(language, "the file has no sound")
            facts = Facts(evidence=measured_of(item).evidence)
            return Question("audio", language, facts, sound_wav=sound, variant=self.variant(item))
        why = item.why_missing("peak" if self.task == "expression" else "scene")
        if why is not None:
            return self.missing(language, why)
        facts = facts_of(item, include_speech=self.include_speech)
        if self.phrases is None:
            return Question(self.task, language, facts, frame, variant=self.variant(item), face_png=face)
        variant = self.variant(item)
        # Those of the file first in rank; the package's for what it leaves out.
        found = expression_phrases(facts.peak_units, variant=variant, language=language, own=self.phrases.get(language))
        value = list(found or [pick(wording(language).at_rest, variant)])
        source = Provenance("own phrases", self.phrases_source or "", made_at=now())
        return (Field(self.name, to_json(value), source, language),)

    def fields_of(self, item: StageInput, answer: Answer, language: Language) -> tuple[Field, ...]:
        """See `AskingStage`."""
        value: Json = str(answer.values["text"]) if self.task != "expression" else answer_texts(answer, "phrases")
        return (Field(self.name, value, self.provenance_of(answer), language),)


def facts_of(item: StageInput, *, include_speech: bool) -> Facts:
    """What was measured of the clip's main person and of its peak frame; without a label."""
    measured = measured_of(item)
    scene = item.value("scene")
    return Facts(
        evidence=measured.evidence,
        peak_units=peak_units(measured, item.value("peak"), include_speech=include_speech),
        scene=None if scene is None else scene_from_json(scene),
    )


def peak_units(measured: Measured, peak: Any, *, include_speech: bool) -> dict[str, float]:
    """Intensity of every unit measured at the peak frame; without those of speech while the person talks.

    Empty where no face was read.
    """
    units = measured.evidence.action_units
    if units is None or peak is None or not units.valid.any():
        return {}
    rows = np.flatnonzero(units.valid)
    row = int(rows[np.argmin(np.abs(units.pts_seconds[rows] - peak["pts_seconds"]))])
    talking = bool(units.is_speech[row]) and not include_speech
    return {
        name: float(x)
        for name, x in zip(units.names, units.intensity[row])
        if np.isfinite(x) and not (talking and name in SPEECH_UNITS)
    }


# --- phrases of your own ----------------------------------------------------------------------------------------------


def load_own_phrases(path: Path, languages: Sequence[str]) -> dict[str, Phrases]:
    """Language -> phrases, of a table.

    YAML: language -> unit or units ("AU12", "AU06+AU12") -> list of phrases. CSV: columns language, units, phrase, one
    phrase a row.

    Raises:
        InputError: the file cannot be read, or a row does not fit; it is named.
    """
    rows = _csv(path) if path.suffix.lower() == ".csv" else _yaml(path)
    unknown = sorted(set(rows) - set(LANGUAGES))
    if unknown:
        raise InputError(f"{path}: no language {unknown[0]!r}; expected any of {', '.join(LANGUAGES)}")
    if not set(rows) & set(languages):
        raise InputError(f"{path}: no phrases in the build's languages ({', '.join(languages)})")
    try:
        return {language: own_phrases(table, language) for language, table in rows.items()}
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def _yaml(path: Path) -> dict[str, dict[str, list[str]]]:
    tree = read_yaml(path)
    good = isinstance(tree, dict) and all(
        isinstance(table, dict)
        and all(
            isinstance(k, str) and isinstance(v, list) and all(isinstance(p, str) for p in v) for k, v in table.items()
        )
        for table in tree.values()
    )
    if not good:
        raise InputError(f"{path}: expected language -> units -> list of phrases, such as en: {{AU12: [a smile]}}")
    return dict(tree)


def _csv(path: Path) -> dict[str, dict[str, list[str]]]:
    out: dict[str, dict[str, list[str]]] = {}
    rows = read_records(path, _COLUMNS.__contains__, ", ".join(_COLUMNS), needed=_COLUMNS)
    for _, row in rows:
        language, units, phrase = (row[name].strip() for name in _COLUMNS)
        out.setdefault(language, {}).setdefault(units, []).append(phrase)
    return out
