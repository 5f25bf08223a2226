"""Measurements of others read into fields: OpenFace tables (one CSV a clip), and folders of published features."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path

import numpy as np

from emotion_llama.errors import InputError
from emotion_llama.face.backends import PersonUnits
from emotion_llama.face.backends.openface_csv import OpenFaceCsv
from emotion_llama.face.peak import find_peak
from emotion_llama.merr.io.content import FileContent, is_name
from emotion_llama.merr.records import Json, to_json
from emotion_llama.models.features.published_folders import FOLDERS

FEATURE_SIZE = 1024  # of the published vectors
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
    person = max(people, key=lambda p: int(p.units.valid.sum()), default=None)
    peak = None if person is None else find_peak(person.units, rule="all", include_blinks=True, include_speech=True)
    if person is None or peak is None:
        content.say(path.stem, "peak", None, why_missing=f"{path.name} has no frame with a face")
        return
    units = {name: float(value) for name, value in peak.units.items()}
    found: Json = {
        "frame_index": _frame_number(person, peak.row), "pts_seconds": float(peak.pts_seconds),
        "score": float(peak.score), "rule": "all", "units": to_json(units), "why": peak.why, "face_hash": None,
    }  # fmt: skip
    content.say(path.stem, "peak", found)
    content.clip(path.stem).frame_count = max(_frame_number(p, len(p.units.pts_seconds) - 1) + 1 for p in people)


def _frame_number(person: PersonUnits, row: int) -> int:
    """The frame's index from 0. Rows of a person may have gaps, times have none."""
    times = person.units.pts_seconds
    step = float(np.median(np.diff(times))) if len(times) > 1 else 0.0
    return row if step <= 0 else round(float(times[row]) / step)


def is_feature_root(folder: Path) -> bool:
    """Whether a folder holds published feature folders."""
    return any((folder / name).is_dir() for folders in FOLDERS.values() for name in folders.values())


def read_features(root: Path, content: FileContent, wanted: Collection[str] | None, size: int = FEATURE_SIZE) -> None:
    """Add where each clip's feature files lie to `content`, where their shapes are right.

    The files stay where they are: training reads them there, and copies for 78,000 clips would help nobody.

    Args:
        root: what the feature folders lie in.
        content: filled.
        wanted: the clips of the build; None for all that have a file. Of these, missing files are counted.
        size: of a vector; files hold (size,) or (1, size).
    """
    layout = max(FOLDERS, key=lambda name: sum((root / f).is_dir() for f in FOLDERS[name].values()))
    there: dict[str, tuple[str, frozenset[str]]] = {}  # kind of feature -> its folder and the clips that have a file
    for kind, folder in FOLDERS[layout].items():
        if (root / folder).is_dir():
            with os.scandir(root / folder) as entries:
                there[kind] = folder, frozenset(e.name[:-4] for e in entries if e.name.endswith(".npy"))
        else:
            content.problems.add(f"no folder {folder} ({kind} features)", str(root))
    for clip_id in sorted(set().union(*(names for _, names in there.values())) if wanted is None else wanted):
        found: dict[str, Json] = {}
        for feature, (folder, names) in there.items():
            if clip_id not in names:
                content.problems.add(f"no file in {folder}", clip_id)
                continue
            content.rows += 1
            shape = _shape(root / folder / f"{clip_id}.npy")
            if shape in ((size,), (1, size)):
                found[feature] = {"file": f"{folder}/{clip_id}.npy", "shape": list(shape)}
            else:
                what = "no .npy file of numbers" if shape is None else f"shape {shape}, not ({size},)"
                content.problems.add(f"{folder}: {what}", clip_id)
        if found and is_name(clip_id):
            content.say(clip_id, "features", {"layout": layout, "root": str(root.absolute()), **found})


def _shape(path: Path) -> tuple[int, ...] | None:
    """Shape of an array on disk; None when it is no whole file of floating-point numbers."""
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return tuple(array.shape) if isinstance(array, np.ndarray) and np.issubdtype(array.dtype, np.floating) else None
