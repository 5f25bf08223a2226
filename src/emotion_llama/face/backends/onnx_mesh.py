"""Faces and 478-point meshes by MediaPipe 0.10.21's networks on ONNX Runtime; they come with the package.

The full-range detector and the attention mesh (Google, Apache 2.0), converted by scripts/convert-face-networks. Between
the two halves of the attention mesh its feature map is cut out around lips and eyes, each turned so that its corners
are level and 1.5 times as large as its points reach: MediaPipe's operations Landmarks2TransformMatrix,
TransformTensorBilinear and TransformLandmarks, in NumPy. The constants of the detector are those of MediaPipe's graph
face_detection_full_range (modules/face_detection, v0.10.21).
"""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

import numpy as np

from emotion_llama.face.backends import FaceObservation
from emotion_llama.face.backends.following import FollowingBackend, Region, iou, observation, region_of
from emotion_llama.face.networks import open_network
from emotion_llama.records import Float, UInt8

_DETECTOR_SIZE, _STRIDE, _KEY_POINTS = 192, 4, 6
_MERGED_IOU = 0.3  # detections that overlap more are averaged, weighted by their scores
_MESH_SIZE, _FEATURE_STRIDE = 192, 4
_LEAST_PRESENCE = 0.5  # FaceMesh's value
_NUM_MESH, _IRIS_POINTS = 468, 5
_EYE_OUTLINE = 16  # the first points of an eye: their mean depth is the iris's


class OnnxMesh(FollowingBackend):
    """The default backend (see the module).

    Args:
        max_faces: at most so many faces a frame.
        detect_every: the detector looks for new faces every so many frames (and after a miss, and after a cut).
        min_score: least score of a detection to be tried; 0.6 is MediaPipe's value.
        provider: ONNX Runtime's execution provider: cpu, or cuda, coreml, dml, ... where that is installed.

    Raises:
        MissingDependency: onnxruntime is not installed.
        InputError: an option out of range, or a provider that this onnxruntime does not have.
    """

    name = "onnx_mesh"

    def __init__(
        self,
        max_faces: int = 4,
        detect_every: int = 8,
        min_score: float = 0.6,
        provider: str = "cpu",
    ) -> None:
        super().__init__(max_faces, detect_every, min_score)
        self._min_score = min_score
        self._detector = open_network("face_detector", provider)
        self._mesh, self._refine = open_network("face_mesh", provider), open_network("face_mesh_refine", provider)
        parts = json.loads(self._mesh.get_modelmeta().custom_metadata_map["parts"])
        self._parts = [{**part, "points": np.array(part["points"])} for part in parts]
        self._inputs = [[i.name for i in net.get_inputs()] for net in (self._detector, self._mesh, self._refine)]

    def close(self) -> None:
        """Releases the models; the object is not usable afterwards."""
        del self._detector, self._mesh, self._refine

    def detect(self, image: UInt8) -> list[Region]:
        """Regions around the faces that the detector finds in [H, W, 3], best first."""
        height, width = image.shape[:2]
        side = max(height, width)
        whole = crop(image, Region(width / 2, height / 2, float(side), 0.0), _DETECTOR_SIZE, is_black=True)
        boxes, scores = self._detector.run(None, {self._inputs[0][0]: _planes(whole, 127.5) - 1})
        margin = np.array([width - side, height - side]) / 2
        found = merged_detections(boxes[0], scores[0, :, 0], self._min_score)
        return [region_of(*(found_points * side + margin)[:4]) for found_points in found]

    def fit(self, image: UInt8, region: Region) -> FaceObservation | None:
        """The mesh of the face in `region`; None where the network sees no face (presence below 0.5)."""
        pixels = crop(image, region, _MESH_SIZE)
        mesh, flag, features = self._mesh.run(None, {self._inputs[1][0]: _planes(pixels, 255.0)})
        presence = 1 / (1 + np.exp(-float(flag.ravel()[0])))
        if presence < _LEAST_PRESENCE:
            return None
        points = self._refined(mesh.reshape(_NUM_MESH, 3), features[0]) / _MESH_SIZE
        offset, cos, sin = points[:, :2] - 0.5, np.cos(region.angle), np.sin(region.angle)
        turned = offset @ np.array([[cos, sin], [-sin, cos]]) * region.side + [region.center_x, region.center_y]
        return observation(np.column_stack([turned, region.side * points[:, 2]]).astype(np.float32), presence)

    def _refined(self, mesh: Float, features: Float) -> Float:
        """[478, 3] the mesh with lips, eyes and irises as the second half of the network sees them."""
        on_features = mesh[:, :2] / _FEATURE_STRIDE
        transforms = np.stack([part_transform(on_features, **part) for part in self._parts])
        crops = cut_outs(features, transforms, self._parts[0]["size"])[:, None]
        lips, eye, iris, other_eye, other_iris = self._refine.run(None, dict(zip(self._inputs[2], crops)))
        points = np.zeros((_NUM_MESH + 2 * _IRIS_POINTS, 3), np.float32)
        points[:_NUM_MESH] = mesh
        irises = np.arange(_NUM_MESH, len(points)).reshape(2, _IRIS_POINTS)
        of_lips, of_eye, of_other = (part["points"] for part in self._parts)
        targets = ((lips, 0, of_lips), (eye, 1, of_eye), (iris, 1, irises[0]), (other_eye, 2, of_other),
                   (other_iris, 2, irises[1]))  # fmt: skip
        for values, part, indices in targets:
            transform = transforms[part] * [1, 1, _FEATURE_STRIDE]
            # The outputs are on the scale of the mesh's input, as if the cut-out were that large.
            points[indices, :2] = values.reshape(-1, 2) @ transform[:, :2].T + transform[:, 2]
        for iris_points, eye_points in zip(irises, (of_eye, of_other)):
            points[iris_points, 2] = mesh[eye_points[:_EYE_OUTLINE], 2].mean()
        return points


