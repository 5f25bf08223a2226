"""What the face, the voice and the words of a sample speak for, each alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from functools import lru_cache
from typing import TYPE_CHECKING, Literal, NamedTuple

from emotion_llama.merr.records import Json, Sample
from emotion_llama.merr.values import peak_units, source_of, subtitle_language, subtitle_text
from emotion_llama.records import Evidence, PeakFrame, Prosody, Tone, Transcript, TranscriptLine

if TYPE_CHECKING:
    from emotion_llama.rules.rules import RulesReader

Modality = Literal["face", "voice", "words"]
MODALITIES: tuple[Modality, ...] = ("face", "voice", "words")
FROM_FACE = "the label was read from the face by rules: asking the face again would be circular"


class Reading(NamedTuple):
    """The label that a modality speaks for; None with a reason, or without one where it speaks for none."""

    label: str | None
    why_not: str | None = None


def read_modality(sample: Sample, modality: Modality) -> Reading:
    """What one modality of a sample speaks for, by the cues of the reader named "rules".

    The label is the one that the modality's cues move most, at least by that reader's floor for evidence. The face is
    not asked where rules took the label from it.
    """
    if modality == "face" and source_of(sample.value("label")) == "rules":
        return Reading(None, FROM_FACE)
    evidence, why_not = _evidence(sample, modality)
    return Reading(None, why_not) if evidence is None else Reading(_strongest(evidence))


def _strongest(evidence: Evidence) -> str | None:
    from emotion_llama.rules.rule_tables import EVIDENCE_FLOOR

    moved: dict[str, float] = {}
    for cue in _reader().read(evidence).cues:
        for label, weight in cue.weights.items():
            moved[label] = moved.get(label, 0.0) + weight
    if not moved:
        return None
    label = max(moved, key=lambda name: moved[name])
    return label if moved[label] >= EVIDENCE_FLOOR else None


@lru_cache(maxsize=1)
def _reader() -> RulesReader:
    from emotion_llama.rules.rules import RulesReader

    return RulesReader()


def _evidence(sample: Sample, modality: Modality) -> tuple[Evidence | None, str | None]:
    if modality == "face":
        units = peak_units(sample)
        if units is None:
            return None, _why(sample, "peak")
        return Evidence(peak_frame=PeakFrame(0, 0.0, sum(units.values()), "all", None, units, "")), None
    if modality == "voice":
        prosody, tone = as_prosody(sample.value("prosody")), sample.value("tone")
        if prosody is None and not isinstance(tone, dict):
            return None, _why(sample, "prosody")
        words = tone.get("words") if isinstance(tone, dict) else None
        phrase = str(tone.get("phrase", "")) if isinstance(tone, dict) else ""
        told = Tone(phrase, {str(k): str(v) for k, v in words.items()} if isinstance(words, dict) else {})
        return Evidence(prosody=prosody, tone=told), None
    text = subtitle_text(sample.value("subtitle"))
    if text is None:
        return None, _why(sample, "subtitle")
    language = subtitle_language(sample.value("subtitle"))
    if language not in (None, "en"):
        return None, f"the words are {language}; the lexicon is English"
    return Evidence(transcript=Transcript((TranscriptLine(text),), "given", language)), None


def as_prosody(value: Json) -> Prosody | None:
    """The stored figures as `Prosody`; None where they are missing or of another shape."""
    names = {f.name for f in fields(Prosody)}
    if not isinstance(value, Mapping) or not names <= set(value):
        return None
    return Prosody(**{name: value[name] for name in names})  # type: ignore[arg-type]


def _why(sample: Sample, name: str) -> str:
    found = sample.fields.get((name, ""))
    return (found.why_missing if found is not None else None) or f"{name} was not made"
