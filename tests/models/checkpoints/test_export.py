"""Convert, save, load, export: the published tensors come back bit for bit."""

import resource
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from emotion_llama.errors import InputError
from emotion_llama.models.checkpoints.convert import Sources, convert
from emotion_llama.models.checkpoints.export import PARTS, export
from emotion_llama.models.checkpoints.keys import place
from emotion_llama.models.checkpoints.tensor_files import open_source
from emotion_llama.models.modeling_emotion_llama import EmotionLlamaForConditionalGeneration


def assert_published_again(folder: Path, sources: Sources) -> None:
    """Every tensor of the sources that conversion places is in `folder` under its own name, with its own bits."""
    names = {
        "weights": "Emotion_LLaMA.pth", "eva": "eva_vit_g.pth", "mae": "mae_checkpoint-340.pth",
        "videomae": "videomae_checkpoint-399.pth", "hubert": "hubert", "llama": "llama",
    }  # fmt: skip
    for role, name in names.items():
        original, again = open_source(sources[role]), open_source(folder / name)
        found = {name: place(role, name) for name in original.infos}
        placed = [name for name, at in found.items() if at is not None and at[0] is not None]
        assert sorted(again.infos) == sorted(placed)
        assert len(placed) >= 20
        for tensor_name in placed:
            before, after = original.read(tensor_name), again.read(tensor_name)
            assert before.dtype == after.dtype
            assert torch.equal(before.contiguous().view(torch.int16), after.contiguous().view(torch.int16))


def test_straight_back(converted: Path, toy_sources: Sources, tmp_path: Path) -> None:
    counts = export(converted, tmp_path, PARTS)
    assert counts == {"weights": 20, "eva": 43, "mae": 42, "videomae": 41, "hubert": 69, "llama": 21}
    assert_published_again(tmp_path, toy_sources)


def test_each_tensor_comes_back_in_its_own_type(toy_sources: Sources, toy_options, tmp_path: Path) -> None:
    """The published mixture: a language model in float16, the trained part in float32; and an encoder in bfloat16."""
    llama = tmp_path / "llama"
    shutil.copytree(toy_sources["llama"], llama)
    for path, kind in ((llama / "pytorch_model.bin", torch.float16), (tmp_path / "eva_vit_g.pth", torch.bfloat16)):
        tensors = torch.load(path if path.is_file() else toy_sources["eva"], weights_only=True)
        torch.save({name: tensor.to(kind) for name, tensor in tensors.items()}, path)
    mixed = toy_sources | {"llama": llama, "eva": tmp_path / "eva_vit_g.pth"}
    convert(mixed, tmp_path / "model", toy_options)
    export(tmp_path / "model", tmp_path / "out", PARTS)
    names = ("Emotion_LLaMA.pth", "eva_vit_g.pth", "mae_checkpoint-340.pth", "llama")
    types = [{info.dtype for info in open_source(tmp_path / "out" / name).infos.values()} for name in names]
    assert types == [{torch.float32}, {torch.bfloat16}, {torch.float32}, {torch.float16}]
    assert_published_again(tmp_path / "out", mixed)


def test_a_disk_that_fills_up_leaves_no_half_part(converted: Path, tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, hard))  # as a full disk does, in the middle of a file
    try:
        for part in ("eva", "llama"):
            with pytest.raises(InputError, match=r"out cannot be written \(.+\); what was begun is removed"):
                export(converted, tmp_path / "out", (part,))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list((tmp_path / "out").iterdir()) == []


def test_back_after_load_and_save(converted: Path, toy_sources: Sources, toy_options, tmp_path: Path) -> None:
    model = EmotionLlamaForConditionalGeneration.from_pretrained(converted)
    model.save_pretrained(tmp_path / "saved")
    export(tmp_path / "saved", tmp_path / "out", PARTS)
    assert_published_again(tmp_path / "out", toy_sources)


def test_what_was_exported_converts_to_the_same_model(
    converted: Path, toy_options, golden: Path, tmp_path: Path
) -> None:
    export(converted, tmp_path, PARTS)
    again = Sources(
        llama=tmp_path / "llama",
        eva=tmp_path / "eva_vit_g.pth",
        mae=tmp_path / "mae_checkpoint-340.pth",
        videomae=tmp_path / "videomae_checkpoint-399.pth",
        hubert=tmp_path / "hubert",
        weights=tmp_path / "Emotion_LLaMA.pth",
    )
    convert(again, tmp_path / "again", toy_options)
    for name in ("model.safetensors", "adapter_model.safetensors"):
        before, after = load_file(converted / name), load_file(tmp_path / "again" / name)
        assert before.keys() == after.keys()
        assert all(torch.equal(before[key], after[key]) for key in before)
    assert (converted / "adapter_config.json").read_text() == (tmp_path / "again" / "adapter_config.json").read_text()


def test_the_layout_is_that_of_a_training_run(converted: Path, tmp_path: Path) -> None:
    export(converted, tmp_path)
    content = torch.load(tmp_path / "Emotion_LLaMA.pth", weights_only=True)
    assert content["config"] == {"model": {"lora_r": 4, "lora_alpha": 16}}
    assert content["exported_from"] == "Emotion_LLaMA.pth"
    assert "llama_model.base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight" in content["model"]
    assert [path.name for path in tmp_path.iterdir()] == ["Emotion_LLaMA.pth"]
    with pytest.raises(InputError, match=r"Emotion_LLaMA\.pth are already there"):
        export(converted, tmp_path)


def test_a_merged_adapter_cannot_be_exported(toy_sources: Sources, toy_options, tmp_path: Path) -> None:
    convert(toy_sources, tmp_path / "merged", replace(toy_options, merge=True))
    with pytest.raises(InputError, match=r"was merged into the language model .* converted without --merge"):
        export(tmp_path / "merged", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_folder_of_another_model(tmp_path: Path) -> None:
    save_file({"bert.pooler.weight": torch.ones(2)}, tmp_path / "model.safetensors")
    with pytest.raises(InputError, match=r"'bert\.pooler\.weight' is no tensor of an Emotion-LLaMA model"):
        export(tmp_path, tmp_path / "out")
