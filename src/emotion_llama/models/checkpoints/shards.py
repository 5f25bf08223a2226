"""Write tensors into safetensors files as they come, never holding more than one of them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emotion_llama.media.probe import file_sha256
from emotion_llama.models.checkpoints.tensor_files import TensorInfo

if TYPE_CHECKING:
    import torch

# torch type -> name in a safetensors header (https://github.com/huggingface/safetensors, README "Format").
_DTYPE_NAMES = {
    "float64": "F64", "float32": "F32", "float16": "F16", "bfloat16": "BF16", "int64": "I64", "int32": "I32",
    "int16": "I16", "int8": "I8", "uint8": "U8", "bool": "BOOL",
}  # fmt: skip
FileRecords = dict[str, dict[str, Any]]  # name -> {"num_bytes", "sha256"}, as the record of a conversion has them


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
