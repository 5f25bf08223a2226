"""Parquet as Hugging Face loads it: data/SPLIT-00000-of-0000N.parquet in typed columns, and a data-set card beside it.

Objects whose keys vary (units, tone words) are lists of pairs, since data sets of Hugging Face have no maps. What has
no fixed shape stands as JSON text.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields
from importlib import resources
from importlib.util import find_spec
from operator import attrgetter
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, TypeAlias

from emotion_llama import __version__
from emotion_llama.errors import MissingDependency
from emotion_llama.merr.io.csv_table import provenance_json
from emotion_llama.merr.io.rows import Media, Row, Rows, Written, write_utf8
from emotion_llama.merr.records import (
    SPLITS,
    Json,
    Sample,
    column_of,
    list_of,
    part,
    shown_key,
    text_of,
    text_part,
    units_of,
)
from emotion_llama.merr.statistics import by_size
from emotion_llama.records import Prosody

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

SHARD_BYTES = 400 * 1024 * 1024  # own choice: below the 500 MB that Hugging Face's own writer aims at
_ROWS_TEXT, _ROWS_MEDIA = 1000, 100  # rows of a row group; with pictures fewer, so that a viewer reads little

# Column type: a name of Arrow's, "Image" or "Audio" (Hugging Face: {bytes, path}), [T] a list of T, {..} an object.
Kind: TypeAlias = Any  # str | list[Kind] | dict[str, Kind]: a recursive type that says itself what it is
Value: TypeAlias = Callable[[Row], Any]  # a cell for pyarrow; None where there is no value
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
_OF_CLIP: dict[str, Kind] = {
    "frame_count": "int64", "duration_seconds": "float64", "fps": "float64", "width": "int64", "height": "int64",
    "has_audio": "bool", "source": "string", "person": "string",
}  # fmt: skip
_ARTIFACTS: Mapping[Media, dict[str, Kind]] = {
    "none": {},
    "peak": {"peak_frame": "Image"},
    "all": {"peak_frame": "Image", "face_crop": "Image", "sound": "Audio"},
}
# Fields that have columns of their own; the others stand in `other_fields`.
_TAKEN = frozenset({"label", "subtitle", "peak", "tone", "prosody", "conflicts", "split", "features", *_BY_LANGUAGE})
# Field, annotator, model, SHA-256 of the prompt's text ("" without one), whether the label was shown.
Maker: TypeAlias = tuple[str, str, str, str, bool]
_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
_URL = re.compile(r"https?://[^\s'\"]+")
_PATH = re.compile(r"(?<![\w.:/])(?:~|[A-Za-z]:)?/(?:[^\s'\"/]+/)+([^\s'\"/]*)")
_MAKER_COLUMNS = ("field", "made by", "model or method", "prompt (SHA-256)", "saw the label", "samples")
_LANGUAGE_NAMES = {"en": "English", "zh": "Chinese"}


def write_parquet(half: Path, rows: Rows, *, shard_bytes: int = SHARD_BYTES) -> Written:
    """Write the table and README.md into `half`. The same samples give the same bytes.

    Raises:
        MissingDependency: pyarrow is not installed.
    """
    if find_spec("pyarrow") is None:
        raise MissingDependency("pyarrow", "an export to Parquet", "pip install 'emotion-llama[model]'")
    choice = rows.choice
    columns = _columns(rows)
    kinds = {name: kind for name, (kind, _) in columns.items()}
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
            writers[row.split] = _Split(half / "data", row.split, _arrow_schema(kinds), at_once, shard_bytes)
        writers[row.split].add({name: value(row) for name, (_, value) in columns.items()})
    files: dict[str, int | None] = {}
    splits = {}
    for split in (s for s in SPLITS if s in writers):
        shards = writers[split].close()
        files |= {f"data/{path.name}": count for path, count in shards}
        file_bytes = sum(path.stat().st_size for path, _ in shards)
        splits[split] = sum(count for _, count in shards), file_bytes, writers[split].raw_bytes
    write_utf8(half / "README.md", _card(rows, splits, kinds, labels, fine, makers))
    notes = () if choice.licence else ("README.md has no licence yet: give --license, or set it there before sharing",)
    return {**files, "README.md": None}, rows.by_set(labels.total(), fine), notes


# --- columns


def _columns(rows: Rows) -> dict[str, tuple[Kind, Value]]:
    """Column -> its kind and how its cell follows from a row; without the fine set's where it holds none of it."""
    languages, fine = rows.described, rows.choice.scope != "coarse"
    described = {
        column_of((name, language)): _field(name, kind, language)
        for language in languages
        for name, kind in _BY_LANGUAGE.items()
        if fine or name not in ("fine_caption", "clues")
    }
    return {
        "clip_id": ("string", lambda row: row.clip_id),
        "label": ("string", lambda row: row.label),
        "in_fine": ("bool", lambda row: row.fine),
        "subtitle": ("string", lambda row: row.subtitle),
        "subtitle_language": ("string", lambda row: text_part(row.sample.value("subtitle"), "language")),
        **described,
        "label_details": _field("label", _LABEL),
        "peak": _field("peak", _PEAK),
        "tone": ("string", lambda row: part(row.sample.value("tone"), "phrase")),
        "tone_words": (["string"], _tone_words),
        "prosody": _field("prosody", _PROSODY),
        "conflicts": ([_CONFLICT], lambda row: _cell(list_of(row.sample.value("conflicts")), [_CONFLICT])),
        "media_file": ("string", lambda row: row.sample.clip.path and PurePath(row.sample.clip.path).name),
        "media_sha256": ("string", lambda row: row.sample.clip.sha256),
        **{name: (kind, attrgetter(f"sample.clip.{name}")) for name, kind in _OF_CLIP.items()},
        **{name: _artifact(name, kind, rows) for name, kind in _ARTIFACTS[rows.choice.media].items()},
        "other_fields": _json(languages, lambda key, f: f.value if key[0] not in _TAKEN else None),
        # Reasons and places may name folders of the machine, which are nobody else's business.
        "why_missing": _json(languages, lambda key, f: f.why_missing and without_places(f.why_missing)),
        "provenance": _json(languages, lambda key, f: provenance_json(f)),
    }


