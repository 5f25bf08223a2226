"""The synthetic voice keeps what its specification promises, by measures independent of speech/."""

import time

import numpy as np
import pytest

from emotion_llama.errors import InputError
from merr_synth.render.voice import VoiceSpec, render_voice

RATE = 16_000


def spectrum(samples):
    power = np.abs(np.fft.rfft(samples * np.hanning(len(samples)))) ** 2
    return np.fft.rfftfreq(len(samples), 1 / RATE), power


def held(**spec):
    return render_voice(VoiceSpec(**({"duration_seconds": 2.0, "syllables_per_second": 0.0, "vowels": "a"} | spec)))


def test_the_same_specification_gives_the_same_samples_and_another_seed_others():
    spec = VoiceSpec(2.0, jitter_percent=1.0, harmonicity_db=10.0)
    first, again = render_voice(spec), render_voice(spec)
    other = render_voice(VoiceSpec(2.0, jitter_percent=1.0, harmonicity_db=10.0, seed=1))
    np.testing.assert_array_equal(first.samples, again.samples)
    assert not np.array_equal(first.samples, other.samples)
    assert first.samples.dtype == np.float32
    assert first.samples.shape == (32000,)


@pytest.mark.parametrize("pitch_hz", [90.0, 210.0])
def test_all_energy_lies_on_the_harmonics(pitch_hz):
    frequency, power = spectrum(held(pitch_points=((0.0, pitch_hz),)).samples[3200:-3200])
    away = np.abs(frequency / pitch_hz - np.round(frequency / pitch_hz)) * pitch_hz
    assert power[away > 5].sum() / power.sum() < 1e-6
    strongest = frequency[(frequency < 1.5 * pitch_hz) & (power == power[frequency < 1.5 * pitch_hz].max())]
    assert strongest[0] == pytest.approx(pitch_hz, abs=1.0)


def test_formants_shape_the_spectrum_and_scale_with_the_tract():
    for scale in (1.0, 1.35):
        frequency, power = spectrum(held(pitch_points=((0.0, 60.0),), tract_scale=scale).samples)
        for formant, valley in ((730, 1700), (2440, 1700)):
            near = power[np.abs(frequency - formant * scale) < 60].max()
            assert near > 2 * power[np.abs(frequency - valley * scale) < 60].max()


def test_the_glide_is_the_truth_and_the_cycles_follow_it():
    voice = held(duration_seconds=3.0, pitch_points=((0.0, 100.0), (3.0, 200.0)))
    np.testing.assert_allclose(
        voice.truth.f0_hz[[50, 150, 250]], 100 * 2 ** (np.array([0.505, 1.505, 2.505]) / 3), rtol=1e-4
    )
    frequency, power = spectrum(voice.samples[23200:25600])  # 1.45 to 1.6 s: 140 to 145 Hz
    low = (frequency > 80) & (frequency < 220)
    assert frequency[low][power[low].argmax()] == pytest.approx(142.4, abs=7)


def test_syllables_peak_at_their_nuclei():
    voice = render_voice(VoiceSpec(4.0, syllables_per_second=4.0, vowels="a"))
    assert len(voice.truth.nucleus_seconds) == 16
    assert voice.truth.syllables_per_second == pytest.approx(4.0)
    level = np.sqrt(np.convolve(voice.samples**2, np.ones(400) / 400, mode="same"))
    edges = np.searchsorted(np.arange(len(level)) / RATE, voice.truth.nucleus_seconds)
    between = (edges[:-1] + edges[1:]) // 2
    np.testing.assert_allclose(20 * np.log10(level[between] / level[edges[:-1]]), -18.5, atol=3.5)


def test_pauses_are_silent_and_not_counted_as_articulation():
    voice = render_voice(VoiceSpec(6.0, pauses=((2.0, 3.0),), syllables_per_second=4.0))
    assert np.abs(voice.samples[int(2.02 * RATE) : int(2.98 * RATE)]).max() < 1e-4
    assert voice.truth.spans == ((0.0, 2.0), (3.0, 6.0))
    assert voice.truth.articulation_rate == pytest.approx(4.0)
    assert voice.truth.syllables_per_second == pytest.approx(20 / 6)
    assert np.isnan(voice.truth.f0_hz[205:295]).all()


