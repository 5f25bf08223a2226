"""Records of a build: clips, fields with their provenance, runs, samples.

Fields hold JSON values. A field that could not be made has the value None and says why; it is never filled in.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from datetime import datetime, timezone
from types import MappingProxyType
from typing import Any, Literal, TypeAlias

from emotion_llama.chat.questions import LANGUAGES
from emotion_llama.errors import InputError

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"
Scope = Literal["all", "fine"]  # what a dropped clip is dropped from: the whole data set, or its fine-grained part
NO_LANGUAGE = ""  # of fields that are no description


@dataclass(frozen=True)
class ClipRow:
    """One clip of a build."""

    clip_id: str  # unique within the build; the name that exports use
    path: str | None  # the media file, as found; None for a clip imported without one
    sha256: str | None  # of the media file's bytes
    frame_count: int | None = None  # pictures in the video stream; None without video
    duration_seconds: float | None = None  # length of the media
    fps: float | None = None  # pictures per second on average
    # width, height: of the upright picture
    width: int | None = None
    height: int | None = None
    has_audio: bool | None = None  # the file has a sound stream
    source: str | None = None  # the longer video that the clip was cut from; splits never divide it
    person: str | None = None  # who is shown; splits never divide a person
    given_label: str | None = None  # a label that came with the clip
    given_subtitle: str | None = None  # words that came with the clip
    given_split: str | None = None  # a split that came with the clip
    stated_frame_count: int | None = None  # the frame count that an imported file states for this id
    # where the given words come from: "given" (a manifest, an import) or the name of a file beside the clip; None
    # without any
    subtitle_source: str | None = None
    subtitle_language: str | None = None  # of the given words, where something states it

    def __post_init__(self) -> None:
        if not self.clip_id or any(c.isspace() or c in "/\\" for c in self.clip_id):
            raise InputError(f"a clip's id must be a name without blanks and slashes, got {self.clip_id!r}")


@dataclass(frozen=True)
class Provenance:
    """Where a field's value comes from."""

    annotator: str  # "measured", "given", "imported", or the annotator's name ("rules", "openai", ...)
    model: str  # the model's id, or what measured ("rules 1", "onnx_mesh")
    prompt_sha256: str | None = None  # of the prompt file's text; None where no prompt was used
    label_shown: bool = False  # the annotator saw the clip's label
    # tokens_in, tokens_out: as the model's server counted them; None where nothing counts them
    tokens_in: int | None = None
    tokens_out: int | None = None
    made_at: str = ""  # UTC time, ISO 8601 with seconds; no part of what exports and comparisons see
    seconds: float = 0.0  # time the answer took; likewise


@dataclass(frozen=True)
class Field:
    """One thing said of a clip: a value, or the reason why there is none."""

    name: str
    value: Json
    provenance: Provenance
    language: str = NO_LANGUAGE  # "en" or "zh" for descriptions
    why_missing: str | None = None

    def __post_init__(self) -> None:
        if (self.value is None) != (self.why_missing is not None):
            raise InputError(
                f"a field has a value or a reason, got {self.name} = {self.value!r}, why_missing={self.why_missing!r}"
            )
        if self.value == "":
            raise InputError(f"the field {self.name} is an empty text; give None and say why")


FieldKey = tuple[str, str]  # name, language


@dataclass(frozen=True)
class StageRun:
    """The ledger's row of one stage of one clip; `session` is the build that made it."""

    clip_id: str
    stage: str
    status: Literal["done", "dropped", "failed"]
    fingerprint: str  # of everything the output depends on
    output_sha256: str | None  # of what came out, times left out; None when it failed
    reason: str | None = None  # of a drop or a failure
    scope: Scope | None = None  # of a drop
    seconds: float = 0.0
    finished_at: str = ""
    attempts: int = 1
    current: bool = True  # False: kept, but not of the recipe and inputs in force
    session: int = field(default=0, compare=False)

    @property
    def is_out(self) -> bool:
        """The clip goes no further from here."""
        return self.status == "failed" or (self.status == "dropped" and self.scope == "all")


