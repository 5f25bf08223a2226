"""What is not face: neck, shoulders and clothes, ears, the hair behind and beside the head, glasses."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from emotion_llama.records import Float
from merr_synth.render import head
from merr_synth.render.camera import Patch
from merr_synth.render.people import Glasses, Person
from merr_synth.render.setting import Light

_SPRITE = 10  # pixels a cm of the pictures below
_BITS = 4
# cm covered by a sprite: left, top, right, bottom around the head's origin
_BODY_BOX = (-30.0, -3.0, 30.0, -48.0)
_HAIR_BOX = (-15.0, 19.0, 15.0, -22.0)


def draw_behind(patch: Patch, person: Person, light: Light) -> None:
    """Hair behind the head, the body, the ears."""
    _draw_sprite(patch, _back_hair(person), light, turns=True)
    _draw_sprite(patch, _body(person), light, turns=False)
    if person.hair_style not in ("long", "bob", "scarf"):
        _draw_ears(patch, person, light)


def draw_before(patch: Patch, person: Person, face: Float, light: Light) -> None:
    """Locks beside the face, and glasses."""
    if person.hair_style in ("long", "bob"):
        _draw_sprite(patch, _locks(person), light, turns=True)
    if person.glasses is not None:
        _draw_glasses(patch, person.glasses, face, light)


class _Picture(NamedTuple):
    """pixels [h, w, 4] float32 (colour 0..255 times cover, cover 0..1) with the upper left corner at (left, top) cm."""

    pixels: Float
    left: float
    top: float


def _draw_sprite(patch: Patch, sprite: _Picture, light: Light, turns: bool) -> None:
    """Lays a picture that stands upright at the depth of the ears."""
    import cv2

    height, width = sprite.pixels.shape[:2]
    shift = patch.project(np.array([0.0, 0.0, -4.0]))[:2] if turns else patch.upright(np.zeros(2))
    roll = np.radians(patch.view.rotation_degrees[2]) if turns else 0.0
    step = patch.scale / _SPRITE
    turn = step * np.array([[np.cos(roll), -np.sin(roll)], [np.sin(roll), np.cos(roll)]])
    corner = turn @ np.array([sprite.left, -sprite.top]) * _SPRITE + shift
    corners = np.array([[0, 0], [width, 0], [0, height], [width, height]]) @ turn.T + corner
    x1, y1 = (int(v) for v in np.clip(np.floor(corners.min(axis=0)), 0, patch.size))
    x2, y2 = (int(v) for v in np.clip(np.ceil(corners.max(axis=0)) + 1, 0, patch.size))
    if width == 0 or x2 <= x1 or y2 <= y1:
        return
    placement = np.column_stack([turn, corner - [x1, y1]])
    placed = np.asarray(
        cv2.warpAffine(sprite.pixels, placement, (x2 - x1, y2 - y1), flags=cv2.INTER_LINEAR), np.float32
    )
    bright = (light.ambient + 0.5 * light.strength) * np.asarray(light.colour, np.float32)
    patch.over_box((x1, y1, x2, y2), placed[..., :3] * bright, placed[..., 3], multiplied=True)


class _Sprite:
    """A picture in centimetres, drawn polygon by polygon."""

    def __init__(self, box: tuple[float, float, float, float]) -> None:
        left, top, right, bottom = box
        self._left, self._top = left, top
        shape = (round((top - bottom) * _SPRITE), round((right - left) * _SPRITE))
        self.colour, self.cover = np.zeros((*shape, 3), np.float32), np.zeros(shape, np.float32)

    def at(self, points_cm: object) -> Float:
        return (np.asarray(points_cm, float) - [self._left, self._top]) * [_SPRITE, -_SPRITE]

    def mask(self, points_cm: object, soft_cm: float = 0.0) -> Float:
        import cv2

        out = np.zeros_like(self.cover)
        cv2.fillPoly(out, [np.round(self.at(points_cm) * 16).astype(np.int32)], (1.0,), cv2.LINE_AA, shift=_BITS)
        return np.asarray(cv2.GaussianBlur(out, (0, 0), soft_cm * _SPRITE) if soft_cm else out)

    def paint(self, mask: Float, colour: object) -> None:
        self.colour += (np.asarray(colour, np.float32) - self.colour) * mask[..., None]
        self.cover += (1 - self.cover) * mask

    def shade(self, mask: Float, factor: float) -> None:
        self.colour *= (1 + (factor - 1) * mask)[..., None]

    def done(self) -> _Picture:
        """What was painted, cut to its content."""
        rows, columns = (np.flatnonzero(self.cover.any(axis=axis)) for axis in (1, 0))
        if len(rows) == 0:
            return _Picture(np.zeros((0, 0, 4), np.float32), self._left, self._top)
        inside = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        cover = self.cover[inside]
        out = np.dstack([self.colour[inside] * cover[..., None], cover]).astype(np.float32)
        out.flags.writeable = False
        return _Picture(out, self._left + columns[0] / _SPRITE, self._top - rows[0] / _SPRITE)


def _pair(right: list[tuple[float, float]]) -> list[tuple[float, float]]:
    return right + [(-x, y) for x, y in right[::-1]]


@lru_cache(maxsize=64)
def _body(person: Person) -> _Picture:
    sprite, skin = _Sprite(_BODY_BOX), np.array(person.skin, np.float32)
    wide = person.proportions[0]
    neck = [(-4.9 * wide, -4.0), (-4.8 * wide, -9.0), (-5.2 * wide, -11.5), (-8.5, -13.6), (-8.5, -18.0)]
    sprite.paint(sprite.mask(_pair(neck)), skin * 0.82)
    sprite.shade(sprite.mask(_pair([(-5.2, -3.0), (-5.0, -9.2), (-2.0, -11.4)]), 0.7), 0.62)  # the jaw's shadow
    for side in (-1, 1):
        cord = [(side * 3.6, -8.0), (side * 0.9, -14.2), (side * 1.4, -14.2), (side * 4.4, -8.0)]
        sprite.shade(sprite.mask(cord, 0.35), 0.86)
    clothes = np.array(person.clothes, np.float32)
    opening = {
        "round": [(-5.6, -11.6), (-4.2, -13.2), (-2.0, -14.0)], "v": [(-5.4, -11.4), (-3.6, -14.2), (-0.3, -17.6)],
        "collar": [(-5.5, -10.4), (-4.4, -11.8), (-0.8, -14.6)],
    }[person.neckline]  # fmt: skip
    shirt = [(-26, -60), (-24.0, -30), (-22.0, -21), (-18.5, -15.8), (-11, -13.2), (-6.4, -11.4), *opening]
    cloth = sprite.mask(_pair(shirt))
    rng = np.random.default_rng([person.seed, 0xC107])
    sprite.paint(cloth, clothes)
    for _ in range(7):  # folds
        x, y = rng.uniform(-16, 16), rng.uniform(-28, -16)
        fold = [(x, y), (x + rng.normal(0, 2), y - 9), (x + 0.9 + rng.normal(0, 2), y - 9)]
        sprite.shade(sprite.mask(fold, 0.5) * cloth, float(rng.uniform(0.78, 1.1)))
    edge = np.clip(sprite.mask(_pair(opening), 0.35) * 2, 0, 1) * cloth
    sprite.shade(edge, 0.72)
    if person.neckline == "collar":
        for side in (-1, 1):
            flap = [(side * 5.6, -10.2), (side * 0.7, -14.4), (side * 3.4, -16.6), (side * 6.6, -11.6)]
            sprite.paint(sprite.mask(flap), np.clip(clothes * 1.12 + 10, 0, 255))
    return sprite.done()


def _strands(person: Person, shape: tuple[int, ...], fineness: int) -> Float:
    import cv2

    rng = np.random.default_rng([person.seed, 0x4A1])
    noise = rng.standard_normal((5, fineness)).astype(np.float32)
    return np.asarray(cv2.resize(noise, shape[1::-1], interpolation=cv2.INTER_CUBIC))


# Style -> the right half of the hair's outline behind the head, from the crown down: shares of its half width, and cm
# above the head's origin; points above 9 cm rise with the hair's thickness.
_OUTLINES: dict[str, tuple[tuple[float, float], ...]] = {
    "long": ((0, 12.3), (-0.6, 10.5), (-0.95, 8), (-1.08, 2), (-1.1, -8), (-1.0, -17.5), (-0.6, -19.0)),
    "scarf": ((0, 12.3), (-0.6, 10.5), (-0.95, 8), (-1.08, 2), (-1.1, -8), (-1.0, -17.5), (-0.8, -13)),
    "bob": ((0, 12.3), (-0.6, 10.7), (-0.95, 8), (-1.12, 1), (-1.1, -6.5), (-0.7, -8)),
    "other": ((0, 11.7), (-0.55, 10.3), (-0.9, 8), (-0.98, 3.5), (-0.85, -2), (-0.4, -5)),
}


@lru_cache(maxsize=64)
def _back_hair(person: Person) -> _Picture:
    sprite, hair_cm = _Sprite(_HAIR_BOX), person.hair_cm
    if person.hair_style == "shaved":
        return sprite.done()
    side = 8.0 * person.proportions[0] + 0.8 * hair_cm
    shape = _OUTLINES.get(person.hair_style, _OUTLINES["other"])
    outline = [(share * side, up + (hair_cm if up > 9 else 0.0)) for share, up in shape]
    scarf = person.hair_style == "scarf"
    colour = np.array(person.clothes if scarf else person.hair, np.float32)
    texture = 1 + (0.03 if scarf else 0.12) * _strands(person, sprite.cover.shape, 120)
    mask = sprite.mask(_rounded(_pair(outline)), 0.12)
    if person.hair_style in ("afro", "curly"):
        mask = np.maximum(mask, _curls(sprite, person, outline))
    sprite.paint(mask, (colour * 0.72) * texture[..., None])
    if person.hair_style == "tied":
        t = np.linspace(0, 2 * np.pi, 30)
        knot = np.stack([2.8 * np.cos(t), 13.1 + hair_cm + 2.2 * np.sin(t)], axis=1)
        sprite.paint(sprite.mask(knot, 0.1), (colour * 0.85) * texture[..., None])
    return sprite.done()


def _curls(sprite: _Sprite, person: Person, outline: list[tuple[float, float]]) -> Float:
    import cv2

    rng = np.random.default_rng([person.seed, 0xC421])
    canvas = np.zeros_like(sprite.cover)
    points = _rounded(_pair(outline))
    for x, y in points[:: max(1, len(points) // 70)]:
        if y > -3:
            at = np.round(sprite.at([x + rng.normal(0, 0.2), y + rng.normal(0, 0.2)]) * 16).astype(int).tolist()
            cv2.circle(canvas, at, round(rng.uniform(0.5, 1.0) * _SPRITE * 16), (1.0,), -1, cv2.LINE_AA, shift=_BITS)
    return canvas


def _rounded(points: list[tuple[float, float]], rounds: int = 3) -> Float:
    """Chaikin's corner cutting of a closed outline."""
    out = np.asarray(points, float)
    for _ in range(rounds):
        ahead = np.roll(out, -1, axis=0)
        out = np.stack([0.75 * out + 0.25 * ahead, 0.25 * out + 0.75 * ahead], axis=1).reshape(-1, 2)
    return out


