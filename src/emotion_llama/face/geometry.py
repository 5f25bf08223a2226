"""Turns one face mesh into a few numbers that depend on the expression, not on head pose, place or size.

Legend: N frames, K mesh landmarks (468, or 478 with the irises, in MediaPipe's order), S stable landmarks, F shape
features. "Right" is the person's right, which is the left of the picture.

The mesh is laid on MediaPipe's canonical face by the rigid similarity (rotation, shift, one scale) that fits the
landmarks which expressions do not move (weighted Procrustes analysis; Umeyama, IEEE TPAMI 13, 1991). There, x points to
the person's left, y up and z out of the face, in centimetres of the canonical face: the scale that the fit takes out is
the face's size, measured on bone-backed landmarks. Features are means and differences of coordinates in that frame;
most use x and y only, because FaceMesh's z is a guess of the network.
"""

from __future__ import annotations

from functools import lru_cache
from importlib import resources
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from emotion_llama.errors import InputError
from emotion_llama.records import Float

# Landmarks that facial muscles hardly move, with their weight in the fit. MediaPipe's own face_geometry module
# (geometry_pipeline_metadata_landmarks.pbtxt, Apache-2.0) fits 33 landmarks, but those include the cheeks (205), the
# nostril wings (129, its heaviest) and the jaw (136), which smiling, nose wrinkling and speaking move: here they would
# hide what is to be measured. Kept of it: eye corners, bridge and tip of the nose, temples. Added: the hairline before
# the ears. The forehead is left out, because frontalis moves it; brows and lids too. The tip of the nose is light (it
# follows the upper lip a little), but its depth against the temples is what tells a turned head from an uneven one.
STABLE_LANDMARKS: dict[int, float] = {
    33: 3.0, 263: 3.0, 133: 3.0, 362: 3.0,  # eye corners
    168: 2.0, 6: 2.0, 197: 1.0, 195: 1.0, 122: 1.0, 351: 1.0,  # bridge of the nose
    5: 0.5, 4: 0.5,  # tip of the nose
    127: 1.0, 356: 1.0, 234: 1.0, 454: 1.0, 162: 1.0, 389: 1.0,  # before the ears
    139: 1.0, 368: 1.0, 34: 1.0, 264: 1.0,  # temples
}  # fmt: skip

# Heights of the upper face count from the corners of both eyes and the skin beside them (eight points, for less
# jitter), those of the lower face from below the nose, whose distance from the eyes differs between people.
_EYE_CORNERS = (33, 133, 130, 243, 263, 362, 359, 463)
_NOSE_BASE = (2, 97, 326)
# name -> (axis, landmarks, landmarks whose mean is subtracted); landmarks of the person's right side, measured on both
# sides as `<name>_right` and `<name>_left`. Axis "x" is outwards from the midline. Unit: cm of the canonical face.
_SIDED: dict[str, tuple[str, tuple[int, ...], tuple[int, ...]]] = {
    "brow_inner_y": ("y", (107, 55), _EYE_CORNERS),
    "brow_inner_x": ("x", (107, 55), ()),
    "brow_middle_y": ("y", (105, 52, 66, 65), _EYE_CORNERS),
    "brow_outer_y": ("y", (70, 46, 63, 53), _EYE_CORNERS),
    "lid_upper_y": ("y", (161, 160, 159, 158, 157), _EYE_CORNERS),
    "lid_lower_y": ("y", (163, 144, 145, 153, 154), _EYE_CORNERS),
    "lid_fold_y": ("y", (30, 29, 27, 28, 56), _EYE_CORNERS),
    "infraorbital_y": ("y", (229, 230, 231), _EYE_CORNERS),
    "cheek_y": ("y", (117, 118, 119, 50, 101, 205), _EYE_CORNERS),
    "nose_wing_y": ("y", (48, 49, 64, 129), _EYE_CORNERS),
    "nose_wing_x": ("x", (48, 49, 64, 129), ()),
    "nose_side_y": ("y", (198, 209, 217, 126), _EYE_CORNERS),
    "mouth_corner_x": ("x", (61, 76, 78), ()),
    "mouth_corner_y": ("y", (61, 76, 78), _NOSE_BASE),
    "mouth_corner_z": ("z", (61, 76, 78), ()),
    "mouth_corner_height": ("y", (185, 40), (146, 91)),
    "mouth_corner_skin_x": ("x", (57, 212, 216, 43), ()),
}
# The same for the midline: landmarks as they are, no mirroring.
_MIDLINE: dict[str, tuple[str, tuple[int, ...], tuple[int, ...]]] = {
    "nose_tip_y": ("y", (1, 4), _EYE_CORNERS),
    "nose_base_y": ("y", _NOSE_BASE, _EYE_CORNERS),
    "upper_lip_y": ("y", (0, 37, 267), _NOSE_BASE),
    "upper_lip_height": ("y", (0, 37, 267, 39, 269), (13, 82, 312, 81, 311)),
    "lip_gap": ("y", (13, 82, 312, 81, 311), (14, 87, 317, 178, 402)),
    "lower_lip_height": ("y", (14, 87, 317, 178, 402), (17, 84, 314, 181, 405)),
    "lower_lip_y": ("y", (17, 84, 314), _NOSE_BASE),
    "chin_pad_y": ("y", (18, 83, 313, 200, 201, 421, 199), _NOSE_BASE),
    "chin_y": ("y", (152, 148, 377, 176, 400), _NOSE_BASE),
}
SIDES = ("right", "left")
FEATURE_NAMES: tuple[str, ...] = (*(f"{name}_{side}" for name in _SIDED for side in SIDES), *_MIDLINE)

