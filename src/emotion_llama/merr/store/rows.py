"""Records to and from the ledger's columns. Pure."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import Any, TypeAlias

from emotion_llama.merr.plan import canonical
from emotion_llama.merr.records import ClipRow, Field, Provenance, StageRun

Row: TypeAlias = tuple[Any, ...]  # as SQLite gives it

CLIP_COLUMNS = tuple(f.name for f in fields(ClipRow))
RUN_COLUMNS = tuple(f.name for f in fields(StageRun))
FIELD_COLUMNS = ("name", "language", "value", "why_missing", "provenance")


def clip_to_row(clip: ClipRow) -> Row:
    """Values for CLIP_COLUMNS. A path that is no text in UTF-8 is kept as its bytes."""
    values = dict(vars(clip))  # flat: asdict would copy deeply, at a third of an import's time
    if clip.path is not None:
        raw = clip.path.encode("utf-8", "surrogateescape")
        values["path"] = clip.path if _is_text(raw) else raw
    return tuple(values[name] for name in CLIP_COLUMNS)


def clip_from_row(row: Row) -> ClipRow:
    """The clip of a row of CLIP_COLUMNS."""
    values = dict(zip(CLIP_COLUMNS, row, strict=True))
    if isinstance(values["path"], bytes):
        values["path"] = values["path"].decode("utf-8", "surrogateescape")
    if values["has_audio"] is not None:
        values["has_audio"] = bool(values["has_audio"])
    return ClipRow(**values)


def run_from_row(row: Row) -> StageRun:
    """The run of a row of RUN_COLUMNS."""
    values = dict(zip(RUN_COLUMNS, row, strict=True))
    return StageRun(**{**values, "current": bool(values["current"])})


def field_to_row(item: Field) -> Row:
    """Values for FIELD_COLUMNS."""
    value = None if item.value is None else canonical(item.value)
    return item.name, item.language, value, item.why_missing, canonical(vars(item.provenance))


def field_from_row(row: Row) -> Field:
    """The field of a row of FIELD_COLUMNS."""
    name, language, value, why_missing, provenance = row
    return Field(
        name, None if value is None else json.loads(value), Provenance(**json.loads(provenance)), language, why_missing
    )


def storable(text: str) -> str:
    """`text` with half characters (of broken replies and file names) written out, so that it is valid UTF-8."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _is_text(raw: bytes) -> bool:
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
