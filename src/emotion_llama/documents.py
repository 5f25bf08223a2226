"""From an analysis to its published document."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from emotion_llama import __version__
from emotion_llama.records import ActionUnits, FaceTrack, Float, Prosody, VoiceTrack
from emotion_llama.results import Analysis, Evidence, Prediction, Segment
from emotion_llama.schema import (
    ActionUnitsDocument,
    AnalysisDocument,
    AudioDocument,
    ClipDocument,
    CoverageDocument,
    CueDocument,
    EvidenceDocument,
    FaceCurves,
    FaceDocument,
    LineDocument,
    MissingDocument,
    PeakDocument,
    PersonDocument,
    PredictionDocument,
    ProsodyDocument,
    SegmentDocument,
    ToneDocument,
    TranscriptDocument,
    UnitCurves,
    VideoDocument,
    VoiceDocument,
    printable,
)


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
        settings={name: printable(value) for name, value in analysis.settings.items()},
        has_curves=curves,
        versions=dict(analysis.versions),
        warnings=list(analysis.warnings),
        seconds_by_stage={k: _rounded(v, 3) for k, v in analysis.seconds_by_stage.items()},
        people=[
            PersonDocument(
                person_id=person.person_id,
                is_main=person.is_main,
                why=person.why,
                face=_face(person.track, curves) if person.track is not None else None,
                segments=[_segment(segment, curves) for segment in person.segments],
            )
            for person in analysis.people
        ],
        voice=_voice(analysis.voice) if analysis.voice is not None and curves else None,
        coverage={
            what: CoverageDocument(read_seconds=_rounded(read, 3), unread_seconds=_rounded(unread, 3))
            for what, (read, unread) in analysis.coverage.items()
        },
    )


def json_value(settings: Mapping[str, object]) -> Any:
    """Settings as they come back from a document that was written and read."""
    return json.loads(json.dumps({name: printable(value) for name, value in settings.items()}))


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
    peak, tone, words = evidence.peak_frame, evidence.tone, evidence.transcript
    return EvidenceDocument(
        action_units=_units(evidence.action_units, curves) if evidence.action_units is not None else None,
        peak_frame=PeakDocument(
            pts_seconds=_rounded(peak.pts_seconds, 4),
            score=_rounded(peak.score, 3),
            rule=peak.rule,
            label=peak.label,
            units=_all_rounded(peak.units),
            why=peak.why,
        )
        if peak
        else None,
        prosody=_prosody(evidence.prosody),
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
    figures = dataclasses.asdict(prosody)
    return ProsodyDocument(**{k: _rounded(v, 3) if isinstance(v, float) else v for k, v in figures.items()})


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


def _rounded(value: float, digits: int) -> float:
    return round(float(value), digits)


def _or_null(value: float, digits: int) -> float | None:
    return _rounded(value, digits) if np.isfinite(value) else None
