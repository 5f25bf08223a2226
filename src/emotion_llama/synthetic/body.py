"""What is not face: neck, shoulders and clothes, ears, the hair behind and beside the head, glasses."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from emotion_llama.records import Float
from emotion_llama.synthetic import head
from emotion_llama.synthetic.camera import Patch
from emotion_llama.synthetic.people import Glasses, Person
from emotion_llama.synthetic.setting import Light

_SPRITE = 10  # pixels a cm of the pictures below
_BITS = 4
# cm covered by a sprite: left, top, right, bottom around the head's origin
_BODY_BOX = (-24.0, -3.0, 24.0, -30.0)
_HAIR_BOX = (-15.0, 19.0, 15.0, -22.0)


def draw_behind(patch: Patch, person: Person, light: Light) -> None:
    """Hair behind the head, the body, the ears."""
    _draw_sprite(patch, _back_hair(person), _HAIR_BOX, light, turns=True)
    _draw_sprite(patch, _body(person), _BODY_BOX, light, turns=False)
    if person.hair_style not in ("long", "bob", "scarf"):
        _draw_ears(patch, person, light)


def draw_before(patch: Patch, person: Person, face: Float, light: Light) -> None:
    """Locks beside the face, and glasses."""
    if person.hair_style in ("long", "bob"):
        _draw_sprite(patch, _locks(person), _HAIR_BOX, light, turns=True)
    if person.glasses is not None:
        _draw_glasses(patch, person.glasses, face, light)


def _draw_sprite(
    patch: Patch, sprite: Float, box: tuple[float, float, float, float], light: Light, turns: bool
) -> None:
    """Lays a picture [h, w, 4] (premultiplied, 0..255 and 0..1) that stands upright at the depth of the ears."""
    import cv2

    left, top, _, _ = box
    shift = patch.project(np.array([0.0, 0.0, -4.0])) if turns else np.append(patch.upright(np.zeros(2)), 0.0)
    roll = np.radians(patch.view.rotation_degrees[2]) if turns else 0.0
    step = patch.scale / _SPRITE
    turn = step * np.array([[np.cos(roll), -np.sin(roll)], [np.sin(roll), np.cos(roll)]])
    corner = turn @ np.array([left, -top]) * _SPRITE + shift[:2]
    placed = cv2.warpAffine(sprite, np.column_stack([turn, corner]), patch.size, flags=cv2.INTER_LINEAR)
    bright = (light.ambient + 0.5 * light.strength) * np.asarray(light.colour, np.float32)
    rest = 1 - placed[..., 3]
    patch.colour *= rest[..., None]
    patch.colour += placed[..., :3] * bright
    patch.cover *= rest
    patch.cover += placed[..., 3]


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
        cv2.fillPoly(out, [np.round(self.at(points_cm) * 16).astype(np.int32)], 1.0, cv2.LINE_AA, shift=_BITS)
        return np.asarray(cv2.GaussianBlur(out, (0, 0), soft_cm * _SPRITE) if soft_cm else out)

    def paint(self, mask: Float, colour: object) -> None:
        self.colour += (np.asarray(colour, np.float32) - self.colour) * mask[..., None]
        self.cover += (1 - self.cover) * mask

    def shade(self, mask: Float, factor: float) -> None:
        self.colour *= (1 + (factor - 1) * mask)[..., None]

    def done(self) -> Float:
        out = np.dstack([self.colour * self.cover[..., None], self.cover]).astype(np.float32)
        out.flags.writeable = False
        return out


def _pair(right: list[tuple[float, float]]) -> list[tuple[float, float]]:
    return right + [(-x, y) for x, y in right[::-1]]


@lru_cache(maxsize=64)
def _body(person: Person) -> Float:
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
    shirt = [(-30, -40), (-22.5, -22), (-18.5, -15.8), (-11, -13.2), (-6.4, -11.4), *opening]
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


@lru_cache(maxsize=64)
def _back_hair(person: Person) -> Float:
    sprite = _Sprite(_HAIR_BOX)
    w, h = person.proportions[0], person.hair_cm
    if person.hair_style == "shaved":
        return sprite.done()
    top = 12.3 + h
    side = 8.0 * w + 0.8 * h
    if person.hair_style in ("long", "scarf"):
        outline = [
            (0, top),
            (-0.6 * side, top - 1.8),
            (-0.95 * side, 8),
            (-1.08 * side, 2),
            (-1.1 * side, -8),
            (-1.0 * side, -17.5),
        ]
        outline += [(-0.6 * side, -19.0)] if person.hair_style == "long" else [(-0.8 * side, -13)]
    elif person.hair_style == "bob":
        outline = [
            (0, top),
            (-0.6 * side, top - 1.6),
            (-0.95 * side, 8),
            (-1.12 * side, 1),
            (-1.1 * side, -6.5),
            (-0.7 * side, -8),
        ]
    else:
        outline = [
            (0, top - 0.6),
            (-0.55 * side, top - 2.0),
            (-0.9 * side, 8.0),
            (-0.98 * side, 3.5),
            (-0.85 * side, -2.0),
            (-0.4 * side, -5),
        ]
    colour = np.array(person.clothes if person.hair_style == "scarf" else person.hair, np.float32)
    texture = 1 + 0.12 * _strands(person, sprite.cover.shape, 120)
    mask = sprite.mask(_rounded(_pair(outline)), 0.12)
    if person.hair_style in ("afro", "curly"):
        mask = np.maximum(mask, _curls(sprite, person, outline))
    sprite.paint(mask, (colour * 0.72) * texture[..., None])
    if person.hair_style == "tied":
        t = np.linspace(0, 2 * np.pi, 30)
        knot = np.stack([2.8 * np.cos(t), top + 0.8 + 2.2 * np.sin(t)], axis=1)
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
            cv2.circle(canvas, at, round(rng.uniform(0.5, 1.0) * _SPRITE * 16), 1.0, -1, cv2.LINE_AA, shift=_BITS)
    return canvas


def _rounded(points: list[tuple[float, float]], rounds: int = 3) -> Float:
    """Chaikin's corner cutting of a closed outline."""
    out = np.asarray(points, float)
    for _ in range(rounds):
        ahead = np.roll(out, -1, axis=0)
        out = np.stack([0.75 * out + 0.25 * ahead, 0.25 * out + 0.75 * ahead], axis=1).reshape(-1, 2)
    return out


