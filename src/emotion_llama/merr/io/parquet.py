"""Parquet as Hugging Face loads it: data/SPLIT-00000-of-0000N.parquet in typed columns, and a data-set card beside it.

Objects whose keys vary (units, tone words) are lists of pairs, since the readers of data sets know no maps. What has no
fixed shape stands as JSON text.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import fields
from importlib.util import find_spec
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, TypeAlias

from emotion_llama.errors import MissingDependency
from emotion_llama.merr.columns import column_of
from emotion_llama.merr.io.card import Maker, card_text, without_places
from emotion_llama.merr.io.csv_table import provenance_json
from emotion_llama.merr.io.rows import Media, Row, Rows, Written
from emotion_llama.merr.records import Json, Sample
from emotion_llama.merr.statistics import SPLITS
from emotion_llama.merr.values import part, subtitle_language, text_of, units_of
from emotion_llama.records import Prosody

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

SHARD_BYTES = 400 * 1024 * 1024  # own choice: below the 500 MB that Hugging Face's own writer aims at
_ROWS_TEXT, _ROWS_MEDIA = 1000, 100  # rows of a row group; with pictures fewer, so that a viewer reads little

# Column type: a name of Arrow's, "Image" or "Audio" (Hugging Face: {bytes, path}), [T] a list of T, {..} an object.
Kind: TypeAlias = Any  # str | list[Kind] | dict[str, Kind]: a recursive type that says itself what it is
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
_ARTIFACTS: Mapping[Media, dict[str, Kind]] = {
    "none": {},
    "peak": {"peak_frame": "Image"},
    "all": {"peak_frame": "Image", "face_crop": "Image", "sound": "Audio"},
}


def write_parquet(half: Path, rows: Rows, *, shard_bytes: int = SHARD_BYTES) -> Written:
    """Write the table and README.md into `half`. The same samples give the same bytes.

    Raises:
        MissingDependency: pyarrow is not installed.
    """
    if find_spec("pyarrow") is None:
        raise MissingDependency("pyarrow", "an export to Parquet", "pip install 'emotion-llama[model]'")
    choice = rows.choice
    kinds = column_kinds(rows.described, choice.media, fine=choice.scope != "coarse")
    at_once = _ROWS_TEXT if choice.media == "none" else _ROWS_MEDIA
    writers: dict[str, _Split] = {}
    labels: Counter[str] = Counter()
    makers: Counter[Maker] = Counter()
    fine = 0
    (half / "data").mkdir()
    for row in rows:
        fine += row.fine
        labels[row.label or "(none)"] += 1
        makers.update(_makers(row.sample))
        if row.split not in writers:
            writers[row.split] = _Split(half / "data", row.split, arrow_schema(kinds), at_once, shard_bytes)
        writers[row.split].add({**cells_of(row, kinds, rows.described), **_media_cells(row, rows)})
    files: dict[str, int | None] = {}
    splits = {}
    for split in (s for s in SPLITS if s in writers):
        shards = writers[split].close()
        files |= {f"data/{path.name}": count for path, count in shards}
        file_bytes = sum(path.stat().st_size for path, _ in shards)
        splits[split] = sum(count for _, count in shards), file_bytes, writers[split].raw_bytes
    card = card_text(
        name=choice.name, languages=rows.described, licence=choice.licence, splits=splits, features=hf_yaml(kinds),
        labels=labels, fine=fine, makers=makers, left_out=rows.left_out, recipe=_recipe(rows.store.folder),
    )  # fmt: skip
    (half / "README.md").write_text(card, encoding="utf-8", newline="\n")
    notes = () if choice.licence else ("README.md has no licence yet: give --license, or set it there before sharing",)
    return {**files, "README.md": None}, rows.by_set(labels.total(), fine), notes


def column_kinds(languages: Sequence[str], media: Media, *, fine: bool) -> dict[str, Kind]:
    """The columns of a table; without the fine set's where it holds none of it."""
    described = {
        column_of((name, language)): kind
        for language in languages
        for name, kind in _BY_LANGUAGE.items()
        if fine or name not in ("fine_caption", "clues")
    }
    return {
        "clip_id": "string", "label": "string", "in_fine": "bool", "subtitle": "string", "subtitle_language": "string",
        **described, "label_details": _LABEL, "peak": _PEAK, "tone": "string", "tone_words": ["string"],
        "prosody": _PROSODY, "conflicts": [_CONFLICT], **_CLIP, **_ARTIFACTS[media],
        "other_fields": "string", "why_missing": "string", "provenance": "string",
    }  # fmt: skip


