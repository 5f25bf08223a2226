"""What shows through the openings of the face: eyeballs under their lids, teeth and tongue between the lips."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from emotion_llama.records import Float
from merr_synth.render import head
from merr_synth.render.camera import Patch
from merr_synth.render.people import Person
from merr_synth.render.setting import Light

_FINE = 4  # openings are drawn so much larger and averaged
_BITS = 4
_IRIS_CM = 0.56  # the visible iris is 11.7 mm wide in nearly everybody; the canonical face is a little small
_FOLLOW = 0.5
_WHITE = np.array([232, 226, 222], np.float32)


class _Fine:
    """An enlarged piece of the patch around some points."""

    def __init__(self, patch: Patch, points_px: Float, margin_px: float) -> None:
        box = patch.box_of(points_px, margin_px)
        self.is_visible = box is not None
        self.box = x1, y1, x2, y2 = box or (0, 0, 0, 0)
        self.shape = ((y2 - y1) * _FINE, (x2 - x1) * _FINE)

    def at(self, points_px: Float) -> Float:
        """Pixels of the patch -> pixels of the piece."""
        return np.asarray((points_px[..., :2] - self.box[:2] + 0.5) * _FINE - 0.5)

    def fixed(self, points_px: Float) -> npt.NDArray[np.int32]:
        """The same in cv2's fixed-point form."""
        return np.asarray(np.round(self.at(points_px) * (1 << _BITS)), np.int32)

    def mask(self, polygon_px: Float) -> Float:
        """[h, w] 0..1."""
        import cv2

        out = np.zeros(self.shape, np.float32)
        cv2.fillPoly(out, [self.fixed(polygon_px)], (1.0,), cv2.LINE_8, shift=_BITS)
        return out

    def small(self, values: Float) -> Float:
        """The piece in the patch's own size."""
        import cv2

        x1, y1, x2, y2 = self.box
        return np.asarray(cv2.resize(values, (x2 - x1, y2 - y1), interpolation=cv2.INTER_AREA))


def draw_eyes(patch: Patch, person: Person, face: Float, light: Light) -> None:
    """Eyeballs, irises and the lashes' line."""
    for right in (True, False):
        upper, lower = (
            face[[p if right else head.mirrored(p) for p in lid]]
            for lid in (head.RIGHT_UPPER_LID, head.RIGHT_LOWER_LID)
        )
        _draw_eye(patch, person, upper, lower, light)


def _draw_eye(patch: Patch, person: Person, upper: Float, lower: Float, light: Light) -> None:
    import cv2

    up, low = _smooth(patch.project(upper)), _smooth(patch.project(lower))
    rim = np.concatenate([up, low[::-1]])
    fine = _Fine(patch, rim, 0.35 * patch.scale)
    if not fine.is_visible:
        return
    opening = fine.mask(rim)
    corners = (upper[0] + upper[-1]) / 2
    # Where the lids move together the eye looks out between them: half of their way is the iris's.
    follow = _FOLLOW * (0.5 * (upper[2:-2, 1].mean() + lower[2:-2, 1].mean()) - corners[1])
    gaze = np.array([0.7 * patch.view.gaze[0], 0.32 * patch.view.gaze[1] + follow, 0.0])
    centre = patch.project(corners + gaze + [0.0, 0.03, 0.2])
    ball = _eyeball(fine, person, centre, patch.scale, opening, light)
    # The lashes stand on the rim of the upper lid; they are thickest outside and hide the rim's edge.
    lash = np.zeros(fine.shape, np.float32)
    width = max(1, round(0.15 * person.lashes * patch.scale * _FINE))
    cv2.polylines(lash, [fine.fixed(up)], False, (1.0,), width, cv2.LINE_8, shift=_BITS)
    wet = np.zeros(fine.shape, np.float32)
    width = max(1, round(0.05 * patch.scale * _FINE))
    cv2.polylines(wet, [fine.fixed(low)], False, (1.0,), width, cv2.LINE_8, shift=_BITS)
    bright = light.ambient + 0.5 * light.strength
    dark = np.array(person.skin, np.float32) * 0.12 * bright
    pink = np.array(person.skin, np.float32) * np.array([0.85, 0.62, 0.6], np.float32) * bright
    colour: Float = ball
    cover: Float = opening
    for tint, layer, strength in ((pink, wet, 0.5), (dark, lash, 0.55 + 0.35 * person.lashes)):
        share = (strength * layer)[..., None]
        colour = np.asarray(colour * (1 - share) + tint * share, np.float32)
        cover = np.asarray(np.maximum(cover, strength * layer), np.float32)
    patch.over_box(fine.box, fine.small(np.ascontiguousarray(colour, np.float32)), fine.small(cover))


def _smooth(points_px: Float) -> Float:
    """[33, 2] a lid's edge between its nine points."""
    t = np.linspace(0, 8, 33)
    index = np.clip(t.astype(int), 0, 7)
    f = (t - index)[:, None]
    padded = np.concatenate([2 * points_px[:1] - points_px[1:2], points_px, 2 * points_px[-1:] - points_px[-2:-1]])[
        :, :2
    ]
    p0, p1, p2, p3 = (padded[index + k] for k in range(4))
    # Catmull-Rom: passes through the points, without corners.
    return np.asarray(
        0.5 * (2 * p1 + (p2 - p0) * f + (2 * p0 - 5 * p1 + 4 * p2 - p3) * f**2 + (3 * p1 - p0 - 3 * p2 + p3) * f**3)
    )


