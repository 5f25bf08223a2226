"""The small model's tables end to end on a few rendered clips with a toy model: every row is there, and adds up."""

import importlib.util
import json
import shutil
import sys
from pathlib import Path
from types import ModuleType

import pytest

from emotion_llama.errors import InputError
from merr_synth.nano.rendered_clips import read_rendered

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "nano_tables.py"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("nano_tables", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["nano_tables"] = module
    spec.loader.exec_module(module)
    return module


def test_clips_come_with_what_was_measured(nano_root: Path) -> None:
    clips = read_rendered(nano_root, "test")
    assert [one.clip.name for one in clips] == ["test-00001", "test-00003", "test-00004"]
    assert [one.clip.kind for one in clips] == ["conflict leak", "missing silent", "plain"]
    assert {one.clip.person for one in clips} == {"test-person-0000"}
    assert clips[1].evidence.why_missing("prosody") == "the file has no sound"
    assert clips[1].media.present == (True, True, True, False)
    assert clips[0].truth["label"] == clips[0].clip.label == "angry"
    assert repr(clips[0]) == "RenderedClip(test-00001, angry, conflict leak)"
    spread = read_rendered(nano_root, "test", limit=2)
    assert [one.clip.name for one in spread] == ["test-00001", "test-00003"]


def test_what_is_not_there_is_named(nano_root: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no clip of split 'train'"):
        read_rendered(nano_root, "train")
    from emotion_llama.models.features.feature_store import FeatureStore

    FeatureStore(tmp_path / "empty", writable=True, recipe={}).close()
    with pytest.raises(InputError, match=r"test-00001 has no features in .*; make them first"):
        read_rendered(nano_root, "test", features=tmp_path / "empty")
    other = tmp_path / "root"
    other.mkdir()
    for name in ("merr", "features"):
        (other / name).symlink_to(nano_root / name)
    shutil.copytree(nano_root / "clips", other / "clips", symlinks=True)
    plans = (Path(__file__).parents[4] / "examples" / "synth" / "plans.jsonl").read_text().splitlines(keepends=True)
    (other / "clips" / "plans.jsonl").write_text(next(p for p in plans if '"test-00005"' in p))
    with pytest.raises(InputError, match=r"test-00005 is not measured in .*; finish the build first"):
        read_rendered(other, "test")


def test_all_tables(script: ModuleType, nano_root: Path, toy_model: Path, tmp_path: Path) -> None:
    bare = tmp_path / "run" / "model"
    shutil.copytree(toy_model, bare)
    (tmp_path / "run" / "run_card.json").write_text(json.dumps({"recipe": {"data": {"without": ["audio"]}}}))
    out = tmp_path / "t" / "nano.json"
    options = ["--root", str(nano_root), "--model", str(toy_model), "--ablation", f"no audio encoder={bare}"]
    options += ["--kept", str(tmp_path / "kept"), "--resamples", "20", "--out", str(out)]
    assert script.main(options) == 0
    found = json.loads(out.read_text())
    assert (found["about"]["clips"], found["about"]["people"]) == (3, 1)
    assert found["about"]["kinds"] == {"conflict": 1, "missing": 1, "plain": 1}
    assert len(found["labels"]) == 2 * 5 * 4  # parts, sets of modalities, three layouts and the rules
    rows = {(row["part"], row["system"], row["senses"], row["layout"]): row for row in found["labels"]}
    # Of the silent clip nothing is shown where the voice alone is: nobody is asked.
    for layout in ("tokens", "evidence", "both"):
        assert rows["all", "model", "A", layout]["unanswered"] == 1
        assert rows["all", "model", "A+V+T", layout]["unanswered"] == 0
    assert rows["all", "rules", "A", "-"]["unanswered"] >= 1
    assert rows["all", "model", "T", "both"] == {**rows["all", "model", "T", "evidence"], "layout": "both"}
    assert {row["clips"] for row in found["labels"]} == {1, 3}
    assert [row["name"] for row in found["ablations"]] == ["the model", "no audio encoder"] * 2
    assert [row["without"] for row in found["ablations"]] == [[], ["audio"]] * 2
    assert ["difference" in row for row in found["ablations"]] == [False, True] * 2
    assert [row["kind"] for row in found["reasons"]] == ["all", "plain", "conflict", "missing"]
    whole = found["reasons"][0]
    assert whole["told"] == sum(row["told"] for row in found["reasons"][1:])
    assert {row["temperature"] == 1.0 for row in found["calibration"]} == {True, False}
    text = out.with_suffix(".md").read_text()
    for title in ("Expected and reached", "Labels: conflict cases", "Model minus rules", "Reasons", "Ablations"):
        assert f"## {title}" in text
    widths = {len(line.split("|")) for line in text.split("## Reasons")[1].split("##")[0].splitlines() if "|" in line}
    assert widths == {12}
    # What is kept is not asked again, and gives the same figures.
    kept = sorted((tmp_path / "kept").rglob("*.jsonl"))
    sizes = [path.stat().st_size for path in kept]
    assert len(kept) == 2
    assert script.main(options) == 0
    assert [path.stat().st_size for path in kept] == sizes
    again = json.loads(out.read_text())
    assert {k: v for k, v in again.items() if k != "about"} == {k: v for k, v in found.items() if k != "about"}


def test_ablations_are_name_and_folder(script: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        script.main(["--root", "x", "--model", "y", "--ablation", "z"])
    assert "expected NAME=DIR, got 'z'" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        script.main(["--root", "x", "--model", "y", "--against", "z"])
    assert "--against 'z' is no --ablation" in capsys.readouterr().err


def test_ablations_may_be_compared_with_one_of_them(
    script: ModuleType, nano_root: Path, toy_model: Path, tmp_path: Path
) -> None:
    short = f"as short={toy_model}"
    options = ["--root", str(nano_root), "--model", str(toy_model), "--ablation", short, "--against", "as short"]
    options += ["--kept", str(tmp_path / "kept"), "--resamples", "5", "--no-reasons", "--out", str(tmp_path / "n.json")]
    assert script.main(options) == 0
    found = json.loads((tmp_path / "n.json").read_text())
    assert (found["reasons"], [row["name"] for row in found["ablations"]]) == ([], ["the model", "as short"] * 2)
    assert ["difference" in row for row in found["ablations"]] == [True, False] * 2
    assert {row["difference"]["difference"][0] for row in found["ablations"][::2]} == {0.0}
    assert "UAR minus as short" in (tmp_path / "n.md").read_text()
