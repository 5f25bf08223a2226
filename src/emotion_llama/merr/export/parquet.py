"""Parquet in the layout that Hugging Face loads: data/SPLIT-00000-of-0000N.parquet, and a data-set card beside it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emotion_llama.errors import MissingDependency
from emotion_llama.merr.export.card import Card, MadeBy, SplitSize, write_card
from emotion_llama.merr.export.choice import SPLITS, Build, Written, by_set
from emotion_llama.merr.export.selection import Selection, Taken
from emotion_llama.merr.export.table import Columns, columns, row, schema, yaml_features
from emotion_llama.merr.values import label_of

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

SHARD_BYTES = 400 * 1024 * 1024  # own choice: below the 500 MB that Hugging Face's own writer aims at
_ROWS_TEXT, _ROWS_MEDIA = 1000, 100  # rows of a row group; with pictures fewer, so that a viewer reads little
_ARTIFACTS = {"none": (), "peak": ("peak_frame",), "all": ("peak_frame", "face_crop", "sound")}


def write_parquet(half: Path, selection: Selection, *, shard_bytes: int = SHARD_BYTES) -> Written:
    """Write the table and README.md into `half`. The same samples give the same bytes.

    Raises:
        MissingDependency: pyarrow is not installed.
    """
    _require_pyarrow()
    choice = selection.choice
    table = columns(selection.described, choice.media, fine=choice.scope != "coarse")
    writers: dict[str, _Splits] = {}
    facts = _Facts()
    (half / "data").mkdir()
    for taken in selection:
        facts.add(taken)
        writer = writers.get(taken.split)
        if writer is None:
            writer = writers[taken.split] = _Splits(half / "data", taken.split, table, shard_bytes)
        writer.add(row(taken, table, _artifacts(selection.build, taken, choice.media)))
    files: dict[str, int | None] = {}
    sizes = []
    for split in (s for s in SPLITS if s in writers):
        shards = writers[split].close()
        files |= {f"data/{path.name}": rows for path, rows in shards}
        total = sum(path.stat().st_size for path, _ in shards)
        sizes.append(SplitSize(split, sum(rows for _, rows in shards), total, writers[split].raw_bytes))
    card = Card(
        name=choice.name,
        languages=table.languages,
        licence=choice.licence,
        splits=tuple(sizes),
        features=yaml_features(table),
        labels=dict(facts.labels),
        fine=facts.fine,
        makers=facts.makers(),
        left_out=dict(selection.left_out),
        recipe=_recipe(selection.build),
    )
    write_card(half / "README.md", card)
    notes = () if choice.licence else ("README.md has no licence yet: give --license, or set it there before sharing",)
    return Written(
        {**files, "README.md": None}, by_set(choice, facts.rows, facts.fine), dict(selection.left_out), notes
    )


def _artifacts(build: Build, taken: Taken, media: str) -> dict[str, bytes]:
    found = {}
    for name in _ARTIFACTS[media]:
        data = build.artifact(taken.sample.clip.clip_id, name) if name in taken.sample.artifacts else None
        if data is not None:
            found[name] = data
    return found


@dataclass
class _Facts:
    """Counts for the card."""

    rows: int = 0
    fine: int = 0
    labels: Counter[str] = field(default_factory=Counter)
    _makers: Counter[tuple[str, str, str, str, bool]] = field(default_factory=Counter)

    def add(self, taken: Taken) -> None:
        self.rows += 1
        self.fine += taken.fine
        self.labels[label_of(taken.sample) or "(none)"] += 1
        for (name, language), found in taken.sample.fields.items():
            p = found.provenance
            if found.value is not None:
                kind = f"{name} ({language})" if language else name
                self._makers[kind, p.annotator, p.model, p.prompt_sha256 or "", p.label_shown] += 1

    def makers(self) -> tuple[MadeBy, ...]:
        return tuple(MadeBy(*key, count) for key, count in sorted(self._makers.items()))


class _Splits:
    """The shards of one split, written one after the other and named once their number is known."""

    def __init__(self, folder: Path, split: str, table: Columns, shard_bytes: int) -> None:
        self._folder, self._split, self._limit = folder, split, shard_bytes
        self._schema = schema(table)
        self._rows_at_once = _ROWS_TEXT if table.media == "none" else _ROWS_MEDIA
        self._rows: list[dict[str, Any]] = []
        self._writer: pq.ParquetWriter | None = None
        self._shards: list[tuple[Path, int]] = []
        self._shard_bytes = 0
        self.raw_bytes = 0  # of the table in memory, which Hugging Face calls the data set's size

    def add(self, cells: dict[str, Any]) -> None:
        self._rows.append(cells)
        if len(self._rows) >= self._rows_at_once:
            self._flush()

    def close(self) -> list[tuple[Path, int]]:
        """End the last shard; the files under their names, with their rows."""
        self._flush()
        self._end_shard()
        named = []
        for number, (path, rows) in enumerate(self._shards):
            name = f"{self._split}-{number:05d}-of-{len(self._shards):05d}.parquet"
            named.append((path.replace(self._folder / name), rows))
        return named

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


def _recipe(build: Build) -> str:
    path = build.folder / "recipe.yaml"
    return path.read_text(encoding="utf-8") if path.is_file() else ""


def _require_pyarrow() -> None:
    from importlib.util import find_spec

    if find_spec("pyarrow") is None:
        raise MissingDependency("pyarrow", "an export to Parquet", "pip install 'emotion-llama[model]'")
