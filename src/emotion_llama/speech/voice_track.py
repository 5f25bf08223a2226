"""Sound -> VoiceTrack: frame-by-frame measurements, streamed, the same however the sound is cut into chunks.

Notation: T frames, hop 10 ms, frame t is centred at (t + 1/2) hops; W samples of window (50 ms, Hann).
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from functools import lru_cache
from itertools import chain
from typing import NamedTuple

import numpy as np

from emotion_llama.errors import InputError
from emotion_llama.records import Float, VoiceTrack, Waveform
from emotion_llama.speech import activity, pitch

SAMPLE_RATE_HZ = pitch.SAMPLE_RATE_HZ
HOP = 160  # samples
HOP_SECONDS = HOP / SAMPLE_RATE_HZ
CONTEXT = (pitch.WINDOW - HOP) // 2  # samples of window before and after the frame's own hop
BLOCK_FRAMES = 500  # analysed at once, whatever the chunks: 5 s, some 20 MB of work space
MAX_SEAM_SECONDS = 0.005

# Bands, Hz: the alpha ratio's of eGeMAPS (Eyben et al., IEEE TAC 7(2), 2016), and voice without rumble and [s]. Within
# the last, sonority has half the A weighting (in dB): what a vowel has over the [l], [m], [n], [r], [w] beside it lies
# above 300 Hz; the full curve makes [i] and [u], whose first formant lies there, too soft beside [a].
LOW_BAND_HZ, HIGH_BAND_HZ = (50.0, 1000.0), (1000.0, 5000.0)
SONORITY_BAND_HZ = (60.0, 3300.0)


class _Block(NamedTuple):
    """Measurements of T frames that need no other frames."""

    loudness_db: Float
    sonority_db: Float
    tilt_db: Float
    envelope: Float
    f0_hz: Float  # [T, K] candidates, and so the next two
    correlation: Float
    strength: Float


def measure_voice(chunks: Iterable[Waveform]) -> VoiceTrack:
    """Measure mono sound of 16 kHz in chunks that follow each other, in memory that does not grow with the sound.

    (What grows are the results: about 0.3 kB a frame while it works, 50 bytes a frame afterwards.)

    Raises:
        InputError: a chunk has another rate, or does not start where the one before it ended.
    """
    found: list[VoiceTrack] = []

    def run() -> Iterator[float]:
        found.append((yield from voice_steps(chunks)))

    for _ in run():
        pass
    return found[0]


def voice_steps(chunks: Iterable[Waveform]) -> Generator[float, None, VoiceTrack]:
    """`measure_voice` in steps of 5 s: yields the time up to which the sound is measured, and returns the track."""
    following = iter(chunks)
    first = next(following, None)
    if first is None:
        return _join([], 0.0)
    blocks = []
    for frames in _frame_blocks(chain([first], following)):
        blocks.append(_measure_frames(frames))
        yield first.start_seconds + BLOCK_FRAMES * HOP_SECONDS * len(blocks)
    return _join(blocks, first.start_seconds)


def _frame_blocks(chunks: Iterable[Waveform]) -> Iterator[Float]:
    """Yield frames [<= BLOCK_FRAMES, W]; the sound is padded with zeros at both ends."""
    end_seconds: float | None = None
    pending = np.zeros(CONTEXT, dtype=np.float32)
    needed = (BLOCK_FRAMES - 1) * HOP + pitch.WINDOW
    for chunk in chunks:
        expected_seconds = chunk.start_seconds if end_seconds is None else end_seconds
        _check_chunk(chunk, expected_seconds)
        end_seconds = expected_seconds + chunk.duration_seconds
        pending = np.concatenate([pending, chunk.samples])
        while len(pending) >= needed:
            yield _frames(pending[:needed])
            pending = pending[BLOCK_FRAMES * HOP :]
    pending = np.concatenate([pending, np.zeros(CONTEXT, dtype=np.float32)])
    if len(pending) >= pitch.WINDOW:
        yield _frames(pending)


def _check_chunk(chunk: Waveform, expected_start_seconds: float) -> None:
    if chunk.sample_rate_hz != SAMPLE_RATE_HZ:
        raise InputError(
            f"sound at {chunk.sample_rate_hz} Hz, expected {SAMPLE_RATE_HZ} Hz; decode it with "
            f"read_audio(clip, sample_rate_hz={SAMPLE_RATE_HZ})"
        )
    if abs(chunk.start_seconds - expected_start_seconds) > MAX_SEAM_SECONDS:
        raise InputError(
            f"chunk starts at {chunk.start_seconds:.3f} s, expected {expected_start_seconds:.3f} s; "
            "chunks must follow each other without gap or overlap"
        )


def _frames(samples: Float) -> Float:
    return np.lib.stride_tricks.sliding_window_view(samples, pitch.WINDOW)[::HOP]


def _measure_frames(frames: Float) -> _Block:
    own = frames[:, CONTEXT : CONTEXT + HOP]
    weighted = (frames - frames.mean(axis=1, keepdims=True)) * pitch.window()
    spectrum = np.fft.rfft(weighted, pitch.FFT_LENGTH, axis=1)
    power = spectrum.real**2 + spectrum.imag**2
    # Parseval: the one-sided sum over bins is FFT_LENGTH / 2 of the energy; a sine of amplitude 1 gives 0 dB.
    scale = 4 / (pitch.FFT_LENGTH * float(np.sum(pitch.window() ** 2)))
    low, high = (_band_db(power, scale, band) for band in (LOW_BAND_HZ, HIGH_BAND_HZ))
    candidates = pitch.find_candidates(power)
    return _Block(
        _band_db(power, scale, (0.0, SAMPLE_RATE_HZ / 2)),
        _decibels(power @ _sonority_weights(), scale),
        low - high,
        np.stack([own.min(axis=1), own.max(axis=1)], axis=1),
        *(a.astype(np.float32) for a in candidates),
    )


def _band_db(power: Float, scale: float, band_hz: tuple[float, float]) -> Float:
    """[T] level of a band, dB re full scale, down to -200."""
    first, last = (round(f * pitch.FFT_LENGTH / SAMPLE_RATE_HZ) for f in band_hz)
    return _decibels(power[:, max(first, 1) : last + 1].sum(axis=1, dtype=np.float64), scale)


def _decibels(energy: Float, scale: float) -> Float:
    return np.asarray(10 * np.log10(np.maximum(energy * scale, 1e-20)), dtype=np.float32)


@lru_cache(maxsize=1)
def _sonority_weights() -> Float:
    """[bins] power weights: half the dB of the A curve (IEC 61672-1:2013, annex E) in SONORITY_BAND_HZ, 0 outside."""
    f = np.arange(pitch.FFT_LENGTH // 2 + 1) * (SAMPLE_RATE_HZ / pitch.FFT_LENGTH)
    gain = 12194.0**2 * f**4 / (f**2 + 20.6**2) / (f**2 + 12194.0**2)
    gain /= np.sqrt((f**2 + 107.7**2) * (f**2 + 737.9**2))
    inside = (f >= SONORITY_BAND_HZ[0]) & (f <= SONORITY_BAND_HZ[1])
    return np.asarray(np.where(inside, gain * 10**0.1, 0.0), dtype=np.float32)  # 0 dB at 1 kHz


def _join(blocks: list[_Block], start_seconds: float) -> VoiceTrack:
    """Decide pitch path and activity over the whole sound."""
    if not blocks:
        blocks = [_measure_frames(np.zeros((0, pitch.WINDOW), dtype=np.float32))]
    loudness, sonority, tilt, envelope, f0_hz, correlation, strength = (np.concatenate(part) for part in zip(*blocks))
    audible = activity.is_audible(loudness)
    candidates = pitch.Candidates(f0_hz, correlation, strength)
    threshold = pitch.unvoiced_strength(candidates, audible, activity.background_share(loudness))
    chosen = pitch.choose_path(candidates, threshold)
    voiced = chosen >= 0
    pick = np.maximum(chosen, 0)[:, None]
    f0, peak = (np.take_along_axis(a, pick, axis=1)[:, 0] for a in (f0_hz, correlation))
    harmonicity = pitch.harmonicity_db(peak)
    whispered = activity.find_whispers(loudness, tilt, voiced)
    voiced &= ~(activity.near(whispered) & (harmonicity < pitch.FORMANT_BELOW_DB))
    return VoiceTrack(
        times_seconds=start_seconds + (np.arange(len(loudness)) + 0.5) * HOP_SECONDS,
        f0_hz=np.where(voiced, f0, np.nan),
        loudness_db=loudness,
        harmonicity_db=np.where(voiced, harmonicity, np.nan),
        tilt_db=np.where(audible, tilt, np.nan),
        sonority_db=sonority,
        is_speech=activity.find_speech(loudness, voiced, whispered),
        envelope=envelope,
    )
