"""The network of the blendshapes, and what mouthSmile and browDown change in the action units."""

from dataclasses import replace
from pathlib import Path

import cv2
import matplotlib
import numpy as np
import pytest
import skimage.data
import unit_table as table
from test_action_units import face

from emotion_llama.face import action_units, blendshapes
from emotion_llama.face.backends import load_backend

SMILE, FROWN = ("mouthSmileLeft", "mouthSmileRight"), ("browDownLeft", "browDownRight")


def test_numbers_are_those_of_the_original_network() -> None:
    """TFLite 2.1 on face_blendshapes.tflite (sha256 4f36dded...), the same points: two faces at once, as one by one."""
    points = np.random.default_rng(0).normal(size=(5, 146, 2)).astype(np.float32)[:2] * 50 + 200
    meshes = np.zeros((2, 478, 3), np.float32)
    meshes[:, blendshapes._POINTS, :2] = points
    names = ("browDownLeft", "browInnerUp", "eyeBlinkLeft", "jawOpen", "mouthSmileLeft", "mouthSmileRight")
    columns = [blendshapes.NAMES.index(name) for name in names]
    expected = [
        [0.00728, 0.89886, 0.03289, 0.10047, 0.05915, 0.07963],
        [0.29129, 0.0274, 0.42777, 0.64067, 0.04724, 0.03927],
    ]
    found = blendshapes.measure_many(meshes)
    assert found.shape == (2, 52)
    assert found[:, columns] == pytest.approx(np.array(expected), abs=2e-5)
    assert blendshapes.measure_many(meshes[1:]) == pytest.approx(found[1:], abs=1e-5)


def test_a_smile_and_a_calm_face() -> None:
    hopper = Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg"
    pictures = (skimage.data.astronaut(), cv2.cvtColor(cv2.imread(str(hopper)), cv2.COLOR_BGR2RGB))
    smiles = []
    with load_backend("onnx_mesh") as backend:
        for picture in pictures:
            backend.reset()
            ((found,),) = backend.observe(picture[None])
            shapes = blendshapes.measure_many(found.landmarks[None])[0]
            smiles.append(np.mean([shapes[blendshapes.NAMES.index(name)] for name in SMILE]))
    assert smiles[0] > 0.8
    assert smiles[1] < 0.1


def test_meshes_without_irises_have_none() -> None:
    assert np.isnan(blendshapes.measure_many(np.zeros((3, 468, 3)))).all()


def with_shapes(unit: str, num_frames: int = 100, **shapes: float):
    track = table.track_of(np.array([face(unit, 1.0)] * num_frames))
    values = np.zeros((num_frames, 52), np.float32)
    for name, value in shapes.items():
        values[:, [blendshapes.NAMES.index(f"{name}{side}") for side in ("Left", "Right")]] = value
    return replace(track, blendshapes=values)


@pytest.mark.parametrize("unit", ["AU15", "AU17", "AU20", "AU05"])
def test_a_smile_takes_away_what_it_feigns(unit: str) -> None:
    """Lowered lip corners (and others) were measured on broad smiles of real people."""
    calm, faint, broad = (
        action_units.estimate(with_shapes(unit, 10, mouthSmile=value)).column(unit)[5] for value in (0.0, 0.2, 0.5)
    )
    assert calm > 0.5
    assert faint < calm
    assert broad == 0
    # A smile is no rest.
    assert action_units.estimate(with_shapes(unit)).neutral == "person"
    assert action_units.estimate(with_shapes(unit, mouthSmile=0.5)).neutral == "population"


def test_smile_and_brows_by_their_ramps() -> None:
    units = action_units.estimate(with_shapes("AU01", mouthSmile=0.5))
    assert units.column("AU12")[50] == pytest.approx(2.5)  # half way from .1 to .9
    units = action_units.estimate(with_shapes("AU01", browDown=0.45))
    assert units.column("AU04")[50] == pytest.approx(2.5)  # half way from .15 to .75
    assert action_units.estimate(with_shapes("AU01", browDown=0.45, mouthSmile=0.3)).column("AU04")[50] == 0


def test_frames_without_blendshapes_are_geometry_alone() -> None:
    track = with_shapes("AU12")
    gone = replace(track, blendshapes=np.full((100, 52), np.nan))
    alone = replace(track, blendshapes=None)
    assert np.array_equal(action_units.estimate(gone).intensity, action_units.estimate(alone).intensity)
    assert action_units.estimate(alone).column("AU12")[50] > 2


def test_brows_of_somebody_who_talks_throughout_have_their_own_rest() -> None:
    """The mouth of a talking face is no rest, its brows are: raised ones of the face's shape are no expression."""
    raised = [face("AU02", 0.6 if frame < 120 else 1.0) for frame in range(150)]
    talking = np.array([f + (face("AU25", 0.7) - face()) * (frame % 8 < 4) for frame, f in enumerate(raised)])
    units = action_units.estimate(table.track_of(talking))
    assert units.is_speech[20:130].all()
    assert units.neutral == "population"
    assert units.column("AU02")[60] < 0.5 * units.column("AU02")[145]
