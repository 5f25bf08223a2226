"""What a picture looks like in figures and words: light, colours, and movement between pictures.

Legend: H, W height and width; M pictures. Lightness is CIELAB's L* (0..100), hue its angle h_ab in degrees, chroma C*.
All boundaries between words are this project's own; where they come from is said beside them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np

from emotion_llama.errors import InputError
from emotion_llama.records import Bool, Float, UInt8

Brightness = Literal["dark", "dim", "normal", "bright"]

WORK_SIDE = 320  # pixels of the longer side: colours and light need no more
# L* below which a picture is dark, dim; above which it is bright. 18 is the L* of black cloth in daylight (3 % of the
# light comes back), 38 that of 10 %; 50 is the photographer's middle grey (18 %), 75 is 48 %.
DARK, DIM, BRIGHT = 18.0, 38.0, 75.0
# Chroma below which a colour is a grey (dark colours need less, since L* bounds the chroma that a screen can show).
GREY_CHROMA = 12.0
BLACK, DARK_GREY, GREY, LIGHT_GREY = 16.0, 38.0, 62.0, 88.0  # L* up to which a grey has that name
# A colour is named for a region when it covers this share of it; at most two are.
NAMED_SHARE, MOST_COLOURS = 0.25, 2
WARM_B, COOL_B = 8.0, -6.0  # mean b* (yellow +, blue -) of a picture; candle light gives 20 and more, overcast sky -8

COLOUR_WORDS: tuple[str, ...] = (
    "black", "dark grey", "grey", "light grey", "white", "brown", "beige", "red", "dark red", "orange", "yellow",
    "green", "dark green", "light green", "teal", "blue", "dark blue", "light blue", "purple", "pink",
)  # fmt: skip
# Hue angle from which a hue begins. Anchors, CSS colour names: crimson 26, red 40, tomato 45, orange 73, gold 87,
# yellow 103, lime 136, seagreen 155, teal 196, skyblue 236, steelblue 255, royalblue 288, blue 306, purple 328,
# hotpink 354.
_HUES: tuple[tuple[float, str], ...] = (
    (0.0, "red"), (42.0, "orange"), (80.0, "yellow"), (108.0, "green"), (172.0, "teal"), (222.0, "blue"),
    (310.0, "purple"), (343.0, "red"), (360.0, "red"),
)  # fmt: skip
_DARK = {"red": 30.0, "green": 40.0, "blue": 30.0}  # L* below which a colour is called dark
_LIGHT = 70.0  # L* above which green and blue are called light
_BROWN_BELOW, _BROWN_CHROMA = 58.0, 75.0  # L* and C* below which orange and yellow are called brown
_PINK_ABOVE = 58.0  # L* above which red and purple are
_BEIGE_CHROMA, _BEIGE_HUES = 32.0, (42.0, 116.0)

FLOW_SIDE = 160  # pixels of the longer side: faces and cameras move by whole pixels there
TEXTURE_GRADIENT = 8.0  # grey levels a pixel of 160: less cannot be followed
MIN_TEXTURE_SHARE = 0.02


def shrunk(image: UInt8, side: int = WORK_SIDE) -> UInt8:
    """`image` [H, W, 3] with its longer side at most `side` pixels.

    Raises:
        InputError: not an RGB picture.
    """
    import cv2

    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or image.size == 0:
        raise InputError(f"a picture must be [H, W, 3] uint8 RGB, got {list(image.shape)} {image.dtype}")
    scale = side / max(image.shape[:2])
    if scale >= 1:
        return image
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA))


def to_lab(image: UInt8) -> Float:
    """[H, W, 3] float32 CIELAB (D65) of an sRGB picture."""
    import cv2

    return np.asarray(cv2.cvtColor(image.astype(np.float32) / 255, cv2.COLOR_RGB2LAB))


def relative_luminance(image: UInt8) -> Float:
    """[H, W] linear light 0..1 (Y of sRGB, IEC 61966-2-1)."""
    value = image.astype(np.float32) / 255
    linear = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    return np.asarray(linear @ np.array([0.2126, 0.7152, 0.0722], np.float32))


def brightness(lightness: float) -> Brightness:
    """Word for the mean L* of a picture."""
    if lightness < DARK:
        return "dark"
    if lightness < DIM:
        return "dim"
    return "bright" if lightness > BRIGHT else "normal"


def colour_names(lab: Float) -> Float:
    """[...] index into COLOUR_WORDS of each CIELAB colour [..., 3]."""
    lightness, a, b = (np.asarray(part) for part in np.moveaxis(np.asarray(lab, np.float64), -1, 0))
    chroma, hue = np.hypot(a, b), np.degrees(np.arctan2(b, a)) % 360
    greys = np.array([COLOUR_WORDS.index(w) for w in ("black", "dark grey", "grey", "light grey", "white")])
    names = greys[np.searchsorted([BLACK, DARK_GREY, GREY, LIGHT_GREY], lightness)]
    hues = np.array([COLOUR_WORDS.index(word) for _, word in _HUES])
    base = hues[np.searchsorted([start for start, _ in _HUES], hue, side="right") - 1]
    is_grey = (chroma < np.minimum(GREY_CHROMA, 4 + lightness / 4)) | (lightness < BLACK / 2)
    return np.asarray(np.where(is_grey, names, _toned(base, lightness, chroma, hue)))


def _toned(base: Float, lightness: Float, chroma: Float, hue: Float) -> Float:
    """Brown, beige and pink have no hue of their own; dark and light kinds of the others."""

    def named(where: Bool, word: str) -> None:
        out[where] = COLOUR_WORDS.index(word)

    out = np.array(base)
    is_red, is_orange, is_yellow, is_green, is_blue, is_purple = (
        base == COLOUR_WORDS.index(word) for word in ("red", "orange", "yellow", "green", "blue", "purple")
    )
    is_dull = (lightness < _BROWN_BELOW) & (chroma < _BROWN_CHROMA)
    named((is_orange | is_yellow | (is_red & (hue < 90) & (chroma < 30))) & is_dull, "brown")
    named(is_red & (lightness < _DARK["red"]), "dark red")
    is_beige = (hue >= _BEIGE_HUES[0]) & (hue < _BEIGE_HUES[1]) & (chroma < _BEIGE_CHROMA)
    is_vivid_red = (hue > 30) & (hue < 48) & (chroma > 60)
    named((is_red | is_purple) & (lightness > _PINK_ABOVE) & ~is_vivid_red, "pink")
    # The purest green is light and the purest blue dark by nature: vivid ones keep the plain name.
    named(is_green & (lightness < _DARK["green"]), "dark green")
    named(is_green & (lightness > _LIGHT) & (chroma < 75), "light green")
    named(is_beige & ~is_dull, "beige")
    named(is_blue & (lightness < _DARK["blue"]) & (chroma < 90), "dark blue")
    named(is_blue & (lightness > _LIGHT), "light blue")
    return out


def dominant_colours(lab: Float, mask: Bool | None = None) -> tuple[str, ...]:
    """The colours that cover at least a quarter of a region each, the largest first, two at most; often none.

    Args:
        lab: [H, W, 3] CIELAB.
        mask: [H, W] pixels of the region; None for all.
    """
    pixels = lab.reshape(-1, 3) if mask is None else lab[mask]
    if not len(pixels):
        return ()
    counts = np.bincount(colour_names(pixels).astype(int), minlength=len(COLOUR_WORDS)) / len(pixels)
    order = np.argsort(-counts, kind="stable")[:MOST_COLOURS]
    return tuple(COLOUR_WORDS[i] for i in order if counts[i] >= NAMED_SHARE)


class Movement(NamedTuple):
    """Speeds in picture widths a second.

    Attributes:
        camera: of the whole surroundings; None where they have too little texture to be followed.
        scene: the fastest tenth of what moves against the surroundings.
    """

    camera: float | None
    scene: float


def movement(images: Sequence[UInt8], pts_seconds: Float, background: Bool | None = None) -> Movement:
    """Movement over M pictures, by dense optical flow (DIS, Kroeger et al., ECCV 2016) on small grey copies.

    Args:
        images: M >= 2 pictures of one size, in time order.
        pts_seconds: [M] their times, strictly growing.
        background: [H, W] of any size, True where neither the main person nor their body is; None for all.

    Raises:
        InputError: fewer than two pictures, or times that do not grow.
    """
    import cv2

    if len(images) < 2 or np.any(np.diff(pts_seconds) <= 0) or len(images) != len(pts_seconds):
        raise InputError(f"movement needs two pictures or more at growing times, got {len(images)} at {pts_seconds}")
    grey = [np.asarray(cv2.cvtColor(shrunk(image, FLOW_SIDE), cv2.COLOR_RGB2GRAY), np.uint8) for image in images]
    height, width = grey[0].shape
    around = np.ones((height, width), bool)
    if background is not None:
        around = cv2.resize(background.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST) > 0
    flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    blank = np.zeros((height, width, 2), np.float32)
    cameras, scenes = [], []
    for before, after, step in zip(grey, grey[1:], np.diff(pts_seconds).tolist()):
        speed = np.asarray(flow.calc(before, after, blank.copy())) / (width * step)
        textured = around & _is_textured(before)
        shift = np.zeros(2)
        if textured.mean() >= MIN_TEXTURE_SHARE:
            shift = np.median(speed[textured], axis=0)
            cameras.append(float(np.hypot(*shift)))
        against = np.hypot(*np.moveaxis(speed - shift, -1, 0))[_is_textured(before)]
        scenes.append(float(np.percentile(against, 90)) if against.size else 0.0)
    return Movement(float(np.median(cameras)) if cameras else None, float(np.median(scenes)))


def _is_textured(grey: UInt8) -> Bool:
    import cv2

    dx, dy = (cv2.Sobel(grey, cv2.CV_32F, *order, ksize=3, scale=1 / 8) for order in ((1, 0), (0, 1)))
    return np.asarray(np.hypot(dx, dy) >= TEXTURE_GRADIENT)
