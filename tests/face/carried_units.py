"""Truth for the action-unit formulas: known unit displacements carried to MediaPipe's canonical mesh.

Independent of the formulas: twelve units are the published CANDIDE-3 displacements, carried through its own triangles
to the canonical mesh; the five it lacks come from the FACS manual's descriptions (data/facs_displacements.json).
Coordinates are centimetres, x to the person's left, y up, z towards the camera. K = 468 mesh points.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import numpy as np
from scipy.interpolate import RBFInterpolator

DATA = Path(__file__).parent / "data"
MESH_CSV = Path(__file__).parents[2] / "src" / "emotion_llama" / "face" / "data" / "canonical_mesh.csv"

# CANDIDE-3 vertex (face's left half and midline) -> mesh landmarks whose mean is the same place on the face, named
# from the CANDIDE report's vertex list and MediaPipe's contour tables. The right half follows by mirror symmetry.
CORRESPONDENCE: dict[int, tuple[int, ...]] = {
    1: (338,), 2: (151,), 3: (8, 9), 94: (197,), 5: (1,), 6: (2,), 7: (0,), 87: (13,), 40: (14,), 8: (17,), 9: (18,),
    10: (152,),  # midline: forehead, glabella, bridge, nose tip, subnasale, lips, mentolabial fold, chin
    17: (336, 285), 16: (334,), 18: (282, 283), 15: (300, 276),  # brow: inner end, top and bottom of arch, outer end
    20: (263,), 23: (362,), 21: (386,), 22: (374,), 19: (257,), 24: (253,),  # eye: corners, lids, lid folds
    97: (387, 388), 99: (373, 390), 105: (384, 385), 107: (380, 381),  # lids beside the middle
    25: (279,), 26: (278, 294), 75: (274,), 111: (327,), 92: (419,),  # nose: wing, nostril, side of the bridge
    33: (267,), 79: (269,), 31: (291,), 88: (308,), 81: (311,), 83: (402,), 85: (405,),  # lips
    90: (432, 434), 27: (280,), 32: (377, 400), 30: (397,), 28: (361,), 29: (356,), 14: (251,),  # cheek, chin, jaw
}  # fmt: skip
CANDIDE_UPPER_LIP = frozenset({7, 33, 66, 79, 80, 81, 82, 87, 88, 89, 31, 64})
CANDIDE_LOWER_LIP = frozenset({8, 40, 83, 84, 85, 86, 88, 89, 31, 64})
CANDIDE_EYEBALL = frozenset({67, 68, 69, 70, 71, 72, 73, 74})
CANDIDE_UPPER_LID = ((20, 97, 21, 105, 23), (53, 98, 54, 106, 56))  # contour from the outer to the inner corner
CANDIDE_LOWER_LID = ((20, 99, 22, 107, 23), (53, 100, 55, 108, 56))
# Mesh landmarks of the right half, by part; `both_sides` mirrors them.
UPPER_LIP = (185, 40, 39, 37, 0, 184, 74, 73, 72, 11, 183, 42, 41, 38, 12, 191, 80, 81, 82, 13)
LOWER_LIP = (146, 91, 181, 84, 17, 77, 90, 180, 85, 16, 96, 89, 179, 86, 15, 95, 88, 178, 87, 14)
LIP_CORNER = (61, 76, 62, 78)
UPPER_LID = (246, 161, 160, 159, 158, 157, 173)
LOWER_LID = (7, 163, 144, 145, 153, 154, 155)
OUTER_LIP = (61, 185, 40, 39, 37, 0, 146, 91, 181, 84, 17)

# Unit -> units whose response to it is not counted as cross-talk, with the reason. One-way: cause -> effect.
RELATED: dict[str, dict[str, str]] = {
    "AU02": {"AU01": "one muscle (frontalis); 2 alone lifts the inner brow too (FACS 1+2)"},
    "AU06": {
        "AU07": "one muscle (orbicularis oculi); FACS: 6 pushes the lower lid up",
        "AU45": "FACS: 6 narrows the opening of the eye",
    },
    "AU07": {"AU45": "CANDIDE's full 7 closes the eye: the same 8.2 mm as its blink"},
    "AU45": {"AU07": "CANDIDE's blink raises the lower lid"},
    "AU09": {"AU10": "one muscle group (levator labii); FACS: 9 raises the upper lip"},
    "AU12": {"AU06": "FACS: 12 raises the cheek and the infraorbital triangle", "AU20": "FACS: both widen the mouth"},
    "AU14": {"AU12": "FACS: both pull the corners back", "AU20": "FACS: both stretch the mouth"},
    "AU20": {
        "AU12": "FACS: both widen the mouth",
        "AU14": "FACS: both pull the corners back",
        "AU23": "the displacement halves the lips' height, which is 23's sign",
    },
    "AU26": {"AU25": "the displacement parts the lips by 26 mm; FACS scores 25+26"},
}


@cache
def canonical() -> np.ndarray:
    """[K, 3] the canonical face, cm."""
    return np.loadtxt(MESH_CSV, delimiter=",", skiprows=1)


@cache
def mirror() -> np.ndarray:
    """[K] index of each landmark's mirror image."""
    mesh = canonical()
    return np.linalg.norm((mesh * [-1, 1, 1])[:, None] - mesh[None], axis=2).argmin(axis=1)


