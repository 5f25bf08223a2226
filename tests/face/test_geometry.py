import carried_units as truth
import numpy as np
import pytest

from emotion_llama.errors import InputError
from emotion_llama.face import geometry
from emotion_llama.face.geometry import FEATURE_NAMES, Camera, measure, measure_many

STRAIGHT = np.eye(3)


def feature(measured: geometry.FaceMeasurement, name: str) -> float:
    return float(measured.shape_features[FEATURE_NAMES.index(name)])


@pytest.mark.parametrize("pose", [(0, 0, 0), (20, 0, 0), (0, 30, 0), (0, 0, -25), (-25, 25, 30), (15, -40, 10)])
def test_head_pose_is_found_and_taken_out(pose):
    straight = measure(truth.photograph(truth.canonical(), STRAIGHT))
    turned = measure(truth.photograph(truth.canonical(), truth.rotation(*pose)))
    assert turned.head_pose_degrees == pytest.approx(pose, abs=1e-9)
    assert turned.shape_features == pytest.approx(straight.shape_features, abs=1e-9)


def test_a_face_turned_to_its_left_has_its_nose_to_the_right_in_the_picture():
    pixels = truth.photograph(truth.canonical(), truth.rotation(0, 20))
    assert pixels[1, 0] > pixels[[33, 263], 0].mean()
    assert measure(pixels).head_pose_degrees[1] == pytest.approx(20)


def test_size_and_place_in_the_picture_do_not_matter_and_size_is_told():
    small = truth.photograph(truth.canonical(), STRAIGHT, face_pixels=100)
    large = small * 3 + [400, -50, 0]
    assert measure(large).shape_features == pytest.approx(measure(small).shape_features)
    width_cm = np.ptp(truth.canonical()[:, 0])
    assert measure(small).scale_pixels_per_cm == pytest.approx(100 / width_cm)
    assert measure(large).scale_pixels_per_cm == pytest.approx(300 / width_cm)


@pytest.mark.parametrize(
    ("landmarks", "move_cm", "name", "expected_cm"),
    [
        # Outwards is towards the person's right on the right side (-x) and towards the left on the left side (+x).
        ((61, 76, 78), (-0.3, 0, 0), "mouth_corner_x_right", 0.3),
        ((291, 306, 308), (0.3, 0, 0), "mouth_corner_x_left", 0.3),
        ((61, 76, 78), (0, 0.4, 0), "mouth_corner_y_right", 0.4),
        ((161, 160, 159, 158, 157), (0, 0.2, 0), "lid_upper_y_right", 0.2),
        ((14, 87, 317, 178, 402), (0, -0.5, 0), "lip_gap", 0.5),
        ((107,), (0, 0.6, 0), "brow_inner_y_right", 0.3),  # one of two landmarks
        ((152, 148, 377, 176, 400), (0, -1, 0), "chin_y", -1.0),
    ],
)
def test_features_are_centimetres_of_the_named_place(landmarks, move_cm, name, expected_cm):
    mesh = truth.canonical().copy()
    before = measure(truth.photograph(mesh, truth.rotation(10, -20)))
    mesh[list(landmarks)] += move_cm
    scale = np.ptp(mesh[:, 0]) / np.ptp(truth.canonical()[:, 0])
    after = measure(truth.photograph(mesh, truth.rotation(10, -20), face_pixels=256 * scale))
    assert feature(after, name) - feature(before, name) == pytest.approx(expected_cm, abs=1e-9)
    other_side = name.replace("_right", "_LEFT").replace("_left", "_right").replace("_LEFT", "_left")
    if other_side != name:
        assert feature(after, other_side) == pytest.approx(feature(before, other_side), abs=1e-9)


def test_a_mirrored_face_has_its_sides_swapped():
    mesh = truth.canonical() + truth.displacement("AU12") * (truth.canonical()[:, :1] > 0)  # smiles on the left only
    flipped = mesh[truth.mirror()] * [-1, 1, 1]
    one, other = (measure(truth.photograph(m, STRAIGHT)) for m in (mesh, flipped))
    assert feature(one, "mouth_corner_y_left") > feature(one, "mouth_corner_y_right") + 0.5
    for name in FEATURE_NAMES:
        swapped = name[:-4] + "right" if name.endswith("_left") else name.replace("_right", "_left")
        assert feature(one, name) == pytest.approx(feature(other, swapped), abs=1e-9)


