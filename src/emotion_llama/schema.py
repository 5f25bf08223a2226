"""The published JSON form of an analysis: strict models, one converter, one schema.

`analysis_document` turns records into the document; `analysis_schema` is what docs/schema/analysis-1.schema.json holds.
Missing measurements are null, gaps inside curves too; times are seconds, boxes pixels `x1, y1, x2, y2` of the upright
frame, intensities 0..5. A change that breaks readers raises `SCHEMA_VERSION`.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from emotion_llama import __version__
from emotion_llama.records import (
    ActionUnits,
    Analysis,
    Evidence,
    FaceTrack,
    Float,
    PeakFrame,
    PersonAnalysis,
    Prediction,
    Prosody,
    Segment,
    VoiceTrack,
)

SCHEMA_VERSION = 1


def _text(value: object) -> object:
    """Text that UTF-8 can hold: the bytes of a file name that is no text (old Latin-1 names, say) are escaped."""
    if not isinstance(value, str):
        return value
    return value.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


Text = Annotated[str, BeforeValidator(_text)]


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


class AudioDocument(_Document):
    """The audio stream."""

    sample_rate_hz: int
    channels: int
    codec: Text


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


def analysis_document(analysis: Analysis, *, curves: bool = True) -> AnalysisDocument:
    """The JSON document of `analysis`; without `curves` only summaries, a few kilobytes."""
    clip = analysis.clip
    return AnalysisDocument(
        generator=f"emotion-llama {__version__}",
        clip=ClipDocument(
            path=str(clip.path),
            sha256=clip.sha256,
            # A file may hold a single sound sample; its length is above 0 all the same.
            duration_seconds=max(_rounded(clip.duration_seconds, 3), 0.001),
            video=VideoDocument(**dataclasses.asdict(clip.video)) if clip.video else None,
            audio=AudioDocument(**dataclasses.asdict(clip.audio)) if clip.audio else None,
        ),
        model=analysis.model,
        settings={name: _text(value) for name, value in analysis.settings.items()},
        has_curves=curves,
        versions=dict(analysis.versions),
        warnings=list(analysis.warnings),
        seconds_by_stage={k: _rounded(v, 3) for k, v in analysis.seconds_by_stage.items()},
        people=[_person(person, curves) for person in analysis.people],
        voice=_voice(analysis.voice) if analysis.voice is not None and curves else None,
    )


def json_value(settings: Mapping[str, object]) -> Any:
    """Settings as they come back from a document that was written and read."""
    return json.loads(json.dumps({name: _text(value) for name, value in settings.items()}))


def analysis_schema() -> dict[str, Any]:
    """JSON schema (2020-12) of the document, as published."""
    schema = AnalysisDocument.model_json_schema(mode="serialization")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def _person(person: PersonAnalysis, curves: bool) -> PersonDocument:
    return PersonDocument(
        person_id=person.person_id,
        is_main=person.is_main,
        why=person.why,
        face=_face(person.track, curves) if person.track is not None else None,
        segments=[_segment(segment, curves) for segment in person.segments],
    )


def _segment(segment: Segment, curves: bool) -> SegmentDocument:
    return SegmentDocument(
        start_seconds=_rounded(segment.start_seconds, 3),
        end_seconds=_rounded(segment.end_seconds, 3),
        prediction=_prediction(segment.prediction),
        evidence=_evidence(segment.evidence, curves),
    )


def _prediction(prediction: Prediction) -> PredictionDocument:
    chances = prediction.probabilities
    return PredictionDocument(
        label=prediction.label,
        probabilities=None if chances is None else {k: _rounded(v, 6) for k, v in chances.items()},
        reasoning=prediction.reasoning,
        raw_text=prediction.raw_text,
        model=prediction.model,
        cues=[
            CueDocument(source=c.source, text=c.text, weights=_all_rounded(c.weights), origin=c.origin)
            for c in prediction.cues
        ],
        problem=prediction.problem,
    )


def _evidence(evidence: Evidence, curves: bool) -> EvidenceDocument:
    prosody, tone, words = evidence.prosody, evidence.tone, evidence.transcript
    return EvidenceDocument(
        action_units=_units(evidence.action_units, curves) if evidence.action_units is not None else None,
        peak_frame=_peak(evidence.peak_frame) if evidence.peak_frame is not None else None,
        prosody=_prosody(prosody),
        tone=ToneDocument(phrase=tone.phrase, words=dict(tone.words)) if tone else None,
        transcript=TranscriptDocument(
            lines=[LineDocument(**dataclasses.asdict(line)) for line in words.lines],
            source=words.source,
            language=words.language,
        )
        if words
        else None,
        missing=[MissingDocument(what=m.what, reason=m.reason) for m in evidence.missing],
        usual=_prosody(evidence.usual),
    )


def _prosody(prosody: Prosody | None) -> ProsodyDocument | None:
    if prosody is None:
        return None
    return ProsodyDocument(**{k: _tidy(v) for k, v in dataclasses.asdict(prosody).items()})


def _units(units: ActionUnits, curves: bool) -> ActionUnitsDocument:
    seen = units.intensity[units.valid]
    return ActionUnitsDocument(
        names=list(units.names),
        source=units.source,
        neutral=units.neutral,
        num_frames=len(units.pts_seconds),
        num_frames_measured=len(seen),
        mean=_summary(units.names, seen, np.nanmean),
        max=_summary(units.names, seen, np.nanmax),
        curves=UnitCurves(
            pts_seconds=[_rounded(t, 4) for t in units.pts_seconds],
            intensity=[[_or_null(v, 3) for v in row] for row in units.intensity],
            confidence=[_rounded(v, 3) for v in units.confidence],
            is_blink=[bool(v) for v in units.is_blink],
            is_speech=[bool(v) for v in units.is_speech],
        )
        if curves
        else None,
    )


def _summary(names: tuple[str, ...], seen: Float, reduce: Any) -> dict[str, float]:
    """Unit -> figure over measured frames; a unit that was never measured is left out."""
    measured = np.isfinite(seen).any(axis=0) if len(seen) else np.zeros(len(names), bool)
    return {name: _rounded(reduce(seen[:, i]), 3) for i, name in enumerate(names) if measured[i]}


def _peak(peak: PeakFrame) -> PeakDocument:
    return PeakDocument(
        pts_seconds=_rounded(peak.pts_seconds, 4),
        score=_rounded(peak.score, 3),
        rule=peak.rule,
        label=peak.label,
        units=_all_rounded(peak.units),
        why=peak.why,
    )


def _face(track: FaceTrack, curves: bool) -> FaceDocument:
    return FaceDocument(
        frame_size=track.frame_size,
        num_frames=len(track.valid),
        num_frames_seen=int(track.valid.sum()),
        curves=FaceCurves(
            pts_seconds=[_rounded(t, 4) for t in track.pts_seconds],
            boxes_xyxy=_rows_or_null(track.boxes_xyxy, track.valid),
            head_pose_degrees=_rows_or_null(track.head_pose_degrees, track.valid),
        )
        if curves
        else None,
    )


def _voice(voice: VoiceTrack) -> VoiceDocument:
    return VoiceDocument(
        times_seconds=[_rounded(t, 3) for t in voice.times_seconds],
        f0_hz=[_or_null(v, 2) for v in voice.f0_hz],
        loudness_db=[_or_null(v, 1) for v in voice.loudness_db],
        is_speech=[bool(v) for v in voice.is_speech],
    )


def _rows_or_null(rows: Float, valid: Any) -> list[list[float] | None]:
    return [[_rounded(v, 2) for v in row] if ok else None for row, ok in zip(rows, valid, strict=True)]


def _all_rounded(values: Mapping[str, float]) -> dict[str, float]:
    return {k: _rounded(v, 3) for k, v in values.items()}


def _tidy(value: Any) -> Any:
    return _rounded(value, 3) if isinstance(value, float) else value


def _rounded(value: float, digits: int) -> float:
    return round(float(value), digits)


def _or_null(value: float, digits: int) -> float | None:
    return _rounded(value, digits) if np.isfinite(value) else None
