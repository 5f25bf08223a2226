"""Words from figures: each word at its bound, each with its measurement."""

from dataclasses import replace

import numpy as np
import pytest
from sounds import whisper

from emotion_llama.records import Prosody, Waveform
from emotion_llama.speech.prosody import summarise, to_semitones
from emotion_llama.speech.tone import SCALES, Judgement, describe_tone, judge, why_no_voice
from emotion_llama.speech.voice_track import measure_voice
from merr_synth.render.voice import VoiceSpec, render_voice

ORDINARY = Prosody(
    speech_seconds=5.0, voiced_seconds=4.0, pitch_median_hz=140.0, pitch_median_semitones=float(to_semitones(140.0)),
    pitch_range_semitones=5.0, pitch_slope_semitones_per_second=-3.0, loudness_median_db=-23.0, loudness_range_db=15.0,
    syllables_per_second=4.0, articulation_rate=4.5, pause_count=1, pause_share=0.1, harmonicity_db=10.0,
    pitch_perturbation_percent=0.3, loudness_perturbation_db=0.3, tremor_depth_percent=0.5, tilt_db=14.0,
    backend="test",
)  # fmt: skip


def voice(**changed):
    return replace(ORDINARY, **changed)


def test_the_words_come_in_the_order_of_the_table():
    tone = describe_tone(
        voice(
            pitch_median_hz=95.0, pitch_median_semitones=float(to_semitones(95.0)), loudness_median_db=-44.0,
            articulation_rate=2.6, tremor_depth_percent=4.2,
        )
    )  # fmt: skip
    assert tone.phrase == "low-pitched, quiet, slow, trembling voice"
    assert dict(tone.words) == {
        "low-pitched": "median pitch 95 Hz (21.5 semitones above 27.5 Hz)",
        "quiet": "level -44.0 dB re full scale",
        "slow": "articulation rate 2.6 syllables/s",
        "trembling": "tremor 4.2 % of the pitch",
    }


@pytest.mark.parametrize(
    ("figure", "inside", "outside", "word"),
    [
        ("pitch_median_semitones", to_semitones(101), to_semitones(99), "low-pitched"),
        ("pitch_median_semitones", to_semitones(258), to_semitones(262), "high-pitched"),
        ("pitch_range_semitones", 3.1, 2.9, "monotone"),
        ("pitch_range_semitones", 9.9, 10.1, "lively"),
        ("loudness_median_db", -39.0, -41.0, "quiet"),
        ("loudness_median_db", -11.0, -9.0, "loud"),
        ("articulation_rate", 3.1, 2.9, "slow"),
        ("articulation_rate", 5.4, 5.6, "fast"),
        ("tremor_depth_percent", 3.9, 4.1, "trembling"),
        ("pitch_slope_semitones_per_second", -11.0, -13.0, "falling"),
        ("pitch_slope_semitones_per_second", 4.9, 5.1, "rising"),
    ],
)
def test_a_word_begins_at_its_bound(figure, inside, outside, word):
    assert word not in describe_tone(voice(**{figure: float(inside)})).words
    assert list(describe_tone(voice(**{figure: float(outside)})).words) == [word]


@pytest.mark.parametrize(("semitones", "word"), [(1.0, "monotone"), (12.0, "lively")])
def test_the_range_of_a_single_word_says_nothing(semitones, word):
    assert word not in describe_tone(voice(pitch_range_semitones=semitones, voiced_seconds=0.9)).words
    assert word in describe_tone(voice(pitch_range_semitones=semitones, voiced_seconds=1.0)).words


def test_halting_needs_two_pauses():
    assert "halting" not in describe_tone(voice(pause_share=0.5, pause_count=1)).words
    assert describe_tone(voice(pause_share=0.5, pause_count=2)).words["halting"] == "share of pauses 50%"


@pytest.mark.parametrize(("tilt_db", "word"), [(20.0, "breathy"), (12.0, "hoarse"), (5.0, "harsh")])
def test_the_tilt_tells_what_kind_of_noise_is_in_the_voice(tilt_db, word):
    assert describe_tone(voice(harmonicity_db=3.0, tilt_db=tilt_db)).words == {
        word: f"harmonicity 3.0 dB, tilt {tilt_db:.1f} dB"
    }
    assert word not in describe_tone(voice(harmonicity_db=4.0, tilt_db=tilt_db)).words


