"""Our streaming writer makes files that the safetensors library reads."""

import hashlib
import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from emotion_llama.models.checkpoints.tensor_files import TensorInfo, open_source, write_safetensors, write_shards

TENSORS = {
    "f32": torch.randn(3, 5),
    "bf16": torch.randn(7).to(torch.bfloat16),
    "f16": torch.randn(2, 2, 2).half(),
    "i64": torch.tensor(5),
    "bool": torch.tensor([True, False, True]),
    "transposed": torch.arange(6.0).reshape(2, 3).T,
    "empty": torch.zeros(0, 4),
}
INFOS = {name: TensorInfo(tuple(t.shape), t.dtype) for name, t in TENSORS.items()}


def test_the_library_reads_what_was_written(tmp_path: Path) -> None:
    written = write_safetensors(tmp_path / "x.safetensors", INFOS, TENSORS.__getitem__)
    data = (tmp_path / "x.safetensors").read_bytes()
    assert written == {"x.safetensors": {"num_bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}}
    assert int.from_bytes(data[:8], "little") % 8 == 0  # the header is filled up, so that the data is aligned
    loaded = load_file(tmp_path / "x.safetensors")
    assert loaded.keys() == TENSORS.keys()
    for name, tensor in TENSORS.items():
        assert loaded[name].dtype == tensor.dtype
        assert torch.equal(loaded[name], tensor)
    with safe_open(tmp_path / "x.safetensors", "pt") as file:
        assert file.metadata() == {"format": "pt"}


def test_shards_hold_no_more_than_asked_and_an_index_says_where(tmp_path: Path) -> None:
    tensors = {f"t{i}": torch.full((25,), float(i)) for i in range(5)}  # 100 bytes each
    infos = {name: TensorInfo((25,), torch.float32) for name in tensors}
    files = write_shards(tmp_path, infos, tensors.__getitem__, max_shard_bytes=250)
    assert list(files) == [
        "model-00001-of-00003.safetensors",
        "model-00002-of-00003.safetensors",
        "model-00003-of-00003.safetensors",
        "model.safetensors.index.json",
    ]
    index = json.loads((tmp_path / "model.safetensors.index.json").read_text())
    assert index["metadata"] == {"total_size": 500}
    assert index["weight_map"]["t1"] == "model-00001-of-00003.safetensors"
    assert index["weight_map"]["t2"] == "model-00002-of-00003.safetensors"
    source = open_source(tmp_path)
    assert [source.read(name)[0].item() for name in tensors] == [0, 1, 2, 3, 4]


def test_one_shard_has_no_index_and_a_large_tensor_gets_a_shard_of_its_own(tmp_path: Path) -> None:
    infos = {"a": TensorInfo((10,), torch.float32), "b": TensorInfo((100,), torch.float32)}
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    values = {name: torch.zeros(info.shape) for name, info in infos.items()}
    assert list(write_shards(tmp_path / "one", infos, values.__getitem__, 440)) == ["model.safetensors"]
    assert len(write_shards(tmp_path / "two", infos, values.__getitem__, 50)) == 3


def test_a_tensor_of_another_shape_than_promised_is_our_own_bug(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match=r"a: .*\[2\].*float32, not .*shape=\(3,\)"):
        write_safetensors(
            tmp_path / "x.safetensors", {"a": TensorInfo((3,), torch.float32)}, lambda name: torch.ones(2)
        )
