"""Faces and meshes from MediaPipe Tasks' FaceLandmarker with a model file that the user gives.

The file (face_landmarker.task) comes from MediaPipe's model page; no package holds it. Newer MediaPipe versions have
only this interface.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from emotion_llama.errors import BackendError, InputError, MissingDependency
from emotion_llama.face.backends import FaceObservation
from emotion_llama.face.backends.mediapipe_mesh import INSTALL, silent_stderr
from emotion_llama.face.cuts import CutDetector
from emotion_llama.records import Float, UInt8

_LEAST_PRESENCE = 0.5  # FaceLandmarker's default; its results hold no score
_FRAME_MILLISECONDS = 40  # only the order matters to the tracker inside


class MediapipeTasks:
    """FaceLandmarker in video mode.

    A face's `score` is 0.5, the presence threshold it passed: results of this interface hold no probability.

    Args:
        model_path: the .task file.
        max_faces: at most so many faces a frame.

    Attributes:
        blendshapes: for each frame of the last `observe`, for each face, category name -> 0..1; empty mappings
            where the model has none.

    Raises:
        InputError: no model_path, or no such file.
        MissingDependency: MediaPipe is not installed.
        BackendError: MediaPipe refuses the file.
    """

    name = "mediapipe_tasks"

    def __init__(self, model_path: str | Path | None = None, max_faces: int = 4) -> None:
        if model_path is None or not Path(model_path).is_file():
            raise InputError(
                f"mediapipe_tasks needs a model file, got {model_path}; "
                "give model_path=face_landmarker.task (from MediaPipe's model page)"
            )
        self._model_path, self._max_faces = Path(model_path), max_faces
        self.blendshapes: list[tuple[Mapping[str, float], ...]] = []
        self._start()

    def __enter__(self) -> MediapipeTasks:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Releases the model."""
        self._landmarker.close()

    def reset(self) -> None:
        """Forgets all faces. FaceLandmarker cannot forget, so it is made anew."""
        self._landmarker.close()
        self._start()

    def _start(self) -> None:
        with silent_stderr():
            self._landmarker, self._image = _create(self._model_path, self._max_faces)
        self._milliseconds = 0
        self._cuts = CutDetector()

    def observe(self, images: UInt8) -> list[tuple[FaceObservation, ...]]:
        """The faces of each of `images` [N, H, W, 3] RGB, in pixels of these images."""
        found, self.blendshapes = [], []
        for image in images:
            if self._cuts.is_cut(image):
                self.reset()
            self._milliseconds += _FRAME_MILLISECONDS
            result = self._landmarker.detect_for_video(self._image(np.ascontiguousarray(image)), self._milliseconds)
            found.append(to_observations(result, image.shape[1], image.shape[0]))
            self.blendshapes.append(to_blendshapes(result))
        return found


def to_observations(result: Any, width: int, height: int) -> tuple[FaceObservation, ...]:
    """A FaceLandmarkerResult (`face_landmarks`: normalised points, z on the scale of x) in pixels."""
    return tuple(_observation(points, width, height) for points in result.face_landmarks)


def to_blendshapes(result: Any) -> tuple[Mapping[str, float], ...]:
    """For each face of a FaceLandmarkerResult: blendshape name -> 0..1; empty where there are none."""
    if not result.face_blendshapes:
        return tuple({} for _ in result.face_landmarks)
    return tuple({c.category_name: float(c.score) for c in face} for face in result.face_blendshapes)


def _observation(points: Any, width: int, height: int) -> FaceObservation:
    normalised = np.array([(p.x, p.y, p.z) for p in points], np.float32)
    landmarks: Float = normalised * np.array([width, height, width], np.float32)
    (x1, y1), (x2, y2) = landmarks[:, :2].min(0).tolist(), landmarks[:, :2].max(0).tolist()
    return FaceObservation((x1, y1, x2, y2), _LEAST_PRESENCE, landmarks)


def _create(model_path: Path, max_faces: int) -> tuple[Any, Any]:
    """The landmarker, and what turns an RGB array into its image type."""
    try:
        import mediapipe
        from mediapipe.tasks.python import BaseOptions, vision
    except ImportError as error:
        raise MissingDependency("mediapipe", "the face backend mediapipe_tasks", INSTALL) from error
    options = vision.FaceLandmarkerOptions(
        base_options=BaseOptions(model_asset_path=str(model_path)),
        running_mode=vision.RunningMode.VIDEO,
        num_faces=max_faces,
        min_face_presence_confidence=_LEAST_PRESENCE,
        output_face_blendshapes=True,
    )
    try:
        landmarker = vision.FaceLandmarker.create_from_options(options)
    except (RuntimeError, ValueError) as error:
        raise BackendError(f"{model_path}: MediaPipe cannot use it as a FaceLandmarker model: {error}") from error
    return landmarker, lambda array: mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=array)
