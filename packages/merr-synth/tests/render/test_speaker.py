"""The voice says what the plan asks: measured on the samples, by means of this file's own, and on the layout."""

import shutil
import time
from itertools import pairwise

import numpy as np
import pytest

from emotion_llama.errors import BackendError, InputError, MissingDependency
from emotion_llama.records import Waveform
from emotion_llama.speech.prosody import summarise
from emotion_llama.speech.voice_track import measure_voice
from merr_synth.render import espeak
from merr_synth.render.prosody_table import ProsodyPlan
from merr_synth.render.speaker import Voice, draw_voice, plan_speech, speak
from merr_synth.render.tone_truth import tone_truth
from merr_synth.render.utterance import lay_out

RATE = 16_000
TEXT = "I told you two times to move your car, and the garden is empty now."
SYLLABLES = 17  # I-told-you-two-times-to-move-your-car-and-the-gar-den-is-emp-ty-now


def strongest_period_hz(samples, low=70, high=400):
    """Pitch of a stretch by the peak of its autocorrelation."""
    x = samples - samples.mean()
    power = np.abs(np.fft.rfft(x, 2 * len(x))) ** 2
    correlation = np.fft.irfft(power)[: len(x)]
    lags = np.arange(RATE // high, RATE // low)
    return RATE / lags[correlation[lags].argmax()]


def test_the_same_plan_and_voice_give_the_same_samples_and_another_voice_others():
    first, again = (speak(TEXT, ProsodyPlan(), Voice(seed=3)) for _ in range(2))
    np.testing.assert_array_equal(first.samples, again.samples)
    assert first.samples.dtype == np.float32
    other = speak(TEXT, ProsodyPlan(), Voice(seed=4))
    assert len(other.samples) != len(first.samples) or not np.array_equal(first.samples, other.samples)


def test_rate_and_pauses_are_those_of_the_plan():
    for rate, share in ((3.0, 0.0), (4.5, 0.3), (6.0, 0.2)):
        utterance = plan_speech(TEXT, ProsodyPlan(articulation_rate=rate, pause_share=share), Voice(rate_factor=1.1))
        assert len(utterance.nuclei) == SYLLABLES
        speaking = sum(end - start for start, end in utterance.spans)
        assert SYLLABLES / speaking == pytest.approx(1.1 * rate)
        assert 1 - speaking / utterance.duration_seconds == pytest.approx(share, abs=0.02)
        gaps = [b[0] - a[1] for a, b in pairwise(utterance.spans)]
        assert all(gap >= 0.25 for gap in gaps)
        assert (len(gaps) > 0) == (share > 0)


def test_the_first_pause_goes_where_the_comma_is():
    rng = np.random.default_rng(0)
    utterance = lay_out("They went home, and we did not.", 4.0, 0.12, rng)
    assert len(utterance.spans) == 2
    assert utterance.phrase_ends[0] == 2  # they-went-home


def test_segments_follow_each_other_without_gap_or_overlap_within_a_span():
    utterance = plan_speech(TEXT, ProsodyPlan(pause_share=0.3), Voice())
    starts = {round(start, 9) for start, _ in utterance.spans}
    for a, b in pairwise(utterance.segments):
        assert a.end > a.start
        assert a.end == pytest.approx(b.start) or round(b.start, 9) in starts
    assert utterance.segments[-1].end == pytest.approx(utterance.duration_seconds)


def test_silence_where_the_pauses_are_and_sound_elsewhere():
    spoken = speak(TEXT, ProsodyPlan(pause_share=0.3), Voice())
    spans = spoken.truth.spans
    sounding = np.concatenate([spoken.samples[int(a * RATE) : int(b * RATE)] for a, b in spans])
    for (_, end), (start, _) in pairwise(spans):
        gap = spoken.samples[int((end + 0.03) * RATE) : int((start - 0.01) * RATE)]
        assert 20 * np.log10(gap.std() / sounding.std()) < -40


def test_the_pitch_of_the_samples_is_the_pitch_of_the_truth():
    spoken = speak("Around the yellow moon.", ProsodyPlan(pitch_range_semitones=6.0), Voice(pitch_hz=140.0))
    truth = spoken.truth
    checked = 0
    for seconds in truth.nucleus_seconds:
        middle = int(seconds * RATE)
        measured = strongest_period_hz(spoken.samples[middle - 400 : middle + 400])
        expected = np.interp(seconds, truth.times_seconds, truth.f0_hz)
        assert measured == pytest.approx(expected, rel=0.03)
        checked += 1
    assert checked == 6


@pytest.mark.parametrize(("shift", "wanted"), [(0.0, 5.0), (6.0, 14.0), (-3.0, 2.0)])
def test_median_and_range_of_the_pitch_are_those_of_the_plan(shift, wanted):
    plan = ProsodyPlan(pitch_shift_semitones=shift, pitch_range_semitones=wanted, slope_semitones_per_second=0.0)
    f0 = speak(TEXT, plan, Voice(pitch_hz=150.0)).truth.f0_hz
    semitones = 12 * np.log2(f0[np.isfinite(f0)] / 150.0)
    assert np.median(semitones) == pytest.approx(shift, abs=0.15)
    low, high = np.percentile(semitones, [10, 90])
    assert high - low == pytest.approx(wanted, rel=0.06)


def test_an_ending_rises_or_falls():
    rising, falling = (
        speak("Are you sure that she was there?", ProsodyPlan(ending=e, slope_semitones_per_second=0.0), Voice())
        for e in (1.0, -1.0)
    )
    for spoken, sign in ((rising, 1), (falling, -1)):
        f0 = spoken.truth.f0_hz[np.isfinite(spoken.truth.f0_hz)]
        assert sign * np.log2(f0[-5:].mean() / np.median(f0)) > 0.05


@pytest.mark.parametrize("loudness_db", [-42.0, -21.0, -9.0])
def test_loudness_is_that_of_the_plan_and_nothing_clips(loudness_db):
    spoken = speak(TEXT, ProsodyPlan(loudness_db=loudness_db), Voice(loudness_offset_db=0.5))
    blocks = spoken.samples[: len(spoken.samples) // 400 * 400].reshape(-1, 400).astype(float)
    level = np.median(10 * np.log10(2 * (blocks**2).mean(axis=1)))  # 25 ms, nothing of the code's own windows
    assert level == pytest.approx(loudness_db + 0.5, abs=1.5)
    assert np.abs(spoken.samples).max() < 1.0


def test_a_soft_voice_is_darker_and_a_breathy_one_noisier():
    def bands(plan):
        power = np.abs(np.fft.rfft(speak("Around the moon.", plan, Voice()).samples)) ** 2
        frequency = np.fft.rfftfreq(2 * (len(power) - 1), 1 / RATE)
        return [10 * np.log10(power[(frequency >= a) & (frequency < b)].sum()) for a, b in ((50, 1000), (1000, 5000))]

    clear, soft = bands(ProsodyPlan(softness_db=2.0)), bands(ProsodyPlan(softness_db=18.0))
    assert soft[0] - soft[1] > clear[0] - clear[1] + 3
    measured = [
        summarise(measure_voice([Waveform(speak(TEXT, ProsodyPlan(harmonicity_db=h), Voice()).samples)])).harmonicity_db
        for h in (18.0, 8.0)
    ]
    assert measured[0] - measured[1] > 3


def test_tremor_is_a_swing_of_the_pitch_of_the_asked_depth():
    even, trembling = (
        speak(
            "Around the yellow moon.", ProsodyPlan(tremor_percent=t, tremor_hz=6.0, pitch_range_semitones=3.0), Voice()
        )
        for t in (0.0, 8.0)
    )

    def swing(spoken):
        f0 = np.log(spoken.truth.f0_hz[np.isfinite(spoken.truth.f0_hz)])
        seconds = 0.01 * np.arange(len(f0))
        waves = np.exp(-2j * np.pi * 6.0 * seconds)
        return 200 * abs(np.mean((f0 - np.polyval(np.polyfit(seconds, f0, 5), seconds)) * waves))

    assert swing(trembling) == pytest.approx(8.0, rel=0.25)
    assert swing(even) < 2.5


def test_the_voice_is_read_back_by_the_measuring_side():
    plan = ProsodyPlan(pitch_shift_semitones=-3.0, pitch_range_semitones=12.0, articulation_rate=4.0, pause_share=0.3)
    spoken = speak(TEXT, plan, Voice(pitch_hz=110.0))
    measured = summarise(measure_voice([Waveform(spoken.samples)]))
    figures = tone_truth(spoken, plan).figures
    assert measured.pitch_median_semitones == pytest.approx(figures["pitch_median_semitones"], abs=0.4)
    assert measured.pitch_range_semitones == pytest.approx(figures["pitch_range_semitones"], abs=0.7)
    assert measured.articulation_rate == pytest.approx(4.0, rel=0.08)
    assert measured.pause_share == pytest.approx(0.3, abs=0.04)
    assert measured.loudness_median_db == pytest.approx(-21.0, abs=1.5)


def test_words_of_tone_are_claimed_only_beyond_a_margin():
    slow = ProsodyPlan(articulation_rate=2.5, pitch_range_semitones=2.0, loudness_db=-21.0)
    spoken = speak(TEXT, slow, Voice(pitch_hz=92.0))
    truth = tone_truth(spoken, slow)
    assert {"slow", "monotone", "low-pitched"} <= set(truth.expected)
    assert {"fast", "lively", "high-pitched", "loud", "quiet", "halting"} <= set(truth.excluded)
    near = ProsodyPlan(articulation_rate=2.9)  # the bound is 3.0 and the margin 0.3
    assert "slow" in tone_truth(speak(TEXT, near, Voice()), near).open
    short = tone_truth(speak("No way!", ProsodyPlan(), Voice()), ProsodyPlan())
    assert {"slow", "fast", "monotone", "lively"} <= set(short.open)  # two syllables tell neither tempo nor range


def test_speakers_differ_and_are_of_the_asked_kind():
    voices = [draw_voice(seed) for seed in range(200)]
    assert len({voice.pitch_hz for voice in voices}) == 200
    assert 60 < sum(voice.pitch_hz > 160 for voice in voices) < 140
    assert all(draw_voice(seed, "low").pitch_hz < 145 < draw_voice(seed, "high").pitch_hz for seed in range(50))
    assert draw_voice(7) == draw_voice(7)


@pytest.mark.parametrize("text", ["", "...", "42", "\u4f60\u597d"])
def test_nothing_to_say_is_refused(text):
    with pytest.raises(InputError, match=r"nothing can be said of .*: expected English words in letters"):
        speak(text, ProsodyPlan(), Voice())


def test_impossible_voices_are_refused():
    with pytest.raises(InputError, match=r"a voice needs pitch_hz within 60..400"):
        Voice(pitch_hz=20.0)


def test_speaking_costs_little():
    speak(TEXT, ProsodyPlan(), Voice())
    start = time.process_time()
    spoken = speak(TEXT, ProsodyPlan(), Voice())
    assert time.process_time() - start < 0.25 * spoken.duration_seconds  # measured: 0.03 of it


def test_espeak_is_named_with_its_command_where_it_is_missing(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(MissingDependency, match="needs espeak-ng, which is not installed; run: apt install espeak-ng"):
        espeak.speak_with_espeak(TEXT, ProsodyPlan(), Voice())


def _fake_espeak(tmp_path, monkeypatch, script):
    program = tmp_path / "espeak-ng"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setattr(espeak, "espeak_program", lambda: str(program))


def test_espeaks_sound_is_brought_to_rate_and_level(tmp_path, monkeypatch):
    import wave

    with wave.open(str(tmp_path / "tone.wav"), "wb") as sound:
        sound.setparams((1, 2, 22050, 0, "NONE", ""))
        tone = np.sin(2 * np.pi * 200 * np.arange(22050) / 22050) * (np.arange(22050) > 2205)
        sound.writeframes((8000 * tone).astype("<i2").tobytes())
    _fake_espeak(tmp_path, monkeypatch, f'echo "$@" > {tmp_path}/args\ncat {tmp_path}/tone.wav')
    plan = ProsodyPlan(loudness_db=-20.0, pitch_shift_semitones=3.0, articulation_rate=4.5)
    spoken = espeak.speak_with_espeak("Hello; rm -rf x", plan, Voice(pitch_hz=105.0))
    assert spoken.truth is None
    assert spoken.syllables is None
    assert len(spoken.samples) == pytest.approx(0.9 * RATE, abs=50)  # a second less the silence before the tone
    assert 20 * np.log10(spoken.samples.std() * np.sqrt(2)) == pytest.approx(-20.0, abs=0.1)
    assert strongest_period_hz(spoken.samples[2000:4000]) == pytest.approx(200, rel=0.02)
    # 50 + 5 steps a semitone x 3; 4.5 syllables a second are 180 words a minute of 1.5 syllables
    assert (tmp_path / "args").read_text().strip() == "--stdout -v en-us -p 65 -s 180 -- Hello; rm -rf x"


@pytest.mark.parametrize(
    ("script", "match"),
    [
        ("echo no such voice >&2; exit 1", "espeak-ng gave no sound .no such voice.; use the voice 'own'"),
        ("exit 0", "espeak-ng gave no sound"),
        ("head -c 4000 /dev/zero", "espeak-ng gave no sound"),
    ],
)
def test_a_failing_espeak_is_told(tmp_path, monkeypatch, script, match):
    _fake_espeak(tmp_path, monkeypatch, script)
    with pytest.raises(BackendError, match=match):
        espeak.speak_with_espeak(TEXT, ProsodyPlan(), Voice())


def test_a_silent_or_broken_espeak_is_told(tmp_path, monkeypatch):
    import wave

    with wave.open(str(tmp_path / "silence.wav"), "wb") as sound:
        sound.setparams((1, 2, 22050, 0, "NONE", ""))
        sound.writeframes(bytes(4000))
    _fake_espeak(tmp_path, monkeypatch, f"cat {tmp_path}/silence.wav")
    with pytest.raises(BackendError, match="espeak-ng made no sound of"):
        espeak.speak_with_espeak(TEXT, ProsodyPlan(), Voice())
    monkeypatch.setattr(espeak, "espeak_program", lambda: str(tmp_path / "nothing"))
    with pytest.raises(BackendError, match="espeak-ng could not be run"):
        espeak.speak_with_espeak(TEXT, ProsodyPlan(), Voice())
