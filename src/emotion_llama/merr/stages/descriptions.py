"""Stages visual_expression, visual_objective, audio_tone: one modality each, and the label is never shown to any.

The face may be described in phrases of your own: a YAML or CSV file, checked, with its hash.
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from emotion_llama.chat.questions import LANGUAGES, Facts, Language, Question, Task
from emotion_llama.chat.records import Answer
from emotion_llama.config import read_yaml
from emotion_llama.errors import InputError
from emotion_llama.face.peak import SPEECH_UNITS
from emotion_llama.media.scene_facts import scene_from_json
from emotion_llama.merr.measured import Measured
from emotion_llama.merr.records import Field, Provenance, StageInput, now
from emotion_llama.merr.stage import Results, Stage
from emotion_llama.merr.stages.asked import Respondent, Wanted, ask, provenance_of, text_of, texts_of
from emotion_llama.merr.stages.common import EVIDENCE, chance, measured_of
from emotion_llama.merr.stages.evidence import SOUND
from emotion_llama.merr.stages.peak import FACE_CROP, PEAK_FRAME
from emotion_llama.rules.phrases import Phrases, expression_phrases, own_phrases
from emotion_llama.rules.wording import pick, wording

if TYPE_CHECKING:
    from emotion_llama.merr.recipe import Recipe

_COLUMNS = ("language", "units", "phrase")
NO_SOUND = "the file has no sound"
NO_PICTURE = "the file has no video"


class _Described(Stage):
    """What the three have in common; `name` is the field's too."""

    task: Task
    reads_clip = ()

    def __init__(self, recipe: Recipe, respondent: Respondent) -> None:
        self.respondent = respondent.must_answer(self.task)
        self.pool, self.batch_size = respondent.pool, respondent.annotator.batch_size
        self.languages, self.seed, self.include_speech = recipe.languages, recipe.seed, recipe.peak.include_speech
        self.settings = {
            "annotator": respondent.settings,
            "languages": list(self.languages),
            "seed": self.seed,
            "include_speech": self.include_speech,
        }

    def run(self, items: Sequence[StageInput]) -> Results:
        """See `Stage`."""
        return ask(
            self.respondent,
            items,
            self.languages,
            plan=self._plan,
            told=self._told,
            cannot=lambda language, provenance, why: (Field(self.name, None, provenance, language, why),),
        )

    def _plan(self, item: StageInput, language: Language) -> Wanted:
        raise NotImplementedError

    def _told(self, item: StageInput, wanted: Wanted, answer: Answer) -> tuple[Field, ...]:
        text = text_of(answer, "text")
        return (Field(self.name, text, provenance_of(self.respondent, answer), wanted.language),)

    def _question(self, item: StageInput, language: Language, facts: Facts, **media: bytes | None) -> Wanted:
        variant = chance(self.seed, "wording", item.clip.clip_id) & 0xFFFF
        return Wanted(language, Question(self.task, language, facts, variant=variant, **media))  # type: ignore[arg-type]

    def _missing(self, language: Language, why: str) -> Wanted:
        return Wanted(
            language, None, (Field(self.name, None, Provenance("measured", "none", made_at=now()), language, why),)
        )


