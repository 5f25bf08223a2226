"""The questions of a MERR build: what is asked about a clip, a picture, a sound or a text, and what is known of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from emotion_llama.results import Evidence

if TYPE_CHECKING:
    from emotion_llama.media.scene_facts import SceneFacts

Task = Literal["expression", "visual", "audio", "reason", "check"]
Language = Literal["en", "zh"]
LANGUAGES: tuple[Language, ...] = ("en", "zh")
TASKS: tuple[Task, ...] = ("expression", "visual", "audio", "reason", "check")


@dataclass(frozen=True, repr=False)
class Facts:
    """What is known of the clip when the question is asked: measurements, and what earlier stages wrote.

    Attributes:
        evidence: measured of the main person.
        peak_units: intensities 0..5 at the peak frame; empty when no face was read.
        scene: what the peak frame shows, measured; None when the clip has no picture.
        label: the clip's label, only where the question shows it.
        clues: modality -> description, of those that are there: "visual_expression", "visual_objective",
            "audio_tone", "subtitle".
        why_missing: the same names -> why there is no description.
        text: a description to be checked (task "check").
    """

    evidence: Evidence = field(default_factory=Evidence)
    peak_units: Mapping[str, float] = field(default_factory=dict)
    scene: SceneFacts | None = None
    label: str | None = None
    clues: Mapping[str, str] = field(default_factory=dict)
    why_missing: Mapping[str, str] = field(default_factory=dict)
    text: str | None = None

    def __repr__(self) -> str:
        return f"Facts({self.evidence!r}, label={self.label!r}, clues={sorted(self.clues)})"


@dataclass(frozen=True, repr=False)
class Question:
    """One question.

    Attributes:
        task: "expression", "visual" and "audio" answer {"text"} ("expression": {"phrases"}); "reason" answers
            {"text", "supporting", "misleading", "label"}; "check" answers {"holds", "problems"}.
        language: of the answer.
        facts: what is known.
        picture_png: the peak frame, where the task looks at one.
        sound_wav: 16 kHz mono PCM, where the task listens.
        labels: the label space's words.
        variant: chooses among wordings; the same question with the same variant is answered the same by rules.
        face_png: the main face in the peak frame, aligned as `face.align` does, where there is one. With the task
            "reason" picture, face and sound are given to our own model only.
    """

    task: Task
    language: Language
    facts: Facts
    picture_png: bytes | None = None
    sound_wav: bytes | None = None
    labels: tuple[str, ...] = ()
    variant: int = 0
    face_png: bytes | None = None

    def __repr__(self) -> str:
        return f"Question({self.task}, {self.language}, {self.facts!r})"
