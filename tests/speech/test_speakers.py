"""Who speaks when: RTTM as diarisers write it and as it should not be, and two voices of known pitch."""

from pathlib import Path

import numpy as np
import pytest
from sounds import RATE

from emotion_llama.errors import InputError
from emotion_llama.records import Transcript, TranscriptLine, Waveform
from emotion_llama.results import Turn
from emotion_llama.speech.prosody import summarise
from emotion_llama.speech.speakers import line_turns, pitch_turns, read_rttm, speaker_in, voice_of, with_speakers
from emotion_llama.speech.voice_track import measure_voice
from merr_synth.render.voice import VoiceSpec, render_voice

ANNA, BEN = Turn(0.0, 2.0, "anna"), Turn(2.5, 4.0, "ben")


def rttm(tmp_path: Path, *lines: str) -> Path:
    path = tmp_path / "talk.rttm"
    path.write_text("\n".join(lines) + "\n")
    return path


def voices(*parts: tuple[float, float]) -> np.ndarray:
    """Sentences of (seconds, Hz) with pauses of 0.4 s between them."""
    gap = np.zeros(round(0.4 * RATE), np.float32)
    sounds = [
        render_voice(VoiceSpec(duration_seconds=seconds, pitch_points=((0.0, hz * 1.1), (seconds, hz * 0.92)))).samples
        for seconds, hz in parts
    ]
    return np.concatenate([piece for sound in sounds for piece in (sound, gap)])


def track(samples: np.ndarray):
    return measure_voice([Waveform(np.asarray(samples, np.float32), RATE)])


def test_turns_are_read_in_order_of_time(tmp_path: Path) -> None:
    path = rttm(
        tmp_path,
        ";; a comment",
        "SPKR-INFO talk 1 <NA> <NA> <NA> unknown anna <NA> <NA>",
        "SPEAKER talk 1 2.5 1.5 <NA> <NA> ben <NA> <NA>",
        "SPEAKER talk 1 0.0 2.0 <NA> <NA> anna <NA>",
    )
    assert read_rttm(path, "Talk", 10.0) == ([ANNA, BEN], [])


def test_what_is_left_out_is_counted(tmp_path: Path) -> None:
    path = rttm(
        tmp_path,
        "SPEAKER talk 1 0.0 2.0 <NA> <NA> anna <NA> <NA>",
        "SPEAKER talk 1 2.5 9.0 <NA> <NA> ben <NA> <NA>",
        "SPEAKER talk 1 70 1 <NA> <NA> ben <NA> <NA>",
        "SPEAKER talk 1 one 1 <NA> <NA> ben <NA> <NA>",
        "SPEAKER talk 1 1.0 -1 <NA> <NA> ben <NA> <NA>",
        "SPEAKER talk 1 1.0 nan <NA> <NA> ben <NA> <NA>",
        "WHO talk",
        "SPEAKER other 1 0.0 1.0 <NA> <NA> carl <NA> <NA>",
    )
    turns, notes = read_rttm(path, "talk", 4.0)
    assert turns == [ANNA, BEN]
    bad, others, beyond = notes
    assert bad == "talk.rttm: 4 lines could not be read, the first is line 4"
    assert others.startswith("talk.rttm: 1 turn of other recordings left out (other)")
    assert beyond.startswith("talk.rttm: 1 turn beyond the clip's 4.00 s")


def test_another_recordings_name(tmp_path: Path) -> None:
    """The only recording of a file is taken and named; of several none is guessed."""
    line = "SPEAKER {} 1 0.0 2.0 <NA> <NA> anna <NA> <NA>"
    turns, (note,) = read_rttm(rttm(tmp_path, line.format("m_7")), "talk", 4.0)
    assert turns == [ANNA]
    assert "'m_7'" in note
    turns, (note,) = read_rttm(rttm(tmp_path, *map(line.format, ("a", "b", "c", "d"))), "talk", 4.0)
    assert turns == []
    assert "4 turns of other recordings left out (a, b, c, ...)" in note


