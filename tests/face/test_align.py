"""Aligned crops: eyes and mouth land where OpenFace puts them, whatever the size, turn and place of the face."""

import cv2
import numpy as np
import pytest
from scenes import SIZE, STUDIO, follow

from emotion_llama.errors import InputError
from emotion_llama.face.align import align_face, alignment, crops, template_points
from emotion_llama.records import Frames
from merr_synth.render.face import ANNA, DrawnFace, Placement, render

# OpenFace's mean shape (mm) x 0.7 + 56, by hand: right eye corners 36 (-46.047, -37.471), 39 (-19.648, -36.755), left
# 42 (19.266, -37.032), 45 (45.171, -38.087), mouth corners 48 (-28.916, 28.613), 54 (28.794, 28.080).
OPENFACE_EYES = ((33.01, 30.02), (78.55, 29.71))
OPENFACE_MOUTH = ((35.76, 76.03), (76.16, 75.66))


def dots(points, colour_of, size=(360, 640)):
    """A picture with a soft dot at each point."""
    image = np.zeros((*size, 3), np.uint8)
    for (x, y), colour in zip(points, colour_of):
        cv2.circle(image, (round(x * 16), round(y * 16)), 4 * 16, colour, -1, cv2.LINE_AA, shift=4)
    return image


def centroid(channel):
    rows, columns = np.indices(channel.shape)
    weight = channel.astype(float)
    return np.array([(columns * weight).sum(), (rows * weight).sum()]) / weight.sum()


def test_template_is_openface_mean_shape() -> None:
    """Within 0.5 px: left and right are averaged here."""
    assert template_points() == pytest.approx(np.array([*OPENFACE_EYES, *OPENFACE_MOUTH]), abs=0.5)
    right, left = template_points()[:2]
    assert left[0] - right[0] == pytest.approx(0.7 * 65.06, abs=0.1)  # 45.5 px between the eyes
    assert template_points(224) == pytest.approx(2 * template_points())


@pytest.mark.parametrize("angle", [0.0, 35.0, -80.0, 170.0])
@pytest.mark.parametrize("scale", [0.6, 1.0, 3.7])
def test_known_turn_and_scale_are_undone(angle: float, scale: float) -> None:
    """Points made from the template by a known similarity come back to it, and the matrix is its inverse."""
    turn = np.array(
        [
            [np.cos(np.radians(angle)), -np.sin(np.radians(angle))],
            [np.sin(np.radians(angle)), np.cos(np.radians(angle))],
        ]
    )
    eyes_and_mouth = template_points() @ turn.T * scale + [300.0, 200.0]
    points = np.insert(eyes_and_mouth, 2, [5000.0, 5000.0], axis=0)  # the nose tip takes no part
    matrix = alignment(points)
    assert eyes_and_mouth @ matrix[:, :2].T + matrix[:, 2] == pytest.approx(template_points(), abs=1e-9)
    assert np.linalg.det(matrix[:, :2]) == pytest.approx(scale**-2)


def test_drawn_dots_land_on_the_template() -> None:
    """Through the pixels: a red and a green dot on the eyes of a turned, scaled face."""
    angle, scale = np.radians(20), 1.4
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    four = (template_points() - 56) @ turn.T * scale + [350.3, 170.8]
    points = np.insert(four, 2, [350, 180], axis=0)
    crop = align_face(dots(four[:2], [(255, 0, 0), (0, 255, 0)]), points)
    assert crop.shape == (112, 112, 3)
    assert crop.dtype == np.uint8
    assert centroid(crop[..., 0]) == pytest.approx(template_points()[0], abs=0.5)
    assert centroid(crop[..., 1]) == pytest.approx(template_points()[1], abs=0.5)


