"""Choices are checked once; segments cover the clip exactly, whatever the lengths."""

from pathlib import Path

import pytest

from emotion_llama.analysis.options import Options, spans_of
from emotion_llama.errors import InputError


def test_words_come_from_one_place() -> None:
    with pytest.raises(InputError, match="got subtitle and transcript; give one of them"):
        Options(subtitle="Hello.", transcript=Path("talk.srt"))


def test_unknown_choices_name_the_known_ones() -> None:
    with pytest.raises(InputError, match="people='everyone' is not known; expected one of: main, all"):
        Options(people="everyone")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="peak_rule='best' is not known; expected one of: all, label"):
        Options(peak_rule="best")  # type: ignore[arg-type]


# --- segments ---------------------------------------------------------------------------------------------------------


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
    with pytest.raises(InputError, match=r"expected 'none', 'auto' or seconds of at least 0\.5"):
        Options(segment=segment)
