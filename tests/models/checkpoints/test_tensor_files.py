"""Tensor files are read lazily, and a pickle that wants to run code is refused."""

import argparse
import json
import os
import pickle
import re
import resource
import sys
import traceback
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from emotion_llama.errors import InputError, MissingDependency
from emotion_llama.models.checkpoints import tensor_files
from emotion_llama.models.checkpoints.tensor_files import open_source

TENSORS = {"a.weight": torch.arange(6.0).reshape(2, 3), "a.bias": torch.ones(2, dtype=torch.float16)}


class Payload:
    """Unpickling it with plain `pickle` runs a command."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


@pytest.mark.parametrize("wrapped", [False, True])
@pytest.mark.parametrize(
    "save",
    [
        torch.save,
        lambda o, p: torch.save(o, p, _use_new_zipfile_serialization=False),
        *(lambda o, p, protocol=n: p.write_bytes(pickle.dumps(o, protocol)) for n in (0, 1, 2, 3, 4, 5)),
    ],
    ids=["torch", "old torch", *(f"protocol {n}" for n in range(6))],
)
def test_a_malicious_pickle_is_refused_and_does_nothing(tmp_path: Path, wrapped: bool, save) -> None:
    trace, file = tmp_path / "ran", tmp_path / "evil.pth"
    payload = Payload(f"touch {trace}")
    save({"epoch": 1, "optimizer": payload} if wrapped else payload, file)
    with pytest.raises(InputError, match=r"evil\.pth: ") as caught:
        open_source(file)
    # torch refuses the instructions of pickle's own protocols 0, 4 and 5 before it comes to the function.
    other = "its pickle has instructions that the safe reader does not know|a text file, not weights"
    assert re.search(f"refused, because loading it would call posix.system|{other}", str(caught.value))
    assert not trace.exists()
    # torch's own text ends in the advice to load the file with the code in it: it is nowhere to be read.
    assert "weights_only" not in "".join(traceback.format_exception(caught.value))
    # The payload is real: Python's own reader runs it (torch's files need torch's reader, so only the plain ones).
    if file.read_bytes()[:4] != b"PK\x03\x04" and not file.read_bytes().startswith(b"\x80\x02\x8a"):
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
    original = tensor_files._open
    monkeypatch.setattr(tensor_files, "REMAP_BYTES", 100)
    monkeypatch.setattr(tensor_files, "_open", lambda file: mappings.append(file) or original(file))
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
    with pytest.raises(InputError, match=r"1 of the 2 files .* \(pytorch_model-00002-of-00002\.bin\); fetch them"):
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
    torch.save({"lr": 0.1, "step": 3}, tmp_path / "numbers.pth")
    with pytest.raises(InputError, match=r"holds a dict with 'lr', 'step'; expected names of tensors"):
        open_source(tmp_path / "numbers.pth")
    torch.save([1], tmp_path / "list.pth")
    with pytest.raises(InputError, match=r"holds <class 'list'>; expected names of tensors"):
        open_source(tmp_path / "list.pth")


@pytest.mark.parametrize("length", [3, 100, 1_000, 30_000, 60_000, 100_000])
@pytest.mark.parametrize("is_zip", [True, False], ids=["zip", "old format"])
def test_a_download_that_broke_off_is_told(tmp_path: Path, length: int, is_zip: bool) -> None:
    """Of a zip cut between 22 bytes and 64 kB torch said OSError 22, "Invalid argument"."""
    torch.save({"a": torch.arange(50_000.0)}, tmp_path / "whole.pth", _use_new_zipfile_serialization=is_zip)
    (tmp_path / "x.pth").write_bytes((tmp_path / "whole.pth").read_bytes()[:length])
    expected = r"x\.pth: it breaks off before its end: the download was not whole; fetch it again"
    with pytest.raises(InputError, match=expected if length > 14 else r"x\.pth: .*fetch it again"):
        open_source(tmp_path / "x.pth")


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("x.pth", b"<!DOCTYPE html><title>Quota exceeded", r"a web page, not weights: the download was refused or"),
        ("x.pth", b"\xef\xbb\xbf\n <html>Google Drive can't scan", r"a web page, not weights: .* wants a confirmation"),
        ("x.safetensors", b"<html>Access to this repo is restricted", r"a web page, not weights"),
        ("x.pth", b"version https://git-lfs.github.com/spec/v1\noid", r"a Git LFS pointer, not weights; run 'git lfs"),
        ("x.pth", b'{"error": "Repository not found"}', r"a text file, not weights; it begins with '{\"error\": "),
        ("x.pth", "Zu groß, ".encode() * 114, r"a text file, not weights"),
        ("x.pth", b"", r"the file is empty; fetch it again"),
        ("x.pth", bytes(range(256)) * 9, r"neither a torch file nor safetensors, or damaged; expected \.pth"),
        ("x.pth", bytes(257) + b"ustar" + bytes(900), r"a tar archive; unpack it"),
        ("x.safetensors", b"12345678901234", r"no whole safetensors file: the download was cut"),
        ("x.safetensors", b"PK\x03\x04" + bytes(90), r"a torch file under another name; call it \.pth"),
    ],
)  # fmt: skip
def test_what_is_no_weight_file_is_told_by_its_bytes(tmp_path: Path, name: str, content: bytes, problem: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=rf"{name.replace('.', '[.]')}: {problem}") as caught:
        open_source(tmp_path / name)
    assert "weights_only" not in str(caught.value)


def test_other_archives_and_whole_models(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.pth", "w") as archive:
        archive.writestr("readme.txt", "weights are inside")
    with pytest.raises(InputError, match=r"a zip archive without a torch file's data\.pkl; unpack it"):
        open_source(tmp_path / "x.pth")
    torch.save(torch.nn.Linear(2, 2), tmp_path / "model.pth")
    with pytest.raises(
        InputError, match=r"a whole pickled model \(torch\.nn\.modules\.linear\.Linear\); expected its ten"
    ):
        open_source(tmp_path / "model.pth")
    torch.save({3: torch.ones(1)}, tmp_path / "numbers.pth")
    with pytest.raises(InputError, match="dict with 3"):
        open_source(tmp_path / "numbers.pth")


def test_what_cannot_be_opened_or_held_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "x.pth"
    torch.save(TENSORS, file)

    def refuse(error: Exception):
        def load(*args: object, **options: object) -> None:
            raise error

        monkeypatch.setattr(torch, "load", load)

    refuse(RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 28 bytes"))
    with pytest.raises(InputError, match=r"x\.pth: .* GB do not fit into memory"):
        open_source(file)
    file.chmod(0)
    refuse(PermissionError(13, "Permission denied"))
    monkeypatch.setattr(tensor_files, "_is_mappable", lambda file: False)
    if os.access(file, os.R_OK):  # root reads everything
        file.unlink()
        file.symlink_to(tmp_path / "a" / "b")
        monkeypatch.setattr(Path, "exists", lambda path: True)
    with pytest.raises(InputError, match=r"x\.pth: it cannot be read \((No such file|Permission denied)"):
        open_source(file)


def test_a_file_with_a_broken_byte_is_an_error_of_ours(tmp_path: Path) -> None:
    """One changed byte anywhere in an archive: told as unreadable, or read, never worse."""
    torch.save({"model": {f"t{i}": torch.ones(3) for i in range(3)}, "args": argparse.Namespace(lr=1)}, tmp_path / "w")
    whole = (tmp_path / "w").read_bytes()
    generator = np.random.default_rng(0)
    outcomes = set()
    for position in generator.choice(len(whole), 150, replace=False):
        content = bytearray(whole)
        content[position] ^= generator.integers(1, 256)
        (tmp_path / "x.pth").write_bytes(content)
        try:
            open_source(tmp_path / "x.pth")
            outcomes.add("read")
        except InputError:
            outcomes.add("refused")
    assert outcomes == {"read", "refused"}


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("{}", r"index\.json: its weight_map names no files of weights; fetch it again"),
        ('{"weight_map": {}}', "its weight_map names no files"),
        ('{"weight_map": {"a": 3}}', "its weight_map names no files"),
        ('{"weight_map": {"a": "x.bin"', r"index\.json: not JSON \(Expecting .*; fetch it again"),
        ("[1]", r"index\.json: holds a list; expected a JSON object"),
        ('{"weight_map": {"a": "../x.bin"}}', r"names '\.\./x\.bin'; expected files of its own folder"),
    ],
)
def test_a_broken_index_is_told(tmp_path: Path, content: str, problem: str) -> None:
    (tmp_path / "pytorch_model.bin.index.json").write_text(content)
    with pytest.raises(InputError, match=problem):
        open_source(tmp_path)


@pytest.mark.parametrize("protocol", [3, 4, 5])
@pytest.mark.parametrize("is_zip", [True, False], ids=["zip", "old format"])
def test_tensors_in_a_newer_pickle_are_told_from_code(tmp_path: Path, protocol: int, is_zip: bool) -> None:
    """torch reads protocol 2, and some of 3 with a warning, which would be an error here; nothing is wrong inside."""
    file = tmp_path / "x.pth"
    torch.save(TENSORS, file, pickle_protocol=protocol, _use_new_zipfile_serialization=is_zip)
    try:
        assert list(open_source(file).infos) == list(TENSORS)
        assert protocol == 3
    except InputError as error:
        assert "x.pth: its pickle has instructions that the safe reader does not know" in str(error)  # noqa: PT017
        assert protocol > 3


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
    original = tensor_files._open
    monkeypatch.setattr(tensor_files, "REMAP_BYTES", 100)
    monkeypatch.setattr(tensor_files, "_open", lambda file: loads.append(file) or original(file))
    assert [source.read(name)[3].item() for name in many] == [float(i) for i in range(9)]
    assert len(loads) == 1


def test_a_file_larger_than_the_memory_that_may_be_written_is_mapped(tmp_path: Path) -> None:
    """Linux counts a private mapping, torch's default, as data; a shared one it does not."""
    torch.save({"a": torch.ones(2**24)}, tmp_path / "x.pth")  # 64 MiB
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    used = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmData"))
    resource.setrlimit(resource.RLIMIT_DATA, (int(used.split()[1]) * 1024 + 2**25, hard))
    try:
        with pytest.raises(RuntimeError, match="allocate memory"):
            torch.load(tmp_path / "x.pth", mmap=True)
        assert open_source(tmp_path / "x.pth").read("a")[-1] == 1
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def test_without_torch_the_extra_is_named(golden: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(
        MissingDependency, match=r"reading weights needs torch, .* pip install 'emotion-llama\[model\]'"
    ):
        open_source(golden / "eva_vit_g.pth")
