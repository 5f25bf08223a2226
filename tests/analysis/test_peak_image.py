"""The image of a face at its peak: cut out within the frame, its mesh in its own pixels."""

import cv2
import numpy as np
import pytest

from emotion_llama.analysis.peak_image import crop_around, make_peak_image
from emotion_llama.errors import BackendError, InputError


def test_crop_is_the_square_around_the_box() -> None:
    # 100 x 60 box around (150, 130); side 100 x 1.5 = 150.
    assert crop_around((100, 100, 200, 160), (640, 480), 0.25) == (75, 55, 225, 205)


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        ((0, 0, 100, 100), (0, 0, 150, 150)),  # moved right and down
        ((560, 400, 660, 500), (490, 330, 640, 480)),  # moved left and up
        ((100, 50, 500, 450), (0, 0, 600, 480)),  # higher than the frame: cut
    ],
)
def test_crop_stays_within_the_frame(box: tuple[float, float, float, float], expected: tuple[int, ...]) -> None:
    assert crop_around(box, (640, 480), 0.25) == expected


@pytest.mark.parametrize("box", [(10, 10, 10, 20), (0, 0, np.nan, 5), (700, 0, 800, 50), (-50, 0, -1, 50)])
def test_a_box_without_area_in_the_frame_is_an_error(box: tuple[float, float, float, float]) -> None:
    with pytest.raises(InputError, match=r"must have an area within the frame of 640x480 pixels"):
        crop_around(box, (640, 480), 0.25)


def _spotted(width: int, height: int, x: int, y: int) -> np.ndarray:
    frame = np.full((height, width, 3), 40, np.uint8)
    frame[y - 6 : y + 6, x - 6 : x + 6] = (250, 30, 30)
    return frame


def test_mesh_points_land_on_what_they_marked() -> None:
    # A red spot around (700, 300); the crop is 600..1200 x 100..700 (side 400 x 1.5), scaled by 480 / 600.
    landmarks = np.zeros((478, 3), np.float32)
    landmarks[7] = (700, 300, -5)
    picture = make_peak_image(_spotted(1280, 720, 700, 300), (700, 200, 1100, 600), landmarks)
    assert (picture.width, picture.height) == (480, 480)
    assert picture.mesh is not None
    assert picture.mesh.shape == (478, 2)
    assert picture.mesh[7].tolist() == pytest.approx([(700 - 600) * 0.8, (300 - 100) * 0.8])
    image = cv2.cvtColor(cv2.imdecode(np.frombuffer(picture.jpeg, np.uint8), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
    assert image.shape == (480, 480, 3)
    red = np.argwhere((image[:, :, 0] > 150) & (image[:, :, 1] < 100))
    assert (red.mean(axis=0) + 0.5).tolist() == pytest.approx([160, 80], abs=0.6)  # row, column


def test_colours_are_not_swapped() -> None:
    frame = np.zeros((64, 64, 3), np.uint8)
    frame[:, :] = (200, 100, 20)
    picture = make_peak_image(frame, (8, 8, 56, 56), None)
    decoded = cv2.imdecode(np.frombuffer(picture.jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert np.abs(decoded[32, 32].astype(int) - (20, 100, 200)).max() <= 4  # OpenCV decodes to BGR


def test_a_small_face_is_not_enlarged() -> None:
    picture = make_peak_image(np.zeros((100, 100, 3), np.uint8), (40, 40, 60, 60), None)
    assert (picture.width, picture.height, picture.mesh) == (30, 30, None)
    assert repr(picture).startswith("PeakImage(30x30, ")


def test_a_cut_crop_scales_each_axis_by_its_own_ratio() -> None:
    # The crop is 600 x 480; 480 / 600 = 0.8, so 480 x 384.
    landmarks = np.full((478, 3), 300.0, np.float32)
    picture = make_peak_image(np.zeros((480, 640, 3), np.uint8), (100, 50, 500, 450), landmarks)
    assert (picture.width, picture.height) == (480, 384)
    assert picture.mesh is not None
    assert picture.mesh[0].tolist() == [240, 240]


@pytest.mark.parametrize("frame", [np.zeros((8, 8), np.uint8), np.zeros((8, 8, 3), np.float32)])
def test_not_an_rgb_frame(frame: np.ndarray) -> None:
    with pytest.raises(InputError, match=r"a frame must be \[H, W, 3\] uint8, got \[8, 8"):
        make_peak_image(frame, (0, 0, 8, 8), None)


def test_an_encoder_that_fails_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cv2, "imencode", lambda *_: (False, np.zeros(0, np.uint8)))
    with pytest.raises(BackendError, match="could not encode an image of 12x12 pixels as JPEG"):
        make_peak_image(np.zeros((20, 20, 3), np.uint8), (6, 6, 14, 14), None)
