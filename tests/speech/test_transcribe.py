"""Recognition on a stand-in with faster-whisper's interface, and the guard against invented words."""

import re
import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
from sounds import RATE, waveform

from emotion_llama.errors import BackendError, InputError, MissingDependency
from emotion_llama.records import TranscriptLine, Waveform
from emotion_llama.speech.transcribe import TEMPERATURES, FasterWhisper, repeats, transcribe


def segment(text, start, end, avg_logprob=-0.3, no_speech_prob=0.05, compression_ratio=1.1, words=(), sure=0.9):
    words = [SimpleNamespace(word=w, start=s, end=e, probability=sure) for w, s, e in words]
    return SimpleNamespace(
        text=text, start=start, end=end, avg_logprob=avg_logprob, no_speech_prob=no_speech_prob,
        compression_ratio=compression_ratio, words=words or None,
    )  # fmt: skip


@pytest.fixture
def faster_whisper(monkeypatch):
    """A module with faster-whisper 1.x's names; `segments` is what it will hear, `speech` where somebody speaks."""
    module = ModuleType("faster_whisper")
    module.segments = [segment(" Are you really stupid", 0.0, 2.0)]
    module.speech, module.loaded, module.asked, module.problem, module.probability = [(0.0, 6.0)], [], [], None, 0.98

    class WhisperModel:
        def __init__(self, model_size_or_path, device="auto", compute_type="default", local_files_only=False):
            if module.problem:
                raise module.problem
            module.loaded.append((model_size_or_path, device, compute_type, local_files_only))

        def transcribe(
            self, audio, language=None, temperature=(0.0, 0.2, 0.4, 0.6, 0.8, 1.0), condition_on_previous_text=True,
            word_timestamps=False, language_detection_segments=1, max_new_tokens=None,
        ):  # fmt: skip
            assert audio.dtype == np.float32
            if language == "xx":
                raise ValueError("'xx' is not a valid language code")
            assert max_new_tokens == min(224, 20 + round(15 * len(audio) / RATE))
            module.asked.append((audio, language, temperature, condition_on_previous_text, word_timestamps))
            info = SimpleNamespace(
                language=language or "en", language_probability=1 if language else module.probability
            )
            return iter(module.segments), info

    def get_speech_timestamps(audio, min_silence_duration_ms=2000, speech_pad_ms=400):
        return [{"start": round(a * RATE), "end": round(b * RATE)} for a, b in module.speech]

    module.WhisperModel = WhisperModel
    vad = ModuleType("faster_whisper.vad")
    vad.get_speech_timestamps = get_speech_timestamps
    monkeypatch.setitem(sys.modules, "faster_whisper", module)
    monkeypatch.setitem(sys.modules, "faster_whisper.vad", vad)
    return module


@pytest.fixture
def model(tmp_path):
    (tmp_path / "model.bin").touch()
    return tmp_path


@pytest.fixture(scope="module")
def sound():
    return waveform(np.arange(6 * RATE) / (6 * RATE))  # each sample says when it is


@pytest.fixture
def heard(faster_whisper, model, sound):
    """Recognises the six seconds."""
    return lambda **options: transcribe(sound, FasterWhisper(model), **options)


def test_lines_keep_their_times_and_lose_their_spaces(faster_whisper, model, heard):
    found = heard()
    assert [(line.text, line.start_seconds, line.end_seconds) for line in found.lines] == [
        ("Are you really stupid", 0.0, 2.0)
    ]
    assert found.lines[0].confidence == pytest.approx(np.exp(-0.3))
    assert (found.source, found.language, found.language_probability) == ("faster-whisper", "en", 0.98)
    assert faster_whisper.loaded == [(str(model), "auto", "default", True)]
    audio, *options = faster_whisper.asked[0]
    assert len(audio) == 6 * RATE
    assert options == [None, TEMPERATURES, False, True]
    assert max(TEMPERATURES) < 0.5


