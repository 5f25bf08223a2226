"""Syllable nuclei: where the sound swells and is voiced, which gives tempo without a transcript.

N. H. de Jong & T. Wempe, "Praat script to detect syllable nuclei and measure speech rate automatically", Behavior
Research Methods 41(2), 2009: peaks of intensity with a dip of 2 dB beside them, within 25 dB of the loudest, voiced.
Here intensity is taken of 60-3300 Hz, so that [s] and rumble neither make nor hide a syllable.
"""

from __future__ import annotations

import numpy as np

from emotion_llama.records import Float, VoiceTrack
from emotion_llama.speech.activity import HOP_SECONDS

DIP_DB = 2.0
RANGE_DB = 25.0
LOUD_PERCENTILE = 99.0
SMOOTHING_SECONDS = 0.02  # standard deviation of the Gaussian: keeps two peaks 80 ms apart, drops single periods
SHORTEST_DISTANCE_SECONDS = 0.08  # 12 syllables a second


def find_nuclei(voice: VoiceTrack) -> Float:
    """Seconds of each syllable nucleus, in order."""
    from scipy.ndimage import gaussian_filter1d
    from scipy.signal import find_peaks

    if not voice.is_speech.any():
        return np.zeros(0)
    level = np.maximum(voice.sonority_db, -100.0).astype(np.float64)
    level = gaussian_filter1d(level, SMOOTHING_SECONDS / HOP_SECONDS, mode="nearest")
    # Silence at both ends gives a syllable at the edge of the stretch its dip.
    level = np.concatenate([[level.min() - DIP_DB - 1], level, [level.min() - DIP_DB - 1]])
    loudest = np.percentile(level[1:-1][voice.is_speech], LOUD_PERCENTILE)
    peaks, _ = find_peaks(
        level,
        height=loudest - RANGE_DB,
        prominence=DIP_DB,
        distance=round(SHORTEST_DISTANCE_SECONDS / HOP_SECONDS),
    )
    rows = peaks - 1
    voiced = np.isfinite(voice.f0_hz) & voice.is_speech
    return np.asarray(voice.times_seconds[rows[voiced[rows]]])
