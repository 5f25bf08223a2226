"""A person's skin as one picture: tone, blush, brows, lips, beard, the lines around the eyes, and the hair on the head.

The picture lies on the head's map (`head.map_points`) and moves with the mesh. Everything is procedural.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from emotion_llama.records import Float
from merr_synth.render import head
from merr_synth.render.people import Person
from merr_synth.render.relief import Bulge, height_map, on_map

# What is darker at rest on every face: sockets, under the nose and the lower lip, beside the nose.
_HOLLOWS = (
    Bulge((-2.0, 3.35), -0.28, (0.7, 0.35)), Bulge((-3.4, 3.55), -0.18, (1.0, 0.3)), Bulge((-2.1, 1.9),
    -0.14, (0.6, 0.4)),
    Bulge((0.0, -2.35), -0.22, (0.9, 0.25)), Bulge((0.0, -5.95), -0.26, (1.1, 0.22)), Bulge((-1.95, -0.9),
    -0.22, (0.2, 0.6)),
    Bulge((-0.25, -2.8), 0.08, (0.15, 0.4)), Bulge((0.0, -2.8), -0.1, (0.15, 0.4)), Bulge((-2.75, -4.35),
    -0.22, (0.22, 0.25)),
    Bulge((-1.0, 1.6), -0.12, (0.25, 1.3)),
)  # fmt: skip
_LIGHTER = (
    Bulge((0.0, 1.0), 0.1, (0.3, 1.6)),
    Bulge((0.0, -0.4), 0.14, (0.45, 0.4)),
    Bulge((-4.3, 0.6), 0.07, (1.0, 0.7)),
)
_BLUSH = (
    Bulge((-4.4, -0.4), 1.0, (1.3, 1.0)),
    Bulge((0.0, -0.6), 0.7, (0.9, 0.7)),
    Bulge((0.0, -7.6), 0.35, (1.2, 0.8)),
)
# Angle around the map's centre (0: the person's left, 90: up) -> where the hair begins, radians beyond the oval.
_HAIRLINES: dict[str, tuple[tuple[float, float], ...]] = {
    "usual": ((-25, 0.5), (-12, 0.1), (0, 0.05), (25, 0.03), (40, -0.03), (62, -0.02), (90, 0.01)),
    "receding": ((-25, 0.5), (-12, 0.1), (0, 0.06), (30, 0.06), (48, 0.2), (66, 0.4), (90, 0.26)),
    "fringe": ((-60, 0.3), (-25, 0.05), (0, 0.0), (30, -0.04), (45, -0.1), (60, -0.16), (90, -0.17)),
    "parted": ((-25, 0.4), (-12, 0.1), (0, 0.04), (25, 0.0), (45, -0.06), (70, 0.0), (90, 0.03)),
    "long": ((-60, 0.3), (-25, 0.06), (0, 0.0), (25, -0.02), (45, -0.06), (70, -0.02), (90, 0.02)),
    "scarf": ((-90, -0.02), (-40, 0.0), (0, -0.03), (45, -0.04), (90, -0.06)),
}
_LINE_OF = {
    "receding": "receding",
    "fringe": "fringe",
    "parted": "parted",
    "long": "long",
    "bob": "fringe",
    "scarf": "scarf",
}


@lru_cache(maxsize=64)
def albedo(person: Person) -> Float:
    """[H, W, 3] float32 0..255: the person's skin and hair without light (read-only)."""
    rng = np.random.default_rng([person.seed, 0x5C1])
    skin = _base(person, rng)
    lips = _lip_mask()
    grooves = 1 - 0.10 * _noise(rng, 90, 4)
    skin = _blend(skin, np.array(person.lips, np.float32) * grooves[..., None], 0.85 * lips)
    if person.beard > 0:
        skin = _blend(skin, _beard(person, rng), _beard_mask(person, rng) * (1 - lips))
    skin = _blend(skin, np.array(person.skin, np.float32) * np.array([0.28, 0.2, 0.2], np.float32), 0.9 * _nostrils())
    skin = _blend(skin, np.array(person.hair, np.float32) * 0.55, _brow_mask(person, rng))
    skin = _blend(
        skin, np.array(person.skin, np.float32) * np.array([0.42, 0.36, 0.36], np.float32), _lid_lines(person)
    )
    hair, cover = _hair(person, rng)
    skin = np.ascontiguousarray(_blend(skin, hair, cover), np.float32)
    skin.flags.writeable = False
    return skin


def _blend(below: Float, above: Float, share: Float) -> Float:
    return np.asarray(below + (above - below) * share[..., None], np.float32)


