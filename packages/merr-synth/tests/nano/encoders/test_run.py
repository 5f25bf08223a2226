"""A run leaves towers that a model is made of; killed and resumed it leaves the same; recipes are strict."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from emotion_llama.errors import InputError, MediaError
from emotion_llama.models.configuration_emotion_llama import EmotionLlamaConfig
from merr_synth.nano.encoders.clips import ClipCache
from merr_synth.nano.encoders.recipe import load_encoders_recipe
from merr_synth.nano.encoders.run import ENCODERS_FILE, TOWER_FILE, decoded, read_reports, split_of, train_encoders
from merr_synth.nano.encoders.splits import check_splits
from merr_synth.render.plan import draw_plans
from merr_synth.render.plan_file import plans_text

RECIPES = Path(__file__).parents[3] / "recipes"


class Killed(Exception):
    """In place of a kill."""


@pytest.fixture(scope="module")
def recipe(workshop):
    return load_encoders_recipe(workshop / "recipe.yaml")


@pytest.fixture(scope="module")
def finished(recipe, tmp_path_factory):
    said = []
    return train_encoders(recipe, tmp_path_factory.mktemp("runs") / "whole", say=said.append), said


def test_a_run_leaves_towers_under_the_models_names(finished):
    out, said = finished
    state = load_file(out / ENCODERS_FILE)
    prefixes = {name.partition(".")[0] for name in state}
    assert prefixes == {"vision_tower", "vision_layernorm", "face_tower", "temporal_tower", "audio_tower"}
    tower = load_file(out / "face_tower" / TOWER_FILE)
    assert tower
    assert all(torch.equal(state[name], value) for name, value in tower.items())
    assert EmotionLlamaConfig.from_pretrained(out).frame_policy == "peak"
    report = read_reports(out)
    assert set(report) == {"face_tower"}
    assert (report["face_tower"]["parameters"], report["face_tower"]["train_clips"]) == (628_224, 6)
    assert [row["step"] for row in report["face_tower"]["history"]] == [2, 4]
    assert (
        said[0]
        == f"13 clips of {json.loads((out / 'recipe.json').read_text())['data']['clips']}, 0 of them decoded now"
    )


def test_a_killed_run_goes_on_to_the_same_weights(recipe, finished, tmp_path):
    def say(line):
        if line.startswith("epoch 1/2"):
            raise Killed

    with pytest.raises(Killed):
        train_encoders(recipe, tmp_path / "run", say=say)

    # The first epoch's checkpoint is written after its line: do the epoch again, then kill in the second.
    def say_later(line):
        if line.startswith("epoch 2/2"):
            raise Killed

    with pytest.raises(Killed):
        train_encoders(recipe, tmp_path / "run", resume=True, say=say_later)
    assert (tmp_path / "run" / "face_tower" / "checkpoints" / "checkpoint-2" / "trainer_state.json").is_file()
    said = []
    train_encoders(recipe, tmp_path / "run", resume=True, say=said.append)
    assert "going on from step 2 of 4" in said
    whole, resumed = (load_file(out / "face_tower" / TOWER_FILE) for out in (finished[0], tmp_path / "run"))
    for name, value in whole.items():
        torch.testing.assert_close(resumed[name], value, rtol=0, atol=1e-7)


def test_a_tower_that_is_done_is_not_trained_again(recipe, finished):
    said = []
    train_encoders(recipe, finished[0], resume=True, say=said.append)
    assert len(said) == 1


def test_folders_of_other_runs_are_refused(recipe, finished, workshop):
    with pytest.raises(InputError, match=r"holds a run already; resume it, or give another folder"):
        train_encoders(recipe, finished[0])
    other = load_encoders_recipe(workshop / "recipe.yaml", ["seed=7"])
    with pytest.raises(InputError, match=r"holds a run of another recipe"):
        train_encoders(other, finished[0], resume=True)
    (workshop / "a file").write_text("")
    with pytest.raises(InputError, match=r"cannot be written"):
        train_encoders(recipe, workshop / "a file" / "run")


def test_test_clips_are_never_learnt_from_and_train_clips_are_drawn(workshop, recipe):
    config = EmotionLlamaConfig.preset("nano")
    truths, _ = decoded(recipe, config, lambda line: None)
    assert {truth.split for truth in truths} == {"train", "validation"}
    few = load_encoders_recipe(workshop / "recipe.yaml", ["data.most_train_clips=3"])
    names = [t.name for t in decoded(few, config, lambda line: None)[0] if t.split == "train"]
    assert len(names) == 3
    assert set(names) < {t.name for t in truths}


def test_clips_that_cannot_be_read_end_the_run(workshop, tmp_path):
    other = load_encoders_recipe(workshop / "recipe.yaml", [f"data.cache={tmp_path}"])
    with pytest.raises(MediaError, match=r"render the data set again"):
        decoded(other, EmotionLlamaConfig.preset("nano"), lambda line: None)


def test_a_tower_needs_clips_on_both_sides(recipe):
    truths, cache = decoded(recipe, EmotionLlamaConfig.preset("nano"), lambda line: None)
    with pytest.raises(InputError, match=r"face_tower: 6 clips to learn from and 0 for validation"):
        split_of("face_tower", [t for t in truths if t.split == "train"], cache)
    with pytest.raises(InputError, match=r"face_tower: 0 clips"):
        split_of("face_tower", truths, ClipCache(cache.folder / "none"))


def test_the_committed_recipe_is_read_and_mistakes_are_named(tmp_path):
    recipe = load_encoders_recipe(RECIPES / "nano_encoders.yaml", ["towers.audio_tower=null", "data.cache=here"])
    assert recipe.towers.audio_tower is None
    assert recipe.data.clips == RECIPES.parent / "recipes" / ".." / "out" / "nano" / "clips"
    assert recipe.data.cache == Path.cwd() / "here"
    (tmp_path / "r.yaml").write_text("data: {clips: a, cache: b}\ntowers: {face_tower: {round: 3}}\nseed: -1\n")
    with pytest.raises(InputError, match=r"2 mistakes: .*round: no such key"):
        load_encoders_recipe(tmp_path / "r.yaml")


def test_splits_that_share_nothing_are_counted_and_others_refused(workshop, tmp_path):
    line = check_splits(workshop / "clips")
    assert line.startswith("train: 6 clips, ")
    assert "; test: 3 clips" in line
    from dataclasses import replace

    plans = draw_plans(12, 4, split_shares={"train": 0.5, "validation": 0.5})
    said = [replace(plan, text=plans[0].text) if plan is plans[-1] else plan for plan in plans]
    (tmp_path / "plans.jsonl").write_text(plans_text(said))
    with pytest.raises(InputError, match=f"{plans[0].id} and {plans[-1].id} share a sentence"):
        check_splits(tmp_path)


def test_the_decoded_are_arrays(workshop):
    cache = ClipCache(workshop / "cache")
    assert cache.read("train-00000", ("poses",)).faces is None
    assert np.isfinite(cache.read("train-00000").poses).all()
