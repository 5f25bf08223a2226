"""Sound -> VoiceTrack: pitch, levels and voicing against sounds that were made to measure."""

import subprocess
import sys
import time

import numpy as np
import pytest
from sounds import RATE, pulses, sine, times, waveform, white_noise

from emotion_llama.errors import InputError
from emotion_llama.records import Waveform
from emotion_llama.speech.voice_track import measure_voice
from merr_synth.render.voice import VoiceSpec, render_voice

# Men, women and children, plain and disturbed.
VOICES = {
    "deep man": VoiceSpec(pitch_points=((0.0, 80.0),)),
    "man": VoiceSpec(pitch_points=((0.0, 110.0),), accent_semitones=2.0, consonant_share=0.3),
    "man in noise": VoiceSpec(pitch_points=((0.0, 130.0),), background_snr_db=20.0),
    "hoarse man": VoiceSpec(pitch_points=((0.0, 100.0),), jitter_percent=2.0, shimmer_db=1.0, harmonicity_db=10.0),
    "woman": VoiceSpec(pitch_points=((0.0, 180.0),), tract_scale=1.17, accent_semitones=3.0),
    "woman in noise": VoiceSpec(pitch_points=((0.0, 220.0),), tract_scale=1.17, background_snr_db=10.0),
    "breathy woman": VoiceSpec(pitch_points=((0.0, 260.0),), tract_scale=1.17, softness_db=20.0, harmonicity_db=8.0),
    "child": VoiceSpec(pitch_points=((0.0, 300.0),), tract_scale=1.35, pauses=((2.0, 2.7),), consonant_share=0.4),
    "shrill child": VoiceSpec(pitch_points=((0.0, 350.0),), tract_scale=1.35, background_snr_db=20.0),
    "scream": VoiceSpec(pitch_points=((0.0, 650.0),), tract_scale=1.17, background_snr_db=20.0),
    "falling": VoiceSpec(pitch_points=((0.0, 160.0), (6.0, 85.0))),
    "rising": VoiceSpec(pitch_points=((0.0, 150.0), (6.0, 350.0)), tract_scale=1.17, background_snr_db=20.0),
    "held glide": VoiceSpec(pitch_points=((0.0, 90.0), (3.0, 280.0), (6.0, 90.0)), syllables_per_second=0.0),
}


@pytest.mark.parametrize("name", VOICES)
def test_pitch_of_a_voice_is_within_2_percent_and_never_an_octave_off(name):
    voice = render_voice(VOICES[name])
    found = measure_voice([waveform(voice.samples)])
    both = np.isfinite(found.f0_hz) & np.isfinite(voice.truth.f0_hz)
    error = np.abs(found.f0_hz[both] / voice.truth.f0_hz[both] - 1)
    assert both.sum() >= 0.95 * np.isfinite(voice.truth.f0_hz).sum()
    assert abs(np.nanmedian(found.f0_hz) / voice.truth.pitch_median_hz - 1) < 0.01
    assert np.mean(error < 0.02) > 0.92
    assert error.max() < 0.2


@pytest.mark.parametrize(
    ("make", "frequency_hz"),
    [(make, f) for make in (sine, pulses) for f in (62, 80, 100, 150, 220, 300, 440, 590)] + [(sine, 780)],
)
def test_pitch_of_tones_and_pulse_trains(make, frequency_hz):
    # Pulses at whole samples repeat exactly only every few cycles at 220, 300 or 440 Hz; full-band autocorrelation
    # then finds a third of the pitch. The low-passed search must not.
    found = measure_voice([waveform(make(frequency_hz))])
    inner = found.f0_hz[5:-5]
    assert np.isfinite(inner).all()
    assert np.abs(inner / frequency_hz - 1).max() < 0.02
    assert abs(np.median(inner) / frequency_hz - 1) < 0.003


def test_second_harmonic_stronger_than_the_first_is_not_the_pitch():
    # 150 Hz with its octave 12 dB louder: as a vowel whose first formant lies on the second harmonic.
    t = times(1.0)
    samples = sum(a * np.sin(2 * np.pi * 150 * k * t + k) for k, a in ((1, 0.05), (2, 0.2), (3, 0.05), (4, 0.02)))
    assert np.nanmedian(measure_voice([waveform(samples)]).f0_hz) == pytest.approx(150, rel=0.005)


