"""The default predictor: the model of the package, and the rules where PyTorch is not installed."""

import importlib.util
from pathlib import Path

import pytest

from emotion_llama import predictors
from emotion_llama.cli.main import main
from emotion_llama.predictors import default_model, shipped_folder

EXAMPLE = Path(__file__).parents[2] / "examples" / "clips" / "astronaut.mp4"


@pytest.fixture
def without_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(predictors, "find_spec", lambda name: None if name == "torch" else found(name))


def test_the_model_of_the_package_is_the_default() -> None:
    assert default_model() == "nano"
    files = {path.name for path in shipped_folder("nano").iterdir()}
    assert {"config.json", "model.safetensors", "tokenizer.json", "processor_config.json"} <= files
    assert sum(path.stat().st_size for path in shipped_folder("nano").iterdir()) < 40_000_000


def test_without_torch_the_rules_read_and_it_is_said(without_torch: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert default_model() == "rules"
    assert main(["analyze", str(EXAMPLE)]) == 0
    out, err = capsys.readouterr()
    assert "This is a rule baseline" in out
    assert (
        "Predicted by rules: PyTorch is not installed. With pip install 'emotion-llama[model]', the model nano predicts"
        in err
    )
    assert main(["analyze", str(EXAMPLE), "--quiet"]) == 0
    assert capsys.readouterr() == ("", "")
