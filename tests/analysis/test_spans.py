"""Segments cover the clip exactly, whatever the lengths."""

import pytest

from emotion_llama.analysis.spans import spans_of
from emotion_llama.errors import InputError


def test_none_is_the_whole_clip() -> None:
    assert spans_of("none", 12.5, None) == [(0.0, 12.5)]


def test_fixed_lengths_and_a_shorter_last_one() -> None:
    assert spans_of(5.0, 12.0, None) == [(0.0, 5.0), (5.0, 10.0), (10.0, 12.0)]


def test_a_rest_below_half_a_second_joins_the_last_segment() -> None:
    assert spans_of(5.0, 10.3, None) == [(0.0, 5.0), (5.0, 10.3)]


def test_a_clip_shorter_than_the_length_is_one_segment() -> None:
    assert spans_of(30.0, 2.0, None) == [(0.0, 2.0)]
    assert spans_of(30.0, 0.2, None) == [(0.0, 0.2)]


def test_auto_without_a_voice_cuts_every_eight_seconds() -> None:
    assert spans_of("auto", 20.0, None) == [(0.0, 8.0), (8.0, 16.0), (16.0, 20.0)]


@pytest.mark.parametrize("segment", ["pauses", 0.1, float("inf"), float("nan")])
def test_options_refuse_what_is_no_segment(segment: float) -> None:
    from emotion_llama.analysis.options import Options

    with pytest.raises(InputError, match=r"expected 'none', 'auto' or seconds of at least 0\.5"):
        Options(segment=segment)