@lru_cache(maxsize=64)
def _locks(person: Person) -> _Picture:
    sprite = _Sprite(_HAIR_BOX)
    w, long = person.proportions[0], person.hair_style == "long"
    end = -18.0 if long else -7.0
    inner = [(-7.0 * w, 8.5), (-7.55 * w, 4.0), (-7.7 * w, 0.0), (-7.4 * w, -4.0), (-6.9 * w, -6.5), (-7.2 * w, end)]
    outer = [(-9.6 * w, end), (-9.6 * w, -4.0), (-9.3 * w, 2.0), (-8.6 * w, 8.0)]
    texture = (1 + 0.12 * _strands(person, sprite.cover.shape, 120))[..., None]
    for side in (1, -1):
        lock = _rounded([(side * x, y) for x, y in inner + outer])
        sprite.paint(sprite.mask(lock, 0.1), np.array(person.hair, np.float32) * 0.92 * texture)
    return sprite.done()


def _draw_ears(patch: Patch, person: Person, light: Light) -> None:
    import cv2

    face = head.neutral_face(person)
    bright = (light.ambient + 0.45 * light.strength) * np.asarray(light.colour, np.float32)
    skin = np.array(person.skin, np.float32) * np.array([0.92, 0.82, 0.8], np.float32) * bright
    t = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    for point, side in ((234, -1), (454, 1)):
        middle = face[point] + [side * 0.25, 0.1, -1.2]
        for size, factor in ((1.0, 1.0), (0.55, 0.72)):
            ring = middle + np.stack([side * 0.25 + 0.95 * size * np.cos(t), 2.1 * size * np.sin(t), 0 * t], axis=1)
            where = patch.project(ring)[:, :2]
            box = patch.box_of(where, 1.0)
            if box is None:
                continue
            x1, y1, x2, y2 = box
            mask = np.zeros((y2 - y1, x2 - x1), np.float32)
            cv2.fillPoly(mask, [np.round((where - [x1, y1]) * 16).astype(np.int32)], (1.0,), cv2.LINE_AA, shift=_BITS)
            patch.over_box(box, skin * factor, mask)


