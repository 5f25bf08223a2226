"""A row per person and segment of every clip: label, probabilities, held units, voice, words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from emotion_llama.exports.tiers import csv_text
from emotion_llama.schema import AnalysisDocument, PersonDocument, SegmentDocument

_VOICE = (
    "speech_seconds", "voiced_seconds", "pitch_median_hz", "pitch_range_semitones", "loudness_median_db",
    "articulation_rate", "pause_count", "pause_share",
)  # fmt: skip


def summary(results: Sequence[tuple[str, AnalysisDocument]]) -> str:
    """CSV; a column that no row fills is left out, what was not measured is an empty cell."""
    rows = [_row(name, document, person, segment) for name, document, person, segment in parts(results)]
    columns = dict.fromkeys(column for row in rows for column in row)
    return csv_text(list(columns), [[row.get(column) for column in columns] for row in rows])


def parts(
    results: Sequence[tuple[str, AnalysisDocument]],
) -> list[tuple[str, AnalysisDocument, PersonDocument, SegmentDocument]]:
    """Every person and segment of every clip."""
    return [
        (name, document, person, segment)
        for name, document in results
        for person in document.people
        for segment in person.segments
    ]


def values_of(segment: SegmentDocument) -> dict[str, Any]:
    """Column -> value of one segment's measurements and prediction; what was not measured is absent."""
    prediction, evidence = segment.prediction, segment.evidence
    values: dict[str, Any] = {f"p_{label}": share for label, share in (prediction.probabilities or {}).items()}
    units = evidence.action_units
    if units is not None:
        values |= {f"{unit}_held": units.held.get(unit) for unit in units.names if unit in units.held}
        values |= {f"{unit}_mean": units.mean[unit] for unit in units.names if unit in units.mean}
        values |= {f"{unit}_saturated": units.saturated[unit] for unit in units.names if unit in units.saturated}
        values["frames_measured"] = units.num_frames_measured
        values["frames"] = units.num_frames
    if evidence.prosody is not None:
        values |= {name: getattr(evidence.prosody, name) for name in _VOICE}
    return values


def _row(name: str, document: AnalysisDocument, person: PersonDocument, segment: SegmentDocument) -> dict[str, Any]:
    prediction, evidence = segment.prediction, segment.evidence
    strange = prediction.out_of_domain
    words = evidence.transcript
    return {
        "clip": name,
        "person_id": person.person_id,
        "is_main": int(person.is_main),
        "start_seconds": segment.start_seconds,
        "end_seconds": segment.end_seconds,
        "model": prediction.model,
        "label": prediction.label,
        "is_uncertain": int(prediction.is_uncertain),
        "out_of_domain": "; ".join(one.what for one in strange) if strange else None,
        "problem": prediction.problem,
        **values_of(segment),
        "peak_seconds": evidence.peak_frame.pts_seconds if evidence.peak_frame else None,
        "transcript": " ".join(line.text for line in words.lines) if words else None,
        "transcript_source": words.source if words else None,
        "not_measured": "; ".join(f"{one.what}: {one.reason}" for one in evidence.missing) or None,
        "sha256": document.clip.sha256,
    }
