"""High dynamic range pictures (PQ, HLG) to the ordinary range that face networks were trained on."""

from __future__ import annotations

from functools import cache

import numpy as np

from emotion_llama.records import Float, UInt8

PQ, HLG = 16, 18  # transfer characteristics of ITU-T H.273
NAMES = {PQ: "PQ", HLG: "HLG"}
_WHITE_NITS = 203.0  # diffuse white (ITU-R BT.2408)
_HLG_PEAK_NITS, _HLG_GAMMA = 1000.0, 1.2  # of the reference display (ITU-R BT.2100)
_KNEE = 0.75  # of white; darker than this nothing changes, as faces are
_GAMMA = 2.2
# Linear BT.2020 to BT.709 (ITU-R BT.2087), and luminance of BT.2020.
_TO_709 = np.array([[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]], np.float32)
_LUMINANCE = np.array([0.2627, 0.6780, 0.0593], np.float32)


def to_sdr(rgb: Float, transfer: int) -> UInt8:
    """[H, W, 3] uint8, ordinary RGB, of [H, W, 3] uint16 BT.2020 RGB of the transfer characteristic PQ or HLG.

    Up to 0.75 of diffuse white light stays as it is; what is brighter is compressed towards white, colour kept.
    """
    light = _linear(transfer)[rgb]
    if transfer == HLG:
        luminance = np.maximum(light @ _LUMINANCE, 1e-6)[..., None]
        light = light * luminance ** np.float32(_HLG_GAMMA - 1) * np.float32(_HLG_PEAK_NITS / _WHITE_NITS)
    light = np.maximum(light @ _TO_709.T, 0)
    peak = np.maximum(light.max(axis=-1, keepdims=True), np.float32(1e-6))
    bright = _KNEE + (1 - _KNEE) * (1 - np.exp(-np.maximum(peak - _KNEE, 0) / (1 - _KNEE)))
    light = light * np.where(peak > _KNEE, bright / peak, 1).astype(np.float32)
    return np.asarray(np.rint(255 * np.clip(light, 0, 1) ** np.float32(1 / _GAMMA)), np.uint8)


@cache
def _linear(transfer: int) -> Float:
    """[65536] light of each code value: relative to diffuse white (PQ), or scene light 0..1 (HLG)."""
    code = np.linspace(0, 1, 65536)
    if transfer == PQ:  # SMPTE ST 2084
        power = code ** (1 / 78.84375)
        nits = 10_000 * (np.maximum(power - 0.8359375, 0) / (18.8515625 - 18.6875 * power)) ** (1 / 0.1593017578125)
        return np.asarray(nits / _WHITE_NITS, np.float32)
    a, b, c = 0.17883277, 0.28466892, 0.55991073  # ITU-R BT.2100, table 5
    return np.asarray(np.where(code <= 0.5, code**2 / 3, (np.exp((code - c) / a) + b) / 12), np.float32)