def test_words_have_times_and_confidences_of_their_own(faster_whisper, heard):
    words = [(" I", 0.5, 0.7), (" know", 0.7, 1.1)]
    faster_whisper.segments = [segment(" I know", 0.0, 2.0, words=words, sure=0.8)]
    (line,) = heard().lines
    assert (line.start_seconds, line.end_seconds, line.confidence) == (0.5, 1.1, pytest.approx(0.8))
    assert [(w.text, w.start_seconds, w.end_seconds, w.confidence) for w in line.words] == [
        ("I", 0.5, 0.7, 0.8), ("know", 0.7, 1.1, 0.8),
    ]  # fmt: skip


def test_one_model_serves_many_clips(faster_whisper, model, sound):
    recogniser = FasterWhisper(model)
    for _ in range(3):
        transcribe(sound, recogniser)
    assert len(faster_whisper.loaded) == 1
    assert len(faster_whisper.asked) == 3


def test_times_count_from_the_start_of_the_file(faster_whisper, model, sound):
    later = Waveform(sound.samples, RATE, 30.0)
    (line,) = transcribe(later, FasterWhisper(model)).lines
    assert (line.start_seconds, line.end_seconds) == (30.0, 32.0)


def test_a_language_can_be_given_and_is_then_not_guessed(faster_whisper, heard):
    found = heard(language="zh")
    assert (found.language, found.language_probability) == ("zh", None)
    assert faster_whisper.asked[0][1] == "zh"


def test_a_language_that_the_model_does_not_know_is_named(faster_whisper, heard):
    with pytest.raises(InputError, match="xx"):
        heard(language="xx")


def test_a_language_that_is_hardly_recognised_is_said(faster_whisper, heard):
    assert heard().notes == ()
    faster_whisper.probability = 0.31
    (note,) = heard().notes
    assert "0.31" in note
    assert "--asr-language" in note


# --- where it runs --------------------------------------------------------------------------------------------------


def test_where_nobody_speaks_the_recogniser_is_not_asked(faster_whisper, heard):
    faster_whisper.speech = []
    found = heard()
    assert faster_whisper.asked == []
    assert found.lines == ()
    assert "no speech" in found.notes[0]


def test_only_stretches_of_speech_are_heard_and_times_are_those_of_the_file(faster_whisper, heard):
    faster_whisper.speech = [(1.0, 2.0), (4.0, 5.5)]
    words = [(" Yes", 0.25, 0.75), (" no", 1.25, 1.5)]  # of the joined stretches: the second begins at 1.0
    faster_whisper.segments = [segment(" Yes no", 0.0, 2.5, words=words), segment(" never", 2.0, 2.5)]
    found = heard()
    audio = faster_whisper.asked[0][0]
    assert len(audio) == 2.5 * RATE
    assert audio[0] == pytest.approx(1 / 6, abs=1e-4)
    assert audio[RATE] == pytest.approx(4 / 6, abs=1e-4)
    # What stands on both sides of a long pause is two lines.
    assert [(line.text, line.start_seconds, line.end_seconds) for line in found.lines] == [
        ("Yes", 1.25, 1.75), ("no", 4.25, 4.5), ("never", 5.0, 5.5),
    ]  # fmt: skip


def test_a_line_that_ends_where_a_stretch_does_stays_in_it(faster_whisper, heard):
    faster_whisper.speech = [(1.0, 2.0), (4.0, 5.5)]
    faster_whisper.segments = [segment("a b", 0.0, 1.0), segment("c d", 1.0, 2.5)]
    assert [(line.start_seconds, line.end_seconds) for line in heard().lines] == [(1.0, 2.0), (4.0, 5.5)]


# --- what is not believed -------------------------------------------------------------------------------------------

LOOP = "아 그래서 " * 12


