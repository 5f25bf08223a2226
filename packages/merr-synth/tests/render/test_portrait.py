"""Drawn people: true landmarks, openings that behave, and a face network that sees what was drawn."""

import numpy as np
import pytest

from emotion_llama.errors import InputError
from emotion_llama.face import action_units
from emotion_llama.face.backends import load_backend
from emotion_llama.face.geometry import canonical_mesh, measure, measure_many
from emotion_llama.records import AU_NAMES, FaceTrack
from merr_synth.render import emphasis, head, relief, surface, unit_shapes
from merr_synth.render.people import draw_person
from merr_synth.render.portrait import View, draw_portrait, render_frame
from merr_synth.render.setting import Setting, background, draw_setting

SIZE = (240, 240)
MIDDLE = View((120.0, 112.0), 120.0)
PLAIN = Setting()
ANN, JOE = draw_person(3), draw_person(16)


def landmarks(units: dict[str, float], view: View = MIDDLE, person=ANN) -> np.ndarray:
    return draw_portrait(person, view, units, size=SIZE).landmarks


# --- truth ------------------------------------------------------------------------------------------------------------


def test_same_arguments_give_the_same_pixels() -> None:
    setting = draw_setting(4)
    frames = [render_frame(setting, [(ANN, MIDDLE, {"AU12": 3.0})], SIZE, frame_index=7) for _ in range(2)]
    assert np.array_equal(frames[0].image, frames[1].image)
    assert np.array_equal(frames[0].landmarks, frames[1].landmarks)
    other = render_frame(setting, [(ANN, MIDDLE, {"AU12": 3.0})], SIZE, frame_index=8)
    assert not np.array_equal(frames[0].image, other.image)  # the sensor's noise
    assert np.abs(frames[0].image.astype(int) - other.image).mean() < 12


def test_a_frame_has_its_size_and_a_landmark_row_a_person() -> None:
    two = [(ANN, View((60.0, 112.0), 70.0), {}), (JOE, View((180.0, 112.0), 70.0), {})]
    frame = render_frame(PLAIN, two, (240, 180))
    assert frame.image.shape == (180, 240, 3)
    assert frame.image.dtype == np.uint8
    assert frame.landmarks.shape == (2, 468, 3)
    assert frame.landmarks[:, 4, 0] == pytest.approx([60, 180], abs=0.5)
    assert render_frame(PLAIN, [], SIZE).landmarks.shape == (0, 468, 3)


def test_nobody_in_view_leaves_the_background() -> None:
    empty = render_frame(PLAIN, [], SIZE).image
    outside = render_frame(PLAIN, [(ANN, View((900.0, 112.0), 100.0), {})], SIZE)
    assert np.array_equal(outside.image, empty)
    assert outside.landmarks[0, 4, 0] > 850
    assert np.array_equal(empty, (background(PLAIN, SIZE) + 0.5).astype(np.uint8))


def test_geometry_reads_the_pose_that_was_drawn() -> None:
    """Shape modes bend a face a little, so that its own front is up to a few degrees off; turning adds up exactly."""
    front = measure(landmarks({})).head_pose_degrees
    for turn in ((10.0, -20.0, 5.0), (0.0, 25.0, 0.0), (-12.0, 0.0, -15.0)):
        pose = measure(landmarks({}, View((120.0, 112.0), 120.0, turn))).head_pose_degrees
        assert pose - front == pytest.approx(turn, abs=1.5)


def test_gaze_and_place_do_not_move_the_face() -> None:
    away = landmarks({}, View((120.0, 112.0), 120.0, gaze=(0.8, 0.3)))
    assert np.array_equal(away, landmarks({}))
    moved = landmarks({}, View((130.0, 100.0), 120.0))
    assert moved - landmarks({}) == pytest.approx(np.broadcast_to([10.0, -12.0, 0.0], (468, 3)))


def test_gaze_moves_the_iris() -> None:
    """Dark pixels of the right eye's opening lie to the left of the middle when looking left, and else to the right."""
    view = (120.0, 112.0), 200.0
    eye = landmarks({}, View(*view))[list(head.RIGHT_UPPER_LID + head.RIGHT_LOWER_LID), :2]
    (x1, y1), (x2, y2) = eye.min(0).astype(int), eye.max(0).astype(int)
    where = {}
    for gaze in (-0.7, 0.7):
        image = render_frame(PLAIN, [(JOE, View(*view, gaze=(gaze, 0.0)), {})], SIZE).image
        dark = 255.0 - image[y1 + 3 : y2 - 1, x1 + 3 : x2 - 3].mean(axis=2)
        where[gaze] = (dark * np.arange(dark.shape[1])).sum() / dark.sum()
    assert where[-0.7] < where[0.7] - 1.0


