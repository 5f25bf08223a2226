"""eGeMAPS by openSMILE, the field's standard set, as an optional second opinion on the voice.

Eyben et al., "The Geneva Minimalistic Acoustic Parameter Set (GeMAPS) for Voice Research and Affective Computing",
IEEE Transactions on Affective Computing 7(2), 2016. openSMILE's licence allows research and personal use only, so it is
never installed by default.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from importlib import import_module
from typing import Any

import numpy as np

from emotion_llama.errors import BackendError, InputError, MissingDependency
from emotion_llama.records import Float, Prosody, VoiceTrack, Waveform
from emotion_llama.speech.prosody import MIN_VOICED_SECONDS, RANGE_PERCENTILES, SEMITONE_REFERENCE_HZ, summarise
from emotion_llama.speech.voice_track import HOP_SECONDS, measure_voice

BACKEND = "opensmile-egemaps"
INSTALL = 'pip install "emotion-llama[opensmile]"'
MIN_SECONDS = 0.1  # openSMILE's 60 ms pitch window and its smoothing over three frames give nothing for less


def functionals(waveform: Waveform) -> Mapping[str, float]:
    """The 88 parameters of eGeMAPSv02 by their published names.

    Raises:
        MissingDependency: openSMILE is not installed.
        BackendError: it is, and a package that it needs does not fit.
        InputError: less than 0.1 s of sound.
    """
    return {name: float(values[0]) for name, values in _process(waveform, "Functionals").items()}


def summarise_egemaps(waveform: Waveform, voice: VoiceTrack | None = None) -> Prosody:
    """Prosody whose pitch and voice quality are openSMILE's own frame values.

    From openSMILE's low-level descriptors, over its voiced frames: pitch (median and 10th-90th percentile), harmonicity
    (HNRdBACF), jitter and shimmer (jitterLocal, shimmerLocaldB: of cycles, unlike the base backend's), tilt (minus
    the alpha ratio). eGeMAPS has no figure for activity, pauses, syllables, level re full scale, slope within voiced
    runs or tremor; these are the base backend's.

    Args:
        waveform: the sound, 16 kHz.
        voice: the base backend's track that covers the waveform; measured here when None.

    Raises:
        MissingDependency, BackendError, InputError: as `functionals`.
    """
    frames = _process(waveform, "LowLevelDescriptors")
    if voice is None:
        voice = measure_voice([waveform])
    start = waveform.start_seconds
    base = summarise(voice.between(start, start + waveform.duration_seconds))
    semitones = frames["F0semitoneFrom27.5Hz_sma3nz"]
    voiced = semitones > 0  # "nz": zero means unvoiced
    if float(voiced.sum()) * HOP_SECONDS < MIN_VOICED_SECONDS:
        return replace(base, voiced_seconds=float(voiced.sum()) * HOP_SECONDS, backend=BACKEND, **_NO_PITCH)
    low, middle, high = np.percentile(semitones[voiced], [RANGE_PERCENTILES[0], 50, RANGE_PERCENTILES[1]])
    return replace(
        base,
        voiced_seconds=float(voiced.sum()) * HOP_SECONDS,
        pitch_median_hz=float(SEMITONE_REFERENCE_HZ * 2 ** (middle / 12)),
        pitch_median_semitones=float(middle),
        pitch_range_semitones=float(high - low),
        harmonicity_db=float(np.median(frames["HNRdBACF_sma3nz"][voiced])),
        pitch_perturbation_percent=100 * float(np.mean(frames["jitterLocal_sma3nz"][voiced])),
        loudness_perturbation_db=float(np.mean(frames["shimmerLocaldB_sma3nz"][voiced])),
        tilt_db=-float(np.median(frames["alphaRatio_sma3"][voiced])),
        backend=BACKEND,
    )


_NO_PITCH: dict[str, Any] = dict.fromkeys(
    (
        "pitch_median_hz", "pitch_median_semitones", "pitch_range_semitones", "harmonicity_db",
        "pitch_perturbation_percent", "loudness_perturbation_db", "tilt_db",
    )
)  # fmt: skip


def _process(waveform: Waveform, level: str) -> dict[str, Float]:
    """Name -> values, one a frame of 10 ms or one in all."""
    extractor = _extractor(level)
    if waveform.duration_seconds < MIN_SECONDS:
        raise InputError(f"eGeMAPS needs {MIN_SECONDS} s of sound, got {waveform.duration_seconds:.3f} s")
    table = extractor.process_signal(waveform.samples, waveform.sample_rate_hz)
    return {str(name): table[name].to_numpy() for name in table.columns}


@lru_cache(maxsize=2)
def _extractor(level: str) -> Any:  # opensmile.Smile, which publishes no types
    try:
        opensmile = import_module("opensmile")
    except ModuleNotFoundError as error:
        raise MissingDependency("opensmile", "the eGeMAPS voice backend", INSTALL) from error
    except ImportError as error:  # it is there, but a package beneath it is not usable: say which
        raise BackendError(f"openSMILE is installed and cannot be imported: {error}") from error
    return opensmile.Smile(opensmile.FeatureSet.eGeMAPSv02, getattr(opensmile.FeatureLevel, level))
