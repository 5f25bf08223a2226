"""Where words come from, what is recorded of them, and what a bad file costs."""

from pathlib import Path

import pytest

from emotion_llama.analysis.evidence import find_transcript, transcript_record
from emotion_llama.analysis.options import Options
from emotion_llama.errors import InputError
from emotion_llama.records import Transcript
from emotion_llama.results import Missing

SRT = "1\n00:00:00,000 --> 00:00:01,000\n{}\n"


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return tmp_path / "talk.mp4"


def _spoken(clip: Path, options: Options) -> str:
    words = find_transcript(clip, options, None, pytest.fail)
    assert isinstance(words, Transcript)
    return words.text


@pytest.mark.inputs("sources", "text that is given", "`--subtitle TEXT`", "")
@pytest.mark.inputs("sources", "a file that is named", "`--transcript FILE`", "")
def test_given_text_wins_over_a_named_file_over_the_file_beside_the_clip(clip: Path, tmp_path: Path) -> None:
    (tmp_path / "talk.srt").write_text(SRT.format("Beside."))
    (tmp_path / "other.txt").write_text("Named.")
    assert _spoken(clip, Options()) == "Beside."
    assert _spoken(clip, Options(transcript=tmp_path / "other.txt")) == "Named."
    assert _spoken(clip, Options(subtitle="  Given\n text. ")) == "Given text."


def test_the_record_is_of_the_words_of_this_clip_alone(clip: Path, tmp_path: Path) -> None:
    """A table of 80,000 lines must not make every clip new when one line changes."""
    table = tmp_path / "lines.csv"
    table.write_text("name,sentence\ntalk,Hello.\nother,Goodbye.\n")
    options = Options(transcript=table)
    before = transcript_record(clip, options)
    assert before is not None
    assert before.startswith("lines.csv sha256:")
    table.write_text("name,sentence\ntalk,Hello.\nother,See you tomorrow.\n")
    assert transcript_record(clip, options) == before
    table.write_text("name,sentence\ntalk,Hello there.\nother,Goodbye.\n")
    assert transcript_record(clip, options) != before
    assert transcript_record(clip, Options()) is None


def test_a_bad_file_that_was_named_is_an_error_and_one_beside_the_clip_a_warning(clip: Path, tmp_path: Path) -> None:
    """A broken talk.srt, which nobody had asked for, used to cost the clip its face and voice as well."""
    bad = tmp_path / "talk.srt"
    bad.write_text("1\n00:00:xx,000 --> 00:00:01,000\nHello.\n")
    with pytest.raises(InputError, match=r"talk\.srt"):
        find_transcript(clip, Options(transcript=bad), None, pytest.fail)
    warnings: list[str] = []
    words = find_transcript(clip, Options(), None, warnings.append)
    assert isinstance(words, Missing)
    assert words.reason.startswith("the file beside the clip cannot be used: ")
    assert warnings == [words.reason]


def test_nothing_to_read_and_nothing_to_hear(clip: Path) -> None:
    assert find_transcript(clip, Options(), None, pytest.fail) == Missing(
        "transcript", "no subtitle was given, none lies beside the clip, and no recogniser was asked for"
    )
    said: list[str] = []
    assert find_transcript(clip, Options(asr_model=clip.parent), None, said.append, None, pytest.fail) == Missing(
        "transcript", "the file has no sound to recognise"
    )
    assert said == ["the file has no sound to recognise"]
    assert find_transcript(clip, Options(subtitle="  "), None, pytest.fail) == Missing(
        "transcript", "the given subtitle is empty"
    )
