"""Read published tensor files one tensor at a time, without running code hidden in them.

Files are mapped, not loaded. A mapped page that was read stays in the process's memory until the mapping goes away,
so the mapping is thrown away after every `REMAP_BYTES` and made anew: that is what keeps a 27 GB file below 4 GB.
"""

from __future__ import annotations

import argparse
import math
import pickle
import struct
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from emotion_llama.errors import InputError, MissingDependency
from emotion_llama.models.checkpoints.damage import why_unreadable
from emotion_llama.models.checkpoints.json_files import read_json_object

if TYPE_CHECKING:
    import torch

# What torch's readers raise at files that are damaged, made to harm, or no torch files at all.
_UNREADABLE = (
    pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError, TypeError, LookupError, AttributeError,
    AssertionError, ArithmeticError, struct.error,
)  # fmt: skip
REMAP_BYTES = 64 * 2**20
# Keys under which training code keeps the tensors: MiniGPT-4, MAE and VideoMAE use "model", DeepSpeed "module".
_WRAPPERS = ("model", "module", "state_dict", "model_state_dict")
_WEIGHT_FILES = (
    "model.safetensors.index.json",
    "pytorch_model.bin.index.json",
    "model.safetensors",
    "pytorch_model.bin",
)


class TensorInfo(NamedTuple):
    """What can be known of a tensor without its values."""

    shape: tuple[int, ...]
    dtype: torch.dtype

    @property
    def num_bytes(self) -> int:
        """Size of the values."""
        return math.prod(self.shape) * self.dtype.itemsize


class TensorSource:
    """The tensors of one file, or of a folder of shards, by name.

    Attributes:
        path: what the user gave.
        files: the files that hold tensors.
        infos: name -> shape and type, in the file's order.
        extras: what else the file holds beside the tensors ("epoch", "config", ...); empty for folders.
    """

    def __init__(self, path: Path, files: tuple[Path, ...]) -> None:
        self.path = path
        self.files = files
        self.infos: dict[str, TensorInfo] = {}
        self.extras: dict[str, Any] = {}  # whatever the training code pickled beside its tensors
        self._file_of: dict[str, Path] = {}
        for file in files:
            tensors, extras = _open(file)
            for name, tensor in tensors.items():
                self.infos[name] = tensor
                self._file_of[name] = file
            if len(files) == 1:
                self.extras = extras
        self._mapped: Path | None = None
        self._tensors: dict[str, torch.Tensor] = {}
        self._bytes_since_mapping = 0
        self._remap_bytes = REMAP_BYTES

    def __repr__(self) -> str:
        return f"TensorSource({self.path.name}, {len(self.infos)} tensors in {len(self.files)} file(s))"

    def read(self, name: str) -> torch.Tensor:
        """The values: a view into the mapped file, to be copied or dropped before many more are read."""
        file = self._file_of[name]
        if self._mapped != file or self._bytes_since_mapping > self._remap_bytes:
            self.release()
            self._tensors = _map(file)
            self._mapped = file
            # A file that cannot be mapped was loaded whole: loading it again would free nothing.
            self._remap_bytes = REMAP_BYTES if _is_mappable(file) else sys.maxsize
        self._bytes_since_mapping += self.infos[name].num_bytes
        return self._tensors[name]

    def release(self) -> None:
        """Give the mapped pages back."""
        self._tensors = {}
        self._mapped = None
        self._bytes_since_mapping = 0


