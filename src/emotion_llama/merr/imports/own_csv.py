"""Our own CSV, read back: the clips, their fields as they were, and what people have changed in a spreadsheet.

A field whose value is the one that was exported keeps its provenance; an edited one is imported like any other text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from emotion_llama.errors import InputError
from emotion_llama.labels import LabelSpace
from emotion_llama.merr.columns import HEADLINES, key_of, value_hash
from emotion_llama.merr.export.cells import (
    CLIP_COLUMNS,
    CLIP_TYPES,
    DETAILS,
    NOT_FINE,
    PROVENANCE,
    TEXT_FIELDS,
    WHY_MISSING,
    read_provenance,
    read_text,
)
from emotion_llama.merr.imports.claims import Claim, FileContent, given_label
from emotion_llama.merr.imports.label_lists import known_label
from emotion_llama.merr.imports.tables import read_rows
from emotion_llama.merr.json_text import parse_json
from emotion_llama.merr.records import ClipRow, FieldKey, Json
from emotion_llama.merr.stages.splits import SPLITS


def is_own_csv(header: Sequence[str]) -> bool:
    """Whether a table is one that we exported."""
    return "clip_id" in header and (PROVENANCE in header or WHY_MISSING in header)


def read_own_csv(text: str, content: FileContent, space: LabelSpace) -> None:
    """Add everything that an exported `samples.csv` says to `content`.

    Raises:
        InputError: it has unknown columns, or cannot be read as a table.
    """
    rows = read_rows(text, content.origin, ",")
    _, header = next(rows, (0, []))
    _check_header(content.origin, header)
    seen: set[str] = set()
    for line, row in rows:
        content.rows += 1
        where = f"{content.origin}, line {line}"
        if len(row) != len(header):
            content.problems.add(f"malformed row (expected {len(header)} cells)", f"{where}: {len(row)} cells")
            continue
        cells = dict(zip(header, row))
        if read_text(cells["clip_id"]) in seen:
            content.problems.add("a clip stands twice: the first counts", f"{where}: {cells['clip_id']}")
            continue
        try:
            clip = _clip(cells)
            claims = _claims(clip.clip_id, cells, where, content, space)
        except (ValueError, TypeError) as error:
            content.problems.add("malformed cell", f"{where}: {error}")
            continue
        seen.add(clip.clip_id)
        content.clips.append(clip)
        content.claims += claims
        dropped = read_text(cells.get(NOT_FINE, ""))
        if dropped is not None:
            content.not_fine[clip.clip_id] = dropped


def _check_header(origin: str, header: Sequence[str]) -> None:
    known = {*CLIP_COLUMNS, NOT_FINE, WHY_MISSING, PROVENANCE, *(name + DETAILS for name in HEADLINES)}
    strangers = [column for column in header if column not in known and key_of(column) is None]
    doubles = sorted({column for column in header if header.count(column) > 1})
    if strangers or doubles:
        what = f"the column {strangers[0]!r} is none of ours" if strangers else f"two columns are called {doubles[0]!r}"
        raise InputError(f"{origin}: {what}; keep the header of the export as it was")


def _clip(cells: Mapping[str, str]) -> ClipRow:
    values = {name: _clip_value(name, cells[name]) for name in CLIP_COLUMNS if cells.get(name)}
    return ClipRow(**{"path": None, "sha256": None, **values})  # type: ignore[arg-type]


def _clip_value(name: str, cell: str) -> str | int | float | bool | None:
    kind = CLIP_TYPES[name]
    if kind == "bool":
        if cell.lower() not in ("true", "false"):
            raise ValueError(f"{name} must be true or false, got {cell!r}")
        return cell.lower() == "true"
    return int(cell) if kind == "int" else float(cell) if kind == "float" else read_text(cell)


def _claims(clip_id: str, cells: Mapping[str, str], where: str, content: FileContent, space: LabelSpace) -> list[Claim]:
    sources = _object(cells, PROVENANCE)
    claims = []
    for column in cells:
        key = key_of(column)
        if key is None:
            continue
        value = _value(column, key, cells)
        if value is None:
            continue
        kept = read_provenance(sources.get(column))
        if kept is not None and kept[1] == value_hash(value):
            claims.append(Claim(clip_id, key, value, None, kept[0]))
            continue
        if kept is not None:
            content.problems.add(f"edited since it was exported: {column}", f"{where}: {clip_id}")
        edited = _edited(key, value, where, content, space)
        if edited is not None:
            claims.append(Claim(clip_id, key, edited))
    for column, why in _object(cells, WHY_MISSING).items():
        key, found = key_of(column), read_provenance(sources.get(column))
        if key is not None and isinstance(why, str) and why and not cells.get(column):
            claims.append(Claim(clip_id, key, None, why, found[0] if found else None))
    return claims


def _value(column: str, key: FieldKey, cells: Mapping[str, str]) -> Json:
    cell = cells[column]
    if not cell:
        return None
    if key[0] in HEADLINES:
        details = cells.get(column + DETAILS) or "{}"
        rest = parse_json(details)
        if not isinstance(rest, dict):
            raise ValueError(f"{column}{DETAILS} must be a JSON object")
        return {HEADLINES[key[0]]: read_text(cell) or "", **rest}
    return read_text(cell) if key[0] in TEXT_FIELDS else parse_json(cell)


def _edited(key: FieldKey, value: Json, where: str, content: FileContent, space: LabelSpace) -> Json:
    """What an edited cell becomes, None where it cannot be: a new label loses the measurements of the old one."""
    if key[0] == "split" and value not in SPLITS:
        content.problems.add(f"unknown split {value!r} (expected {', '.join(SPLITS)})", where)
        return None
    if key[0] != "label" or not isinstance(value, dict):
        return value or None
    label = known_label(str(value["label"]).strip(), where, content, space)
    return None if label is None else given_label(label)


def _object(cells: Mapping[str, str], column: str) -> dict[str, Json]:
    cell = cells.get(column) or "{}"
    value = parse_json(cell)
    if not isinstance(value, dict):
        raise ValueError(f"{column} must be a JSON object")
    return value
