"""Stages coarse_caption and fine_caption: the published template filled in, and the description with its reasons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from emotion_llama.chat.questions import Answer, Language, Question
from emotion_llama.labels import LABEL_SPACES
from emotion_llama.merr.coarse import COARSE_VERSION, coarse_caption
from emotion_llama.merr.fields import Clues, PseudoLabel, from_json, to_json
from emotion_llama.merr.records import Field, Json, Provenance, StageInput, StageOutput
from emotion_llama.merr.stage import Pool
from emotion_llama.merr.stages.asked import AsItsRespondent, Respondent, Wanted, ask, provenance_of, text_of, texts_of
from emotion_llama.merr.stages.common import EVIDENCE, Results, chance, each, now
from emotion_llama.merr.stages.descriptions import facts_of
from emotion_llama.merr.stages.evidence import SOUND
from emotion_llama.merr.stages.peak import FACE_CROP, PEAK_FRAME

CLUES = ("visual_expression", "visual_objective", "audio_tone", "subtitle")
NOTHING_TO_SAY = "no modality gave a description"
NOTHING_TO_REASON_FROM = "no modality gave a clue to reason from"


@dataclass(frozen=True)
class CoarseCaptionStage:
    """Field coarse_caption, a language each; clauses of what is missing are left out."""

    languages: tuple[Language, ...]

    name = "coarse_caption"
    version = COARSE_VERSION
    needs: ClassVar[tuple[str, ...]] = ("subtitle", "visual_expression", "visual_objective", "audio_tone")
    reads_artifacts: ClassVar[tuple[str, ...]] = ()
    reads_clip: ClassVar[tuple[str, ...]] = ()
    pool: ClassVar[Pool] = "inline"
    batch_size = 1

    @property
    def settings(self) -> Mapping[str, object]:
        """Languages."""
        return {"languages": list(self.languages)}

    def run(self, items: Sequence[StageInput]) -> Results:
        """See `ClipStage`."""
        return each(items, self._one)

    def _one(self, item: StageInput) -> StageOutput:
        provenance = Provenance("rules", f"coarse template {COARSE_VERSION}", made_at=now())
        fields = []
        for language in self.languages:
            caption = coarse_caption(clues_of(item, language), language)
            why = None if caption else NOTHING_TO_SAY
            fields.append(Field(self.name, caption or None, provenance, language, why))
        return StageOutput(tuple(fields))


@dataclass(frozen=True)
class FineCaptionStage(AsItsRespondent):
    """Fields fine_caption and clues (`Clues`), a language each."""

    respondent: Respondent
    languages: tuple[Language, ...]
    label_space: str
    label_shown: bool
    seed: str
    include_speech: bool = False

    name = "fine_caption"
    version = 2
    needs: ClassVar[tuple[str, ...]] = (
        "evidence",
        "subtitle",
        "pseudo_label",
        "peak",
        "visual_expression",
        "visual_objective",
        "audio_tone",
    )
    reads_clip: ClassVar[tuple[str, ...]] = ()

    @property
    def reads_artifacts(self) -> tuple[str, ...]:
        """The measurements; for an annotator that looks and listens itself, picture, face and sound as well."""
        return (EVIDENCE, PEAK_FRAME, FACE_CROP, SOUND) if self.respondent.looks else (EVIDENCE,)

    @property
    def settings(self) -> Mapping[str, object]:
        """Annotator, languages, labels, whether the label is shown."""
        return {
            "annotator": self.respondent.settings,
            "languages": list(self.languages),
            "label_space": self.label_space,
            "label_shown": self.label_shown,
            "seed": self.seed,
            "include_speech": self.include_speech,
        }

    def run(self, items: Sequence[StageInput]) -> Results:
        """See `ClipStage`."""
        return ask(self.respondent, items, self.languages, plan=self._plan, told=self._told, cannot=_neither)

    def _plan(self, item: StageInput, language: Language) -> Wanted:
        clues = clues_of(item, language)
        if not clues:
            provenance = Provenance("measured", "none", made_at=now())
            return Wanted(language, None, _neither(language, provenance, NOTHING_TO_REASON_FROM))
        label = from_json(PseudoLabel, item.value("label")).label if self.label_shown else None
        facts = replace(
            facts_of(item, include_speech=self.include_speech),
            label=label,
            clues=clues,
            why_missing={
                name: item.why_missing(*_key(name, language)) or "not made" for name in CLUES if name not in clues
            },
        )
        labels = LABEL_SPACES[self.label_space].labels
        variant = chance(self.seed, "wording", item.clip.clip_id) & 0xFFFF
        picture, face, sound = (item.artifacts.get(name) for name in (PEAK_FRAME, FACE_CROP, SOUND))
        return Wanted(language, Question("reason", language, facts, picture, sound, labels, variant, face))

    def _told(self, item: StageInput, wanted: Wanted, answer: Answer) -> tuple[Field, ...]:
        provenance = provenance_of(self.respondent, answer, label_shown=self.label_shown)
        label = answer.values.get("label")
        clues = Clues(
            tuple(texts_of(answer, "supporting")),
            tuple(texts_of(answer, "misleading")),
            label if isinstance(label, str) else None,
        )
        return (
            Field("fine_caption", text_of(answer, "text"), provenance, wanted.language),
            Field("clues", to_json(clues), provenance, wanted.language),
        )


def clues_of(item: StageInput, language: Language) -> dict[str, str]:
    """Modality -> description in a language, of those that are there; the subtitle in whatever language it is."""
    found = {}
    for name in CLUES:
        text = _text(item.value(*_key(name, language)), language)
        if text:
            found[name] = text
    return found


def _key(name: str, language: Language) -> tuple[str, str]:
    return (name, "") if name == "subtitle" else (name, language)


def _text(value: Json, language: Language) -> str:
    if isinstance(value, dict):  # a subtitle with its source
        value = value["text"]
    if isinstance(value, list):  # phrases
        return ("，" if language == "zh" else ", ").join(str(phrase) for phrase in value)
    return "" if value is None else str(value)


def _neither(language: Language, provenance: Provenance, why: str) -> tuple[Field, ...]:
    return tuple(Field(name, None, provenance, language, why) for name in ("fine_caption", "clues"))