@lru_cache(maxsize=64)
def _locks(person: Person) -> Float:
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
    skin = np.array(person.skin, np.float32) * np.float32([0.92, 0.82, 0.8]) * bright
    t = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    for point, side in ((234, -1), (454, 1)):
        middle = face[point] + [side * 0.25, 0.1, -1.2]
        for size, factor in ((1.0, 1.0), (0.55, 0.72)):
            ring = middle + np.stack(
                [side * 0.25 + 0.95 * size * np.cos(t), 2.1 * size * np.sin(t), -side * 0 + 0 * t], axis=1
            )
            where = patch.project(ring)[:, :2]
            low = np.maximum(np.floor(where.min(0)).astype(int) - 1, 0)
            high = np.minimum(np.ceil(where.max(0)).astype(int) + 2, patch.size)
            if np.any(high - low < 2):
                continue
            mask = np.zeros((high[1] - low[1], high[0] - low[0]), np.float32)
            cv2.fillPoly(mask, [np.round((where - low) * 16).astype(np.int32)], 1.0, cv2.LINE_AA, shift=_BITS)
            patch.over_box((low[0], low[1], high[0], high[1]), skin * factor, mask)


def _draw_glasses(patch: Patch, glasses: Glasses, face: Float, light: Light) -> None:
    import cv2

    canvas = np.zeros(patch.size[::-1], np.float32)
    thick = max(1, round(glasses.rim_cm * patch.scale))

    def line(points: Float, closed: bool) -> None:
        where = np.round(patch.project(points)[:, :2] * 16).astype(np.int32)
        cv2.polylines(canvas, [where], closed, 1.0, thick, cv2.LINE_AA, shift=_BITS)

    t = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    power = 0.45 + 0.55 * glasses.roundness
    ends = []
    for right, left in ((33, 133), (362, 263)):
        centre = (face[right] + face[left]) / 2 + [0, -0.15, 1.3]
        x, y = np.cos(t), np.sin(t)
        ring = centre + np.stack(
            [2.25 * np.sign(x) * np.abs(x) ** power, 1.75 * np.sign(y) * np.abs(y) ** power, -0.12 * x**2], axis=1
        )
        line(ring, True)
        ends.append((ring[np.argmin(ring[:, 0])], ring[np.argmax(ring[:, 0])]))
    line(np.stack([ends[0][1], (ends[0][1] + ends[1][0]) / 2 + [0, 0.25, 0.2], ends[1][0]]), False)
    line(np.stack([ends[0][0], face[234] + [-0.1, 1.2, -0.5]]), False)
    line(np.stack([ends[1][1], face[454] + [0.1, 1.2, -0.5]]), False)
    bright = light.ambient + 0.5 * light.strength
    patch.over(np.broadcast_to(np.array(glasses.colour, np.float32) * bright, patch.colour.shape), canvas)
