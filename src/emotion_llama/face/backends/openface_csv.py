"""Reads the CSV of OpenFace's FeatureExtraction: action units per frame and face.

Columns (OpenFace 2.2 wiki, "Output format"): frame, face_id, timestamp (s), confidence (0..1), success (0/1),
AUxx_r intensity 0..5 for 17 units, AUxx_c presence 0/1 for these and AU28. Names come with leading spaces. Older files
have no face_id: then there is one person.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from emotion_llama.errors import InputError
from emotion_llama.face.backends import PersonUnits
from emotion_llama.records import AU_NAMES, ActionUnits, Float

# As C libraries print it: nan, -nan(ind), 1.#QNAN, -1.#IND.
_NOT_A_NUMBER = re.compile(r"[-+]?(nan(\(.*\))?|1\.#(qnan|snan|ind)\w*)", re.IGNORECASE)
_ALWAYS = ("timestamp", "confidence", "success")


class OpenFaceCsv:
    """`read(path)` takes a CSV file (see the module)."""

    name = "openface_csv"

    def read(self, path: Path) -> tuple[PersonUnits, ...]:
        """Units of each face_id, in its order.

        Frames without success, with confidence 0, or with a unit that is no number (nan, -nan(ind)) are NaN with
        confidence 0: OpenFace fills their cells with leftovers. Intensities are OpenFace's own, relative to the
        person's own range in the video ("backend").

        Raises:
            InputError: not a file, missing columns (all are named), a cell that is not a number, an intensity
                outside 0..5.
        """
        return read_table(path, source="openface-csv")


def read_table(path: Path, *, source: str) -> tuple[PersonUnits, ...]:
    """`OpenFaceCsv.read` with another name for the source."""
    header, rows = read_csv(path)
    intensity_names = tuple(f"{name}_r" for name in AU_NAMES)
    presence_names = tuple(column[:-2] for column in header if column.startswith("AU") and column.endswith("_c"))
    require_columns(path, header, (*_ALWAYS, *intensity_names), "a table written by OpenFace's FeatureExtraction -aus")
    table = to_numbers(path, header, rows, (*_ALWAYS, *intensity_names, *(f"{name}_c" for name in presence_names)))
    face_ids = to_numbers(path, header, rows, ("face_id",))[:, 0] if "face_id" in header else np.zeros(len(table))
    if not np.isfinite(table[:, 0]).all():
        line = int(np.flatnonzero(~np.isfinite(table[:, 0]))[0]) + 2
        raise InputError(f"{path}: line {line}, column timestamp: seconds were expected, found no number")
    people = []
    for face_id in np.unique(face_ids).astype(int).tolist():
        mine = table[face_ids == face_id]
        people.append(_person(path, face_id, mine[np.argsort(mine[:, 0], kind="stable")], presence_names, source))
    return tuple(people)


def _person(path: Path, face_id: int, table: Float, presence_names: tuple[str, ...], source: str) -> PersonUnits:
    """`table` [N, 3 + 17 + P]: timestamp, confidence, success, intensities, presences."""
    confidence, success = table[:, 1], table[:, 2] > 0
    seen = success & (confidence > 0) & np.isfinite(table[:, 3:]).all(axis=1)
    values = np.where(seen[:, None], table[:, 3:], np.nan)
    intensity, presence = values[:, : len(AU_NAMES)], values[:, len(AU_NAMES) :]
    known = intensity[seen]
    if known.size and (known.min() < 0 or known.max() > 5):
        raise InputError(
            f"{path}: intensities (AUxx_r) must be within 0..5, found {known.min():g}..{known.max():g}; "
            "is this the table of another program?"
        )
    nothing = np.zeros(len(table), bool)  # OpenFace does not tell blinks and speech apart from expressions
    units = ActionUnits(
        names=AU_NAMES,
        pts_seconds=table[:, 0],
        intensity=intensity,
        confidence=np.where(seen, np.clip(confidence, 0.0, 1.0), 0.0),
        is_blink=nothing,
        is_speech=nothing,
        neutral="backend",
        source=source,
        presence_names=presence_names,
        presence=presence if presence_names else None,
    )
    return PersonUnits(face_id, units, presence_names, presence)


def read_csv(path: Path) -> tuple[list[str], list[list[str]]]:
    """Header and rows of a CSV file, spaces around the cells removed; empty lines left out.

    Raises:
        InputError: not a readable text file, or no rows.
    """
    try:
        with Path(path).open(newline="", encoding="utf-8-sig") as file:
            lines = [[cell.strip() for cell in line] for line in csv.reader(file) if line]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: not readable as a CSV table ({error}); give the CSV file itself") from error
    if len(lines) < 2:
        raise InputError(f"{path}: a table with a header and at least one row was expected, found {len(lines)} lines")
    return lines[0], lines[1:]


def require_columns(path: Path, header: Sequence[str], needed: Sequence[str], what: str) -> None:
    """InputError that names every column of `needed` that `header` lacks."""
    missing = [name for name in needed if name not in header]
    if missing:
        raise InputError(f"{path}: columns missing: {', '.join(missing)}; expected {what}")


def to_numbers(path: Path, header: Sequence[str], rows: Sequence[Sequence[str]], names: Sequence[str]) -> Float:
    """[rows, names] the cells of some columns; InputError names the line and column of a cell that is no number."""
    columns = [header.index(name) for name in names]
    return np.array(
        [[_number(path, i, names[j], row, column) for j, column in enumerate(columns)] for i, row in enumerate(rows, 2)]
    )


def _number(path: Path, line: int, name: str, row: Sequence[str], column: int) -> float:
    try:
        return np.nan if _NOT_A_NUMBER.fullmatch(row[column]) else float(row[column])
    except (ValueError, IndexError):
        cell = repr(row[column]) if column < len(row) else "no cell"
        raise InputError(f"{path}: line {line}, column {name}: a number was expected, found {cell}") from None