@pytest.mark.parametrize("content", [b"", b"1\n00:00:01,000 --> 00:00:02,000\nHello\n", b"\xff\xfe\x00rubbish", b"{}"])
def test_rubbish_is_one_clear_line(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "talk.rttm"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"talk\.rttm") as error:
        read_rttm(path, "talk", 4.0)
    assert "\n" not in str(error.value)


def test_lines_get_their_speaker_and_are_parted_between_words() -> None:
    words = (("No.", 1.0, 1.4, 0.9), ("Why?", 2.6, 3.0, 0.9), ("Why", 3.1, 3.3, 0.8))
    lines = (
        TranscriptLine("No. Why? Why", 1.0, 3.3, words=words),
        TranscriptLine("Hello", 0.2, 0.9, "carl"),
        TranscriptLine("no time"),
        TranscriptLine("mostly ben", 1.8, 3.0),
        TranscriptLine("outside", 5.0, 6.0),
    )
    found = with_speakers(Transcript(lines, "given"), [ANNA, BEN]).lines
    assert [(line.text, line.speaker) for line in found] == [
        ("No.", "anna"), ("Why? Why", "ben"), ("Hello", "carl"), ("no time", None), ("mostly ben", "ben"),
        ("outside", None),
    ]  # fmt: skip
    assert (found[1].start_seconds, found[1].end_seconds, found[1].words) == (2.6, 3.3, words[1:])
    assert speaker_in([ANNA, BEN], 2.1, 2.4) is None


def test_labelled_lines_are_turns_where_two_speak() -> None:
    lines = (TranscriptLine("Yes", 2.5, 4.0, "ben"), TranscriptLine("No", 0.0, 2.0, "anna"), TranscriptLine("..", 1, 2))
    assert line_turns(Transcript(lines, "a.srt")) == [ANNA, BEN]
    assert line_turns(Transcript(lines[:1], "a.srt")) == []


def test_two_voices_an_octave_apart_are_told_apart() -> None:
    turns = pitch_turns(track(voices((2.0, 110), (2.0, 220), (1.5, 112))))
    assert [turn.speaker for turn in turns] == ["voice 1", "voice 2", "voice 1"]
    assert [(turn.start_seconds, turn.end_seconds) for turn in turns] == [
        (pytest.approx(a, abs=0.15), pytest.approx(b, abs=0.15)) for a, b in ((0.0, 2.0), (2.4, 4.4), (4.8, 6.3))
    ]


@pytest.mark.parametrize(
    "parts",
    [
        ((2.0, 110), (2.0, 150), (2.0, 120)),  # one voice that rises by a fifth
        ((2.0, 110), (2.0, 150), (2.0, 220)),  # nothing parts low from high
        ((2.0, 110), (0.5, 220)),  # a short exclamation
        ((3.0, 110),),
    ],
)
def test_what_one_voice_can_do_is_one_voice(parts: tuple[tuple[float, float], ...]) -> None:
    assert pitch_turns(track(voices(*parts))) == []


def test_another_voice_changes_no_figure_and_is_no_pause() -> None:
    """Two voices as one had a pitch range of an octave, and the other's turn would be a pause of 2.8 s."""
    both = track(voices((2.0, 110), (2.0, 220), (1.5, 112)))
    turns = pitch_turns(both)
    own, others = ([t for t in turns if (t.speaker == "voice 1") is mine] for mine in (True, False))
    alone = summarise(voice_of(both, own, others))
    assert (summarise(both).pitch_range_semitones or 0) > 11
    assert (alone.pitch_range_semitones or 99) < 4
    assert alone.pitch_median_hz == pytest.approx(110, rel=0.05)
    assert alone.speech_seconds == pytest.approx(3.5, abs=0.3)
    assert (alone.pause_share or 0) < 0.25
