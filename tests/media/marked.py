"""Pictures whose number and upright corner can be read back from the decoded image."""

import numpy as np

RED = (230, 40, 40)
_DIGITS = 3


def picture(number: int, height: int = 96, width: int = 128) -> np.ndarray:
    """Grey, a red upper left corner, and the number as three hexadecimal digits in grey patches across the middle."""
    image = np.full((height, width, 3), 60, np.uint8)
    image[: height // 4, : width // 4] = RED
    for place in range(_DIGITS):
        digit = number // 16**place % 16
        image[height // 3 : 2 * height // 3, place * width // _DIGITS : (place + 1) * width // _DIGITS] = 8 + 15 * digit
    return image


def pictures(count: int, height: int = 96, width: int = 128):
    """The pictures 0, 1, ... one at a time."""
    return (picture(number, height, width) for number in range(count))


def number_of(image: np.ndarray) -> int:
    """The number that `picture` drew."""
    height, width = image.shape[:2]
    number = 0
    for place in range(_DIGITS):
        middle = int((place + 0.5) * width / _DIGITS)
        patch = image[height // 2 - 4 : height // 2 + 4, middle - 4 : middle + 4]
        number += round((float(patch.mean()) - 8) / 15) * 16**place
    return number


def red_corner(image: np.ndarray) -> str:
    """Which corner of the image is red."""
    height, width = image.shape[:2]
    corners = {
        "upper left": image[height // 8, width // 8],
        "upper right": image[height // 8, -width // 8],
        "lower left": image[-height // 8, width // 8],
        "lower right": image[-height // 8, -width // 8],
    }
    red = [name for name, pixel in corners.items() if np.abs(pixel.astype(int) - RED).max() < 25]
    assert len(red) == 1, corners
    return red[0]


def tone(seconds: float, rate: int = 44_100, hz: float = 440.0, amplitude: float = 0.5) -> np.ndarray:
    """A sine, mono float32."""
    return (amplitude * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate)) / rate)).astype(np.float32)
