"""Clips made a little different each time they are learnt from, so that real footage is not out of reach.

All ranges are our own. Pictures stay uint8 RGB and sounds float32; nothing that the targets tell is changed, but for
the side where a picture is mirrored, which the caller puts right.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from emotion_llama.records import Float, UInt8

PLAIN_SHARE = 0.3  # of the clips that stay as they are
GAINS = (0.8, 1.2)  # of brightness, and a sixth of it of each colour
GAMMAS = (0.85, 1.2)
GREY_SHARE, BLUR_SHARE, MIRROR_SHARE = 0.05, 0.15, 0.5
# Of a crop: part of its side, factor, degrees. Crops are aligned, and what a unit moves is a pixel or two of 64: with
# three times as much, units are learnt several times more slowly.
SHIFT, SCALES, TURN_DEGREES = 0.012, (0.98, 1.02), 1.5
PIXEL_NOISE = 4.0  # largest standard deviation, of 255
NOISE_DB = (12.0, 50.0)  # level of the sound over added noise
NOISE_SHARE, TILT_SHARE = 0.7, 0.5


def vary_pictures(pictures: UInt8, rng: np.random.Generator, *, move: bool) -> UInt8:
    """Pictures [N, H, W, 3] of one clip under one other light and camera; with `move`, aligned a little otherwise."""
    import cv2

    if rng.random() < PLAIN_SHARE:
        return pictures
    values: Any = pictures.astype(np.float32) / 255
    gains = rng.uniform(*GAINS) * rng.uniform(1 - (1 - GAINS[0]) / 6, 1 + (GAINS[1] - 1) / 6, 3)
    values = np.clip(values * gains.astype(np.float32), 0, 1) ** np.float32(rng.uniform(*GAMMAS))
    if rng.random() < GREY_SHARE:
        values = np.repeat(values.mean(axis=-1, keepdims=True), 3, axis=-1)
    values = values + rng.normal(0, rng.uniform(0, PIXEL_NOISE / 255), values.shape).astype(np.float32)
    if move:
        side = values.shape[1]
        centre = ((side - 1) / 2, (side - 1) / 2)
        turn = rng.uniform(-TURN_DEGREES, TURN_DEGREES)
        matrix = np.asarray(cv2.getRotationMatrix2D(centre, turn, rng.uniform(*SCALES)), np.float64)
        matrix[:, 2] += rng.uniform(-SHIFT, SHIFT, 2) * side
        values = np.stack([cv2.warpAffine(value, matrix, (side, side)) for value in values])
    if rng.random() < BLUR_SHARE:
        width = rng.uniform(0.3, 1.0)
        values = np.stack([cv2.GaussianBlur(value, (0, 0), width) for value in values])
    return np.asarray(np.clip(np.round(values * 255), 0, 255), np.uint8)


def vary_sound(samples: Float, rng: np.random.Generator) -> Float:
    """A waveform [S] in another room: noise of another colour, and highs weaker or stronger by 6 dB an octave."""
    varied = samples.astype(np.float32)
    if rng.random() < PLAIN_SHARE:
        return varied
    if rng.random() < TILT_SHARE:
        varied = varied + np.float32(rng.uniform(-0.6, 0.6)) * np.concatenate([[0], varied[:-1]]).astype(np.float32)
    if rng.random() < NOISE_SHARE:
        noise = rng.normal(size=len(varied)).astype(np.float32)
        noise = noise + np.float32(rng.uniform(0, 0.95)) * np.concatenate([[0], noise[:-1]]).astype(np.float32)
        level = float(np.sqrt(np.mean(varied**2))) * 10 ** (-rng.uniform(*NOISE_DB) / 20)
        varied = varied + noise * np.float32(level / max(float(np.std(noise)), 1e-9))
    return np.asarray(varied, np.float32)
