"""Words and voice of a person against other people's: turns of RTTM, of labelled lines, and of pitch, by lips."""

import wave
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from emotion_llama.analysis.analyzer import Analyzer
from emotion_llama.analysis.evidence import gather, main_first, whose_voice, why_silent
from emotion_llama.analysis.measure import Measurements, Person
from emotion_llama.analysis.voices import Voices, heard_of, with_owners
from emotion_llama.document import analysis_document
from emotion_llama.errors import InputError
from emotion_llama.face.geometry import FEATURE_NAMES
from emotion_llama.records import FaceTrack, Transcript, TranscriptLine, Waveform
from emotion_llama.results import Turn
from emotion_llama.speech.voice_track import measure_voice
from merr_synth.render.voice import VoiceSpec, render_voice

RATE, FPS = 16_000, 25.0
# Two voices of one pitch, which only a diariser tells apart; "s1" speaks first.
LINES = ("SPEAKER talk 1 0.0 2.0 <NA> <NA> s1 <NA> <NA>", "SPEAKER talk 1 2.4 2.0 <NA> <NA> s2 <NA> <NA>")
SRT = "1\n00:00:00,100 --> 00:00:01,900\n{}How lovely!\n\n2\n00:00:02,500 --> 00:00:04,300\n{}I hate this.\n"


def two_sentences(first_hz: float = 120, second_hz: float = 120) -> np.ndarray:
    def sentence(hz: float) -> np.ndarray:
        return render_voice(VoiceSpec(duration_seconds=2.0, pitch_points=((0.0, hz), (2.0, hz)))).samples

    gap = np.zeros(round(0.4 * RATE), np.float32)
    return np.concatenate([sentence(first_hz), gap, sentence(second_hz)])