def test_missing_fundamental_is_heard():
    t = times(1.0)
    samples = sum(0.1 * np.sin(2 * np.pi * 120 * k * t) for k in (3, 4, 5, 6))
    assert np.nanmedian(measure_voice([waveform(samples)]).f0_hz) == pytest.approx(120, rel=0.005)


def test_levels_are_relative_to_a_full_scale_sine():
    loud, soft = (measure_voice([waveform(sine(500, amplitude=a))]) for a in (1.0, 0.1))
    assert np.median(loud.loudness_db) == pytest.approx(0.0, abs=0.02)
    assert np.median(soft.loudness_db) == pytest.approx(-20.0, abs=0.02)


# The A curve as IEC 61672-1 tabulates it, dB, exact to 0.1.
@pytest.mark.parametrize(
    ("frequency_hz", "weight_db"), [(100, -19.1), (200, -10.9), (500, -3.2), (1000, 0), (2000, 1.2)]
)
def test_sonority_has_half_the_a_weighting(frequency_hz, weight_db):
    found = measure_voice([waveform(sine(frequency_hz, amplitude=0.1))])
    # A window of 50 ms is 40 Hz wide, over which the curve bends at its low end.
    assert np.median(found.sonority_db) == pytest.approx(-20.0 + weight_db / 2, abs=0.3 if frequency_hz == 100 else 0.1)


def test_tilt_is_the_level_under_1_khz_less_that_of_1_to_5_khz():
    found = measure_voice([waveform(sine(250, amplitude=0.5) + sine(2500, amplitude=0.05) + sine(6500, amplitude=0.2))])
    assert np.median(found.tilt_db) == pytest.approx(20.0, abs=0.1)


def test_sonority_leaves_out_what_lies_above_3300_hz():
    found = measure_voice([waveform(sine(6000, amplitude=0.5))])
    assert np.median(found.loudness_db) == pytest.approx(-6.02, abs=0.02)
    assert np.median(found.sonority_db) < -60


@pytest.mark.parametrize("pitch_hz", [100.0, 220.0])
@pytest.mark.parametrize("harmonicity_db", [5.0, 10.0, 15.0, 20.0])
def test_harmonicity_is_the_ratio_the_voice_was_made_with(harmonicity_db, pitch_hz):
    spec = VoiceSpec(2.0, ((0.0, pitch_hz),), syllables_per_second=0.0, vowels="a", harmonicity_db=harmonicity_db)
    found = measure_voice([waveform(render_voice(spec).samples)])
    assert np.nanmedian(found.harmonicity_db) == pytest.approx(harmonicity_db, abs=0.8)


def test_a_steady_tone_is_as_harmonic_as_the_window_can_tell():
    assert np.nanmedian(measure_voice([waveform(sine(200))]).harmonicity_db) > 40


@pytest.mark.parametrize("chunk_seconds", [10.0, 30.0, 0.3337])
def test_chunks_of_any_length_give_the_same(chunk_seconds):
    voice = render_voice(VoiceSpec(duration_seconds=60.0, consonant_share=0.3, pauses=((9.8, 10.4), (29.9, 30.3))))
    size = round(chunk_seconds * RATE)
    parts = [waveform(voice.samples[k : k + size], k / RATE) for k in range(0, len(voice.samples), size)]
    whole, chunked = measure_voice([waveform(voice.samples)]), measure_voice(iter(parts))
    assert len(whole.times_seconds) == 6000
    for name in vars(whole):
        np.testing.assert_array_equal(getattr(chunked, name), getattr(whole, name), err_msg=name)


def test_frames_are_centred_in_their_hops_and_start_with_the_sound():
    found = measure_voice([waveform(sine(200, 0.5), 3.0), waveform(sine(200, 0.5), 3.5)])
    assert len(found.times_seconds) == 100
    np.testing.assert_allclose(found.times_seconds[[0, -1]], [3.005, 3.995])


