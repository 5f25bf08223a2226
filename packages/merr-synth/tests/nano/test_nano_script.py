"""scripts/nano: its ablations are choices that the committed recipes have, trained from where they should start."""

import sys
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from itertools import pairwise
from pathlib import Path
from types import ModuleType

import pytest

from emotion_llama.train.recipe import load_train_recipe

SCRIPT = Path(__file__).parents[2] / "scripts" / "nano"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = spec_from_loader("nano_script", SourceFileLoader("nano_script", str(SCRIPT)))
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules["nano_script"] = module
    spec.loader.exec_module(module)
    return module


def test_each_ablation_trains_what_its_name_says(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands: list[list[str]] = []
    monkeypatch.setattr(
        script, "python", lambda *parts, threads=None: commands.append([*map(str, parts), str(threads)])
    )
    script.ablations(script.Job(tmp_path, 10, 1, []))
    runs = {}
    for command in commands:
        assert command[:3] == ["-m", "emotion_llama", "train"]
        assert command[-1] == "1"  # thread
        out = Path(command[command.index("--out") + 1])
        runs[out.relative_to(tmp_path / "ablations")] = load_train_recipe(
            Path(command[3]), command[4 : command.index("--out")]
        )
    stages = {name: (1, 2) if one.has_stage1 else (2,) for name, one in script.ABLATIONS.items()}
    assert {str(path) for path in runs} == {f"{name}/stage{n}" for name, numbers in stages.items() for n in numbers}
    assert stages["no_stage1"] == (2,)
    assert len({recipe.num_steps for path, recipe in runs.items() if path.name == "stage2"}) == 1  # all as long
    assert runs[Path("no_stage1/stage2")].model.start == tmp_path / "start"
    for name, hidden in (("no_local", "face"), ("no_temporal", "temporal"), ("no_audio", "audio")):
        first, second = (runs[Path(name, stage)] for stage in ("stage1", "stage2"))
        assert first.data.without == second.data.without == (hidden,)
        assert first.model.train == second.model.train == ("projector", "lora")
        assert (first.model.start, second.model.start) == (
            tmp_path / "start",
            tmp_path / "ablations" / name / "stage1" / "model",
        )
    assert {runs[Path("no_lora", stage)].model.train for stage in ("stage1", "stage2")} == {("projector",)}
    assert runs[Path("no_lora/stage1")].data.train == (tmp_path / "examples" / "train-coarse.jsonl",)


def test_the_tables_are_of_the_shipped_model_and_what_is_there(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands: list[list[str]] = []
    monkeypatch.setattr(script, "python", lambda *parts, threads=None: commands.append([*map(str, parts)]))
    there = tmp_path / "ablations" / "no_lora" / "stage2" / "model"
    there.mkdir(parents=True)
    script.tables(script.Job(tmp_path, 10, 2, []))
    (command,) = commands
    assert Path(command[0]).is_file()
    assert command[command.index("--model") + 1] == str(tmp_path / "nano")
    assert [part for before, part in pairwise(command) if before == "--ablation"] == [f"no LoRA={there}"]


def test_ablations_are_compared_with_a_model_trained_as_long(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands: list[list[str]] = []
    monkeypatch.setattr(script, "python", lambda *parts, threads=None: commands.append([*map(str, parts)]))
    monkeypatch.setattr(script, "ABLATIONS", {"all": script.Ablation("everything", ())})
    script.tables(script.Job(tmp_path, 10, 2, []))
    (tmp_path / "ablations" / "all" / "stage2" / "model").mkdir(parents=True)
    script.tables(script.Job(tmp_path, 10, 2, []))
    assert ["--against" in command for command in commands] == [False, True]
    assert commands[1][commands[1].index("--against") + 1] == "everything"


def test_the_model_is_made_before_anything_is_measured(script: ModuleType) -> None:
    names = [step.__name__ for step in script.STEPS]
    assert names[names.index(script.LAST_OF_MODEL) + 1 :] == ["ablations", "tables"]