class Described:
    """A clip with what is said of it."""

    clip: ClipRow
    fields: Mapping[FieldKey, Field]

    def value(self, name: str, language: str = NO_LANGUAGE) -> Json:
        """Value of a field; None when it is missing or was not made."""
        found = self.fields.get((name, language))
        return None if found is None else found.value

    def why_missing(self, name: str, language: str = NO_LANGUAGE) -> str | None:
        """Why a field is missing, if it is."""
        found = self.fields.get((name, language))
        return f"{name} was not made" if found is None else found.why_missing


@dataclass(frozen=True, repr=False)
class Sample(Described):
    """Everything the store knows of one clip, for exports, statistics and people."""

    clip: ClipRow
    fields: Mapping[FieldKey, Field]
    runs: Mapping[str, StageRun]
    artifacts: Mapping[str, str]  # name -> path of the file, relative to the build's folder

    def __post_init__(self) -> None:
        for name in ("fields", "runs", "artifacts"):
            object.__setattr__(self, name, MappingProxyType(dict(getattr(self, name))))

    def __repr__(self) -> str:
        return f"Sample({self.clip.clip_id}, {len(self.fields)} fields)"


# --- the fields of a sample ---------------------------------------------------------------------------------------

# Field -> the stage that makes it. Those that are neither text nor texts are JSON objects.
FIELDS: Mapping[str, str] = MappingProxyType(
    {
        "people": "evidence",  # how many people are in view, and share of frames with the main face
        "prosody": "evidence",  # how the voice sounds, as numbers with units (records.Prosody)
        "tone": "evidence",  # tone words and the measurement behind each (records.Tone)
        "subtitle": "subtitle",  # {"text", "source", "language"}: what is said, and where the words come from
        "label": "pseudo_label",  # `pseudo_label`
        # {"frame_index" (from 0), "pts_seconds", "score", "rule" ("all", "label"), "units" (those present, strongest
        # first), "why", "face_hash" (`stages.sets.picture_hash` of the aligned face; None without one)}
        "peak": "peak",
        "scene": "peak",  # what the peak frame shows, measured: light, framing, gaze, motion
        "visual_expression": "visual_expression",  # phrases for the face at its peak, a list of texts
        "visual_objective": "visual_objective",  # what the peak frame shows
        "audio_tone": "audio_tone",  # how the voice sounds
        "coarse_caption": "coarse_caption",  # the published coarse template, filled in
        # {"supporting", "misleading": texts, "label": what the annotator came to with them, None where it named none}
        "clues": "fine_caption",
        "fine_caption": "fine_caption",  # the multimodal description with its reasons
        # list of {"first", "first_label", "second", "second_label", "text"}: modalities ("face", "voice", "words";
        # "label" for a given label) that speak for different labels
        "conflicts": "consistency",
        "consistency": "consistency",  # `stages.consistency.check_text`
        "split": "splits",  # train, validation or test
        "published": "import",  # what an imported MERR file says that has no field of its own
        "features": "features",  # where a clip's feature files lie, with their shapes
    }
)
# Those that describe a clip in words.
DESCRIPTIONS = ("visual_expression", "visual_objective", "audio_tone", "coarse_caption", "fine_caption")
# Those that a sample has once a language.
BY_LANGUAGE = frozenset({*DESCRIPTIONS, "clues", "consistency"})


