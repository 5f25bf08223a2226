"""Hands: drawn ones are found where they are, and faces, backgrounds and real pictures without hands give none.

Real hands are untested: no picture of one comes with the packages the tests may use.
"""

import itertools

import cv2
import numpy as np
import pytest
import skimage.data

from emotion_llama.errors import InputError
from emotion_llama.face.backends.mediapipe_hands import MediapipeHands
from emotion_llama.face.hands import load_hand_finder
from merr_synth.render.face import ANNA, BEN, CLEO, DREW, DrawnFace, Placement, render

# An open hand, palm to the camera, in units of the palm's width: finger joints from the palm outwards, and thickness.
FINGERS = (
    ([(-0.38, -0.35), (-0.48, -0.8), (-0.52, -1.08), (-0.54, -1.3)], 0.22),
    ([(-0.13, -0.45), (-0.16, -1.0), (-0.17, -1.32), (-0.17, -1.56)], 0.23),
    ([(0.12, -0.42), (0.15, -0.94), (0.17, -1.24), (0.18, -1.48)], 0.22),
    ([(0.36, -0.3), (0.46, -0.68), (0.51, -0.9), (0.54, -1.1)], 0.19),
    ([(-0.3, 0.35), (-0.72, -0.02), (-0.92, -0.3), (-1.05, -0.52)], 0.24),
    ([(0.0, 0.5), (0.0, 1.9)], 0.62),  # forearm
)
PALM = [(-0.5, -0.4), (-0.2, -0.52), (0.15, -0.5), (0.48, -0.38), (0.5, 0.1), (0.36, 0.6), (-0.32, 0.6), (-0.52, 0.1)]
CREASES = (((-0.42, -0.1), (0.4, -0.2)), ((-0.4, 0.02), (0.25, 0.12)), ((-0.3, -0.05), (-0.1, 0.5)))
SKIN, SHADE = (224, 178, 150), (161, 128, 108)


def draw_hand(image: np.ndarray, x: float, y: float, palm_px: float, degrees: float = 0.0) -> np.ndarray:
    """The picture with an open hand whose palm is `palm_px` wide and has its middle at x, y."""
    enlarge, turn = 4, np.radians(degrees)
    canvas = cv2.resize(image, None, fx=enlarge, fy=enlarge, interpolation=cv2.INTER_NEAREST)

    def place(u: float, v: float) -> tuple[int, int]:
        a, b = u * np.cos(turn) - v * np.sin(turn), u * np.sin(turn) + v * np.cos(turn)
        return round((x + a * palm_px) * enlarge), round((y + b * palm_px) * enlarge)

    def limb(joints: list[tuple[float, float]], width: float) -> None:
        for colour, scale in ((SHADE, 1.12), (SKIN, 1.0)):
            for start, end in itertools.pairwise(joints):
                cv2.line(canvas, place(*start), place(*end), colour, round(width * palm_px * enlarge * scale))

    for joints, width in FINGERS:
        limb(joints, width)
    cv2.fillPoly(canvas, [np.array([place(*p) for p in PALM])], SKIN)
    for start, end in CREASES:
        cv2.line(canvas, place(*start), place(*end), SHADE, max(1, round(0.03 * palm_px * enlarge)))
    canvas = cv2.GaussianBlur(canvas, (0, 0), 0.03 * palm_px * enlarge)
    return cv2.resize(canvas, image.shape[1::-1], interpolation=cv2.INTER_AREA)


@pytest.fixture(scope="module")
def finder():
    found = load_hand_finder()
    yield found
    found.close()


@pytest.fixture
def person() -> np.ndarray:
    return render((640, 360), [DrawnFace(ANNA, Placement((320, 150), 120))]).image


@pytest.mark.parametrize("palm_px", [30, 50, 80])
@pytest.mark.parametrize("degrees", [-30, 0, 20])
def test_a_drawn_hand_is_found_where_it_is(finder, person: np.ndarray, palm_px: float, degrees: float) -> None:
    (hand,) = finder.find(draw_hand(person, 520, 200, palm_px, degrees))
    assert hand.shape == (21, 2)
    # The middle of all points lies between palm and fingers: within one and a half palms of the palm's middle.
    assert np.hypot(*(hand.mean(0) - [520, 200])) < 1.5 * palm_px
    wrist = hand[0] - [520, 200]
    assert (
        wrist @ [-np.sin(np.radians(degrees)), np.cos(np.radians(degrees))] > 0
    )  # below the palm, in the hand's frame


def test_two_hands_from_the_left_of_the_picture(finder, person: np.ndarray) -> None:
    left, right = finder.find(draw_hand(draw_hand(person, 520, 200, 50), 120, 200, 50))
    assert left[:, 0].mean() < 320 < right[:, 0].mean()


def test_faces_alone_have_no_hands(finder) -> None:
    rng = np.random.default_rng(0)
    for i in range(40):
        pose = tuple(rng.uniform(-25, 25, 3))
        placement = Placement((rng.uniform(150, 500), rng.uniform(100, 200)), rng.uniform(60, 200), pose)
        background = tuple(int(v) for v in rng.integers(20, 230, 3))
        image = render((640, 360), [DrawnFace((ANNA, BEN, CLEO, DREW)[i % 4], placement)], background).image
        assert finder.find(image) == ()


@pytest.mark.parametrize("name", ["astronaut", "chelsea", "coffee", "rocket"])
def test_real_pictures_without_hands(finder, name: str) -> None:
    assert finder.find(getattr(skimage.data, name)()) == ()


def test_the_answer_does_not_depend_on_what_was_asked_before(finder, person: np.ndarray) -> None:
    with_hand = draw_hand(person, 520, 200, 50)
    (first,) = finder.find(with_hand)
    assert finder.find(person) == ()
    (second,) = finder.find(with_hand)
    assert np.array_equal(first, second)


def test_most_hands_must_be_one_at_least() -> None:
    with pytest.raises(InputError, match="max_hands must be at least 1, got 0"):
        MediapipeHands(0)
