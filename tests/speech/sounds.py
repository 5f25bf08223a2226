"""Sounds whose properties are known by construction."""

import numpy as np

from emotion_llama.records import VoiceTrack, Waveform

RATE = 16_000


def waveform(samples, start_seconds=0.0):
    return Waveform(np.asarray(samples, dtype=np.float32), RATE, start_seconds)


def times(seconds):
    return np.arange(round(seconds * RATE)) / RATE


def sine(frequency_hz, seconds=2.0, amplitude=0.3):
    return amplitude * np.sin(2 * np.pi * frequency_hz * times(seconds))


def pulses(frequency_hz, seconds=2.0):
    """One sample a cycle, at the nearest sample: the crudest train there is."""
    out = np.zeros(round(seconds * RATE))
    out[np.round(np.arange(0, len(out) - 1, RATE / frequency_hz)).astype(int)] = 0.8
    return out


def white_noise(seconds=2.0, amplitude=0.1, seed=0):
    return amplitude * np.random.default_rng(seed).standard_normal(round(seconds * RATE))


def whisper(seconds=4.0, syllables_per_second=4.0, seed=0):
    """Noise through three formants that change from syllable to syllable, an [s] before every third: no period."""
    from scipy.signal import butter, sosfilt

    rng = np.random.default_rng(seed)
    vowels = [(750, 1200, 2500), (300, 2200, 2900), (350, 800, 2300), (500, 1800, 2500), (550, 900, 2400)]
    length = round(RATE / syllables_per_second)
    parts = []
    for number in range(round(seconds * syllables_per_second)):
        noise = rng.standard_normal(length + 800)
        bands = [
            gain * sosfilt(butter(1, [f - 80, f + 80], "band", fs=RATE, output="sos"), noise)
            for f, gain in zip(vowels[number % len(vowels)], (1.0, 0.5, 0.3))
        ]
        vowel = sum(bands)[800:] * np.hanning(length) ** 0.5
        if number % 3 == 0:
            hiss = sosfilt(butter(2, 4000, "high", fs=RATE, output="sos"), noise)[800 : 800 + length // 3]
            vowel[: length // 3] = 0.3 * hiss
        parts.append(vowel)
    out = np.concatenate(parts)
    return 0.2 * out / np.abs(out).max() + 1e-4 * rng.standard_normal(len(out))


def applause(seconds=4.0, claps_per_second=300, seed=0):
    """Bursts of noise of 20 ms at random moments."""
    rng = np.random.default_rng(seed)
    out = np.zeros(round(seconds * RATE) + 800)
    for start in rng.integers(0, len(out) - 800, round(seconds * claps_per_second)):
        out[start : start + 800] += np.exp(-np.arange(800) / 120) * rng.standard_normal(800)
    return 0.2 * out / np.abs(out).max()


def track(is_speech, f0_hz=None, start_seconds=0.0, **figures):
    """A VoiceTrack by hand: 10 ms a frame, pitch 120 Hz where there is speech unless given."""
    spoken = np.asarray(is_speech, dtype=bool)
    count = len(spoken)
    defaults = {
        "f0_hz": np.where(spoken, 120.0, np.nan) if f0_hz is None else np.asarray(f0_hz, dtype=float),
        "loudness_db": np.where(spoken, -20.0, -80.0),
        "harmonicity_db": np.where(spoken, 15.0, np.nan),
        "tilt_db": np.where(spoken, 12.0, np.nan),
        "sonority_db": np.where(spoken, -20.0, -80.0),
        "envelope": np.zeros((count, 2)),
    }
    times_seconds = start_seconds + (np.arange(count) + 0.5) * 0.01
    return VoiceTrack(times_seconds=times_seconds, is_speech=spoken, **(defaults | figures))


def spoken_for(*seconds):
    """Mask of 10 ms frames that alternates: spoken, silent, spoken, ..."""
    return np.concatenate([np.full(round(s * 100), k % 2 == 0) for k, s in enumerate(seconds)])
