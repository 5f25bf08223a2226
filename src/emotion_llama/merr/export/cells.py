"""How values stand in the cells of our CSV, so that they come back as they were; shared by export and import.

An empty cell is nothing. Texts stand as they are; lists and objects as JSON. A text that a spreadsheet would take for a
formula (it begins with = + - @, a tab or a carriage return), an empty text, and a text that looks like one so marked,
get one apostrophe in front, which the import takes away.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import fields
from typing import NamedTuple

from emotion_llama.errors import InputError
from emotion_llama.merr.columns import HEADLINES, column_of, value_hash
from emotion_llama.merr.records import ClipRow, Field, Json, Provenance

# Fields whose value is one text; all others are JSON.
TEXT_FIELDS = frozenset({"visual_objective", "audio_tone", "coarse_caption", "fine_caption", "split"})
DETAILS = "_details"
CLIP_COLUMNS: tuple[str, ...] = tuple(f.name for f in fields(ClipRow))
CLIP_TYPES: Mapping[str, str] = {f.name: str(f.type).removesuffix(" | None") for f in fields(ClipRow)}
NOT_FINE, WHY_MISSING, PROVENANCE = "not_fine", "why_missing", "provenance"
_MARKED = re.compile(r"'*(?:[=+\-@\t\r]|\Z)")


class Cell(NamedTuple):
    """A column's name and its cell."""

    column: str
    text: str


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


def write_json(value: Json) -> str:
    """A JSON value's cell, readable: not escaped."""
    return json.dumps(value, ensure_ascii=False)


def field_cells(found: Field) -> list[Cell]:
    """The cells of a field that has a value.

    Raises:
        InputError: the value is not of the field's kind.
    """
    column, value = column_of((found.name, found.language)), found.value
    if found.name in HEADLINES:
        headline = HEADLINES[found.name]
        if not isinstance(value, dict) or not isinstance(value.get(headline), str):
            raise InputError(f"the field {column} is an object with {headline!r}, got {value!r}")
        rest = {k: v for k, v in value.items() if k != headline}
        return [Cell(column, write_text(str(value[headline]))), Cell(column + DETAILS, write_json(rest))]
    if found.name not in TEXT_FIELDS:
        return [Cell(column, write_json(value))]
    if not isinstance(value, str):
        raise InputError(f"the field {column} is a text, got {value!r}")
    return [Cell(column, write_text(value))]


def clip_cells(clip: ClipRow) -> list[Cell]:
    """The cells of a clip's own row."""
    return [Cell(name, _clip_cell(getattr(clip, name))) for name in CLIP_COLUMNS]


def _clip_cell(value: str | float | bool | None) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return write_text(value) if isinstance(value, str) else repr(value)


def provenance_json(found: Field) -> dict[str, Json]:
    """Where a field comes from, without times, which differ between builds of the same content."""
    p = found.provenance
    known: dict[str, Json] = {
        "prompt_sha256": p.prompt_sha256, "label_shown": p.label_shown or None, "tokens_in": p.tokens_in,
        "tokens_out": p.tokens_out,
    }  # fmt: skip
    return {
        "annotator": p.annotator,
        "model": p.model,
        **{name: value for name, value in known.items() if value is not None},
        "value_sha256": value_hash(found.value),
    }


def read_provenance(value: Json) -> tuple[Provenance, str] | None:
    """What `provenance_json` wrote, and the value's hash; None when it is something else."""
    if not isinstance(value, dict):
        return None
    known = {k: v for k, v in value.items() if k != "value_sha256"}
    try:
        return Provenance(**known), str(value["value_sha256"])  # type: ignore[arg-type]
    except (TypeError, KeyError):
        return None
