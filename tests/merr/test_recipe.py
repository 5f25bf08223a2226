"""Recipes: strict, in full, all mistakes at once; the files that are shipped; what re-runs when a choice changes."""

import re
from pathlib import Path

import pytest
import yaml

from emotion_llama.errors import InputError
from emotion_llama.labels import MERR9
from emotion_llama.merr.recipe import Recipe, load_recipe, recipe_yaml
from emotion_llama.merr.stages import STAGE_NAMES, build_stages

ROOT = Path(__file__).parents[2]
STUBS = [f"annotators.{task}.name=stub" for task in ("expression", "visual", "audio", "reason")]


def test_without_a_file_the_default_recipe_is_used() -> None:
    recipe = load_recipe(None)
    assert recipe == Recipe()
    assert recipe.space is MERR9
    assert recipe.annotators.visual == {"name": "rules"}
    assert recipe.pseudo_label.threshold == 0.8


def test_the_offline_recipe_is_the_default_one_spelt_out() -> None:
    assert load_recipe(ROOT / "recipes" / "merr_offline.yaml") == Recipe()


@pytest.mark.parametrize("path", sorted((ROOT / "recipes").glob("merr_*.yaml")), ids=lambda p: p.stem)
def test_shipped_recipes_open_with_their_command_and_load(path: Path) -> None:
    first = path.read_text(encoding="utf-8").splitlines()[0]
    assert first.startswith("# emotion-llama merr build ")
    assert f"--recipe recipes/{path.name}" in first
    load_recipe(path)


def test_the_published_recipe_has_the_published_choices() -> None:
    recipe = load_recipe(ROOT / "recipes" / "merr_published.yaml")
    assert (recipe.pseudo_label.rule, recipe.pseudo_label.table) == ("mer-factory", "mer-factory")
    assert recipe.peak.include_speech
    assert recipe.select.neutral_share == 0  # the coarse MERR has no neutral


def test_the_whole_recipe_comes_back_from_its_yaml(tmp_path: Path) -> None:
    recipe = load_recipe(None, ["languages=[zh, en]", "pseudo_label.table=own", "pseudo_label.own_table={sad: [AU15]}"])
    (tmp_path / "recipe.yaml").write_text(recipe_yaml(recipe), encoding="utf-8")
    assert load_recipe(tmp_path / "recipe.yaml") == recipe
    assert set(yaml.safe_load(recipe_yaml(recipe))) == set(Recipe.model_fields)


def test_overrides_win_over_the_file_and_over_one_another(tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    path.write_text(
        "select: {neutral_share: 0.5}\nannotators: {visual: {name: openai, model: a, base_url: http://localhost/v1}}"
    )
    recipe = load_recipe(path, ["select.neutral_share=0.1", "annotators.visual.model=b", "select.neutral_share=0.3"])
    assert recipe.select.neutral_share == 0.3
    assert recipe.annotators.visual == {"name": "openai", "model": "b", "base_url": "http://localhost/v1"}


def test_an_annotator_of_another_name_leaves_the_options_of_the_one_before_behind(tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    path.write_text("annotators: {visual: {name: openai, model: a, base_url: http://localhost/v1}}")
    assert load_recipe(path, ["annotators.visual.name=rules"]).annotators.visual == {"name": "rules"}
    # One option alone belongs to the annotator that is there.
    assert load_recipe(None, ["annotators.visual.model=x"]).annotators.visual == {"name": "rules", "model": "x"}


def test_all_mistakes_are_named_at_once() -> None:
    with pytest.raises(InputError, match="the recipe: 4 mistakes: ") as error:
        load_recipe(None, ["slect.x=1", "peak.rule=loudest", "evidence.max_fps=fast", "splits.train=0.9"])
    for told in (
        "slect: no such key",
        "peak.rule: input should be 'all' or 'label', got 'loudest'",
        "evidence.max_fps: input should be a valid number, got 'fast'",
        "splits: shares must sum to 1, got 0.9 + 0.1 + 0.1",
    ):
        assert told in str(error.value)


@pytest.mark.parametrize(
    ("override", "match"),
    [
        ("languages=[en, en]", "languages are named once each, got en, en"),
        ("languages=[fr]", "languages.0: input should be 'en' or 'zh', got 'fr'"),
        ("languages=[]", "languages: tuple should have at least 1 item"),
        ("pseudo_label.table=own", "own_table holds the units of `table: own`; give both or neither"),
        ("balance.max_share=1.5", "balance.max_share: input should be less than or equal to 1"),
        ("seed=7", "seed: input should be a valid string, got 7"),
        ("annotators.check={}", "annotators.check: dictionary should have at least 1 item"),
        ("balance", "'balance': expected an override of the form part.key=value"),
        ("balance..x=1", "expected an override of the form"),
        ("annotators=3", "annotators: input should be an object, got 3"),
        ("evidence=[1]", "evidence: input should be an object, got [1]"),
        ("peak.rule=[", "line 1, column 2: expected the node content"),
    ],
)
def test_what_does_not_fit_is_refused(override: str, match: str) -> None:
    with pytest.raises(InputError, match=re.escape(match)):
        load_recipe(None, [override])


def test_an_own_table_of_a_label_outside_the_space_is_refused() -> None:
    overrides = ["pseudo_label.table=own", "pseudo_label.own_table={disgust: [AU09]}"]
    with pytest.raises(InputError, match="'disgust'"):
        load_recipe(None, overrides)
    assert load_recipe(None, [*overrides, "label_space=dfew7"]).space.name == "dfew7"


def test_an_override_below_a_value_is_refused() -> None:
    with pytest.raises(InputError, match=r"'select\.neutral_share\.x=1': 'neutral_share' was given a value of its own"):
        load_recipe(None, ["select.neutral_share=0.1", "select.neutral_share.x=1"])


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("peak: {rule: all}\npeak: {rule: label}", "line 2, column 1: the key 'peak' stands here a second time"),
        ("peak:\n  rule: all\n  rule: label", "line 3, column 3: the key 'rule' stands here a second time"),
        ("[1, 2]", "expected a mapping of a recipe's parts, got list"),
        ("peak: {rule: all", "expected YAML with each key once"),
        ("? [a, b]\n: 1", "a key must be a text"),
    ],
)
def test_yaml_that_is_no_recipe_is_refused(tmp_path: Path, text: str, match: str) -> None:
    path = tmp_path / "r.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=re.escape(match)):
        load_recipe(path)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"gone\.yaml: the file cannot be read .*expected YAML in UTF-8"):
        load_recipe(tmp_path / "gone.yaml")
    (tmp_path / "empty.yaml").write_text("# nothing chosen\n")
    assert load_recipe(tmp_path / "empty.yaml") == Recipe()