def open_source(path: str | Path) -> TensorSource:
    """Open a `.pth`, `.bin`, `.pt` or `.safetensors` file, or a Hugging Face folder of one or many of them.

    Raises:
        InputError: nothing there, not a tensor file, a damaged file, or a pickle that asks for code.
        MissingDependency: without torch.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f"{path}: no such file or folder")
    return TensorSource(path, weight_files(path) if path.is_dir() else (path,))


def weight_files(folder: Path) -> tuple[Path, ...]:
    """The weight files of a Hugging Face folder; safetensors before pickles when both are there.

    Raises:
        InputError: no weight file, or an index that names files which are missing.
    """
    for name in _WEIGHT_FILES:
        if not (folder / name).is_file():
            continue
        if not name.endswith(".index.json"):
            return (folder / name,)
        shards = tuple(folder / shard for shard in _shard_names(folder / name))
        missing = [shard.name for shard in shards if not shard.is_file()]
        if missing:
            raise InputError(f"{folder}: {name} names {', '.join(missing)}, which are not there; fetch them")
        return shards
    raise InputError(f"{folder}: no weights in this folder; expected one of {', '.join(_WEIGHT_FILES)}")


def _shard_names(index: Path) -> list[str]:
    """Names of the files that an index spreads the tensors over."""
    weight_map = read_json_object(index).get("weight_map")
    names = list(weight_map.values()) if isinstance(weight_map, dict) else []
    if not names or not all(isinstance(name, str) for name in names):
        raise InputError(f"{index}: its weight_map names no files of weights; fetch it again")
    outside = [name for name in names if Path(name).name != name]
    if outside:
        raise InputError(f"{index}: names {outside[0]!r}; expected files of its own folder")
    return sorted(set(names))


def _open(file: Path) -> tuple[dict[str, TensorInfo], dict[str, Any]]:
    """Shapes and types of a file's tensors, and its other entries."""
    if file.suffix == ".safetensors":
        return {name: TensorInfo(tuple(t.shape), t.dtype) for name, t in _map(file).items()}, {}
    content = _load_pickle(file)
    tensors = _state_dict(file, content)
    left_out = (*_WRAPPERS, "optimizer")
    extras = {} if tensors is content else {k: v for k, v in content.items() if k not in left_out}
    return {name: TensorInfo(tuple(t.shape), t.dtype) for name, t in tensors.items()}, extras


def _map(file: Path) -> dict[str, torch.Tensor]:
    if file.suffix != ".safetensors":
        return _state_dict(file, _load_pickle(file))
    _need_torch()
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, framework="pt") as tensors:
            return {name: tensors.get_tensor(name) for name in tensors.keys()}  # noqa: SIM118  not a dict
    except (SafetensorError, OSError) as error:
        raise InputError(f"{file}: {why_unreadable(file)}") from error


def _state_dict(file: Path, content: Any) -> dict[str, torch.Tensor]:
    import torch

    if isinstance(content, dict):
        for key in _WRAPPERS:
            if isinstance(content.get(key), dict):
                content = content[key]
                break
        if content and all(isinstance(k, str) and isinstance(v, torch.Tensor) for k, v in content.items()):
            state: dict[str, torch.Tensor] = content
            return state
    kind = f"a dict with {', '.join(map(repr, list(content)[:5]))}" if isinstance(content, dict) else type(content)
    raise InputError(f"{file}: holds {kind}; expected names of tensors, alone or under {', '.join(_WRAPPERS)}")


def _load_pickle(file: Path) -> Any:
    """Unpickle with torch's restricted reader, tensors mapped where the file's format allows it."""
    torch = _need_torch()
    with torch.serialization.safe_globals(_plain_data()), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's guesses at what is wrong; ours are in the error
        try:
            return torch.load(file, map_location="cpu", weights_only=True, mmap=_is_mappable(file))
        except _UNREADABLE as error:
            if "allocate memory" in str(error):
                raise InputError(f"{file}: this file has to be loaded whole, and memory is too small for it") from error
            # Not chained: torch's text would advise to load the file with the code in it.
            raise InputError(f"{file}: {why_unreadable(file)}") from None


def _plain_data() -> list[Any]:
    """What training code pickled beside its tensors and torch does not know to be harmless.

    MAE and VideoMAE saved their command line (argparse.Namespace); losses and scalers are at times numpy numbers.
    """
    import numpy as np

    makers: list[Any] = [np.float64(0).__reduce__()[0], np.zeros(0).__reduce__()[0]]
    modules = ("numpy.core.multiarray", "numpy._core.multiarray")  # numpy 1 and 2
    named = [(f, f"{module}.{f.__name__}") for module in modules for f in makers]
    kinds = {type(np.dtype(kind)) for kind in ("float64", "float32", "float16", "int64", "int32", "bool")}
    return [argparse.Namespace, np.ndarray, np.dtype, *named, *kinds]


def _is_mappable(file: Path) -> bool:
    """Whether a file is safetensors or of torch >= 1.6: only its zip format can be mapped, older ones are not."""
    if file.suffix == ".safetensors":
        return True
    with file.open("rb") as stream:
        return stream.read(4) == b"PK\x03\x04"


def _need_torch() -> Any:
    try:
        import torch
    except ImportError as error:
        raise MissingDependency("torch", "reading weights", "pip install 'emotion-llama[model]'") from error
    return torch
