"""The published JSON form of an analysis: strict models, and their schema.

`analysis_schema` is what docs/schema/analysis-1.schema.json holds. Missing measurements are null, gaps inside curves
too; times are seconds, boxes pixels `x1, y1, x2, y2` of the upright frame, intensities 0..5. A change that breaks
readers raises `SCHEMA_VERSION`.
"""

from __future__ import annotations

from pathlib import PurePath
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

SCHEMA_VERSION = 1


def printable(value: object) -> object:
    """Text that UTF-8 can hold: the bytes of a file name that is no text (old Latin-1 names, say) are escaped."""
    if not isinstance(value, str | PurePath):
        return value
    return str(value).encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _rounded(digits: int, gaps: bool = False) -> BeforeValidator:
    """Floats with that many digits after the point; with `gaps`, what is not finite is None."""

    def rounded(value: object) -> object:
        if not isinstance(value, float | np.floating):
            return value
        return None if gaps and not np.isfinite(value) else round(float(value), digits)

    return BeforeValidator(rounded)


Text = Annotated[str, BeforeValidator(printable)]
Digits2 = Annotated[float, _rounded(2)]
Digits3 = Annotated[float, _rounded(3)]
Digits4 = Annotated[float, _rounded(4)]
Digits6 = Annotated[float, _rounded(6)]
Gap1 = Annotated[float | None, _rounded(1, gaps=True)]
Gap2 = Annotated[float | None, _rounded(2, gaps=True)]
Gap3 = Annotated[float | None, _rounded(3, gaps=True)]


class _Document(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, from_attributes=True)


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
    duration_seconds: Digits3 = Field(gt=0)
    video: VideoDocument | None
    audio: AudioDocument | None


class UnitCurves(_Document):
    """Action units frame by frame: `intensity[i][j]` is frame i, unit j of `names`."""

    pts_seconds: list[Digits4]
    intensity: list[list[Gap3]]
    confidence: list[Digits3]
    is_blink: list[bool]
    is_speech: list[bool]


class ActionUnitsDocument(_Document):
    """Action units of one person in one segment, over the frames that were measured.

    `held` is what a tenth of the time has or exceeds, blinks aside: what the person shows. `saturated` is the share of
    the time at 4.5 or more of 5. A unit that was not measured is in none of the figures.
    """

    names: list[Text]
    source: Text
    neutral: Literal["person", "population", "backend"]
    num_frames: int
    num_frames_measured: int
    mean: dict[Text, Digits3]
    max: dict[Text, Digits3]
    held: dict[Text, Digits3] = {}
    saturated: dict[Text, Digits3] = {}
    curves: UnitCurves | None


class PeakDocument(_Document):
    """The frame of strongest expression."""

    pts_seconds: Digits4
    score: Digits3
    rule: Literal["all", "label"]
    label: Text | None
    units: dict[Text, Digits3]
    why: Text


class ProsodyDocument(_Document):
    """The voice in figures; null where the sound does not support a figure."""

    speech_seconds: Digits3
    voiced_seconds: Digits3
    pitch_median_hz: Gap3
    pitch_median_semitones: Gap3
    pitch_range_semitones: Gap3
    pitch_slope_semitones_per_second: Gap3
    loudness_median_db: Gap3
    loudness_range_db: Gap3
    syllables_per_second: Gap3
    articulation_rate: Gap3
    pause_count: int | None
    pause_share: Gap3
    harmonicity_db: Gap3
    pitch_perturbation_percent: Gap3
    loudness_perturbation_db: Gap3
    tremor_depth_percent: Gap3
    tilt_db: Gap3
    backend: Text


class ToneDocument(_Document):
    """The voice in words, each with the measurement behind it."""

    phrase: Text
    words: dict[Text, str]


class WordDocument(_Document):
    """A recognised word, or a part of one in scripts without blanks."""

    text: Text
    start_seconds: Digits3
    end_seconds: Digits3
    confidence: Digits3


class LineDocument(_Document):
    """A line of speech."""

    text: Text
    start_seconds: float | None
    end_seconds: float | None
    speaker: Text | None
    language: Text | None = Field(default=None, description="ISO 639-1, where it can be decided")
    confidence: Digits3 | None = Field(default=None, description="0..1, of a line that was recognised")
    words: list[WordDocument] = Field(default=[], description="where a recogniser gives them")
    source: Text | None = Field(default=None, description="of this line, where that is not the transcript's")


class TranscriptDocument(_Document):
    """What was said, and where the words came from."""

    lines: list[LineDocument]
    source: Text
    language: Text | None = Field(description="what the source or its recogniser says of the whole")
    language_probability: Digits3 | None = Field(default=None, description="0..1, where it was recognised")


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
    weights: dict[Text, Digits3]
    origin: Text
    phrase: Text = Field(default="", description="the same in plain words, without figures")


class OutOfDomainDocument(_Document):
    """A part of the clip that is unlike all that the model learned from."""

    what: Text
    score: Digits2 = Field(description="distance from what the model learned from, in standard deviations")
    threshold: Digits2 = Field(description="the distance up to which it counts as alike")


class PredictionDocument(_Document):
    """The answer; `label` is null when it is uncertain, or when `problem` says why there is none."""

    label: Text | None
    probabilities: dict[Text, Digits6] | None
    reasoning: Text
    raw_text: Text
    model: Text
    cues: list[CueDocument]
    problem: Text | None
    is_uncertain: bool = Field(default=False, description="probabilities without a label: nothing carries one")
    out_of_domain: list[OutOfDomainDocument] = Field(default=[], description="where given, the label is a guess")
    probabilities_from: Text | None = Field(
        default=None, description='of a chat model: "likelihood", "first tokens", or "stated" in its reply'
    )


class SegmentDocument(_Document):
    """One person in one stretch of time."""

    start_seconds: Digits3
    end_seconds: Digits3
    prediction: PredictionDocument
    evidence: EvidenceDocument


class FaceCurves(_Document):
    """Where the face was; null where it was not seen."""

    pts_seconds: list[Digits4]
    boxes_xyxy: list[list[Digits2] | None]
    head_pose_degrees: list[list[Digits2] | None] = Field(description="pitch, yaw, roll")


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

    times_seconds: list[Digits3]
    f0_hz: list[Gap2]
    loudness_db: list[Gap1]
    is_speech: list[bool]


class TurnDocument(_Document):
    """Somebody speaks."""

    start_seconds: Digits3
    end_seconds: Digits3
    speaker: Text
    person_id: int | None = Field(default=None, description="of the people, where lips or a lone voice say so")


class CoverageDocument(_Document):
    """How much of a stream's data was read."""

    read_seconds: Digits3
    unread_seconds: Digits3 = Field(description="in the file, and not decoded; `warnings` says why")


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
    seconds_by_stage: dict[Text, Digits3]
    people: list[PersonDocument]
    voice: VoiceDocument | None
    coverage: dict[Text, CoverageDocument] = Field(
        default={}, description='"video", "sound": of the streams that were read; "rest": recordings behind their end'
    )
    speakers: list[TurnDocument] = Field(
        default=[], description="from RTTM, from the speakers of lines, or two voices of clearly different pitch"
    )


def analysis_schema() -> dict[str, Any]:
    """JSON schema (2020-12) of the document, as published."""
    schema = AnalysisDocument.model_json_schema(mode="serialization")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