@pytest.mark.inputs(
    "sources",
    "a recogniser",
    "`--asr DIR`",
    "the language with its probability; lines that were dropped as not said, with their reasons",
)
@pytest.mark.parametrize(
    ("invented", "reason"),
    [
        (segment(LOOP, 2.0, 5.0, compression_ratio=5.2), "compression ratio 5.2"),
        (segment("Man! Man! Man! Man!", 2.0, 5.0, avg_logprob=-0.61, compression_ratio=2.2), "repeats itself .4 times"),
        (segment("La " * 9, 2.0, 5.0), "repeats itself .9 times"),
        (segment("I do not know", 2.0, 5.0, avg_logprob=-1.2), "not sure of it .*-1.2"),
        (segment("Oh", 2.0, 5.0, avg_logprob=-0.7, no_speech_prob=0.85), "silence .85%"),
        (segment("a b", 2.0, 5.0, words=[(" a", 2.0, 2.5), (" b", 3.0, 5.0)], sure=0.2), "not sure of its words .20%"),
        (segment("We went to the old house by the river and looked for the key " * 2, 2.0, 4.0), "so fast"),
        (segment("我们今天去看电影然后回家吃饭睡觉", 2.0, 3.0), "so fast"),
        (segment(" Thanks for watching!", 2.0, 5.0), "credit"),
        (segment("字幕由Amara.org社区提供", 2.0, 5.0), "credit"),
        (segment("请不吝点赞 订阅 转发 打赏支持明镜与点点栏目", 2.0, 5.0), "credit"),
    ],
)
def test_invented_text_is_dropped_and_said_with_its_reason(faster_whisper, heard, invented, reason):
    faster_whisper.segments = [segment("Yes.", 0.2, 1.5), invented]
    found = heard()
    assert found.text == "Yes."
    total, named = found.notes
    assert "1 line of " in total
    assert f"{invented.end - invented.start:.1f} s" in total
    assert re.search(reason, named), named
    assert f"{invented.start:.1f}-{invented.end:.1f} s" in named


@pytest.mark.parametrize(
    "said",
    [
        segment("No! No! No!", 0.0, 2.0),
        segment("哈哈哈哈", 0.0, 2.0, compression_ratio=0.8),
        segment("Well", 0.0, 1.0, avg_logprob=-0.8),
        segment("So I thought", 0.0, 1.0, avg_logprob=-0.3, no_speech_prob=0.9),
        segment("Thank you for watching the children.", 0.0, 2.0),
        segment("所以我第一次跟你吃饭也是为了要感谢你", 0.0, 2.3),
    ],
)
def test_what_people_do_say_is_kept(faster_whisper, heard, said):
    faster_whisper.segments = [said]
    assert heard().text == said.text


def test_many_dropped_lines_are_counted_and_the_first_ones_named(faster_whisper, heard):
    faster_whisper.segments = [segment("Subtitles by me", i / 2, i / 2 + 0.5) for i in range(12)]
    found = heard()
    assert found.lines == ()
    assert "12 lines of 6.0 s" in found.notes[0]
    assert len(found.notes) == 6


def test_empty_lines_are_no_words_and_no_loss(faster_whisper, heard):
    faster_whisper.segments = [segment("  ", 0.0, 2.0)]
    found = heard()
    assert (found.lines, found.notes) == ((), ())


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("No! No! No!", 3),
        ("哈哈哈哈", 4),
        ("he said no", 1),
        ("", 1),
        ("a", 1),
        ("Ja, ja. Ja", 3),
        ("so what so what so", 2),
    ],
)
def test_repeats(text, count):
    assert repeats(text) == count


# --- the model ------------------------------------------------------------------------------------------------------


def test_nothing_is_downloaded(faster_whisper):
    with pytest.raises(InputError, match="converted"):
        FasterWhisper("small")
    assert faster_whisper.loaded == []


def test_a_folder_without_a_model_is_refused(faster_whisper, tmp_path):
    with pytest.raises(InputError, match=r"holds no model\.bin"):
        FasterWhisper(tmp_path)


def test_a_model_that_cannot_be_loaded_is_named(faster_whisper, model):
    faster_whisper.problem = RuntimeError("Unsupported model binary version")
    with pytest.raises(BackendError, match="Unsupported"):
        FasterWhisper(model)


def test_without_faster_whisper_the_install_command_is_named(monkeypatch, model):
    monkeypatch.setitem(sys.modules, "faster_whisper", None)
    with pytest.raises(MissingDependency, match=r"emotion-llama\[asr\]"):
        FasterWhisper(model)


