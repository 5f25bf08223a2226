"""Voice activity: on masks made by hand, and on voices in noise."""

import numpy as np
import pytest
from sounds import RATE, applause, sine, spoken_for, waveform, whisper, white_noise

from emotion_llama.speech.activity import find_speech, is_audible, runs
from emotion_llama.speech.voice_track import measure_voice
from merr_synth.render.voice import VoiceSpec, render_voice


def test_runs():
    assert runs(np.array([True, True, False, True])) == [(0, 2), (3, 4)]
    assert runs(np.zeros(3, dtype=bool)) == []


def test_closures_under_a_tenth_of_a_second_are_bridged_and_pauses_are_not():
    voiced = spoken_for(0.5, 0.09, 0.5, 0.10, 0.5)
    level = np.where(voiced, -20.0, -90.0)
    assert runs(find_speech(level, voiced)) == [(0, 109), (119, 169)]


def test_unvoiced_sound_beside_voicing_belongs_to_it_for_a_fifth_of_a_second():
    voiced = spoken_for(0, 1.0, 0.5, 1.0)  # silence 1 s, voice 0.5 s, then 1 s of which 0.4 s are loud
    level = np.where(voiced, -20.0, -80.0)
    level[150:190] = -30.0
    assert runs(find_speech(level, voiced)) == [(100, 170)]


def test_voicing_of_less_than_50_ms_is_chance():
    voiced = spoken_for(0, 1.0, 0.04, 1.0)
    assert not find_speech(np.where(voiced, -20.0, -80.0), voiced).any()


def test_audible_means_within_30_db_of_the_loud_parts_around():
    level = np.repeat([-20.0, -49.0, -51.0], 300)
    np.testing.assert_array_equal(is_audible(level), np.repeat([True, True, False], 300))


def test_a_quiet_speaker_after_a_loud_one_is_heard():
    loud, quiet = (render_voice(VoiceSpec(duration_seconds=20.0, loudness_db=db)).samples for db in (-15.0, -50.0))
    found = measure_voice([waveform(np.concatenate([loud, quiet]))])
    assert found.is_speech[:1990].mean() > 0.99
    assert found.is_speech[2600:].mean() > 0.99  # 6 s on, the loud one has left the window


@pytest.mark.parametrize("snr_db", [None, 30.0, 20.0, 10.0])
def test_pauses_of_a_voice_in_noise_are_found_to_50_ms(snr_db):
    spec = VoiceSpec(8.0, pauses=((2.0, 2.5), (4.0, 5.2)), background_snr_db=snr_db, dip_db=10.0)
    found = measure_voice([waveform(render_voice(spec).samples)])
    edges = np.array(runs(found.is_speech)) / 100
    np.testing.assert_allclose(edges, [[0.0, 2.0], [2.5, 4.0], [5.2, 8.0]], atol=0.05)


@pytest.mark.parametrize("below_db", [20.0, 30.0, 45.0])
@pytest.mark.parametrize("chord_hz", [(100.0, 200.0, 300.0), (261.6, 329.6, 392.0)], ids=["hum", "music"])
def test_hum_and_soft_music_do_not_fill_the_pauses(chord_hz, below_db):
    # A hum 25 dB under the voice was voiced and audible in every pause, so that there was none.
    spec = VoiceSpec(12.0, pauses=((3.0, 4.0), (7.0, 8.5)), consonant_share=0.3, accent_semitones=2.0)
    samples = render_voice(spec).samples
    hum = sum(sine(f, 12.0, 1.0) for f in chord_hz)
    hum *= 10 ** (-below_db / 20) * np.sqrt(np.mean(samples**2) / np.mean(hum**2))
    edges = np.array(runs(measure_voice([waveform(samples + hum)]).is_speech)) / 100
    np.testing.assert_allclose(edges, [[0.0, 3.0], [4.0, 7.0], [8.5, 12.0]], atol=0.05)


def test_consonants_count_as_speech():
    spec = VoiceSpec(6.0, consonant_share=1.0, pauses=((2.5, 3.5),))
    found = measure_voice([waveform(render_voice(spec).samples)])
    assert found.is_speech[:245].mean() > 0.97
    assert found.is_speech[355:].mean() > 0.97
    assert not found.is_speech[260:340].any()


def test_noise_bursts_without_voice_are_no_speech():
    bursts = white_noise(4.0) * (np.arange(4 * RATE) // 4000 % 2)
    assert not measure_voice([waveform(bursts)]).is_speech.any()


def test_a_held_tone_counts_as_voice():
    samples = np.concatenate([np.zeros(RATE), sine(220, 1.0), np.zeros(RATE)])
    np.testing.assert_allclose(
        np.array(runs(measure_voice([waveform(samples)]).is_speech)) / 100, [[1.0, 2.0]], atol=0.03
    )


@pytest.mark.parametrize("seed", range(3))
def test_a_whisper_is_speech_without_a_pitch(seed):
    samples = np.concatenate([white_noise(1.0, 1e-4, seed), whisper(seed=seed), white_noise(1.0, 1e-4, seed)])
    found = measure_voice([waveform(samples)])
    assert found.is_speech[120:480].mean() > 0.9
    assert not found.is_speech[:90].any()
    assert not found.is_speech[510:].any()
    assert np.isfinite(found.f0_hz).mean() < 0.01


def gusts(seconds=4.0):
    wind = np.convolve(white_noise(seconds + 0.1), np.exp(-np.arange(400) / 50), "same")[: round(seconds * RATE)]
    return 0.1 * wind * (1 + 0.8 * np.sin(2 * np.pi * 0.5 * np.arange(len(wind)) / RATE))


@pytest.mark.parametrize(
    "samples",
    [applause(), applause(claps_per_second=4), gusts(), white_noise(4.0) * (np.arange(4 * RATE) // 2000 % 2)],
    ids=["applause", "single claps", "wind", "bursts eight times a second"],
)
def test_noise_that_keeps_its_colour_is_no_whisper(samples):
    assert not measure_voice([waveform(samples)]).is_speech.any()


def test_hiss_under_a_voice_is_no_whisper():
    spec = VoiceSpec(8.0, pauses=((2.0, 2.5), (4.0, 5.2)), background_snr_db=20.0, consonant_share=1.0)
    found = measure_voice([waveform(render_voice(spec).samples)])
    assert not found.is_speech[[*range(206, 244), *range(406, 514)]].any()