def test_envelope_is_the_lowest_and_highest_sample_of_each_hop():
    samples = np.zeros(RATE // 10)
    samples[[170, 300]] = 0.5, -0.25  # both in the second hop of 160
    envelope = measure_voice([waveform(samples)]).envelope
    np.testing.assert_array_equal(envelope[:3], [[0, 0], [-0.25, 0.5], [0, 0]])


def test_a_constant_offset_is_no_sound():
    assert measure_voice([waveform(np.full(RATE, 0.3))]).loudness_db[10:-10].max() < -90


@pytest.mark.parametrize(
    "samples",
    [np.zeros(RATE * 2), white_noise(), white_noise(amplitude=1e-3), white_noise(amplitude=1e-5)],
    ids=["silence", "loud noise", "quiet noise", "dither"],
)
def test_silence_and_noise_have_no_voice(samples):
    found = measure_voice([waveform(samples)])
    assert not np.isfinite(found.f0_hz).any()
    assert not found.is_speech.any()


@pytest.mark.parametrize("num_samples", [0, 1, 159])
def test_sound_shorter_than_a_hop_has_no_frames(num_samples):
    assert len(measure_voice([waveform(np.zeros(num_samples))]).times_seconds) == 0


def test_no_chunks_no_frames():
    assert len(measure_voice([]).times_seconds) == 0


def test_another_sample_rate_is_refused():
    with pytest.raises(InputError, match="44100"):
        measure_voice([Waveform(np.zeros(44100, dtype=np.float32), 44100)])


@pytest.mark.parametrize("second_start", [0.9, 1.2])
def test_chunks_with_a_gap_or_overlap_are_refused(second_start):
    with pytest.raises(InputError, match=r"1\.000"):
        measure_voice([waveform(sine(200, 1.0)), waveform(sine(200, 1.0), second_start)])


def test_a_second_of_sound_costs_at_most_15_ms():
    samples = waveform(render_voice(VoiceSpec(duration_seconds=30.0)).samples)
    measure_voice([samples])
    begin = time.process_time()
    measure_voice([samples])
    assert (time.process_time() - begin) / 30 < 0.015


def test_measuring_compiles_nothing():
    # Importing librosa compiles ten numba functions: 12 s on a fresh machine, so the base path must do without.
    code = (
        "import sys, numpy as np; from emotion_llama.records import Waveform;"
        "from emotion_llama.speech.voice_track import measure_voice;"
        "from emotion_llama.speech.prosody import summarise;"
        "summarise(measure_voice([Waveform(np.zeros(16000, dtype=np.float32))]));"
        "assert not {'numba', 'librosa', 'torch'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# What Praat's own threshold on the full spectrum loses at 10 dB is 15 % (praat-parselmouth 0.4.7, standard settings).
@pytest.mark.parametrize(("snr_db", "missed"), [(20.0, 0.01), (10.0, 0.04), (5.0, 0.2)])
def test_a_voice_in_noise_keeps_its_pitch(snr_db, missed):
    found, true = [], []
    for number, pitch_hz in enumerate((90.0, 130.0, 180.0, 220.0, 300.0)):
        spec = VoiceSpec(6.0, ((0.0, pitch_hz),), background_snr_db=snr_db, pauses=((2.0, 2.7),), seed=number)
        voice = render_voice(spec)
        found.append(np.isfinite(measure_voice([waveform(voice.samples)]).f0_hz))
        true.append(np.isfinite(voice.truth.f0_hz))
    is_found, is_true = np.concatenate(found), np.concatenate(true)
    assert np.mean(is_true & ~is_found) / is_true.mean() < missed
    assert np.mean(is_found & ~is_true) < 0.01


def test_breath_that_covers_a_voice_has_no_pitch():
    """[z] and breathy ends, 5 dB more noise than voice: the low spectrum alone is as periodic as a vowel's."""
    vowel = render_voice(VoiceSpec(1.0, ((0.0, 120.0),), syllables_per_second=0.0, vowels="a")).samples
    power = np.mean(vowel**2) * 10**-0.5
    noise = np.diff(white_noise(1.0), prepend=0.0)  # rises by 6 dB an octave, as that of [z]
    breathy = np.sqrt(power / 10**0.5 / np.mean(vowel**2)) * vowel + np.sqrt(power / np.mean(noise**2)) * noise
    silence = np.zeros(RATE // 2)
    found = measure_voice([waveform(np.concatenate([silence, vowel, breathy, vowel, silence]))])
    assert np.isfinite(found.f0_hz[156:244]).mean() < 0.05
    assert np.isfinite(found.f0_hz[55:145]).all()
    assert np.isfinite(found.f0_hz[255:345]).all()
