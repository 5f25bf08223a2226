"""Where a clip is taken: the room behind, the light, the framing, and what the camera adds.

Everything is drawn from a seed and is our own choice: backgrounds are made of gradients, soft shapes and noise, none is
a photograph. Directions are those of the camera: x right in the picture, y up, z towards the camera.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal, get_args

import numpy as np

from emotion_llama.errors import InputError
from emotion_llama.records import Float, UInt8
from merr_synth.render.people import Colour

Scene = Literal["wall", "room", "shelf", "window", "outdoor", "lights", "studio"]
SCENES: tuple[Scene, ...] = get_args(Scene)
Framing = Literal["close", "medium", "wide"]
# share of the picture's shorter side that the face is wide, and how far from the top its middle lies
FRAMINGS: dict[Framing, tuple[tuple[float, float], tuple[float, float]]] = {
    "close": ((0.48, 0.58), (0.47, 0.54)),
    "medium": ((0.36, 0.46), (0.42, 0.50)),
    "wide": ((0.26, 0.33), (0.36, 0.46)),
}


@dataclass(frozen=True)
class Light:
    """One lamp and the light from everywhere.

    Attributes:
        direction: towards the lamp, any length.
        strength: what a surface facing the lamp gets from it, on top of `ambient`; both add up to about 1.
        ambient: what every surface gets.
        colour: of the lamp, 1 is neutral.
    """

    direction: tuple[float, float, float] = (-0.3, 0.5, 0.8)
    strength: float = 0.6
    ambient: float = 0.5
    colour: tuple[float, float, float] = (1.0, 1.0, 1.0)


@dataclass(frozen=True)
class Setting:
    """How a clip looks apart from its people.

    Attributes:
        seed: of the background and of the sensor's noise.
        scene: kind of background.
        colours: three colours of the background.
        background_blur: standard deviation of its blur, share of the picture's width.
        light: on the people.
        framing: how large the first person is.
        face_share: width of the face, share of the picture's shorter side.
        centre: of the face, shares of width and height.
        exposure: factor on all pixels; below 0.6 is a dim room.
        noise: standard deviation of the sensor's noise, grey levels of 255.
        blur_pixels: standard deviation of the lens's blur for a picture 320 pixels high.
        vignette: how much darker the corners are, 0..1.
    """

    seed: int = 0
    scene: Scene = "wall"
    colours: tuple[Colour, Colour, Colour] = ((118, 128, 136), (88, 96, 104), (160, 150, 136))
    background_blur: float = 0.01
    light: Light = field(default_factory=Light)
    framing: Framing = "medium"
    face_share: float = 0.42
    centre: tuple[float, float] = (0.5, 0.46)
    exposure: float = 1.0
    noise: float = 0.0
    blur_pixels: float = 0.0
    vignette: float = 0.0


def draw_setting(seed: int) -> Setting:
    """The setting with this number: the same one each time."""
    rng = np.random.default_rng([seed, 0x5E77])
    framing: Framing = ("close", "medium", "wide")[int(rng.choice(3, p=[0.35, 0.45, 0.2]))]
    share, top = FRAMINGS[framing]
    side = rng.uniform(-1, 1)
    light = Light(
        direction=(float(0.9 * side), float(rng.uniform(0.1, 0.8)), float(rng.uniform(0.6, 1.1))),
        strength=(strength := float(rng.uniform(0.4, 0.75))),
        ambient=1.08 - strength,
        colour=_three(1 + rng.uniform(-0.07, 0.07) * np.array([1.0, 0.1, -1.0])),
    )
    dim = rng.random() < 0.12
    return Setting(
        seed=seed,
        scene=SCENES[int(rng.integers(0, len(SCENES)))],
        colours=(_any_colour(rng), _any_colour(rng), _any_colour(rng)),
        background_blur=float(rng.uniform(0.004, 0.03)),
        light=light,
        framing=framing,
        face_share=float(rng.uniform(*share)),
        centre=(float(0.5 + rng.uniform(-0.06, 0.06)), float(rng.uniform(*top))),
        exposure=float(rng.uniform(0.45, 0.6) if dim else rng.uniform(0.85, 1.08)),
        noise=float(rng.uniform(3.0, 6.0) if dim else rng.uniform(0.5, 3.0)),
        blur_pixels=float(rng.uniform(0.0, 0.7)),
        vignette=float(rng.uniform(0.0, 0.25)),
    )


def _any_colour(rng: np.random.Generator) -> Colour:
    grey, tint = rng.uniform(50, 205), rng.normal(0, 28, 3)
    red, green, blue = (int(v) for v in np.clip(grey + tint, 15, 240))
    return red, green, blue


def _three(values: Float) -> tuple[float, float, float]:
    a, b, c = (float(v) for v in values)
    return a, b, c


@lru_cache(maxsize=16)
def background(setting: Setting, size: tuple[int, int]) -> Float:
    """[H, W, 3] float32 0..255: what is behind the people, blurred, before exposure and noise (read-only).

    Args:
        setting: whose background.
        size: width and height, pixels.
    """
    import cv2

    width, height = _checked(size)
    rng = np.random.default_rng([setting.seed, 0xBAC2])
    picture = _gradient(setting.colours[0], setting.colours[1], height, width, float(rng.uniform(-1, 1)))
    _PAINTERS[setting.scene](picture, setting, rng)
    sigma = max(0.5, setting.background_blur * width)
    picture = np.asarray(cv2.GaussianBlur(picture, (0, 0), sigma), np.float32)
    grain = cv2.resize(rng.normal(0, 5, (12, 16)).astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
    picture = np.asarray(np.clip(picture + grain[..., None], 0, 255), np.float32)
    picture.flags.writeable = False
    return np.asarray(picture)


def _checked(size: tuple[int, int]) -> tuple[int, int]:
    width, height = size
    if width < 32 or height < 32:
        raise InputError(f"a picture must be at least 32 x 32 pixels, got {width} x {height}")
    return width, height


def _gradient(top: Colour, bottom: Colour, height: int, width: int, slant: float) -> Float:
    y, x = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    share = np.clip(y * (1 - 0.5 * abs(slant)) + 0.5 * slant * x, 0, 1)[..., None]
    return np.asarray(np.array(top) * (1 - share) + np.array(bottom) * share, np.float32)


def _box(picture: Float, x1: float, y1: float, x2: float, y2: float, colour: object) -> None:
    height, width = picture.shape[:2]
    rows, columns = slice(max(0, int(y1 * height)), int(y2 * height)), slice(max(0, int(x1 * width)), int(x2 * width))
    picture[rows, columns] = np.asarray(colour, np.float32)


def _wall(picture: Float, setting: Setting, rng: np.random.Generator) -> None:
    _box(picture, 0, rng.uniform(0.8, 0.95), 1, 1, setting.colours[2])


def _room(picture: Float, setting: Setting, rng: np.random.Generator) -> None:
    corner = rng.uniform(0.15, 0.85)
    picture[:, int(corner * picture.shape[1]) :] *= rng.uniform(0.72, 0.88)
    for _ in range(int(rng.integers(1, 4))):
        x, y = rng.uniform(0, 0.8), rng.uniform(0.05, 0.5)
        w, h = rng.uniform(0.1, 0.3), rng.uniform(0.1, 0.3)
        _box(picture, x - 0.01, y - 0.01, x + w + 0.01, y + h + 0.01, np.array(setting.colours[2]) * 0.5)
        _box(picture, x, y, x + w, y + h, rng.uniform(60, 220, 3))
    _box(picture, 0, rng.uniform(0.75, 0.95), 1, 1, setting.colours[2])


def _shelf(picture: Float, setting: Setting, rng: np.random.Generator) -> None:
    rows = int(rng.integers(3, 6))
    for row in range(rows):
        base, x = (row + 1) / rows, 0.0
        while x < 1:
            w = rng.uniform(0.02, 0.06)
            _box(picture, x, base - rng.uniform(0.5, 0.85) / rows, x + w, base, rng.uniform(40, 200, 3))
            x += w + (rng.uniform(0.05, 0.15) if rng.random() < 0.15 else 0.003)
        _box(picture, 0, base - 0.02, 1, base, np.array(setting.colours[2]) * 0.6)


def _window(picture: Float, setting: Setting, rng: np.random.Generator) -> None:
    x, w = rng.uniform(0.0, 0.55), rng.uniform(0.3, 0.45)
    bright = np.clip(np.array(setting.colours[2]) * 0.4 + 150, 0, 245)
    _box(picture, x, 0.05, x + w, 0.75, bright)
    frame = np.array(setting.colours[1]) * 0.7
    for bar in (0.0, 0.5, 1.0):
        _box(picture, x + bar * w - 0.012, 0.05, x + bar * w + 0.012, 0.75, frame)
    _box(picture, x, 0.38, x + w, 0.4, frame)


def _outdoor(picture: Float, setting: Setting, rng: np.random.Generator) -> None:
    horizon = rng.uniform(0.35, 0.65)
    sky = _gradient((150, 184, 216), (206, 218, 226), picture.shape[0], picture.shape[1], 0.0)
    picture[:] = 0.75 * sky + 0.25 * picture
    _box(picture, 0, horizon, 1, 1, (92, 112, 70))
    for _ in range(int(rng.integers(8, 18))):
        _disc(picture, rng.uniform(0, 1), horizon + rng.normal(0, 0.08), rng.uniform(0.04, 0.14),
              np.array([70, 100, 52]) * rng.uniform(0.6, 1.2))  # fmt: skip


def _lights(picture: Float, setting: Setting, rng: np.random.Generator) -> None:
    picture *= 0.4
    for _ in range(int(rng.integers(12, 26))):
        _disc(picture, rng.uniform(0, 1), rng.uniform(0, 1), rng.uniform(0.01, 0.05), rng.uniform(110, 255, 3))


def _studio(picture: Float, setting: Setting, rng: np.random.Generator) -> None:
    height, width = picture.shape[:2]
    y, x = np.mgrid[0:height, 0:width]
    away = np.hypot((x / width - rng.uniform(0.3, 0.7)), (y / height - 0.45))[..., None]
    picture *= np.clip(1.25 - 0.9 * away, 0.3, 1.3).astype(np.float32)


def _disc(picture: Float, x: float, y: float, radius: float, colour: Float) -> None:
    import cv2

    height, width = picture.shape[:2]
    cv2.circle(picture, (int(x * width), int(y * height)), int(radius * width), colour.tolist(), -1, cv2.LINE_AA)


_PAINTERS = {
    "wall": _wall, "room": _room, "shelf": _shelf, "window": _window, "outdoor": _outdoor, "lights": _lights,
    "studio": _studio,
}  # fmt: skip


def developed(setting: Setting, picture: Float, frame_index: int) -> UInt8:
    """[H, W, 3] uint8: a picture (float32, 0..255; overwritten) as the setting's camera gives it.

    The noise of a frame follows from the setting's seed and `frame_index`.
    """
    import cv2

    height, width = picture.shape[:2]
    sigma = setting.blur_pixels * height / 320
    if sigma > 0.2:
        picture = np.asarray(cv2.GaussianBlur(picture, (0, 0), sigma), np.float32)
    picture *= _falloff(setting.vignette, (width, height)) * np.float32(setting.exposure)
    if setting.noise > 0:
        picture += _noise(setting, frame_index, picture.shape)
    return np.asarray(np.clip(picture + 0.5, 0, 255), np.uint8)


def _noise(setting: Setting, frame_index: int, shape: tuple[int, ...]) -> Float:
    """A window of one large tile of noise, at a place that changes by frame: new noise would be ten times slower."""
    height, width = shape[:2]
    tile = _noise_tile(height, width)
    y, x = np.random.default_rng([setting.seed, 0x4015E, frame_index]).integers(0, 64, 2)
    return np.asarray(tile[y : y + height, x : x + width] * np.float32(setting.noise))


@lru_cache(maxsize=4)
def _noise_tile(height: int, width: int) -> Float:
    rng = np.random.default_rng([height, width])
    return np.asarray(rng.standard_normal((height + 64, width + 64, 3), np.float32))


@lru_cache(maxsize=16)
def _falloff(vignette: float, size: tuple[int, int]) -> Float:
    y, x = np.mgrid[-1 : 1 : size[1] * 1j, -1 : 1 : size[0] * 1j]
    return np.asarray(1 - 0.5 * vignette * (x**2 + y**2), np.float32)[..., None]
