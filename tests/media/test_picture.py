"""Light, colours and movement of pictures whose truth is known: named CSS colours, shifted textures, moving squares."""

import numpy as np
import pytest

from emotion_llama.errors import InputError
from emotion_llama.media.picture import (
    COLOUR_WORDS,
    brightness,
    colour_names,
    dominant_colours,
    movement,
    relative_luminance,
    shrunk,
    to_lab,
)

# sRGB values of CSS Color Module Level 4; the words are what people call these colours (several are in the names).
CSS = {
    "black": ["000000", "0a0a0c"], "dark grey": ["404040", "484a4d"], "grey": ["808080", "708090"],
    "light grey": ["c0c0c0", "a9a9a9", "d3d3d3"], "white": ["ffffff", "f5f5f5", "fffafa"],
    "brown": ["8b4513", "a0522d", "654321", "d2691e"], "beige": ["f5f5dc", "d2b48c", "f5deb3", "ffe4c4"],
    "red": ["ff0000", "dc143c", "b22222"], "dark red": ["8b0000", "800000"],
    "orange": ["ffa500", "ff8c00", "ff7f50", "ff4500"], "yellow": ["ffff00", "ffd700"],
    "green": ["008000", "00ff00", "2e8b57", "32cd32"], "dark green": ["006400", "1e3d1e"],
    "light green": ["90ee90", "98fb98"], "teal": ["008080", "40e0d0", "00ffff"],
    "blue": ["0000ff", "4169e1", "4682b4", "1e90ff"], "dark blue": ["000080", "191970"],
    "light blue": ["add8e6", "87ceeb", "87cefa"], "purple": ["800080", "8a2be2", "9932cc", "4b0082"],
    "pink": ["ffc0cb", "ff69b4", "ffb6c1"],
}  # fmt: skip


def picture(colour: str, size: tuple[int, int] = (8, 8)) -> np.ndarray:
    return np.full((*size, 3), [int(colour[i : i + 2], 16) for i in (0, 2, 4)], np.uint8)


def texture(seed: int = 0, size: tuple[int, int] = (90, 160)) -> np.ndarray:
    import cv2

    noise = np.random.default_rng(seed).uniform(0, 255, size)
    grey = cv2.GaussianBlur(noise, (0, 0), 2.0)
    grey = 255 * (grey - grey.min()) / np.ptp(grey)
    return np.repeat(grey.astype(np.uint8)[..., None], 3, 2)


@pytest.mark.parametrize("word", CSS)
def test_named_colours(word: str) -> None:
    for colour in CSS[word]:
        assert dominant_colours(to_lab(picture(colour))) == (word,), colour


def test_every_word_is_tested_and_every_colour_has_one() -> None:
    assert set(CSS) == set(COLOUR_WORDS)
    cube = np.stack(np.meshgrid(*[np.arange(0, 256, 17, dtype=np.uint8)] * 3), -1).reshape(1, -1, 3)
    names = colour_names(to_lab(cube)[0])
    assert names.min() >= 0
    assert names.max() < len(COLOUR_WORDS)
    assert set(names.astype(int).tolist()) == set(range(len(COLOUR_WORDS)))


def test_only_colours_that_cover_a_quarter_are_named_the_largest_first() -> None:
    image = np.concatenate([picture("ff0000", (4, 8)), picture("0000ff", (10, 8)), picture("ffff00", (2, 8))])
    assert dominant_colours(to_lab(image)) == ("blue", "red")
    left = np.zeros(image.shape[:2], bool)
    left[14:] = True
    assert dominant_colours(to_lab(image), left) == ("yellow",)
    assert dominant_colours(to_lab(image), np.zeros_like(left)) == ()
    many = np.concatenate([picture(CSS[word][0], (1, 8)) for word in COLOUR_WORDS])
    assert dominant_colours(to_lab(many)) == ()


@pytest.mark.parametrize(
    ("grey", "lightness", "word"), [(0, 0.0, "dark"), (50, 20.8, "dim"), (119, 50.0, "normal"), (230, 91.3, "bright")]
)
def test_lightness_and_its_word(grey: int, lightness: float, word: str) -> None:
    """Lightness by the CIE formula, by hand: grey 119 is the middle, L* = 116 * cbrt(0.1845) - 16 = 50.0."""
    found = float(to_lab(picture(f"{grey:02x}" * 3))[..., 0].mean())
    assert found == pytest.approx(lightness, abs=0.15)
    # 50 of 255 is linear 0.0319, hence L* 20.8: above black cloth, below half of what middle grey sends back.
    assert brightness(found) == word


def test_luminance_is_linear_light() -> None:
    assert relative_luminance(picture("808080"))[0, 0] == pytest.approx(0.2159, abs=1e-4)
    assert relative_luminance(picture("00ff00"))[0, 0] == pytest.approx(0.7152, abs=1e-4)


def test_pictures_are_made_small_and_never_large() -> None:
    assert shrunk(np.zeros((1000, 500, 3), np.uint8)).shape == (320, 160, 3)
    assert shrunk(np.zeros((10, 20, 3), np.uint8)).shape == (10, 20, 3)


@pytest.mark.parametrize(
    "image",
    [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3)), np.zeros((0, 4, 3), np.uint8), np.zeros((4, 4, 4), np.uint8)],
)
def test_what_is_no_picture(image: np.ndarray) -> None:
    with pytest.raises(InputError, match="a picture must be"):
        shrunk(image)


@pytest.mark.parametrize("pixels", [0, 1, 4])
def test_camera_that_pans(pixels: int) -> None:
    """A texture shifted by `pixels` of 160 in each of three steps of 0.1 s: pixels / 160 / 0.1 widths a second."""
    wide = texture(size=(90, 200))
    images = [wide[:, 10 + pixels * i : 170 + pixels * i] for i in range(4)]
    found = movement(images, np.arange(4) * 0.1)
    assert found.camera == pytest.approx(pixels / 16, abs=0.01)
    assert found.scene < 0.03


def test_something_that_moves_before_a_still_camera() -> None:
    """A third of the picture moves by 3 pixels of 160 in 0.1 s = 0.19 widths a second; the rest stands still."""
    inside = texture(1, (90, 100))
    images = []
    for i in range(4):
        image = texture()
        image[20:70, 30:90] = inside[20:70, 3 * i : 60 + 3 * i]
        images.append(image)
    around = np.ones((90, 160), bool)
    around[10:80, 20:100] = False
    found = movement(images, np.arange(4) * 0.1, around)
    assert found.camera == pytest.approx(0.0, abs=0.005)
    assert found.scene == pytest.approx(3 / 160 / 0.1, abs=0.06)


def test_a_bare_wall_does_not_tell_whether_the_camera_moves() -> None:
    found = movement([picture("808080", (90, 160))] * 3, np.arange(3) * 0.1)
    assert found.camera is None
    assert found.scene == 0.0


def test_noise_of_a_still_camera_is_no_movement() -> None:
    rng = np.random.default_rng(3)
    clean = texture().astype(float)
    images = [np.clip(clean + rng.normal(0, 4, clean.shape), 0, 255).astype(np.uint8) for _ in range(5)]
    found = movement(images, np.arange(5) / 15)
    assert found.camera < 0.02
    assert found.scene < 0.06


@pytest.mark.parametrize("times", [[0.0], [0.0, 0.0], [0.0, 0.1, 0.2]])
def test_movement_needs_two_pictures_at_growing_times(times: list[float]) -> None:
    with pytest.raises(InputError, match="pictures"):
        movement([texture()] * min(len(times), 2), np.array(times))
