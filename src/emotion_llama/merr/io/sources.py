"""What a path holds, by looking inside, and its content: published files, tables, OpenFace tables, feature folders."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np

from emotion_llama.errors import InputError
from emotion_llama.face.backends import PersonUnits
from emotion_llama.face.backends.openface_csv import OpenFaceCsv
from emotion_llama.face.peak import find_peak
from emotion_llama.labels import LabelSpace
from emotion_llama.merr.io.content import FileContent, is_name, is_table, read_table
from emotion_llama.merr.io.csv_table import is_own_csv, read_own_csv
from emotion_llama.merr.io.merr_files import read_list, read_published, split_of_name
from emotion_llama.merr.records import Json, to_json
from emotion_llama.models.features.published_folders import FOLDERS, PublishedFolders, read_vector
from emotion_llama.tables import csv_rows

Kind = Literal["own", "list", "json", "table", "openface", "features"]
# Which is believed first where two files disagree: our own export, then the lists (training takes labels from them).
ORDER: tuple[Kind, ...] = ("own", "list", "json", "table", "openface", "features")
Source: TypeAlias = tuple[Path, Kind]  # a file or folder to import, and what it is
FEATURE_SIZE = 1024  # of the published vectors
_FIRST_BYTES = 1 << 16  # of a file, to see what it is


def find_sources(paths: Iterable[Path]) -> list[Source]:
    """What the paths hold: files as they are; of folders the MERR files, tables, OpenFace tables or features in them.

    Raises:
        InputError: a path does not exist, or holds nothing that can be imported.
    """
    found: dict[Path, Source] = {}
    for path in paths:
        for source in _in_folder(path) if path.is_dir() else [_named(path)]:
            found.setdefault(source[0].absolute(), source)
    # The coarse file before the fine one: both may hold coarse captions.
    return sorted(found.values(), key=lambda source: (ORDER.index(source[1]), source[0].name))


def read_source(
    source: Source, space: LabelSpace, language: str, known: Collection[str] | None, made_at: str
) -> FileContent:
    """The content of one source of `find_sources`.

    `language` is that of the descriptions in MERR's JSON files; of feature folders only the `known` clips are taken,
    with None all that have features.

    Raises:
        InputError: it cannot be read, or is not what it looked like.
    """
    path, kind = source
    if kind == "features":
        names = "\n".join(sorted(p.name for p in path.iterdir()))
        content = FileContent(path.name, hashlib.sha256(names.encode("utf-8", "surrogateescape")).hexdigest(), made_at)
        read_features(path, content, known)
        return content
    data = _bytes(path)
    content = FileContent(path.name, hashlib.sha256(data).hexdigest(), made_at)
    if kind == "openface":
        read_openface_table(path, content)
    elif kind == "own":
        read_own_csv(_text(path, data), content, space)
    elif kind == "list":
        read_list(_text(path, data).splitlines(), content, space, split_of_name(path.stem))
    elif kind == "json":
        read_published(_text(path, data), content, space, language)
    else:
        read_table(_text(path, data), content, space, _delimiter(path))
    return content


def _named(path: Path) -> Source:
    if not path.is_file():
        raise InputError(f"{path} does not exist; give the files or folders to import")
    kind = _kind(path)
    if kind is None:
        raise InputError(
            f"{path} is nothing that can be imported; expected MERR_*.json or .txt, a list of labels (.txt), a table "
            "of sentences or labels (.csv), an OpenFace table (.csv), a folder of these or of features, or samples.csv"
        )
    return path, kind


def _in_folder(folder: Path) -> list[Source]:
    sources: list[Source] = [(folder, "features")] if is_feature_root(folder) else []
    for path in sorted(folder.iterdir()):
        if path.is_file() and not path.name.startswith("."):
            kind = _kind(path) if _is_likely(path) else None
            if kind is not None:
                sources.append((path, kind))
    if not sources:
        raise InputError(f"{folder} holds nothing that can be imported; see docs/merr-files.md for what can be")
    return sources


def _is_likely(path: Path) -> bool:
    """Whether a file that nobody named is one of ours; OpenFace, for one, leaves its settings as a text beside it."""
    suffix = path.suffix.lower()
    if suffix not in (".txt", ".json"):
        return True
    first = _bytes(path, _FIRST_BYTES)
    if suffix == ".json":
        return b'"caption"' in first or b'"smp_reason_caption"' in first
    cells = next((line.split() for line in first.decode("utf-8-sig", "replace").splitlines() if line.strip()), [])
    return len(cells) > 1 and (cells[1].isalpha() if len(cells) == 2 else cells[1].lstrip("-").isdecimal())


def _kind(path: Path) -> Kind | None:
    suffix = path.suffix.lower()
    if suffix in (".json", ".txt"):
        return "json" if suffix == ".json" else "list"
    if suffix not in (".csv", ".tsv"):
        return None
    first_line = _bytes(path, _FIRST_BYTES).partition(b"\n")[0]
    if b"AU01_r" in first_line and b"timestamp" in first_line:
        return "openface"
    _, header = next(csv_rows(_text(path, _bytes(path)), path.name, _delimiter(path)), (0, []))
    return "own" if is_own_csv(header) else "table" if is_table(header) else None


def _delimiter(path: Path) -> str:
    return "\t" if path.suffix.lower() == ".tsv" else ","


def _bytes(path: Path, most: int = -1) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(most)
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); check the path and its rights") from error


def _text(path: Path, data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text ({error.reason} at byte {error.start}); save it as UTF-8") from None


# --- measurements of others


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
    content.frame_counts[path.stem] = max(_frame_number(p, len(p.units.pts_seconds) - 1) + 1 for p in people)


def _frame_number(person: PersonUnits, row: int) -> int:
    """The frame's index from 0. Rows of a person may have gaps, times have none."""
    times = person.units.pts_seconds
    step = float(np.median(np.diff(times))) if len(times) > 1 else 0.0
    return row if step <= 0 else round(float(times[row]) / step)


def is_feature_root(folder: Path) -> bool:
    """Whether a folder holds published feature folders."""
    return any((folder / name).is_dir() for folders in FOLDERS.values() for name in folders.values())


def read_features(root: Path, content: FileContent, wanted: Collection[str] | None) -> None:
    """Add where each clip's feature files lie to `content`, where their shapes are right.

    The files stay where they are: training reads them there. Missing files are counted of the `wanted` clips; None
    takes all that have a file. Files hold (D,) or (1, D).
    """
    layout = PublishedFolders(root).layout
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
            try:
                vector = read_vector(root / folder / f"{clip_id}.npy", FEATURE_SIZE)
            except InputError as error:
                content.problems.add(f"{folder}: not one vector of {FEATURE_SIZE} numbers", f"{clip_id}: {error}")
            else:
                found[feature] = {"file": f"{folder}/{clip_id}.npy", "shape": list(vector.shape)}
        if found and is_name(clip_id):
            content.say(clip_id, "features", {"layout": layout, "root": str(root.absolute()), **found})
