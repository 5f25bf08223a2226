"""Where a head is in the picture, and the patch of the picture it is drawn on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from emotion_llama.records import Float
from merr_synth.render.face import MESH_WIDTH_CM, rotation_matrix


@dataclass(frozen=True)
class View:
    """Where a face is in the picture, and how it is turned.

    Attributes:
        position: picture position of the head's origin (between the eyes and the mouth), pixels.
        width_px: cheek-to-cheek width of the canonical face seen from the front, pixels.
        rotation_degrees: pitch (up +), yaw (to the person's left +), roll (clockwise in the picture +).
        gaze: where the irises are within the eyes, -1..1 right and up in the picture.
    """

    position: tuple[float, float]
    width_px: float
    rotation_degrees: tuple[float, float, float] = (0.0, 0.0, 0.0)
    gaze: tuple[float, float] = (0.0, 0.0)


class Patch:
    """The part of a picture around one head, transparent at first; takes head coordinates in cm.

    Attributes:
        colour, cover: what is drawn so far, [h, w, 3] 0..255 times cover, and [h, w] 0..1; float32.
        origin_xy: upper left pixel in the picture.
        size: width and height.
        scale: pixels a cm.
    """

    def __init__(self, view: View, box: tuple[int, int, int, int]) -> None:
        x1, y1, x2, y2 = box
        self.view, self.origin_xy, self.size = view, (x1, y1), (x2 - x1, y2 - y1)
        self.scale = view.width_px / MESH_WIDTH_CM
        self.rotation = rotation_matrix(*view.rotation_degrees)
        self.colour = np.zeros((self.size[1], self.size[0], 3), np.float32)
        self.cover = np.zeros((self.size[1], self.size[0]), np.float32)
        self._centre = np.array([view.position[0] - x1, view.position[1] - y1, 0.0])

    @classmethod
    def around(cls, view: View, size: tuple[int, int]) -> Patch:
        """The patch of a picture of `size` = (width, height) that a head, its hair and its shoulders can reach."""
        x, y, reach = *view.position, 2.0 * view.width_px
        x1, x2 = (int(v) for v in np.clip([x - reach, x + reach], 0, size[0]))
        y1 = int(np.clip(y - 1.3 * view.width_px, 0, size[1]))
        return cls(view, (x1, y1, x2, size[1]))

    @property
    def is_visible(self) -> bool:
        """Any part of the patch is inside the picture."""
        return min(self.size) > 0

    def rotate(self, points_cm: Float) -> Float:
        """[..., 3] head coordinates -> camera directions, cm."""
        return np.asarray(points_cm @ self.rotation.T)

    def project(self, points_cm: Float) -> Float:
        """[..., 3] head coordinates -> x, y (down), z (away from the camera), pixels of the patch."""
        return np.asarray(self.rotate(points_cm) * [self.scale, -self.scale, -self.scale] + self._centre)

    def upright(self, points_cm: Float) -> Float:
        """[..., 2] the same for what does not turn with the head."""
        return np.asarray(points_cm[..., :2] * [self.scale, -self.scale] + self._centre[:2])

    def over_box(self, box: tuple[int, int, int, int], colour: Float, cover: Float, multiplied: bool = False) -> None:
        """Lays a layer over a part of the patch.

        Args:
            box: x1, y1, x2, y2 of the part.
            colour: [h, w, 3] 0..255.
            cover: [h, w] 0..1.
            multiplied: `colour` is already multiplied by `cover`.
        """
        x1, y1, x2, y2 = box
        rest = 1 - cover
        below = self.colour[y1:y2, x1:x2]
        below *= rest[..., None]
        below += colour if multiplied else colour * cover[..., None]
        self.cover[y1:y2, x1:x2] = self.cover[y1:y2, x1:x2] * rest + cover

    def box_of(self, points_px: Float, margin_px: float = 2.0) -> tuple[int, int, int, int] | None:
        """x1, y1, x2, y2 of the visible part of the patch around points; None where there is none."""
        low, high = points_px[:, :2].min(axis=0) - margin_px, points_px[:, :2].max(axis=0) + margin_px
        x1, y1 = (int(v) for v in np.clip(np.floor(low), 0, self.size))
        x2, y2 = (int(v) for v in np.clip(np.ceil(high) + 1, 0, self.size))
        return (x1, y1, x2, y2) if x2 - x1 > 1 and y2 - y1 > 1 else None
