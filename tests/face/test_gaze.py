"""Gaze, eyes and mouth on meshes whose truth is known, and on drawn faces as MediaPipe sees them."""

import numpy as np
import pytest
from carried_units import displacement

from emotion_llama.errors import InputError
from emotion_llama.face.backends import load_backend
from emotion_llama.face.gaze import TURNING_RADIUS_CM, measure_eyes_and_mouth
from emotion_llama.face.geometry import canonical_mesh
from merr_synth.render.face import ANNA, BEN, CLEO, DREW, DrawnFace, Placement, jaw_drop, render, rotation_matrix

PEOPLE = (ANNA, BEN, CLEO, DREW)
IRIS_CM = 0.75  # what the drawing moves the irises by for a gaze of 1


@pytest.fixture(scope="module")
def backend():
    with load_backend() as found:
        yield found


def made_mesh(shift_cm: float, rotation: tuple[float, float, float] = (0, 0, 0), lids: float = 0.0) -> np.ndarray:
    """[478, 3] pixels: the canonical face with irises `shift_cm` to the person's left of the middle of the eyes."""
    mesh = canonical_mesh() + lids * displacement("AU45")[:468]
    irises = []
    for corners in ((33, 133), (362, 263)):
        centre = mesh[list(corners)].mean(0) + np.array([shift_cm, 0.0, 0.0])
        irises += [centre, *(centre + 0.58 * np.array(d) for d in ([1, 0, 0], [0, 1, 0], [-1, 0, 0], [0, -1, 0]))]
    turned = np.concatenate([mesh, irises]) @ rotation_matrix(*rotation).T
    return turned * [12, -12, -12] + [300, 200, 0]


def seen(backend, face: DrawnFace) -> np.ndarray:
    backend.reset()
    ((found, *_),) = backend.observe(render((640, 360), [face]).image[None])
    return found.landmarks


@pytest.mark.parametrize("degrees", [-30, -10, 0, 20])
@pytest.mark.parametrize("rotation", [(0, 0, 0), (10, 15, -8), (-15, -22, 20)])
def test_gaze_within_the_head_whatever_its_pose(degrees: float, rotation: tuple[float, float, float]) -> None:
    shift = TURNING_RADIUS_CM * np.sin(np.radians(degrees))
    assert measure_eyes_and_mouth(made_mesh(shift, rotation)).gaze_yaw_degrees == pytest.approx(degrees, abs=0.1)


def test_a_head_turned_away_does_not_tell_the_gaze() -> None:
    assert measure_eyes_and_mouth(made_mesh(0.2, (0, 22, 0))).gaze_yaw_degrees is not None
    assert measure_eyes_and_mouth(made_mesh(0.2, (0, 24, 0))).gaze_yaw_degrees is None


def test_openings_of_the_canonical_face() -> None:
    """Lid distances over eye width, and lip distance over mouth width, from the mesh's own coordinates."""
    mesh = canonical_mesh()

    def apart(a: int, b: int) -> float:
        return float(np.linalg.norm(mesh[a] - mesh[b]))

    eye = (apart(160, 144) + apart(159, 145) + apart(158, 153)) / 3 / apart(33, 133)
    mouth = (apart(13, 14) + apart(82, 87) + apart(312, 317)) / 3 / apart(78, 308)
    found = measure_eyes_and_mouth(made_mesh(0.0, (5, 15, 10)))
    assert found.eye_opening == pytest.approx(eye, abs=1e-6)
    assert found.mouth_opening == pytest.approx(mouth, abs=1e-6)


@pytest.mark.parametrize("person", PEOPLE)
@pytest.mark.parametrize("yaw", [-20, 0, 20])
def test_sideways_gaze_of_drawn_faces(backend, person, yaw: float) -> None:
    """25 degrees aside are told from ahead at every turn of the head; 12 degrees with the sign right in front."""
    found = {}
    for gaze in (-0.6, 0.0, 0.6):
        placement = Placement((320, 180), 160, (0, yaw, 0), (gaze, 0))
        found[gaze] = measure_eyes_and_mouth(seen(backend, DrawnFace(person, placement))).gaze_yaw_degrees
    true = np.degrees(np.arcsin(0.6 * IRIS_CM / TURNING_RADIUS_CM))
    assert true == pytest.approx(25.4, abs=0.1)
    assert abs(found[0.0]) < 8
    assert -true - 6 < found[-0.6] < -8
    assert 8 < found[0.6] < true + 6


def test_up_and_down_is_not_seen_by_the_mesh(backend) -> None:
    """Why vertical gaze is not measured: the irises drawn 2 mm higher or lower move by a tenth of it at most."""
    heights = []
    for gaze in (-0.6, 0.6):
        mesh = seen(backend, DrawnFace(ANNA, Placement((320, 180), 160, gaze=(0, gaze))))
        heights.append(mesh[[468, 473], 1].mean() - mesh[[33, 133, 362, 263], 1].mean())
    pixels_per_cm = 160 / 15.486
    moved_cm = (heights[0] - heights[1]) / pixels_per_cm
    assert abs(moved_cm) < 0.1 * 2 * 0.6 * 0.35 + 0.02


@pytest.mark.parametrize("person", PEOPLE)
def test_lids_of_drawn_faces(backend, person) -> None:
    openings = []
    for amount in (0.0, 1.0):
        face = DrawnFace(person, Placement((320, 180), 160), amount * displacement("AU45")[:468])
        openings.append(measure_eyes_and_mouth(seen(backend, face)).eye_opening)
    open_eyes, shut_eyes = openings
    assert open_eyes > 0.2
    assert shut_eyes < 0.09


def test_mouth_of_drawn_faces_grows_with_the_gap(backend) -> None:
    found = [
        measure_eyes_and_mouth(seen(backend, DrawnFace(ANNA, Placement((320, 180), 160), jaw_drop(gap)))).mouth_opening
        for gap in (0.0, 0.6, 1.5)
    ]
    assert found == sorted(found)
    assert found[0] < 0.16  # the canonical face's own lips are parted by 0.13 of the mouth's width
    assert found[2] > 0.35


def test_a_mesh_without_irises_is_refused() -> None:
    with pytest.raises(InputError, match=r"\[478"):
        measure_eyes_and_mouth(canonical_mesh())
    with pytest.raises(InputError, match="not finite"):
        measure_eyes_and_mouth(np.full((478, 3), np.nan))