def test_an_ordinary_voice_is_even_and_moderate_with_its_figures():
    tone = describe_tone(ORDINARY)
    assert tone.phrase == "even, moderate voice"
    assert tone.words["even"] == "pitch range 5.0 semitones, tremor 0.5 % of the pitch"
    assert tone.words["moderate"] == (
        "median pitch 140 Hz (28.2 semitones above 27.5 Hz), level -23.0 dB re full scale, "
        "articulation rate 4.5 syllables/s"
    )


def test_a_woman_of_210_hz_and_a_man_of_120_hz_get_no_word_for_their_sex():
    for hertz in (120.0, 210.0):
        assert describe_tone(voice(pitch_median_semitones=float(to_semitones(hertz)))).phrase == "even, moderate voice"


def test_beside_a_reference_the_same_figures_mean_something_else():
    usual = voice(
        pitch_median_semitones=30.0, loudness_median_db=-30.0, articulation_rate=5.0, pitch_range_semitones=4.0
    )
    now = voice(pitch_median_semitones=33.5, loudness_median_db=-23.0, articulation_rate=3.9, pitch_range_semitones=6.5)
    tone = describe_tone(now, usual)
    assert tone.phrase == "high-pitched, lively, loud, slow voice"
    assert tone.words["loud"] == "level -23.0 dB re full scale against a usual -30.0 dB re full scale"
    assert describe_tone(usual, usual).phrase == "even, moderate voice"


def test_a_reference_without_the_figure_leaves_the_absolute_bound():
    reference = voice(articulation_rate=None)
    assert "slow" in describe_tone(voice(articulation_rate=2.5), reference).words


def test_a_monotone_reference_is_no_division_by_zero():
    assert "lively" not in describe_tone(voice(), voice(pitch_range_semitones=0.0)).words


def test_figures_that_are_missing_earn_no_word():
    tone = describe_tone(voice(loudness_median_db=None, tremor_depth_percent=None, pitch_range_semitones=None))
    assert tone.phrase == "moderate voice"


def test_no_voice_no_tone():
    assert describe_tone(None) is None
    assert describe_tone(voice(pitch_median_semitones=None, articulation_rate=None)) is None


@pytest.mark.parametrize(
    ("figures", "why"),
    [
        ({"tilt_db": 94.2}, "the sound is no voice: its spectral tilt of 94 dB is above the 55 dB of voices"),
        ({"tilt_db": -20.0}, "the sound is no voice: its spectral tilt of -20 dB is below the -15 dB of voices"),
        ({"harmonicity_db": 48.0}, "the sound is no voice: its harmonicity of 48 dB is above the 40 dB of voices"),
        (
            {"pitch_median_semitones": None, "articulation_rate": None},
            "the 5.0 s of speech have no pitch: whispered, or covered by noise",
        ),
    ],
)
def test_what_is_no_voice_has_no_tone(figures, why):
    assert why_no_voice(voice(**figures)) == why
    assert describe_tone(voice(**figures)) is None


def test_what_a_voice_can_do_is_a_voice():
    for figures in ({}, {"tilt_db": 55.0}, {"tilt_db": None}, {"harmonicity_db": 40.0}, {"harmonicity_db": None}):
        assert why_no_voice(voice(**figures)) is None


def test_tones_are_told_from_voices_where_they_are_measured():
    seconds = np.arange(2 * 16_000) / 16_000
    held = np.sin(2 * np.pi * 440 * seconds)
    strings = sum(np.sin(2 * np.pi * 220 * k * seconds) / k**2 for k in range(1, 8)) * np.exp(-4 * (seconds % 0.5))
    darkest = render_voice(VoiceSpec(duration_seconds=2.0, vowels="u", softness_db=30.0)).samples
    whys = [
        why_no_voice(summarise(measure_voice([Waveform(np.float32(0.3 * sound), 16_000, 0.0)])))
        for sound in (held, strings, darkest)
    ]
    assert "tilt of 9" in whys[0]
    assert "harmonicity of 4" in whys[1]
    assert whys[2] is None