def _eyeball(fine: _Fine, person: Person, centre_px: Float, scale: float, opening: Float, light: Light) -> Float:
    """[h, w, 3] white, iris, pupil and glint, in the shade of the upper lid."""
    import cv2

    cx, cy = fine.at(centre_px)
    pixel = scale * _FINE
    y, x = np.ogrid[0 : fine.shape[0], 0 : fine.shape[1]]
    away = np.hypot((x - cx), (y - cy)) / pixel

    def disc(radius: float, soft: float = 0.05) -> Float:
        return np.asarray(np.clip((radius - away) / soft + 0.5, 0, 1), np.float32)[..., None]

    iris = np.array(person.eyes, np.float32)
    ball = np.broadcast_to(_WHITE, (*fine.shape, 3)) * (1 - 0.18 * np.clip(away - 0.5, 0, 1)[..., None])
    ball = ball + (iris * 0.45 - ball) * disc(_IRIS_CM)
    ball = ball + (iris * 1.15 - ball) * disc(_IRIS_CM * 0.85, 0.12)
    ball = ball + (np.array([12, 9, 9], np.float32) - ball) * disc(_IRIS_CM * 0.42)
    # The lid's own shadow: what lies just below the upper rim is darker.
    drop = max(1, round(0.22 * pixel))
    shifted = np.zeros_like(opening)
    shifted[drop:] = opening[:-drop]
    shadow = 0.6 + 0.4 * cv2.blur(shifted, (drop | 1, drop | 1))
    bright = light.ambient + 0.55 * light.strength
    ball = ball * (shadow * bright)[..., None] * np.asarray(light.colour, np.float32)
    side = 0.17 * np.sign(light.direction[0] or 1.0)
    glint = np.hypot(x - cx - side * pixel, y - cy + 0.2 * pixel) / pixel
    spark = np.clip((0.09 - glint) / 0.05 + 0.5, 0, 1)[..., None]
    return np.asarray(ball + (245.0 - ball) * spark, np.float32)


def draw_mouth(patch: Patch, person: Person, face: Float, light: Light) -> None:
    """The dark inside with teeth and tongue, and the line between closed lips."""
    import cv2

    upper, lower = face[list(head.UPPER_LIP_ROWS[-1])], face[list(head.LOWER_LIP_ROWS[-1])]
    up, low = patch.project(upper), patch.project(lower)
    rim = np.concatenate([up, low[::-1]])
    fine = _Fine(patch, rim, 0.3 * patch.scale)
    if not fine.is_visible:
        return
    opening = fine.mask(rim)
    bright = np.float32(light.ambient + 0.5 * light.strength)
    inside = np.broadcast_to(np.array([58, 18, 20], np.float32), (*fine.shape, 3)) * bright
    corners, middle = (face[78] + face[308]) / 2, face[13]
    # The upper teeth belong to the skull: the lip uncovers them by rising; the lower ones go with the jaw.
    teeth = _teeth(patch, fine, corners, min(middle[1] - 0.15, face[2][1] - 1.55) - 0.35, 0.85)
    tongue = fine.mask(patch.project(_ellipse(lower[5] + [0, -0.1, -0.8], 1.1, 0.5)))
    inside = inside + (np.array([150, 72, 72], np.float32) * bright - inside) * (0.8 * tongue)[..., None]
    inside = inside + (np.array([226, 220, 206], np.float32) * bright - inside) * teeth[..., None]
    gap = np.clip((up[5, 1] - low[5, 1]) / -(0.35 * patch.scale), 0, 1)
    depth = cv2.blur(opening, (2 * _FINE + 1, 2 * _FINE + 1))
    inside = inside * (0.55 + 0.45 * depth)[..., None] * np.asarray(light.colour, np.float32)
    seam = np.zeros(fine.shape, np.float32)
    width = max(1, round(0.09 * patch.scale * _FINE))
    cv2.polylines(seam, [fine.fixed(up)], False, (1.0,), width, cv2.LINE_8, shift=_BITS)
    dark = np.array(person.lips, np.float32) * 0.34 * bright
    strength = (0.85 - 0.35 * gap) * seam
    colour = inside * (1 - strength[..., None]) + dark * strength[..., None]
    patch.over_box(
        fine.box, fine.small(np.ascontiguousarray(colour, np.float32)), fine.small(np.maximum(opening, strength))
    )


def _teeth(patch: Patch, fine: _Fine, corners: Float, bottom: float, height: float) -> Float:
    x = np.linspace(-1.55, 1.55, 15)
    curve = 0.16 * (x / 1.55) ** 2
    z = corners[2] + 0.55 - 0.5 * (x / 1.55) ** 2
    low = np.stack([x, bottom + curve, z], axis=1)
    high = np.stack([x, bottom + height + 0 * x, z], axis=1)
    mask = fine.mask(patch.project(np.concatenate([low, high[::-1]])))
    import cv2

    for at in np.linspace(-1.25, 1.25, 8):
        line = np.array([[at, bottom, corners[2] + 0.55], [at, bottom + height, corners[2] + 0.55]])
        cv2.polylines(mask, [fine.fixed(patch.project(line))], False, (0.8,), 1, cv2.LINE_8, shift=_BITS)
    return mask


def _ellipse(centre: Float, rx: float, ry: float) -> Float:
    t = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    return np.asarray(centre + np.stack([rx * np.cos(t), ry * np.sin(t), 0 * t], axis=1))
