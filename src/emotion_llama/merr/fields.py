"""The fields of a MERR sample: their names, which stage makes them, and the shapes of those that are no plain text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from types import MappingProxyType
from typing import Any, Literal, TypeVar

from emotion_llama.errors import InputError
from emotion_llama.merr.records import Json

T = TypeVar("T")


@dataclass(frozen=True)
class FieldKind:
    """What a field is: the stage that makes it, whether there is one a language, and what it says."""

    stage: str
    by_language: bool
    says: str


FIELDS: Mapping[str, FieldKind] = MappingProxyType(
    {
        "people": FieldKind("evidence", False, "how many people are in view, and share of frames with the main face"),
        "prosody": FieldKind("evidence", False, "how the voice sounds, as figures with units (records.Prosody)"),
        "tone": FieldKind("evidence", False, "tone words and the figure behind each (records.Tone)"),
        "subtitle": FieldKind("subtitle", False, "what is said, and where the words come from"),
        "label": FieldKind("pseudo_label", False, "the emotion, how strong, how sure, by which rule (PseudoLabel)"),
        "peak": FieldKind("peak", False, "the frame of strongest expression (Peak)"),
        "scene": FieldKind("peak", False, "what the peak frame shows, measured: light, framing, gaze, motion"),
        "visual_expression": FieldKind("visual_expression", True, "phrases for the face at its peak (list of texts)"),
        "visual_objective": FieldKind("visual_objective", True, "what the peak frame shows, in words"),
        "audio_tone": FieldKind("audio_tone", True, "how the voice sounds, in words"),
        "coarse_caption": FieldKind("coarse_caption", True, "the published coarse template, filled in"),
        "clues": FieldKind("fine_caption", True, "clues that speak for the label and clues that do not (Clues)"),
        "fine_caption": FieldKind("fine_caption", True, "the multimodal description with its reasons"),
        "conflicts": FieldKind("consistency", False, "modalities that speak for different labels (list of Conflict)"),
        "consistency": FieldKind("consistency", True, "does the description hold (Consistency)"),
        "split": FieldKind("splits", False, "train, validation or test"),
        "published": FieldKind("import", False, "what an imported MERR file says that has no field of its own"),
        "features": FieldKind("features", False, "where a clip's feature files lie, with their shapes"),
    }
)


@dataclass(frozen=True)
class PseudoLabel:
    """The clip's emotion.

    Attributes:
        label: word of the recipe's label space.
        source: the clip came with it, or the action-unit rules gave it.
        strength: in words (MER-Factory's levels); None for a given label without measured units, and for neutral.
        score: mean intensity 0..5 of the label's units where they are strongest; None likewise.
        confidence: 0..1; how the rule came to it is documented with the rule. None for a given label.
        units: the label's units that were present, at that moment.
        candidates: score of every label that passed the rule.
        table: which table of label units.
        by_rules: of a given label: what the rules would have said in its place; None where they say nothing.
    """

    label: str
    source: Literal["given", "rules"]
    strength: Literal["slight", "moderate", "strong"] | None
    score: float | None
    confidence: float | None
    units: Mapping[str, float] = field(default_factory=dict)
    candidates: Mapping[str, float] = field(default_factory=dict)
    table: str = ""
    by_rules: str | None = None


@dataclass(frozen=True)
class Peak:
    """The frame of strongest expression.

    `frame_index` counts pictures of the stream from 0; `face_hash` is a fingerprint of the aligned face's look
    (`balance.picture_hash`), by which near duplicates are found; None where no face was cropped.
    """

    frame_index: int
    pts_seconds: float
    score: float
    rule: Literal["all", "label"]
    units: Mapping[str, float]  # those present, strongest first
    why: str
    face_hash: str | None = None


@dataclass(frozen=True)
class Clues:
    """Clues sorted: those that speak for the label, and those that do not (with what they are taken for).

    `label` is what the annotator came to with them; None where it named none.
    """

    supporting: tuple[str, ...]
    misleading: tuple[str, ...] = ()
    label: str | None = None


@dataclass(frozen=True)
class Conflict:
    """Two modalities that speak for different emotions, as measured."""

    first: str  # "face", "voice", "words", or "label" for a given label that the measured ones contradict
    first_label: str
    second: str
    second_label: str
    text: str


@dataclass(frozen=True)
class Consistency:
    """Whether a fine description holds.

    Attributes:
        names_label: the description comes to the clip's label.
        label_at_end: the label is not named before the last sentence.
        grounded_share: share of the cues it names that were given; None when it names none.
        ungrounded: cues it names that were not given.
        problems: what is wrong with it; empty when it holds.
        judge: who judged beyond the rules; None for rules alone.
    """

    names_label: bool
    label_at_end: bool
    grounded_share: float | None
    ungrounded: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    judge: str | None = None


def to_json(record: Any) -> Json:
    """A field's dataclass as a JSON value."""
    return _plain(record)


def from_json(kind: type[T], value: Json) -> T:
    """The dataclass of a stored value.

    Raises:
        InputError: the value is not of that shape.
    """
    if not isinstance(value, dict):
        raise InputError(f"expected {kind.__name__} as a JSON object, got {value!r}")
    try:
        return kind(**{k: tuple(v) if isinstance(v, list) else v for k, v in value.items()})
    except TypeError as error:
        raise InputError(f"expected the fields of {kind.__name__}: {error}") from error


def _plain(value: Any) -> Json:
    if is_dataclass(value):
        return {f.name: _plain(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise InputError(f"{value!r} is no JSON value")
