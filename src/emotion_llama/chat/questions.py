"""What an annotator is: something that answers one question about a clip, a picture, a sound or a text.

An answer is checked against the question's schema before anybody sees it. What is no answer (an error page, a refusal,
an empty or malformed reply) is an `AnnotationError`, never a text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

from emotion_llama.errors import AnnotationError
from emotion_llama.records import Evidence

if TYPE_CHECKING:
    from emotion_llama.media.scene_facts import SceneFacts

Task = Literal["expression", "visual", "audio", "reason", "check"]
Language = Literal["en", "zh"]
LANGUAGES: tuple[Language, ...] = ("en", "zh")
Where = Literal["inline", "thread", "main"]


@dataclass(frozen=True, repr=False)
class Facts:
    """What is known of the clip when the question is asked: measurements, and what earlier stages said.

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
        face_png: the main face in the peak frame, aligned as `face.align` does, where there is one; only an annotator
            that `looks_when_reasoning` is given picture, face and sound with the task "reason".
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


@dataclass(frozen=True)
class Answer:
    """A checked answer.

    Attributes:
        values: as the task's schema has them (see `Question.task`).
        model: id of what answered.
        prompt_sha256: of the prompt's text before it was filled in; None where there was none.
        tokens_in, tokens_out: spent on all attempts, as the server counted; None where nothing counts.
        seconds: from asking to the answer, waiting included.
        attempts: 1 when the first reply was good.
        label_shown: whether the label that the question brings was told to what answered; None: where there is one.
    """

    values: Mapping[str, object]
    model: str
    prompt_sha256: str | None = None
    tokens_in: int | None = None
    tokens_out: int | None = None
    seconds: float = 0.0
    attempts: int = 1
    label_shown: bool | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", MappingProxyType(dict(self.values)))


@runtime_checkable
class Annotator(Protocol):
    """Answers questions. `where` says how an engine may call it: inline, from many threads, or from one thread."""

    @property
    def name(self) -> str:
        """What provenance records: "rules", "openai", "transformers", "emotion-llama", "stub"."""

    @property
    def settings(self) -> Mapping[str, object]:
        """Everything that answers depend on, as JSON values: model, prompts' hashes, temperature, ...; no secrets."""

    @property
    def where(self) -> Where:
        """How it may be called."""

    @property
    def batch_size(self) -> int:
        """Questions it likes to be asked at once."""

    def tasks(self) -> frozenset[Task]:
        """What it can be asked."""

    def answer(self, questions: Sequence[Question]) -> list[Answer | AnnotationError]:
        """One answer, or the reason why there is none, for each question in its order."""
