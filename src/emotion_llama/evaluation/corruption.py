"""What MER2024-NOISE does to sound and pictures, on arrays; everything drawn follows from a seed and a name.

Source of the rules and their numbers: MER2024's noise script (MERTools). Sound: pieces of noise, drawn at random and
joined until they are longer than the clip, a random part of that, scaled to a signal-to-noise ratio of 5 to 10 dB in
whole decibels by root mean squares; the mixture is scaled down where it would leave the range of 16 bits. Pictures:
log2(f) times halved and doubled again by Gaussian pyramids, f one of 1, 2 and 4, which rounds odd sizes up.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from emotion_llama.errors import InputError
from emotion_llama.records import UInt8

Samples = npt.NDArray[np.float64]
SNRS_DB = (5, 6, 7, 8, 9, 10)
BLUR_FACTORS = (1, 2, 4)
_FULL_SCALE = 32767 / 32768  # the largest sample of 16 bits, where 1 is the largest magnitude


class Draw(NamedTuple):
    """What is done to one clip, before its length is known."""

    snr_db: int
    blur_factor: int
    rng: np.random.Generator


class Mixture(NamedTuple):
    """Mixed sound [S] in -1..1, and what both parts were multiplied with."""

    samples: Samples
    noise_gain: float
    scale: float


class NoisePart(NamedTuple):
    """Noise as long as a clip [S], the files it was joined from, and where in them it begins."""

    samples: Samples
    files: tuple[str, ...]
    start_sample: int


def draw(name: str, seed: int, *, snrs_db: Sequence[int] = SNRS_DB, blur_factors: Sequence[int] = BLUR_FACTORS) -> Draw:
    """What is done to the clip of a name: the same for the same name and seed.

    Raises:
        InputError: there is nothing to draw from, or a blur factor is no power of two.
    """
    if not snrs_db or not blur_factors or any(f < 1 or f & (f - 1) for f in blur_factors):
        raise InputError(f"expected ratios in dB and blur factors of 1, 2, 4 ..., got {snrs_db} and {blur_factors}")
    digest = hashlib.blake2b("\x1f".join(("noise", str(seed), name)).encode(), digest_size=6).digest()
    rng = np.random.default_rng(int.from_bytes(digest, "big"))
    snr, blur = rng.integers(len(snrs_db)), rng.integers(len(blur_factors))
    return Draw(snrs_db[int(snr)], blur_factors[int(blur)], rng)


def draw_noise(
    num_samples: int, names: Sequence[str], read: Callable[[str], Samples], rng: np.random.Generator
) -> NoisePart:
    """Noise of a length: files drawn one after the other until they are longer, and a random part of them.

    Args:
        num_samples: wanted.
        names: of the noise files.
        read: from a name to its samples.
        rng: draws.

    Raises:
        InputError: there are no files, or one is empty.
    """
    if not names:
        raise InputError("there is no noise to draw from")
    pieces, chosen, total = [], [], 0
    while total <= num_samples:
        name = names[int(rng.integers(len(names)))]
        piece = read(name)
        if not len(piece):
            raise InputError(f"the noise {name} has no sound in it")
        pieces.append(piece)
        chosen.append(name)
        total += len(piece)
    start = int(rng.integers(total - num_samples + 1))
    return NoisePart(np.concatenate(pieces)[start : start + num_samples], tuple(chosen), start)


def mix(clean: Samples, noise: Samples, snr_db: float) -> Mixture:
    """Clean sound with noise under it: rms(clean) / rms(scaled noise) = 10 ** (snr_db / 20).

    Args:
        clean: [S].
        noise: [S].
        snr_db: the ratio.

    Raises:
        InputError: lengths differ, or one of the two is silent, so that no ratio exists.
    """
    if clean.shape != noise.shape:
        raise InputError(f"clean sound and noise must be of one length, got {clean.shape} and {noise.shape}")
    clean_rms, noise_rms = _rms(clean), _rms(noise)
    if not clean_rms or not noise_rms:
        raise InputError(f"the {'noise' if clean_rms else 'clip'} is silent; a signal-to-noise ratio needs both")
    gain = clean_rms / 10 ** (snr_db / 20) / noise_rms
    mixed = clean + gain * noise
    highest, lowest = float(mixed.max()), float(mixed.min())
    scale = 1.0
    if highest > _FULL_SCALE or lowest < -1.0:
        scale = _FULL_SCALE / highest if highest >= -lowest else -1.0 / lowest
    return Mixture(mixed * scale, float(gain), scale)


def blur(image: UInt8, factor: int) -> UInt8:
    """A picture [H, W, 3] log2(factor) times halved and as often doubled; odd sides grow to a multiple of `factor`."""
    import cv2

    times = int(math.log2(factor))
    for _ in range(times):
        image = cv2.pyrDown(image)  # type: ignore[assignment]  # cv2 says no shapes and types
    for _ in range(times):
        image = cv2.pyrUp(image)  # type: ignore[assignment]
    return image


def _rms(samples: Samples) -> float:
    return float(np.sqrt(np.mean(np.square(samples)))) if len(samples) else 0.0
