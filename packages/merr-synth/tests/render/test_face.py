"""The drawn face: its truth is exact, and MediaPipe takes it for a face."""

from collections import Counter

import numpy as np
import pytest

from emotion_llama.face.backends import load_backend
from emotion_llama.face.geometry import canonical_mesh, measure
from merr_synth.render.face import (
    ANNA,
    BEN,
    CLEO,
    DREW,
    MESH_WIDTH_CM,
    DrawnFace,
    Identity,
    Placement,
    canonical_triangles,
    jaw_drop,
    render,
    rotation_matrix,
    shape_of,
)

SIZE = (640, 360)
NOSE_TIP, UPPER_LIP, LOWER_LIP = 4, 13, 14
EYES_AND_LIPS = (33, 133, 159, 145, 362, 263, 386, 374, 61, 291, 0, 17, 13, 14)


def test_same_arguments_give_the_same_pixels() -> None:
    face = DrawnFace(CLEO, Placement((300.3, 170.7), 120.0, (5.0, -12.0, 3.0), (0.4, -0.2)), jaw_drop(0.5))
    assert np.array_equal(render(SIZE, [face]).image, render(SIZE, [face]).image)


def test_mesh_has_four_openings() -> None:
    """852 triangles whose free edges are the face's oval (36), two eyes (16 each) and the mouth (20)."""
    triangles = canonical_triangles()
    assert triangles.shape == (852, 3)
    assert set(triangles.ravel().tolist()) == set(range(468))
    edges = Counter(frozenset((int(t[i]), int(t[i - 1]))) for t in triangles for i in range(3))
    assert Counter(edges.values()) == {2: 1234, 1: 36 + 16 + 16 + 20}


def test_frontal_face_has_the_width_and_place_asked_for() -> None:
    (landmarks,) = render(SIZE, [DrawnFace(ANNA, Placement((200.0, 150.0), 120.0))]).landmarks
    assert np.ptp(landmarks[:, 0]) == pytest.approx(120.0, abs=0.01)
    assert float(np.ptp(canonical_mesh()[:, 0])) == pytest.approx(MESH_WIDTH_CM, abs=0.001)
    # Left and right halves of the canonical mesh mirror each other: the midline is the middle.
    assert landmarks[NOSE_TIP, 0] == pytest.approx(200.0, abs=0.01)


@pytest.mark.parametrize(
    ("rotation", "moved", "direction"),
    [((0, 20, 0), 0, +1), ((0, -20, 0), 0, -1), ((20, 0, 0), 1, -1), ((-20, 0, 0), 1, +1)],
)
def test_nose_goes_where_the_head_turns(rotation: tuple[float, float, float], moved: int, direction: int) -> None:
    """Yaw + is to the person's left (right in the picture), pitch + is up (smaller y)."""
    (front,) = render(SIZE, [DrawnFace(ANNA, Placement((320, 180), 120))]).landmarks
    (turned,) = render(SIZE, [DrawnFace(ANNA, Placement((320, 180), 120, rotation))]).landmarks
    assert (turned - front)[NOSE_TIP, moved] * direction > 10


def test_roll_turns_clockwise() -> None:
    matrix = rotation_matrix(0, 0, 90)
    # The person's left (+x, right in the picture) comes to lie at the bottom (-y).
    assert matrix @ [1, 0, 0] == pytest.approx([0, -1, 0])


def test_geometry_reads_the_pose_that_was_drawn() -> None:
    """Two independent implementations of the same convention: drawing and measuring."""
    for rotation in ((10.0, -20.0, 5.0), (-15.0, 12.0, -30.0), (0.0, 25.0, 0.0)):
        (landmarks,) = render(SIZE, [DrawnFace(ANNA, Placement((320, 180), 120, rotation))]).landmarks
        assert measure(landmarks).head_pose_degrees == pytest.approx(rotation, abs=1e-3)


def test_jaw_drop_parts_the_lips_and_leaves_the_eyes() -> None:
    displacement = jaw_drop(1.0)
    rest = canonical_mesh()
    gap = (rest + displacement)[UPPER_LIP, 1] - (rest + displacement)[LOWER_LIP, 1]
    before = rest[UPPER_LIP, 1] - rest[LOWER_LIP, 1]
    assert gap - before == pytest.approx(1.0)
    assert np.abs(displacement[[33, 133, 159, 145, NOSE_TIP]]).max() < 0.01


def test_identities_differ_in_shape_and_colour() -> None:
    shapes = [shape_of(identity) for identity in (ANNA, BEN, CLEO, DREW)]
    eye_to_jaw = [np.linalg.norm(s[33] - s[263]) / np.linalg.norm(s[172] - s[397]) for s in shapes]
    assert len({round(float(ratio), 3) for ratio in eye_to_jaw}) == 4
    assert shape_of(Identity()) == pytest.approx(canonical_mesh())


def test_later_faces_hide_earlier_ones() -> None:
    anna, ben = (DrawnFace(identity, Placement((320, 180), 120)) for identity in (ANNA, BEN))
    both, ben_only = render(SIZE, [anna, ben]).image, render(SIZE, [ben]).image
    assert np.array_equal(both[150:210, 300:340], ben_only[150:210, 300:340])


def test_background_may_be_a_picture_and_a_face_may_be_outside() -> None:
    background = np.random.default_rng(0).integers(0, 255, (360, 640, 3), np.uint8)
    outside = render(SIZE, [DrawnFace(ANNA, Placement((2000.0, 180.0), 100.0))], background)
    assert np.array_equal(outside.image, background)
    assert outside.landmarks[0][NOSE_TIP, 0] > 1900
    half = render(SIZE, [DrawnFace(ANNA, Placement((640.0, 360.0), 100.0))], background)
    assert np.array_equal(half.image[:150], background[:150])
    assert not np.array_equal(half.image, background)


def test_mediapipe_finds_every_drawn_face_at_its_place() -> None:
    """4 people, 2 sizes, poses up to 12/25/8 degrees: found in >= 98 %, landmarks within 1-2 % of its width."""
    found = total = 0
    errors, feature_errors = [], []
    with load_backend("onnx_mesh") as backend:
        for identity in (ANNA, BEN, CLEO, DREW):
            for width in (60.0, 180.0):
                backend.reset()
                for phase in np.linspace(0, 2 * np.pi, 16, endpoint=False):
                    rotation = (12 * np.sin(phase), 25 * np.sin(2 * phase), 8 * np.cos(phase))
                    placement = Placement((320 + 40 * np.sin(phase), 180), width, rotation)
                    truth = render(SIZE, [DrawnFace(identity, placement)])
                    (faces,) = backend.observe(truth.image[None])
                    total += 1
                    if len(faces) == 1:
                        found += 1
                        off = faces[0].landmarks[:468, :2] - truth.landmarks[0][:, :2]
                        distance = np.linalg.norm(off, axis=1) / width
                        errors.append(distance.mean())
                        feature_errors.append(distance[list(EYES_AND_LIPS)].mean())
    assert found / total >= 0.98
    assert np.mean(feature_errors) < 0.015
    assert np.mean(errors) < 0.025
