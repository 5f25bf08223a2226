"""The committed clips are what the command in their README plans: by what they are of, not by their pixels."""

import csv
import dataclasses
import json
import re
import shlex
from pathlib import Path

import numpy as np

from emotion_llama.media.probe import probe
from merr_synth.cli import build_parser, planned
from merr_synth.render.dataset import manifest_text, subtitles_text
from merr_synth.render.plan_file import read_plans

FOLDER = Path(__file__).parents[4] / "examples" / "synth"


def command():
    return shlex.split(re.search(r"```\n(merr-synth .*)\n```", (FOLDER / "README.md").read_text())[1])


def test_the_command_plans_these_clips():
    plans = planned(build_parser().parse_args(command()[1:]))
    assert (FOLDER / "manifest.csv").read_text() == manifest_text(plans)
    assert (FOLDER / "transcription.csv").read_text() == subtitles_text(plans)
    stored = read_plans(FOLDER / "plans.jsonl")
    for a, b in zip(stored, plans, strict=True):
        for field in dataclasses.fields(a):
            x, y = getattr(a, field.name), getattr(b, field.name)
            if field.name == "events":
                assert [e.unit for e in x] == [e.unit for e in y]
                np.testing.assert_allclose([e.intensity for e in x], [e.intensity for e in y], rtol=1e-9)
            elif field.name in ("prosody", "voice"):
                np.testing.assert_allclose(dataclasses.astuple(x), dataclasses.astuple(y), rtol=1e-9)
            elif isinstance(x, float):
                np.testing.assert_allclose(x, y, rtol=1e-9)
            else:
                assert x == y, field.name


def test_all_labels_conflicts_and_gaps_are_among_them_in_little_space():
    plans = read_plans(FOLDER / "plans.jsonl")
    assert len(plans) == 24
    assert len({p.label for p in plans}) == 9
    assert len({p.conflict for p in plans} - {None}) == 5
    assert len({p.missing for p in plans} - {()}) == 6
    assert sum(f.stat().st_size for f in FOLDER.rglob("*") if f.is_file()) < 8_000_000


def test_every_clip_is_there_with_its_truth():
    for row in csv.DictReader((FOLDER / "manifest.csv").read_text().splitlines()):
        clip = probe(FOLDER / row["path"])
        truth = json.loads((FOLDER / "truth" / f"{row['name']}.json").read_text())
        assert truth["label"] == row["label"]
        assert clip.duration_seconds >= truth["duration_seconds"] - 0.1
        assert (clip.audio is None) == ("silent" in truth["missing"])
        assert len(truth["units"]) == round(truth["duration_seconds"] * truth["fps"])
