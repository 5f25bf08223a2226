"""Recognition on a stand-in with faster-whisper's interface, and the guard against invented words."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest
from sounds import RATE, spoken_for, track, waveform

from emotion_llama.errors import BackendError, InputError, MissingDependency
from emotion_llama.records import TranscriptLine, Waveform
from emotion_llama.speech.transcribe import transcribe
from merr_synth.render.voice import VoiceSpec, render_voice


def segment(text, start, end, avg_logprob=-0.3, no_speech_prob=0.05):
    return SimpleNamespace(text=text, start=start, end=end, avg_logprob=avg_logprob, no_speech_prob=no_speech_prob)


@pytest.fixture
def faster_whisper(monkeypatch):
    """A module with faster-whisper 1.x's names; `segments` is what it will hear."""
    module = SimpleNamespace(segments=[segment(" Are you really stupid", 0.0, 2.0)], loaded=[], asked=[], problem=None)

    class WhisperModel:
        def __init__(self, model_size_or_path, device="auto", compute_type="default", local_files_only=False):
            if module.problem:
                raise module.problem
            module.loaded.append((model_size_or_path, device, compute_type, local_files_only))

        def transcribe(self, audio, language=None, condition_on_previous_text=True):
            assert audio.dtype == np.float32
            module.asked.append((len(audio), language, condition_on_previous_text))
            return iter(module.segments), SimpleNamespace(language=language or "en")

    module.WhisperModel = WhisperModel
    monkeypatch.setitem(sys.modules, "faster_whisper", module)
    return module


@pytest.fixture
def model(tmp_path):
    (tmp_path / "model.bin").touch()
    return tmp_path


@pytest.fixture(scope="module")
def speech():
    return waveform(render_voice(VoiceSpec(6.0, pauses=((2.0, 4.0),))).samples)


def test_lines_keep_their_times_and_lose_their_spaces(faster_whisper, model, speech):
    found = transcribe(speech, model=model)
    assert found.lines == (TranscriptLine("Are you really stupid", 0.0, 2.0),)
    assert found.source == "faster-whisper"
    assert found.language == "en"
    assert faster_whisper.loaded == [(str(model), "auto", "default", True)]
    assert faster_whisper.asked == [(6 * RATE, None, False)]


def test_times_count_from_the_start_of_the_file(faster_whisper, model, speech):
    later = Waveform(speech.samples, RATE, 30.0)
    assert transcribe(later, model=model).lines == (TranscriptLine("Are you really stupid", 30.0, 32.0),)


def test_a_language_can_be_given(faster_whisper, model, speech):
    assert transcribe(speech, model=model, language="zh").language == "zh"


@pytest.mark.parametrize(
    ("avg_logprob", "no_speech_prob", "kept"),
    [(-1.2, 0.7, False), (-1.2, 0.5, True), (-0.8, 0.9, True), (-0.2, 0.1, True)],
)
def test_whispers_own_rule_for_silence_needs_both_signs(
    faster_whisper, model, speech, avg_logprob, no_speech_prob, kept
):
    faster_whisper.segments = [segment("Thanks for watching!", 0.0, 2.0, avg_logprob, no_speech_prob)]
    assert bool(transcribe(speech, model=model).lines) is kept


def test_words_where_nobody_speaks_are_dropped(faster_whisper, model, speech):
    faster_whisper.segments = [segment("Yes.", 0.2, 1.5), segment("Subtitles by", 2.4, 3.6), segment("No.", 4.2, 5.0)]
    assert transcribe(speech, model=model).text == "Yes. No."


def test_a_given_track_decides_where_there_is_speech(faster_whisper, model, speech):
    silent = track(np.zeros(600))
    assert transcribe(speech, model=model, voice=silent).lines == ()
    assert transcribe(speech, model=model, voice=track(spoken_for(6.0))).text == "Are you really stupid"


def test_empty_lines_are_dropped(faster_whisper, model, speech):
    faster_whisper.segments = [segment("  ", 0.0, 2.0)]
    assert transcribe(speech, model=model).lines == ()


def test_nothing_is_downloaded_unless_asked(faster_whisper, speech):
    with pytest.raises(InputError, match="converted"):
        transcribe(speech, model="small")
    assert faster_whisper.loaded == []
    transcribe(speech, model="small", allow_download=True)
    assert faster_whisper.loaded == [("small", "auto", "default", False)]


def test_a_folder_without_a_model_is_refused(faster_whisper, tmp_path, speech):
    with pytest.raises(InputError, match=r"holds no model\.bin"):
        transcribe(speech, model=tmp_path)


def test_a_model_that_cannot_be_loaded_is_named(faster_whisper, model, speech):
    faster_whisper.problem = RuntimeError("Unsupported model binary version")
    with pytest.raises(BackendError, match="Unsupported"):
        transcribe(speech, model=model)


def test_without_faster_whisper_the_install_command_is_named(monkeypatch, model, speech):
    monkeypatch.setitem(sys.modules, "faster_whisper", None)
    with pytest.raises(MissingDependency, match=r"emotion-llama\[asr\]"):
        transcribe(speech, model=model)


def test_an_unknown_recogniser_is_refused(model, speech):
    with pytest.raises(InputError, match="faster-whisper"):
        transcribe(speech, model=model, backend="vosk")


def test_another_sample_rate_is_refused(model):
    with pytest.raises(InputError, match="16000"):
        transcribe(Waveform(np.zeros(8000, dtype=np.float32), 8000), model=model)