def test_consonants_are_unvoiced_noise():
    voice = render_voice(VoiceSpec(3.0, consonant_share=1.0, syllables_per_second=3.0))
    first = voice.samples[int(0.02 * RATE) : int(0.06 * RATE)]
    frequency, power = spectrum(first)
    assert power[frequency > 3000].sum() > 0.6 * power.sum()
    assert np.isnan(voice.truth.f0_hz[2:6]).all()


def test_level_is_re_a_full_scale_sine():
    samples = held(loudness_db=-23.0).samples
    assert 10 * np.log10(2 * np.mean(samples[640:-640] ** 2)) == pytest.approx(-23.0, abs=0.1)


def test_background_noise_is_as_far_below_as_asked():
    voice = render_voice(VoiceSpec(4.0, pauses=((1.0, 3.0),), background_snr_db=20.0, loudness_db=-20.0))
    noise = voice.samples[int(1.05 * RATE) : int(2.95 * RATE)]
    assert 10 * np.log10(2 * np.mean(noise**2)) == pytest.approx(-40.0, abs=0.3)


def test_softness_takes_so_much_at_3_khz():
    plain, soft = (held(softness_db=db, pitch_points=((0.0, 100.0),)).samples for db in (0.0, 12.0))
    frequency, power = spectrum(plain)
    _, softened = spectrum(soft)
    at = [np.argmin(np.abs(frequency - f)) for f in (100.0, 3000.0)]
    change = 10 * np.log10(softened[at] / power[at])
    assert change[1] - change[0] == pytest.approx(-12.0, abs=0.3)


def test_jitter_is_the_mean_difference_of_following_periods():
    # A train of single formant-free cycles: zero crossings of the low-passed wave give the periods.
    voice = held(duration_seconds=8.0, jitter_percent=2.0, pitch_points=((0.0, 100.0),))
    spectrum_ = np.fft.rfft(voice.samples)
    spectrum_[np.fft.rfftfreq(len(voice.samples), 1 / RATE) > 150] = 0
    wave = np.fft.irfft(spectrum_)
    rising = np.flatnonzero((wave[:-1] < 0) & (wave[1:] >= 0))
    crossing = rising - wave[rising] / (wave[rising + 1] - wave[rising])
    periods = np.diff(crossing[3:-3])
    assert periods.mean() == pytest.approx(160.0, rel=0.002)
    # Low-passing smooths neighbours, so less than 2 % is left; a steady voice has next to none.
    steady = held(duration_seconds=8.0).samples
    assert 0.5 < 100 * np.abs(np.diff(periods)).mean() / periods.mean() < 2.2
    assert len(steady) == len(voice.samples)


def test_rendering_is_fast():
    render_voice(VoiceSpec(1.0))
    begin = time.process_time()
    render_voice(VoiceSpec(10.0))
    assert time.process_time() - begin < 1.0


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"duration_seconds": 0.0}, "duration_seconds must be positive"),
        ({"pitch_points": ()}, "pitch_points needs at least one"),
        ({"pitch_points": ((0.0, 5.0),)}, r"pitch within 30\.\.1000 Hz"),
        ({"syllables_per_second": 20.0}, r"syllables_per_second within 0\.\.12"),
        ({"vowels": "axy"}, "vowels must be of aeiou"),
        ({"pauses": ((3.0, 2.0),)}, "pauses must be in order"),
    ],
)
def test_impossible_specifications_are_refused(spec, message):
    with pytest.raises(InputError, match=message):
        VoiceSpec(**spec)


def test_a_voice_of_pauses_alone_is_refused():
    with pytest.raises(InputError, match="leave no time to speak"):
        render_voice(VoiceSpec(2.0, pauses=((0.0, 2.0),)))


def test_clipping_is_refused_with_the_level_that_fits():
    with pytest.raises(InputError, match=r"loudness_db = 0\.0 clips \(peak .*\); take \d+ dB less"):
        render_voice(VoiceSpec(2.0, loudness_db=0.0))
