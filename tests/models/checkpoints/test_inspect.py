"""A file is what its tensors are; its name only adds what tensors cannot tell."""

import shutil
from pathlib import Path

import pytest
import torch

from emotion_llama.errors import InputError
from emotion_llama.models.checkpoints.convert import Sources, convert
from emotion_llama.models.checkpoints.inspect import inspect, report_text
from emotion_llama.models.folders import read_manifest


def test_every_toy_file_is_recognised_without_its_name(golden: Path, tmp_path: Path) -> None:
    for name, role in (
        ("Emotion_LLaMA.pth", "weights"),
        ("eva_vit_g.pth", "eva"),
        ("mae_checkpoint-340.pth", "mae"),
        ("videomae_checkpoint-399.pth", "videomae"),
        ("hubert/pytorch_model.bin", "hubert"),
        ("llama/pytorch_model.bin", "llama"),
    ):
        shutil.copy(golden / name, tmp_path / "x.bin")
        report = inspect(tmp_path / "x.bin")
        assert (report.kind, report.role, report.problems) == ("part", role, ())
        assert report.abilities is None


def test_sizes_are_told(golden: Path) -> None:
    facts = " | ".join(inspect(golden / "eva_vit_g.pth").facts)
    assert "43 tensors" in facts
    assert "3 blocks, 32 wide, patches of 14 pixels" in facts
    assert "position table for pictures of 28 pixels" in facts
    facts = " | ".join(inspect(golden / "Emotion_LLaMA.pth").facts)
    assert "LoRA of rank 4: 1,536 parameters" in facts
    assert "the demo's weights" in facts


def test_a_name_that_lies_is_a_problem(golden: Path, tmp_path: Path) -> None:
    shutil.copy(golden / "mae_checkpoint-340.pth", tmp_path / "eva_vit_g.pth")
    report = inspect(tmp_path / "eva_vit_g.pth")
    assert report.role == "mae"
    assert report.problems == (
        "its name says eva_vit_g.pth (EVA vision transformer (global encoder)), its tensors are those of a "
        "MAE vision transformer (face encoder)",
    )


def test_start_weights_are_told_from_trained_ones(golden: Path, tmp_path: Path) -> None:
    tensors = torch.load(golden / "Emotion_LLaMA.pth", weights_only=True)["model"]
    start = {name: tensor for name, tensor in tensors.items() if not name.startswith(("feats_", "cls_tk"))}
    torch.save({"model": start}, tmp_path / "x.pth")
    report = inspect(tmp_path / "x.pth")
    assert (report.role, report.abilities) == ("base", ("start",))
    half = {name: tensor for name, tensor in tensors.items() if name != "cls_tk_llama_proj.bias"}
    torch.save({"model": half | {"new.weight": torch.ones(1)}}, tmp_path / "checkpoint_best.pth")
    report = inspect(tmp_path / "checkpoint_best.pth")
    assert report.abilities == ("classify",)
    assert report.problems == (
        "1 tensors have no place in it: new.weight",
        "missing: cls_tk_llama_proj.bias",
    )
    torch.save({"model": {n: t for n, t in tensors.items() if ".lora_" not in n}}, tmp_path / "y.pth")
    assert inspect(tmp_path / "y.pth").problems == ("missing: all LoRA tensors",)


def test_other_tensors_are_unknown(tmp_path: Path) -> None:
    torch.save({"conv1.weight": torch.ones(2, 2)}, tmp_path / "resnet.pth")
    report = inspect(tmp_path / "resnet.pth")
    assert (report.kind, report.role) == ("unknown", None)
    assert "first names: conv1.weight" in report.facts


def test_a_folder_of_downloads_gives_the_command_or_what_is_missing(golden: Path, tmp_path: Path) -> None:
    report = inspect(golden)
    assert report.kind == "collection"
    assert report.problems == ()
    assert f"--weights {golden / 'Emotion_LLaMA.pth'} --out DIR" in report.facts[0]
    shutil.copy(golden / "eva_vit_g.pth", tmp_path)
    (tmp_path / "broken.pth").write_text("<html>")
    report = inspect(tmp_path)
    assert [part.role for part in report.parts] == [None, "eva"]
    assert "a web page, not weights" in report.parts[0].problems[0]
    assert report.problems == (
        "to convert, these are missing: --llama (language model), --mae (MAE vision transformer (face encoder)), "
        "--videomae (VideoMAE vision transformer (temporal encoder)), --hubert (HuBERT (audio encoder)), "
        "--weights (trained part of Emotion-LLaMA)",
    )


