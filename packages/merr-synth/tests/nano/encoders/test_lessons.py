"""Lessons say what is true of exactly what is shown, mirrored where it is mirrored; batches keep all of it."""

import numpy as np
import pytest

from emotion_llama.models.inputs import clip_frame_indices, clip_recipe
from emotion_llama.records import AU_NAMES
from merr_synth.nano.encoders.clips import ClipCache
from merr_synth.nano.encoders.lessons import (
    FIGURES,
    TOWERS,
    Choice,
    Lesson,
    Lessons,
    batch_arrays,
    can_teach,
    lesson,
)
from merr_synth.nano.encoders.targets import NO_LABEL, read_truths


@pytest.fixture(scope="module")
def truths(workshop):
    return [truth for truth in read_truths(workshop / "clips") if truth.split == "train"]


@pytest.fixture(scope="module")
def cache(workshop):
    return ClipCache(workshop / "cache")


def plain(truth, cache, tower, crops=3):
    return lesson(truth, cache, Choice(tower, crops, 16, vary=False), np.random.default_rng(0))


def test_crops_are_evenly_spaced_and_told_of_their_own_frames(truths, cache):
    one = plain(truths[0], cache, "face_tower")
    arrays = cache.read(truths[0].name)
    rows = [1, 5, 8]  # the middle of thirds of ten: 1.7, 5 and 8.3
    assert np.array_equal(one.figures[:, :17], truths[0].units[rows])
    assert np.array_equal(one.figures[:, 17:], arrays.poses[rows])
    assert np.array_equal(one.inputs, arrays.faces[rows].transpose(0, 3, 1, 2) / np.float32(255))


def test_the_clip_is_told_of_its_strongest_moments(truths, cache):
    one = plain(truths[0], cache, "temporal_tower")
    # Ten crops: a tick of 9 / 8, segments begin at int(0.5625 + 1.125 i), the last two crops at 8 and 9.
    assert one.inputs.shape == (1, 3, 16, 64, 64)
    assert np.array_equal(one.figures[0, :-1], truths[0].units[:, :-1].max(axis=0))
    assert FIGURES["temporal_tower"][-1] == "blink"
    assert one.figures[0, -1] == 1.0


def test_each_moment_is_told_of_its_own_frames(truths, cache):
    """Told of the strongest moments of a clip alone, the temporal encoder had learnt nothing after three rounds."""
    one = plain(truths[0], cache, "temporal_tower")
    arrays = cache.read(truths[0].name)
    shown = clip_frame_indices(len(arrays.faces), clip_recipe(16))
    assert one.moments.shape == (8, len(FIGURES["temporal_tower"]))
    for moment in (0, 3, 7):
        first, second = arrays.face_frames[shown[2 * moment : 2 * moment + 2]]
        expected = (truths[0].units[first, :-1] + truths[0].units[second, :-1]) / 2
        np.testing.assert_allclose(one.moments[moment, :-1], expected, rtol=1e-6)
        assert one.moments[moment, -1] == float(truths[0].is_blink[[first, second]].any())
    batch = batch_arrays([one, one])
    assert batch["moments"].shape == (16, len(FIGURES["temporal_tower"]))
    assert "moments" not in batch_arrays([plain(truths[0], cache, "face_tower")])


def test_the_frame_is_the_peak(truths, cache):
    one = plain(truths[0], cache, "vision_tower")
    arrays = cache.read(truths[0].name)
    assert np.array_equal(one.figures[0, :17], truths[0].units[5])
    assert np.array_equal(one.figures[0, 17:20], arrays.framing[0])
    assert one.label == truths[0].face_label


def test_a_mirror_turns_sides_round_and_other_frames_have_no_label(truths, cache):
    arrays = cache.read(truths[0].name)
    yaw, roll, face_x = (FIGURES["vision_tower"].index(name) for name in ("head_yaw", "head_roll", "face_x"))
    seen = set()
    for seed in range(60):
        one = lesson(truths[0], cache, Choice("vision_tower", 1, 16, vary=True), np.random.default_rng(seed))
        row = int(np.flatnonzero(np.isclose(arrays.framing[:, 2], one.figures[0, 19]))[0])
        mirrored = not np.isclose(one.figures[0, face_x], arrays.framing[row, 0])
        side = -1 if mirrored else 1
        assert one.figures[0, face_x] == pytest.approx(
            1 - arrays.framing[row, 0] if mirrored else arrays.framing[row, 0]
        )
        assert one.figures[0, yaw] == pytest.approx(side * arrays.frame_poses[row, 1])
        assert one.figures[0, roll] == pytest.approx(side * arrays.frame_poses[row, 2])
        assert one.label == (truths[0].face_label if row == 0 else NO_LABEL)
        seen.add((row == 0, mirrored))
    assert seen == {(True, True), (True, False), (False, True), (False, False)}


def test_every_clip_comes_once_a_round_in_an_order_of_its_own(truths, cache):
    choice = Choice("audio_tower", 1, 16, vary=True)
    lessons = Lessons(truths, cache, choice, epochs=2, seed=5)
    assert len(lessons) == 12
    first, second = lessons._order[:6].tolist(), lessons._order[6:].tolist()
    assert sorted(first) == sorted(second) == list(range(6))
    assert first != second
    again = Lessons(truths, cache, choice, epochs=2, seed=5)
    assert np.array_equal(lessons[7].inputs, again[7].inputs)
    assert not np.array_equal(lessons[7].inputs, Lessons(truths, cache, choice, epochs=2, seed=6)[7].inputs)


@pytest.mark.parametrize("tower", TOWERS)
def test_clips_without_what_a_tower_takes_teach_it_nothing(tower, truths, cache, tmp_path):
    from dataclasses import replace

    assert can_teach(tower, truths[0], cache)
    assert not can_teach(tower, truths[0], ClipCache(tmp_path))
    assert not can_teach(tower, replace(truths[0], face_label=NO_LABEL, voice_label=NO_LABEL), cache)
    arrays = cache.read(truths[0].name)
    bare = ClipCache(tmp_path)
    bare.write(truths[0].name, replace(arrays, faces=None, frames=None, samples=None))
    assert not can_teach(tower, truths[0], bare)


def test_sounds_are_filled_at_the_end():
    short, long = (Lesson(np.full((1, n), n, np.float32), np.zeros((1, 9), np.float32), 0) for n in (2, 4))
    arrays = batch_arrays([short, long])
    assert arrays["inputs"].tolist() == [[2, 2, 0, 0], [4, 4, 4, 4]]
    assert arrays["lengths"].tolist() == [2, 4]


def test_figures_are_one_column_a_name(truths, cache):
    for tower in TOWERS:
        assert plain(truths[0], cache, tower).figures.shape[1] == len(FIGURES[tower])
    assert FIGURES["face_tower"][:17] == AU_NAMES
