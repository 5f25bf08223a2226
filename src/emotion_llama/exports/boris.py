"""Tabular events as BORIS exports them (its user guide, "Tabular events"): START and STOP of each interval."""

from __future__ import annotations

from pathlib import Path

from emotion_llama.exports.tiers import csv_text, tiers
from emotion_llama.schema import AnalysisDocument

_COLUMNS = (
    "Observation id", "Observation duration", "Media file name", "Subject", "Behavior", "Behavioral category",
    "Modifiers", "Behavior type", "Time", "Comment",
)  # fmt: skip


def boris(document: AnalysisDocument, clip: str) -> str:
    """CSV; subjects are people, behaviours labels and units, modifiers the highest intensity or the text."""
    rows = []
    for tier in tiers(document):
        subject = "No focal subject" if tier.person_id is None else f"person {tier.person_id}"
        for one in tier.intervals:
            behaviour = one.text if tier.kind == "label" else tier.name.removeprefix(f"person_{tier.person_id}_")
            modifier = None if tier.kind == "label" else one.text
            for kind, at in (("START", one.start_seconds), ("STOP", one.end_seconds)):
                rows.append((clip, document.clip.duration_seconds, Path(document.clip.path).name, subject, behaviour,
                             tier.kind, modifier, kind, f"{at:.3f}", None))  # fmt: skip
    return csv_text(_COLUMNS, sorted(rows, key=lambda row: (float(str(row[8])), row[7] == "START")))
