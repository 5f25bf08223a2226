"""Tensor files are read lazily, and a pickle that wants to run code is refused."""

import argparse
import json
import os
import pickle
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from emotion_llama.checkpoints import pickles
from emotion_llama.checkpoints.pickles import open_source
from emotion_llama.errors import InputError, MissingDependency

TENSORS = {"a.weight": torch.arange(6.0).reshape(2, 3), "a.bias": torch.ones(2, dtype=torch.float16)}


class Payload:
    """Unpickling it with plain `pickle` runs a command."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


@pytest.mark.parametrize("wrapped", [False, True])
@pytest.mark.parametrize("save", [torch.save, lambda o, p: p.write_bytes(pickle.dumps(o, 2))], ids=["torch", "plain"])
def test_a_malicious_pickle_is_refused_and_does_nothing(tmp_path: Path, wrapped: bool, save) -> None:
    trace, file = tmp_path / "ran", tmp_path / "evil.pth"
    payload = Payload(f"touch {trace}")
    save({"epoch": 1, "optimizer": payload} if wrapped else payload, file)
    with pytest.raises(InputError, match=r"evil\.pth: refused, because loading it would call posix\.system"):
        open_source(file)
    assert not trace.exists()
    # The payload is real: Python's own reader runs it (torch's files need torch's reader, so only the plain one).
    if save is not torch.save:
        pickle.loads(file.read_bytes())
        assert trace.exists()


@pytest.mark.parametrize("key", ["model", "module", "state_dict", None])
@pytest.mark.parametrize("is_zip", [True, False], ids=["mapped", "old format"])
def test_tensors_are_found_under_the_keys_of_training_code(tmp_path: Path, key: str | None, is_zip: bool) -> None:
    file = tmp_path / "x.pth"
    content = TENSORS if key is None else {key: TENSORS, "epoch": 7}
    torch.save(content, file, _use_new_zipfile_serialization=is_zip)
    source = open_source(file)
    assert {name: (info.shape, info.dtype, info.num_bytes) for name, info in source.infos.items()} == {
        "a.weight": ((2, 3), torch.float32, 24),
        "a.bias": ((2,), torch.float16, 4),
    }
    assert torch.equal(source.read("a.weight"), TENSORS["a.weight"])
    assert source.extras == ({} if key is None else {"epoch": 7})


def test_the_command_line_that_mae_training_pickled_is_data(tmp_path: Path) -> None:
    # main_pretrain.py of MAE and VideoMAE saves {"model", "optimizer", "epoch", "scaler", "args": Namespace}.
    torch.save({"model": TENSORS, "args": argparse.Namespace(lr=1e-3)}, tmp_path / "mae.pth")
    assert open_source(tmp_path / "mae.pth").extras["args"].lr == 1e-3


def test_values_survive_a_new_mapping(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    many = {f"t{i}": torch.full((10,), float(i)) for i in range(9)}
    torch.save(many, tmp_path / "x.pth")
    source = open_source(tmp_path / "x.pth")
    mappings = []
    original = pickles._map
    monkeypatch.setattr(pickles, "REMAP_BYTES", 100)
    monkeypatch.setattr(pickles, "_map", lambda file: mappings.append(file) or original(file))
    assert [source.read(name)[3].item() for name in many] == [float(i) for i in range(9)]
    # 40 bytes each: a new mapping whenever more than 100 bytes were read from the last one, so after every third.
    assert len(mappings) == 3


def test_a_folder_of_shards_is_one_source(tmp_path: Path) -> None:
    torch.save({"b": torch.ones(1)}, tmp_path / "pytorch_model-00001-of-00002.bin")
    torch.save({"a": torch.zeros(2)}, tmp_path / "pytorch_model-00002-of-00002.bin")
    weight_map = {"a": "pytorch_model-00002-of-00002.bin", "b": "pytorch_model-00001-of-00002.bin"}
    (tmp_path / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": weight_map}))
    source = open_source(tmp_path)
    assert list(source.infos) == ["b", "a"]
    assert source.read("a").tolist() == [0, 0]
    assert source.read("b").tolist() == [1]
    assert repr(source) == f"TensorSource({tmp_path.name}, 2 tensors in 2 file(s))"
    (tmp_path / "pytorch_model-00002-of-00002.bin").unlink()
    with pytest.raises(InputError, match=r"names pytorch_model-00002-of-00002\.bin, which are not there"):
        open_source(tmp_path)


def test_safetensors_come_before_pickles(tmp_path: Path) -> None:
    save_file({"x": torch.ones(3)}, tmp_path / "model.safetensors")
    torch.save({"x": torch.zeros(3)}, tmp_path / "pytorch_model.bin")
    assert open_source(tmp_path).read("x").tolist() == [1, 1, 1]


def test_what_is_no_tensor_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file or folder"):
        open_source(tmp_path / "gone.pth")
    with pytest.raises(InputError, match=r"no weights in this folder; expected one of model\.safetensors"):
        open_source(tmp_path)
    (tmp_path / "page.pth").write_text("<html>quota exceeded</html>")
    with pytest.raises(InputError, match=r"page\.pth: not a torch file"):
        open_source(tmp_path / "page.pth")
    (tmp_path / "empty.pth").write_bytes(b"")
    with pytest.raises(InputError, match=r"empty\.pth: not a readable torch file"):
        open_source(tmp_path / "empty.pth")
    (tmp_path / "cut.safetensors").write_bytes(b"12345678901234")
    with pytest.raises(InputError, match=r"cut\.safetensors: not a readable safetensors file"):
        open_source(tmp_path / "cut.safetensors")
    torch.save({"lr": 0.1, "step": 3}, tmp_path / "numbers.pth")
    with pytest.raises(InputError, match=r"holds a dict with 'lr', 'step'; expected names of tensors"):
        open_source(tmp_path / "numbers.pth")
    torch.save([1], tmp_path / "list.pth")
    with pytest.raises(InputError, match=r"holds <class 'list'>; expected names of tensors"):
        open_source(tmp_path / "list.pth")


def test_a_download_that_broke_off_is_told(tmp_path: Path, golden: Path) -> None:
    whole = (golden / "eva_vit_g.pth").read_bytes()
    (tmp_path / "eva_vit_g.pth").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=r"eva_vit_g\.pth: not a readable torch file .* fetch it again"):
        open_source(tmp_path / "eva_vit_g.pth")


def test_numpy_numbers_beside_the_tensors_are_data(tmp_path: Path) -> None:
    extras = {"best": np.float64(0.9), "losses": np.arange(3, dtype=np.float32), "optimizer": {"lr": 1}}
    torch.save({"model": TENSORS, **extras}, tmp_path / "x.pth")
    found = open_source(tmp_path / "x.pth").extras
    assert found["best"] == 0.9
    assert found["losses"].tolist() == [0, 1, 2]
    assert "optimizer" not in found  # large, and nothing of a model


def test_an_old_file_is_loaded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    many = {f"t{i}": torch.full((10,), float(i)) for i in range(9)}
    torch.save(many, tmp_path / "x.pth", _use_new_zipfile_serialization=False)
    source = open_source(tmp_path / "x.pth")
    loads = []
    original = pickles._map
    monkeypatch.setattr(pickles, "REMAP_BYTES", 100)
    monkeypatch.setattr(pickles, "_map", lambda file: loads.append(file) or original(file))
    assert [source.read(name)[3].item() for name in many] == [float(i) for i in range(9)]
    assert len(loads) == 1


def test_without_torch_the_extra_is_named(golden: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(
        MissingDependency, match=r"reading weights needs torch, .* pip install 'emotion-llama\[model\]'"
    ):
        open_source(golden / "eva_vit_g.pth")
