"""The published JSON form of an analysis: strict models and their schema.

`documents.analysis_document` makes one; `analysis_schema` is what docs/schema/analysis-1.schema.json holds.
Missing measurements are null, gaps inside curves too; times are seconds, boxes pixels `x1, y1, x2, y2` of the upright
frame, intensities 0..5. A change that breaks readers raises `SCHEMA_VERSION`.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

SCHEMA_VERSION = 1


def printable(value: object) -> object:
    """Text that UTF-8 can hold: the bytes of a file name that is no text (old Latin-1 names, say) are escaped."""
    if not isinstance(value, str):
        return value
    return value.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


Text = Annotated[str, BeforeValidator(printable)]


class _Document(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class VideoDocument(_Document):
    """The video stream, upright."""

    width: int
    height: int
    fps: float
    is_variable_frame_rate: bool
    rotation_degrees: int
    codec: Text
    pixel_format: Text
    is_mirrored: bool = Field(default=False, description="left to right, before the turn")
    track: int = Field(default=1, description="which of the file's videos was read")


class AudioDocument(_Document):
    """The audio stream."""

    sample_rate_hz: int
    channels: int
    codec: Text
    track: int = Field(default=1, description="which of the file's sound tracks was read")
    weights: list[float] = Field(default=[], description="of the channels, where those of their places would be wrong")


class ClipDocument(_Document):
    """The analysed file."""

    path: Text
    sha256: Text = Field(pattern="^[0-9a-f]{64}$")
    duration_seconds: float = Field(gt=0)
    video: VideoDocument | None
    audio: AudioDocument | None


class UnitCurves(_Document):
    """Action units frame by frame: `intensity[i][j]` is frame i, unit j of `names`."""

    pts_seconds: list[float]
    intensity: list[list[float | None]]
    confidence: list[float]
    is_blink: list[bool]
    is_speech: list[bool]


class ActionUnitsDocument(_Document):
    """Action units of one person in one segment; `mean` and `max` are over the frames that were measured."""

    names: list[Text]
    source: Text
    neutral: Literal["person", "population", "backend"]
    num_frames: int
    num_frames_measured: int
    mean: dict[Text, float]
    max: dict[Text, float]
    curves: UnitCurves | None


class PeakDocument(_Document):
    """The frame of strongest expression."""

    pts_seconds: float
    score: float
    rule: Literal["all", "label"]
    label: Text | None
    units: dict[Text, float]
    why: Text


class ProsodyDocument(_Document):
    """The voice in figures; null where the sound does not support a figure."""

    speech_seconds: float
    voiced_seconds: float
    pitch_median_hz: float | None
    pitch_median_semitones: float | None
    pitch_range_semitones: float | None
    pitch_slope_semitones_per_second: float | None
    loudness_median_db: float | None
    loudness_range_db: float | None
    syllables_per_second: float | None
    articulation_rate: float | None
    pause_count: int | None
    pause_share: float | None
    harmonicity_db: float | None
    pitch_perturbation_percent: float | None
    loudness_perturbation_db: float | None
    tremor_depth_percent: float | None
    tilt_db: float | None
    backend: Text


class ToneDocument(_Document):
    """The voice in words, each with the measurement behind it."""

    phrase: Text
    words: dict[Text, str]


class LineDocument(_Document):
    """A line of speech."""

    text: Text
    start_seconds: float | None
    end_seconds: float | None
    speaker: Text | None


class TranscriptDocument(_Document):
    """What was said, and where the words came from."""

    lines: list[LineDocument]
    source: Text
    language: Text | None


class MissingDocument(_Document):
    """A measurement that could not be made, and why."""

    what: Text
    reason: Text


class EvidenceDocument(_Document):
    """What was measured."""

    action_units: ActionUnitsDocument | None
    peak_frame: PeakDocument | None
    prosody: ProsodyDocument | None
    tone: ToneDocument | None
    transcript: TranscriptDocument | None
    missing: list[MissingDocument]
    usual: ProsodyDocument | None = Field(
        default=None, description="the same voice over the whole clip, where the tone is relative to it"
    )


class CueDocument(_Document):
    """A piece of evidence and the log-odds it adds to each label."""

    source: Literal["face", "voice", "words"]
    text: Text
    weights: dict[Text, float]
    origin: Text


class PredictionDocument(_Document):
    """The answer; `label` is null exactly when `problem` says why."""

    label: Text | None
    probabilities: dict[Text, float] | None
    reasoning: Text
    raw_text: Text
    model: Text
    cues: list[CueDocument]
    problem: Text | None


class SegmentDocument(_Document):
    """One person in one stretch of time."""

    start_seconds: float
    end_seconds: float
    prediction: PredictionDocument
    evidence: EvidenceDocument


class FaceCurves(_Document):
    """Where the face was; null where it was not seen."""

    pts_seconds: list[float]
    boxes_xyxy: list[list[float] | None]
    head_pose_degrees: list[list[float] | None] = Field(description="pitch, yaw, roll")


class FaceDocument(_Document):
    """The person's face over the whole clip; boxes are in pixels of analysed frames, `frame_size` (width, height)."""

    frame_size: tuple[int, int]
    num_frames: int
    num_frames_seen: int
    curves: FaceCurves | None


class PersonDocument(_Document):
    """One person; `face` is null for a voice that belongs to nobody in view."""

    person_id: int
    is_main: bool
    why: Text
    face: FaceDocument | None
    segments: list[SegmentDocument]


class VoiceDocument(_Document):
    """The sound frame by frame, 10 ms a row."""

    times_seconds: list[float]
    f0_hz: list[float | None]
    loudness_db: list[float | None]
    is_speech: list[bool]


class CoverageDocument(_Document):
    """How much of a stream's data was read."""

    read_seconds: float
    unread_seconds: float = Field(description="in the file, and not decoded; `warnings` says why")


class AnalysisDocument(_Document):
    """Everything that was found in one clip."""

    schema_version: Literal[1] = 1
    generator: Text
    clip: ClipDocument
    model: Text
    settings: dict[Text, Any]  # as the user gave them: strings, numbers, null
    has_curves: bool  # whether frame-by-frame values were asked for
    versions: dict[Text, str]
    warnings: list[Text]
    seconds_by_stage: dict[Text, float]
    people: list[PersonDocument]
    voice: VoiceDocument | None
    coverage: dict[Text, CoverageDocument] = Field(
        default={}, description='"video", "sound": of the streams that were read; "rest": recordings behind their end'
    )


def analysis_schema() -> dict[str, Any]:
    """JSON schema (2020-12) of the document, as published."""
    schema = AnalysisDocument.model_json_schema(mode="serialization")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