_AXES = {"x": 0, "y": 1, "z": 2}
_TO_UPRIGHT = np.array([1.0, -1.0, -1.0])  # pixels (y down, z away from the camera) -> y up, z towards the camera
_POINT_LANDMARKS = ((33, 133), (362, 263), (1, 4), (61,), (291,))


class FaceMeasurement(NamedTuple):
    """One mesh, measured; with a leading [N] when made by `measure_many`.

    Attributes:
        points: [5, 2] right eye, left eye, nose tip, right and left mouth corner, pixels. An eye is the middle of its
            two corners, which gaze and lids do not move.
        head_pose_degrees: [3] pitch (up +), yaw (to the person's left +), roll (clockwise in the image +): the head
            turned by pitch about its own left-right axis, then yaw, then roll.
        shape_features: [F] centimetres on the canonical face, named by FEATURE_NAMES.
        scale_pixels_per_cm: size of the face in the picture.
    """

    points: Float
    head_pose_degrees: Float
    shape_features: Float
    scale_pixels_per_cm: Float


class _Plan(NamedTuple):
    """Constants of the fit. stable [S], weights [S] (sum 1), target [S, 3] centred, centre [3], features [F, K, 3]."""

    stable: npt.NDArray[np.intp]
    weights: Float
    target: Float
    centre: Float
    used: npt.NDArray[np.intp]
    features: Float


@lru_cache(maxsize=1)
def canonical_mesh() -> Float:
    """[468, 3] MediaPipe's canonical face (Apache-2.0), centimetres, mirror symmetric; do not write to it."""
    text = resources.files("emotion_llama.face").joinpath("data/canonical_mesh.csv").read_text()
    mesh = np.loadtxt(text.splitlines(), delimiter=",", skiprows=1)
    mesh.flags.writeable = False
    return mesh


@lru_cache(maxsize=1)
def mirrored_landmarks() -> npt.NDArray[np.intp]:
    """[468] for each landmark the index of its mirror image on the other side of the face."""
    mesh = canonical_mesh()
    return np.asarray(np.linalg.norm((mesh * [-1, 1, 1])[:, None] - mesh[None], axis=2).argmin(axis=1))


@lru_cache(maxsize=1)
def _plan() -> _Plan:
    mesh, mirror = canonical_mesh(), mirrored_landmarks()
    stable = np.array(list(STABLE_LANDMARKS))
    weights = np.array(list(STABLE_LANDMARKS.values()))
    weights = weights / weights.sum()
    centre = weights @ mesh[stable]
    rows = np.zeros((len(FEATURE_NAMES), *mesh.shape))
    for name, (axis, plus, minus) in _SIDED.items():
        for side in SIDES:
            row = rows[FEATURE_NAMES.index(f"{name}_{side}")]
            outward = -1.0 if axis == "x" and side == "right" else 1.0
            for group, sign in ((plus, outward), (minus, -outward)):
                where = list(group) if side == "right" else [int(mirror[i]) for i in group]
                row[where, _AXES[axis]] += sign / max(len(where), 1)
    for name, (axis, plus, minus) in _MIDLINE.items():
        row = rows[FEATURE_NAMES.index(name)]
        row[list(plus), _AXES[axis]] += 1 / len(plus)
        row[list(minus), _AXES[axis]] -= 1 / max(len(minus), 1)
    used = np.flatnonzero(rows.any(axis=(0, 2)))
    features = np.ascontiguousarray(rows[:, used].reshape(len(rows), -1))
    return _Plan(stable, weights, mesh[stable] - centre, centre, used, features)