def both_sides(indices: tuple[int, ...]) -> list[int]:
    """The landmarks and their mirror images."""
    return sorted({*indices, *(int(mirror()[i]) for i in indices)})


@cache
def _candide() -> tuple[np.ndarray, list[tuple[int, int, int]], dict[str, dict[int, np.ndarray]]]:
    raw = json.loads((DATA / "candide3_units.json").read_text())
    units = {
        name: {int(v): np.array(d) for v, d in unit["displacements"].items()} for name, unit in raw["units"].items()
    }
    return np.array(raw["vertices"]), [tuple(t) for t in raw["triangles"]], units


@cache
def _candide_places() -> np.ndarray:
    """[113, 3] every CANDIDE vertex's place on the canonical mesh (corresponding ones exactly, others by a warp)."""
    vertices, _, _ = _candide()
    mesh = canonical()
    anchors = {vertex: mesh[list(where)].mean(axis=0) for vertex, where in CORRESPONDENCE.items()}
    flipped = np.linalg.norm((vertices * [-1, 1, 1])[:, None] - vertices[None], axis=2).argmin(axis=1)
    for vertex in list(anchors):
        anchors.setdefault(int(flipped[vertex]), anchors[vertex] * [-1, 1, 1])
    known = sorted(anchors)
    warp = RBFInterpolator(
        vertices[known], np.array([anchors[v] for v in known]), kernel="thin_plate_spline", smoothing=1e-3
    )
    places = warp(vertices)
    places[known] = [anchors[v] for v in known]
    return places


@cache
def _scale() -> tuple[np.ndarray, np.ndarray]:
    """Centimetres of the canonical mesh per CANDIDE unit, [3]: of the face, and of the eyes.

    The face's by its own proportions (distance of the outer eye corners; eyes to mouth; the smaller for depth); the
    eyes' height by the palpebral aperture, so that a closed eye is closed and does not cross over.
    """
    vertices, _, _ = _candide()
    mesh = canonical()
    across = (mesh[263, 0] - mesh[33, 0]) / (vertices[20, 0] - vertices[53, 0])
    down = (mesh[263, 1] - mesh[291, 1]) / (vertices[20, 1] - vertices[31, 1])
    lids = (mesh[386, 1] - mesh[374, 1]) / (vertices[21, 1] - vertices[22, 1])
    return np.array([across, down, across]), np.array([across, lids, lids])


def _blend(point: np.ndarray, corners: np.ndarray) -> tuple[np.ndarray, float]:
    """Barycentric weights [3] of the point of the triangle [3, 2] nearest to `point` [2], and its distance."""
    from scipy.optimize import nnls

    heavy = 1e3  # the weights' sum is a constraint, met by weight
    system = np.vstack([corners.T, np.full(3, heavy)])
    # SciPy 1.15, the newest for Python 3.10, gives up after 9 steps by default, too early for points far outside.
    weights, _ = nnls(system, np.append(point, heavy), maxiter=10_000)
    weights /= weights.sum()
    return weights, float(np.linalg.norm(weights @ corners - point))


