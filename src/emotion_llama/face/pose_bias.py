"""Takes out of a track what turning the head does to the measured shape of a face.

`geometry.measure` takes x and y for weak perspective and z for true. Neither is: from 60 cm, as before a laptop, the
nearer parts of the face are drawn larger, and FaceMesh's depth is a network's guess that is too flat or too deep.
Nodding then looks like moving brows, jaw and lip corners. How each feature changes with either cause at each head pose
is known from the canonical mesh; how strong the causes are, two numbers for the whole track, is fitted to how the
features go with the pose. Two numbers against F features cannot take expressions for either.

Legend: N frames, F shape features (`geometry.FEATURE_NAMES`), cm, C = 2 causes: nearness of the camera (1 / distance,
1/cm), and depth gain (0.1: z comes out a tenth too large).
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from emotion_llama.face import geometry
from emotion_llama.face.unit_formulas import NEUTRAL_SPREAD_CM
from emotion_llama.records import Bool, Float

# Standard deviations that are taken for usual before anything is seen: without turning, the camera is far, depth true.
USUAL = np.array([1 / 60, 0.3])
LIMITS = (np.array([0.0, -0.5]), np.array([1 / 35, 0.5]))
POSE_CELL_DEGREES = 5.0
POSE_SECONDS = 0.5  # a pose held for so long counts in full
MIN_POSES = 4  # of fewer, an expression that goes with one of them would be taken for its effect
ROBUST_ROUNDS = 3
EXPRESSION_SPREADS = 1.0  # a value further off, in spreads of the feature, is an expression and counts less (Huber)
_GRID_DEGREES = np.arange(-60.0, 60.1, 7.5)


def _turned(mesh: Float, pitch_degrees: float, yaw_degrees: float) -> Float:
    p, y = np.radians([-pitch_degrees, yaw_degrees])
    about_x = np.array([[1, 0, 0], [0, np.cos(p), -np.sin(p)], [0, np.sin(p), np.cos(p)]])
    about_y = np.array([[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]])
    return np.asarray(mesh @ (about_y @ about_x).T)


@lru_cache(maxsize=1)
def _grid() -> Float:
    """[P, Y, C, F] change of the canonical face's features per unit of each cause, at pitch x yaw of _GRID_DEGREES."""
    mesh = geometry.canonical_mesh()
    heads = np.stack([_turned(mesh, pitch, yaw) for pitch in _GRID_DEGREES for yaw in _GRID_DEGREES])
    step = USUAL / 2
    near, deep = heads.copy(), heads.copy()
    near[..., :2] /= 1 - step[0] * heads[..., 2:]  # x' = x d / (d - z), the scale being that of z = 0
    deep[..., 2] *= 1 + step[1]
    true, *bent = (geometry.measure_many(h * [1.0, -1.0, -1.0]).shape_features for h in (heads, near, deep))
    change = np.stack([(b - true) / s for b, s in zip(bent, step)], axis=1)
    return np.asarray(change.reshape(len(_GRID_DEGREES), len(_GRID_DEGREES), *change.shape[1:]))


def change_per_cause(head_pose_degrees: Float) -> Float:
    """[N, C, F] how the canonical face's features change with each cause; poses beyond 60 degrees count as 60."""
    spacing = _GRID_DEGREES[1] - _GRID_DEGREES[0]
    last = len(_GRID_DEGREES) - 2
    at = np.clip((head_pose_degrees[:, :2] - _GRID_DEGREES[0]) / spacing, 0, last + 1)
    low = np.minimum(at.astype(int), last)
    (i, j), (u, v) = low.T, (at - low).T[..., None, None]
    grid = _grid()
    below = grid[i, j] * (1 - v) + grid[i, j + 1] * v
    above = grid[i + 1, j] * (1 - v) + grid[i + 1, j + 1] * v
    return np.asarray(below * (1 - u) + above * u)


def estimate_causes(features: Float, head_pose_degrees: Float, usable: Bool, seconds_per_frame: float) -> Float:
    """[C] strength of the causes: ridge regression of the features on their known change with pose.

    features [N, F], head_pose_degrees [N, 3], usable [N]. Frames of a pose count together, by their median, so that an
    expression held at one pose is one observation of many, and two poses prove little. Features count inversely to how
    much they vary between faces; values further off the fit than that count less (Huber weights).
    """
    strength = np.zeros(len(USUAL))
    if usable.sum() < 2:
        return strength
    pose, values, seconds = _by_pose(features[usable], head_pose_degrees[usable, :2], seconds_per_frame)
    if len(seconds) < MIN_POSES:
        return strength
    names = [name.removesuffix("_right").removesuffix("_left") for name in geometry.FEATURE_NAMES]
    sigma = np.array([sum(NEUTRAL_SPREAD_CM[name]) / 2 for name in names])
    known, seen = change_per_cause(pose) / sigma * USUAL[:, None], values / sigma
    share = np.repeat(np.minimum(seconds / POSE_SECONDS, 1.0)[:, None], seen.shape[1], axis=1)
    weight = share
    for _ in range(ROBUST_ROUNDS):
        total = weight.sum(axis=0)
        x = known - np.einsum("nf,ncf->cf", weight, known) / total
        y = seen - (weight * seen).sum(axis=0) / total
        precision = np.einsum("nf,ncf,ndf->cd", weight, x, x) + np.eye(len(USUAL))
        strength = np.linalg.solve(precision, np.einsum("nf,ncf,nf->c", weight, x, y))
        off = np.abs(y - np.einsum("c,ncf->nf", strength, x))
        weight = share / np.maximum(off / EXPRESSION_SPREADS, 1.0)
    return np.asarray(np.clip(strength * USUAL, *LIMITS))


def _by_pose(features: Float, pose_degrees: Float, seconds_per_frame: float) -> tuple[Float, Float, Float]:
    """Mean pose [P, 2], median features [P, F] and seconds [P] of each of the P cells of pitch and yaw visited."""
    cells, where = np.unique(np.rint(pose_degrees / POSE_CELL_DEGREES), axis=0, return_inverse=True)
    members = [np.flatnonzero(where.reshape(-1) == cell) for cell in range(len(cells))]
    pose = np.array([pose_degrees[rows].mean(axis=0) for rows in members])
    values = np.array([np.median(features[rows], axis=0) for rows in members])
    return pose, values, np.array([len(rows) * seconds_per_frame for rows in members])


def without_bias(features: Float, head_pose_degrees: Float, usable: Bool, seconds_per_frame: float) -> Float:
    """[N, F] features with what the fitted causes add at each frame's pose taken off."""
    causes = estimate_causes(features, head_pose_degrees, usable, seconds_per_frame)
    return np.asarray(features - np.einsum("c,ncf->nf", causes, change_per_cause(head_pose_degrees)))
