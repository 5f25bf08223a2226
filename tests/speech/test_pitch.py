"""The path through pitch candidates, and harmonicity from correlation."""

import numpy as np
import pytest

from emotion_llama.speech.pitch import Candidates, choose_path, harmonicity_db


def candidates(f0_hz, strength):
    f0, s = np.array(f0_hz, dtype=float), np.array(strength, dtype=float)
    return Candidates(f0, s, s)


def test_one_frame_of_a_stronger_octave_does_not_make_the_pitch_jump():
    # Frame 2: half the pitch is stronger by 0.1; two jumps of an octave would cost 0.7.
    strength = [[0.9, 0.5], [0.9, 0.5], [0.8, 0.9], [0.9, 0.5]]
    chosen = choose_path(candidates([[200, 100]] * 4, strength), np.full(4, 0.45))
    np.testing.assert_array_equal(chosen, [0, 0, 0, 0])


def test_a_lasting_octave_change_is_followed():
    strength = [[0.9, 0.5]] * 3 + [[0.5, 0.9]] * 3
    chosen = choose_path(candidates([[200, 100]] * 6, strength), np.full(6, 0.45))
    np.testing.assert_array_equal(chosen, [0, 0, 0, 1, 1, 1])


def test_a_lonely_weak_candidate_stays_unvoiced():
    # 0.6 beats 0.45, but not by the 0.28 that going in and out of voicing costs.
    strength = [[-np.inf], [0.6], [-np.inf]]
    chosen = choose_path(candidates([[np.nan], [200], [np.nan]], strength), np.full(3, 0.45))
    np.testing.assert_array_equal(chosen, [-1, -1, -1])


def test_nothing_is_voiced_in_silence():
    chosen = choose_path(candidates([[200]] * 3, [[1.0]] * 3), np.full(3, 2.0))
    np.testing.assert_array_equal(chosen, [-1, -1, -1])


def test_paths_longer_than_a_block_are_one_path():
    count = 10_000
    strength = np.tile([0.9, 0.5], (count, 1))
    strength[4096] = 0.5, 0.9
    chosen = choose_path(candidates(np.tile([200.0, 100.0], (count, 1)), strength), np.full(count, 0.45))
    assert (chosen == 0).all()


def test_no_frames_no_path():
    assert len(choose_path(candidates(np.zeros((0, 6)), np.zeros((0, 6))), np.zeros(0))) == 0


@pytest.mark.parametrize(("correlation", "expected_db"), [(0.5, 0.0), (0.99, 19.956), (0.9, 9.542), (1.0, 50.0)])
def test_harmonicity(correlation, expected_db):
    assert harmonicity_db(np.array([correlation]))[0] == pytest.approx(expected_db, abs=0.001)
