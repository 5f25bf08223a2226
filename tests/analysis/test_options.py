"""Choices are checked once, and named for the record with the hash of every file they depend on."""

from pathlib import Path

import pytest

from emotion_llama.analysis.options import Options
from emotion_llama.errors import InputError


def test_words_come_from_one_place() -> None:
    with pytest.raises(InputError, match="got subtitle and transcript; give one of them"):
        Options(subtitle="Hello.", transcript=Path("talk.srt"))


def test_unknown_choices_name_the_known_ones() -> None:
    with pytest.raises(InputError, match="people='everyone' is not known; expected one of: main, all"):
        Options(people="everyone")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="peak_rule='best' is not known; expected one of: all, label"):
        Options(peak_rule="best")  # type: ignore[arg-type]
