"""Choices are checked once, and named for the record with the hash of every file they depend on."""

import hashlib
from pathlib import Path

import pytest

from emotion_llama.errors import InputError
from emotion_llama.pipeline.options import Options


def test_words_come_from_one_place() -> None:
    with pytest.raises(InputError, match="got subtitle and transcript; give one of them"):
        Options(subtitle="Hello.", transcript=Path("talk.srt"))


def test_unknown_choices_name_the_known_ones() -> None:
    with pytest.raises(InputError, match="people='everyone' is not known; expected one of: main, all"):
        Options(people="everyone")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="peak_rule='best' is not known; expected one of: all, label"):
        Options(peak_rule="best")  # type: ignore[arg-type]


def test_the_file_beside_the_clip_is_used_unless_words_are_given(tmp_path: Path) -> None:
    clip, words = tmp_path / "talk.mp4", tmp_path / "talk.srt"
    words.write_text("1\n00:00:00,000 --> 00:00:01,000\nHello.\n")
    assert Options().words_file(clip) == words
    assert Options(subtitle="Hi.").words_file(clip) is None
    assert Options(asr_model=tmp_path).words_file(clip) is None
    assert Options(transcript=tmp_path / "other.vtt").words_file(clip) == tmp_path / "other.vtt"


def test_the_record_changes_with_the_words_file(tmp_path: Path) -> None:
    words = tmp_path / "talk.txt"
    words.write_text("Hello.")
    record = Options(transcript=words).record(tmp_path / "talk.mp4")
    assert record["words_file"] == f"talk.txt sha256:{hashlib.sha256(b'Hello.').hexdigest()}"
    words.write_text("Goodbye.")
    assert Options(transcript=words).record(tmp_path / "talk.mp4") != record


def test_a_words_file_that_is_not_there_is_named_as_given(tmp_path: Path) -> None:
    assert Options(transcript=tmp_path / "no.srt").record(tmp_path / "a.mp4")["words_file"] == str(tmp_path / "no.srt")
