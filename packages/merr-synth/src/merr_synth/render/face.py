"""Draws a face whose every landmark is known, from the canonical mesh and cv2 polygons.

The mesh (468 vertices) and its triangles are MediaPipe's canonical face model (Apache-2.0), in `face/data`. Coordinates
of the head: centimetres, x to the person's left (right in the picture), y up, z towards the camera. Projection is weak
perspective: one scale for the whole face. Everything is a function of its arguments: same arguments, same pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from emotion_llama.face.geometry import canonical_mesh
from emotion_llama.records import Float, UInt8

Colour = tuple[int, int, int]  # RGB

MESH_WIDTH_CM = 15.486  # cheek to cheek, canonical mesh
_SUBPIXEL_BITS = 4
_SUPERSAMPLE = 2  # drawn at twice the size and averaged: edges move by less than a pixel
_LIGHT = np.array([0.25, 0.45, 0.86])  # towards the light: above, a little to the person's left

_RIGHT_EYE = (33, 7, 163, 144, 145, 153, 154, 155, 133, 173, 157, 158, 159, 160, 161, 246)
_LEFT_EYE = (263, 249, 390, 373, 374, 380, 381, 382, 362, 398, 384, 385, 386, 387, 388, 466)
_INNER_LIPS = (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308, 415, 310, 311, 312, 13, 82, 81, 80, 191)
_UPPER_INNER_LIP = (78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308)
_OUTER_LIPS = (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 409, 270, 269, 267, 0, 37, 39, 40, 185)
_BROWS = ((70, 63, 105, 66, 107, 55, 65, 52, 53, 46), (300, 293, 334, 296, 336, 285, 295, 282, 283, 276))
_NOSTRILS = ((20, 79, 166, 60), (250, 309, 392, 290))  # under the wings of the nose
_OVAL = (
    10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377,
    152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109,
)  # fmt: skip
_IRIS_RADIUS_CM = 0.6  # the visible iris is 11.7 mm wide in nearly everybody


@dataclass(frozen=True)
class Identity:
    """How one drawn person looks. `proportions` stretch the mesh in width, height and depth.

    `eye_spacing` and `jaw_width` stretch the eye region and the part below the mouth sideways.
    """

    skin: Colour = (224, 178, 150)
    hair: Colour = (62, 42, 30)
    eyes: Colour = (84, 62, 44)
    lips: Colour = (186, 96, 92)
    clothes: Colour = (52, 78, 122)
    proportions: tuple[float, float, float] = (1.0, 1.0, 1.0)
    eye_spacing: float = 1.0
    jaw_width: float = 1.0


ANNA = Identity()
BEN = Identity((150, 104, 76), (18, 16, 16), (40, 26, 18), (134, 72, 66), (196, 186, 160), (1.04, 0.95, 1.0), 1.04, 1.1)
CLEO = Identity(
    (240, 205, 186), (176, 122, 58), (76, 112, 140), (204, 110, 112), (128, 36, 48), (0.94, 1.05, 1.0), 0.97, 0.93
)
DREW = Identity(
    (196, 146, 110), (116, 112, 110), (70, 88, 66), (160, 92, 84), (44, 96, 70), (1.0, 1.04, 1.06), 0.96, 1.05
)


@dataclass(frozen=True)
class Placement:
    """Where a face is in the frame.

    Attributes:
        center_xy: picture position of the head's origin (between the eyes and the mouth), pixels.
        width_px: cheek-to-cheek width of the canonical face seen from the front, pixels.
        rotation_degrees: pitch (up +), yaw (to the person's left +), roll (clockwise in the picture +).
        gaze: where the irises are within the eyes, -1..1 right and up in the picture.
    """

    center_xy: tuple[float, float]
    width_px: float
    rotation_degrees: tuple[float, float, float] = (0.0, 0.0, 0.0)
    gaze: tuple[float, float] = (0.0, 0.0)


class DrawnFace(NamedTuple):
    """One face of a frame: who, where, and the mesh displacement [468, 3] in cm (None: neutral)."""

    identity: Identity
    placement: Placement
    displacement_cm: Float | None = None


class Rendered(NamedTuple):
    """image [H, W, 3] uint8 and, for each face, the true landmarks [468, 3] in pixels (z: camera negative)."""

    image: UInt8
    landmarks: tuple[Float, ...]


@lru_cache(maxsize=1)
def canonical_triangles() -> npt.NDArray[np.int64]:
    """[852, 3] vertex numbers of the mesh's triangles; the eyes and the mouth are holes (read-only)."""
    text = resources.files("emotion_llama.face").joinpath("data/mesh_triangles.csv").read_text("ascii")
    triangles = np.loadtxt(text.splitlines(), np.int64, delimiter=",", skiprows=1)
    triangles.flags.writeable = False
    return triangles


def rotation_matrix(pitch: float, yaw: float, roll: float) -> Float:
    """[3, 3] head rotation for angles in degrees: pitch first, then yaw, then roll."""
    p, y, r = np.radians([pitch, yaw, roll])
    about_x = np.array([[1, 0, 0], [0, np.cos(p), np.sin(p)], [0, -np.sin(p), np.cos(p)]])
    about_y = np.array([[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]])
    about_z = np.array([[np.cos(r), np.sin(r), 0], [-np.sin(r), np.cos(r), 0], [0, 0, 1]])
    return np.asarray(about_z @ about_y @ about_x)


def shape_of(identity: Identity) -> Float:
    """[468, 3] the neutral mesh of a person, cm."""
    vertices: Float = canonical_mesh() * np.asarray(identity.proportions)
    at_eyes = np.exp(-(((vertices[:, 1] - 2.5) / 1.6) ** 2))
    at_jaw = 1.0 / (1.0 + np.exp((vertices[:, 1] + 4.0) * 1.5))
    vertices[:, 0] *= 1.0 + (identity.eye_spacing - 1.0) * at_eyes + (identity.jaw_width - 1.0) * at_jaw
    return vertices


def jaw_drop(gap_cm: float) -> Float:
    """[468, 3] displacement that lowers the jaw so that the lips part by `gap_cm` more, fading towards the cheeks."""
    x, y, _ = canonical_mesh().T
    upper_lip, lower_lip = (float(y[i]) for i in (13, 14))  # inner rims, midline
    below = np.clip((upper_lip - y) / (upper_lip - lower_lip), 0.0, 1.0)
    # The lower lip and the chin go down in full; towards the cheeks the skin stretches.
    sideways = np.clip(1.35 - np.abs(x) / 4.5, 0.0, 1.0)
    return np.stack([np.zeros_like(x), -gap_cm * below * sideways, np.zeros_like(x)], axis=1)


def render(size: tuple[int, int], faces: Sequence[DrawnFace], background: Colour | UInt8 = (96, 108, 116)) -> Rendered:
    """Draws `faces` in the order given (the last one is in front) on a `size` = (width, height) picture.

    Args:
        size: width and height, pixels.
        faces: who is where.
        background: one colour, or a picture [H, W, 3] of the right size.
    """
    width, height = size
    image = np.empty((height, width, 3), np.uint8)
    image[:] = background if isinstance(background, np.ndarray) else np.full((1, width, 3), background, np.uint8)
    return Rendered(image, tuple(_draw(image, face) for face in faces))


class _Canvas:
    """The part of a picture around one head, enlarged; takes head coordinates in cm."""

    def __init__(self, image: UInt8, placement: Placement) -> None:
        import cv2

        self._cv2, self._image, self._placement = cv2, image, placement
        self._rotation = rotation_matrix(*placement.rotation_degrees)
        self._scale = placement.width_px / MESH_WIDTH_CM
        x, y, reach = *placement.center_xy, 1.6 * placement.width_px
        self._x1, self._x2 = np.clip([int(x - reach), int(x + reach)], 0, image.shape[1])
        self._y1, self._y2 = np.clip([int(y - reach), image.shape[0]], 0, image.shape[0])
        crop = image[self._y1 : self._y2, self._x1 : self._x2]
        self.is_visible = crop.size > 0
        if self.is_visible:
            self.pixels = cv2.resize(crop, None, fx=_SUPERSAMPLE, fy=_SUPERSAMPLE, interpolation=cv2.INTER_NEAREST)

    def rotate(self, points_cm: Float) -> Float:
        """[..., 3] head coordinates -> camera directions, cm."""
        return np.asarray(points_cm @ self._rotation.T)

    def project(self, points_cm: Float) -> Float:
        """[..., 3] head coordinates -> x, y, z in pixels of the whole picture."""
        return np.asarray(self.rotate(points_cm) * [1, -1, -1] * self._scale + [*self._placement.center_xy, 0.0])

    def fixed_point(self, points_px: Float) -> npt.NDArray[np.int32]:
        """[..., 2+] picture pixels -> canvas pixels in cv2's fixed-point form."""
        inside = (points_px[..., :2] - [self._x1, self._y1] + 0.5) * _SUPERSAMPLE - 0.5
        return np.asarray(np.round(inside * (1 << _SUBPIXEL_BITS)), np.int32)

    def polygon(self, points_cm: Float, colour: Colour) -> None:
        """Fills a polygon given in head coordinates."""
        self._fill(self.project(points_cm), colour)

    def upright_polygon(self, points_cm: Float, colour: Colour) -> None:
        """Fills a polygon that stays upright when the head turns."""
        self._fill(points_cm * [1, -1, -1] * self._scale + [*self._placement.center_xy, 0.0], colour)

    def _fill(self, points_px: Float, colour: Colour) -> None:
        self._cv2.fillPoly(self.pixels, [self.fixed_point(points_px)], colour, shift=_SUBPIXEL_BITS)

    def line(self, points_cm: Float, colour: Colour, thickness_cm: float) -> None:
        """Draws an open line given in head coordinates."""
        thickness = max(1, round(thickness_cm * self._scale * _SUPERSAMPLE))
        points = self.fixed_point(self.project(points_cm))
        self._cv2.polylines(self.pixels, [points], False, colour, thickness, shift=_SUBPIXEL_BITS)

    def disc(self, center_cm: Float, radius_cm: float, colour: Colour) -> None:
        """Fills a circle that faces the camera."""
        x, y = self.fixed_point(self.project(center_cm)).tolist()
        radius = round(radius_cm * self._scale * _SUPERSAMPLE * (1 << _SUBPIXEL_BITS))
        self._cv2.circle(self.pixels, (x, y), radius, colour, -1, shift=_SUBPIXEL_BITS)

    def soften(self, points_cm: Float, radius_cm: float) -> None:
        """Blurs what is drawn around `points_cm`: skin has no edges between its triangles."""
        points = self.fixed_point(self.project(points_cm)) >> _SUBPIXEL_BITS
        (x1, y1), (x2, y2) = np.clip([points.min(0), points.max(0)], 0, None)
        area = self.pixels[y1:y2, x1:x2]
        if area.size:
            area[:] = self._cv2.GaussianBlur(area, (0, 0), radius_cm * self._scale * _SUPERSAMPLE)

    def put_back(self) -> None:
        """Writes the canvas into the picture."""
        size = (int(self._x2 - self._x1), int(self._y2 - self._y1))
        small = self._cv2.resize(self.pixels, size, interpolation=self._cv2.INTER_AREA)
        self._image[self._y1 : self._y2, self._x1 : self._x2] = small


def _draw(image: UInt8, face: DrawnFace) -> Float:
    vertices = shape_of(face.identity)
    if face.displacement_cm is not None:
        vertices = vertices + face.displacement_cm
    canvas = _Canvas(image, face.placement)
    landmarks = canvas.project(vertices)
    if canvas.is_visible:
        _draw_body(canvas, face.identity)
        _draw_openings(canvas, vertices, face)
        _draw_skin(canvas, vertices, face.identity)
        _draw_details(canvas, vertices, face.identity)
        canvas.put_back()
    return landmarks


def _draw_body(canvas: _Canvas, identity: Identity) -> None:
    width, height, _ = identity.proportions
    shoulders = np.array([[-4, -7, -6], [-6, -11, -6], [-17, -14, -6], [-20, -60, -6]], float)
    canvas.upright_polygon(_mirrored(shoulders), identity.clothes)
    neck = np.array([[-4.6, -3, -5], [-4.6, -11, -5], [-1.5, -13, -5]], float)
    canvas.upright_polygon(_mirrored(neck) * [width, 1, 1], _shade(identity.skin, 0.62))
    angles = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    skull = np.stack([8.9 * np.cos(angles), 10.2 * np.sin(angles) + 2.2, np.full(40, -5.0)], axis=1)
    canvas.polygon(skull * [width, height, 1], identity.hair)
    crown = np.stack([8.3 * np.cos(angles), 6.8 * np.sin(angles) + 6.6, np.full(40, 1.0)], axis=1)
    canvas.polygon(crown * [width, height, 1], identity.hair)


def _draw_openings(canvas: _Canvas, vertices: Float, face: DrawnFace) -> None:
    """Eyeballs and the inside of the mouth: the skin drawn later leaves only the openings free."""
    for contour in (_RIGHT_EYE, _LEFT_EYE):
        rim = vertices[list(contour)]
        # Larger than the opening, so that no gap shows at the lids.
        canvas.polygon(rim.mean(0) + (rim - rim.mean(0)) * [1.05, 1.6, 1.0], (236, 232, 228))
        corners = vertices[[contour[0], contour[8]]].mean(0)
        gaze = np.array([*face.placement.gaze, 0.0]) * [0.75, 0.35, 0.0]
        center = corners + gaze + [0.0, 0.05, 0.25]
        canvas.disc(center, _IRIS_RADIUS_CM, _shade(face.identity.eyes, 0.75))
        canvas.disc(center, _IRIS_RADIUS_CM * 0.82, face.identity.eyes)
        canvas.disc(center, _IRIS_RADIUS_CM * 0.4, (12, 10, 10))
        canvas.disc(center + np.array([0.18, 0.2, 0.0]), 0.1, (250, 250, 250))
    canvas.polygon(vertices[list(_INNER_LIPS)], (70, 24, 26))
    upper = vertices[list(_UPPER_INNER_LIP)]
    canvas.polygon(np.concatenate([upper, upper[::-1] - [0, 0.55, 0]]), (232, 226, 214))  # upper teeth


def _draw_skin(canvas: _Canvas, vertices: Float, identity: Identity) -> None:
    import cv2

    triangles = canonical_triangles()
    camera = canvas.rotate(vertices)
    a, b, c = (camera[triangles[:, i]] for i in range(3))
    light = _smooth_over_vertices(0.55 + 0.5 * np.clip(_unit(np.cross(b - a, c - a)) @ _LIGHT, 0.0, 1.0))
    base = np.where(_lip_triangles()[:, None], np.array(identity.lips), np.array(identity.skin))
    colours = np.clip(base * light[:, None], 0, 255).astype(int).tolist()
    corners = canvas.fixed_point(canvas.project(vertices))[triangles]
    far_to_near = np.argsort((a + b + c)[:, 2])
    for i in far_to_near.tolist():
        cv2.fillConvexPoly(canvas.pixels, corners[i], colours[i], shift=_SUBPIXEL_BITS)


def _draw_details(canvas: _Canvas, vertices: Float, identity: Identity) -> None:
    canvas.soften(vertices, 0.12)
    for contour in (_RIGHT_EYE, _LEFT_EYE):
        canvas.line(vertices[list(contour[8:] + contour[:1])], _shade(identity.hair, 0.5), 0.13)  # upper lashes
        canvas.line(vertices[list(contour[:9])], _shade(identity.skin, 0.6), 0.06)
    for brow in _BROWS:
        canvas.polygon(vertices[list(brow)], _shade(identity.hair, 0.9))
    for nostril in _NOSTRILS:
        canvas.polygon(vertices[list(nostril)], _shade(identity.skin, 0.35))
    canvas.line(vertices[list(_UPPER_INNER_LIP)], _shade(identity.lips, 0.45), 0.07)


def _smooth_over_vertices(values: Float) -> Float:
    """[852] per triangle -> the same, averaged over the triangles that share a corner: no visible facets."""
    corners = canonical_triangles()
    total = np.bincount(corners.ravel(), np.repeat(values, 3))
    return np.asarray((total / np.bincount(corners.ravel()))[corners].mean(1))


def _unit(vectors: Float) -> Float:
    return np.asarray(vectors / (np.linalg.norm(vectors, axis=-1, keepdims=True) + 1e-9))


@lru_cache(maxsize=1)
def _lip_triangles() -> npt.NDArray[np.bool_]:
    """[852] triangles between the outer and the inner lip contour."""
    y_x = canonical_mesh()[:, :2]
    import cv2

    contour = y_x[list(_OUTER_LIPS)].astype(np.float32)
    centers = y_x[canonical_triangles()].mean(1)
    return np.array([cv2.pointPolygonTest(contour, (float(x), float(y)), False) > 0 for x, y in centers])


def _mirrored(right_side: Float) -> Float:
    """Closes an outline given for the right half only."""
    return np.concatenate([right_side, right_side[::-1] * [-1, 1, 1]])


def _shade(colour: Colour, factor: float) -> Colour:
    red, green, blue = (int(min(255, channel * factor)) for channel in colour)
    return red, green, blue
