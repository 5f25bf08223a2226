"""A build of rendered clips as training examples: labels by plan, cues as measured, kinds of clips told apart."""

import csv
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from emotion_llama.cli.main import main
from emotion_llama.errors import InputError
from emotion_llama.labels import MERR9
from emotion_llama.prompts.cues import cue_text
from emotion_llama.results import Evidence
from emotion_llama.train.examples import read_examples
from merr_synth.nano.descriptions import NOTHING
from merr_synth.nano.nano_data import note_of, read_pairs, rows_of, write_examples
from merr_synth.render.plan import ClipPlan
from merr_synth.render.plan_file import read_plans

RENDERED = Path(__file__).parents[4] / "examples" / "synth"
NUM_CLIPS = 2


@pytest.fixture(scope="module")
def plans() -> Sequence[ClipPlan]:
    return read_plans(RENDERED / "plans.jsonl")


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A MERR build of the first two of the clips that the repository holds."""
    folder = tmp_path_factory.mktemp("build")
    with (RENDERED / "manifest.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))[:NUM_CLIPS]
    with (folder / "clips.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows({**row, "path": str(RENDERED / row["path"])} for row in rows)
    options = ["--workers", "1", "--quiet", "pseudo_label.mode=given", "select.neutral_share=1.0"]
    assert main(["merr", "build", str(folder / "clips.csv"), "--out", str(folder / "merr"), *options]) == 0
    return folder / "merr"


def test_a_build_becomes_two_files_a_split(build: Path, plans: Sequence[ClipPlan], tmp_path: Path) -> None:
    made = write_examples(build, RENDERED, tmp_path)
    assert sum(made.counts.values()) == NUM_CLIPS
    assert len(made.left_out) == len(plans) - NUM_CLIPS
    pairs = read_pairs(build, RENDERED)
    split = pairs[0].plan.split
    fine = read_examples([tmp_path / f"{split}-fine.jsonl"], {"emotion", "reason_v2"}, MERR9)
    coarse = read_examples([tmp_path / f"{split}-coarse.jsonl"], {"reason"}, MERR9)
    assert [e.name for e in fine] == [e.name for e in coarse] == [pair.plan.id for pair in pairs]
    for example, pair in zip(fine, pairs):
        assert example.truths["label"] == pair.plan.label
        assert example.cues == cue_text(pair.evidence)
        assert example.cues.startswith("Measured cues. Face: ")
        assert example.words == pair.plan.text
        assert example.group == pair.plan.person


def test_a_clip_without_evidence_teaches_to_decline(plans: Sequence[ClipPlan]) -> None:
    for row in rows_of(plans[0], Evidence()):
        assert "label" not in row
        assert row["description"] == NOTHING
        assert "subtitle" not in row


def test_kinds_of_clips(plans: Sequence[ClipPlan]) -> None:
    plain = replace(plans[0], conflict=None, missing=(), words_label="sad")
    assert note_of(plain) == "plain"
    assert note_of(replace(plain, words_label=None)) == "ambiguous"
    assert note_of(replace(plain, missing=("silent", "no_face"))) == "missing silent no_face"
    assert note_of(replace(plain, conflict="sarcasm")) == "conflict sarcasm"


def test_a_clip_that_was_not_planned_is_refused(build: Path, tmp_path: Path) -> None:
    lines = (RENDERED / "plans.jsonl").read_text().splitlines()
    clips = {pair.plan.id for pair in read_pairs(build, RENDERED)}
    others = [line for line in lines if json.loads(line)["id"] not in clips]
    (tmp_path / "plans.jsonl").write_text("\n".join(others) + "\n")
    with pytest.raises(InputError, match=r"is not among the plans of .*name the folder it is of"):
        read_pairs(build, tmp_path)