def cells_of(row: Row, kinds: Mapping[str, Kind], languages: Sequence[str]) -> dict[str, Any]:  # a row for pyarrow
    """A sample's row without its media; None where it has no value."""
    sample, clip = row.sample, row.sample.clip
    label, tone = sample.value("label"), sample.value("tone")
    words = part(tone, "words")
    cells: dict[str, Any] = {
        "clip_id": clip.clip_id,
        "label": part(label, "label"),
        "in_fine": row.fine,
        "subtitle": row.subtitle,
        "subtitle_language": subtitle_language(sample.value("subtitle")),
        "label_details": _object(label, _LABEL),
        "peak": _object(sample.value("peak"), _PEAK),
        "tone": part(tone, "phrase"),
        "tone_words": list(words) if isinstance(words, Mapping) else None,
        "prosody": _object(sample.value("prosody"), _PROSODY),
        "conflicts": [_object(conflict, _CONFLICT) for conflict in _list(sample.value("conflicts"))],
        "media_file": None if clip.path is None else PurePath(clip.path).name,
        "media_sha256": clip.sha256,
        **{name: getattr(clip, name) for name in _CLIP if not name.startswith("media_")},
        **_json_cells(sample, languages),
    }
    for language in languages:
        for name, kind in _BY_LANGUAGE.items():
            cells[column_of((name, language))] = _described(sample.value(name, language), kind)
    return {name: cells.get(name) for name in kinds}


def _media_cells(row: Row, rows: Rows) -> dict[str, dict[str, Any]]:
    """Bytes and file name of the pictures and the sound that were asked for."""
    cells = {}
    for name in _ARTIFACTS[rows.choice.media]:
        data = rows.store.artifact(row.clip_id, name) if name in row.sample.artifacts else None
        if data is not None:
            cells[name] = {"bytes": data, "path": f"{row.clip_id}_{name}{PurePath(row.sample.artifacts[name]).suffix}"}
    return cells


def _json_cells(sample: Sample, languages: Sequence[str]) -> dict[str, str]:
    """What has no column of its own, why fields are missing, and where they come from."""
    mine = {key: found for key, found in sorted(sample.fields.items()) if key[1] in ("", *languages)}
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
        return [{"name": name, "value": number} for name, number in (units_of({"units": value}) or {}).items()]
    return [str(v) for v in _list(value)] if isinstance(kind, list) else value


def _list(value: Json) -> list[Json]:
    return value if isinstance(value, list) else []


def arrow_schema(kinds: Mapping[str, Kind]) -> pa.Schema:
    """The Arrow schema, with Hugging Face's features in its metadata."""
    import pyarrow as pa

    about = json.dumps({"info": {"features": {name: _feature(kind) for name, kind in kinds.items()}}})
    return pa.schema([(name, _arrow(kind)) for name, kind in kinds.items()], metadata={"huggingface": about})


def hf_yaml(kinds: Mapping[str, Kind]) -> list[dict[str, Any]]:  # as a data-set card lists them
    """The columns as the front matter of a data-set card names them."""
    found = []
    for name, kind in kinds.items():
        if isinstance(kind, list):
            column: dict[str, Any] = {"list": hf_yaml(kind[0]) if isinstance(kind[0], dict) else kind[0]}
        elif isinstance(kind, dict):
            column = {"struct": hf_yaml(kind)}
        else:
            column = {"dtype": kind.lower() if kind in ("Image", "Audio") else kind}
        found.append({"name": name, **column})
    return found


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


def _makers(sample: Sample) -> list[Maker]:
    """Who made each of its fields that are there."""
    found = []
    for (name, language), made in sample.fields.items():
        p = made.provenance
        if made.value is not None:
            kind = f"{name} ({language})" if language else name
            found.append((kind, p.annotator, p.model, p.prompt_sha256 or "", p.label_shown))
    return found


def _recipe(folder: Path) -> str:
    path = folder / "recipe.yaml"
    return path.read_text(encoding="utf-8") if path.is_file() else ""


class _Split:
    """The shards of one split, written one after the other and named once their number is known."""

    def __init__(self, folder: Path, split: str, schema: pa.Schema, at_once: int, shard_bytes: int) -> None:
        self._folder, self._split, self._schema = folder, split, schema
        self._at_once, self._limit = at_once, shard_bytes
        self._rows: list[dict[str, Any]] = []
        self._writer: pq.ParquetWriter | None = None
        self._shards: list[tuple[Path, int]] = []
        self._shard_bytes = 0
        self.raw_bytes = 0  # of the table in memory, which Hugging Face calls the data set's size

    def add(self, cells: dict[str, Any]) -> None:
        self._rows.append(cells)
        if len(self._rows) >= self._at_once:
            self._flush()

    def close(self) -> list[tuple[Path, int]]:
        """End the last shard; the files under their names, with their rows."""
        self._flush()
        self._end_shard()
        total = len(self._shards)
        return [
            (path.replace(self._folder / f"{self._split}-{number:05d}-of-{total:05d}.parquet"), rows)
            for number, (path, rows) in enumerate(self._shards)
        ]

    def _flush(self) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        if not self._rows:
            return
        batch: pa.Table = pa.Table.from_pylist(self._rows, schema=self._schema)
        if self._writer is None:
            path = self._folder / f".{self._split}-{len(self._shards)}"
            self._writer = pq.ParquetWriter(path, self._schema, compression="zstd", version="2.6")
            self._shards.append((path, 0))
        self._writer.write_table(batch)
        path, rows = self._shards[-1]
        self._shards[-1] = (path, rows + len(self._rows))
        self._shard_bytes += batch.nbytes
        self.raw_bytes += batch.nbytes
        self._rows.clear()
        if self._shard_bytes >= self._limit:
            self._end_shard()

    def _end_shard(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer, self._shard_bytes = None, 0
