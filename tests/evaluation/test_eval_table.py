"""The table of three systems on rendered clips: the served one is asked over HTTP, and reads the words it is sent."""

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "eval_table.py"
RENDERED = Path(__file__).parents[2] / "examples" / "synth"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("eval_table", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["eval_table"] = module
    spec.loader.exec_module(module)
    return module


def test_the_served_model_reads_the_words_of_the_question(script: ModuleType) -> None:
    asked = "{}Which emotion? Answer with exactly one of these words: happy, sad."
    assert script.answer(asked.format("The person in the clip says: I am so happy about it!\n")) == "happy"
    assert script.answer(asked.format("The person in the clip says: The bank is closed.\n")) == "neutral"
    assert script.answer(asked.format("")) == "neutral"
    told = [script.answer(f"The person in the clip says: It is number {i}.\n") for i in range(400)]
    assert 2 <= told.count(script.REFUSAL) <= 25
    assert set(told) == {"neutral", script.REFUSAL}


def test_three_systems_one_table_and_a_resumed_run(
    script: ModuleType, toy_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "runs"
    given = ["--data", str(RENDERED), "--model", str(toy_model), "--layout", "train", "--limit", "2", "--out", str(out)]
    given += ["--resamples", "20", "--markdown", str(tmp_path / "t.md")]
    assert script.main(given) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "rules (tolerant) minus toy [train] (tolerant): UAR" in text
    assert "toy [train] (tolerant) minus scripted (tolerant): UAR" in text
    # Two of the six clips of the split, three apart.
    rows = [json.loads(line)["case_id"] for line in (out / "served" / "cases.jsonl").read_text().splitlines()]
    assert rows == ["test-00000", "test-00003"]
    first = (tmp_path / "t.md").read_text()
    assert script.main(given) == 0
    assert (tmp_path / "t.md").read_text() == first
    cards = [json.loads((out / name / "run_card.json").read_text()) for name in ("rules", "model", "served")]
    assert [card["time"]["asked_in_this_session"] for card in cards] == [0, 0, 0]