def _draw_glasses(patch: Patch, glasses: Glasses, face: Float, light: Light) -> None:
    import cv2

    lines = [patch.project(line) for line in _frame_lines(glasses, face)]
    box = patch.box_of(np.concatenate(lines), 0.3 * patch.scale)
    if box is None:
        return
    x1, y1, x2, y2 = box
    canvas = np.zeros((y2 - y1, x2 - x1), np.float32)
    thick = max(1, round(glasses.rim_cm * patch.scale))
    for line in lines:
        where = np.round((line[:, :2] - [x1, y1]) * 16).astype(np.int32)
        cv2.polylines(canvas, [where], False, (1.0,), thick, cv2.LINE_AA, shift=_BITS)
    bright = light.ambient + 0.5 * light.strength
    patch.over_box(box, np.array(glasses.colour, np.float32) * bright, np.minimum(canvas, 1.0))


def _frame_lines(glasses: Glasses, face: Float) -> list[Float]:
    """Two rims, the bridge and the two sides, cm."""
    t = np.linspace(0, 2 * np.pi, 41)
    x, y, power = np.cos(t), np.sin(t), 0.45 + 0.55 * glasses.roundness
    shape = [2.25 * np.sign(x) * np.abs(x) ** power, 1.5 * np.sign(y) * np.abs(y) ** power, -0.12 * x**2]
    # Below the brows: a rim across a brow hides it from the face network.
    right, left = (
        (face[a] + face[b]) / 2 + [0, -0.4, 1.3] + np.stack(shape, axis=1) for a, b in ((33, 133), (362, 263))
    )
    inner, other = right[np.argmax(right[:, 0])], left[np.argmin(left[:, 0])]
    bridge = np.stack([inner, (inner + other) / 2 + [0, 0.25, 0.2], other])
    sides = [
        np.stack([right[np.argmin(right[:, 0])], face[234] + [-0.1, 1.2, -0.5]]),
        np.stack([left[np.argmax(left[:, 0])], face[454] + [0.1, 1.2, -0.5]]),
    ]
    return [right, left, bridge, *sides]
