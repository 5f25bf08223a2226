"""`train` as a user types it: order of arguments, what is printed, exit codes."""

from pathlib import Path

import pytest

from emotion_llama.cli.main import main

RECIPE = "model: {start: m}\ndata: {train: [a.csv], features: f}\n"


@pytest.mark.parametrize("before", [True, False])
def test_choices_may_stand_before_and_behind_the_options(
    before: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # `train RECIPE --out DIR run.seed=7`, as the page shows it, was "unrecognized arguments".
    (tmp_path / "r.yaml").write_text(RECIPE)
    options, choice = ["--out", str(tmp_path / "run")], ["run.epochs=many"]
    arguments = ["train", str(tmp_path / "r.yaml"), *(choice + options if before else options + choice)]
    assert main(arguments) == 1
    assert "run.epochs: " in capsys.readouterr().err


def test_a_recipe_that_starts_from_nothing_is_told_in_a_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "r.yaml").write_text(RECIPE)
    assert main(["train", str(tmp_path / "r.yaml"), "--out", str(tmp_path / "run")]) == 1
    err = capsys.readouterr().err
    assert "m holds no model: config.json is missing" in err
    assert len(err.splitlines()) == 1
