"""VoiceTrack -> Prosody: every figure against a voice made with it, and against tracks made by hand."""

import numpy as np
import pytest
from sounds import spoken_for, track, waveform

from emotion_llama.speech.prosody import summarise, to_semitones
from emotion_llama.speech.voice_track import measure_voice
from merr_synth.render.voice import VoiceSpec, render_voice


def prosody_of(**spec):
    return summarise(measure_voice([waveform(render_voice(VoiceSpec(**spec)).samples)]))


def held(**spec):
    return prosody_of(**({"duration_seconds": 3.0, "syllables_per_second": 0.0, "vowels": "a"} | spec))


def test_semitones_count_from_27_5_hz():
    np.testing.assert_allclose(to_semitones([27.5, 55.0, 440.0, 100.0]), [0, 12, 48, 22.34996], atol=1e-4)


def test_figures_of_a_track_made_by_hand():
    spoken = spoken_for(1.0, 0.5, 1.0)
    f0 = np.where(spoken, 100.0, np.nan)
    f0[150:] = 200.0
    level = np.where(spoken, -20.0, -80.0)
    level[150:] = -26.0
    found = summarise(track(spoken, f0, loudness_db=level))
    assert found.speech_seconds == pytest.approx(2.0)
    assert found.voiced_seconds == pytest.approx(2.0)
    assert found.pitch_median_hz == pytest.approx(150.0)
    assert found.pitch_range_semitones == pytest.approx(12.0)
    assert found.pitch_slope_semitones_per_second == pytest.approx(0.0, abs=1e-9)
    assert found.loudness_median_db == pytest.approx(-23.0)
    assert found.loudness_range_db == pytest.approx(6.0)
    assert found.pause_count == 1
    assert found.pause_share == pytest.approx(0.2)
    assert found.harmonicity_db == 15.0
    assert found.tilt_db == 12.0
    assert found.pitch_perturbation_percent == pytest.approx(0.0)
    assert found.loudness_perturbation_db == pytest.approx(0.0)
    assert found.tremor_depth_percent == pytest.approx(0.0)
    assert found.syllables_per_second is None  # a flat level has no syllables


def test_without_speech_nothing_is_known():
    found = summarise(track(np.zeros(300)))
    assert found.speech_seconds == found.voiced_seconds == 0.0
    known = {name for name, value in vars(found).items() if value is not None}
    assert known == {"speech_seconds", "voiced_seconds", "backend"}
    assert vars(summarise(track(np.zeros(0)))) == vars(found)


def test_pitch_needs_a_fifth_of_a_second_of_voicing():
    assert summarise(track(spoken_for(0.19, 0.5))).pitch_median_hz is None
    assert summarise(track(spoken_for(0.19, 0.5))).loudness_median_db is None
    assert summarise(track(spoken_for(0.20, 0.5))).pitch_median_hz == 120.0


def test_unvoiced_speech_has_level_and_no_pitch():
    found = summarise(track(np.ones(100), np.full(100, np.nan)))
    assert found.loudness_median_db == -20.0
    assert found.pitch_median_hz is None
    assert found.harmonicity_db is None


def test_tempo_needs_a_second_and_three_syllables():
    assert prosody_of(duration_seconds=0.9, syllables_per_second=5.0).syllables_per_second is None
    assert prosody_of(duration_seconds=1.2, syllables_per_second=1.6).syllables_per_second is None
    assert prosody_of(duration_seconds=1.2, syllables_per_second=5.0).syllables_per_second == pytest.approx(
        5.0, rel=0.1
    )


@pytest.mark.parametrize("semitones_per_second", [-6.0, 0.0, 4.0])
def test_slope_is_that_of_the_contour(semitones_per_second):
    end_hz = 150 * 2 ** (semitones_per_second * 3 / 12)
    points = ((0.0, 150.0), (3.0, end_hz))
    found = prosody_of(duration_seconds=3.0, pitch_points=points)
    assert found.pitch_slope_semitones_per_second == pytest.approx(semitones_per_second, abs=0.05)
    # In syllables cut off from each other a frame at the edge hears the louder inside: some 8 % of the slope is lost.
    cut_off = prosody_of(duration_seconds=3.0, pitch_points=points, dip_db=60.0)
    assert cut_off.pitch_slope_semitones_per_second == pytest.approx(semitones_per_second, rel=0.1, abs=0.05)


