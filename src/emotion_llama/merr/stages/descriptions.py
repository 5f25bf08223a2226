"""Stages visual_expression, visual_objective, audio_tone: one modality each, and the label is never shown to any.

The face may be described in phrases of your own: a YAML or CSV file, checked, with its hash.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from emotion_llama.chat.questions import LANGUAGES, Facts, Language, Question
from emotion_llama.chat.records import Answer
from emotion_llama.config import read_yaml
from emotion_llama.errors import InputError
from emotion_llama.face.peak import SPEECH_UNITS
from emotion_llama.media.scene_facts import scene_from_json
from emotion_llama.merr.annotators import Annotator
from emotion_llama.merr.measured import Measured
from emotion_llama.merr.records import Field, Provenance, now, to_json
from emotion_llama.merr.stage import StageInput
from emotion_llama.merr.stages.asked import AskingStage, answer_text, answer_texts
from emotion_llama.merr.stages.evidence import EVIDENCE, SOUND, measured_of
from emotion_llama.merr.stages.peak import FACE_CROP, PEAK_FRAME
from emotion_llama.rules.phrases import Phrases, expression_phrases, own_phrases
from emotion_llama.rules.wording import pick, wording
from emotion_llama.tables import read_records

if TYPE_CHECKING:
    from emotion_llama.merr.recipe import Recipe

_COLUMNS = ("language", "units", "phrase")


class _DescriptionStage(AskingStage):
    """One modality; the stage's name is its field's too."""

    def __init__(self, recipe: Recipe, annotator: Annotator) -> None:
        super().__init__(recipe, annotator)
        self.field_names = (self.name,)

    def fields_of(self, item: StageInput, answer: Answer, language: Language) -> tuple[Field, ...]:
        """See `AskingStage`."""
        return (Field(self.name, answer_text(answer, "text"), self.provenance_of(answer), language),)

    def question(self, item: StageInput, language: Language, facts: Facts, **media: bytes | None) -> Question:
        """The stage's question about a clip, with the `Question`'s media."""
        return Question(self.task, language, facts, variant=self.variant(item), **media)  # type: ignore[arg-type]


class VisualExpressionStage(_DescriptionStage):
    """Field visual_expression, a list of phrases for the face at its peak.

    Where the recipe names phrases of your own, they are taken and no annotator is asked.
    """

    name = "visual_expression"
    task = "expression"
    needs = ("evidence", "peak")
    reads_artifacts = (EVIDENCE, PEAK_FRAME)

    def __init__(self, recipe: Recipe, annotator: Annotator) -> None:
        super().__init__(recipe, annotator)
        path = recipe.visual_expression.phrases
        self.phrases = None if path is None else load_own_phrases(path, recipe.languages)
        self.phrases_sha256 = None if path is None else hashlib.sha256(path.read_bytes()).hexdigest()
        self.phrases_name = None if path is None else path.name
        self.settings = {**self.settings, "phrases": self.phrases_sha256}

    def plan(self, item: StageInput, language: Language) -> Question | tuple[Field, ...]:
        """See `AskingStage`."""
        why = item.why_missing("peak")
        if why is not None:
            return self.missing(language, why)
        facts = facts_of(item, include_speech=self.include_speech)
        if self.phrases is None:
            return self.question(item, language, facts, picture_png=item.artifacts.get(PEAK_FRAME))
        variant = self.variant(item)
        # Those of the file first in rank; the package's for what it leaves out.
        found = expression_phrases(facts.peak_units, variant=variant, language=language, own=self.phrases.get(language))
        value = list(found or [pick(wording(language).at_rest, variant)])
        source = Provenance("own phrases", f"{self.phrases_name} sha256:{self.phrases_sha256}", made_at=now())
        return (Field(self.name, to_json(value), source, language),)

    def fields_of(self, item: StageInput, answer: Answer, language: Language) -> tuple[Field, ...]:
        """See `AskingStage`."""
        phrases = to_json(answer_texts(answer, "phrases", least=1))
        return (Field(self.name, phrases, self.provenance_of(answer), language),)


class VisualObjectiveStage(_DescriptionStage):
    """Field visual_objective: what the peak frame shows."""

    name = "visual_objective"
    task = "visual"
    needs = ("evidence", "peak")
    reads_artifacts = (EVIDENCE, PEAK_FRAME, FACE_CROP)

    def plan(self, item: StageInput, language: Language) -> Question | tuple[Field, ...]:
        """See `AskingStage`."""
        why = item.why_missing("scene")
        if why is not None:
            return self.missing(language, why)
        facts = facts_of(item, include_speech=self.include_speech)
        picture, face = item.artifacts.get(PEAK_FRAME), item.artifacts.get(FACE_CROP)
        return self.question(item, language, facts, picture_png=picture, face_png=face)


class AudioToneStage(_DescriptionStage):
    """Field audio_tone: how the voice sounds."""

    name = "audio_tone"
    task = "audio"
    needs = ("evidence", "select")  # select: clips that it leaves out are not worth a question
    reads_artifacts = (EVIDENCE, SOUND)

    def plan(self, item: StageInput, language: Language) -> Question | tuple[Field, ...]:
        """See `AskingStage`."""
        sound = item.artifacts.get(SOUND)
        if sound is None:
            return self.missing(language, "the file has no sound")
        return self.question(item, language, Facts(evidence=measured_of(item).evidence), sound_wav=sound)


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
