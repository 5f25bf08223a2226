"""Sixty rendered clips, built offline, against what is true of them: floors below what was measured.

Takes about 40 s on two cores: rendering is most of it. `benchmarks/merr_agreement.py` prints the same for more clips.
"""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from emotion_llama.errors import InputError
from emotion_llama.merr.build import build
from emotion_llama.merr.engine import EngineOptions
from emotion_llama.merr.quality.measures import Measure
from emotion_llama.merr.recipe import load_recipe
from emotion_llama.merr.status import BuildTally
from emotion_llama.merr.store import Store
from merr_synth.agreement import agree, read_truth
from merr_synth.render.dataset import render_dataset
from merr_synth.render.plan import draw_plans

CLIPS = 60


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("agreement")
    render_dataset(draw_plans(CLIPS, size=(192, 192), fps=12.5, seconds=2.0), out / "clips", workers=2)
    return out


def _build(folder: Path, mode: str) -> tuple[BuildTally, Mapping[str, Measure]]:
    recipe = load_recipe(None, [f"pseudo_label.mode={mode}"])
    tally = build([folder / "clips" / "manifest.csv"], folder / "merr", recipe, options=EngineOptions(workers=2))
    with Store.open(folder / "merr", read_only=True) as store:
        found = {m.name: m for m in agree(store, folder / "clips" / "truth")}
    for m in found.values():
        print(f"{mode:<18}{m.title:<46}{'-' if m.value is None else format(m.value, '.3f'):>7}  {m.rests_on} {m.unit}")
    return tally, found


@pytest.fixture(scope="module")
def by_rules(folder: Path) -> tuple[BuildTally, Mapping[str, Measure]]:
    return _build(folder, "rules")


@pytest.fixture(scope="module")
def by_given(
    folder: Path, by_rules: tuple[BuildTally, Mapping[str, Measure]]
) -> tuple[BuildTally, Mapping[str, Measure]]:
    """After the build by rules, in the same folder: no clip is measured again."""
    return _build(folder, "given_else_rules")


def test_every_clip_is_accounted_for(by_rules: tuple[BuildTally, Mapping[str, Measure]]) -> None:
    tally, found = by_rules
    assert tally.clips == CLIPS
    for phase in tally.phases:
        assert phase.num_failed == 0
        assert phase.waiting == 0
    assert CLIPS - 10 <= found["label_all"].rests_on < CLIPS  # some have no face
    assert 15 <= tally.coarse < CLIPS  # faces at rest are neutral, and most of these are left out


def test_labels_by_rules(by_rules: tuple[BuildTally, Mapping[str, Measure]]) -> None:
    """Nine labels: chance is 0.11, and the commonest one 0.12."""
    _, found = by_rules
    assert found["label"].rests_on >= 25
    assert found["label"].value is not None
    assert found["label"].value >= 0.45
    assert found["label_all"].value is not None
    assert found["label_all"].value >= 0.35


def test_a_second_recipe_measures_nothing_again(by_given: tuple[BuildTally, Mapping[str, Measure]]) -> None:
    tally, _ = by_given
    phases = {phase.name: phase for phase in tally.phases}
    assert (phases["evidence"].done, phases["evidence"].skipped) == (0, CLIPS)
    assert (tally.coarse, tally.fine) == (CLIPS, CLIPS)


@pytest.mark.parametrize(
    ("name", "floor", "least"),
    [
        ("units", 0.4, 10),
        ("unit_AU12", 0.75, 100),
        ("unit_AU01", 0.6, 100),
        ("unit_AU02", 0.65, 100),
        ("peak_frame", 0.55, 40),
        ("peak_units", 0.55, 100),
        ("tone_found", 0.8, 30),
        ("subtitle", 1.0, CLIPS),
    ],
)
def test_each_stage_agrees_with_the_truth(
    name: str, floor: float, least: int, by_given: tuple[BuildTally, Mapping[str, Measure]]
) -> None:
    measure = by_given[1][name]
    assert measure.rests_on >= least
    assert measure.value is not None
    assert measure.value >= floor, f"{measure.title}: {measure.value:.3f}"


def test_few_tone_words_are_wrong(by_given: tuple[BuildTally, Mapping[str, Measure]]) -> None:
    wrong = by_given[1]["tone_wrong"]
    assert wrong.rests_on > 60
    assert wrong.value is not None
    assert wrong.value <= 0.1


def test_chance_is_far_below(folder: Path, by_given: tuple[BuildTally, Mapping[str, Measure]]) -> None:
    """The same build against the truths of other clips: no check agrees with whatever it is given."""
    with Store.open(folder / "merr", read_only=True) as store:
        chance = {m.name: m.value or 0.0 for m in agree(store, folder / "clips" / "truth", shifted=True)}
    for name in ("units", "unit_AU12", "peak_frame", "peak_units", "subtitle"):
        value = by_given[1][name].value
        assert value is not None
        assert value - chance[name] > 0.15, name
    assert chance["tone_wrong"] > 0.15


def test_a_truth_that_is_not_there_or_broken(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected what is true of a rendered clip as JSON"):
        read_truth(tmp_path / "none.json")
    (tmp_path / "x.json").write_text(json.dumps([1]))
    with pytest.raises(InputError, match="expected a JSON object, got list"):
        read_truth(tmp_path / "x.json")
