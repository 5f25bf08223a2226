"""How an analysis becomes its document: the JSON of `schema`, with or without the curves."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from emotion_llama import __version__
from emotion_llama.records import ActionUnits, FaceTrack, Float, VoiceTrack
from emotion_llama.results import Analysis, Evidence, PersonAnalysis, held_units, saturated_units
from emotion_llama.schema import AnalysisDocument, EvidenceDocument, UnitCurves, VoiceDocument, printable


def analysis_document(analysis: Analysis, *, curves: bool = True) -> AnalysisDocument:
    """The JSON document of `analysis`; without `curves` only summaries, a few kilobytes."""
    return AnalysisDocument.model_validate(
        {
            "generator": f"emotion-llama {__version__}",
            # A file may hold a single sound sample; its length is above 0 all the same.
            "clip": replace(analysis.clip, duration_seconds=max(analysis.clip.duration_seconds, 0.001)),
            "model": analysis.model,
            "settings": {name: printable(value) for name, value in analysis.settings.items()},
            "has_curves": curves,
            "versions": analysis.versions,
            "warnings": analysis.warnings,
            "seconds_by_stage": analysis.seconds_by_stage,
            "people": [_person(person, curves) for person in analysis.people],
            "voice": _voice(analysis.voice) if analysis.voice is not None and curves else None,
            "coverage": {
                what: {"read_seconds": read, "unread_seconds": unread}
                for what, (read, unread) in analysis.coverage.items()
            },
            "speakers": analysis.speakers,
        }
    )


def json_value(settings: Mapping[str, object]) -> Any:
    """Settings as they come back from a document that was written and read."""
    return json.loads(json.dumps({name: printable(value) for name, value in settings.items()}))


# What follows gives the fields of a document as a mapping, where they are not the record's own; records within are
# taken field by field.


def _person(person: PersonAnalysis, curves: bool) -> dict[str, Any]:
    segments = [
        {
            "start_seconds": segment.start_seconds,
            "end_seconds": segment.end_seconds,
            "prediction": segment.prediction,
            "evidence": _evidence(segment.evidence, curves),
        }
        for segment in person.segments
    ]
    return {
        "person_id": person.person_id,
        "is_main": person.is_main,
        "why": person.why,
        "face": None if person.track is None else _face(person.track, curves),
        "segments": segments,
    }


def _evidence(evidence: Evidence, curves: bool) -> dict[str, Any]:
    units = None if evidence.action_units is None else _units(evidence.action_units, curves)
    return {name: getattr(evidence, name) for name in EvidenceDocument.model_fields} | {"action_units": units}


def _units(units: ActionUnits, curves: bool) -> dict[str, Any]:
    seen = units.intensity[units.valid]
    # A unit that was never measured is left out of the summaries.
    measured = np.flatnonzero(np.isfinite(seen).any(axis=0))
    rows = {name: getattr(units, name).tolist() for name in UnitCurves.model_fields} if curves else None
    return {
        "names": units.names,
        "source": units.source,
        "neutral": units.neutral,
        "num_frames": len(units.pts_seconds),
        "num_frames_measured": len(seen),
        "mean": {units.names[i]: np.nanmean(seen[:, i]) for i in measured},
        "max": {units.names[i]: np.nanmax(seen[:, i]) for i in measured},
        "held": held_units(units),
        "saturated": saturated_units(units),
        "curves": rows,
    }


def _face(track: FaceTrack, curves: bool) -> dict[str, Any]:
    def rows(values: Float) -> list[list[float] | None]:
        return [row if seen else None for row, seen in zip(values.tolist(), track.valid, strict=True)]

    found = {
        "pts_seconds": track.pts_seconds.tolist(),
        "boxes_xyxy": rows(track.boxes_xyxy),
        "head_pose_degrees": rows(track.head_pose_degrees),
    }
    return {
        "frame_size": track.frame_size,
        "num_frames": len(track.valid),
        "num_frames_seen": int(track.valid.sum()),
        "curves": found if curves else None,
    }


def _voice(voice: VoiceTrack) -> dict[str, Any]:
    return {name: getattr(voice, name).tolist() for name in VoiceDocument.model_fields}
