"""Recipes are strict: every mistake is named, all at once."""

from pathlib import Path

import pytest

from emotion_llama.errors import InputError
from emotion_llama.train.recipe import load_train_recipe

GOOD = "model: {start: m}\ndata: {train: [a.csv], features: f}\n"


def write(folder: Path, text: str) -> Path:
    path = folder / "r.yaml"
    path.write_text(text)
    return path


def test_defaults_are_the_published_stage_1(tmp_path: Path) -> None:
    recipe = load_train_recipe(write(tmp_path, GOOD))
    assert (recipe.optim.learning_rate, recipe.optim.min_lr, recipe.optim.warmup_steps) == (1e-5, 1e-6, 1000)
    assert (recipe.run.epochs, recipe.run.steps_per_epoch, recipe.num_steps) == (30, 1000, 30_000)
    assert recipe.model.lora is not None
    assert (recipe.model.lora.rank, recipe.model.lora.alpha, recipe.model.lora.dropout) == (64, 16, 0.05)
    assert dict(recipe.tasks) == {"emotion": 1.0, "reason": 1.0}


def test_paths_start_from_the_recipe_and_those_of_overrides_from_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    recipe = load_train_recipe(write(tmp_path, GOOD), ["data.validation=v.csv", "run.seed=7"])
    assert recipe.model.start == tmp_path / "m"
    assert recipe.data.train == (tmp_path / "a.csv",)
    assert recipe.data.validation == (tmp_path / "here" / "v.csv",)
    assert recipe.run.seed == 7


def test_all_mistakes_are_named_at_once(tmp_path: Path) -> None:
    path = write(tmp_path, "model: {start: m, sart: x}\ndata: {train: [a], layout: foo}\nrun: {epochs: many}\n")
    with pytest.raises(InputError) as caught:
        load_train_recipe(path)
    text = str(caught.value)
    assert "3 mistakes" in text
    assert "model.sart: no such key" in text
    assert "layout: 'foo' is not known" in text
    assert "run.epochs: " in text


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (GOOD + "run: {seed: 1, seed: 2}\n", "line 3, column 16: the key 'seed' stands here a second time"),
        (GOOD + "tasks: {sing: 1}\n", "no task 'sing'"),
        (GOOD + "tasks: {emotion: 0}\n", "tasks: every weight is 0"),
        (GOOD + "tasks: {emotion: -1}\n", "tasks.emotion: "),
        (GOOD + "run: {fsdp: true}\n", "compared by loss; set run.best_by to loss"),
        ("model: {start: m, quantization: nf4}\ndata: {train: [a]}\nrun: {fsdp: true, best_by: loss}\n", "choose one"),
        ("model: {start: m, train: []}\ndata: {train: [a]}\n", "model.train: "),
        ("model: {start: m, train: [soul]}\ndata: {train: [a]}\n", "no part 'soul' of the model can learn"),
        ("model: {start: m}\ndata: {train: [a], dropout: {smell: 0.1}}\n", "'smell' is not known"),
        ("data: {train: [a]}\n", "model: field required"),
        (GOOD + "optim: {learning_rate: 1.0e-7}\n", "must not be above learning_rate 1e-07"),
        ("model: {start: m}\ndata: {train: [a], layouts: {train: 0}}\n", "layouts: every weight is 0"),
        ("- a\n", "expected a mapping of a recipe's parts, got list"),
        ("a: [\n", "expected YAML with each key once"),
    ],
)
def test_one_mistake(tmp_path: Path, text: str, problem: str) -> None:
    with pytest.raises(InputError, match=problem.replace("(", r"\(")):
        load_train_recipe(write(tmp_path, text))


def test_the_keys_of_the_last_release_are_accepted_with_a_warning(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD + "optim: {peak_rate: 1.0e-4, least_rate: 0, first_rate: 0}\nrun: {rounds: 2}\n")
    with pytest.warns(FutureWarning) as caught:
        recipe = load_train_recipe(path, ["run.accumulate=4", "run.steps_per_round=5"])
    assert (recipe.optim.learning_rate, recipe.optim.min_lr, recipe.optim.warmup_start_lr) == (1e-4, 0, 0)
    assert (recipe.run.epochs, recipe.run.steps_per_epoch, recipe.run.gradient_accumulation_steps) == (2, 5, 4)
    assert "optim.peak_rate is now called learning_rate" in str(caught[0].message)
    assert len(caught) == 6
    both = write(tmp_path, GOOD + "run: {rounds: 2, epochs: 3}\n")
    with pytest.raises(InputError, match=r"run\.rounds is the old name of epochs"):
        load_train_recipe(both)


def test_a_whole_map_replaces_and_an_entry_changes_one(tmp_path: Path) -> None:
    """`tasks={emotion: 1}` kept the recipe's `reason` beside it, so that label-only fine-tuning could not be had."""
    path = write(
        tmp_path,
        GOOD.replace("features: f}", "features: f, dropout: {face: 0.1}}") + "tasks: {emotion: 1, reason: 1}\n",
    )
    assert load_train_recipe(path, ["tasks={emotion: 1}"]).tasks == {"emotion": 1.0}
    assert load_train_recipe(path, ["tasks.emotion=3"]).tasks == {"emotion": 3.0, "reason": 1.0}
    assert load_train_recipe(path, ["tasks={emotion: 1}", "tasks.reason_v2=2"]).tasks == {"emotion": 1, "reason_v2": 2}
    assert load_train_recipe(path, ["data.dropout={}"]).data.dropout == {}
    assert load_train_recipe(path, ["model.lora={rank: 8}"]).model.lora.alpha == 16  # type: ignore[union-attr]


def test_null_and_zero_mean_what_they_say(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD + "run: {patience: 3}\n")
    recipe = load_train_recipe(path, ["tasks.reason=0", "run.patience=null", "data.features=null", "model.lora=null"])
    assert recipe.tasks == {"emotion": 1.0}
    assert (recipe.run.patience, recipe.data.features, recipe.model.lora) == (None, None, None)


def test_overrides_must_be_overrides(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD)
    with pytest.raises(InputError, match=r"expected an override of the form part\.key=value"):
        load_train_recipe(path, ["run.seed"])
    with pytest.raises(InputError, match="was given a value of its own before"):
        load_train_recipe(path, ["run.seed=1", "run.seed.x=2"])
    with pytest.raises(InputError, match="the file cannot be read"):
        load_train_recipe(tmp_path / "none.yaml")


@pytest.mark.parametrize(
    "path", sorted((Path(__file__).parents[2] / "recipes").glob("*_stage*.yaml")), ids=lambda p: p.stem
)
def test_shipped_recipes_load_and_open_with_their_command(path: Path) -> None:
    recipe = load_train_recipe(path)
    assert path.read_text().startswith(f"# emotion-llama train recipes/{path.name} --out ")
    if "published" in path.stem:
        assert recipe.num_steps == 30_000
        assert recipe.run.loss == "examples"
        assert recipe.model.lora is not None
        assert (recipe.model.lora.rank, recipe.model.lora.alpha) == (64, 16)
        assert recipe.optim.learning_rate == (1e-5 if "stage1" in path.stem else 1e-6)
