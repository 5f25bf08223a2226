"""Our CSV, written and read back: one row a sample, everything in it, as it was and as people changed it.

An empty cell is nothing. Texts stand as they are; lists and objects as JSON. A text that a spreadsheet would take for a
formula (it begins with = + - @, a tab or a carriage return), an empty text, and a text that looks like one so marked,
get one apostrophe in front, which the import takes away. A field whose value is the one that was exported keeps its
provenance when it comes back; an edited one is imported like any other text.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path

from emotion_llama.errors import InputError
from emotion_llama.labels import LabelSpace
from emotion_llama.merr.io.content import FileContent
from emotion_llama.merr.io.rows import Row, Rows, Written
from emotion_llama.merr.records import (
    HEADLINES,
    SPLITS,
    ClipRow,
    Field,
    FieldKey,
    Json,
    Provenance,
    column_of,
    key_of,
    place_of,
    pseudo_label,
    value_hash,
)
from emotion_llama.tables import csv_rows, parse_json

FILE = "samples.csv"
# Fields whose value is one text; all others are JSON.
TEXT_FIELDS = frozenset({"visual_objective", "audio_tone", "coarse_caption", "fine_caption", "split"})
DETAILS = "_details"
# Of the clip itself -> "str", "int", "float" or "bool".
CLIP_COLUMNS: Mapping[str, str] = {f.name: str(f.type).removesuffix(" | None") for f in fields(ClipRow)}
NOT_FINE, WHY_MISSING, PROVENANCE = "not_fine", "why_missing", "provenance"
# What people read comes first.
_FIRST = frozenset({*TEXT_FIELDS, "label", "subtitle", "visual_expression"})
_MARKED = re.compile(r"'*(?:[=+\-@\t\r]|\Z)")


def write_text(text: str | None) -> str:
    """A text's cell."""
    if text is None:
        return ""
    return f"'{text}" if _MARKED.match(text) else text


def read_text(cell: str) -> str | None:
    """The text of a cell that `write_text` wrote; None of an empty one."""
    if not cell:
        return None
    return cell[1:] if cell[0] == "'" and _MARKED.match(cell) else cell


def write_csv(half: Path, rows: Rows) -> Written:
    """Write `samples.csv`: UTF-8, rows end with CR LF, cells quoted where needed (RFC 4180).

    CR LF, because Python's writer quotes a lone CR in a cell only when it is part of a row's end.
    """
    languages = {"", *rows.described}
    keys = {key for row in rows for key in row.sample.fields if key[1] in languages}
    count = fine = 0
    with (half / FILE).open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, _columns(keys), restval="")
        writer.writeheader()
        for row in rows:
            writer.writerow(_cells(row, keys))
            count, fine = count + 1, fine + row.fine
    return {FILE: count}, rows.by_set(count, fine), ()


def _columns(keys: set[FieldKey]) -> list[str]:
    ordered = sorted(keys, key=lambda key: (place_of(key[0]), key))
    first = [column_of(key) for key in ordered if key[0] in _FIRST]
    rest = [column_of(key) for key in ordered if key[0] not in _FIRST]
    details = [column + DETAILS for column in (*first, *rest) if column in HEADLINES]
    others = [name for name in CLIP_COLUMNS if name != "clip_id"]
    return ["clip_id", *first, NOT_FINE, *rest, *details, *others, WHY_MISSING, PROVENANCE]


def _cells(row: Row, keys: set[FieldKey]) -> dict[str, str]:
    sample, missing, sources = row.sample, dict[str, Json](), dict[str, Json]()
    cells = {name: _clip_cell(getattr(sample.clip, name)) for name in CLIP_COLUMNS}
    for key in sorted(keys & sample.fields.keys()):
        found, column = sample.fields[key], column_of(key)
        sources[column] = provenance_json(found)
        if found.why_missing is not None:
            missing[column] = found.why_missing
        else:
            cells |= _field_cells(found, column)
    dropped = next((r.reason or "" for r in sample.runs.values() if r.status == "dropped" and r.scope == "fine"), None)
    cells[NOT_FINE] = write_text(dropped)
    cells[WHY_MISSING] = _json(missing) if missing else ""
    cells[PROVENANCE] = _json(sources)
    return cells


def _clip_cell(value: str | float | bool | None) -> str:
    if value is None or isinstance(value, str):
        return write_text(value)
    return repr(value).lower() if isinstance(value, bool) else repr(value)


def _field_cells(found: Field, column: str) -> dict[str, str]:
    value = found.value
    if found.name in HEADLINES:
        headline = HEADLINES[found.name]
        assert isinstance(value, dict)
        rest = {k: v for k, v in value.items() if k != headline}
        return {column: write_text(str(value[headline])), column + DETAILS: _json(rest)}
    return {column: write_text(str(value)) if found.name in TEXT_FIELDS else _json(value)}


def _json(value: Json) -> str:
    return json.dumps(value, ensure_ascii=False)


def provenance_json(found: Field) -> dict[str, Json]:
    """Where a field comes from, without times, which differ between builds of the same content."""
    p = found.provenance
    known: dict[str, Json] = {
        "prompt_sha256": p.prompt_sha256, "label_shown": p.label_shown or None, "tokens_in": p.tokens_in,
        "tokens_out": p.tokens_out,
    }  # fmt: skip
    stated = {name: value for name, value in known.items() if value is not None}
    return {"annotator": p.annotator, "model": p.model, **stated, "value_sha256": value_hash(found.value)}


