"""The folds, furrows and bulges that each action unit makes, as shading on the skin's map.

Where they are follows the Facial Action Coding System's appearance changes (Ekman, Friesen and Hager, 2002); depths and
widths are our own, set so that the folds show in a face 150 pixels wide and not chosen for any other purpose.
Curves are given in centimetres of the canonical face seen from the front, right half (x < 0), and mirrored.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from emotion_llama.face.geometry import canonical_mesh
from emotion_llama.records import AU_NAMES, Float
from merr_synth.render import head

PIXELS_PER_CM = 10.5  # of the map, around the nose
SHARPNESS = 0.55  # how much a slope of 1 changes the light on it
IN_THE_DEEP = 0.75  # how much darker a fold of depth 1 is, light or not


@dataclass(frozen=True)
class Fold:
    """A furrow along `points`: depth 1 is a deep one, width its standard deviation; a negative depth is a ridge."""

    points: Sequence[tuple[float, float]]
    depth: float
    width_cm: float = 0.09


@dataclass(frozen=True)
class Bulge:
    """A mound (or, with a negative height, a dent) around a point."""

    centre: tuple[float, float]
    height: float
    radii_cm: tuple[float, float]


NASOLABIAL = ((-1.75, -0.75), (-2.35, -1.4), (-2.95, -2.3), (-3.4, -3.3), (-3.6, -4.3))
_FOREHEAD = [
    Fold(((-x0, y + 0.05), (-x1, y + 0.12), (-x2, y - 0.05)), 0.45, 0.1)
    for y in (5.9, 6.5, 7.1)
    for x0, x1, x2 in ((0.0, 1.2, 2.3),)
]
_FOREHEAD_OUTER = [Fold(((-2.0, y + 0.05), (-3.4, y + 0.2), (-4.8, y - 0.25)), 0.45, 0.1) for y in (5.9, 6.5, 7.1)]

RELIEF: Mapping[str, Sequence[Fold | Bulge]] = {
    "AU01": [*_FOREHEAD, Bulge((-1.3, 5.0), 0.25, (0.9, 0.5))],
    "AU02": [*_FOREHEAD_OUTER, Bulge((-4.2, 5.0), 0.2, (1.2, 0.5))],
    "AU04": [
        Fold(((-0.45, 5.6), (-0.55, 4.9), (-0.5, 4.0)), 0.75, 0.1), Fold(((0.0, 3.5), (-0.6, 3.6)), 0.35, 0.08),
        Bulge((-1.3, 4.5), 0.4, (0.6, 0.7)), Bulge((-2.8, 3.7), -0.45, (1.2, 0.35)),
    ],
    "AU05": [Bulge((-3.2, 3.5), -0.25, (1.2, 0.2))],
    "AU06": [
        Fold(((-4.9, 2.7), (-5.5, 3.1), (-6.0, 3.5)), 0.5, 0.07), Fold(((-4.95, 2.5), (-5.6, 2.5), (-6.2, 2.5)),
        0.5, 0.07),
        Fold(((-4.85, 2.2), (-5.4, 1.8), (-5.9, 1.4)), 0.5, 0.07),
        Fold(((-4.5, 1.75), (-3.8, 1.35), (-3.0, 1.25), (-2.1, 1.6)), 0.65, 0.11),
        Bulge((-4.0, 0.55), 0.65, (1.2, 0.6)), Bulge((-4.0, -1.0), -0.3, (1.2, 0.7)),
    ],
    "AU07": [
        Fold(((-4.3, 2.0), (-3.7, 1.75), (-3.1, 1.7), (-2.3, 1.95)), 0.6, 0.08), Bulge((-3.2, 2.1), 0.4, (0.9, 0.14)),
    ],
    "AU09": [
        Fold(((-0.35, 2.6), (-0.9, 2.2), (-1.5, 2.0)), 0.6, 0.08), Fold(((-0.45, 2.1), (-1.0, 1.6), (-1.5, 1.2)),
        0.6, 0.08),
        Fold(((-0.5, 1.5), (-1.0, 1.0), (-1.4, 0.5)), 0.5, 0.08), Fold(((0.0, 3.1), (-0.5, 3.1)), 0.55, 0.09),
        Fold(((0.0, 3.6), (-0.4, 3.6)), 0.4, 0.08), Fold(NASOLABIAL[:3], 0.7, 0.12), Bulge((-1.9, -0.1),
        0.4, (0.5, 0.7)),
    ],
    "AU10": [Fold(NASOLABIAL[:4], 0.8, 0.12), Bulge((-2.6, -0.8), 0.45, (0.7, 0.7))],
    "AU12": [
        Fold(NASOLABIAL, 0.75, 0.13), Bulge((-3.9, -0.7), 0.6, (1.1, 0.9)), Fold(((-2.7, -4.1), (-2.85, -4.6)),
        0.5, 0.1),
        Fold(((-4.4, 1.5), (-3.4, 1.1), (-2.3, 1.4)), 0.25, 0.1),
    ],
    "AU14": [
        Fold(((-2.75, -3.9), (-2.95, -4.35), (-2.8, -4.9)), 1.0, 0.16), Bulge((-3.6, -4.3), 0.5, (0.4, 0.9)),
        Fold(((-2.35, -4.3), (-2.75, -4.33)), 0.8, 0.1),
    ],
    "AU15": [
        Fold(((-2.5, -4.6), (-2.9, -5.2), (-3.05, -6.1)), 0.8, 0.13), Bulge((-2.2, -5.6), 0.3, (0.5, 0.5)),
        Bulge((-3.6, -6.0), 0.35, (0.5, 0.7)),
    ],
    "AU17": [
        Fold(((0.0, -5.95), (-0.8, -6.05), (-1.5, -6.5)), 0.9, 0.13), Bulge((0.0, -7.2), 0.6, (1.2, 0.7)),
        Bulge((0.0, -8.3), -0.25, (1.4, 0.4)),
        *(Bulge((-x, y), -0.35, (0.12, 0.12)) for x, y in
          ((0.2, -7.0), (0.6, -7.2), (0.95, -6.95), (0.35, -7.55), (0.8, -7.7), (0.05, -7.95), (0.5, -8.05))),
    ],
    "AU20": [Fold(((-3.3, -3.4), (-3.7, -4.3), (-3.6, -5.3)), 0.5, 0.12), Bulge((-4.3, -4.3), 0.3, (0.5, 1.2))],
    "AU23": [
        *(Fold(((-x, -3.15), (-x * 0.95, -3.5)), 0.3, 0.05) for x in (0.4, 0.9, 1.4)),
        *(Fold(((-x, -5.3), (-x * 0.95, -5.7)), 0.3, 0.05) for x in (0.4, 0.9, 1.4)),
        Bulge((0.0, -2.9), 0.2, (1.5, 0.25)), Bulge((0.0, -5.9), 0.2, (1.3, 0.25)),
    ],
    "AU25": [], "AU26": [], "AU45": [],
}  # fmt: skip
# What age leaves on a resting face.
AGE: Sequence[Fold | Bulge] = (
    *(Fold(((0.0, y), (-2.0, y + 0.1), (-4.4, y - 0.3)), 0.3, 0.07) for y in (6.0, 6.7)),
    Fold(NASOLABIAL[:4], 0.55, 0.12), Fold(((-4.3, 1.4), (-3.5, 0.95), (-2.4, 1.1)), 0.45, 0.1),
    Bulge((-3.3, 1.5), 0.3, (0.9, 0.25)), Fold(((-5.0, 2.6), (-5.7, 2.9)), 0.3, 0.06),
    Fold(((-4.9, 2.2), (-5.6, 1.8)), 0.3, 0.06), Fold(((-2.7, -4.8), (-3.0, -5.8)), 0.4, 0.1),
)  # fmt: skip


@lru_cache(maxsize=1)
def _front_map() -> object:
    from scipy.interpolate import LinearNDInterpolator

    return LinearNDInterpolator(canonical_mesh()[:, :2], head.map_points()[: head.FACE_POINTS])


def on_map(points_cm: Float) -> Float:
    """[N, 2] centimetres of the canonical face seen from the front -> pixels of the map."""
    return np.asarray(_front_map()(np.asarray(points_cm, float)))  # type: ignore[operator]


def smooth_curve(points: Sequence[tuple[float, float]], count: int = 24) -> Float:
    """[count, 2] a curve through the points, on the map."""
    from scipy.interpolate import PchipInterpolator

    given = np.asarray(points, float)
    at = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(given, axis=0), axis=1))])
    return on_map(PchipInterpolator(at, given)(np.linspace(0, at[-1], count)))


def height_map(parts: Sequence[Fold | Bulge]) -> Float:
    """[H, W] float32 the sum of the parts and of their mirror images (one on the midline counts once)."""
    width, height = head.MAP_SIZE
    out = np.zeros((height, width), np.float32)
    for part in parts:
        for side in (1.0, -1.0):
            if isinstance(part, Bulge):
                if side < 0 and part.centre[0] == 0:
                    continue
                out += _mound(part, side)
            else:
                out -= part.depth * _line([(x * side, y) for x, y in part.points], part.width_cm)
    return out


def _mound(bulge: Bulge, side: float) -> Float:
    width, height = head.MAP_SIZE
    (cx, cy), (rx, ry) = on_map(np.array([[bulge.centre[0] * side, bulge.centre[1]]]))[0], bulge.radii_cm
    y, x = np.ogrid[0:height, 0:width]
    away = ((x - cx) / (rx * PIXELS_PER_CM)) ** 2 + ((y - cy) / (ry * PIXELS_PER_CM)) ** 2
    return np.asarray(bulge.height * np.exp(-0.5 * away), np.float32)


def _line(points: Sequence[tuple[float, float]], width_cm: float) -> Float:
    """0..1, highest on the curve, fading over `width_cm`."""
    import cv2

    canvas = np.zeros(head.MAP_SIZE[::-1], np.float32)
    curve = np.round(smooth_curve(points) * 16).astype(np.int32)
    cv2.polylines(canvas, [curve], False, (1.0,), 1, cv2.LINE_AA, shift=4)
    soft = np.asarray(cv2.GaussianBlur(np.minimum(canvas, 1.0), (0, 0), 1.5 * width_cm * PIXELS_PER_CM), np.float32)
    return np.asarray(soft / max(float(soft.max()), 1e-6))


@lru_cache(maxsize=1)
def _heights() -> tuple[Float, Float]:
    """[17, H, W] of the units, [H, W] of age."""
    return np.stack([height_map(RELIEF[name]) for name in AU_NAMES]), height_map(AGE)


@lru_cache(maxsize=8)
def shading(light_xyz: tuple[float, float, float]) -> tuple[Float, Float]:
    """Relative change of brightness by the folds under a light: [17, H, W] of units at 5, [H, W] of age; float32.

    Args:
        light_xyz: direction to the lamp (unit length) as the face sees it.
    """
    units, age = _heights()
    return np.stack([_shaded(h, light_xyz) for h in units]), _shaded(age, light_xyz)


def _shaded(height: Float, light: tuple[float, float, float]) -> Float:
    import cv2

    dx = cv2.Sobel(height, cv2.CV_32F, 1, 0, scale=PIXELS_PER_CM / 8)
    dy = cv2.Sobel(height, cv2.CV_32F, 0, 1, scale=PIXELS_PER_CM / 8)
    # The surface rises against its slope's direction: a slope up to the right looks left. Rows run downwards.
    slopes = SHARPNESS * 0.25 * (-dx * light[0] + dy * light[1])
    deep = IN_THE_DEEP * np.minimum(height, 0)
    return np.asarray(np.clip(slopes + deep, -0.7, 0.45), np.float32)