def why_of(samples):
    track = measure_voice([Waveform(np.float32(samples), 16_000, 0.0)])
    return why_no_voice(summarise(track), track)


@pytest.mark.parametrize("base_hz", [120.0, 200.0])
@pytest.mark.parametrize("note_seconds", [0.35, 0.8])
@pytest.mark.parametrize("vibrato_percent", [0.0, 2.0])
def test_a_song_is_not_speech(base_hz, note_seconds, vibrato_percent):
    points = []
    for number, semitones in enumerate((0, 2, 4, 5, 7, 5, 4, 2, 0, 4, 7, 12)):
        pitch_hz = base_hz * 2 ** (semitones / 12)
        points += [(number * note_seconds + 0.03, pitch_hz), ((number + 1) * note_seconds - 0.03, pitch_hz)]
    spec = VoiceSpec(
        12 * note_seconds, tuple(points), syllables_per_second=1 / note_seconds, consonant_share=0.3,
        tremor_hz=5.5 if vibrato_percent else 0.0, tremor_percent=vibrato_percent,
    )  # fmt: skip
    assert str(why_of(render_voice(spec).samples)).startswith("singing or music")


@pytest.mark.parametrize(
    "spec",
    [
        VoiceSpec(6.0, ((0.0, 120.0),)),
        VoiceSpec(6.0, ((0.0, 160.0), (6.0, 85.0)), accent_semitones=3.0, consonant_share=0.3),
        VoiceSpec(6.0, ((0.0, 220.0),), tract_scale=1.17, accent_semitones=2.0, background_snr_db=10.0),
        VoiceSpec(6.0, ((0.0, 100.0),), jitter_percent=2.0, harmonicity_db=5.0, pauses=((2.0, 2.7),)),
    ],
    ids=["monotone", "falling", "in noise", "hoarse"],
)
def test_one_person_who_speaks_has_a_voice(spec):
    assert why_of(render_voice(spec).samples) is None


def test_a_crowd_is_no_single_voice():
    voices = [
        render_voice(VoiceSpec(6.0, ((0.0, 90.0 + 17 * k), (6.0, 140.0 + 9 * k)), accent_semitones=3.0, seed=k)).samples
        for k in range(12)
    ]
    rng = np.random.default_rng(0)
    mixed = sum(np.roll(samples, rng.integers(len(samples))) for samples in voices)
    assert "crowd" in str(why_of(0.2 * mixed / np.abs(mixed).max()))


def test_a_whisper_has_a_reason_and_no_phrase():
    found = measure_voice([Waveform(np.float32(whisper()), 16_000, 0.0)])
    prosody = summarise(found)
    assert prosody.speech_seconds > 3
    assert prosody.pitch_median_hz is None
    assert "no pitch: whispered" in str(why_no_voice(prosody, found))
    assert describe_tone(prosody) is None


def test_the_judgement_says_how_far_and_beside_what():
    rate = next(scale for scale in SCALES if scale.figure == "articulation_rate")
    level = next(scale for scale in SCALES if scale.figure == "loudness_median_db")
    assert judge(rate, voice(articulation_rate=7.0)) == Judgement(7.0, 1, "fast", 5.5, None)
    beside = judge(rate, voice(articulation_rate=3.0), voice(articulation_rate=5.0))
    assert beside == Judgement(3.0, -1, "slow", 4.0, 5.0)
    assert beside.excess == pytest.approx(-1.0)
    within = judge(level, voice(loudness_median_db=-41.0), voice(loudness_median_db=-45.0))
    assert within == Judgement(-41.0, 0, None, None, -45.0)
    assert within.excess == 0.0
    assert judge(rate, voice(articulation_rate=None)) is None


def test_every_scale_names_a_figure_of_prosody():
    for scale in SCALES:
        assert hasattr(ORDINARY, scale.figure)
        assert scale.low < scale.high
