"""A rendered clip is what its truth file says: read back through the project's own decoder and measures."""

import json
import time
from dataclasses import replace

import numpy as np
import pytest

from emotion_llama.errors import InputError
from emotion_llama.media.audio import read_audio
from emotion_llama.media.frames import iter_frames
from emotion_llama.media.probe import probe
from emotion_llama.records import AU_NAMES
from merr_synth.render.motion import UnitEvent
from merr_synth.render.plan import draw_plans
from merr_synth.render.render import face_motion, render_clip
from merr_synth.render.speaker import speak

PLAN = draw_plans(9, 2, conflict_share=0, missing_share=0, seconds=2.0, fps=12.0, size=(192, 160))[1]


@pytest.fixture(scope="module")
def rendered(tmp_path_factory):
    return render_clip(PLAN, tmp_path_factory.mktemp("synth"))


def images(path):
    return np.concatenate([chunk.images for chunk in iter_frames(probe(path))])


def test_the_clip_has_the_planned_form(rendered):
    clip = probe(rendered.path)
    assert (clip.video.width, clip.video.height) == (192, 160)
    assert clip.video.fps == pytest.approx(12.0)
    assert len(images(rendered.path)) == PLAN.num_frames
    assert clip.audio.sample_rate_hz == 16_000
    assert clip.duration_seconds == pytest.approx(PLAN.duration_seconds, abs=0.1)
    assert rendered.path.name == f"{PLAN.id}.mp4"


def test_the_truth_file_is_the_truth_and_has_a_row_a_frame(rendered):
    truth = json.loads(rendered.truth_path.read_text())
    assert truth == rendered.truth
    assert np.shape(truth["units"]) == np.shape(truth["expression"]) == (PLAN.num_frames, 17)
    assert truth["label"] == PLAN.label
    assert truth["text"] == PLAN.text
    assert truth["unit_names"] == list(AU_NAMES)


def test_the_sound_is_where_the_truth_says(rendered):
    sound = read_audio(probe(rendered.path))
    start, end = rendered.truth["speech_seconds"]
    level = np.abs(sound.samples)
    before, inside = level[: int((start - 0.03) * 16_000)], level[int(start * 16_000) : int(end * 16_000)]
    after = level[int((end + 0.05) * 16_000) :]
    assert inside.mean() > 30 * before.mean()
    assert inside.mean() > 30 * after.mean()
    assert 0 < start < end <= PLAN.duration_seconds


def test_rendering_again_gives_the_same_bytes(rendered, tmp_path):
    again = render_clip(PLAN, tmp_path)
    assert again.path.read_bytes() == rendered.path.read_bytes()
    assert again.truth_path.read_bytes() == rendered.truth_path.read_bytes()


def _motion(events, **changes):
    plan = replace(PLAN, events=tuple(events), **changes)
    return face_motion(plan, speak(plan.text, plan.prosody, plan.voice), plan.num_frames)


def test_units_are_the_expression_the_blinks_and_the_talking_mouth():
    motion = _motion([UnitEvent("AU12", 0.5, 1.0, 1.5, 3.0, 0.5)])
    at = {name: AU_NAMES.index(name) for name in ("AU12", "AU25", "AU26", "AU45")}
    assert motion.expression[12, at["AU12"]] == pytest.approx(3.0)  # 1.0 s at 12 fps
    assert motion.units[12, at["AU12"]] == pytest.approx(3.0)
    silent = ~motion.is_speech
    assert motion.units[motion.is_speech][:, at["AU25"]].max() > 1.0
    assert motion.units[silent][:, at["AU25"]].max() < 1.0
    assert motion.expression[:, at["AU25"]].max() == 0.0
    np.testing.assert_array_equal(motion.is_blink, motion.units[:, at["AU45"]] > 0)


def test_the_peaks_follow_both_published_rules(tmp_path):
    """AU01 peaks at 0.5 s with 4.0, AU12 at 1.5 s with 3.0: all units choose the first, happy's (6+12) the second."""
    events = (UnitEvent("AU01", 0.25, 0.5, 0.75, 4.0, 0.25), UnitEvent("AU12", 1.25, 1.5, 1.75, 3.0, 0.25))
    seed = next(s for s in range(200) if not _motion(events, seed=s).is_blink.any())
    truth = render_clip(replace(PLAN, events=events, seed=seed, face_label="happy"), tmp_path).truth
    assert (truth["peak_all"], truth["peak_label"]) == (6, 18)
    unnamed = render_clip(replace(PLAN, events=events, seed=seed, face_label="doubt"), tmp_path).truth
    assert (unnamed["peak_all"], unnamed["peak_label"]) == (6, None)  # no published units
    at_rest = render_clip(replace(PLAN, events=(), face_label="neutral"), tmp_path).truth
    assert (at_rest["peak_all"], at_rest["peak_label"]) == (None, None)


def test_a_blink_cannot_be_the_peak(tmp_path):
    seed, blinked = next(
        (s, frames[len(frames) // 2])
        for s in range(200)
        if len(frames := np.flatnonzero(_motion((), seed=s).is_blink)) >= 3 and frames[0] > 6 and frames[-1] < 18
    )
    apex = blinked / 12.0
    truth = render_clip(
        replace(PLAN, seed=seed, events=(UnitEvent("AU04", apex - 0.4, apex, apex + 0.5, 3.0, 0.4),)), tmp_path
    ).truth
    assert blinked in truth["blink_frames"]
    assert truth["peak_all"] not in truth["blink_frames"]
    assert abs(truth["peak_all"] - blinked) <= 3


def test_a_silent_clip_has_no_sound_and_its_mouth_moves(tmp_path):
    clip = render_clip(replace(PLAN, missing=("silent",), voice_label=None), tmp_path)
    assert probe(clip.path).audio is None
    assert clip.truth["tone"] is None
    assert np.array(clip.truth["units"])[:, AU_NAMES.index("AU25")].max() > 1.0


def test_a_clip_without_a_face_shows_the_place_only(tmp_path, rendered):
    clip = render_clip(replace(PLAN, missing=("no_face",), face_label=None), tmp_path)
    assert clip.truth["peak_all"] is None
    empty, peopled = images(clip.path).astype(float), images(rendered.path).astype(float)
    middle = (slice(None), slice(60, 110), slice(70, 120))
    assert np.abs(empty[middle] - peopled[middle]).mean() > 15
    assert np.abs(np.diff(empty, axis=0)).mean() < 6  # nothing moves but the sensor's noise


def test_the_mesh_is_found_where_the_person_is_and_moves_with_the_units(rendered):
    from emotion_llama.face.backends import load_backend

    backend = load_backend("onnx_mesh")
    try:
        found = [len(observed) for observed in backend.observe(images(rendered.path))]
    finally:
        backend.close()
    assert np.mean(np.array(found) == 1) >= 0.95


def test_files_that_cannot_be_written_and_unknown_voices_are_told(tmp_path):
    (tmp_path / "clips").write_text("a file")
    with pytest.raises(InputError, match=r"cannot be written .*give another folder"):
        render_clip(PLAN, tmp_path)
    with pytest.raises(InputError, match="voice must be one of own, espeak, got 'tom'"):
        render_clip(PLAN, tmp_path, voice="tom")
    assert not list(tmp_path.glob("**/*.tmp*"))


def test_a_clip_of_two_seconds_costs_little(tmp_path):
    small = draw_plans(9, 2, conflict_share=0, missing_share=0, seconds=2.0, fps=12.0)[1]
    render_clip(small, tmp_path)
    start = time.process_time()
    render_clip(small, tmp_path)
    assert time.process_time() - start < 2.0  # measured: 0.4 s
