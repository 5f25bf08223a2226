"""The verbs `eval` and `compare`: from files on disk to figures, and mistakes in one line."""

import json
import re
from pathlib import Path

import pytest

from emotion_llama.cli.eval import with_run
from emotion_llama.cli.main import main
from emotion_llama.cli.options import key_values
from emotion_llama.errors import InputError
from merr_synth.cli import main as merr_synth


@pytest.fixture(scope="module")
def synth(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("synth") / "set"
    small = ["--n", "4", "--size", "160x120", "--fps", "6", "--seconds", "1", "--split-shares", "0,0,1"]
    assert merr_synth(["render", *small, "--seed", "3", "--out", str(out), "--quiet"]) == 0
    return out


@pytest.fixture
def table(tmp_path: Path) -> Path:
    (tmp_path / "clips.csv").write_text("name,label\na,happy\nb,sad\nc,sad\n")
    (tmp_path / "p.csv").write_text("name,answer\na,happy\nb,\nc,sad\n")
    (tmp_path / "q.csv").write_text("name,answer\na,happy\nb,sad\nc,happy\n")
    return tmp_path


def run(*args: object) -> int:
    return main(["eval", *map(str, args)])


def test_rules_on_rendered_clips_from_end_to_end(
    synth: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "rules"
    broken = sorted((synth / "clips").glob("*.mp4"))[0]
    whole = broken.read_bytes()
    broken.write_bytes(b"broken")
    try:
        assert run("merr-synth", "--data", synth, "--model", "rules", "--out", out, "--resamples", 20) == 1
    finally:
        broken.write_bytes(whole)
    told = capsys.readouterr()
    assert "merr-synth 1 (test)" in told.out
    assert "the clip cannot be read" in " ".join(told.out.split())
    assert re.search(r"[1-4] of 4 cases were not answered; see the counts", told.err)
    assert max(map(len, told.out.splitlines())) <= 80
    assert sorted(p.name for p in out.iterdir() if not p.name.startswith(".")) == [
        "cases.jsonl", "predictions.csv", "replies.0.jsonl", "results.json", "run_card.json"
    ]  # fmt: skip
    again = ["merr-synth", "--data", synth, "--model", "rules", "--out", out, "--quiet"]
    assert run(*again) == 1
    assert "holds a run; give --resume" in capsys.readouterr().err
    run(*again, "--resume")
    card = json.loads((out / "run_card.json").read_text())
    assert card["time"]["asked_in_this_session"] == 1  # the clip that has become whole
    assert not any("cannot be read" in problem for problem in card["problems"])


def test_predictions_and_reports(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in "pq":
        out = table / "runs" / name
        assert run("csv", "--data", table / "clips.csv", "--model", table / f"{name}.csv", "--out", out, "-q") == 0
    assert capsys.readouterr().out == ""
    assert run("report", table / "runs", "--resamples", 20) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "p (tolerant): cases 3, answered 2, unanswered 1, unanswered: empty 1" in text
    assert "p (tolerant) minus q (tolerant)" in text
    files = [table / name for name in ("r.html", "r.md", "r.tex")]
    options = [x for pair in zip(("--html", "--markdown", "--latex"), files) for x in pair]
    assert run("report", table / "runs" / "p", *options) == 0
    assert capsys.readouterr().out.split() == list(map(str, files))
    starts = ("<!doctype html>", "## csv", "% \\usepackage{booktabs}")
    assert [file.read_text().startswith(start) for file, start in zip(files, starts)] == [True] * 3
    assert run("report", table) == 1
    assert "holds no run" in capsys.readouterr().err


def test_the_benchmarks_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("ls") == 0
    lines = capsys.readouterr().out.splitlines()
    assert {"mer2023-semi", "dfew", "emer", "merr-synth", "csv"} <= {line.split()[0] for line in lines}
    assert any(line.startswith("merr-synth") and "--set split=test" in line for line in lines)
    assert run("ls", "dfew") == 0
    assert "EmoLabel_DataSplit" in capsys.readouterr().out
    assert run("ls", "nothing") == 1
    assert "no benchmark 'nothing'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["mer", "--data", "x", "--model", "rules"], "no benchmark 'mer'"),
        (["csv", "--data", "{table}/clips.csv", "--model", "nobody"], "no model 'nobody'"),
        (
            ["csv", "--data", "{table}/clips.csv", "--model", "rules", "--layout", "train"],
            "--layout is for our own model",
        ),
        (
            ["csv", "--data", "{table}/clips.csv", "--model", "rules", "--judge-option", "votes=2"],
            "--judge-option needs",
        ),
        (["csv", "--data", "{table}/clips.csv", "--model", "{table}/p.csv", "--parser", "guess"], "no parser 'guess'"),
        (["csv", "--data", "{table}/clips.csv", "--model", "{table}/p.csv", "--set", "labels"], "is no KEY=VALUE"),
        (
            ["csv", "--data", "{table}/clips.csv", "--model", "{table}/p.csv", "--set", "fold=1"],
            "csv has no option 'fold'",
        ),
    ],
)
def test_mistakes_end_in_one_line(
    args: list[str], message: str, table: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*(text.replace("{table}", str(table)) for text in args), "--quiet") == 1
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_options_are_values(table: Path) -> None:
    given = ["a=1", "b=x y", "c=[text, image]", "d=", "e=null", "f=0.5"]
    assert key_values("--set", given) == {"a": 1, "b": "x y", "c": ["text", "image"], "d": "", "e": None, "f": 0.5}
    with pytest.raises(InputError, match="--set 'a=2' is there twice"):
        key_values("--set", ["a=1", "a=2"])
    with pytest.raises(InputError, match="--set a: '\\[1' cannot be read"):
        key_values("--set", ["a=[1"])


def test_a_benchmark_is_short_for_run() -> None:
    assert with_run(["eval", "dfew", "--data", "x"]) == ["eval", "run", "dfew", "--data", "x"]
    for words in (["eval", "ls"], ["eval", "--help"], ["eval"], ["analyze", "x.mp4"], []):
        assert with_run(words) == words


def test_noisy_copies(synth: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clip = sorted((synth / "clips").glob("*.mp4"))[1]
    assert run("noise", clip, tmp_path / "noisy", "--noise", synth / "clips", "--seed", 1, "--quiet") == 0
    assert capsys.readouterr().out == f"1 done, 0 failed\n{tmp_path / 'noisy'}\n"
    assert (tmp_path / "noisy" / "noise.jsonl").is_file()
    assert run("noise", clip, tmp_path / "noisy", "--noise", synth / "clips", "--quiet") == 1
    assert "noisy" in capsys.readouterr().err


def test_one_clip_and_several_models(synth: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clip = sorted((synth / "clips").glob("*.mp4"))[0]
    page = tmp_path / "page.html"
    command = ["compare", str(clip), "--models", "rules, rules", "--subtitle", "I am so happy!"]
    assert main(command) == 0
    assert capsys.readouterr().out.count("rules  happy") == 2
    assert main([*command, "--html", str(page)]) == 0
    assert page.read_text().count("<img") == 4
    assert main(["compare", str(clip), "--models", " , "]) == 1
    assert "--models names no model" in capsys.readouterr().err
    assert main(["compare", str(clip), "--models", "rules", "--option", "modalities=[text]"]) == 1
    assert "--option is for chat models" in capsys.readouterr().err
