"""Tensor files, read tensor by tensor without running code hidden in them, and written one tensor at a time.

Files are mapped, not loaded: `torch.load(weights_only=True, mmap=True)` opens 27 GB in 0.05 s with 225 MB of memory.
Pages that were read stay in the process's memory until the mapping goes, up to all memory there is; a new mapping after
every `REMAP_BYTES` keeps the peak below 0.8 GB, and a file larger than the memory is read three times as fast.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import math
import mmap
import os
import pickle
import re
import struct
import warnings
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from emotion_llama.errors import InputError, MissingDependency
from emotion_llama.media.probe import file_sha256
from emotion_llama.models.folders import weight_files

if TYPE_CHECKING:
    import torch

REMAP_BYTES = 64 * 2**20
# What torch's readers raise at files that are damaged, made to harm, or no torch files at all.
_UNREADABLE = (
    pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError, TypeError, LookupError, AttributeError,
    AssertionError, ArithmeticError, struct.error,
)  # fmt: skip
# Keys under which training code keeps the tensors: MiniGPT-4, MAE and VideoMAE use "model", DeepSpeed "module".
_WRAPPERS = ("model", "module", "state_dict", "model_state_dict")
# torch type -> name in a safetensors header (https://github.com/huggingface/safetensors, README "Format").
_DTYPE_NAMES = {
    "float64": "F64", "float32": "F32", "float16": "F16", "bfloat16": "BF16", "int64": "I64", "int32": "I32",
    "int16": "I16", "int8": "I8", "uint8": "U8", "bool": "BOOL",
}  # fmt: skip
FileRecords = dict[str, dict[str, Any]]  # name -> {"num_bytes", "sha256"}, as the record of a conversion has them
_HEAD_BYTES = 1024
_ZIP_START = b"PK\x03\x04"
# The number that torch before 1.6 began its files with, pickled.
_OLD_START = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."


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
            self.infos |= {name: TensorInfo(tuple(t.shape), t.dtype) for name, t in tensors.items()}
            self._file_of |= dict.fromkeys(tensors, file)
            if len(files) == 1:
                self.extras = extras
        self._mapped: Path | None = None
        self._tensors: dict[str, torch.Tensor] = {}
        self._bytes_since_mapping = 0

    def __repr__(self) -> str:
        return f"TensorSource({self.path.name}, {len(self.infos)} tensors in {len(self.files)} file(s))"

    def read(self, name: str) -> torch.Tensor:
        """The values: a view into the mapped file, to be copied or dropped before many more are read."""
        file = self._file_of[name]
        # A file that cannot be mapped was loaded whole: loading it again would free nothing.
        if self._mapped != file or (self._bytes_since_mapping > REMAP_BYTES and _is_mappable(file)):
            self.release()
            self._tensors, self._mapped = _open(file)[0], file
        self._bytes_since_mapping += self.infos[name].num_bytes
        return self._tensors[name]

    def release(self) -> None:
        """Give the mapped pages back."""
        self._mapped, self._tensors, self._bytes_since_mapping = None, {}, 0


def open_source(path: str | Path) -> TensorSource:
    """Open a `.pth`, `.bin`, `.pt` or `.safetensors` file, or a Hugging Face folder of one or many of them.

    Raises:
        InputError: nothing there, not a tensor file, a damaged file, or a pickle that would run code.
        MissingDependency: without torch.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f"{path}: no such file or folder")
    return TensorSource(path, weight_files(path) if path.is_dir() else (path,))


def check_finite(tensor: torch.Tensor, name: str, why: str) -> torch.Tensor:
    """`tensor` itself when all its values are finite.

    One pass for the smallest and largest value, which are NaN where any value is, takes no memory of the tensor's size.

    Raises:
        InputError: naming the tensor, how many of its values are NaN or infinite, and `why` that may be.
    """
    import torch

    if tensor.numel() == 0 or all(torch.isfinite(end) for end in torch.aminmax(tensor.detach())):
        return tensor
    count = tensor.numel() - int(torch.isfinite(tensor).sum())
    raise InputError(f"{name}: {count:,} of {tensor.numel():,} values are NaN or infinite; {why}")