def test_another_sample_rate_is_refused(faster_whisper, model):
    with pytest.raises(InputError, match="16000"):
        transcribe(Waveform(np.zeros(8000, dtype=np.float32), 8000), FasterWhisper(model))


# --- in an analysis -------------------------------------------------------------------------------------------------


@pytest.mark.inputs(
    "sources",
    "a recogniser",
    "`--asr DIR`",
    "the language with its probability; lines that were dropped as not said, with their reasons",
)
def test_an_analyzer_loads_it_once_a_run_and_lines_have_languages(faster_whisper, model, sound, tmp_path):
    from emotion_llama import Analyzer
    from emotion_llama.document import analysis_document
    from emotion_llama.media.writing import write_clip

    for name in ("a", "b"):
        write_clip(tmp_path / f"{name}.wav", None, audio=0.1 * sound.samples, sample_rate_hz=RATE)
    faster_whisper.segments = [
        segment(" I am happy", 0.0, 1.0, words=[(" I", 0.0, 0.2), (" am happy", 0.2, 1.0)]),
        segment("我很高兴", 1.0, 2.0),
    ]
    with Analyzer.load("rules") as analyzer:
        for name in ("a", "b"):
            analysis = analyzer.analyze(tmp_path / f"{name}.wav", asr_model=model, asr_language="en")
    assert len(faster_whisper.loaded) == 1
    words = analysis.people[0].segments[0].evidence.transcript
    assert [line.language for line in words.lines] == ["en", "zh"]
    assert analysis.settings["asr_language"] == "en"
    document = analysis_document(analysis).people[0].segments[0].evidence.transcript
    assert document.language_probability is None
    assert document.lines[0].words[1].text == "am happy"
    with pytest.raises(InputError, match="english"):
        Analyzer.load("rules").analyze(tmp_path / "a.wav", asr_model=model, asr_language="english")


def test_as_a_fallback_it_is_asked_only_where_no_words_come_with_the_clip(faster_whisper, model, sound, tmp_path):
    from emotion_llama import Analyzer
    from emotion_llama.analysis.options import Options
    from emotion_llama.media.writing import write_clip

    write_clip(tmp_path / "a.wav", None, audio=0.1 * sound.samples, sample_rate_hz=RATE)
    options, analyzer = Options(asr_model=model, asr_fallback=True), Analyzer.load("rules")

    def source(options):
        return analyzer.run(tmp_path / "a.wav", options).people[0].segments[0].evidence.transcript.source

    assert source(options) == "faster-whisper"
    assert source(Options("Given.", asr_model=model, asr_fallback=True)) == "given"
    (tmp_path / "a.srt").write_text("1\n00:00:00,000 --> 00:00:01,000\nBeside.\n")
    assert source(options) == "a.srt"
    assert source(Options(asr_model=model)) == "faster-whisper"
    (tmp_path / "a.srt").unlink()
    silent = analyzer.run(tmp_path / "a.wav", Options(asr_fallback=True)).people[0].segments[0].evidence
    assert "no recogniser was asked for" in silent.why_missing("transcript")
    with pytest.raises(InputError, match="one place"):
        Options("Given.", asr_model=model)


def test_a_line_keeps_its_place_in_a_build(faster_whisper, model, sound, tmp_path):
    """Words with times are stored in a build's measurements and come back as they were."""
    from emotion_llama import Analyzer
    from emotion_llama.media.writing import write_clip
    from emotion_llama.merr.measured import from_analysis, from_bytes, to_bytes

    write_clip(tmp_path / "a.wav", None, audio=0.1 * sound.samples, sample_rate_hz=RATE)
    faster_whisper.segments = [segment(" I am happy", 0.0, 1.0, words=[(" I", 0.0, 0.2), (" am happy", 0.2, 1.0)])]
    measured = from_analysis(Analyzer.load("rules").analyze(tmp_path / "a.wav", asr_model=model))
    assert from_bytes(to_bytes(measured)).evidence.transcript == measured.evidence.transcript
    assert isinstance(measured.evidence.transcript.lines[0], TranscriptLine)