def test_one_bad_file_does_not_hide_the_others(golden: Path, tmp_path: Path) -> None:
    """A zip cut below 64 kB was OSError 22 and a cut index JSONDecodeError: tracebacks, both of them."""
    shutil.copy(golden / "mae_checkpoint-340.pth", tmp_path)
    (tmp_path / "eva_vit_g.pth").write_bytes((golden / "eva_vit_g.pth").read_bytes()[:30_000])
    (tmp_path / "llama").mkdir()
    (tmp_path / "llama" / "config.json").write_text("{}")
    (tmp_path / "llama" / "pytorch_model.bin.index.json").write_text('{"weight_map": ')
    parts = {Path(part.path).name: part for part in inspect(tmp_path).parts}
    assert parts["mae_checkpoint-340.pth"].role == "mae"
    assert parts["mae_checkpoint-340.pth"].problems == ()
    assert "it breaks off before its end" in parts["eva_vit_g.pth"].problems[0]
    assert "pytorch_model.bin.index.json: not JSON" in parts["llama"].problems[0]


@pytest.mark.parametrize(
    "tensors",
    [
        {"patch_embed.proj.weight": torch.ones(()), "blocks.0.attn.q_bias": torch.ones(2), "pos_embed": torch.ones(3)},
        {"llama_proj.weight": torch.ones(()), "a.lora_A.weight": torch.ones(())},
        {"model.embed_tokens.weight": torch.ones(4)},
    ],
)
def test_shapes_of_no_sense_are_reported(tmp_path: Path, tensors) -> None:
    torch.save(tensors, tmp_path / "x.pth")
    assert inspect(tmp_path / "x.pth").facts[0].startswith(f"{len(tensors)} tensors")


def test_an_empty_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="neither"):
        inspect(tmp_path)


def test_a_converted_folder_is_whole_until_it_is_not(converted: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(converted, folder)
    report = inspect(folder, check_hashes=True)
    assert (report.kind, report.abilities, report.problems) == ("model", ("classify", "reason"), ())
    assert report.facts[1] == "284,009 parameters and 1,536 of LoRA (rank 4, alpha 16, an adapter)"
    data = bytearray((folder / "model.safetensors").read_bytes())
    data[-1] ^= 1
    (folder / "model.safetensors").write_bytes(data)
    (folder / "tokenizer.model").unlink()
    (folder / "config.json").write_text("{}")
    assert inspect(folder).problems == (
        f"config.json has 2 bytes, {(converted / 'config.json').stat().st_size} were written",
        "tokenizer.model is missing; convert again",
    )
    assert (
        "model.safetensors is not what was written: its SHA-256 differs" in inspect(folder, check_hashes=True).problems
    )


def test_a_record_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "conversion.json").write_text("{")
    with pytest.raises(InputError, match=r"conversion\.json: not JSON"):
        inspect(tmp_path)
    (tmp_path / "conversion.json").write_text('{"format": "other"}')
    with pytest.raises(InputError, match="not a record of a conversion"):
        read_manifest(tmp_path)


def test_the_record_says_what_the_weights_can_do(
    converted: Path, toy_sources: Sources, toy_options, tmp_path: Path
) -> None:
    made = read_manifest(converted)
    assert made is not None
    assert (made["weights"], made["abilities"]) == ("Emotion_LLaMA.pth", ["classify", "reason"])
    assert read_manifest(tmp_path) is None
    shutil.copy(toy_sources["weights"], tmp_path / "epoch_29.pth")
    convert(toy_sources | {"weights": tmp_path / "epoch_29.pth"}, tmp_path / "out", toy_options)
    made = read_manifest(tmp_path / "out")
    assert made is not None
    assert (made["weights"], made["abilities"]) == ("epoch_29.pth", None)
    assert inspect(tmp_path / "out").abilities is None


def test_the_text_fits_80_columns(golden: Path, converted: Path) -> None:
    text = report_text(inspect(golden)) + "\n" + report_text(inspect(converted))
    assert max(len(line) for line in text.splitlines() if str(golden) not in line) <= 80
    assert "can: name the emotion, give reasons" in text