def _field(name: str, kind: Kind, language: str = "") -> tuple[Kind, Value]:
    if kind == "string":
        return kind, lambda row: text_of(row.sample.value(name, language))
    return kind, lambda row: _cell(row.sample.value(name, language), kind)


def _artifact(name: str, kind: Kind, rows: Rows) -> tuple[Kind, Value]:
    def value(row: Row) -> dict[str, Any] | None:
        data = rows.store.artifact(row.clip_id, name) if name in row.sample.artifacts else None
        suffix = PurePath(row.sample.artifacts.get(name, "")).suffix
        return None if data is None else {"bytes": data, "path": f"{row.clip_id}_{name}{suffix}"}

    return kind, value


def _json(languages: Sequence[str], value_of: Callable[..., Json]) -> tuple[Kind, Value]:
    """A column that holds, as JSON, what `value_of` (key, field) gives of the fields in these languages."""

    def value(row: Row) -> str:
        mine = sorted((key, f) for key, f in row.sample.fields.items() if key[1] in ("", *languages))
        found = {column_of(key): value_of(key, f) for key, f in mine}
        return json.dumps({name: v for name, v in found.items() if v is not None}, ensure_ascii=False)

    return "string", value


def _tone_words(row: Row) -> list[str] | None:
    words = part(row.sample.value("tone"), "words")
    return list(words) if isinstance(words, Mapping) else None


def _cell(value: Json, kind: Kind) -> Any:  # a cell for pyarrow
    if kind is _PAIRS:
        return [{"name": name, "value": number} for name, number in units_of({"units": value}).items()]
    if isinstance(kind, list):
        return None if value is None else [_cell(item, kind[0]) for item in list_of(value)]
    if isinstance(kind, dict):
        return {name: _cell(part(value, name), k) for name, k in kind.items()} if isinstance(value, Mapping) else None
    return value


def _arrow_schema(kinds: Mapping[str, Kind]) -> pa.Schema:
    import pyarrow as pa

    about = json.dumps({"info": {"features": {name: _feature(kind) for name, kind in kinds.items()}}})
    return pa.schema([(name, _arrow(kind)) for name, kind in kinds.items()], metadata={"huggingface": about})


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


# --- the card: README.md with the front matter that Hugging Face reads


