"""Frame times as numbers: the pace of a stream, and the frames that a chosen rate keeps."""

import numpy as np
import pytest

from emotion_llama.media.sampling import fit_size, measure_pace, pick_nearest


def _picked(times, fps):
    return [number for _, number in pick_nearest(zip(times, range(len(times))), fps)]


def test_half_the_rate_takes_every_second_frame():
    assert _picked(np.arange(10) / 25, 12.5) == [0, 2, 4, 6, 8]


def test_ties_go_to_the_earlier_frame():
    # 10 a second of 25: 0.1 lies halfway between frames 2 (0.08) and 3 (0.12).
    assert _picked(np.arange(11) / 25, 10.0) == [0, 2, 5, 7, 10]


def test_a_higher_rate_gives_every_frame_once():
    assert _picked(np.arange(7) / 25, 60.0) == list(range(7))


def test_sparse_frames_are_given_once_and_the_first_always():
    assert _picked([0.3, 5.0, 5.1], 1.0) == [0, 1]  # 0, 1, 2 are nearest to 0.3; 3, 4, 5 to 5.0
    assert _picked([0.7], 1.0) == [0]
    assert _picked([], 1.0) == []


@pytest.mark.parametrize("fps", [1.0, 3.7, 9.99, 24.0, 30.0])
def test_agrees_with_a_search_over_all_pairs(fps):
    rng = np.random.default_rng(3)
    times = np.cumsum(rng.uniform(0.005, 0.12, 200))
    # The grid ends where the last frame, shown as long as the one before it, ends.
    wanted = np.arange(np.floor(times[0] * fps), (2 * times[-1] - times[-2]) * fps) / fps
    nearest = np.abs(wanted[:, None] - times[None]).argmin(axis=1)
    assert _picked(times, fps) == sorted(set(nearest.tolist()))


def test_ten_seconds_at_ten_a_second_are_a_hundred_frames():
    assert len(_picked(np.arange(250) / 25, 10.0)) == 100


def test_a_part_gives_the_same_frames_as_the_whole():
    times = np.arange(500) / 29.97
    whole = _picked(times, 7.0)
    part = [100 + number for number in _picked(times[100:], 7.0)]
    assert part[1:] == [number for number in whole if number > part[0]]


def test_pace_of_a_constant_rate_with_rounded_times():
    times = np.round(np.arange(100) / 29.97, 3)  # Matroska's milliseconds
    pace = measure_pace(times.tolist(), 0.001)
    assert not pace.is_variable
    assert pace.fps == pytest.approx(29.97, rel=1e-3)


def test_pace_takes_times_in_decoding_order():
    assert measure_pace([0.0, 0.12, 0.04, 0.08], 1e-5) == (pytest.approx(25.0), False)


def test_a_dropped_frame_is_a_variable_rate():
    times = [i / 25 for i in range(50) if i != 20]
    pace = measure_pace(times, 1 / 90_000)
    assert pace.is_variable
    assert pace.fps == pytest.approx(48 / (49 / 25))


def test_no_pace_without_two_times():
    assert measure_pace([1.0], 0.001) == (None, False)
    assert measure_pace([0.0, 0.0, 0.0], 0.001) == (None, False)


def test_fit_size():
    assert fit_size(1280, 720, 640) == (640, 360)
    assert fit_size(720, 1280, 640) == (360, 640)
    assert fit_size(320, 240, 640) == (320, 240)
    assert fit_size(1280, 720, None) == (1280, 720)
    assert fit_size(4000, 2, 100) == (100, 1)
