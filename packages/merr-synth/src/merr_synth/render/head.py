"""The head as a mesh: a person's neutral shape, the skull behind the face, and where each point lies in the skin's map.

The first 468 points are MediaPipe's canonical face (Apache-2.0); three rings of 36 points each carry the outline of the
face back over the skull, so that hair and temples have a surface. Coordinates: centimetres, x to the person's left
(right in the picture), y up, z towards the camera.
The skin's map is an azimuthal projection of the canonical head, seen from its inside, along the line of sight.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from emotion_llama.face.geometry import canonical_mesh, mirrored_landmarks
from emotion_llama.records import Float
from merr_synth.render.face import canonical_triangles
from merr_synth.render.people import MODE_NAMES, Person

Index = npt.NDArray[np.int64]

FACE_POINTS = 468
OVAL = (
    10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377,
    152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109,
)  # fmt: skip
# Right half; from the outer corner of the eye or the mouth inwards, corners included.
RIGHT_UPPER_LID = (33, 246, 161, 160, 159, 158, 157, 173, 133)
RIGHT_LOWER_LID = (33, 7, 163, 144, 145, 153, 154, 155, 133)
# From the person's right corner to the left one; rows from the outer edge of the red to the seam.
UPPER_LIP_ROWS = (
    (61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291),
    (76, 184, 74, 73, 72, 11, 302, 303, 304, 408, 306),
    (62, 183, 42, 41, 38, 12, 268, 271, 272, 407, 292),
    (78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308),
)
LOWER_LIP_ROWS = (
    (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291),
    (76, 77, 90, 180, 85, 16, 315, 404, 320, 307, 306),
    (62, 96, 89, 179, 86, 15, 316, 403, 319, 325, 292),
    (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308),
)
RIGHT_BROW_TOP, RIGHT_BROW_BOTTOM = (70, 63, 105, 66, 107), (46, 53, 52, 65, 55)
RIGHT_LID_FOLD = (130, 247, 30, 29, 27, 28, 56, 190, 243)

_RINGS = 3
_SKULL_CENTRE, _SKULL_RADII = np.array([0.0, 2.6, -3.2]), np.array([7.9, 10.0, 9.4])
_BACK_DEGREES = 118.0  # how far round the skull the last ring lies, from the front
_MAP_CENTRE = np.array([0.0, 1.0, -4.0])
_RING_STEP_RAD = 0.2
MAP_LOW, MAP_HIGH = np.array([-1.98, -1.56]), np.array([1.98, 1.42])  # radians, right (of the picture) and up
MAP_SIZE = (400, 304)  # width, height
_APERTURE = 1.25  # canonical eyes are half shut beside the ones that MediaPipe finds in photographs


def mirrored(index: int) -> int:
    """The same landmark of the other side."""
    return int(mirrored_landmarks()[index])


@lru_cache(maxsize=1)
def triangles() -> Index:
    """[T, 3] of the whole head: the face, its openings (filled, last but the rings), the rings."""
    strips = [_strip(RIGHT_UPPER_LID, RIGHT_LOWER_LID)]
    strips.append(_strip([mirrored(i) for i in RIGHT_UPPER_LID], [mirrored(i) for i in RIGHT_LOWER_LID]))
    strips.append(_strip(UPPER_LIP_ROWS[-1], LOWER_LIP_ROWS[-1]))
    rings = [np.array(OVAL), *(FACE_POINTS + 36 * r + np.arange(36) for r in range(_RINGS))]
    for inner, outer in pairwise(rings):
        strips.append(_strip([*inner, inner[0]], [*outer, outer[0]]))
    return np.concatenate([canonical_triangles(), *strips])


def _strip(a: object, b: object) -> Index:
    first, second = np.asarray(a, np.int64), np.asarray(b, np.int64)
    quads = [(first[i], second[i], second[i + 1], first[i + 1]) for i in range(len(first) - 1)]
    corners = [(q[0], q[1], q[2]) for q in quads] + [(q[0], q[2], q[3]) for q in quads]
    return np.array([c for c in corners if len(set(c)) == 3])


def with_rings(face: Float, hair_cm: float) -> Float:
    """[468 + 108, 3] the face with the skull's rings; `hair_cm` is how far hair stands off the skull."""
    oval = face[list(OVAL)]
    radii = _SKULL_RADII * [np.ptp(face[:, 0]) / 15.48, 1.0, 1.0]
    unit = (oval - _SKULL_CENTRE) / radii
    size = np.linalg.norm(unit, axis=1, keepdims=True)
    front = np.arccos(np.clip(unit[:, 2:] / size, -1, 1))
    around = unit[:, :2] / np.linalg.norm(unit[:, :2], axis=1, keepdims=True)
    below = np.clip((1.0 - oval[:, 1:2]) / 3.0, 0, 1)  # below the ears the rings tuck in behind the jaw
    rings = [face]
    for ring in range(1, _RINGS + 1):
        share = ring / _RINGS
        angle = front + (np.radians(_BACK_DEGREES) - front) * share
        direction = np.concatenate([np.sin(angle) * around, np.cos(angle)], axis=1)
        swell = size + (1 - size) * share
        skull = _SKULL_CENTRE + radii * direction * swell + direction * hair_cm * min(1.0, 1.6 * share)
        under = (
            oval + np.concatenate([-0.1 * oval[:, :1], 0.25 + 0 * oval[:, :1], -2.0 + 0 * oval[:, :1]], axis=1) * ring
        )
        rings.append(skull * (1 - below) + under * below)
    return np.concatenate(rings)


