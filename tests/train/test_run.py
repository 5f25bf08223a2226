"""Whole runs on the toy model: learning, killed and resumed, in two processes, sharded."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from emotion_llama.errors import InputError
from emotion_llama.media.writing import write_clip
from emotion_llama.models import EmotionLlamaForConditionalGeneration
from emotion_llama.models.features.feature_store import FeatureStore
from emotion_llama.train.recipe import TrainRecipe, load_train_recipe
from emotion_llama.train.run import TrainResult, train

SCRIPT = """
import sys
from pathlib import Path
from emotion_llama.train.recipe import load_train_recipe
from emotion_llama.train.run import train
out, recipe, *overrides = sys.argv[1:]
train(load_train_recipe(Path(recipe), overrides), Path(out), resume=True)
"""


def recipe_of(workshop: Path, *overrides: str) -> TrainRecipe:
    return load_train_recipe(workshop / "recipe.yaml", overrides)


def losses(out: Path) -> list[float]:
    history = json.loads((out / "run_card.json").read_text())["history"]
    return [row["loss"] for row in history if "loss" in row]


@pytest.fixture(scope="session")
def whole_run(workshop: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, TrainResult, list[str]]:
    out, said = tmp_path_factory.mktemp("run"), []
    result = train(recipe_of(workshop), out, say=said.append)
    return out, result, said


def test_a_run_learns_and_leaves_a_whole_model(whole_run: tuple[Path, TrainResult, list[str]], workshop: Path) -> None:
    out, result, said = whole_run
    curve = losses(out)
    assert len(curve) == result.steps == 10
    assert curve[-1] < curve[0] - 0.2
    assert "lora" in said[0]
    assert "1,536" in said[0]
    card = json.loads((out / "run_card.json").read_text())
    assert card["data"]["train"]["examples"] == 30
    assert card["best"]["by"] == "uar"
    assert {row["part"]: row["trained"] for row in card["parameters"]}["language_model"] == 0
    start = EmotionLlamaForConditionalGeneration.from_pretrained(workshop / "model", dtype=torch.float32).state_dict()
    end = EmotionLlamaForConditionalGeneration.from_pretrained(result.model, dtype=torch.float32).state_dict()
    moved = {name for name in start if not torch.equal(start[name], end[name])}
    assert moved  # projections and adapter alone, all of them
    assert moved == {n for n in start if n.startswith("multi_modal_projector") or ".lora_" in n}


def test_checkpoints_hold_what_learns_and_no_more(whole_run: tuple[Path, TrainResult, list[str]]) -> None:
    out, _, _ = whole_run
    checkpoints = sorted((out / "checkpoints").glob("checkpoint-*"))
    assert checkpoints
    for checkpoint in checkpoints:
        names = set(load_file(checkpoint / "trained.safetensors"))
        assert all(n.startswith("multi_modal_projector.") or ".lora_" in n for n in names)
        assert not list(checkpoint.glob("model*.safetensors"))


def test_killed_and_resumed_it_gives_the_same_curve(
    whole_run: tuple[Path, TrainResult, list[str]], workshop: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    command = [sys.executable, "-c", SCRIPT, str(out), str(workshop / "recipe.yaml")]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not list(out.glob("checkpoints/checkpoint-5/trainer_state.json")):
        assert process.poll() is None
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    shutil.rmtree(out / "model", ignore_errors=True)
    (out / "run_card.json").unlink()
    subprocess.run(command, env=environment, check=True, capture_output=True)
    assert losses(out) == pytest.approx(losses(whole_run[0]), abs=1e-6)
    weights, same = (load_file(p / "model" / "adapter_model.safetensors") for p in (out, whole_run[0]))
    assert all(torch.allclose(weights[name], same[name], atol=1e-6) for name in same)


def in_two_processes(out: Path, workshop: Path, *overrides: str) -> None:
    script = out.with_suffix(".py")
    script.write_text(SCRIPT)
    launch = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone"]
    command = [*launch, str(script), str(out), str(workshop / "recipe.yaml"), *overrides]
    done = subprocess.run(command, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.mark.parametrize("loss", ["examples", "tokens"])
def test_however_a_step_is_divided_its_loss_is_the_same(loss: str, workshop: Path, tmp_path: Path) -> None:
    """Four examples a step: in one pass, in four, and in two processes of two; batches were drawn in other orders."""
    given = (f"run.loss={loss}", "run.epochs=1")
    train(recipe_of(workshop, *given), tmp_path / "one")
    train(recipe_of(workshop, *given, "run.batch_size=1", "run.gradient_accumulation_steps=4"), tmp_path / "four")
    in_two_processes(tmp_path / "two", workshop, *given, "run.batch_size=2")
    one = losses(tmp_path / "one")
    assert len(one) == 5
    assert losses(tmp_path / "four") == pytest.approx(one, rel=1e-5)
    assert losses(tmp_path / "two") == pytest.approx(one, rel=1e-5)


def test_an_epoch_shorter_than_the_log_prints_its_loss(workshop: Path, tmp_path: Path) -> None:
    """Epochs of five steps with a line every ten were "loss nan" every second time."""
    said: list[str] = []
    train(recipe_of(workshop, "run.log_every=10", "run.steps_per_epoch=3"), tmp_path / "run", say=said.append)
    epochs = [line for line in said if line.startswith("epoch")]
    assert len(epochs) == 2
    assert all(re.match(r"epoch [12]/2: loss \d\.\d{4}, validation", line) for line in epochs)


def test_without_features_a_store_is_made_in_the_run(workshop: Path, tmp_path: Path) -> None:
    """`data.features=null` promised such a store and was then refused."""
    clip = write_clip(tmp_path / "a.mp4", [np.full((90, 120, 3), 120, np.uint8)] * 5, fps=5)
    (tmp_path / "own.jsonl").write_text(json.dumps({"video": str(clip), "label": "sad", "subtitle": "well now"}) + "\n")
    given = [f"data.train={tmp_path / 'own.jsonl'}", "data.validation=[]", "data.features=null", "tasks={emotion: 1}"]
    given += ["run.epochs=1", "run.steps_per_epoch=1"]
    result = train(recipe_of(workshop, *given), tmp_path / "run")
    assert result.left_out == {}
    assert FeatureStore(tmp_path / "run" / "features").names == ("a",)
    with pytest.raises(InputError, match=r"data\.features is null, and no example names a clip"):
        train(recipe_of(workshop, "data.features=null"), tmp_path / "b")


def test_sharded_weights_give_the_losses_of_one(
    whole_run: tuple[Path, TrainResult, list[str]], workshop: Path, tmp_path: Path
) -> None:
    overrides = ("run.batch_size=2", "run.fsdp=true", "run.best_by=loss")
    in_two_processes(tmp_path / "sharded", workshop, *overrides)
    assert losses(tmp_path / "sharded") == pytest.approx(losses(whole_run[0]), rel=1e-4)
    end = EmotionLlamaForConditionalGeneration.from_pretrained(tmp_path / "sharded" / "model")
    assert end.multi_modal_projector.face.weight.shape == (48, 24)


def test_refusals(whole_run: tuple[Path, TrainResult, list[str]], workshop: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds a run already; resume it"):
        train(recipe_of(workshop), whole_run[0])
    with pytest.raises(InputError, match="9 clips are in training and in validation"):
        train(recipe_of(workshop, f"data.train={workshop / 'validation.jsonl'}"), tmp_path / "a")
    with pytest.raises(InputError, match=r"rank 4.* rank 8"):
        train(recipe_of(workshop, "model.lora.rank=8"), tmp_path / "b")
    with pytest.raises(InputError, match="holds no model"):
        train(recipe_of(workshop, f"model.start={tmp_path}"), tmp_path / "c")
    (tmp_path / "other.jsonl").write_text('{"name": "nowhere", "label": "sad"}\n')
    with pytest.raises(InputError, match="none of the 1 examples has features"):
        train(recipe_of(workshop, f"data.train={tmp_path / 'other.jsonl'}", "tasks={emotion: 1}"), tmp_path / "d")
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot be made"):
        train(recipe_of(workshop), tmp_path / "file" / "x")
