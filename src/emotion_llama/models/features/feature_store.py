"""One folder of safetensors shards and a Parquet index: features of many clips, added one by one, read by name.

    DIR/recipe.json               how they were made
    DIR/index.parquet             one row a clip: name, path, sha256, shard, shapes, faces, frame, missing, given
    DIR/shard-00000.safetensors   tensors "NAME/face", "NAME/temporal", "NAME/audio", "NAME/global_image"
    DIR/pending/*.safetensors     clips that are not in a shard yet, one file each, with their row in the header

A clip is safe once its pending file is there. Shard, index, removal of the pending files: in this order, so that a
run killed at any point loses nothing and the next one goes on.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, Any

import numpy.typing as npt

from emotion_llama.errors import InputError, MissingDependency
from emotion_llama.files import lock_file, make_folder, write_whole
from emotion_llama.models.clips import GLOBAL_IMAGE, MODALITIES, ClipFeatures
from emotion_llama.results import Missing

if TYPE_CHECKING:
    import pyarrow as pa

INDEX_FILE = "index.parquet"
RECIPE_FILE = "recipe.json"
PENDING = "pending"
SHARD_BYTES = 256 * 1024 * 1024
_ARRAYS = (*MODALITIES, GLOBAL_IMAGE)


Row = dict[str, Any]  # of the index, by column


class FeatureStore:
    """Features by clip name; `names`, `in`, `len` and `store[name]` read, `add` writes.

    Example:
        >>> store = FeatureStore("features")
        >>> store["sample_00000023"].audio.shape
        (1024,)
    """

    def __init__(self, folder: str | Path, *, writable: bool = False, recipe: Mapping[str, object] | None = None):
        """Open a store; a writable one is made where there is none, and belongs to one process at a time.

        Raises:
            InputError: no such store, one of another recipe, or one that another process writes.
            MissingDependency: safetensors or pyarrow is not installed.
        """
        self.folder = Path(folder)
        self._rows: dict[str, Row] = {}
        self._open: dict[str, Any] = {}
        self._lock: IO[str] | None = None
        self._pending_bytes = 0
        _require_packages()
        with ExitStack() as opened:  # a store that is refused lets go of its lock
            if writable:
                if recipe is None:
                    raise InputError("a store that is written needs a recipe: what its features are made by")
                make_folder(self.folder / PENDING)
                busy = f"another process is writing to {self.folder}; wait for it, or give another"
                self._lock = opened.enter_context(lock_file(self.folder / PENDING / ".lock", busy))
                settle_recipe(self.folder, recipe)
            self._load()
            opened.pop_all()

    # --- reading ----------------------------------------------------------------------------------------------------

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all clips, sorted."""
        return tuple(sorted(self._rows))

    def __len__(self) -> int:
        return len(self._rows)

    def __contains__(self, name: object) -> bool:
        return name in self._rows

    def __getitem__(self, name: str) -> ClipFeatures:
        if name not in self._rows:
            raise InputError(f"{self.folder} has no features of {name!r} among its {len(self)} clips")
        row = self._rows[name]
        rest = {key: row[key] for key in ("num_faces", "frame_seconds", "frame_why")}
        missing = tuple(Missing(one["what"], one["reason"]) for one in row["missing"])
        return ClipFeatures(**self._tensors(row), **rest, missing=missing, given=tuple(row["given"]))

    def holds(self, name: str, sha256: str) -> bool:
        """Whether the features of this very file are there under that name."""
        return name in self._rows and self._rows[name]["sha256"] == sha256

    # --- writing ----------------------------------------------------------------------------------------------------

    def add(self, name: str, path: Path, sha256: str, features: ClipFeatures) -> Path:
        """Keep the features of one clip, in place of earlier ones of that name; they are on disk when this returns.

        Raises:
            InputError: the store is open for reading only, or `name` cannot be a name.
        """
        from safetensors.numpy import save_file

        self._check_writable()
        arrays = {key: _contiguous(value) for key, value in features.arrays().items()}
        digest = hashlib.sha256(check_name(name).encode()).hexdigest()[:24]
        file = self.folder / PENDING / f"{digest}.safetensors"
        row: Row = {"name": name, "path": str(path), "sha256": sha256, "shard": f"{PENDING}/{file.name}"}
        row |= {key: getattr(features, key) for key in ("num_faces", "frame_seconds", "frame_why")}
        row |= {f"{key}_shape": list(arrays[key].shape) if key in arrays else None for key in _ARRAYS}
        row |= {"missing": [asdict(one) for one in features.missing], "given": list(features.given)}
        tensors = {f"{name}/{key}": value for key, value in arrays.items()}
        self._open.pop(row["shard"], None)
        write_whole(file, lambda half: save_file(tensors, half, metadata={"row": json.dumps(row)}))
        self._rows[name] = row
        self._pending_bytes += file.stat().st_size
        if self._pending_bytes >= SHARD_BYTES:
            self.compact()
        return file

    def compact(self) -> None:
        """Move what is pending into a shard, and write the index anew."""
        from safetensors.numpy import save_file

        self._check_writable()
        pending = [row for row in self._rows.values() if row["shard"].startswith(f"{PENDING}/")]
        if pending:
            taken = [int(row["shard"][6:11]) for row in self._rows.values() if row["shard"].startswith("shard-")]
            shard = f"shard-{max(taken, default=-1) + 1:05d}.safetensors"
            tensors: dict[str, npt.NDArray[Any]] = {}
            for row in pending:
                tensors |= {f"{row['name']}/{key}": value for key, value in self._tensors(row).items()}
            write_whole(self.folder / shard, lambda half: save_file(tensors, half))
            self._rows |= {row["name"]: row | {"shard": shard} for row in pending}
        if pending or not (self.folder / INDEX_FILE).exists():
            self._write_index()
        self._open.clear()
        for leftover in self._pending():
            leftover.unlink()
        self._pending_bytes = 0

    def close(self) -> None:
        """Compact a writable store and let its files go."""
        if self._lock is not None:
            self.compact()
            self._lock.close()
            self._lock = None
        self._open.clear()

    def __enter__(self) -> FeatureStore:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    # --- files ------------------------------------------------------------------------------------------------------

    def _pending(self) -> Iterator[Path]:
        return (file for file in (self.folder / PENDING).glob("*.safetensors") if not file.name.startswith("."))

    def _check_writable(self) -> None:
        if self._lock is None:
            raise InputError(f"the store {self.folder} is open for reading; open it with writable=True to add to it")

    def _file(self, shard: str) -> Any:
        from safetensors import SafetensorError, safe_open

        if shard not in self._open:
            try:
                self._open[shard] = safe_open(self.folder / shard, framework="numpy")
            except (OSError, SafetensorError) as error:
                raise InputError(f"{self.folder / shard} cannot be read ({error}); copy the store again") from error
        return self._open[shard]

    def _tensors(self, row: Row) -> dict[str, Any]:
        """The arrays of one clip, by their field of ClipFeatures."""
        file, kept = self._file(row["shard"]), [key for key in _ARRAYS if row[f"{key}_shape"] is not None]
        return {key: file.get_tensor(f"{row['name']}/{key}") for key in kept}

    def _load(self) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        file = self.folder / INDEX_FILE
        if file.exists():
            try:
                # Not memory mapped: the file is replaced while the store is written.
                table = pq.read_table(file, memory_map=False)
                columns = _schema().names
                self._rows = {row["name"]: {key: row[key] for key in columns} for row in table.to_pylist()}
            except (pa.ArrowException, OSError, KeyError, TypeError) as error:
                raise InputError(f"{file} is not the index of a feature store ({error})") from error
        elif self._lock is None and not any(self._pending()):
            raise InputError(f"{self.folder} is no feature store: it has no {INDEX_FILE}")
        for path in self._pending():
            row = json.loads(self._file(f"{PENDING}/{path.name}").metadata()["row"])
            self._rows[row["name"]] = row

    def _write_index(self) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        rows = [self._rows[name] for name in self.names]
        table = pa.Table.from_pylist(rows, schema=_schema())
        write_whole(self.folder / INDEX_FILE, lambda half: pq.write_table(table, half))