@pytest.mark.parametrize(
    ("units", "message"),
    [({"AU99": 1.0}, "unknown action units"), ({"AU12": 5.1}, "within 0..5"), ({"AU12": -0.1}, "within 0..5")],
)
def test_impossible_units_are_refused(units: dict[str, float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        draw_portrait(ANN, MIDDLE, units)


def test_a_face_needs_pixels() -> None:
    with pytest.raises(InputError, match="at least 16 pixels wide, got 10"):
        draw_portrait(ANN, View((50.0, 50.0), 10.0), {})


# --- the mesh ---------------------------------------------------------------------------------------------------------


def test_lids_meet_and_never_cross() -> None:
    upper, lower = list(head.RIGHT_UPPER_LID[1:-1]), list(head.RIGHT_LOWER_LID[1:-1])
    for seed in range(12):
        person = draw_person(seed)
        rest = landmarks({}, person=person)
        open_gap = (rest[lower] - rest[upper])[:, 1]
        assert (open_gap > 0).all()
        for units in ({"AU45": 5.0}, {"AU45": 5.0, "AU07": 5.0, "AU06": 5.0}):
            shut = landmarks(units, person=person)
            gap = (shut[lower] - shut[upper])[:, 1]
            assert (gap >= -1e-9).all()
            assert gap.max() < 0.15 * open_gap.max()


def test_lips_are_closed_at_rest_part_with_25_and_never_cross() -> None:
    upper, lower = (list(rows[-1][1:-1]) for rows in (head.UPPER_LIP_ROWS, head.LOWER_LIP_ROWS))
    scale = 120 / 15.486
    for seed in range(12):
        person = draw_person(seed)

        def gap(units: dict[str, float], person=person) -> np.ndarray:
            face = landmarks(units, person=person)
            return (face[lower] - face[upper])[:, 1] / scale

        assert np.abs(gap({})).max() < 0.1
        assert gap({"AU25": 5.0})[4] > 0.7
        for units in ({"AU17": 5.0}, {"AU23": 5.0, "AU17": 5.0}, {"AU14": 5.0, "AU15": 5.0}):
            assert gap(units).min() >= -1e-9


@pytest.mark.parametrize(
    ("unit", "landmark", "axis", "sign"),
    [
        ("AU01", 107, 1, -1), ("AU02", 70, 1, -1), ("AU04", 107, 1, +1), ("AU04", 107, 0, +1), ("AU06", 50, 1, -1),
        ("AU09", 48, 1, -1), ("AU10", 0, 1, -1), ("AU12", 61, 1, -1), ("AU12", 61, 0, -1), ("AU15", 61, 1, +1),
        ("AU17", 200, 1, -1), ("AU20", 61, 0, -1), ("AU23", 17, 1, -1), ("AU25", 14, 1, +1), ("AU26", 152, 1, +1),
    ],
)  # fmt: skip
def test_units_move_their_points_as_facs_says(unit: str, landmark: int, axis: int, sign: int) -> None:
    """Pixels of the right half: right in the picture is towards the midline, down is positive."""
    rest, half, full = (landmarks({unit: level})[landmark, axis] for level in (0.0, 2.5, 5.0))
    assert sign * (full - rest) > 1.0
    assert sign * (half - rest) > 0.3
    assert sign * (full - half) > 0.3


def test_displacements_are_symmetric() -> None:
    mirror = [head.mirrored(i) for i in range(468)]
    fields = unit_shapes.displacements()
    assert fields[:, mirror] * [-1, 1, 1] == pytest.approx(fields, abs=1e-6)
    assert emphasis.shades().shape == (17, head.MAP_SIZE[1], head.MAP_SIZE[0])


def test_1_and_4_together_raise_the_inner_brow_and_draw_it_in() -> None:
    """FACS on 1+4: up and together. The plain sum of both would leave the brow's inner end where it was."""
    rest, one, both = (landmarks(units)[107, :2] for units in ({}, {"AU01": 3.0}, {"AU01": 3.0, "AU04": 3.0}))
    assert rest[1] - both[1] > 0.75 * (rest[1] - one[1]) > 2.0
    assert both[0] - rest[0] > 2.0  # of the right half: towards the midline


def test_bumps_have_the_size_of_the_table() -> None:
    field = emphasis.bump_field(50, 0.2, -0.1)
    assert field[50] == pytest.approx([-0.2, -0.1, 0], abs=1e-3)  # outwards is to the left on the right half
    assert field[head.mirrored(50)] == pytest.approx([0.2, -0.1, 0], abs=1e-3)
    # e^(-d^2 / (2 * 0.8^2)) at the chin, far away
    assert np.abs(field[152]).max() < 1e-6


def test_the_map_is_one_sheet() -> None:
    """All but a few folded triangles of lips and nostrils lie on the map with the same turn and inside its frame."""
    where = head.map_points()
    areas = surface.signed_areas(where, surface.facing_triangles())
    assert (areas > 0).mean() > 0.985
    assert where.min() >= 0
    assert (where.max(axis=0) <= head.MAP_SIZE).all()


def test_a_sphere_s_normals_and_light() -> None:
    """A lamp straight ahead lights what faces it fully and leaves ambient and sky to what faces away."""
    ahead, away = np.array([[0.0, 0, 1]]), np.array([[0.0, 0, -1]])
    lamp = (0.0, 0.0, 1.0)
    assert surface.lit(ahead, lamp, 0.6, 0.5) == pytest.approx([0.5 + 0.6 * 1.1])
    assert surface.lit(away, lamp, 0.6, 0.5) == pytest.approx([0.5 * 0.64])
    normals = surface.vertex_normals(head.with_rings(head.neutral_face(ANN), 1.0))
    assert np.linalg.norm(normals, axis=1) == pytest.approx(1.0, abs=1e-6)
    assert normals[4, 2] > 0.8  # the tip of the nose faces the camera
    assert normals[234, 0] < -0.5  # the right cheek faces right


def test_light_from_the_left_lights_the_left_of_the_picture() -> None:
    from dataclasses import replace

    light = replace(PLAIN.light, direction=(-1.0, 0.2, 0.6))
    image = render_frame(replace(PLAIN, light=light), [(JOE, MIDDLE, {})], SIZE).image.astype(float)
    left, right = landmarks({}, person=JOE)[[50, 280], :2].astype(int)
    assert image[left[1], left[0]].mean() > 1.15 * image[right[1], right[0]].mean()


def test_folds_darken_where_they_are() -> None:
    by_unit, _ = relief.shading((-0.3, 0.5, 0.8))
    furrow = np.round(relief.on_map(np.array([[-0.53, 4.8]]))[0]).astype(int)
    assert by_unit[AU_NAMES.index("AU04"), furrow[1], furrow[0]] < -0.2
    assert np.abs(by_unit[AU_NAMES.index("AU45")]).max() == 0


def test_every_person_has_the_same_points_in_another_shape() -> None:
    shapes = np.stack([head.neutral_face(draw_person(seed)) for seed in range(8)])
    assert np.abs(shapes - canonical_mesh()).max() < 3.0
    distance = np.abs(shapes[:, None] - shapes[None]).mean(axis=(2, 3))
    assert distance[~np.eye(8, dtype=bool)].min() > 0.05


# --- the network ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def backend():
    with load_backend() as loaded:
        yield loaded


def test_mediapipe_finds_drawn_people(backend) -> None:
    """30 people, each in a setting of their own, three poses and expressions: at least 98 % found, landmarks at 4 %."""
    rng = np.random.default_rng(1)
    found, errors = 0, []
    for seed in range(30):
        setting, person = draw_setting(seed), draw_person(seed)
        backend.reset()
        for _ in range(3):
            turn = tuple(rng.uniform(-1, 1, 3) * [12, 20, 8])
            view = View((setting.centre[0] * 320, setting.centre[1] * 320), setting.face_share * 320, turn)
            units = {str(name): float(rng.uniform(0, 4)) for name in rng.choice(AU_NAMES[:-1], 2, replace=False)}
            frame = render_frame(setting, [(person, view, units)])
            (faces,) = backend.observe(frame.image[None])
            if len(faces) == 1:
                found += 1
                off = faces[0].landmarks[:468, :2] - frame.landmarks[0, :, :2]
                errors.append(np.linalg.norm(off, axis=1).mean() / view.width_px)
    assert found >= 0.98 * 90
    assert np.mean(errors) < 0.04


def _track(pixels: np.ndarray) -> FaceTrack:
    measured, n = measure_many(pixels), len(pixels)
    return FaceTrack(
        0, (320, 320), np.arange(n) / 25, np.arange(n), np.ones(n, bool),
        np.hstack([pixels[:, :, :2].min(axis=1), pixels[:, :, :2].max(axis=1)]), np.ones(n), measured.points,
        measured.head_pose_degrees, measured.shape_features, np.zeros(1),
    )  # fmt: skip


def test_the_whole_chain_reads_the_expressions(backend) -> None:
    """Four people, each unit at 3 of 5, against their own rest: every unit reads at least 0.9 in the mean."""
    responses = []
    for seed in (301, 304, 305, 307):
        person, view = draw_person(seed), View((160.0, 150.0), 160.0)

        def mesh(units: dict[str, float], person=person, view=view) -> np.ndarray:
            image = render_frame(PLAIN, [(person, view, units)]).image
            backend.reset()
            ((face,),) = backend.observe(np.stack([image] * 3))[-1:]
            return np.asarray(face.landmarks, float)

        rest = mesh({})
        clip = [rest] * 100 + [m for name in AU_NAMES for m in [mesh({name: 3.0})] * 5]
        intensity = action_units.estimate(_track(np.stack(clip))).intensity
        responses.append(intensity[102::5])
    mean = np.mean(responses, axis=0)  # [unit drawn, unit read]
    own = dict(zip(AU_NAMES, np.diag(mean)))
    assert {name: value for name, value in own.items() if value < 0.9} == {}
    assert np.mean(list(own.values())) > 1.5