def test_paths_in_a_file_are_relative_to_it_and_overrides_to_the_folder_one_is_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "conf").mkdir()
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    path = tmp_path / "conf" / "r.yaml"
    path.write_text("evidence: {asr_model: whisper}\nannotators: {visual: {name: openai, prompts: mine, model: org/x}}")
    recipe = load_recipe(path, ["visual_expression.phrases=p.yaml", "evidence.units=openface_binary"])
    assert recipe.evidence.asr_model == tmp_path / "conf" / "whisper"
    assert recipe.visual_expression.phrases == tmp_path / "here" / "p.yaml"
    assert recipe.evidence.units == "openface_binary"  # a backend, not a folder
    assert recipe.annotators.visual["prompts"] == str(tmp_path / "conf" / "mine")
    assert recipe.annotators.visual["model"] == "org/x"  # an id, not a path


# --- what re-runs -----------------------------------------------------------------------------------------------------


def _changed(override: str) -> set[str]:
    """Stages whose own settings differ; what needs them re-runs through their output."""
    before = {stage.name: dict(stage.settings) for stage in build_stages(load_recipe(None, STUBS))}
    after = {stage.name: dict(stage.settings) for stage in build_stages(load_recipe(None, [*STUBS, override]))}
    return {name for name in before if before[name] != after[name]}


@pytest.mark.parametrize(
    ("override", "stages"),
    [
        ("evidence.max_fps=25", {"evidence"}),
        ("pseudo_label.min_seen_share=0.5", {"pseudo_label", "consistency"}),
        ("select.neutral_share=0.1", {"select"}),
        ("peak.crop_size=112", {"peak"}),
        ("annotators.visual.seed=other", {"visual_objective"}),
        ("annotators.reason.seed=other", {"fine_caption"}),
        ("fine_caption.label_shown=false", {"fine_caption"}),
        ("consistency.min_grounded_share=0.7", {"consistency"}),
        ("annotators.check={name: stub}", {"consistency"}),
        ("balance.max_share=0.5", {"balance"}),
        ("splits={train: 0.5, validation: 0.25, test: 0.25}", {"splits"}),
        ("ingest.sidecars=false", set()),  # what ingest finds reaches the stages through the clips
    ],
)
def test_a_choice_changes_the_settings_of_its_own_stage_only(override: str, stages: set[str]) -> None:
    assert _changed(override) == stages


def test_stages_come_in_order_and_need_only_what_came_before() -> None:
    stages = build_stages(load_recipe(None, STUBS))
    assert tuple(stage.name for stage in stages) == STAGE_NAMES
    for i, stage in enumerate(stages):
        assert set(stage.needs) <= set(STAGE_NAMES[:i]), stage.name


def test_an_annotator_that_cannot_be_asked_is_found_before_the_build() -> None:
    overrides = [*STUBS, "annotators.audio.tasks=[visual]"]
    with pytest.raises(InputError, match=r"'stub' cannot be asked for 'audio' \(it can: visual\)"):
        build_stages(load_recipe(None, overrides))
    with pytest.raises(InputError, match="no annotator 'gpt'"):
        build_stages(load_recipe(None, [*STUBS, "annotators.audio={name: gpt}"]))


def test_a_wrong_value_in_a_list_is_one_mistake() -> None:
    """languages=[de] was reported twice: as no language, and as a list that is too short without it."""
    with pytest.raises(InputError, match=r"1 mistake: languages\.0: input should be 'en' or 'zh', got 'de'$"):
        load_recipe(None, ["languages=[de]"])
    with pytest.raises(InputError, match="languages"):
        load_recipe(None, ["languages=[]"])
