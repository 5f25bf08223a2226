"""OpenFace's CSV of a video: a row a frame and face.

Columns as OpenFace 2.2 writes them (its wiki, "Output Format"): frame, face_id, timestamp, confidence, success, AUxx_r.
Presence (AUxx_c), gaze, pose and landmarks are left out: they are not measured as OpenFace does. A unit that was not
measured in a frame is an empty cell, where OpenFace writes 0.
"""

from __future__ import annotations

from emotion_llama.errors import InputError
from emotion_llama.exports.tiers import csv_text
from emotion_llama.schema import AnalysisDocument


def openface(document: AnalysisDocument, clip: str) -> str:
    """CSV; frames are numbered from 1 in the order of their times.

    Raises:
        InputError: the document was made without curves.
    """
    if not document.has_curves:
        raise InputError(f"{clip}: openface needs frame-by-frame values; analyze it again without --no-curves")
    measured: dict[tuple[float, int], tuple[float, dict[str, float | None]]] = {}
    names: dict[str, None] = {}
    for person in document.people:
        for segment in person.segments:
            units = segment.evidence.action_units
            if units is None or units.curves is None:
                continue
            names |= dict.fromkeys(units.names)
            curves = units.curves
            for at, row, sure in zip(curves.pts_seconds, curves.intensity, curves.confidence, strict=True):
                measured[at, person.person_id] = sure, dict(zip(units.names, row, strict=True))
    number = {at: i for i, at in enumerate(sorted({at for at, _ in measured}), 1)}
    rows = [
        (number[at], person_id, f"{at:.4f}", sure, int(any(v is not None for v in values.values())),
         *(values.get(name) for name in names))
        for (at, person_id), (sure, values) in sorted(measured.items())
    ]  # fmt: skip
    return csv_text(("frame", "face_id", "timestamp", "confidence", "success", *(f"{n}_r" for n in names)), rows)
