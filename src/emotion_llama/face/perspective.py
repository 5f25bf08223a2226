"""Takes out of a track what a near camera does to the measured shape of a face that turns.

`geometry.measure` assumes weak perspective. From 60 cm, as before a laptop, the nearer parts of the face are drawn
larger, and nodding then looks like moving brows and jaw. How each feature changes with the camera's nearness at each
head pose is known from the canonical mesh; how near the camera is, one number for the track, is fitted to how the
features go with the pose. One number against F features cannot take expressions for perspective.

Legend: N frames, F shape features (`geometry.FEATURE_NAMES`), cm; nearness = 1 / distance of the camera, 1/cm.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from emotion_llama.face import geometry
from emotion_llama.face.unit_formulas import NEUTRAL_SPREAD_CM
from emotion_llama.records import Bool, Float

MAX_NEARNESS = 1 / 35  # a phone at arm's length bent
PRIOR_NEARNESS = 1 / 60  # standard deviation: without turning, the camera is taken to be far
INDEPENDENT_SECONDS = 1.0  # frames nearer than this repeat each other's expression
ROBUST_ROUNDS = 3
_GRID_DEGREES = np.arange(-60.0, 60.1, 7.5)


class _Grid(NamedTuple):
    values: Float  # [P, Y, F] change of the features per nearness, at pitch x yaw of _GRID_DEGREES


def _turned(mesh: Float, pitch_degrees: float, yaw_degrees: float) -> Float:
    p, y = np.radians([-pitch_degrees, yaw_degrees])
    about_x = np.array([[1, 0, 0], [0, np.cos(p), -np.sin(p)], [0, np.sin(p), np.cos(p)]])
    about_y = np.array([[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]])
    return np.asarray(mesh @ (about_y @ about_x).T)


@lru_cache(maxsize=1)
def _grid() -> _Grid:
    mesh = geometry.canonical_mesh()
    poses = [(pitch, yaw) for pitch in _GRID_DEGREES for yaw in _GRID_DEGREES]
    heads = np.stack([_turned(mesh, pitch, yaw) for pitch, yaw in poses])
    near = heads.copy()
    near[..., :2] /= 1 - PRIOR_NEARNESS * heads[..., 2:]  # x' = x d / (d - z), the scale being that of z = 0
    flat, bent = (geometry.measure_many(h * [1.0, -1.0, -1.0]).shape_features for h in (heads, near))
    change = (bent - flat) / PRIOR_NEARNESS
    return _Grid(change.reshape(len(_GRID_DEGREES), len(_GRID_DEGREES), -1))


def change_per_nearness(pitch_degrees: Float, yaw_degrees: Float) -> Float:
    """[N, F] how the canonical face's features change per 1/cm of nearness; poses beyond 60 degrees count as 60."""
    step = _GRID_DEGREES[1] - _GRID_DEGREES[0]
    last = len(_GRID_DEGREES) - 2
    at = [np.clip((np.asarray(a) - _GRID_DEGREES[0]) / step, 0, last + 1) for a in (pitch_degrees, yaw_degrees)]
    low = [np.minimum(a.astype(int), last) for a in at]
    (i, j), (u, v) = low, [(a - b)[:, None] for a, b in zip(at, low)]
    grid = _grid().values
    below = grid[i, j] * (1 - v) + grid[i, j + 1] * v
    above = grid[i + 1, j] * (1 - v) + grid[i + 1, j + 1] * v
    return np.asarray(below * (1 - u) + above * u)


def estimate_nearness(features: Float, head_pose_degrees: Float, usable: Bool, seconds_per_frame: float) -> float:
    """Nearness of the camera, 0..MAX_NEARNESS: ridge regression of the features on their known change with pose.

    features [N, F], head_pose_degrees [N, 3], usable [N]. Features count inversely to how much they vary between
    faces and expressions; frames far off the fit count less (Huber weights).
    """
    if usable.sum() < 2:
        return 0.0
    names = [name.removesuffix("_right").removesuffix("_left") for name in geometry.FEATURE_NAMES]
    sigma = np.array([sum(NEUTRAL_SPREAD_CM[name]) / 2 for name in names])
    known = change_per_nearness(head_pose_degrees[usable, 0], head_pose_degrees[usable, 1])
    known = (known - np.median(known, axis=0)) / sigma
    seen = (features[usable] - np.median(features[usable], axis=0)) / sigma
    repeats = max(INDEPENDENT_SECONDS / max(seconds_per_frame, 1e-3), 1.0)
    weight = np.ones_like(seen)
    nearness = 0.0
    for _ in range(ROBUST_ROUNDS):
        precision = (weight * known**2).sum() / repeats + 1 / PRIOR_NEARNESS**2
        nearness = float((weight * known * seen).sum() / repeats / precision)
        off = np.abs(seen - nearness * known)
        weight = 1 / np.maximum(off / (1.5 * max(float(np.median(off)), 1e-3)), 1.0)
    return float(np.clip(nearness, 0.0, MAX_NEARNESS))
