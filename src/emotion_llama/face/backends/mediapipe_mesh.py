"""Faces and 478-point meshes from MediaPipe 0.10.21, whose package carries its models.

MediaPipe's own FaceMesh looks for new faces with its short-range detector, which misses faces that are small in the
picture, and hides the presence probability. Here the same two models run as parts: the mesh network follows each face
from frame to frame, and the full-range detector looks for new ones every few frames, after a miss and after a cut.
The regions given to the network are made as FaceMesh's graph makes them (google-ai-edge/mediapipe v0.10.21,
modules/face_landmark): the box around the last mesh or detection, turned so that the eyes are level, 1.5 times as
large, square.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, NamedTuple

import numpy as np

from emotion_llama.errors import InputError, MissingDependency
from emotion_llama.face.cuts import CutDetector
from emotion_llama.records import FaceObservation, Float, UInt8

INSTALL = "pip install --no-deps mediapipe==0.10.21"

_MESH_GRAPH = """
num_threads: 1
input_stream: "image"
input_stream: "roi"
input_side_packet: "with_attention"
output_stream: "landmarks"
node {
  calculator: "FaceLandmarkCpu"
  input_stream: "IMAGE:image"
  input_stream: "ROI:roi"
  input_side_packet: "WITH_ATTENTION:with_attention"
  output_stream: "LANDMARKS:landmarks"
}
"""
# The name that MediaPipe gives, inside FaceLandmarkCpu, to the network's answer to "is there a face?" (0..1).
_PRESENCE_STREAM = "facelandmarkcpu__face_presence_score"

_ENLARGE = 1.5
_RIGHT_EYE_CORNER, _LEFT_EYE_CORNER = 33, 263
# Two meshes that overlap more than this are the same face seen twice (people in front of each other overlap less).
_SAME_FACE_IOU = 0.5
_STDERR_LOCK = threading.Lock()


class _Region(NamedTuple):
    """A square, turned part of the picture: centre and side in pixels, angle clockwise in radians."""

    center_x: float
    center_y: float
    side: float
    angle: float


class _Face(NamedTuple):
    landmarks: Float  # [478, 3] pixels
    presence: float

    @property
    def box(self) -> tuple[float, float, float, float]:
        (x1, y1), (x2, y2) = self.landmarks[:, :2].min(0).tolist(), self.landmarks[:, :2].max(0).tolist()
        return x1, y1, x2, y2


class MediapipeMesh:
    """The default backend (see the module).

    A face's `score` is the mesh network's presence probability; its box is the extent of its mesh.

    Args:
        max_faces: at most so many faces a frame.
        detect_every: the detector looks for new faces every so many frames (and after a miss, and after a cut).
        min_score: least score of a detection to be tried. The mesh itself is refused below 0.5 (FaceMesh's value).

    Raises:
        MissingDependency: MediaPipe 0.10.21 is not installed, or the version installed has no `solutions`.
        InputError: an option out of range.
    """

    name = "mediapipe_mesh"

    def __init__(self, max_faces: int = 4, detect_every: int = 8, min_score: float = 0.5) -> None:
        if max_faces < 1 or detect_every < 1 or not 0 < min_score < 1:
            raise InputError(
                f"max_faces and detect_every must be at least 1, min_score within 0..1: "
                f"{max_faces = }, {detect_every = }, {min_score = }"
            )
        self._max_faces, self._detect_every = max_faces, detect_every
        with silent_stderr():
            self._mesh, self._detector, self._rectangle = _build(min_score)
            # The first run prints as well: let it happen while the terminal is shielded.
            blank = np.zeros((64, 64, 3), np.uint8)
            self._detect(blank)
            self._fit(blank, _Region(32.0, 32.0, 64.0, 0.0))
        self.reset()

    def __enter__(self) -> MediapipeMesh:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Releases the models."""
        self._mesh.close()
        self._detector.close()

    def reset(self) -> None:
        """Forgets all faces: the next frame is searched as a first one."""
        self._followed: list[_Region] = []
        self._since_detection = self._detect_every
        self._cuts = CutDetector()

    def observe(self, images: UInt8) -> list[tuple[FaceObservation, ...]]:
        """The faces of each of `images` [N, H, W, 3] RGB, largest score first, in pixels of these images."""
        return [self._observe_one(np.ascontiguousarray(image)) for image in images]

    def _observe_one(self, image: UInt8) -> tuple[FaceObservation, ...]:
        if self._cuts.is_cut(image):
            self._followed, self._since_detection = [], self._detect_every
        followed = [self._fit(image, region) for region in self._followed]
        faces = _distinct([face for face in followed if face is not None])
        self._since_detection += 1
        # A lost face is looked for at once; an empty picture is searched every other frame.
        if (
            self._since_detection >= self._detect_every
            or len(faces) < len(self._followed)
            or (not faces and self._since_detection >= 2)
        ):
            self._since_detection = 0
            for region in self._detect(image):
                if len(faces) < self._max_faces and not any(_covers(face, region) for face in faces):
                    found = self._fit(image, region)
                    faces = _distinct([*faces, found]) if found is not None else faces
        self._followed = [_region_of_mesh(face.landmarks) for face in faces]
        return tuple(FaceObservation(face.box, face.presence, face.landmarks) for face in faces)

    def _detect(self, image: UInt8) -> list[_Region]:
        """Regions around the faces that the detector finds, best first."""
        height, width = image.shape[:2]
        detections = self._detector.process(image).detections or []
        detections = sorted(detections, key=lambda detection: -detection.score[0])
        return [_region_of_detection(detection.location_data, width, height) for detection in detections]

    def _fit(self, image: UInt8, region: _Region) -> _Face | None:
        """The mesh of the face in `region`; None where the network sees no face (presence below 0.5)."""
        height, width = image.shape[:2]
        rectangle = self._rectangle(
            x_center=region.center_x / width,
            y_center=region.center_y / height,
            width=region.side / width,
            height=region.side / height,
            rotation=region.angle,
        )
        result = self._mesh.process({"image": image, "roi": rectangle})
        if result.landmarks is None:
            return None
        normalised = np.array([(p.x, p.y, p.z) for p in result.landmarks.landmark], np.float32)
        # z comes on the scale of x (fractions of the picture's width).
        return _Face(
            normalised * np.array([width, height, width], np.float32), float(getattr(result, _PRESENCE_STREAM))
        )


def _build(min_score: float) -> tuple[Any, Any, Any]:
    """The mesh graph, the detector, and the message type of a region."""
    try:
        from mediapipe.framework.formats.rect_pb2 import NormalizedRect
        from mediapipe.python.solution_base import PacketDataType, SolutionBase
        from mediapipe.python.solutions.face_detection import FaceDetection
    except ImportError as error:
        raise MissingDependency("mediapipe 0.10.21", "the face backend mediapipe_mesh", INSTALL) from error
    mesh = SolutionBase(
        graph_config=_MESH_GRAPH,
        side_inputs={"with_attention": True},  # the network with refined lips, lids and irises: 478 points
        outputs=["landmarks", _PRESENCE_STREAM],
        stream_type_hints={
            "image": PacketDataType.IMAGE_FRAME,
            "roi": PacketDataType.PROTO,
            "landmarks": PacketDataType.PROTO,
            _PRESENCE_STREAM: PacketDataType.FLOAT,
        },
    )
    return mesh, FaceDetection(min_detection_confidence=min_score, model_selection=1), NormalizedRect


@contextmanager
def silent_stderr() -> Iterator[None]:
    """Keeps what MediaPipe's C++ side writes to file descriptor 2 off the terminal."""
    # One thread at a time: a second one would keep, and later give back, the first one's nowhere.
    with _STDERR_LOCK:
        kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(nowhere, 2)
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            os.close(nowhere)


def _region_of_mesh(landmarks: Float) -> _Region:
    low, high = landmarks[:, :2].min(0), landmarks[:, :2].max(0)
    eyes = landmarks[_LEFT_EYE_CORNER] - landmarks[_RIGHT_EYE_CORNER]
    return _region(low, high, float(np.arctan2(eyes[1], eyes[0])))


def _region_of_detection(location: Any, width: int, height: int) -> _Region:
    box, (right_eye, left_eye) = location.relative_bounding_box, location.relative_keypoints[:2]
    low = np.array([box.xmin * width, box.ymin * height])
    angle = np.arctan2((left_eye.y - right_eye.y) * height, (left_eye.x - right_eye.x) * width)
    return _region(low, low + np.array([box.width * width, box.height * height]), float(angle))


def _region(low: Float, high: Float, angle: float) -> _Region:
    center = (low + high) / 2
    return _Region(float(center[0]), float(center[1]), _ENLARGE * float((high - low).max()), angle)


def _covers(face: _Face, region: _Region) -> bool:
    """The detection is of a face that already has its mesh: its middle lies well inside the mesh's box."""
    x1, y1, x2, y2 = face.box
    offset = max(abs(region.center_x - (x1 + x2) / 2), abs(region.center_y - (y1 + y2) / 2))
    return offset < 0.35 * max(x2 - x1, y2 - y1)


def _distinct(faces: list[_Face]) -> list[_Face]:
    """Without the second mesh of the same face: of two that overlap, the more certain one stays."""
    kept: list[_Face] = []
    for face in sorted(faces, key=lambda f: -f.presence):
        if all(_iou(face.box, other.box) < _SAME_FACE_IOU for other in kept):
            kept.append(face)
    return kept


def _iou(a: tuple[float, float, float, float], b: tuple[float, float, float, float]) -> float:
    """Intersection over union of two boxes."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    both = width * height
    return both / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both)
