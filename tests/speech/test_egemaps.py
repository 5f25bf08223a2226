"""The eGeMAPS backend on a stand-in with openSMILE's interface; the real one is compared in benchmarks/."""

import enum
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from sounds import sine, waveform

from emotion_llama.errors import BackendError, InputError, MissingDependency
from emotion_llama.speech import egemaps
from emotion_llama.speech.prosody import summarise
from emotion_llama.speech.voice_track import measure_voice
from merr_synth.render.voice import VoiceSpec, render_voice


class Column(list):
    def to_numpy(self):
        return np.array(self)


class Table(dict):
    """As much of a pandas.DataFrame as is used."""

    @property
    def columns(self):
        return list(self)


# Half the frames voiced, evenly from 24 to 34 semitones.
SEMITONES = np.concatenate([np.zeros(101), np.linspace(24.0, 34.0, 101)])
FRAMES = Table(
    {
        "F0semitoneFrom27.5Hz_sma3nz": Column(SEMITONES),
        "HNRdBACF_sma3nz": Column(np.where(SEMITONES > 0, 7.0, 0.0)),
        "jitterLocal_sma3nz": Column(np.where(SEMITONES > 0, 0.02, 0.0)),
        "shimmerLocaldB_sma3nz": Column(np.where(SEMITONES > 0, 1.1, 0.0)),
        "alphaRatio_sma3": Column(np.where(SEMITONES > 0, -13.0, -50.0)),
    }
)


@pytest.fixture
def opensmile(monkeypatch):
    """A module with opensmile 2.x's names; `calls` records what it was asked."""
    module = SimpleNamespace(calls=[], frames=FRAMES)

    class FeatureSet(enum.Enum):
        eGeMAPSv02 = "eGeMAPSv02"  # noqa: N815

    class FeatureLevel(enum.Enum):
        LowLevelDescriptors = "lld"
        Functionals = "func"

    class Smile:
        def __init__(self, feature_set, feature_level):
            self.level = feature_level
            assert feature_set is FeatureSet.eGeMAPSv02

        def process_signal(self, signal, sampling_rate):
            module.calls.append((self.level, len(signal), sampling_rate))
            if self.level is FeatureLevel.Functionals:
                return Table({"loudnessPeaksPerSec": Column([4.25]), "jitterLocal_sma3nz_amean": Column([0.0])})
            return module.frames

    module.FeatureSet, module.FeatureLevel, module.Smile = FeatureSet, FeatureLevel, Smile
    monkeypatch.setitem(sys.modules, "opensmile", module)
    egemaps._extractor.cache_clear()
    yield module
    egemaps._extractor.cache_clear()


@pytest.fixture
def voice():
    return waveform(render_voice(VoiceSpec(3.0, harmonicity_db=15.0)).samples, 2.0)


def test_pitch_and_quality_are_opensmiles_own(opensmile, voice):
    found = egemaps.summarise_egemaps(voice)
    assert found.backend == "opensmile-egemaps"
    assert found.voiced_seconds == pytest.approx(1.01)
    assert found.pitch_median_semitones == pytest.approx(29.0)
    assert found.pitch_median_hz == pytest.approx(27.5 * 2 ** (29 / 12))
    assert found.pitch_range_semitones == pytest.approx(8.0)  # 10th to 90th percentile of an even 10
    assert found.harmonicity_db == 7.0
    assert found.pitch_perturbation_percent == pytest.approx(2.0)
    assert found.loudness_perturbation_db == pytest.approx(1.1)
    assert found.tilt_db == 13.0
    assert opensmile.calls == [(opensmile.FeatureLevel.LowLevelDescriptors, 48000, 16000)]


def test_tempo_level_and_pauses_are_the_base_backends(opensmile, voice):
    base = summarise(measure_voice([voice]))
    found = egemaps.summarise_egemaps(voice)
    for name in ("speech_seconds", "syllables_per_second", "loudness_median_db", "pause_count", "tremor_depth_percent"):
        assert getattr(found, name) == getattr(base, name)


def test_a_track_of_the_whole_file_is_cut_to_the_waveform(opensmile, voice):
    whole = measure_voice([waveform(np.concatenate([sine(200, 2.0), voice.samples]))])
    found = egemaps.summarise_egemaps(voice, whole)
    assert found.speech_seconds == pytest.approx(3.0, abs=0.03)


def test_hardly_any_voicing_leaves_pitch_and_quality_unknown(opensmile, voice):
    opensmile.frames = Table({k: Column(np.array(v)[:111]) for k, v in FRAMES.items()})
    found = egemaps.summarise_egemaps(voice)
    assert found.voiced_seconds == pytest.approx(0.10)
    assert found.pitch_median_hz is found.harmonicity_db is found.pitch_perturbation_percent is found.tilt_db is None
    assert found.loudness_median_db is not None


def test_functionals_keep_their_published_names(opensmile, voice):
    assert egemaps.functionals(voice) == {"loudnessPeaksPerSec": 4.25, "jitterLocal_sma3nz_amean": 0.0}


def test_too_little_sound_is_refused(opensmile):
    with pytest.raises(InputError, match=r"0\.050"):
        egemaps.functionals(waveform(sine(200, 0.05)))


def test_an_opensmile_that_cannot_be_imported_is_not_called_missing(monkeypatch, voice, tmp_path):
    # pyarrow 26 beneath opensmile refuses NumPy 1.26 in just this way; "not installed" sent people in circles.
    (tmp_path / "opensmile.py").write_text('raise ImportError("pyarrow requires NumPy 2.0 or newer, found 1.26.4")')
    monkeypatch.delitem(sys.modules, "opensmile", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    egemaps._extractor.cache_clear()
    with pytest.raises(BackendError, match=r"2\.0"):
        egemaps.summarise_egemaps(voice)


def test_without_opensmile_the_install_command_is_named(monkeypatch, voice):
    monkeypatch.setitem(sys.modules, "opensmile", None)
    egemaps._extractor.cache_clear()
    with pytest.raises(MissingDependency, match=r"emotion-llama\[opensmile\]"):
        egemaps.summarise_egemaps(voice)
