"""The benchmark of the whole model: both ways give the same scores, at toy size; its times are not looked at."""

import importlib.util
import re
from pathlib import Path

import pytest


def test_both_ways_score_labels_alike_and_every_figure_is_there(capsys: pytest.CaptureFixture[str]) -> None:
    path = Path(__file__).parents[2] / "benchmarks" / "model_speed.py"
    spec = importlib.util.spec_from_file_location("model_speed", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.main(["--clips", "2", "--batch", "2", "--tokens", "2", "--prompt", "300", "--faces", "2", "--seconds", "1"])
    out = capsys.readouterr().out
    assert float(re.search(r"log-likelihood: (\S+)", out).group(1)) < 1e-4
    assert re.findall(r"^(\w+) +[\d.]+ +[\d.]+ +[\d.]+$", out, re.M) == [
        "scene",
        "face",
        "motion",
        "voice",
        "labels",
        "answer",
    ]
    assert len(re.findall(r"^tokens/s, batch \d+ ", out, re.M)) == 2
    assert "training examples/s" in out