def _card(
    rows: Rows,
    splits: Mapping[str, tuple[int, int, int]],
    kinds: Mapping[str, Kind],
    labels: Mapping[str, int],
    fine: int,
    makers: Mapping[Maker, int],
) -> str:
    """The card's text; `splits` has the rows, the bytes of the files and the bytes in memory of each split."""
    from jinja2 import Template

    maker_rows = (
        (field, _md(annotator), _md(model), prompt[:12] or "-", "yes" if shown else "no", f"{count:,}")
        for (field, annotator, model, prompt, shown), count in sorted(makers.items())
    )
    split_rows = ((split, f"{count:,}", f"{size:,}") for split, (count, size, _) in splits.items())
    left_out = ((f"{count:,}", _md(why)) for why, count in by_size(rows.left_out).items())
    recipe = rows.store.folder / "recipe.yaml"
    template = resources.files("emotion_llama.merr").joinpath("data/card.md").read_text(encoding="utf-8")
    text: str = Template(template, trim_blocks=True, keep_trailing_newline=True).render(
        front_matter=_front_matter(rows, splits, kinds),
        name=rows.choice.name,
        rows=sum(count for count, _, _ in splits.values()),
        languages=" and ".join(_LANGUAGE_NAMES.get(code, code) for code in rows.described),
        fine=fine,
        version=__version__,
        splits=_table(("split", "samples", "bytes"), split_rows),
        labels=_table(("label", "samples"), ((label, f"{n:,}") for label, n in by_size(labels).items())),
        makers=_table(_MAKER_COLUMNS, maker_rows),
        left_out=_table(("clips", "why"), left_out) if rows.left_out else "",
        recipe=without_places(recipe.read_text(encoding="utf-8")).rstrip() if recipe.is_file() else "",
    )
    return text


def _front_matter(rows: Rows, splits: Mapping[str, tuple[int, int, int]], kinds: Mapping[str, Kind]) -> str:
    import yaml

    count = sum(count for count, _, _ in splits.values())
    licence = rows.choice.licence
    head: dict[str, Any] = {} if licence is None else {"license": licence}
    head |= {
        "pretty_name": rows.choice.name,
        "language": list(rows.described),
        "task_categories": ["video-classification", "video-text-to-text"],
        "tags": ["emotion", "multimodal", "MERR", "facial-action-units", "prosody"],
        "size_categories": [next((size for limit, size in _SIZES if count < limit), "n>1M")],
        "configs": [
            {"config_name": "default", "data_files": [{"split": s, "path": f"data/{s}-*"} for s in splits]},
        ],
        "dataset_info": {
            "features": _hf_yaml(kinds),
            "splits": [{"name": s, "num_bytes": raw, "num_examples": n} for s, (n, _, raw) in splits.items()],
            "download_size": sum(size for _, size, _ in splits.values()),
            "dataset_size": sum(raw for _, _, raw in splits.values()),
        },
    }
    text: str = yaml.safe_dump(head, sort_keys=False, allow_unicode=True, width=100)
    return text if licence else f"# license: not set yet; name the one under which you may share these clips\n{text}"


def _hf_yaml(kinds: Mapping[str, Kind]) -> list[dict[str, Any]]:  # as a data-set card lists them
    """The columns as the front matter of a data-set card names them."""
    found = []
    for name, kind in kinds.items():
        if isinstance(kind, list):
            column: dict[str, Any] = {"list": _hf_yaml(kind[0]) if isinstance(kind[0], dict) else kind[0]}
        elif isinstance(kind, dict):
            column = {"struct": _hf_yaml(kind)}
        else:
            column = {"dtype": kind.lower() if kind in ("Image", "Audio") else kind}
        found.append({"name": name, **column})
    return found


def _makers(sample: Sample) -> list[Maker]:
    made = ((key, f.provenance) for key, f in sample.fields.items() if f.value is not None)
    return [(shown_key(key), p.annotator, p.model, p.prompt_sha256 or "", p.label_shown) for key, p in made]


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(header)} |", f"|{'|'.join(['---'] * len(header))}|"]
    return "\n".join([*lines, *(f"| {' | '.join(cells)} |" for cells in rows)])


def _md(text: str) -> str:
    return without_places(" ".join(text.split())).replace("|", "\\|")


def without_places(text: str) -> str:
    """The text without addresses of servers and without folders: of a path its last part stays."""
    return _PATH.sub(lambda found: found[1] or "(folder)", _URL.sub("(server)", text))