def test_the_measured_size_is_not_changed_by_expressions():
    """The fit uses landmarks that muscles do not move: no unit at full strength changes size or pose noticeably."""
    for unit in ("AU01", "AU06", "AU09", "AU12", "AU26"):
        mesh = truth.canonical() + truth.displacement(unit)
        scale = np.ptp(mesh[:, 0]) / np.ptp(truth.canonical()[:, 0])
        pixels = truth.photograph(mesh, STRAIGHT, face_pixels=256 * scale)
        measured = measure(pixels)
        assert measured.scale_pixels_per_cm == pytest.approx(256 / np.ptp(truth.canonical()[:, 0]), rel=0.006)
        assert np.abs(measured.head_pose_degrees).max() < 1.0


def test_points_are_eyes_nose_and_mouth_corners():
    pixels = truth.photograph(truth.canonical(), STRAIGHT)
    points = measure(pixels).points
    assert points.shape == (5, 2)
    assert points[0] == pytest.approx(pixels[468, :2])  # the truth's iris is at the middle of the corners
    assert points[1] == pytest.approx(pixels[473, :2])
    assert points[3] == pytest.approx(pixels[61, :2])
    assert points[4] == pytest.approx(pixels[291, :2])
    assert points[0, 0] < points[2, 0] < points[1, 0]
    assert points[1, 1] < points[2, 1] < points[4, 1]


def test_irises_are_not_needed_and_a_batch_is_the_same_as_one_by_one():
    faces = np.stack([truth.photograph(truth.canonical(), truth.rotation(p, 5)) for p in (-20, 0, 20)])
    many = measure_many(faces)
    assert many.shape_features.shape == (3, len(FEATURE_NAMES))
    for i, face in enumerate(faces):
        one = measure(face[:468])
        assert one.shape_features == pytest.approx(many.shape_features[i])
        assert one.head_pose_degrees == pytest.approx(many.head_pose_degrees[i])


@pytest.mark.parametrize("pose", [(0, 0), (-25, 20)])
def test_a_known_camera_takes_out_perspective(pose):
    far = measure(truth.photograph(truth.canonical(), truth.rotation(*pose)))
    near_pixels = truth.photograph(truth.canonical(), truth.rotation(*pose), "perspective")
    camera = Camera(1.5 * 256 / 0.4, (256.0, 256.0))
    assert measure(near_pixels, camera).shape_features == pytest.approx(far.shape_features, abs=1e-9)
    assert np.abs(measure(near_pixels).shape_features - far.shape_features).max() > 0.1


def test_canonical_mesh_is_read_only_and_mirror_symmetric():
    mesh, mirror = geometry.canonical_mesh(), geometry.mirrored_landmarks()
    assert mesh.shape == (468, 3)
    assert not mesh.flags.writeable
    assert mesh[mirror] * [-1, 1, 1] == pytest.approx(mesh)
    assert mirror[33] == 263
    assert mirror[61] == 291
    assert mirror[4] == 4


def test_feature_names_are_few_and_distinct():
    assert 30 <= len(set(FEATURE_NAMES)) == len(FEATURE_NAMES) <= 60


@pytest.mark.parametrize("shape", [(468, 2), (67, 3), (2, 468, 3)])
def test_wrong_shape(shape):
    with pytest.raises(InputError, match=r"\[468, 3\] or \[478, 3\]"):
        measure(np.ones(shape))


def test_missing_values():
    pixels = truth.photograph(truth.canonical(), STRAIGHT)
    pixels[10, 1] = np.nan
    with pytest.raises(InputError, match="not finite"):
        measure(pixels)


def test_a_mesh_without_extent():
    with pytest.raises(InputError, match="in one point"):
        measure(np.full((478, 3), 5.0))
