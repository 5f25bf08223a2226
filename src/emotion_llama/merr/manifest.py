"""Manifests: a table of clips (.csv, .jsonl) with what is known of each. Strict, every mistake with its row."""

from __future__ import annotations

import csv
import io
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from emotion_llama.errors import InputError
from emotion_llama.labels import LabelSpace
from emotion_llama.merr.json_text import parse_json

SUFFIXES = (".csv", ".jsonl")
_MOST_MISTAKES = 10  # named; a table with a wrong column has one in each row
# What other data sets call the splits.
_SPLITS = {"val": "validation", "valid": "validation", "dev": "validation"}


class _Row(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, str_strip_whitespace=True)

    path: str = Field(min_length=1)
    name: str | None = None
    label: str | None = None
    subtitle: str | None = None
    person: str | None = None
    source: str | None = None
    split: Literal["train", "validation", "test"] | None = None


class Entry(NamedTuple):
    """One clip of a manifest; `where` names file and row for messages. What is None was not given."""

    path: Path
    where: str
    name: str | None
    label: str | None
    subtitle: str | None
    person: str | None
    source: str | None
    split: str | None


def is_manifest(path: Path) -> bool:
    """Whether a path that a user names is a manifest, by its suffix."""
    return path.suffix.lower() in SUFFIXES


def read_manifest(path: Path, space: LabelSpace) -> list[Entry]:
    """The clips of a manifest, in its order.

    Columns (or keys): path (relative to the manifest), name, label, subtitle, person, source, split; only path is
    needed. An empty cell is not given. Labels may be synonyms (`labels.SYNONYMS`), splits may be called val or dev.

    Raises:
        InputError: the file cannot be read, has other columns, a name twice, or values that do not fit; mistakes are
            named together with their rows.
    """
    rows = list(_csv_rows(path) if path.suffix.lower() == ".csv" else _json_rows(path))
    mistakes: list[str] = []
    entries = [e for e in (_entry(path, where, row, space, mistakes) for where, row in rows) if e is not None]
    names = Counter(entry.name for entry in entries if entry.name is not None)
    mistakes += [
        f"the name {name!r} stands in {count} rows; names are unique" for name, count in names.items() if count > 1
    ]
    if mistakes:
        shown = "; ".join(mistakes[:_MOST_MISTAKES])
        more = f"; and {len(mistakes) - _MOST_MISTAKES} more" if len(mistakes) > _MOST_MISTAKES else ""
        raise InputError(f"{path}: {shown}{more}")
    if not entries:
        raise InputError(f"{path}: the manifest has no clip; expected a header with the column path, and rows")
    return entries


def _csv_rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    reader = csv.reader(io.StringIO(_text(path), newline=""), strict=True)
    try:
        header = [column.strip().lower() for column in next(reader, [])]
        _check_columns(path, header)
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            where = f"row {reader.line_num}"
            if len(cells) != len(header):
                raise InputError(f"{path}, {where}: {len(cells)} cells came, {len(header)} were expected")
            yield where, {name: cell for name, cell in zip(header, cells) if cell.strip()}
    except csv.Error as error:
        raise InputError(f"{path}, row {reader.line_num}: the table cannot be read ({error})") from None


def _check_columns(path: Path, header: list[str]) -> None:
    unknown = sorted(set(header) - set(_Row.model_fields))
    if unknown or "path" not in header:
        what = f"unknown columns {', '.join(map(repr, unknown))}" if unknown else "no column 'path'"
        if len(header) == 1 and (mark := next((m for m in ";\t" if m in header[0]), "")):
            what = f"cells are divided by {'tabs' if mark.isspace() else 'semicolons'}; divide them by commas"
        raise InputError(f"{path}: {what}; expected path and any of {', '.join(list(_Row.model_fields)[1:])}")
    if twice := [name for name, count in Counter(header).items() if count > 1]:
        raise InputError(f"{path}: the column {twice[0]!r} is there twice")


def _json_rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    for number, line in enumerate(_text(path).splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = parse_json(line, _once)
        except ValueError as error:
            raise InputError(f"{path}, row {number}: no JSON object ({error})") from None
        if not isinstance(row, dict):
            raise InputError(f"{path}, row {number}: expected a JSON object, got {line[:40]!r}")
        yield f"row {number}", row


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key stands twice")
    return found


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: the manifest cannot be read ({error}); expected UTF-8 text") from None


def _entry(path: Path, where: str, row: Mapping[str, Any], space: LabelSpace, mistakes: list[str]) -> Entry | None:
    row = dict(row)
    if isinstance(row.get("split"), str):
        word = row["split"].strip().lower()
        row["split"] = _SPLITS.get(word, word) or None
    try:
        checked = _Row.model_validate(row)
    except ValidationError as error:
        for mistake in error.errors():
            what = {"extra_forbidden": "no such column", "missing": "needed, and not given"}.get(
                mistake["type"], f"{mistake['msg']}, got {mistake['input']!r}"
            )
            mistakes.append(f"{where}, {'.'.join(map(str, mistake['loc']))}: {what}")
        return None
    label = space.find(checked.label) if checked.label else None
    if checked.label and label is None:
        mistakes.append(f"{where}, label: {checked.label!r} is none of {space.name} ({', '.join(space.labels)})")
        return None
    return Entry(
        Path(os.path.abspath(path.parent / checked.path)),  # noqa: PTH100  (links stay as named)
        f"{path.name}, {where}",
        checked.name or None,
        label,
        " ".join(checked.subtitle.split()) or None if checked.subtitle else None,
        checked.person or None,
        checked.source or None,
        checked.split,
    )