def _schema() -> pa.Schema:
    import pyarrow as pa

    reason = pa.struct([("what", pa.string()), ("reason", pa.string())])
    return pa.schema(
        [(key, pa.string()) for key in ("name", "path", "sha256", "shard")]
        + [("num_faces", pa.int64()), ("frame_seconds", pa.float64()), ("frame_why", pa.string())]
        + [(f"{key}_shape", pa.list_(pa.int64())) for key in _ARRAYS]
        + [("missing", pa.list_(reason)), ("given", pa.list_(pa.string()))]
    )


def _contiguous(value: npt.NDArray[Any]) -> npt.NDArray[Any]:
    import numpy as np

    return np.ascontiguousarray(value)  # safetensors writes the memory as it lies


def _require_packages() -> None:
    from importlib.util import find_spec

    for package in ("safetensors", "pyarrow"):
        if find_spec(package) is None:
            raise MissingDependency(package, "a feature store", "pip install 'emotion-llama[model]'")


# --- names and recipes, of a store and of published folders ----------------------------------------------------------


def check_name(name: str) -> str:
    """The name itself, when it can be a relative path below a folder: `sample_00000023`, `day1/talk`.

    Raises:
        InputError: empty, absolute, or with parts such as `..`.
    """
    path = PurePosixPath(name)
    if not name or path.is_absolute() or str(path) != name or {"..", "."} & set(path.parts) or "\0" in name:
        raise InputError(f"{name!r} cannot name a clip's features: expected a relative path such as 'day1/talk'")
    return name


def settle_recipe(folder: Path, recipe: Mapping[str, object]) -> None:
    """Write `folder`/recipe.json, or check that what is there is the same recipe: one folder, one recipe.

    The part "about" (paths, versions of packages) may differ.

    Raises:
        InputError: the folder holds features of another recipe, or something else.
    """
    file = folder / RECIPE_FILE
    wanted = json.loads(json.dumps(recipe))
    if not file.exists():
        text = json.dumps(wanted, indent=1, ensure_ascii=False) + "\n"
        write_whole(file, text)
        return
    stored = read_recipe(folder)
    differing = sorted(key for key in {*stored, *wanted} - {"about"} if stored.get(key) != wanted.get(key))
    if differing:
        raise InputError(
            f"{folder} holds features made in another way ({', '.join(differing)} differ; see {RECIPE_FILE} there); "
            "give another folder, or delete that one"
        )


def read_recipe(folder: Path) -> dict[str, object]:
    """What `settle_recipe` wrote.

    Raises:
        InputError: there is no such file, or it is not a recipe.
    """
    file = folder / RECIPE_FILE
    try:
        recipe = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{folder} is no feature folder of this package: {RECIPE_FILE} is missing") from None
    except ValueError as error:
        raise InputError(f"{file} is not JSON ({error}); delete the folder and make its features again") from error
    if not isinstance(recipe, dict):
        raise InputError(f"{file} must hold a JSON object, got {type(recipe).__name__}")
    return recipe