def clip(tmp_path: Path, samples: np.ndarray, rttm: tuple[str, ...] = (), srt: str = "") -> Path:
    path = tmp_path / "talk.wav"
    with wave.open(str(path), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(RATE)
        out.writeframes((samples * 32767).astype("<i2").tobytes())
    if rttm:
        (tmp_path / "talk.rttm").write_text("\n".join(rttm) + "\n")
    if srt:
        (tmp_path / "talk.srt").write_text(srt)
    return path


def person(number: int, start: float, end: float) -> Person:
    """Somebody in view whose lips move from `start` to `end` alone."""
    times = np.arange(round(4.4 * FPS)) / FPS
    features = np.zeros((len(times), len(FEATURE_NAMES)), np.float32)
    speaking = (times >= start) & (times < end)
    features[:, FEATURE_NAMES.index("lip_gap")] = np.where(speaking, np.abs(np.sin(np.pi * 4 * times)), 0.0)
    n = len(times)
    track = FaceTrack(
        number, (640, 400), times, np.arange(n), np.ones(n, bool), np.tile([100.0, 50, 180, 150], (n, 1)), np.ones(n),
        np.zeros((n, 5, 2)), np.zeros((n, 3)), features, np.zeros(1),
    )  # fmt: skip
    return Person(number, track, None)


def test_two_speakers_of_a_recording_are_two_people(tmp_path: Path) -> None:
    path = clip(tmp_path, two_sentences(), LINES, SRT.format("", ""))
    analysis = Analyzer.load("rules").analyze(path, people="all")
    first, second = analysis.people
    assert [one.segments[0].evidence.transcript.text for one in analysis.people] == ["How lovely!", "I hate this."]
    assert "speaks for 2.0 s, as 's1'" in first.why
    assert [one.segments[0].evidence.prosody.speech_seconds for one in (first, second)] == [
        pytest.approx(2.0, abs=0.15)
    ] * 2
    document = analysis_document(analysis)
    assert [(turn.speaker, turn.person_id) for turn in document.speakers] == [("s1", 1), ("s2", 2)]
    assert document.people[1].segments[0].evidence.transcript.lines[0].speaker == "s2"
    assert document.settings["speakers"].startswith("talk.rttm sha256:")
    # Without it, and at one pitch, nothing tells them apart: all of it is one voice, and the words are too.
    (tmp_path / "talk.rttm").unlink()
    alone = Analyzer.load("rules").analyze(path, people="all")
    assert (len(alone.people), alone.speakers, alone.warnings) == (1, (), ())
    assert alone.people[0].segments[0].evidence.transcript.text == "How lovely! I hate this."


def test_labelled_lines_say_who_speaks_too(tmp_path: Path) -> None:
    path = clip(tmp_path, two_sentences(), srt=SRT.format("ANNA: ", "BEN: "))
    (main,) = Analyzer.load("rules").analyze(path).people
    assert main.segments[0].evidence.transcript.text == "How lovely!"
    assert main.segments[0].prediction.label == "happy"


def test_a_clear_change_of_pitch_is_perhaps_another_voice(tmp_path: Path) -> None:
    path = clip(tmp_path, two_sentences(110, 230), srt=SRT.format("", ""))
    analysis = Analyzer.load("rules").analyze(path)
    (warning,) = analysis.warnings
    assert warning.startswith("perhaps another voice at 2.4-4.4 s")
    evidence = analysis.people[0].segments[0].evidence
    assert evidence.transcript.text == "How lovely!"
    assert evidence.prosody.pitch_median_hz == pytest.approx(110, rel=0.06)


def test_a_speaker_is_the_person_whose_lips_move() -> None:
    """One of two speakers is not in view: their words and voice are nobody's."""
    sound = two_sentences()
    voice = measure_voice([Waveform(sound, RATE)])
    turns = Turn(0.0, 2.0, "s1"), Turn(2.4, 4.4, "s2")
    words = Transcript((TranscriptLine("a", 0.1, 1.9, "s1"), TranscriptLine("b", 2.5, 4.3, "s2")), "given")

    def owners(*people: Person) -> Voices:
        found = Measurements(people, voice=voice, waveform=Waveform(sound, RATE))
        return with_owners(Voices(turns), main_first(found), found)[0]

    both = owners(person(1, 2.4, 4.4), person(2, 0.0, 2.0))
    assert dict(both.owners) == {"s1": 2, "s2": 1}
    off_screen = owners(person(1, 2.4, 4.4))
    assert dict(off_screen.owners) == {"s1": None, "s2": 1}
    guess = Voices(turns, notes=("perhaps",), is_guess=True)
    found = Measurements((person(1, 0.0, 4.4),), voice=voice)
    assert with_owners(guess, main_first(found), found)[0] == Voices()  # one mouth with two pitches
    assert dict(owners(person(1, 0.0, 0.0)).owners) == {}  # a still face: nothing says who speaks
    found = Measurements((person(1, 2.4, 4.4),), voice=voice, waveform=Waveform(sound, RATE))
    heard, said, silent = heard_of(1, off_screen, found, words, (0.0, 4.4))
    assert silent is None
    assert [line.text for line in said.lines] == ["b"]
    assert heard.voice.is_speech.sum() == pytest.approx(200, abs=15)
    assert not heard.waveform.samples[: 2 * RATE].any()
    assert heard.waveform.samples[round(2.4 * RATE) :].any()
    _, _, silent = heard_of(1, off_screen, found, words, (0.0, 2.0))
    assert "'s1' is nobody whose lips move with it" in silent


def test_a_voice_beside_a_silent_face_is_not_its_own() -> None:
    """A boy who only listens was given the voice of an adult beside the camera, and their words."""
    silent, sound = person(1, 0.0, 0.0), two_sentences()
    assert silent.track is not None
    nods = np.outer(3 * np.sin(np.arange(len(silent.track.valid))), [1.0, 0.0, 0.0])
    alive = replace(silent, track=replace(silent.track, head_pose_degrees=nods))
    voice, span = measure_voice([Waveform(sound, RATE)]), (0.0, 4.4)
    assert whose_voice([silent], voice, span)[0] == 1  # a photograph: nothing says whose it is
    speaker = whose_voice([alive], voice, span)
    assert speaker[0] is None
    assert whose_voice([alive, person(2, 0.0, 4.4)], voice, span)[0] == 2
    because = why_silent(alive, speaker)
    words = Transcript((TranscriptLine("I hate this", 0.1, 1.9),), "speech")
    found = Measurements((alive,), voice=voice, waveform=Waveform(sound, RATE))
    evidence = gather(found, words, alive, span, silent_because=because)
    assert (evidence.prosody, evidence.tone, evidence.transcript) == (None, None, None)
    assert {one.what: one.reason for one in evidence.missing}["prosody"] == because
    assert gather(found, words, alive, span, silent_because=because, keep_words=True).transcript == words


def test_a_named_file_must_be_one_and_one_beside_the_clip_costs_nothing(tmp_path: Path) -> None:
    path = clip(tmp_path, two_sentences(), ("rubbish",))
    (warning,) = Analyzer.load("rules").analyze(path).warnings
    assert "talk.rttm" in warning
    with pytest.raises(InputError, match=r"talk\.rttm"):
        Analyzer.load("rules").analyze(path, speakers=tmp_path / "talk.rttm")
    other = tmp_path / "all.rttm"
    other.write_text("\n".join(LINES).replace("talk", "Talk") + "\nSPEAKER b 1 0 1 <NA> <NA> x <NA> <NA>\n")
    analysis = Analyzer.load("rules").analyze(path, speakers=other)
    assert [turn.speaker for turn in analysis.speakers] == ["s1", "s2"]
    assert "1 turn of other recordings" in analysis.warnings[0]
