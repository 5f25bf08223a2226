"""The tone in words and figures, absolute and beside the same person's usual voice, in both languages."""

import dataclasses

import pytest

from emotion_llama.records import Prosody, Tone
from emotion_llama.rules.tone_text import describe_voice, tone_index, tone_words
from emotion_llama.rules.wording import LANGUAGES, wording
from emotion_llama.speech.tone import describe_tone


def make_prosody(**figures: float) -> Prosody:
    names = [field.name for field in dataclasses.fields(Prosody)]
    given = {"speech_seconds": 3.0, "voiced_seconds": 2.0, "backend": "autocorrelation", **figures}
    return Prosody(**{**dict.fromkeys(names), **given})


# 20 semitones above 27.5 Hz are 27.5 * 2 ** (20 / 12) = 87.3 Hz; 25 are 116.5 Hz.
LOW = make_prosody(pitch_median_semitones=20.0, loudness_median_db=-45.0, articulation_rate=2.5)
USUAL = make_prosody(pitch_median_semitones=25.0, loudness_median_db=-43.0, articulation_rate=4.0)


def test_words_with_their_figures() -> None:
    assert describe_voice(LOW, None, None, "en") == (
        "low-pitched, quiet and slow, "
        "with a median pitch of 87 Hz, a level of -45 dB re full scale and 2.5 syllables a second"
    )
    assert describe_voice(LOW, None, None, "zh") == (
        "音调偏低、音量小、语速慢（音高中位数87赫兹；电平为满刻度以下45分贝；每秒2.5个音节）"
    )


def test_relative_words_only_where_a_reference_bears_them() -> None:
    """5 semitones lower than usual are; 2 dB softer are not (6 are needed), though -45 dB alone would be quiet."""
    assert describe_voice(LOW, None, USUAL, "en") == (
        "lower-pitched than usual and slower than usual, with a median pitch of 87 Hz against 117 Hz usually and 2.5 "
        "syllables a second against 4.0 usually"
    )
    assert describe_voice(LOW, None, USUAL, "zh") == (
        "音调比平时低、语速比平时慢（音高中位数87赫兹，平时117赫兹；每秒2.5个音节，平时4.0个）"
    )
    partial = make_prosody(pitch_median_semitones=25.0)
    assert str(describe_voice(LOW, None, partial, "en")).startswith("lower-pitched than usual, quiet and slow, ")


def test_an_ordinary_voice() -> None:
    calm = make_prosody(
        pitch_median_semitones=25.0, pitch_range_semitones=5.0, loudness_median_db=-25.0, articulation_rate=4.5,
        tremor_depth_percent=0.0,
    )  # fmt: skip
    assert describe_voice(calm, None, None, "en") == (
        "even, and moderate in pitch, loudness and pace, "
        "with a pitch range of 5.0 semitones, a median pitch of 117 Hz, "
        "a level of -25 dB re full scale and 4.5 syllables a second"
    )


def test_a_tone_without_figures() -> None:
    assert describe_voice(None, Tone("slow, trembling voice", {}), None, "en") == "slow and trembling"
    assert describe_voice(None, Tone("x", {"loud": "level -5 dB"}), None, "zh") == "音量大"
    assert describe_voice(None, Tone("velvety voice", {}), None, "en") is None
    assert describe_voice(None, None, None, "en") is None


def test_no_voice_no_words() -> None:
    assert describe_voice(make_prosody(), None, None, "en") is None
    sine = make_prosody(pitch_median_semitones=25.0, tilt_db=90.0)
    assert describe_voice(sine, None, None, "en") is None


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_words_are_those_of_the_tone(language: str) -> None:
    """Whatever the figures, every word of `describe_tone` is there in the language, and none besides."""
    index = tone_index(language)
    assert set(index.values()) == set(wording(language).tones)
    for values in [(20, 2, -45, 2.5), (45, 14, -5, 7), (25, 5, -25, 4)]:
        names = ("pitch_median_semitones", "pitch_range_semitones", "loudness_median_db", "articulation_rate")
        prosody = make_prosody(**dict(zip(names, map(float, values))))
        tone = describe_tone(prosody)
        assert tone is not None
        assert [word for word, _ in tone_words(prosody)] == list(tone.words)
