"""A folder of OpenFace tables (one CSV a clip) as fields: the peak frame, and the units that are present there."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from emotion_llama.errors import InputError
from emotion_llama.face.backends import PersonUnits
from emotion_llama.face.backends.openface_csv import OpenFaceCsv
from emotion_llama.face.peak import find_peak
from emotion_llama.merr.imports.claims import Claim, FileContent, is_name
from emotion_llama.merr.records import Json, to_json

_FIRST_BYTES = 4096


def is_openface_table(path: Path) -> bool:
    """Whether a CSV file has OpenFace's columns of unit intensities."""
    try:
        with path.open("rb") as file:
            header = file.read(_FIRST_BYTES).split(b"\n", 1)[0]
    except OSError:
        return False
    return b"AU01_r" in header and b"timestamp" in header


def read_openface_table(path: Path, content: FileContent) -> None:
    """Add a clip's peak to `content`; the clip's name is the file's stem. A table that cannot be used is counted.

    The person is the one seen in the most frames. The peak is the frame with the largest sum of all units ("all"),
    blinks and talking included: OpenFace does not tell them apart. Units count as present as in `face.peak`.
    """
    content.rows += 1
    if not is_name(path.stem):
        content.problems.add("the file's name cannot be a clip's", path.name)
        return
    try:
        people = OpenFaceCsv().read(path)
    except InputError as error:
        content.problems.add("OpenFace table that cannot be read", str(error))
        return
    key = ("peak", "")
    person = max(people, key=lambda p: int(p.units.valid.sum()), default=None)
    peak = None if person is None else find_peak(person.units, rule="all", include_blinks=True, include_speech=True)
    if person is None or peak is None:
        content.claims.append(Claim(path.stem, key, None, f"{path.name} has no frame with a face"))
        return
    units = {name: float(value) for name, value in peak.units.items()}
    frame = _frame_number(person, peak.row)
    value: Json = {
        "frame_index": frame, "pts_seconds": float(peak.pts_seconds), "score": float(peak.score), "rule": "all",
        "units": to_json(units), "why": peak.why, "face_hash": None,
    }  # fmt: skip
    content.claims.append(Claim(path.stem, key, value))
    content.frame_counts[path.stem] = max(_num_frames(p) for p in people)


def _frame_number(person: PersonUnits, row: int) -> int:
    """The frame's index from 0. Rows of a person may have gaps, times have none."""
    times = person.units.pts_seconds
    step = float(np.median(np.diff(times))) if len(times) > 1 else 0.0
    return row if step <= 0 else round(float(times[row]) / step)


def _num_frames(person: PersonUnits) -> int:
    return _frame_number(person, len(person.units.pts_seconds) - 1) + 1
