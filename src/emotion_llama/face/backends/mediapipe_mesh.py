"""Faces and 478-point meshes from MediaPipe 0.10.21, whose package carries its models.

MediaPipe's own FaceMesh looks for new faces with its short-range detector, which misses faces that are small in the
picture, and hides the presence probability. Here the same two models run as parts; `following` joins them. The
reference that `onnx_mesh` is compared with.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from emotion_llama.errors import MissingDependency
from emotion_llama.face.backends import FaceObservation
from emotion_llama.face.backends.following import FollowingBackend, Region, observation, region_of
from emotion_llama.records import UInt8

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

_STDERR_LOCK = threading.Lock()


class MediapipeMesh(FollowingBackend):
    """MediaPipe's own graph for the same networks as `onnx_mesh` (see the module).

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
        super().__init__(max_faces, detect_every, min_score)
        with silent_stderr():
            self._mesh, self._detector, self._rectangle = _build(min_score)
            # The first run prints as well: let it happen while the terminal is shielded.
            blank = np.zeros((64, 64, 3), np.uint8)
            self.detect(blank)
            self.fit(blank, Region(32.0, 32.0, 64.0, 0.0))

    def close(self) -> None:
        """Releases the models; the object is not usable afterwards."""
        self._mesh.close()
        self._detector.close()

    def detect(self, image: UInt8) -> list[Region]:
        """Regions around the faces that the detector finds in [H, W, 3], best first."""
        height, width = image.shape[:2]
        detections = self._detector.process(image).detections or []
        detections = sorted(detections, key=lambda detection: -detection.score[0])
        return [_region_of_detection(detection.location_data, width, height) for detection in detections]

    def fit(self, image: UInt8, region: Region) -> FaceObservation | None:
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
        scale = np.array([width, height, width], np.float32)
        return observation(normalised * scale, float(getattr(result, _PRESENCE_STREAM)))


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


def _region_of_detection(location: Any, width: int, height: int) -> Region:
    box, eyes = location.relative_bounding_box, location.relative_keypoints[:2]
    scale = np.array([width, height])
    low = np.array([box.xmin, box.ymin]) * scale
    right_eye, left_eye = (np.array([eye.x, eye.y]) * scale for eye in eyes)
    return region_of(low, low + np.array([box.width, box.height]) * scale, right_eye, left_eye)