@cache
def _weights() -> np.ndarray:
    """[K, 113] how much of each CANDIDE vertex's motion each landmark gets."""
    _, triangles, _ = _candide()
    places, mesh = _candide_places()[:, :2], canonical()[:, :2]
    inner = {87, 40, 81, 82, 83, 84, 88, 89}
    lips = {name: [t for t in triangles if set(t) <= part] for name, part in
            (("upper", CANDIDE_UPPER_LIP), ("lower", CANDIDE_LOWER_LIP))}  # fmt: skip
    lids = {v for contour in (*CANDIDE_UPPER_LID, *CANDIDE_LOWER_LID) for v in contour[1:-1]}
    skin = [t for t in triangles if not set(t) & CANDIDE_EYEBALL and not set(t) & inner]
    parts = dict.fromkeys(both_sides(UPPER_LIP), lips["upper"]) | dict.fromkeys(both_sides(LOWER_LIP), lips["lower"])
    weights = np.zeros((len(mesh), len(places)))
    for i, point in enumerate(mesh):
        best = min(((*_blend(point, places[list(t)]), t) for t in parts.get(i, skin)), key=lambda found: found[1])
        weights[i, list(best[2])] = best[0]
    for i in both_sides(LIP_CORNER):  # the corner belongs to both lips: outer contour or inner, by nearness
        left = i in {291, 306, 292, 308}
        outer, inside = (31, 88) if left else (64, 89)
        ends = places[[outer, inside], 0]
        share = float(np.clip((mesh[i, 0] - ends[0]) / (ends[1] - ends[0]), 0, 1))
        weights[i] = 0
        weights[i, [outer, inside]] = 1 - share, share
    for contours, landmarks in ((CANDIDE_UPPER_LID, UPPER_LID), (CANDIDE_LOWER_LID, LOWER_LID)):
        for i in both_sides(landmarks):
            contour = list(contours[0] if mesh[i, 0] > 0 else contours[1])
            contour.sort(key=lambda v: places[v, 0])
            weights[i] = [
                np.interp(mesh[i, 0], places[contour, 0], [v == c for c in contour]) for v in range(len(places))
            ]
    # Landmarks of the lids' folds and beyond must not take part in the lids' own motion through a shared triangle.
    apart = [i for i in range(len(mesh)) if i not in {*both_sides(UPPER_LID), *both_sides(LOWER_LID)}]
    columns = sorted(lids)
    weights[np.ix_(apart, columns)] = 0
    return weights


def _carried(unit: str) -> np.ndarray:
    vertices, _, units = _candide()
    face, eyes = _scale()
    motion = np.zeros_like(vertices)
    for vertex, displacement in units[unit].items():
        motion[vertex] = displacement * (eyes if unit in {"AU05", "AU07", "AU45"} else face)
    return _weights() @ motion


def _described(unit: str) -> np.ndarray:
    raw = json.loads((DATA / "facs_displacements.json").read_text())
    given, mesh = raw["units"][unit], canonical()
    motion = {i: np.zeros(3) for i in both_sides((*raw["still_everywhere"], *given["still"]))}
    for name, (outward, up, forward) in given["displacements"].items():
        i = int(name)
        side = np.sign(mesh[i, 0])
        motion[i] = np.array([outward * side, up, forward])
        motion[int(mirror()[i])] = np.array([-outward * side, up, forward])
    lids = {"upper": both_sides(UPPER_LID), "lower": both_sides(LOWER_LID)}
    lips = {"upper": both_sides(UPPER_LIP), "lower": both_sides(LOWER_LIP)}
    inner_parts = {i for part in (*lids.values(), *lips.values()) for i in part}
    out = np.zeros_like(mesh)
    corners = {"lip": both_sides(LIP_CORNER), "eye": both_sides((33, 133))}
    skin = [i for i in range(len(mesh)) if i not in inner_parts]
    for members, ends in [(p, corners["lip"]) for p in lips.values()] + [(p, corners["eye"]) for p in lids.values()]:
        known = [i for i in {*members, *ends} if i in motion]
        moved = any(np.any(motion[i]) for i in known)
        out[members] = _interpolate(mesh, {i: motion[i] for i in known}, members) if moved else 0
    rim = {i: out[i] for i in (*both_sides(OUTER_LIP), *lids["upper"], *lids["lower"]) if i in inner_parts}
    out[skin] = _interpolate(mesh, {**rim, **{i: d for i, d in motion.items() if i not in inner_parts}}, skin)
    return out