@pytest.mark.parametrize(("roll", "width"), [(0.0, 100.0), (25.0, 100.0), (-40.0, 180.0), (10.0, 50.0)])
def test_drawn_face_is_upright_and_of_one_size(roll: float, width: float) -> None:
    """The canonical face is not OpenFace's mean face, but in every crop its eyes are at the same place."""
    placements = (Placement((320, 180), 112.0), Placement((300.4, 190.7), width, (0.0, 0.0, roll)))
    where = []
    for placement in placements:
        mesh = render(SIZE, [DrawnFace(ANNA, placement)]).landmarks[0][:, :2]
        points = np.array([mesh[[33, 133]].mean(0), mesh[[362, 263]].mean(0), mesh[4], mesh[61], mesh[291]])
        matrix = alignment(points)
        where.append(points @ matrix[:, :2].T + matrix[:, 2])
    assert where[1] == pytest.approx(where[0], abs=0.01)
    assert where[0][0, 1] == pytest.approx(where[0][1, 1], abs=0.01)  # eyes level
    assert where[0][[0, 1]] == pytest.approx(template_points()[:2], abs=4)


def test_mask_keeps_the_face_and_blackens_the_corners() -> None:
    points = np.insert(template_points(), 2, [56, 50], axis=0)
    white = np.full((112, 112, 3), 255, np.uint8)
    assert (align_face(white, points) == 255).all()
    masked = align_face(white, points, masked=True)
    assert set(np.unique(masked).tolist()) == {0, 255}
    for x, y in ((33, 30), (78, 30), (56, 50), (56, 76), (56, 108), (56, 3)):  # eyes, nose, mouth, chin, forehead
        assert masked[y, x, 0] == 255
    for x, y in ((1, 110), (110, 110), (20, 100), (92, 100)):  # beside the chin
        assert masked[y, x, 0] == 0
    # Widest at the ends of the jaw, 72.4 mm x 0.7 = 50.7 px to each side of the middle.
    assert np.flatnonzero(masked[36, :, 0])[[0, -1]] == pytest.approx([56 - 50.7, 56 + 50.7], abs=1.5)


def test_outside_of_the_picture_is_black() -> None:
    points = np.insert(template_points() - np.array([40.0, 0.0]), 2, [16, 50], axis=0)
    crop = align_face(np.full((112, 112, 3), 255, np.uint8), points)
    assert (crop[:, :39] == 0).all()
    assert (crop[:, 41:] == 255).all()


def test_points_that_cannot_be_aligned() -> None:
    good = np.insert(template_points(), 2, [np.nan, np.nan], axis=0)
    assert np.isfinite(alignment(good)).all()  # the nose is not used
    bad = good.copy()
    bad[0] = np.nan
    with pytest.raises(InputError, match=r"needs 5 finite points \[5, 2\]"):
        alignment(bad)
    with pytest.raises(InputError, match=r"needs 5 finite points"):
        align_face(np.zeros((9, 9, 3), np.uint8), np.zeros((4, 2)))
    with pytest.raises(InputError, match="points that differ"):
        alignment(np.ones((5, 2)))


def test_crops_of_a_track() -> None:
    """Valid rows only, at the times of the track, also from frames of twice the size."""

    def scene(i):
        return [DrawnFace(ANNA, Placement((200.0 + 5 * i, 170.0), 100.0, (0.0, 0.0, 2.0 * i)))], STUDIO

    (track,), _ = follow(scene, 12, unseen=lambda frame, face: frame in (4, 5))
    small = [render(SIZE, *scene(i)).image for i in range(12)]
    large = [np.kron(image, np.ones((2, 2, 1), np.uint8)) for image in small]
    index = np.arange(12)
    made = list(crops([Frames(np.stack(small[:7]), index[:7] / 25, index[:7]),
                       Frames(np.stack(small[7:]), index[7:] / 25, index[7:])], track))  # fmt: skip
    assert [row for row, _, _ in made] == [0, 1, 2, 3, 6, 7, 8, 9, 10, 11]
    assert [seconds for _, seconds, _ in made] == pytest.approx([row / 25 for row in (0, 1, 2, 3, 6, 7, 8, 9, 10, 11)])
    # The face moves and turns in the picture, but not in the crops.
    middle = np.stack([image[30:90, 25:87] for _, _, image in made]).astype(float)
    assert np.abs(middle - middle.mean(0)).mean() < 4
    big = list(crops([Frames(np.stack(large), index / 25, index)], track, masked=True))
    assert np.abs(big[0][2][40:80, 40:70].astype(float) - made[0][2][40:80, 40:70]).mean() < 6
    # Frames that the track does not know give nothing.
    assert list(crops([Frames(np.stack(small[:2]), index[:2] / 25, index[:2] + 100)], track)) == []