def _open(file: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Tensors of a file, mapped where its format allows it, and its other entries."""
    if file.suffix == ".safetensors":
        return _open_safetensors(file), {}
    content = _load_pickle(file)
    tensors = _state_dict(file, content)
    left_out = (*_WRAPPERS, "optimizer")
    extras = {} if tensors is content else {k: v for k, v in content.items() if k not in left_out}
    return tensors, extras


def _open_safetensors(file: Path) -> dict[str, torch.Tensor]:
    _need_torch()
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, framework="pt") as tensors:
            return {name: tensors.get_tensor(name) for name in tensors.keys()}  # noqa: SIM118  not a dict
    except (SafetensorError, OSError) as error:
        raise InputError(f"{file}: {_why_unreadable(file, str(error))}") from error


def _state_dict(file: Path, content: Any) -> dict[str, torch.Tensor]:
    import torch

    if isinstance(content, dict):
        content = next((content[key] for key in _WRAPPERS if isinstance(content.get(key), dict)), content)
        if content and all(isinstance(k, str) and isinstance(v, torch.Tensor) for k, v in content.items()):
            state: dict[str, torch.Tensor] = content
            return state
    kind = f"a dict with {', '.join(map(repr, list(content)[:5]))}" if isinstance(content, dict) else type(content)
    raise InputError(f"{file}: holds {kind}; expected names of tensors, alone or under {', '.join(_WRAPPERS)}")


def _load_pickle(file: Path) -> Any:
    torch = _need_torch()
    with torch.serialization.safe_globals(_plain_data()), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's guesses at what is wrong; ours are in the error
        try:
            return _torch_load(file)
        except _UNREADABLE as error:
            if "allocate memory" in str(error):
                raise InputError(
                    f"{file}: {file.stat().st_size / 1e9:.1f} GB do not fit into memory; use a machine with more, or "
                    "make the file writable or save it again with torch 1.6 or later, so that it can be read in parts"
                ) from error
            # Not chained: torch's text would advise to load the file with the code in it.
            raise InputError(f"{file}: {_why_unreadable(file, str(error))}") from None


def _torch_load(file: Path) -> Any:
    import torch

    options: dict[str, Any] = {"map_location": "cpu", "weights_only": True, "mmap": _is_mappable(file)}
    try:
        return torch.load(file, **options)
    except RuntimeError as error:
        # A private mapping counts as memory to Linux, which refuses one larger than all there is. A shared one does not
        # count; torch opens it for writing, and nothing here writes.
        if not options["mmap"] or "allocate memory" not in str(error) or not os.access(file, os.W_OK):
            raise
        with torch.serialization.set_default_mmap_options(mmap.MAP_SHARED):
            return torch.load(file, **options)


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
        return stream.read(4) == _ZIP_START


def _need_torch() -> Any:
    try:
        import torch
    except ImportError as error:
        raise MissingDependency("torch", "reading weights", "pip install 'emotion-llama[model]'") from error
    return torch


# --- writing ----------------------------------------------------------------------------------------------------------


def file_record(path: Path) -> dict[str, Any]:
    """Size and SHA-256 of a file, for the record of a conversion."""
    return {"num_bytes": path.stat().st_size, "sha256": file_sha256(path)}


def write_safetensors(path: Path, infos: Mapping[str, TensorInfo], read: Callable[[str], torch.Tensor]) -> FileRecords:
    """Write one file. The header needs only names, shapes and types, so values are asked for one by one.

    The library's own `save_file` wants all tensors of a shard at once; that is what this function is for.
    """
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, info in infos.items():
        start, end = end, end + info.num_bytes
        dtype = _DTYPE_NAMES[str(info.dtype).removeprefix("torch.")]
        header[name] = {"dtype": dtype, "shape": list(info.shape), "data_offsets": [start, end]}
    head = json.dumps(header, separators=(",", ":")).encode()
    head += b" " * (-len(head) % 8)  # the data begins on a multiple of 8 bytes
    digest = hashlib.sha256()
    with path.open("wb") as stream:
        for data in (len(head).to_bytes(8, "little"), head):
            stream.write(data)
            digest.update(data)
        for name, info in infos.items():
            values = _bytes_of(read(name), name, info)
            stream.write(values)
            digest.update(values)
    return {path.name: {"num_bytes": 8 + len(head) + end, "sha256": digest.hexdigest()}}


def write_shards(
    folder: Path, infos: Mapping[str, TensorInfo], read: Callable[[str], torch.Tensor], max_shard_bytes: int
) -> FileRecords:
    """Write `model.safetensors`, or several shards and the index that transformers reads."""
    groups = list(_groups(infos, max_shard_bytes))
    if len(groups) == 1:
        return write_safetensors(folder / "model.safetensors", infos, read)
    written: FileRecords = {}
    weight_map: dict[str, str] = {}
    for number, group in enumerate(groups, start=1):
        name = f"model-{number:05d}-of-{len(groups):05d}.safetensors"
        written |= write_safetensors(folder / name, group, read)
        weight_map |= dict.fromkeys(group, name)
    total = sum(info.num_bytes for info in infos.values())
    path = folder / "model.safetensors.index.json"
    path.write_text(
        json.dumps({"metadata": {"total_size": total}, "weight_map": weight_map}, indent=1), encoding="utf-8"
    )
    return written | {path.name: file_record(path)}


def _groups(infos: Mapping[str, TensorInfo], max_bytes: int) -> Iterator[dict[str, TensorInfo]]:
    group: dict[str, TensorInfo] = {}
    size = 0
    for name, info in infos.items():
        if group and size + info.num_bytes > max_bytes:
            yield group
            group, size = {}, 0
        group[name] = info
        size += info.num_bytes
    yield group


def _bytes_of(tensor: torch.Tensor, name: str, info: TensorInfo) -> memoryview:
    import torch

    assert (tuple(tensor.shape), tensor.dtype) == tuple(info), f"{name}: {tensor.shape} {tensor.dtype}, not {info}"
    return tensor.detach().contiguous().reshape(-1).view(torch.uint8).numpy().data


# --- why a file cannot be read ----------------------------------------------------------------------------------------


def _why_unreadable(file: Path, reason: str) -> str:
    """What is wrong and what to do; never in torch's words, which advise to run what is in the file."""
    try:
        with file.open("rb") as stream:
            head = stream.read(_HEAD_BYTES)
    except OSError as error:
        return f"it cannot be read ({error.strerror or error})"
    if problem := _head_problem(head):
        return problem
    is_zip = head.startswith(_ZIP_START)
    if file.suffix == ".safetensors":
        if is_zip:
            return "a torch file under another name; call it .pth"
        return "no whole safetensors file: the download was cut, or it is something else; fetch it again"
    if is_zip and (problem := _zip_problem(file)):
        return problem
    # torch names the first function or class, beyond those of tensors, that loading the file would use.
    if called := re.search(r"GLOBAL (\S+) (?:whose module|was not)", reason):
        if called[1].startswith("torch.nn."):
            return f"a whole pickled model ({called[1]}); expected its tensors alone, as state_dict() gives them"
        return (
            f"refused, because loading it would call {called[1]}; tensors need no such thing. "
            "Do not load it with other tools either; get the file from its publisher"
        )
    if "Unsupported operand" in reason and (is_zip or head.startswith(pickle.PROTO)):
        return (
            "its pickle has instructions that the safe reader does not know (protocol 4 or 5, or code): get the file "
            "from its publisher, saved by torch.save as it comes"
        )
    if head.startswith(_OLD_START):
        return _BROKEN_OFF
    if _is_text(head):
        return f"a text file, not weights; it begins with {' '.join(head[:60].decode('utf-8', 'ignore').split())!r}"
    return "neither a torch file nor safetensors, or damaged; expected .pth, .bin, .pt or .safetensors; fetch it again"


_BROKEN_OFF = "it breaks off before its end: the download was not whole; fetch it again"


def _head_problem(head: bytes) -> str:
    """What the first bytes say of a file that is no weight file; "" when they say nothing."""
    if not head:
        return "the file is empty; fetch it again"
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith((b"<!doctype", b"<html", b"<head", b"<?xml")):
        return (
            "a web page, not weights: the download was refused or wants a confirmation (a login, a quota, a large-file "
            "warning); open the link in a browser and fetch the file itself"
        )
    if start.startswith(b"version https://git-lfs"):
        return "a Git LFS pointer, not weights; run 'git lfs pull' where it came from"
    if head[257:262] == b"ustar":
        return "a tar archive; unpack it, and give the weight file that is in it"
    return ""


def _zip_problem(file: Path) -> str:
    # NotImplementedError and encryption are RuntimeErrors.
    with contextlib.suppress(zipfile.BadZipFile, RuntimeError, ValueError, EOFError, OSError, struct.error):
        with zipfile.ZipFile(file) as archive:
            if any(name.endswith("/data.pkl") for name in archive.namelist()):
                return ""
        return "a zip archive without a torch file's data.pkl; unpack it, and give the weight file that is in it"
    return _BROKEN_OFF


def _is_text(head: bytes) -> bool:
    try:
        text = head.decode("utf-8")
    except UnicodeDecodeError as error:
        if len(head) < _HEAD_BYTES or error.start < len(head) - 3:  # the last letter may be cut by the end of the head
            return False
        text = head[: error.start].decode("utf-8")
    return all(letter.isprintable() or letter in "\r\n\t" for letter in text)
