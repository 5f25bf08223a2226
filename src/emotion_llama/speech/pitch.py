"""Pitch and harmonicity of frames by autocorrelation, after Boersma (1993).

P. Boersma, "Accurate short-term analysis of the fundamental frequency and the harmonics-to-noise ratio of a sampled
sound", IFA Proceedings 17, 97-110: the autocorrelation of a windowed frame divided by that of the window, several
candidates a frame, the path through them by the Viterbi algorithm. Notation: T frames, W samples of window,
K candidates a frame, L lags.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from emotion_llama.records import Bool, Float

SAMPLE_RATE_HZ = 16_000
WINDOW = 800  # samples: 50 ms, three periods of the lowest pitch (Boersma 1993, section 4)
FLOOR_HZ, CEILING_HZ = 60.0, 800.0
FFT_LENGTH = 1080  # >= WINDOW + longest lag (267), so that no lag wraps round; 2^3 * 3^3 * 5
LAG_OVERSAMPLING = 2  # autocorrelation at 32 kHz: parabolas through its peaks then err by < 0.1 % at 800 Hz
NUM_CANDIDATES = 6

# Candidates come from a spectrum weighted by 1 / (1 + (f/600)^2)^2: what tells a pitch lies low, noise lies high, and
# cycles that fall between samples (a train of single pulses) only look irregular high up.
LOWPASS_HZ = 600.0
RUMBLE_BINS = 3  # spectrum below 44 Hz is left out: hum of rooms and wind, no voice

# Costs of Boersma (1993) as Praat sets them, except the octave cost (0.01 there): at 0.05 cycles that alternate a
# little are not taken for half the pitch, and a formant on the second or third harmonic not for the pitch. Both values
# are from a grid over vowels, single formants, pulse trains and espeak-ng: the pair with the fewest octave errors.
VOICING_THRESHOLD = 0.45
# The low spectrum that finds the pitch takes breath and [s] for voiced: a narrow band of noise repeats itself for a few
# cycles. What beats the threshold is therefore the correlation of the full spectrum (Boersma 1993, section 2), divided
# by the voice's share of the frame's power, so that noise around a voice does not count against it. The share is taken
# as a half at least: a frame that hardly stands out of its background says nothing.
MIN_VOICE_SHARE = 0.5
FORMANT_BELOW_DB = 5.0  # noise through one formant alone (80-160 Hz wide): within a whisper that is no pitch
SILENT_THRESHOLD = 2.0  # above any correlation: no voice in silence
OCTAVE_COST = 0.05
FREE_ABOVE_HZ = 600.0  # the pitch at which a candidate's strength is its correlation
OCTAVE_JUMP_COST = 0.35
VOICING_CHANGE_COST = 0.14
PATH_BLOCK = 4096  # frames whose transition costs are held at once


class Candidates(NamedTuple):
    """Pitch candidates of T frames, unused places NaN in `f0_hz` and -inf in `strength`.

    Attributes:
        f0_hz: [T, K].
        correlation: [T, K] window-corrected autocorrelation of the full spectrum at the candidate, up to 1.
        strength: [T, K] that of the low spectrum, less the cost of a long period.
    """

    f0_hz: Float
    correlation: Float
    strength: Float


@lru_cache(maxsize=1)
def window() -> Float:
    """[W] Hann window."""
    return np.asarray(np.hanning(WINDOW + 1)[:WINDOW], dtype=np.float32)


@lru_cache(maxsize=1)
def _window_correlation() -> Float:
    """[L] autocorrelation of the window, 1 at lag 0, on the oversampled lags that are searched."""
    spectrum = np.fft.rfft(window().astype(np.float64), FFT_LENGTH)
    lags = np.fft.irfft(np.abs(spectrum) ** 2, FFT_LENGTH * LAG_OVERSAMPLING)
    return np.asarray(lags[: _longest_lag() + 2] / lags[0], dtype=np.float32)


def _shortest_lag() -> int:
    return int(np.floor(SAMPLE_RATE_HZ * LAG_OVERSAMPLING / CEILING_HZ))


def _longest_lag() -> int:
    return int(np.ceil(SAMPLE_RATE_HZ * LAG_OVERSAMPLING / FLOOR_HZ))


def find_candidates(power: Float) -> Candidates:
    """Peaks of the autocorrelation of each frame.

    Args:
        power: [T, FFT_LENGTH // 2 + 1] power spectrum of the windowed frames, padded to FFT_LENGTH.
    """
    lags = _autocorrelation(power * _emphasis())
    full = _autocorrelation(power)
    first = _shortest_lag()
    before, here, after = lags[:, first - 1 : -2], lags[:, first:-1], lags[:, first + 1 :]
    is_peak = (here > before) & (here >= after) & (here > 0)
    rough = np.where(is_peak, here - OCTAVE_COST * np.log2(np.arange(first, first + here.shape[1])), -np.inf)
    best = np.argpartition(-rough, NUM_CANDIDATES - 1, axis=1)[:, :NUM_CANDIDATES]
    is_used = np.take_along_axis(is_peak, best, axis=1)
    shift, height = _parabola(*(np.take_along_axis(a, best, axis=1) for a in (before, here, after)))
    f0_hz = SAMPLE_RATE_HZ * LAG_OVERSAMPLING / (best + first + shift)
    strength = np.where(is_used, height - OCTAVE_COST * np.log2(FREE_ABOVE_HZ / f0_hz), -np.inf)
    return Candidates(np.where(is_used, f0_hz, np.nan), _height_near(full, best + first), strength)


def _autocorrelation(power: Float) -> Float:
    """[T, L] window-corrected autocorrelation, 1 at lag 0."""
    lags = np.fft.irfft(power, FFT_LENGTH * LAG_OVERSAMPLING, axis=1)[:, : _longest_lag() + 2]
    return np.asarray(lags / np.maximum(lags[:, :1], np.finfo(np.float32).tiny) / _window_correlation())


@lru_cache(maxsize=1)
def _emphasis() -> Float:
    """[FFT_LENGTH // 2 + 1] weight of each bin of the power spectrum in the search for candidates."""
    frequency_hz = np.arange(FFT_LENGTH // 2 + 1) * SAMPLE_RATE_HZ / FFT_LENGTH
    weight = 1 / (1 + (frequency_hz / LOWPASS_HZ) ** 2) ** 2
    weight[:RUMBLE_BINS] = 0
    return np.asarray(weight, dtype=np.float32)


def _parabola(y0: Float, y1: Float, y2: Float) -> tuple[Float, Float]:
    """Shift in lags and height of the top of the parabola of three neighbours; the middle one where it has none."""
    bend = y0 - 2 * y1 + y2
    is_peak = (bend < 0) & (y1 >= y0) & (y1 >= y2)
    shift = np.where(is_peak, 0.5 * (y0 - y2) / np.where(is_peak, bend, -1.0), 0.0)
    return shift, _mirrored(y1 - 0.25 * (y0 - y2) * shift)


def _mirrored(height: Float) -> Float:
    """A short window can push a corrected peak just above 1: mirror it, as Praat does, and a tie stays a tie."""
    return np.where(height > 1, 1 / np.maximum(height, 1), height)


def _height_near(lags: Float, index: npt.NDArray[np.int64]) -> Float:
    """[T, K] height of the peak within one lag of `index`, where the low-passed spectrum has its own."""
    taps = np.stack([np.take_along_axis(lags, np.clip(index + d, 0, lags.shape[1] - 1), axis=1) for d in range(-2, 3)])
    return np.asarray(np.max([_parabola(*taps[d : d + 3])[1] for d in range(3)], axis=0))


def unvoiced_strength(candidates: Candidates, audible: Bool, background_share: Float) -> Float:
    """[T] what a candidate's strength has to beat in each frame.

    The strongest candidate beats it by as much as its correlation in the full spectrum, corrected for the background,
    exceeds `VOICING_THRESHOLD`; by less where its strength in the low spectrum exceeds the threshold by less.

    Args:
        candidates: of T frames.
        audible: [T] False where nothing is voiced.
        background_share: [T] the background's share of the frame's power, 0 to 1.
    """
    best = candidates.strength.argmax(axis=1)[:, None]
    strength, correlation = (
        np.take_along_axis(a, best, axis=1)[:, 0] for a in (candidates.strength, candidates.correlation)
    )
    clean = correlation / np.maximum(1 - background_share, MIN_VOICE_SHARE)
    excess = np.where(np.isfinite(strength), np.maximum(strength - clean, 0), 0)
    return np.where(audible, VOICING_THRESHOLD + excess, SILENT_THRESHOLD)


def choose_path(candidates: Candidates, unvoiced_strength: Float) -> npt.NDArray[np.int64]:
    """[T] index of the chosen candidate of each frame, -1 for unvoiced: the cheapest path over all frames.

    Args:
        candidates: of T frames.
        unvoiced_strength: [T] what a candidate has to beat.
    """
    count, width = candidates.strength.shape
    chosen = np.full(count, -1, dtype=np.int64)
    if count == 0:
        return chosen
    octaves = np.log2(np.where(np.isfinite(candidates.strength), candidates.f0_hz, FLOOR_HZ))
    strength = np.concatenate([candidates.strength, unvoiced_strength[:, None]], axis=1)
    back = np.zeros((count, width + 1), dtype=np.int8)
    score = strength[0]
    for start in range(1, count, PATH_BLOCK):
        stop = min(start + PATH_BLOCK, count)
        cost = np.full((stop - start, width + 1, width + 1), VOICING_CHANGE_COST)  # [block, from, to]
        jump = octaves[start - 1 : stop - 1, :, None] - octaves[start:stop, None, :]
        cost[:, :width, :width] = OCTAVE_JUMP_COST * np.abs(jump)
        cost[:, width, width] = 0.0
        for t in range(start, stop):
            arrival = score[:, None] - cost[t - start]
            back[t] = arrival.argmax(axis=0)
            score = arrival.max(axis=0) + strength[t]
    state = int(score.argmax())
    for t in range(count - 1, -1, -1):
        chosen[t] = state if state < width else -1
        state = int(back[t, state])
    return chosen


def harmonicity_db(correlation: Float) -> Float:
    """Harmonics-to-noise ratio, dB, of a window-corrected autocorrelation peak (Boersma 1993, equation 4)."""
    kept = np.clip(correlation, 1e-4, 1 - 1e-5)  # within -40..50 dB, what the window can resolve
    return np.asarray(10 * np.log10(kept / (1 - kept)))
