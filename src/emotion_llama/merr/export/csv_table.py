"""Our CSV: one row a sample, everything in it; `emotion-llama merr import` brings it back as it was."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from emotion_llama.merr.columns import HEADLINES, column_of
from emotion_llama.merr.export.cells import (
    CLIP_COLUMNS,
    DETAILS,
    NOT_FINE,
    PROVENANCE,
    WHY_MISSING,
    clip_cells,
    field_cells,
    provenance_json,
    write_json,
    write_text,
)
from emotion_llama.merr.export.choice import Written, by_set
from emotion_llama.merr.export.selection import Selection, Taken
from emotion_llama.merr.records import FIELDS, FieldKey

FILE = "samples.csv"
# What people read comes first.
_FIRST = (
    "label", "subtitle", "split", "visual_expression", "visual_objective", "audio_tone", "coarse_caption",
    "fine_caption",
)  # fmt: skip


def write_csv(half: Path, selection: Selection) -> Written:
    """Write `samples.csv`: UTF-8, rows end with CR LF, cells quoted where needed (RFC 4180).

    CR LF, because Python's writer quotes a lone CR in a cell only when it is part of a row's end.
    """
    keys = _keys(selection)
    columns = _columns(keys)
    wanted = set(keys)
    rows = fine = 0
    with (half / FILE).open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns, restval="")
        writer.writeheader()
        for taken in selection:
            writer.writerow(_row(taken, wanted))
            rows, fine = rows + 1, fine + taken.fine
    return Written({FILE: rows}, by_set(selection.choice, rows, fine), dict(selection.left_out))


def _keys(selection: Selection) -> list[FieldKey]:
    """Fields that any sample of the build has, those that people read first."""
    languages = {"", *selection.described}
    found = {key for taken in selection for key in taken.sample.fields if key[1] in languages}
    order = {name: place for place, name in enumerate((*_FIRST, *FIELDS))}
    return sorted(found, key=lambda key: (order.get(key[0], len(order)), key))


def _columns(keys: Sequence[FieldKey]) -> list[str]:
    first = [column_of(key) for key in keys if key[0] in _FIRST]
    rest = [column_of(key) for key in keys if key[0] not in _FIRST]
    details = [column + DETAILS for column in (*first, *rest) if column in HEADLINES]
    others = [name for name in CLIP_COLUMNS if name != "clip_id"]
    return ["clip_id", *first, NOT_FINE, *rest, *details, *others, WHY_MISSING, PROVENANCE]


def _row(taken: Taken, wanted: set[FieldKey]) -> dict[str, str]:
    sample = taken.sample
    row = dict(clip_cells(sample.clip))
    missing: dict[str, str] = {}
    for key in sorted(wanted & sample.fields.keys()):
        found = sample.fields[key]
        if found.why_missing is not None:
            missing[column_of(key)] = found.why_missing
        else:
            row.update(dict(field_cells(found)))
    dropped = next((r.reason or "" for r in sample.runs.values() if r.status == "dropped" and r.scope == "fine"), None)
    row[NOT_FINE] = write_text(dropped)
    row[WHY_MISSING] = write_json(dict(missing)) if missing else ""
    row[PROVENANCE] = write_json(
        {column_of(k): provenance_json(sample.fields[k]) for k in sorted(wanted & sample.fields.keys())}
    )
    return row