def pseudo_label(
    label: str,
    source: Literal["given", "rules"],
    *,
    strength: Literal["slight", "moderate", "strong"] | None = None,
    score: float | None = None,
    confidence: float | None = None,
    units: Mapping[str, float] = MappingProxyType({}),
    candidates: Mapping[str, float] = MappingProxyType({}),
    table: str = "",
    by_rules: str | None = None,
) -> dict[str, Any]:  # JSON values
    """The value of the field `label`: a clip's emotion.

    Args:
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
    return {
        "label": label, "source": source, "strength": strength, "score": score, "confidence": confidence,
        "units": dict(units), "candidates": dict(candidates), "table": table, "by_rules": by_rules,
    }  # fmt: skip


def to_json(value: Any) -> Json:
    """A field's dataclass, or what holds such, as a JSON value."""
    if is_dataclass(value):
        return {f.name: to_json(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, Mapping):
        return {str(k): to_json(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_json(v) for v in value]
    found: Json = value
    return found


def now() -> str:
    """UTC, ISO 8601 with seconds."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


# --- stored values, as exports and statistics use them ----------------------------------------------------------------


# Fields whose value is an object with one word or text that people read and edit: it gets the column of the field's
# name, the rest stands beside it as JSON.
HEADLINES: Mapping[str, str] = {"label": "label", "subtitle": "text"}
SPLITS = ("train", "validation", "test")
_HASH_LETTERS = 16


def column_of(key: FieldKey) -> str:
    """The column of a field: its name, and its language after it ("fine_caption_en")."""
    name, language = key
    return f"{name}_{language}" if language else name


def key_of(column: str) -> FieldKey | None:
    """The field of a column; None when it is the column of no known field."""
    if column in FIELDS and column not in BY_LANGUAGE:
        return column, ""
    name, _, language = column.rpartition("_")
    return (name, language) if name in BY_LANGUAGE and language in LANGUAGES else None


def shown_key(key: FieldKey) -> str:
    """A field for people: "fine_caption (en)"."""
    return f"{key[0]} ({key[1]})" if key[1] else key[0]


def place_of(name: str) -> int:
    """Of a field in the order of a build; unknown ones come last."""
    return list(FIELDS).index(name) if name in FIELDS else len(FIELDS)


def value_hash(value: Json) -> str:
    """Tells a value from an edited one."""
    text = json.dumps(value, ensure_ascii=False, sort_keys=True)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:_HASH_LETTERS]


def part(value: Json, name: str) -> Json:
    """`value[name]` of a JSON object; None of anything else."""
    return value.get(name) if isinstance(value, Mapping) else None


def text_part(value: Json, name: str) -> str | None:
    """The same, where it is a text."""
    found = part(value, name)
    return found if isinstance(found, str) else None


def list_of(value: Json) -> list[Json]:
    """A list as it is; an empty one of anything else."""
    return value if isinstance(value, list) else []


def text_of(value: Json) -> str | None:
    """A description as one text: phrases are joined by commas, of an object its "text"; None where there is none."""
    if isinstance(value, Mapping):
        return text_of(value.get("text"))
    if isinstance(value, list):
        return ", ".join(str(item) for item in value) or None
    return value if isinstance(value, str) and value else None


def label_of(sample: Described) -> str | None:
    """The clip's label."""
    return text_part(sample.value("label"), "label")


def split_of(sample: Sample) -> str | None:
    """The sample's split."""
    split = sample.value("split")
    return split if isinstance(split, str) and split in SPLITS else None


def units_of(value: Json) -> dict[str, float]:
    """Intensities 0..5 by unit, of a peak or a label; empty where there are none."""
    units = part(value, "units")
    if not isinstance(units, Mapping):
        return {}
    return {str(name): float(x) for name, x in units.items() if isinstance(x, (int, float))}


def peak_units(sample: Sample) -> dict[str, float] | None:
    """Intensities 0..5 of the units present at the peak frame; None where no peak was found."""
    peak = sample.value("peak")
    return units_of(peak) if isinstance(part(peak, "units"), Mapping) else None


def descriptions(sample: Sample, names: Collection[str]) -> Iterator[tuple[FieldKey, str, Provenance]]:
    """The sample's descriptions of these names that are there, in every language, with who wrote them."""
    for key, found in sorted(sample.fields.items()):
        text = text_of(found.value) if key[0] in names else None
        if text is not None:
            yield key, text, found.provenance


def by_rules(provenance: Provenance) -> bool:
    """The value was derived from measurements by rules, not written by a model or a person."""
    return provenance.annotator in ("rules", "measured", "own phrases")


def is_coarse(sample: Sample) -> bool:
    """The sample belongs to the coarse set: never dropped as a whole, and with a coarse caption."""
    return not is_dropped(sample, "all") and _has(sample, "coarse_caption")


def is_fine(sample: Sample) -> bool:
    """The sample belongs to the fine set: in the coarse set, with a fine caption, and not dropped from there."""
    return is_coarse(sample) and not is_dropped(sample, "fine") and _has(sample, "fine_caption")


def is_dropped(sample: Sample, scope: Scope) -> bool:
    """A stage dropped the sample from the whole set, or from its fine part."""
    return any(run.status == "dropped" and (run.scope or "all") == scope for run in sample.runs.values())


def _has(sample: Sample, name: str) -> bool:
    return any(f.value is not None for (found, _), f in sample.fields.items() if found == name)
