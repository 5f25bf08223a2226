"""How each action unit moves the mesh: our own table of displacements, and the rules that keep lids and lips sane.

Directions follow the Facial Action Coding System's descriptions (Ekman, Friesen and Hager, 2002) and the usual lengths
of `face/unit_formulas.py`. Lengths are those at which MediaPipe's mesh, looking at the drawing, moves by about as much
as the intensity says, so several are longer than a face can do: the network damps small shifts of the brows, the cheek,
the lower lid and the chin by half and more. benchmarks/synthetic_faces.py prints what comes back.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

import numpy as np

from emotion_llama.errors import InputError
from emotion_llama.face.geometry import canonical_mesh
from emotion_llama.records import AU_NAMES, Float
from merr_synth.render import emphasis, head

Way = tuple[float, float, float]  # outwards from the midline, up, forward; cm at intensity 5, right half
FULL = 5.0
# The shift grows with intensity to this power; below 1 where the network answers small shifts too little.
GROWTH: Mapping[str, float] = dict.fromkeys(("AU01", "AU04", "AU06", "AU14", "AU17"), 0.75)

# unit -> landmark of the person's right half (or midline) -> way.
WAYS: Mapping[str, Mapping[int, Way]] = {
    "AU01": {
        107: (-0.05, 1.15, 0), 55: (0, 1.1, 0), 66: (0, 0.85, 0), 65: (0, 0.8, 0), 105: (0, 0.3, 0), 52: (0, 0.3, 0),
        63: (0, 0, 0), 53: (0, 0, 0), 70: (0, -0.1, 0), 46: (0, -0.1, 0), 9: (0, 0.6, 0), 8: (0, 0.25, 0),
        108: (0, 0.7, 0), 151: (0, 0.4, 0), 69: (0, 0.5, 0), 221: (0, 0.45, 0), 222: (0, 0.4, 0), 56: (0, 0.12, 0),
        28: (0, 0.1, 0), 190: (0, 0.1, 0),
    },
    "AU02": {
        70: (0, 1.0, 0), 63: (0, 1.1, 0), 105: (0, 0.85, 0), 46: (0, 0.9, 0), 53: (0, 1.0, 0), 52: (0, 0.8, 0),
        66: (0, 0.4, 0), 65: (0, 0.35, 0), 107: (0, 0.15, 0), 55: (0, 0.1, 0), 104: (0, 0.5, 0), 68: (0, 0.5, 0),
        225: (0, 0.5, 0), 224: (0, 0.5, 0), 223: (0, 0.35, 0), 30: (0, 0.1, 0), 29: (0, 0.1, 0), 113: (0, 0.2, 0),
    },
    "AU04": {
        107: (-0.6, -0.6, 0.1), 55: (-0.5, -0.65, 0.1), 66: (-0.5, -0.6, 0.05), 65: (-0.4, -0.65, 0.05),
        105: (-0.2, -0.4, 0), 52: (-0.15, -0.45, 0), 63: (-0.05, -0.15, 0), 53: (0, -0.15, 0), 70: (0, 0, 0),
        46: (0, 0, 0), 9: (0, -0.35, 0.1), 8: (0, -0.25, 0.1), 221: (0, -0.4, 0), 222: (0, -0.35, 0),
        223: (0, -0.2, 0), 189: (0, -0.2, 0), 108: (-0.2, -0.25, 0),
    },
    "AU05": {
        159: (0, 0.33, 0), 158: (0, 0.33, 0), 160: (0, 0.3, 0), 157: (0, 0.25, 0), 161: (0, 0.22, 0),
        173: (0, 0.1, 0), 246: (0, 0.1, 0), 27: (0, 0.15, 0), 28: (0, 0.15, 0), 29: (0, 0.12, 0), 30: (0, 0.1, 0),
        56: (0, 0.1, 0), 223: (0, 0.05, 0), 222: (0, 0.05, 0),
    },
    "AU06": {
        117: (0, 0.75, 0.2), 118: (0, 0.8, 0.25), 119: (0, 0.75, 0.2), 50: (0, 0.8, 0.35), 101: (0, 0.8, 0.3),
        205: (0, 0.65, 0.25), 36: (0, 0.6, 0.2), 123: (0, 0.5, 0.1), 187: (0, 0.45, 0.1), 229: (0, 0.5, 0.1),
        230: (0, 0.5, 0.1), 231: (0, 0.45, 0.1), 228: (0, 0.4, 0.05), 23: (0, 0.3, 0), 24: (0, 0.3, 0),
        22: (0, 0.25, 0), 145: (0, 0.2, 0), 144: (0, 0.2, 0), 153: (0, 0.18, 0), 163: (0, 0.15, 0),
        154: (0, 0.12, 0), 159: (0, -0.2, 0), 158: (0, -0.2, 0), 160: (0, -0.2, 0), 157: (0, -0.15, 0),
        161: (0, -0.12, 0), 46: (0, -0.15, 0), 129: (0, 0, 0), 61: (0, 0.05, 0),
    },
    "AU07": {
        145: (0, 0.36, 0), 144: (0, 0.34, 0), 153: (0, 0.34, 0), 163: (0, 0.25, 0), 154: (0, 0.25, 0), 7: (0, 0.12, 0),
        155: (0, 0.12, 0), 23: (0, 0.28, 0.05), 24: (0, 0.26, 0.05), 22: (0, 0.26, 0.05), 110: (0, 0.18, 0),
        26: (0, 0.18, 0), 230: (0, 0.1, 0), 229: (0, 0.1, 0), 231: (0, 0.1, 0), 159: (0, -0.08, 0), 158: (0, -0.08, 0),
        160: (0, -0.08, 0), 157: (0, -0.05, 0), 161: (0, -0.05, 0),
    },
    "AU09": {
        48: (0.1, 0.9, 0.05), 49: (0.1, 0.9, 0.05), 64: (0.1, 0.9, 0), 129: (0.1, 0.85, 0.1), 98: (0, 0.8, 0),
        97: (0, 0.35, 0), 2: (0, 0.25, 0), 198: (0, 0.9, 0.15), 209: (0, 0.85, 0.15), 217: (0, 0.8, 0.15),
        126: (0, 0.85, 0.15), 131: (0, 0.85, 0.1), 134: (0, 0.6, 0.1), 8: (0, -0.2, 0.1), 55: (-0.2, -0.35, 0),
        107: (-0.2, -0.3, 0), 189: (0, -0.15, 0), 203: (0.05, 0.7, 0.15), 206: (0.05, 0.5, 0.1), 165: (0, 0.5, 0),
        92: (0, 0.4, 0), 0: (0, 0.35, 0), 37: (0, 0.38, 0), 39: (0, 0.38, 0), 40: (0, 0.3, 0), 13: (0, 0.2, 0),
        82: (0, 0.2, 0), 81: (0, 0.2, 0), 61: (0, 0.05, 0), 205: (0, 0.3, 0.1), 1: (0, 0.1, 0), 4: (0, 0.05, 0),
    },
    "AU10": {
        0: (0, 0.8, 0.1), 37: (0, 0.85, 0.1), 39: (0, 0.85, 0.1), 40: (0.05, 0.6, 0.05), 185: (0.05, 0.3, 0),
        61: (0, 0.08, 0), 13: (0, 0.7, 0.05), 82: (0, 0.72, 0.05), 81: (0, 0.68, 0), 80: (0, 0.5, 0), 191: (0, 0.25, 0),
        78: (0, 0.08, 0), 164: (0, 0.5, 0), 167: (0, 0.55, 0), 165: (0, 0.6, 0), 92: (0, 0.5, 0), 97: (0, 0.05, 0),
        2: (0, 0.05, 0), 98: (0, 0.15, 0), 129: (0, 0.12, 0), 203: (0, 0.35, 0.1), 206: (0, 0.35, 0.1),
    },
    "AU12": {
        61: (0.9, 0.95, -0.5), 78: (0.85, 0.9, -0.45), 185: (0.75, 0.75, -0.4), 40: (0.5, 0.45, -0.25),
        39: (0.3, 0.2, -0.1), 37: (0.12, 0.05, 0), 0: (0, 0.02, 0), 146: (0.75, 0.8, -0.4), 91: (0.55, 0.5, -0.25),
        181: (0.32, 0.2, -0.1), 84: (0.12, 0.05, 0), 17: (0, 0, 0), 13: (0, 0, 0), 14: (0, 0, 0),
        57: (0.9, 0.9, -0.4), 186: (0.8, 0.8, -0.3), 43: (0.7, 0.75, -0.3), 212: (0.7, 0.75, 0), 216: (0.65, 0.8, 0.2),
        206: (0.4, 0.55, 0.25), 205: (0.35, 0.6, 0.4), 50: (0.15, 0.4, 0.35), 101: (0.1, 0.3, 0.2),
        118: (0, 0.22, 0.15),
        117: (0, 0.2, 0.1), 207: (0.5, 0.6, 0.3), 187: (0.3, 0.5, 0.3), 214: (0.45, 0.4, 0.1), 202: (0.3, 0.35, 0),
        129: (0.08, 0.05, 0), 18: (0, 0, 0), 200: (0, 0, 0),
    },
    "AU14": {
        61: (0.45, 0.05, -0.6), 78: (0.45, 0.05, -0.6), 185: (0.3, -0.25, -0.4), 40: (0.12, -0.12, -0.1),
        146: (0.3, 0.3, -0.4), 91: (0.12, 0.15, -0.1), 57: (0.0, 0, -0.2), 212: (-0.4, 0, 0.3), 216: (-0.3, -0.1, 0.25),
        43: (-0.3, 0.1, 0.2), 186: (-0.1, -0.1, 0), 214: (-0.2, 0, 0.2), 202: (-0.2, 0, 0.1), 0: (0, 0, 0),
        17: (0, 0, 0), 39: (0, 0, 0), 181: (0, 0, 0), 207: (-0.2, 0, 0.2),
    },
    "AU15": {
        61: (0.1, -1.0, -0.1), 78: (0.1, -0.95, -0.1), 185: (0.08, -0.7, 0), 40: (0, -0.38, 0), 39: (0, -0.12, 0),
        37: (0, 0, 0), 0: (0, 0, 0), 146: (0.08, -0.8, 0), 91: (0, -0.5, 0), 181: (0, -0.2, 0), 84: (0, 0, 0),
        17: (0, 0, 0), 13: (0, 0, 0), 14: (0, 0, 0), 57: (0.1, -0.85, 0), 43: (0.08, -0.8, 0), 186: (0.05, -0.6, 0),
        212: (0.05, -0.65, 0), 202: (0, -0.5, 0.1), 216: (0, -0.3, 0), 18: (0, 0.05, 0),
    },
    "AU17": {
        18: (0, 0.7, 0.25), 83: (0, 0.7, 0.25), 200: (0, 0.95, 0.2), 201: (0, 0.95, 0.2), 199: (0, 0.7, 0.1),
        208: (0, 0.6, 0.1), 194: (0, 0.6, 0.15), 204: (0, 0.5, 0.1), 182: (0, 0.5, 0.15), 17: (0, 0.5, 0.25),
        84: (0, 0.5, 0.25), 181: (0, 0.4, 0.15), 91: (0, 0.15, 0.05), 14: (0, 0.3, 0.1), 87: (0, 0.28, 0.1),
        178: (0, 0.2, 0.05), 13: (0, 0.28, 0.1), 82: (0, 0.26, 0.1), 81: (0, 0.18, 0.05), 0: (0, 0.18, 0.1),
        37: (0, 0.18, 0.1), 39: (0, 0.1, 0.05), 61: (0, -0.12, 0), 78: (0, -0.1, 0), 146: (0, -0.05, 0),
        185: (0, -0.05, 0), 175: (0, 0.2, 0), 152: (0, 0.0, 0), 148: (0, 0, 0), 171: (0, 0.25, 0),
    },
    "AU20": {
        61: (0.95, -0.1, -0.45), 78: (0.9, -0.1, -0.4), 185: (0.8, -0.1, -0.3), 40: (0.6, -0.08, -0.2),
        39: (0.4, -0.05, -0.1), 37: (0.18, -0.04, 0), 0: (0, -0.04, 0), 146: (0.8, 0.0, -0.3), 91: (0.6, 0.05, -0.2),
        181: (0.4, 0.06, -0.1), 84: (0.18, 0.06, 0), 17: (0, 0.06, 0), 57: (0.95, -0.1, -0.35), 43: (0.85, -0.1, -0.3),
        186: (0.8, -0.05, -0.2), 212: (0.8, -0.1, -0.1), 216: (0.6, 0, 0), 214: (0.5, -0.1, 0), 202: (0.6, -0.15, 0),
        206: (0.3, 0, 0), 13: (0, 0, 0), 14: (0, 0, 0), 18: (0, 0, 0),
    },
    "AU23": {
        0: (0, -0.35, 0), 37: (-0.03, -0.37, 0), 39: (-0.05, -0.34, 0), 40: (-0.06, -0.22, 0), 185: (-0.1, -0.1, 0),
        13: (0, 0, 0), 82: (0, 0, 0), 81: (0, 0, 0), 14: (0, 0, 0), 87: (0, 0, 0), 178: (0, 0, 0),
        17: (0, 0.42, 0), 84: (-0.03, 0.4, 0), 181: (-0.05, 0.34, 0), 91: (-0.06, 0.2, 0), 146: (-0.1, 0.08, 0),
        61: (-0.12, 0, 0), 78: (-0.12, 0, 0), 18: (0, 0.15, 0), 164: (0, -0.1, 0),
    },
    "AU25": {
        14: (0, -0.75, 0), 87: (0, -0.73, 0), 178: (0, -0.62, 0), 88: (0, -0.42, 0), 95: (0, -0.2, 0),
        17: (0, -0.6, 0), 84: (0, -0.58, 0), 181: (0, -0.48, 0), 91: (0, -0.32, 0), 146: (0, -0.14, 0),
        13: (0, 0.22, 0), 82: (0, 0.21, 0), 81: (0, 0.18, 0), 80: (0, 0.12, 0), 0: (0, 0.12, 0), 37: (0, 0.12, 0),
        39: (0, 0.1, 0), 61: (-0.05, 0, 0), 78: (-0.05, 0, 0), 18: (0, -0.4, 0), 83: (0, -0.38, 0), 200: (0, -0.1, 0),
        152: (0, 0, 0), 199: (0, 0, 0),
    },
    "AU26": {
        152: (0, -1.9, -0.25), 148: (0, -1.85, -0.25), 176: (0, -1.75, -0.2), 149: (0, -1.55, -0.2),
        150: (0, -1.3, -0.1),
        136: (0, -1.0, -0.1), 172: (0, -0.65, 0), 58: (0, -0.25, 0), 132: (0, 0, 0), 175: (0, -1.9, -0.25),
        199: (0, -1.85, -0.2), 200: (0, -1.8, -0.2), 18: (0, -1.7, -0.2), 17: (0, -1.45, -0.15), 84: (0, -1.42, -0.15),
        181: (0, -1.25, -0.1), 91: (0, -0.95, -0.05), 146: (-0.1, -0.6, 0), 14: (0, -1.4, -0.15), 87: (0, -1.36, -0.15),
        178: (0, -1.18, -0.1), 88: (0, -0.85, 0), 95: (0, -0.55, 0), 61: (-0.15, -0.3, 0), 78: (-0.15, -0.3, 0),
        0: (0, 0, 0), 13: (0, 0.02, 0), 37: (0, 0, 0), 39: (0, 0, 0), 185: (-0.08, -0.12, 0), 57: (-0.15, -0.35, 0),
        212: (-0.1, -0.6, 0), 202: (-0.05, -0.9, 0), 214: (-0.05, -0.5, 0), 216: (-0.05, -0.2, 0), 207: (0, -0.25, 0),
        187: (0, -0.08, 0), 205: (0, 0, 0), 192: (0, -0.4, 0), 213: (0, -0.35, 0), 138: (0, -0.5, 0), 135: (0, -0.9, 0),
    },
    "AU45": {},  # relative to the eye: see `moved`
}  # fmt: skip

# Points that no unit moves unless its own row says so.
_STILL = (
    *head.OVAL, 168, 6, 197, 195, 5, 4, 1, 2, 33, 133, 130, 243, 127, 34, 162, 139, 143, 35, 124,
)  # fmt: skip
_REACH_CM = 2.6  # a point farther than this from every moved one stays
_UPPER_LIP = {p for row in head.UPPER_LIP_ROWS for p in row[1:-1]}
_LOWER_LIP = {p for row in head.LOWER_LIP_ROWS for p in row[1:-1]}
_CLOSED_SHARE = 0.96  # of the aperture at intensity 5
_LIFTED_BY_1 = 0.9  # share of AU04's lowering that an equal AU01 undoes
_AU01, _AU04 = AU_NAMES.index("AU01"), AU_NAMES.index("AU04")
_UPPER_WAY = 0.85  # share of the closing that the upper lid does


def _both(right: tuple[int, ...]) -> set[int]:
    return {p for r in right for p in (r, head.mirrored(r))}


_UPPER_LID, _LOWER_LID = head.RIGHT_UPPER_LID[1:-1], head.RIGHT_LOWER_LID[1:-1]


@lru_cache(maxsize=1)
def displacements() -> Float:
    """[17, 468, 3] cm: every unit at intensity 5 on the canonical face, emphasis included, in the order of AU_NAMES."""
    return np.stack([_field(WAYS[name]) for name in AU_NAMES]) + emphasis.displacements()


def _field(ways: Mapping[int, Way]) -> Float:
    mesh = canonical_mesh()
    motion = {p: np.zeros(3) for p in _both(_STILL)}
    for point, (outward, up, forward) in ways.items():
        side = np.sign(mesh[point, 0])
        motion[point] = np.array([outward * side, up, forward])
        motion[head.mirrored(point)] = np.array([-outward * side, up, forward])
    moving = [p for p in motion if np.any(motion[p])]
    out = np.zeros((head.FACE_POINTS, 3))
    if not moving:
        return out
    far = np.linalg.norm(mesh[:, None] - mesh[None, moving], axis=2).min(axis=1) > _REACH_CM
    motion.update({int(p): np.zeros(3) for p in np.flatnonzero(far) if int(p) not in motion})
    lips, lids = _UPPER_LIP | _LOWER_LIP, (_both(_UPPER_LID), _both(_LOWER_LID))
    outer = {*head.UPPER_LIP_ROWS[0], *head.LOWER_LIP_ROWS[0]}
    # A lip's (a lid's) motion is told by its own points: the other one is near, but moves apart.
    parts = [(_UPPER_LIP, _LOWER_LIP), (_LOWER_LIP, _UPPER_LIP), (lids[0], lids[1]), (lids[1], lids[0])]
    parts.append((set(range(head.FACE_POINTS)) - lips - lids[0] - lids[1], (lips - outer) | lids[0] | lids[1]))
    for members, excluded in parts:
        known = sorted(p for p in motion if p not in excluded)
        where = sorted(members)
        out[where] = _interpolated(mesh, known, np.array([motion[p] for p in known]), where)
    return out


def _interpolated(mesh: Float, known: list[int], motion: Float, where: list[int]) -> Float:
    from scipy.interpolate import RBFInterpolator

    return np.asarray(RBFInterpolator(mesh[known], motion, kernel="linear", degree=0)(mesh[where]))


def intensities(units: Mapping[str, float]) -> Float:
    """[17] in the order of AU_NAMES; units that are not named are 0.

    Raises:
        InputError: an unknown unit, or a value outside 0..5.
    """
    unknown = sorted(set(units) - set(AU_NAMES))
    if unknown:
        raise InputError(f"unknown action units {unknown}; choose from {', '.join(AU_NAMES)}")
    values = np.array([float(units.get(name, 0.0)) for name in AU_NAMES])
    if not np.all((values >= 0) & (values <= FULL)):
        raise InputError(f"action unit intensities must be within 0..5, got {dict(units)}")
    return values


def shares(values: Float) -> Float:
    """[17] intensities 0..5 -> shares of the full shift."""
    return np.asarray((values / FULL) ** np.array([GROWTH.get(name, 1.0) for name in AU_NAMES]))


def moved(neutral: Float, values: Float, proportions: tuple[float, float, float]) -> Float:
    """[468, 3] the neutral face with units of intensities `values` [17]; lids and lips meet, but do not cross."""
    share, fields = shares(values), displacements()
    shift = np.tensordot(share, fields, axes=1)
    # FACS on 1+4: the inner brows go up and together; 4 then lowers them hardly at all.
    raising, lowering = share[_AU01], share[_AU04]
    if raising > 0 and lowering > 0:
        shift[:, 1] -= _LIFTED_BY_1 * min(1.0, raising / lowering) * lowering * fields[_AU04, :, 1]
    shift *= np.asarray(proportions)
    face = neutral + shift
    shut = values[AU_NAMES.index("AU45")] / FULL
    for right in (True, False):
        pairs = zip(_UPPER_LID, _LOWER_LID)
        upper, lower = np.array([p if right else [head.mirrored(q) for q in p] for p in pairs]).T
        gap = face[upper] - face[lower]
        close = _CLOSED_SHARE * shut * np.maximum(gap[:, 1:2], 0) * np.array([0.0, 1.0, 0.0])
        face[upper] -= _UPPER_WAY * close
        face[lower] += (1 - _UPPER_WAY) * close
        _keep_apart(face, upper, lower)
    for column_up, column_low in zip(head.UPPER_LIP_ROWS[-1][1:-1], head.LOWER_LIP_ROWS[-1][1:-1]):
        _keep_apart(face, np.array([column_up]), np.array([column_low]))
    return face


def _keep_apart(face: Float, upper: head.Index, lower: head.Index) -> None:
    overlap = np.maximum(face[lower, 1] - face[upper, 1], 0.0)
    face[upper, 1] += overlap / 2
    face[lower, 1] -= overlap / 2