def _read_provenance(value: Json) -> tuple[Provenance | None, str]:
    """What `provenance_json` wrote, and the value's hash; None and "" when it is something else."""
    if not isinstance(value, dict):
        return None, ""
    known = {k: v for k, v in value.items() if k != "value_sha256"}
    try:
        return Provenance(**known), str(value["value_sha256"])  # type: ignore[arg-type]
    except (TypeError, KeyError):
        return None, ""


def is_own_csv(header: Sequence[str]) -> bool:
    """Whether a table is one that we exported."""
    return "clip_id" in header and (PROVENANCE in header or WHY_MISSING in header)


def read_own_csv(text: str, content: FileContent, space: LabelSpace) -> None:
    """Add everything that an exported `samples.csv` says to `content`.

    Raises:
        InputError: it has unknown columns, or cannot be read as a table.
    """
    rows = csv_rows(text, content.origin)
    _, header = next(rows, (0, []))
    _check_header(content.origin, header)
    for line, row in rows:
        content.rows += 1
        where = f"{content.origin}, line {line}"
        if len(row) != len(header):
            content.problems.add(f"malformed row (expected {len(header)} cells)", f"{where}: {len(row)} cells")
            continue
        cells = dict(zip(header, row))
        if read_text(cells["clip_id"]) in content.fields:
            content.problems.add("a clip stands twice: the first counts", f"{where}: {cells['clip_id']}")
            continue
        try:
            values = {name: _clip_value(name, cells[name]) for name in CLIP_COLUMNS if cells.get(name)}
            clip = ClipRow(**{"path": None, "sha256": None, **values})  # type: ignore[arg-type]
            found = _fields(cells, where, clip.clip_id, content, space)
        except (ValueError, TypeError) as error:
            content.problems.add("malformed cell", f"{where}: {error}")
            continue
        content.clip_rows[clip.clip_id] = clip
        content.fields[clip.clip_id] = {}
        if not_fine := read_text(cells.get(NOT_FINE, "")):
            content.not_fine[clip.clip_id] = not_fine
        for key, value, why_missing, provenance in found:
            content.say(clip.clip_id, key[0], value, key[1], why_missing=why_missing, provenance=provenance)


def _check_header(origin: str, header: Sequence[str]) -> None:
    known = {*CLIP_COLUMNS, NOT_FINE, WHY_MISSING, PROVENANCE, *(name + DETAILS for name in HEADLINES)}
    strangers = [column for column in header if column not in known and key_of(column) is None]
    doubles = sorted({column for column in header if header.count(column) > 1})
    if strangers or doubles:
        what = f"the column {strangers[0]!r} is none of ours" if strangers else f"two columns are called {doubles[0]!r}"
        raise InputError(f"{origin}: {what}; keep the header of the export as it was")


def _clip_value(name: str, cell: str) -> str | int | float | bool | None:
    kind = CLIP_COLUMNS[name]
    if kind == "bool":
        if cell.lower() not in ("true", "false"):
            raise ValueError(f"{name} must be true or false, got {cell!r}")
        return cell.lower() == "true"
    return int(cell) if kind == "int" else float(cell) if kind == "float" else read_text(cell)


def _fields(
    cells: Mapping[str, str], where: str, clip_id: str, content: FileContent, space: LabelSpace
) -> list[tuple[FieldKey, Json, str | None, Provenance | None]]:
    """Key, value, reason and provenance of each field; provenance is None of what was edited."""
    sources, reasons = _object(cells, PROVENANCE), _object(cells, WHY_MISSING)
    found: list[tuple[FieldKey, Json, str | None, Provenance | None]] = []
    for column in cells:
        key = key_of(column)
        value = None if key is None else _value(column, key, cells)
        if key is None or value is None:
            continue
        provenance, sha = _read_provenance(sources.get(column))
        if sha != value_hash(value):
            if provenance is not None:
                content.problems.add(f"edited since it was exported: {column}", f"{where}: {clip_id}")
            value, provenance = _edited(key, value, where, content, space), None
        if value is not None:
            found.append((key, value, None, provenance))
    for column, why in reasons.items():
        key = key_of(column)
        if key is not None and isinstance(why, str) and why and not cells.get(column):
            found.append((key, None, why, _read_provenance(sources.get(column))[0]))
    return found


def _value(column: str, key: FieldKey, cells: Mapping[str, str]) -> Json:
    cell = cells[column]
    if not cell:
        return None
    if key[0] in HEADLINES:
        return {HEADLINES[key[0]]: read_text(cell) or "", **_object(cells, column + DETAILS)}
    return read_text(cell) if key[0] in TEXT_FIELDS else parse_json(cell)


def _edited(key: FieldKey, value: Json, where: str, content: FileContent, space: LabelSpace) -> Json:
    """What an edited cell becomes, None where it cannot be: a new label loses the measurements of the old one."""
    if key[0] == "split" and value not in SPLITS:
        content.problems.add(f"unknown split {value!r} (expected {', '.join(SPLITS)})", where)
        return None
    if key[0] != "label" or not isinstance(value, dict):
        return value or None
    label = content.known_label(str(value["label"]).strip(), where, space)
    return None if label is None else pseudo_label(label, "given")


def _object(cells: Mapping[str, str], column: str) -> dict[str, Json]:
    value = parse_json(cells.get(column) or "{}")
    if not isinstance(value, dict):
        raise ValueError(f"{column} must be a JSON object")
    return value