def test_range_is_from_the_10th_to_the_90th_percentile():
    # A straight glide over an octave spends 80 % of its time on 80 % of the octave.
    found = held(pitch_points=((0.0, 110.0), (3.0, 220.0)))
    assert found.pitch_range_semitones == pytest.approx(9.6, abs=0.2)


def test_pauses_are_counted_and_measured():
    found = prosody_of(duration_seconds=6.0, pauses=((1.5, 2.1), (4.0, 4.9)))
    assert found.pause_count == 2
    assert found.pause_share == pytest.approx(1.5 / 6, abs=0.02)


def test_level_is_that_of_the_voice():
    assert held(loudness_db=-31.0).loudness_median_db == pytest.approx(-31.0, abs=0.3)


@pytest.mark.parametrize("pitch_hz", [100.0, 220.0])
def test_pitch_perturbation_grows_with_jitter_and_vanishes_without(pitch_hz):
    found = [
        held(pitch_points=((0.0, pitch_hz),), jitter_percent=j).pitch_perturbation_percent for j in (0, 0.5, 1, 2, 4)
    ]
    assert found[0] < 0.02
    assert found == sorted(found)
    assert found[-1] > 10 * found[0]


def test_pitch_perturbation_ignores_melody():
    assert held(pitch_points=((0.0, 100.0), (3.0, 200.0))).pitch_perturbation_percent < 0.02


def test_loudness_perturbation_grows_with_shimmer_and_vanishes_without():
    found = [held(shimmer_db=s).loudness_perturbation_db for s in (0, 0.2, 0.5, 1, 2)]
    assert found[0] < 0.02
    assert found == sorted(found)
    assert found[-1] > 0.2


@pytest.mark.parametrize("tremor_hz", [4.0, 6.0, 9.0])
@pytest.mark.parametrize("depth", [2.0, 5.0])
def test_tremor_depth_is_the_amplitude_of_the_modulation(tremor_hz, depth):
    # The 50 ms window smooths: 13 % of a modulation of 9 Hz is lost, 3 % at 4 Hz.
    found = held(tremor_hz=tremor_hz, tremor_percent=depth)
    assert found.tremor_depth_percent == pytest.approx(depth, rel=0.15)


def test_tremor_is_found_in_running_speech_too():
    found = prosody_of(syllables_per_second=3.0, tremor_percent=5.0, pitch_points=((0.0, 150.0), (6.0, 120.0)))
    assert found.tremor_depth_percent == pytest.approx(5.0, rel=0.12)


@pytest.mark.parametrize(
    "spec",
    [{"accent_semitones": 2.0}, {"pitch_points": ((0.0, 100.0), (3.0, 180.0), (6.0, 90.0))}, {"jitter_percent": 1.0}],
    ids=["accents", "glide", "jitter"],
)
def test_melody_and_jitter_are_no_tremor(spec):
    assert prosody_of(**spec).tremor_depth_percent < 1.0


def test_tremor_needs_half_a_second_of_voicing():
    assert summarise(track(spoken_for(0.45, 0.3, 0.45))).tremor_depth_percent is None


def test_a_part_of_a_track_is_summarised_on_its_own():
    voice = render_voice(VoiceSpec(6.0, ((0.0, 100.0), (2.9, 100.0), (3.1, 200.0))))
    found = measure_voice([waveform(voice.samples)])
    assert summarise(found.between(0.0, 2.8)).pitch_median_hz == pytest.approx(100, rel=0.01)
    assert summarise(found.between(3.2, 6.0)).pitch_median_hz == pytest.approx(200, rel=0.01)
