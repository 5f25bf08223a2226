"""`emotion-llama doctor`: what is here is tried for real; what is missing comes with its command."""

import json
from pathlib import Path

import pytest

from emotion_llama import doctor
from emotion_llama.cli.main import main

Captured = pytest.CaptureFixture[str]


def test_this_installation_is_ready(capsys: Captured) -> None:
    assert main(["doctor"]) == 0
    out = capsys.readouterr().out
    assert "face mesh: onnx_mesh" in out
    assert "FAIL" not in out
    assert max(len(line) for line in out.splitlines()) <= 80


def test_the_model_of_the_package_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    found = doctor._nano()
    assert (found.status, found.name) == ("ready", "model: nano")
    assert "13 MB, loaded" in found.detail
    monkeypatch.setattr("emotion_llama.predictors.find_spec", lambda name: None)
    found = doctor._nano()
    assert (found.status, found.remedy) == ("optional", "pip install 'emotion-llama[model]'")


def test_json_has_a_remedy_for_everything_that_is_not_ready(capsys: Captured) -> None:
    assert main(["doctor", "--json"]) == 0
    findings = json.loads(capsys.readouterr().out)
    assert {f["status"] for f in findings} <= {"ready", "optional"}
    assert all(f["remedy"] for f in findings if f["status"] != "ready")


def test_a_missing_base_package_is_exit_1_with_the_command(capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_BASE", (("no-such-package", "this test"),))
    assert main(["doctor"]) == 1
    out = capsys.readouterr().out
    assert "FAIL no-such-package" in out
    assert "-> pip install no-such-package" in out


def test_a_mesh_that_does_not_start_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> str:
        raise ImportError("libGL.so.1: cannot open shared object file\nmore")

    finding = doctor._tried("face mesh", broken, "pip install onnxruntime")
    assert finding.status == "broken"
    assert finding.detail == "libGL.so.1: cannot open shared object file"
    assert finding.remedy == "pip install onnxruntime"


def test_openface_is_found_by_its_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "FeatureExtraction"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setenv("OPENFACE_EXECUTABLE", str(program))
    assert doctor._openface().status == "ready"
    monkeypatch.setenv("OPENFACE_EXECUTABLE", str(tmp_path / "gone"))
    finding = doctor._openface()
    assert finding.status == "optional"
    assert "gone is not a program" in finding.detail
