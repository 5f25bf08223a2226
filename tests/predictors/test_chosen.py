"""`emotion-llama use`: the model that answers where none is named, in analyze, serve and Python alike."""

import json
import shutil
from pathlib import Path

import pytest

from emotion_llama.analysis import Analyzer
from emotion_llama.cli.main import main
from emotion_llama.cli.serve import default_models
from emotion_llama.errors import InputError
from emotion_llama.predictors import default_model, shipped_folder
from emotion_llama.predictors.chosen import chosen_model, user_folder

CLIP = Path(__file__).parents[2] / "src" / "emotion_llama" / "serve" / "web" / "examples" / "smile.mp4"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user of whom nothing is known."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    return tmp_path


def test_nothing_chosen_is_the_measured_evidence(capsys: pytest.CaptureFixture[str], home: Path) -> None:
    assert (chosen_model(), default_model()) == (None, "rules")
    assert main(["use"]) == 0
    assert capsys.readouterr().out.startswith("rules ")
    assert not (home / "config").exists()  # asking writes nothing


def test_a_chosen_folder_answers_everywhere(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(shipped_folder("nano"), home / "mine")
    monkeypatch.chdir(home)
    assert main(["use", "mine"]) == 0
    monkeypatch.chdir("/")  # kept as an absolute path
    assert default_model() == str(home / "mine")
    assert default_models()[:2] == [str(home / "mine"), "rules"]
    assert Analyzer.load().predictor.name != "rules"
    capsys.readouterr()
    assert main(["analyze", str(CLIP), "--json", "-"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["people"][0]["segments"][0]["prediction"]["model"] != "rules"
    assert f"{home / 'mine'} answers" in err
    assert main(["use", "rules"]) == 0
    assert Analyzer.load().predictor.name == "rules"


def test_a_choice_that_is_gone_is_an_error_and_not_another_model(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(shipped_folder("nano"), home / "mine")
    assert main(["use", str(home / "mine")]) == 0
    shutil.rmtree(home / "mine")
    with pytest.raises(InputError, match="is gone"):
        Analyzer.load()
    assert main(["analyze", str(CLIP)]) == 1
    assert "use rules" in capsys.readouterr().err
    assert main(["analyze", str(CLIP), "--model", "rules", "-q"]) == 0
    (user_folder("config") / "chosen-model.json").write_text("{")
    with pytest.raises(InputError, match="does not say which model"):
        default_model()


def test_what_is_no_model_is_not_chosen(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (home / "empty").mkdir()
    for name in (str(home / "empty"), "nobody", str(CLIP)):
        assert main(["use", name]) == 1
    assert capsys.readouterr().err.count("\n") == 3
    assert chosen_model() is None
    for name in ("nano", "openai:m@http://127.0.0.1:9/v1"):
        assert main(["use", name]) == 0
        assert chosen_model() == name
