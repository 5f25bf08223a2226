"""The verb `synth`: options reach the plans, files come out, mistakes end in one line."""

import json
import re
import shlex

import pytest

from merr_synth.cli import main
from merr_synth.render.plan import draw_plans
from merr_synth.render.plan_file import read_plans

SMALL = ["--n", "4", "--size", "96x64", "--fps", "5", "--seconds", "1", "--labels", "happy,sad"]


def run(*args):
    return main(["render", *args])


def test_the_options_are_the_plans(tmp_path, capsys):
    out = tmp_path / "set"
    shares = ["--split-shares", "0.5,0,0.5", "--conflict-share", "0.5", "--missing-share", "0.25"]
    assert run(*SMALL, *shares, "--seed", "3", "--out", str(out)) == 0
    expected = draw_plans(
        4, 3, split_shares={"train": 0.5, "validation": 0.0, "test": 0.5}, conflict_share=0.5, missing_share=0.25,
        labels=("happy", "sad"), size=(96, 64), fps=5.0, seconds=1.0,
    )  # fmt: skip
    assert read_plans(out / "plans.jsonl") == expected
    assert capsys.readouterr().out == f"4 done, 0 skipped (already done), 0 failed\n{out}\n"
    assert run(*SMALL, *shares, "--seed", "3", "--out", str(out), "--resume") == 0
    assert "0 done, 4 skipped" in capsys.readouterr().out


def test_the_command_in_the_readme_gives_the_same_plans_again(tmp_path):
    assert run(*SMALL, "--seed", "8", "--split-shares", "0.5,0.25,0.25", "--out", str(tmp_path / "a"), "-q") == 0
    command = re.search(r"```\n(.*)\n```", (tmp_path / "a" / "README.md").read_text())[1]
    words = shlex.split(command)
    assert words[:2] == ["merr-synth", "render"]
    words[words.index("DIR")] = str(tmp_path / "b")
    assert main([*words[1:], "--quiet"]) == 0
    assert (tmp_path / "a" / "plans.jsonl").read_bytes() == (tmp_path / "b" / "plans.jsonl").read_bytes()


def test_the_truth_is_beside_the_clip(tmp_path):
    assert run(*SMALL, "--out", str(tmp_path / "set"), "--quiet") == 0
    truth = json.loads((tmp_path / "set" / "truth" / "train-00000.json").read_text())
    assert truth["label"] in ("happy", "sad")


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--n", "0"], "n must be at least 1, got 0"),
        (["--n", "4", "--labels", "bored"], "labels must be different ones of neutral"),
        (["--n", "4", "--workers", "0"], "--workers must be at least 1, got 0"),
    ],
)
def test_what_cannot_be_made_ends_in_one_line(args, message, tmp_path, capsys):
    assert run(*args, "--out", str(tmp_path / "x")) == 1
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--size", "256", "expected WIDTHxHEIGHT, such as 256x256, got '256'"),
        ("--split-shares", "1,0", "expected three numbers, such as 0.7,0.15,0.15, got '1,0'"),
    ],
)
def test_values_of_the_wrong_form_are_usage_errors(option, value, message, tmp_path, capsys):
    with pytest.raises(SystemExit) as stopped:
        run("--n", "4", "--out", str(tmp_path / "x"), option, value)
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err


def test_a_clip_that_fails_is_told_and_the_exit_code_says_so(tmp_path, capsys, monkeypatch):
    from emotion_llama.errors import InputError
    from merr_synth.render import dataset

    real = dataset.render_clip

    def failing(plan, folder, *, voice):
        if plan.id == "train-00001":
            raise InputError("no room")
        return real(plan, folder, voice=voice)

    monkeypatch.setattr(dataset, "render_clip", failing)
    assert run(*SMALL, "--out", str(tmp_path / "set")) == 1
    captured = capsys.readouterr()
    assert captured.err == "emotion-llama: train-00001: no room\n"
    assert "3 done, 0 skipped (already done), 1 failed" in captured.out
