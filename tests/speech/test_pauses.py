"""Pauses, and recordings cut at them."""

import itertools

import numpy as np
import pytest
from sounds import spoken_for, track

from emotion_llama.errors import InputError
from emotion_llama.speech.pauses import pauses, split_at_pauses


def approx_spans(spans):
    return [pytest.approx(span) for span in spans]


def test_pauses_lie_between_speech_and_last_at_least_a_fifth_of_a_second():
    voice = track(spoken_for(0, 0.5, 1.0, 0.19, 1.0, 0.20, 1.0, 0.7, 0.5, 0.6), start_seconds=10.0)
    assert pauses(voice) == approx_spans([(12.69, 12.89), (13.89, 14.59)])
    assert pauses(voice, min_seconds=0.5) == approx_spans([(13.89, 14.59)])


def test_one_stretch_of_speech_has_no_pause():
    assert pauses(track(spoken_for(0, 1.0, 1.0, 1.0))) == []
    assert pauses(track(np.zeros(0))) == []


def test_cuts_fall_in_the_middle_of_pauses_and_the_spans_cover_the_file():
    voice = track(spoken_for(2.0, 1.0, 3.0, 0.4, 1.0, 0.6, 2.0))
    assert split_at_pauses(voice, duration_seconds=12.0) == approx_spans([(0, 2.5), (2.5, 7.7), (7.7, 12.0)])


def test_pieces_shorter_than_a_second_are_not_cut_off():
    voice = track(spoken_for(0.3, 0.8, 3.0, 1.0, 0.3))
    assert split_at_pauses(voice, duration_seconds=5.4, min_seconds=1.0) == [(0.0, 5.4)]
    assert split_at_pauses(voice, duration_seconds=5.4, min_seconds=0.5) == approx_spans(
        [(0, 0.7), (0.7, 4.6), (4.6, 5.4)]
    )


def test_a_long_piece_is_cut_at_its_longest_pause():
    voice = track(spoken_for(5.0, 0.25, 5.0, 0.4, 7.0, 0.3, 2.0))
    assert split_at_pauses(voice, duration_seconds=19.95) == approx_spans([(0, 10.45), (10.45, 19.95)])


def test_a_long_piece_without_pauses_is_cut_where_it_is_quietest():
    level = np.full(2000, -20.0)
    level[800] = -33.0
    voice = track(np.ones(2000), loudness_db=level)
    assert split_at_pauses(voice, duration_seconds=20.0) == approx_spans([(0, 8.005), (8.005, 20.0)])


def test_without_sound_long_pieces_are_halved():
    assert split_at_pauses(track(np.zeros(0)), duration_seconds=40.0) == approx_spans(
        [(0, 10), (10, 20), (20, 30), (30, 40)]
    )


@pytest.mark.parametrize("seed", range(5))
def test_spans_of_any_talk_cover_it_without_gap_and_keep_the_limits(seed):
    rng = np.random.default_rng(seed)
    voice = track(spoken_for(*rng.uniform(0.05, 4.0, 60)))
    duration = len(voice.times_seconds) / 100 + 0.004
    spans = split_at_pauses(voice, duration_seconds=duration, max_seconds=8.0)
    assert spans[0][0] == 0
    assert spans[-1][1] == duration
    assert all(a[1] == b[0] for a, b in itertools.pairwise(spans))
    lengths = np.array([end - start for start, end in spans])
    assert lengths.min() >= 1.0
    assert lengths.max() <= 8.0


@pytest.mark.parametrize("options", [{"duration_seconds": 0.0}, {"min_seconds": -1.0}, {"max_seconds": 1.5}])
def test_impossible_limits_are_refused(options):
    with pytest.raises(InputError, match="cannot split"):
        split_at_pauses(track(np.ones(10)), **({"duration_seconds": 1.0} | options))