def _planes(image: UInt8, divisor: float) -> Float:
    """[1, 3, H, W] float32, side by side in memory: the networks would copy anything else."""
    planes = np.empty((1, 3, *image.shape[:2]), np.float32)
    np.divide(image.transpose(2, 0, 1), np.float32(divisor), out=planes[0])
    return planes


def crop(image: UInt8, region: Region, size: int, *, is_black: bool = False) -> UInt8:
    """[size, size, 3] a turned part of a picture; outside the picture its border goes on, or is black.

    Pixel j of the result is the point (j / size - 0.5) x side from the centre, as MediaPipe's ImageToTensor maps it.
    """
    import cv2

    step = region.side / size
    cos, sin = np.cos(region.angle) * step, np.sin(region.angle) * step
    matrix = np.array(
        [
            [cos, -sin, region.center_x - (cos - sin) * size / 2],
            [sin, cos, region.center_y - (sin + cos) * size / 2],
        ]
    )
    border = cv2.BORDER_CONSTANT if is_black else cv2.BORDER_REPLICATE
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpAffine(image, matrix, (size, size), flags=flags, borderMode=border), np.uint8)


def merged_detections(boxes: Float, scores: Float, min_score: float) -> list[Float]:
    """Detections of one picture, best first: [8, 2] corners of the box, then six key points, 0..1 of the input.

    Args:
        boxes: [2304, 16] centre, size and key points, pixels of the input relative to the anchors.
        scores: [2304] logits.
        min_score: least probability.
    """
    cells = _DETECTOR_SIZE // _STRIDE
    anchors = (np.stack(np.meshgrid(np.arange(cells), np.arange(cells)), axis=-1).reshape(-1, 2) + 0.5) / cells
    probabilities = 1 / (1 + np.exp(-np.clip(scores, -80.0, 80.0)))
    kept = np.flatnonzero(probabilities >= min_score)
    kept = kept[np.argsort(-probabilities[kept], kind="stable")]
    values, anchors, weights = boxes[kept] / _DETECTOR_SIZE, anchors[kept], probabilities[kept]
    middle, half = anchors + values[:, :2], values[:, 2:4] / 2
    key_points = values[:, 4:].reshape(-1, _KEY_POINTS, 2) + anchors[:, None]
    points = np.concatenate([(middle - half)[:, None], (middle + half)[:, None], key_points], axis=1)
    found, left = [], list(range(len(kept)))
    while left:
        corners = [tuple(points[i, :2].ravel().tolist()) for i in left]
        near = [i for i, box in zip(left, corners) if iou(corners[0], box) > _MERGED_IOU] or left[:1]
        found.append(np.average(points[near], axis=0, weights=weights[near]))
        left = [i for i in left if i not in near]
    return found


def part_transform(mesh: Float, points: Any, right: int, left: int, scale: float, size: int) -> Float:
    """[2, 3] from pixels of a cut-out to those of the feature map: level with the part's corners, around its points.

    Args:
        mesh: [468, 2] on the feature map.
        points: indices of the part's points.
        right: index of its corner on the person's right.
        left: of that on the left.
        scale: of the cut-out to the extent of the points.
        size: of the cut-out, pixels.
    """
    along = mesh[left] - mesh[right]
    angle = np.arctan2(along[1], along[0])
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    level = mesh[points] @ turn
    low, high = level.min(0), level.max(0)
    matrix = turn * (scale * (high - low) / size)
    return np.column_stack([matrix, turn @ ((low + high) / 2) - matrix @ [size / 2, size / 2]])


def cut_outs(features: Float, transforms: Float, size: int) -> Float:
    """[P, C, size, size] parts of a feature map [C, H, W], between its pixels by bilinear weights; 0 outside.

    Args:
        features: the map.
        transforms: [P, 2, 3] of each part, see `part_transform`.
        size: of the cut-outs, pixels.
    """
    channels, height, width = features.shape
    rows = np.ascontiguousarray(features.reshape(channels, -1).T)  # a pixel's channels side by side
    x, y = np.moveaxis(transforms @ _centres(size) - 0.5, 1, 0)
    inside = (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
    x0, y0 = np.clip(np.floor(x).astype(int), 0, width - 2), np.clip(np.floor(y).astype(int), 0, height - 2)
    at, u, v = y0 * width + x0, x - x0, y - y0
    corners = ((0, (1 - u) * (1 - v)), (1, u * (1 - v)), (width, (1 - u) * v), (width + 1, u * v))
    cut = sum(rows[at + step] * (weight * inside)[..., None].astype(np.float32) for step, weight in corners)
    return np.ascontiguousarray(np.moveaxis(cut, -1, 1)).reshape(len(transforms), channels, size, size)


@lru_cache(maxsize=1)
def _centres(size: int) -> Float:
    """[3, size x size] x, y, 1 of the pixels' centres, row by row."""
    y, x = np.mgrid[0:size, 0:size].reshape(2, -1) + 0.5
    return np.stack([x, y, np.ones_like(x)])