def _interpolate(mesh: np.ndarray, motion: dict[int, np.ndarray], targets: list[int]) -> np.ndarray:
    known = sorted(motion)
    field = RBFInterpolator(mesh[known, :2], np.array([motion[i] for i in known]), kernel="linear")
    return field(mesh[targets, :2])


@cache
def displacement(unit: str) -> np.ndarray:
    """[K, 3] cm: the unit at full strength on the canonical face, symmetric."""
    field = _carried(unit) if unit in _candide()[2] else _described(unit)
    return (field + field[mirror()] * [-1, 1, 1]) / 2


def _local_scale(points: np.ndarray, centre: np.ndarray, radius: float, factors: tuple[float, float]) -> np.ndarray:
    offset = points[:, :2] - centre
    window = np.exp(-0.5 * (offset**2).sum(axis=1, keepdims=True) / radius**2)
    return np.pad(window * offset * (np.array(factors) - 1), ((0, 0), (0, 1)))


def shaped(points: np.ndarray, shape: str) -> np.ndarray:
    """The points [K, 3] (neutral or moved) on another person's face: displacements are scaled with the shape."""
    if shape == "canonical":
        return points
    whole, eyes, mouth = {
        "long": ((0.90, 1.10, 1.02), (0.92, 1.20), (0.88, 1.12)),
        "wide": ((1.10, 0.94, 0.96), (1.12, 0.90), (1.10, 1.15)),
    }[shape]
    out = points.copy()
    for side in (-1, 1):
        out = out + _local_scale(points, np.array([side * 3.15, 2.6]), 1.6, eyes)
    out = out + _local_scale(points, np.array([0.0, -4.3]), 2.2, mouth)
    return out * whole


def random_person(points: np.ndarray, seed: int) -> np.ndarray:
    """The points [K, 3] on a face of random proportions (6 % each way) with six random bumps of some millimetres."""
    rng = np.random.default_rng(seed)
    proportions = rng.normal(1, 0.06, 3)
    centres, bumps = canonical()[rng.integers(0, 468, 6)], rng.normal(0, 0.25, (6, 3))
    out = points.copy()
    for centre, bump in zip(centres, bumps):
        for side in (1, -1):
            window = np.exp(-0.5 * ((points - centre * [side, 1, 1]) ** 2).sum(axis=1) / 2.5**2)
            out = out + window[:, None] * bump * [side, 1, 1]
    return out * proportions


def rotation(pitch: float, yaw: float, roll: float = 0.0) -> np.ndarray:
    """[3, 3] head rotation in degrees: pitch up, yaw to the person's left, roll clockwise in the image positive."""
    p, y, r = np.radians([-pitch, yaw, -roll])
    about_x = np.array([[1, 0, 0], [0, np.cos(p), -np.sin(p)], [0, np.sin(p), np.cos(p)]])
    about_y = np.array([[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]])
    about_z = np.array([[np.cos(r), -np.sin(r), 0], [np.sin(r), np.cos(r), 0], [0, 0, 1]])
    return about_z @ about_y @ about_x


def photograph(points: np.ndarray, turn: np.ndarray, camera: str = "weak", face_pixels: float = 256.0) -> np.ndarray:
    """[478, 3] landmarks in FaceMesh's pixels of the face [K, 3] turned by [3, 3].

    "weak": weak perspective. "perspective": focal length 1.5 image widths, the face filling 40 % of the width; depth
    stays on the scale of the face's centre, as FaceMesh gives it.
    """
    irises = []
    for corners, ring in (((33, 133), -1), ((263, 362), 1)):
        centre = points[list(corners)].mean(axis=0)
        irises += [centre] + [centre + 0.59 * np.array(d) for d in ((ring, 0, 0), (0, 1, 0), (-ring, 0, 0), (0, -1, 0))]
    turned = np.vstack([points, irises]) @ turn.T
    scale = face_pixels / np.ptp(points[:, 0])
    if camera == "perspective":
        focal = 1.5 * face_pixels / 0.4
        distance = focal / scale
        near = focal / (distance - turned[:, 2:])
        pixels = np.hstack([turned[:, :2] * [1, -1] * near, -turned[:, 2:] * scale])
        return pixels + np.array([face_pixels, face_pixels, 0.0])
    return turned * [scale, -scale, -scale] + [face_pixels, face_pixels, 0]