def _base(person: Person, rng: np.random.Generator) -> Float:
    tone = np.array(person.skin, np.float32)
    shape = 1 + 0.75 * height_map(_HOLLOWS) + height_map(_LIGHTER)
    mottle = 1 + 0.035 * _noise(rng, 14, 10) + 0.02 * _noise(rng, 110, 80)
    skin = tone * (shape * mottle)[..., None]
    blush = height_map(_BLUSH)[..., None]
    skin = skin * (1 - blush * np.array([0.0, 0.09, 0.08], np.float32))
    if person.freckles > 0.05:
        spots = np.clip(_noise(rng, 130, 100) - 1.3, 0, 1) * height_map((Bulge((-3.0, 0.2), 1.0, (2.2, 1.3)),))
        skin = skin * (1 - 0.5 * person.freckles * spots[..., None] * np.array([0.6, 1.0, 1.1], np.float32))
    return np.asarray(skin, np.float32)


def _noise(rng: np.random.Generator, columns: int, rows: int) -> Float:
    """[H, W] smooth noise of unit variance with so many bumps each way."""
    import cv2

    coarse = rng.standard_normal((rows, columns)).astype(np.float32)
    return np.asarray(cv2.resize(coarse, head.MAP_SIZE, interpolation=cv2.INTER_CUBIC))


def _filled(polygons: list[Float], soft_pixels: float) -> Float:
    """[H, W] 0..1: polygons given in pixels of the map, with soft edges."""
    import cv2

    canvas = np.zeros(head.MAP_SIZE[::-1], np.float32)
    for polygon in polygons:
        cv2.fillPoly(canvas, [np.round(polygon * 16).astype(np.int32)], (1.0,), cv2.LINE_AA, shift=4)
    canvas = np.minimum(canvas, 1.0)
    return np.asarray(cv2.GaussianBlur(canvas, (0, 0), soft_pixels) if soft_pixels else canvas)


@lru_cache(maxsize=1)
def _lip_mask() -> Float:
    where = head.map_points()
    upper, lower = head.UPPER_LIP_ROWS[0], head.LOWER_LIP_ROWS[0]
    return _filled([where[[*upper, *lower[::-1]]]], 0.7)


@lru_cache(maxsize=1)
def _nostrils() -> Float:
    where = head.map_points()
    right = where[[20, 79, 166, 60]]
    left = where[[250, 309, 392, 290]]
    return _filled([right, left], 0.5)


def _lid_lines(person: Person) -> Float:
    """The fold of the upper lid, and a shade along both rims where the lashes grow."""
    import cv2

    where = head.map_points()
    canvas = np.zeros(head.MAP_SIZE[::-1], np.float32)
    for right in (True, False):
        side = [list(line) if right else [head.mirrored(p) for p in line] for line in
                (head.RIGHT_LID_FOLD[1:-1], head.RIGHT_UPPER_LID, head.RIGHT_LOWER_LID)]  # fmt: skip
        layers = zip(side, (0.5, 0.75 * person.lashes, 0.3), (0.9, 0.9, 0.8))
        for line, strength, soft in layers:
            one = np.zeros_like(canvas)
            cv2.polylines(one, [np.round(where[line] * 16).astype(np.int32)], False, (1.0,), 1, cv2.LINE_AA, shift=4)
            one = np.asarray(cv2.GaussianBlur(one, (0, 0), soft), np.float32)
            canvas = np.maximum(canvas, strength * one / one.max())
    return np.asarray(canvas)


def _brow_mask(person: Person, rng: np.random.Generator) -> Float:
    """Hairs from the lower edge up and outwards, denser in the middle."""
    import cv2

    where = head.map_points()
    canvas = np.zeros(head.MAP_SIZE[::-1], np.float32)
    body = []
    for right in (True, False):
        top, bottom = (
            where[[p if right else head.mirrored(p) for p in row]]
            for row in (head.RIGHT_BROW_TOP, head.RIGHT_BROW_BOTTOM)
        )
        middle, half = (top + bottom) / 2, (top - bottom) / 2 * (0.64 * person.brow_thickness)
        half = half * np.array([0.35, 0.8, 1.0, 1.0, 0.75])[:, None]  # from the outer to the inner end
        body.append(np.concatenate([middle + half, (middle - half)[::-1]]))
        at = np.sort(rng.uniform(0, 4, int(110 * person.brow_density)))
        base = np.stack([np.interp(at, range(5), (middle - half)[:, k]) for k in (0, 1)], axis=1)
        tip = np.stack([np.interp(np.maximum(at - 0.45, 0), range(5), (middle + half)[:, k]) for k in (0, 1)], axis=1)
        start = base + (tip - base) * rng.uniform(0, 0.5, (len(at), 1))
        end = base + (tip - base) * rng.uniform(0.6, 1.15, (len(at), 1))
        for a, b in zip(np.round(start * 16).astype(int).tolist(), np.round(end * 16).astype(int).tolist()):
            cv2.line(canvas, a, b, (0.55,), 1, cv2.LINE_AA, shift=4)
    soft = _filled(body, 0.9)
    return np.asarray(np.clip(0.78 * soft * person.brow_density + 0.5 * cv2.GaussianBlur(canvas, (0, 0), 0.4), 0, 0.95))


