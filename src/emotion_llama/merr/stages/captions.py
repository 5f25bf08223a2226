"""Stages coarse_caption and fine_caption: the published template filled in, and the description with its reasons.

The coarse caption is MERR's template without the clauses of what is missing. The template (`example.jpg` in
Emotion-LLaMA's repository): "This person in the video is {visual objective}. The person's expression and actions
include {visual expression}, and the person's tone is {audio tone}. Saying: {subtitle}". The Chinese one says the same
and is this project's own; both stand in `rules.wording`. A description that does not begin with its subject ("The
person is ...") cannot continue the template's first words: whole sentences ("No face can be seen in the picture.", or
as a model may write) stand as they are, a fragment ("A man in a car") behind a heading.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from emotion_llama.chat.questions import Language, Question
from emotion_llama.chat.records import Answer
from emotion_llama.merr.annotators import Annotator
from emotion_llama.merr.records import Field, Json, Provenance, label_of, now
from emotion_llama.merr.stage import ClipStage, StageInput, StageOutput
from emotion_llama.merr.stages.descriptions import AskingStage, answer_texts, facts_of
from emotion_llama.merr.stages.evidence import EVIDENCE, SOUND
from emotion_llama.merr.stages.peak import FACE_CROP, PEAK_FRAME
from emotion_llama.rules.wording import Wording, wording

if TYPE_CHECKING:
    from emotion_llama.merr.recipe import Recipe

COARSE_VERSION = 2
CLUES = ("visual_expression", "visual_objective", "audio_tone", "subtitle")


class CoarseCaptionStage(ClipStage):
    """Field coarse_caption, a language each; clauses of what is missing are left out."""

    name = "coarse_caption"
    version = COARSE_VERSION
    needs = ("subtitle", "visual_expression", "visual_objective", "audio_tone")
    reads_clip = ()

    def __init__(self, recipe: Recipe) -> None:
        self.languages = recipe.languages
        self.settings = {"languages": list(self.languages)}

    def one(self, item: StageInput) -> StageOutput:
        """See `ClipStage`."""
        provenance = Provenance("rules", f"coarse template {COARSE_VERSION}", made_at=now())
        fields = []
        for language in self.languages:
            caption = coarse_caption(clues_of(item, language), language)
            why = None if caption else "no modality gave a description"
            fields.append(Field(self.name, caption or None, provenance, language, why))
        return StageOutput(tuple(fields))


class FineCaptionStage(AskingStage):
    """Fields fine_caption and clues, a language each."""

    name = "fine_caption"
    version = 2
    task = "reason"
    needs = (
        "evidence", "subtitle", "pseudo_label", "peak", "visual_expression", "visual_objective", "audio_tone",
    )  # fmt: skip
    field_names = ("fine_caption", "clues")

    def __init__(self, recipe: Recipe, annotator: Annotator) -> None:
        super().__init__(recipe, annotator)
        # An annotator that takes pictures and sound when it reasons is given them beside the measurements.
        self.reads_artifacts = (EVIDENCE, PEAK_FRAME, FACE_CROP, SOUND) if annotator.takes_media else (EVIDENCE,)
        self.space, self.label_shown = recipe.space, recipe.fine_caption.label_shown
        self.settings = {**self.settings, "label_space": recipe.label_space, "label_shown": self.label_shown}

    def plan(self, item: StageInput, language: Language) -> Question | tuple[Field, ...]:
        """See `AskingStage`."""
        clues = clues_of(item, language)
        if not clues:
            return self.missing(language, "no modality gave a clue to reason from")
        label = label_of(item) if self.label_shown else None
        why = {name: item.why_missing(*_key(name, language)) or "not made" for name in CLUES if name not in clues}
        facts = facts_of(item, include_speech=self.include_speech)
        facts = replace(facts, label=label, clues=clues, why_missing=why)
        picture, face, sound = (item.artifacts.get(name) for name in (PEAK_FRAME, FACE_CROP, SOUND))
        return Question("reason", language, facts, picture, sound, self.space.labels, self.variant(item), face)

    def fields_of(self, item: StageInput, answer: Answer, language: Language) -> tuple[Field, ...]:
        """See `AskingStage`."""
        provenance = self.provenance_of(answer, label_shown=self.label_shown)
        label = answer.values.get("label")
        clues: dict[str, Json] = {
            "supporting": answer_texts(answer, "supporting"),
            "misleading": answer_texts(answer, "misleading"),
            "label": label if isinstance(label, str) else None,
        }
        return (
            Field("fine_caption", str(answer.values["text"]), provenance, language),
            Field("clues", clues, provenance, language),
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


def coarse_caption(clues: Mapping[str, str], language: str) -> str:
    """The caption; empty when there is no clue at all."""
    words = wording(language)
    parts = words.coarse
    expression, tone = (_bare(clues.get(name, ""), words) for name in ("visual_expression", "audio_tone"))
    subject = re.match(words.coarse["tone.subject"], tone)
    tone = tone[subject.end() :] if subject and subject.end() < len(tone) else tone
    sentences = [_visual(clues.get("visual_objective", "").strip(), words)]
    if expression and tone:
        sentences.append(parts["both"].format(expression=expression, tone=tone))
    elif expression or tone:
        sentences.append(parts["expression" if expression else "tone"].format(expression=expression, tone=tone))
    saying = clues.get("subtitle", "").strip()
    sentences += [parts["subtitle"].format(subtitle=saying)] if saying else []
    return words.between_sentences.join(sentence for sentence in sentences if sentence)


def _visual(text: str, words: Wording) -> str:
    if not text:
        return ""
    subject = re.match(words.coarse["subject"], text)
    is_whole = text[-1] in words.sentence_ends
    if subject and subject.end() < len(text):
        sentence = words.coarse["visual"].format(text=text[subject.end() :])
    else:
        sentence = text if is_whole else words.coarse["visual.free"].format(text=text)
    return sentence if is_whole else sentence + words.sentence_ends[0]


def _bare(text: str, words: Wording) -> str:
    """Without a full stop at its end, and without the capital of a sentence's first word."""
    bare = text.strip().rstrip(words.sentence_ends + " ")
    first, _, _ = bare.partition(" ")
    return bare[:1].lower() + bare[1:] if first.istitle() and first not in ("I", "The", "This") else bare