class VisualExpressionStage(_Described):
    """Field visual_expression, a list of phrases for the face at its peak.

    Where the recipe names phrases of your own, they are taken and no annotator is asked.
    """

    name = "visual_expression"
    task = "expression"
    needs = ("evidence", "peak")
    reads_artifacts = (EVIDENCE, PEAK_FRAME)

    def __init__(self, recipe: Recipe, respondent: Respondent) -> None:
        super().__init__(recipe, respondent)
        path = recipe.visual_expression.phrases
        self.phrases = None if path is None else load_own_phrases(path, recipe.languages)
        self.settings = {**self.settings, "phrases": None if self.phrases is None else self.phrases.sha256}

    def _plan(self, item: StageInput, language: Language) -> Wanted:
        why = item.why_missing("peak")
        if why is not None:
            return self._missing(language, why)
        facts = facts_of(item, include_speech=self.include_speech)
        if self.phrases is None:
            return self._question(item, language, facts, picture_png=item.artifacts.get(PEAK_FRAME))
        variant = chance(self.seed, "wording", item.clip.clip_id) & 0xFFFF
        found = self.phrases.describe(facts.peak_units, language, variant)
        provenance = Provenance("own phrases", f"{self.phrases.name} sha256:{self.phrases.sha256}", made_at=now())
        why = None if found else "no unit is present that a phrase is for"
        return Wanted(language, None, (Field(self.name, list(found) or None, provenance, language, why),))

    def _told(self, item: StageInput, wanted: Wanted, answer: Answer) -> tuple[Field, ...]:
        phrases = texts_of(answer, "phrases", least=1)
        return (Field(self.name, list(phrases), provenance_of(self.respondent, answer), wanted.language),)


class VisualObjectiveStage(_Described):
    """Field visual_objective: what the peak frame shows."""

    name = "visual_objective"
    task = "visual"
    needs = ("evidence", "peak")
    reads_artifacts = (EVIDENCE, PEAK_FRAME, FACE_CROP)

    def _plan(self, item: StageInput, language: Language) -> Wanted:
        why = item.why_missing("scene")
        if why is not None:
            return self._missing(language, why)
        facts = facts_of(item, include_speech=self.include_speech)
        picture, face = item.artifacts.get(PEAK_FRAME), item.artifacts.get(FACE_CROP)
        return self._question(item, language, facts, picture_png=picture, face_png=face)


class AudioToneStage(_Described):
    """Field audio_tone: how the voice sounds."""

    name = "audio_tone"
    task = "audio"
    needs = ("evidence", "select")  # select: clips that it leaves out are not worth a question
    reads_artifacts = (EVIDENCE, SOUND)

    def _plan(self, item: StageInput, language: Language) -> Wanted:
        sound = item.artifacts.get(SOUND)
        if sound is None:
            return self._missing(language, NO_SOUND)
        return self._question(item, language, Facts(evidence=measured_of(item).evidence), sound_wav=sound)


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


class OwnPhrases:
    """The file's name and hash, and its phrases by language."""

    def __init__(self, name: str, sha256: str, by_language: Mapping[str, Phrases]) -> None:
        self.name = name
        self.sha256 = sha256
        self.by_language = by_language

    def describe(self, units: Mapping[str, float], language: str, variant: int) -> list[str]:
        """Phrases for the present units, those of the file first in rank; the package's for what it leaves out."""
        found = expression_phrases(units, variant=variant, language=language, own=self.by_language.get(language))
        return found or [pick(wording(language).at_rest, variant)]


def load_own_phrases(path: Path, languages: Sequence[str]) -> OwnPhrases:
    """Read a table of phrases.

    YAML: language -> unit or units ("AU12", "AU06+AU12") -> list of phrases. CSV: columns language, units, phrase, one
    phrase a row.

    Args:
        path: .yaml, .yml or .csv.
        languages: of the build; the table need not have all of them.

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
        checked = {language: own_phrases(table, language) for language, table in rows.items()}
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    return OwnPhrases(path.name, hashlib.sha256(path.read_bytes()).hexdigest(), checked)


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
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = ([cell.strip() for cell in line] for line in csv.reader(file, strict=True))
            lines = [row for row in rows if any(row)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: the file cannot be read ({error}); expected a CSV in UTF-8") from None
    if not lines or sorted(lines[0]) != sorted(_COLUMNS):
        raise InputError(f"{path}: expected the columns {', '.join(_COLUMNS)}")
    out: dict[str, dict[str, list[str]]] = {}
    for number, line in enumerate(lines[1:], 2):
        if len(line) != len(_COLUMNS):
            raise InputError(f"{path}, row {number}: {len(line)} cells came, {len(_COLUMNS)} were expected")
        row = dict(zip(lines[0], line))
        out.setdefault(row["language"], {}).setdefault(row["units"], []).append(row["phrase"])
    return out
