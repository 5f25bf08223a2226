"""The units of the two photographs of real faces that the development packages bring along.

`skimage.data.astronaut` (NASA, public domain): a broad smile with teeth, cheeks raised. matplotlib's `grace_hopper.jpg`
(US Navy, public domain): lips closed, glasses, no strong expression. What a trained coder would score is not published
for either; the bounds here are what anybody sees.
"""

from pathlib import Path

import cv2
import matplotlib
import numpy as np
import pytest
import skimage.data
import unit_table as table

from emotion_llama.face import action_units
from emotion_llama.face.backends import load_backend

QUIET = ("AU01", "AU04", "AU09", "AU15", "AU17", "AU26")


@pytest.fixture(scope="module")
def backend():
    loaded = load_backend("onnx_mesh")
    yield loaded
    loaded.close()


def meshes(backend, images: np.ndarray) -> np.ndarray:
    backend.reset()
    found = backend.observe(images)
    assert all(len(faces) == 1 for faces in found)
    return np.stack([faces[0].landmarks for faces in found]).astype(float)


def panned_and_zoomed(image: np.ndarray, num_frames: int) -> np.ndarray:
    """[N, 360, 640, 3]: the camera drifts over the still and comes nearer."""
    frames = []
    for t in np.linspace(0, 1, num_frames):
        zoom = 1.2 + 0.8 * t
        centre = np.array([225.0 + 20 * np.sin(2 * np.pi * t), 130.0 + 15 * t])
        shift = np.array([320.0, 180.0]) - zoom * centre
        frames.append(cv2.warpAffine(image, np.array([[zoom, 0, shift[0]], [0, zoom, shift[1]]]), (640, 360)))
    return np.array(frames)


def test_a_smiling_woman_for_five_seconds_still_smiles(backend):
    clip = panned_and_zoomed(skimage.data.astronaut(), 125)
    units = action_units.estimate(table.track_of(meshes(backend, clip)))
    middle = {name: float(np.median(units.column(name))) for name in units.names}
    assert units.neutral == "person"
    assert 1 < middle["AU06"] < 4
    assert 2 < middle["AU12"] < 5
    assert middle["AU25"] > 1
    assert all(middle[name] < 0.5 for name in (*QUIET, "AU05", "AU45")), middle
    assert not units.is_speech.any()
    assert not units.is_blink.any()
    assert np.median(units.confidence) > 0.5


def test_the_same_as_a_single_picture(backend):
    units = action_units.estimate(table.track_of(meshes(backend, skimage.data.astronaut()[None])))
    seen = dict(zip(units.names, units.intensity[0]))
    assert units.neutral == "population"
    assert 1.5 < seen["AU06"] < 4
    assert 2.5 < seen["AU12"] < 5
    assert 1.5 < seen["AU25"] < 4
    assert all(seen[name] < 1 for name in (*QUIET, "AU05", "AU45")), seen


def test_a_calm_woman_with_glasses(backend):
    path = Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg"
    picture = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)[None]
    mesh = meshes(backend, picture)
    alone = action_units.estimate(table.track_of(mesh))
    held = action_units.estimate(table.track_of(np.repeat(mesh, 100, axis=0)))
    seen = dict(zip(alone.names, alone.intensity[0]))
    assert all(seen[name] < 1 for name in (*QUIET, "AU05", "AU06", "AU12", "AU25", "AU45")), seen
    assert held.intensity[50].max() < 1