def _beard_mask(person: Person, rng: np.random.Generator) -> Float:
    outline = [(-6.9, -1.6), (-5.9, -3.0), (-4.6, -4.2), (-3.5, -3.8), (-2.2, -2.9), (-0.6, -2.75), (0.0, -3.0)]
    outline += [(-x, y) for x, y in outline[-2::-1]]
    top = on_map(np.array([(x * 0.97, y) for x, y in outline]))
    centre = np.array([head.MAP_SIZE[0] / 2, head.MAP_SIZE[1] * 0.5])
    low = centre + (top - centre)[[0, -1]] * 1.25
    bottom = np.array([[head.MAP_SIZE[0] * 0.85, head.MAP_SIZE[1]], [head.MAP_SIZE[0] * 0.15, head.MAP_SIZE[1]]])
    area = _filled([np.concatenate([top, low[1:], bottom, low[:1]])], 5.0)
    bare = height_map((Bulge((-1.6, -5.7), 0.55, (0.5, 0.35)),))
    grain = np.clip(0.85 + 0.16 * _noise(rng, 190, 120), 0, 1)
    return np.asarray(np.clip(area - bare, 0, 1) * grain * (0.18 + 0.47 * person.beard))


def _beard(person: Person, rng: np.random.Generator) -> Float:
    colour = np.array(person.hair, np.float32) * 0.55 + np.array(person.skin, np.float32) * 0.28
    return np.asarray(colour * (1 + 0.2 * _noise(rng, 110, 60))[..., None], np.float32)


def _hair(person: Person, rng: np.random.Generator) -> tuple[Float, Float]:
    """Colour [H, W, 3] and cover [H, W] of the hair (or the scarf) on the head."""
    import cv2

    width, height = head.MAP_SIZE
    centre = head.to_map(np.zeros(2))
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    span = (head.MAP_HIGH - head.MAP_LOW) / np.array([width, height])
    dx, dy = (x - centre[0]) * span[0], (centre[1] - y) * span[1]
    angle, radius = np.degrees(np.arctan2(dy, dx)), np.hypot(dx, dy)
    beyond = radius - _oval_radius(angle)
    folded = np.where(np.abs(angle) > 90, np.sign(angle) * (180 - np.abs(angle)), angle)
    scarf = person.hair_style == "scarf"
    line = _HAIRLINES[_LINE_OF.get(person.hair_style, "usual")]
    degrees, offsets = zip(*line)
    begins = np.interp(folded, degrees, offsets) + 0.07 * person.hairline_cm * np.clip(folded / 60, 0, 1)
    strands = rng.standard_normal((10, 300)).astype(np.float32)
    around = ((angle + 180) / 360 * 299).astype(np.float32)
    outward = (np.clip(radius / 2.2, 0, 1) * 9).astype(np.float32)
    if person.hair_style in ("curly", "afro"):
        streak = 0.7 * _noise(rng, 120, 90)
    else:
        streak = np.asarray(cv2.remap(strands, around, outward, cv2.INTER_LINEAR), np.float32)
    edge = 0.0 if scarf else 0.022 * streak
    soft = 0.012 if scarf else 0.03
    cover = np.clip((beyond - begins + edge) / soft + 0.5, 0, 1).astype(np.float32)
    cover *= 0.55 if person.hair_style == "shaved" else 1.0
    if scarf:
        colour = np.array(person.clothes, np.float32) * (1 + 0.05 * _noise(rng, 9, 7))[..., None]
    else:
        colour = np.array(person.hair, np.float32) * np.clip(0.95 + 0.17 * streak, 0.5, 1.6)[..., None]
    return np.asarray(colour, np.float32), cover


@lru_cache(maxsize=1)
def _oval_table() -> tuple[Float, Float]:
    where = head.map_points()[list(head.OVAL)]
    centre = head.to_map(np.zeros(2))
    span = (head.MAP_HIGH - head.MAP_LOW) / np.array(head.MAP_SIZE)
    offset = (where - centre) * span * [1, -1]
    angle = np.degrees(np.arctan2(offset[:, 1], offset[:, 0]))
    order = np.argsort(angle)
    return angle[order], np.hypot(*offset.T)[order]


def _oval_radius(angle_degrees: Float) -> Float:
    return np.asarray(np.interp(angle_degrees, *_oval_table(), period=360))