@lru_cache(maxsize=1)
def map_points() -> Float:
    """[468 + 108, 2] where each point of the head lies in the skin's map, pixels of the map (x right, y down)."""
    offset = canonical_mesh() - _MAP_CENTRE
    angle = np.arctan2(np.hypot(offset[:, 0], offset[:, 1]), offset[:, 2])
    around = offset[:, :2] / np.hypot(offset[:, 0], offset[:, 1])[:, None]
    flat = [angle[:, None] * around]
    oval = list(OVAL)
    flat += [(angle[oval] + _RING_STEP_RAD * ring)[:, None] * around[oval] for ring in range(1, _RINGS + 1)]
    return to_map(np.concatenate(flat))


def to_map(radians: Float) -> Float:
    """Radians of the projection -> pixels of the map."""
    share = (radians - MAP_LOW) / (MAP_HIGH - MAP_LOW)
    return np.asarray(np.stack([share[..., 0] * MAP_SIZE[0], (1 - share[..., 1]) * MAP_SIZE[1]], axis=-1))


# mode -> change of the canonical face for one standard deviation; all our own choice, small against the differences
# between adults that Farkas (Anthropometry of the Head and Face, 1994) reports.
def _modes(mesh: Float) -> dict[str, Float]:
    x, y, _ = mesh.T
    side = np.sign(x)

    def near(cx: float, cy: float, rx: float, ry: float) -> Float:
        return np.asarray(np.exp(-0.5 * (((np.abs(x) - cx) / rx) ** 2 + ((y - cy) / ry) ** 2)))

    def moved(dx: Float | float, dy: Float | float, dz: Float | float = 0.0) -> Float:
        return np.stack(np.broadcast_arrays(dx, dy, dz, x)[:3], axis=1)

    eye, mouth = near(3.1, 2.6, 1.5, 1.0), near(0, -4.5, 3.2, 1.6)
    return {
        "eye_spacing": moved(0.14 * side * near(3.1, 2.6, 2.0, 2.0), 0.0),
        "eye_size": moved(0.06 * (x - 3.1 * side) * eye, 0.06 * (y - 2.6) * eye),
        "eye_openness": moved(0.0, 0.10 * (y - 2.62) * eye),
        "eye_tilt": moved(0.0, 0.05 * (np.abs(x) - 3.1) * eye),
        "brow_height": moved(0.0, 0.12 * near(3.3, 4.7, 2.6, 0.8)),
        "nose_width": moved(0.09 * x * near(0.9, -1.0, 1.4, 1.4), 0.0),
        "nose_length": moved(0.0, -0.16 * near(0, -1.2, 1.6, 1.3)),
        "nose_tip": moved(0.0, 0.08 * near(0, -0.8, 1.0, 1.0), 0.25 * near(0, -0.8, 1.0, 1.0)),
        "mouth_width": moved(0.06 * x * mouth, 0.0),
        "lip_fullness": moved(0.0, 0.14 * (y + 4.27) * near(0, -4.3, 2.0, 1.2)),
        "mouth_height": moved(0.0, 0.12 * mouth),
        "jaw_width": moved(0.045 * x * near(5.5, -6.0, 3.0, 2.6), 0.0),
        "chin_length": moved(0.0, -0.25 * near(0, -9.0, 3.0, 1.8)),
        "cheek_width": moved(0.03 * x * near(6.5, 0.5, 2.0, 2.5), 0.0),
        "forehead_width": moved(0.03 * x * near(5.0, 7.0, 3.0, 2.0), 0.0),
    }


@lru_cache(maxsize=1)
def _resting() -> Float:
    """[468, 3] the canonical face with its mouth closed and its eyes as open as in photographs."""
    mesh = canonical_mesh().copy()
    for upper, lower in zip(zip(*UPPER_LIP_ROWS), zip(*LOWER_LIP_ROWS)):
        seam = (mesh[upper[-1]] + mesh[lower[-1]]) / 2
        for row in (upper, lower):
            way = seam - mesh[row[-1]]
            for share, point in zip((0.15, 0.4, 0.7, 1.0), row):
                if point not in (61, 76, 62, 78, 291, 306, 292, 308):
                    mesh[point] = mesh[point] + share * way
    for right in (True, False):
        for upper_point, lower_point in zip(RIGHT_UPPER_LID[1:-1], RIGHT_LOWER_LID[1:-1]):
            pair = [upper_point, lower_point] if right else [mirrored(upper_point), mirrored(lower_point)]
            middle = mesh[pair, 1].mean()
            mesh[pair, 1] = middle + (mesh[pair, 1] - middle) * _APERTURE
    return np.asarray(mesh)


@lru_cache(maxsize=512)
def neutral_face(person: Person) -> Float:
    """[468, 3] the person at rest, cm (read-only)."""
    mesh = _resting().copy()
    modes = _modes(_resting())
    for name, amount in zip(MODE_NAMES, person.modes):
        mesh += amount * modes[name]
    mesh *= np.asarray(person.proportions)
    mesh.flags.writeable = False
    return np.asarray(mesh)
