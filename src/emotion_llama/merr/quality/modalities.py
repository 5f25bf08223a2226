"""What the face, the voice and the words of a sample speak for, each alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Literal

from emotion_llama.merr.records import Json, Sample
from emotion_llama.merr.values import part, peak_units, text_of, text_part
from emotion_llama.records import PeakFrame, Prosody, Tone, Transcript, TranscriptLine
from emotion_llama.results import Evidence

Modality = Literal["face", "voice", "words"]
MODALITIES: tuple[Modality, ...] = ("face", "voice", "words")
FROM_FACE = "the label was read from the face by rules: asking the face again would be circular"


def modality_label(sample: Sample, modality: Modality) -> tuple[str | None, str | None]:
    """The label that one modality speaks for, by the rules alone, or why it cannot be asked.

    The label is the one that the modality's cues move most, at least by the rules' floor for evidence. The face is not
    asked where rules took the label from it.

    Returns:
        (label, None); (None, None) where it speaks for none; (None, reason) where nothing was measured, or asking
        would be circular.
    """
    if modality == "face" and part(sample.value("label"), "source") == "rules":
        return None, FROM_FACE
    evidence = _evidence(sample, modality)
    return (None, evidence) if isinstance(evidence, str) else (_strongest(evidence), None)


def as_prosody(value: Json) -> Prosody | None:
    """The stored figures as `Prosody`; None where they are missing or of another shape."""
    names = {f.name for f in fields(Prosody)}
    if not isinstance(value, Mapping) or not names <= set(value):
        return None
    return Prosody(**{name: value[name] for name in names})  # type: ignore[arg-type]


def _strongest(evidence: Evidence) -> str | None:
    from emotion_llama.rules.rule_tables import EVIDENCE_FLOOR
    from emotion_llama.rules.scoring import predict_by_rules

    moved: dict[str, float] = {}
    for cue in predict_by_rules(evidence).cues:
        for label, weight in cue.weights.items():
            moved[label] = moved.get(label, 0.0) + weight
    strongest = max(moved, key=lambda name: moved[name], default=None)
    return strongest if strongest is not None and moved[strongest] >= EVIDENCE_FLOOR else None


def _evidence(sample: Sample, modality: Modality) -> Evidence | str:
    """What was measured of one modality; why there is nothing."""
    if modality == "face":
        units = peak_units(sample)
        if units is None:
            return _why_missing(sample, "peak")
        return Evidence(peak_frame=PeakFrame(0, 0.0, sum(units.values()), "all", None, units, ""))
    if modality == "voice":
        prosody, tone = as_prosody(sample.value("prosody")), sample.value("tone")
        if isinstance(tone, dict):
            words = tone.get("words")
            found = {str(k): str(v) for k, v in words.items()} if isinstance(words, dict) else {}
            return Evidence(prosody=prosody, tone=Tone(str(tone.get("phrase", "")), found))
        return _why_missing(sample, "prosody") if prosody is None else Evidence(prosody=prosody, tone=Tone("", {}))
    subtitle = sample.value("subtitle")
    said, language = text_of(subtitle), text_part(subtitle, "language")
    if said is None:
        return _why_missing(sample, "subtitle")
    if language not in (None, "en"):
        return f"the words are {language}; the lexicon is English"
    return Evidence(transcript=Transcript((TranscriptLine(said),), "given", language))


def _why_missing(sample: Sample, name: str) -> str:
    found = sample.fields.get((name, ""))
    return (found.why_missing if found is not None else None) or f"{name} was not made"
