"""The typed columns of the Parquet table: their Arrow types, their names for Hugging Face, and a sample's row.

Objects whose keys vary (units, tone words) are lists of pairs, since the readers of data sets know no maps. What has no
fixed shape stands as JSON text.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, NamedTuple

from emotion_llama.merr.columns import column_of
from emotion_llama.merr.export.card import without_places
from emotion_llama.merr.export.cells import provenance_json
from emotion_llama.merr.export.choice import Media
from emotion_llama.merr.export.selection import Taken
from emotion_llama.merr.records import Json, Sample
from emotion_llama.merr.values import part, subtitle_language, subtitle_text, text_of, units_of
from emotion_llama.records import Prosody

if TYPE_CHECKING:
    import pyarrow as pa

# Column type: a name of Arrow's, "Image" or "Audio" (Hugging Face: {bytes, path}), [T] a list of T, {..} an object.
Kind = Any  # str | list[Kind] | dict[str, Kind]: a recursive type that says itself what it is
_PAIRS: Kind = [{"name": "string", "value": "float64"}]
_PROSODY: dict[str, Kind] = {
    f.name: "string" if f.name == "backend" else "int64" if f.name == "pause_count" else "float64"
    for f in fields(Prosody)
}
_CONFLICT = dict.fromkeys(("first", "first_label", "second", "second_label", "text"), "string")
_PEAK = {
    "frame_index": "int64", "pts_seconds": "float64", "score": "float64", "rule": "string", "why": "string",
    "units": _PAIRS,
}  # fmt: skip
_LABEL = {
    "source": "string", "strength": "string", "score": "float64", "confidence": "float64", "table": "string",
    "by_rules": "string", "units": _PAIRS, "candidates": _PAIRS,
}  # fmt: skip
_BY_LANGUAGE: dict[str, Kind] = {
    "coarse_caption": "string", "fine_caption": "string", "visual_expression": ["string"],
    "visual_objective": "string", "audio_tone": "string",
    "clues": {"supporting": ["string"], "misleading": ["string"], "label": "string"},
}  # fmt: skip
_CLIP: dict[str, Kind] = {
    "media_file": "string", "media_sha256": "string", "frame_count": "int64", "duration_seconds": "float64",
    "fps": "float64", "width": "int64", "height": "int64", "has_audio": "bool", "source": "string", "person": "string",
}  # fmt: skip
_MEDIA: Mapping[Media, dict[str, Kind]] = {
    "none": {},
    "peak": {"peak_frame": "Image"},
    "all": {"peak_frame": "Image", "face_crop": "Image", "sound": "Audio"},
}


class Columns(NamedTuple):
    """The table's columns: name -> kind, for these languages and media."""

    kinds: dict[str, Kind]
    languages: tuple[str, ...]
    media: Media


def columns(languages: Sequence[str], media: Media, *, fine: bool) -> Columns:
    """The columns of a table; without the fine set's where it holds none of it."""
    described = {
        column_of((name, language)): kind
        for language in languages
        for name, kind in _BY_LANGUAGE.items()
        if fine or name not in ("fine_caption", "clues")
    }
    kinds: dict[str, Kind] = {
        "clip_id": "string", "label": "string", "in_fine": "bool", "subtitle": "string", "subtitle_language": "string",
        **described, "label_details": _LABEL, "peak": _PEAK, "tone": "string", "tone_words": ["string"],
        "prosody": _PROSODY, "conflicts": [_CONFLICT], **_CLIP, **_MEDIA[media],
        "other_fields": "string", "why_missing": "string", "provenance": "string",
    }  # fmt: skip
    return Columns(kinds, tuple(languages), media)


def row(taken: Taken, table: Columns, artifacts: Mapping[str, bytes]) -> dict[str, Any]:  # a row for pyarrow
    """A sample's row; None where it has no value."""
    sample, clip = taken.sample, taken.sample.clip
    label, peak, tone = sample.value("label"), sample.value("peak"), sample.value("tone")
    words = part(tone, "words")
    cells: dict[str, Any] = {
        "clip_id": clip.clip_id,
        "label": part(label, "label"),
        "in_fine": taken.fine,
        "subtitle": subtitle_text(sample.value("subtitle")),
        "subtitle_language": subtitle_language(sample.value("subtitle")),
        "label_details": _object(label, _LABEL),
        "peak": _object(peak, _PEAK),
        "tone": part(tone, "phrase"),
        "tone_words": list(words) if isinstance(words, Mapping) else None,
        "prosody": _object(sample.value("prosody"), _PROSODY),
        "conflicts": [_object(c, _CONFLICT) for c in _list(sample.value("conflicts"))],
        "media_file": None if clip.path is None else PurePath(clip.path).name,
        "media_sha256": clip.sha256,
        **{name: getattr(clip, name) for name in _CLIP if not name.startswith("media_")},
        **_json_cells(sample, table),
    }
    for language in table.languages:
        for name, kind in _BY_LANGUAGE.items():
            cells[column_of((name, language))] = _described(sample.value(name, language), kind)
    for name, data in artifacts.items():
        suffix = PurePath(sample.artifacts[name]).suffix
        cells[name] = {"bytes": data, "path": f"{clip.clip_id}_{name}{suffix}"}
    return {name: cells.get(name) for name in table.kinds}


