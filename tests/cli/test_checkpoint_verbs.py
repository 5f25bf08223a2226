"""`convert`, `export` and `doctor FILE` from the command line: output, errors and exit codes."""

import json
import shutil
from pathlib import Path

import pytest

from emotion_llama.cli.main import main

Captured = pytest.CaptureFixture[str]
GOLDEN = Path(__file__).parents[1] / "golden"
FILES = [
    "--llama", GOLDEN / "llama", "--eva", GOLDEN / "eva_vit_g.pth", "--mae", GOLDEN / "mae_checkpoint-340.pth",
    "--videomae", GOLDEN / "videomae_checkpoint-399.pth", "--hubert", GOLDEN / "hubert",
    "--weights", GOLDEN / "Emotion_LLaMA.pth",
]  # fmt: skip
SIZES = [
    "--eva-heads", 4, "--mae-heads", 4, "--videomae-heads", 4, "--image-size", 56, "--videomae-image-size", 32
]  # fmt: skip


def run(*words: object) -> int:
    return main([str(word) for word in words])


def test_convert_doctor_export(tmp_path: Path, capsys: Captured) -> None:
    assert run("convert", *FILES, *SIZES, "--out", tmp_path / "model") == 0
    out = capsys.readouterr().out
    assert out.startswith(f"{tmp_path / 'model'}: 284,009 parameters and 1,536 of LoRA\n")
    assert "left behind from --mae: 3 tensors: decoder of the masked pre-training" in out
    assert run("doctor", tmp_path / "model", "--hashes") == 0
    assert "can: name the emotion, give reasons" in capsys.readouterr().out
    assert run("export", tmp_path / "model", "--out", tmp_path / "back", "--parts", "weights", "eva") == 0
    assert capsys.readouterr().out == (
        f"{tmp_path / 'back' / 'Emotion_LLaMA.pth'}: 20 tensors\n{tmp_path / 'back' / 'eva_vit_g.pth'}: 43 tensors\n"
    )


def test_options_reach_the_conversion(tmp_path: Path, capsys: Captured) -> None:
    options = ["--dtype", "bfloat16", "--merge", "--lora-alpha", "8", "--out", tmp_path / "model"]
    assert run("convert", *FILES, *SIZES, *options) == 0
    manifest = json.loads((tmp_path / "model" / "conversion.json").read_text())
    assert manifest["dtype"] == "bfloat16"
    assert manifest["lora"] == {"rank": 4, "alpha": 8.0, "merged": True}


def test_a_refusal_is_one_line_and_exit_1(tmp_path: Path, capsys: Captured) -> None:
    assert run("convert", *FILES, "--out", tmp_path / "model") == 1
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("emotion-llama: the number of attention heads of a eva encoder 32 wide is not in its file")
    assert not (tmp_path / "model").exists()


def test_doctor_of_a_file_that_lies_is_exit_1(tmp_path: Path, capsys: Captured) -> None:
    shutil.copy(GOLDEN / "mae_checkpoint-340.pth", tmp_path / "eva_vit_g.pth")
    assert run("doctor", tmp_path / "eva_vit_g.pth") == 1
    assert "! its name says eva_vit_g.pth" in capsys.readouterr().out
    assert run("doctor", tmp_path / "eva_vit_g.pth", "--json") == 1
    assert json.loads(capsys.readouterr().out)[0]["role"] == "mae"
    assert run("doctor", tmp_path / "gone.pth") == 1
    assert "no such file or folder" in capsys.readouterr().err


def test_doctor_looks_at_the_other_paths_too(tmp_path: Path, capsys: Captured) -> None:
    assert run("doctor", tmp_path / "gone.pth", GOLDEN / "eva_vit_g.pth") == 1
    captured = capsys.readouterr()
    assert "EVA vision transformer" in captured.out
    assert captured.err == f"emotion-llama: {tmp_path / 'gone.pth'}: no such file or folder\n"


def test_odd_numbers_of_frames_are_one_line(tmp_path: Path, capsys: Captured) -> None:
    assert run("convert", *FILES, *SIZES, "--videomae-frames", 15, "--out", tmp_path / "model") == 1
    assert capsys.readouterr().err.startswith("emotion-llama: --videomae-frames 15: expected an even number")


def test_encode_into_a_file_blames_the_option_not_the_clip(tmp_path: Path, capsys: Captured) -> None:
    (tmp_path / "out").write_text("")
    assert run("encode", "clip.mp4", "--model", tmp_path, "--out", tmp_path / "out") == 1
    assert capsys.readouterr().err == (
        f"emotion-llama: --out {tmp_path / 'out'} is not a folder; give a folder for the vectors\n"
    )
