"""The networks on ONNX Runtime: the same meshes as MediaPipe's own graph, also of faces that are turned."""

import numpy as np
import pytest
import skimage.data

from emotion_llama.errors import InputError
from emotion_llama.face.backends import load_backend
from emotion_llama.face.backends.following import Region, _turned_back
from emotion_llama.face.backends.onnx_mesh import OnnxMesh, cut_outs, merged_detections, part_transform
from merr_synth.render.face import ANNA, BEN, DrawnFace, Placement, render

RIGHT_EYE, LEFT_EYE = 33, 263


@pytest.fixture(scope="module")
def shared_backend():
    with OnnxMesh() as backend:
        yield backend


@pytest.fixture
def backend(shared_backend):
    shared_backend.reset()
    return shared_backend


def drawn_frames() -> np.ndarray:
    return np.stack(
        [
            render((640, 360), [DrawnFace(ANNA, Placement((150.0 + 4 * i, 180.0), 150.0)),
                                DrawnFace(BEN, Placement((460.0, 170.0), 120.0 + 2 * i))]).image
            for i in range(6)
        ]
    )  # fmt: skip


def photograph() -> np.ndarray:
    image = skimage.data.astronaut()
    return np.stack([image[:, shift : shift + 448] for shift in range(0, 60, 10)])


@pytest.mark.parametrize("frames", [drawn_frames, photograph])
def test_meshes_are_those_of_mediapipe(backend, frames) -> None:
    images = frames()
    with load_backend("mediapipe_mesh") as reference:
        expected = reference.observe(images)
    found = backend.observe(images)
    assert [len(faces) for faces in found] == [len(faces) for faces in expected]
    distances = []
    for faces, others in zip(found, expected, strict=True):
        by_x = [sorted(some, key=lambda face: face.box_xyxy[0]) for some in (faces, others)]
        for ours, theirs in zip(*by_x, strict=True):
            eyes = np.linalg.norm(theirs.landmarks[RIGHT_EYE, :2] - theirs.landmarks[LEFT_EYE, :2])
            distances.append(np.linalg.norm(ours.landmarks[:, :2] - theirs.landmarks[:, :2], axis=1) / eyes)
    assert np.median(distances) < 0.01
    assert np.mean(distances) < 0.01


@pytest.mark.parametrize("quarters", [0, 1, 2, 3])
def test_a_turned_face_gets_a_mesh_that_is_turned(backend, quarters: int) -> None:
    """An upside-down face once got an upright mesh at full confidence, and was "surprised"."""
    image = photograph()[0]
    (upright,) = backend.observe(image[None])[0]
    backend.reset()
    turned = np.ascontiguousarray(np.rot90(image, quarters))
    faces = [face for (face,) in filter(None, backend.observe(np.stack([turned] * 40)))]
    assert faces
    expected = [_turned_point(point, quarters, image.shape) for point in upright.landmarks[[RIGHT_EYE, LEFT_EYE], :2]]
    eyes = np.linalg.norm(np.subtract(*expected))
    for face in faces:
        assert np.abs(face.landmarks[[RIGHT_EYE, LEFT_EYE], :2] - expected).max() < 0.08 * eyes


def _turned_point(point: np.ndarray, quarters: int, shape: tuple[int, ...]) -> tuple[float, float]:
    (x, y), (height, width) = point, shape[:2]
    for _ in range(quarters):
        x, y, width, height = y, width - x, height, width
    return x, y


def test_a_region_turned_back_is_where_it_was() -> None:
    image = np.zeros((4, 6))
    image[1, 4] = 1
    for turns in (1, 2, 3):
        y, x = np.argwhere(np.rot90(image, turns))[0]
        region = _turned_back(Region(x + 0.5, y + 0.5, 1.0, 0.0), turns, image.shape)
        assert (region.center_x, region.center_y) == (4.5, 1.5)
        assert region.angle == pytest.approx(turns * np.pi / 2)


def test_detections_that_overlap_are_averaged_by_their_scores() -> None:
    boxes, scores = np.zeros((2304, 16), np.float32), np.full(2304, -9.0, np.float32)
    boxes[:, 2:4] = 48.0  # a quarter of the input
    scores[48 * 24 + 24], scores[48 * 24 + 25], scores[0] = np.log(9.0), np.log(4.0), np.log(3.0)  # 0.9, 0.8, 0.75
    first, second = merged_detections(boxes, scores, 0.6)
    x = (24.5 * 0.9 + 25.5 * 0.8) / 1.7 / 48  # two neighbouring cells of 48
    np.testing.assert_allclose(first[:2], [(x - 0.125, 24.5 / 48 - 0.125), (x + 0.125, 24.5 / 48 + 0.125)], atol=1e-6)
    np.testing.assert_allclose(second[2], (0.5 / 48, 0.5 / 48), atol=1e-6)
    assert merged_detections(boxes, scores, 0.95) == []


def test_a_part_is_cut_out_level_and_with_margin() -> None:
    points = np.array([[10.0, 20.0], [20.0, 20.0], [15.0, 24.0], [15.0, 16.0]])
    transform = part_transform(points, np.arange(4), right=0, left=1, scale=1.5, size=16)
    np.testing.assert_allclose(transform @ [0, 0, 1], (7.5, 14.0))
    np.testing.assert_allclose(transform @ [16, 16, 1], (22.5, 26.0))
    ramp = np.stack([np.tile(np.arange(48.0), (48, 1)), np.tile(np.arange(48.0)[:, None], (1, 48))]).astype(np.float32)
    cut = cut_outs(ramp, transform[None], 16)[0]
    np.testing.assert_allclose(cut[0, 0], 7.5 + (np.arange(16) + 0.5) * 15 / 16 - 0.5, rtol=1e-6)
    np.testing.assert_allclose(cut[1, :, 0], 14.0 + (np.arange(16) + 0.5) * 12 / 16 - 0.5, rtol=1e-6)
    beside = transform + np.array([[0, 0, 60], [0, 0, 0]])
    outside = cut_outs(ramp, beside[None], 16)
    assert not outside.any()


def test_a_provider_that_is_not_there_is_named() -> None:
    with pytest.raises(InputError, match=r"'nosuch', only .*cpu"):
        OnnxMesh(provider="nosuch")


def test_options_are_those_of_the_backend() -> None:
    with load_backend("onnx_mesh", min_score=0.9, provider="cpu") as backend:
        assert backend._min_score == 0.9
    with pytest.raises(InputError, match="'colour'; it has max_faces, detect_every, min_score, provider"):
        load_backend("onnx_mesh", colour="red")
