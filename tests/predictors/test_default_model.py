"""The default predictor: the measured evidence, with and without PyTorch; nano only where it is named."""

import importlib.util
import json
from pathlib import Path

import pytest

from emotion_llama import Analyzer, predictors
from emotion_llama.cli.main import main
from emotion_llama.cli.serve import default_models
from emotion_llama.predictors import DEFAULT_MODEL, shipped_folder

EXAMPLE = Path(__file__).parents[2] / "examples" / "clips" / "astronaut.mp4"


def test_the_measured_evidence_is_the_default(tmp_path: Path) -> None:
    """The model that learned from drawings was confidently wrong about real people, and was the default."""
    assert DEFAULT_MODEL == "rules"
    assert Analyzer.load().predictor.name == "rules"
    assert main(["analyze", str(EXAMPLE), "--quiet", "--json", str(tmp_path / "a.json")]) == 0
    (person,) = json.loads((tmp_path / "a.json").read_text())["people"]
    assert person["segments"][0]["prediction"]["model"] == "rules"
    assert person["segments"][0]["prediction"]["label"] == "happy"


def test_the_server_offers_nano_beside_it_where_it_can_run(monkeypatch: pytest.MonkeyPatch) -> None:
    assert default_models() == ["rules", "nano"]
    found = importlib.util.find_spec
    monkeypatch.setattr(predictors, "find_spec", lambda name: None if name == "torch" else found(name))
    assert default_models() == ["rules"]


def test_nano_comes_with_the_package() -> None:
    files = {path.name for path in shipped_folder("nano").iterdir()}
    assert {"config.json", "model.safetensors", "tokenizer.json", "processor_config.json"} <= files
    assert sum(path.stat().st_size for path in shipped_folder("nano").iterdir()) < 40_000_000


def test_nano_does_what_it_was_trained_for_and_declines_the_rest() -> None:
    """Asked what is seen, it answered with a label."""
    from emotion_llama.serve.chat.answers import tasks_of

    nano = predictors.load_predictor("nano")
    assert tasks_of(nano) == ("emotion", "reason", "reason_v2")
    assert tasks_of(predictors.load_predictor("rules")) == ("emotion", "reason", "reason_v2")
    assert "not trained for the task [visual]" in str(nano.why_not("visual"))  # type: ignore[attr-defined]