class Camera(NamedTuple):
    """A pinhole camera: focal length and the point the optical axis meets, both in pixels."""

    focal_pixels: float
    centre_xy: tuple[float, float]


def measure(landmarks: Float, camera: Camera | None = None) -> FaceMeasurement:
    """Measure one mesh.

    Args:
        landmarks: [K, 3] pixels in FaceMesh's convention (y down, z towards the camera negative, on the scale of x).
        camera: where it is known, perspective is undone; without it weak perspective is assumed, which holds from
            about 1.5 m on. Closer, turned heads are measured with a bias, which `pose_bias` takes out of a track.

    Raises:
        InputError: wrong shape, a value that is not finite, or a mesh without extent.
    """
    many = measure_many(np.asarray(landmarks)[None], camera)
    return FaceMeasurement(*(values[0] for values in many))


def measure_many(landmarks: Float, camera: Camera | None = None) -> FaceMeasurement:
    """Measure N meshes at once: landmarks [N, K, 3]; see `measure`."""
    pixels = np.asarray(landmarks, dtype=np.float64)
    if pixels.ndim != 3 or pixels.shape[1] not in (468, 478) or pixels.shape[2] != 3:
        raise InputError(f"face landmarks must be [468, 3] or [478, 3] in MediaPipe's order, got {pixels.shape[1:]}")
    if not np.isfinite(pixels).all():
        raise InputError("face landmarks hold values that are not finite; pass only meshes that were found")
    plan = _plan()
    upright = (pixels if camera is None else _without_perspective(pixels, camera)) * _TO_UPRIGHT
    rotation, scale, centre = _fit(upright[:, plan.stable], plan)
    turned = (upright[:, plan.used] - centre[:, None]) @ rotation.transpose(0, 2, 1)
    aligned = turned * scale[:, None, None] + plan.centre
    features = aligned.reshape(len(aligned), -1) @ plan.features.T
    points = np.stack([pixels[:, list(group), :2].mean(axis=1) for group in _POINT_LANDMARKS], axis=1)
    return FaceMeasurement(points, _pose_degrees(rotation), features, 1 / scale)


def aligned_mesh(landmarks: Float) -> tuple[Float, float]:
    """One mesh [K, 3] laid on the canonical face, centimetres (x to the person's left, y up, z out), and its yaw.

    Raises:
        InputError: as `measure`.
    """
    yaw = float(measure(landmarks).head_pose_degrees[1])
    upright = np.asarray(landmarks, dtype=np.float64) * _TO_UPRIGHT
    plan = _plan()
    rotation, scale, centre = (part[0] for part in _fit(upright[None][:, plan.stable], plan))
    return np.asarray((upright - centre) @ rotation.T * scale + plan.centre), yaw


def _without_perspective(pixels: Float, camera: Camera) -> Float:
    # x = f X / (d - Z) and z = -f Z / d, hence X f / d = x (1 + z / f): the same scale for the whole face.
    out = pixels.copy()
    out[..., :2] = (pixels[..., :2] - camera.centre_xy) * (1 + pixels[..., 2:] / camera.focal_pixels)
    return np.asarray(out)


def _fit(observed: Float, plan: _Plan) -> tuple[Float, Float, Float]:
    """Weighted similarity, observed [N, S, 3] to the plan's target: rotation [N, 3, 3], scale [N], centre [N, 3]."""
    centre = np.einsum("s,nsk->nk", plan.weights, observed)
    centred = observed - centre[:, None]
    spread = np.einsum("s,nsk->n", plan.weights, centred**2)
    if np.any(spread < 1e-6):
        raise InputError("face landmarks lie in one point; expected pixels of a face, not normalised or empty values")
    covariance = np.einsum("s,nsi,sj->nij", plan.weights, centred, plan.target)
    left, singular, right = np.linalg.svd(covariance)
    flip = np.ones_like(singular)
    flip[:, 2] = np.sign(np.linalg.det(left @ right))
    rotation = np.einsum("nik,nk,nkj->nji", left, flip, right)
    return rotation, (singular * flip).sum(axis=1) / spread, centre


def _pose_degrees(to_canonical: Float) -> Float:
    """[N, 3] pitch, yaw, roll of the head, from the rotation [N, 3, 3] that undoes it."""
    head = to_canonical.transpose(0, 2, 1)
    pitch = -np.arctan2(head[:, 2, 1], head[:, 2, 2])
    yaw = np.arcsin(np.clip(-head[:, 2, 0], -1, 1))
    roll = -np.arctan2(head[:, 1, 0], head[:, 0, 0])
    return np.asarray(np.degrees(np.stack([pitch, yaw, roll], axis=1)))