def schema(table: Columns) -> pa.Schema:
    """The Arrow schema, with Hugging Face's features in its metadata."""
    import pyarrow as pa

    features = {name: _feature(kind) for name, kind in table.kinds.items()}
    about = json.dumps({"info": {"features": features}})
    return pa.schema([(name, _arrow(kind)) for name, kind in table.kinds.items()], metadata={"huggingface": about})


def yaml_features(table: Columns) -> list[dict[str, Any]]:  # as a data-set card lists them
    """The columns as the front matter of a data-set card names them."""
    return [{"name": name, **_yaml_feature(kind)} for name, kind in table.kinds.items()]


def _json_cells(sample: Sample, table: Columns) -> dict[str, str]:
    """What has no column of its own, why fields are missing, and where they come from."""
    mine = {key: found for key, found in sorted(sample.fields.items()) if key[1] in ("", *table.languages)}
    taken = {"label", "subtitle", "peak", "tone", "prosody", "conflicts", "split", "features", *_BY_LANGUAGE}
    others = {column_of(k): f.value for k, f in mine.items() if k[0] not in taken and f.value is not None}
    # Reasons and places may name folders of the machine, which are nobody else's business.
    missing = {column_of(k): without_places(f.why_missing) for k, f in mine.items() if f.why_missing is not None}
    sources = {column_of(k): provenance_json(f) for k, f in mine.items()}
    named = {"other_fields": others, "why_missing": missing, "provenance": sources}
    return {name: json.dumps(value, ensure_ascii=False) for name, value in named.items()}


def _described(value: Json, kind: Kind) -> Any:  # a cell for pyarrow
    if isinstance(kind, list):
        return [str(v) for v in _list(value)] if value is not None else None
    return _object(value, kind) if isinstance(kind, dict) else text_of(value)


def _object(value: Json, kind: Mapping[str, Kind]) -> dict[str, Any] | None:  # a cell for pyarrow
    if not isinstance(value, Mapping):
        return None
    return {name: _member(value.get(name), inner) for name, inner in kind.items()}


def _member(value: Json, kind: Kind) -> Any:  # a cell for pyarrow
    if kind is _PAIRS:
        pairs = units_of({"units": value}) or {}
        return [{"name": name, "value": number} for name, number in pairs.items()]
    return [str(v) for v in _list(value)] if isinstance(kind, list) else value


def _list(value: Json) -> list[Json]:
    return value if isinstance(value, list) else []


def _arrow(kind: Kind) -> pa.DataType:
    import pyarrow as pa

    if isinstance(kind, list):
        return pa.list_(_arrow(kind[0]))
    if isinstance(kind, dict):
        return pa.struct([(name, _arrow(inner)) for name, inner in kind.items()])
    if kind in ("Image", "Audio"):
        return pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    return pa.bool_() if kind == "bool" else pa.type_for_alias(kind)


def _feature(kind: Kind) -> Any:  # as `datasets.Features.to_dict` writes them; a bare list is read by all versions
    if isinstance(kind, list):
        return [_feature(kind[0])]
    if isinstance(kind, dict):
        return {name: _feature(inner) for name, inner in kind.items()}
    return {"_type": kind} if kind in ("Image", "Audio") else {"dtype": kind, "_type": "Value"}


def _yaml_feature(kind: Kind) -> dict[str, Any]:
    if isinstance(kind, list):
        inner = kind[0]
        return {"list": _yaml_members(inner) if isinstance(inner, dict) else inner}
    if isinstance(kind, dict):
        return {"struct": _yaml_members(kind)}
    return {"dtype": kind.lower() if kind in ("Image", "Audio") else kind}


def _yaml_members(kind: Mapping[str, Kind]) -> list[dict[str, Any]]:
    return [{"name": name, **_yaml_feature(inner)} for name, inner in kind.items()]
