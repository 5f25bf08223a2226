"""Truth files become numbers; what is not told is NaN or no label, never a value."""

import json

import numpy as np
import pytest

from emotion_llama.errors import InputError
from emotion_llama.labels import MERR9
from emotion_llama.records import AU_NAMES
from merr_synth.nano.encoders.targets import NO_LABEL, VOICE_FIGURES, clip_truth, read_truths, spread_of
from merr_synth.render.plan import draw_plans

from .conftest import FRAMES, truth_dict

PLAN = draw_plans(9, 1, conflict_share=0, missing_share=0)[0]


def test_the_numbers_are_those_of_the_file_and_the_plan():
    units = np.zeros((FRAMES, len(AU_NAMES)))
    units[3, AU_NAMES.index("AU12")] = 2.5

    truth = clip_truth(truth_dict(PLAN, units), PLAN)

    assert truth.units[3, AU_NAMES.index("AU12")] == 2.5
    assert np.flatnonzero(truth.is_blink).tolist() == [2]
    assert truth.face_label == MERR9.index(PLAN.face_label)
    voice = dict(zip(VOICE_FIGURES, truth.voice.tolist()))
    assert voice["pitch_median_semitones"] == 1.0
    assert voice["pause_share"] == 5.0
    assert voice["harmonicity_db"] == pytest.approx(PLAN.prosody.harmonicity_db, rel=1e-6)


def test_what_cannot_be_told_is_not_told():
    short = truth_dict(PLAN, voice_label=None)
    short["tone"]["figures"]["articulation_rate"] = None
    truth = clip_truth(short, PLAN)
    assert np.isnan(truth.voice[VOICE_FIGURES.index("articulation_rate")])
    assert np.isfinite(truth.voice).sum() == len(VOICE_FIGURES) - 1
    assert truth.voice_label == NO_LABEL
    # Without sound the plan's voice is not true of anything.
    assert np.isnan(clip_truth(truth_dict(PLAN, tone=None), PLAN).voice).all()


def test_another_clips_truth_is_refused():
    with pytest.raises(InputError, match=r"the truth is of clip 'other'.*render the data set again"):
        clip_truth(truth_dict(PLAN, id="other"), PLAN)
    with pytest.raises(InputError, match=r"with units \['AU01'\]"):
        clip_truth(truth_dict(PLAN, unit_names=["AU01"]), PLAN)


def test_only_finished_clips_are_read(workshop, tmp_path):
    truths = read_truths(workshop / "clips")
    assert len(truths) == 13
    assert [t.split for t in truths] == ["train"] * 6 + ["validation"] * 4 + ["test"] * 3
    (tmp_path / "plans.jsonl").write_text((workshop / "clips" / "plans.jsonl").read_text())
    with pytest.raises(InputError, match=r"no clip is finished; render it first"):
        read_truths(tmp_path)
    (tmp_path / "truth").mkdir()
    plan = json.loads((tmp_path / "plans.jsonl").read_text().splitlines()[0])
    source = workshop / "clips" / "truth" / f"{plan['id']}.json"
    (tmp_path / "truth" / source.name).write_text(source.read_text())
    assert [t.name for t in read_truths(tmp_path)] == [plan["id"]]


def test_spread_leaves_out_what_is_not_told():
    nan = np.nan
    mean, deviation = spread_of([np.array([[1.0, 5.0, nan], [3.0, 5.0, nan]]), np.array([nan, 5.0, nan])])
    assert mean.tolist() == [2.0, 5.0, 0.0]
    assert deviation.tolist() == [1.0, 1.0, 1.0]
