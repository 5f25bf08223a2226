"""Follows faces from frame to frame by their meshes, and looks for new ones; a backend says how to detect and fit.

The mesh network follows each face from frame to frame; the detector looks for new ones every few frames, after a miss
and after a cut. The regions given to the network are made as FaceMesh's graph makes them (google-ai-edge/mediapipe
v0.10.21, modules/face_landmark): the box around the last mesh or detection, turned so that the eyes are level, 1.5
times as large, square.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from types import TracebackType
from typing import NamedTuple

import numpy as np

from emotion_llama.errors import InputError
from emotion_llama.face.backends import FaceObservation
from emotion_llama.face.cuts import CutDetector
from emotion_llama.records import Float, UInt8

Box = tuple[float, float, float, float]

_ENLARGE = 1.5
_RIGHT_EYE_CORNER, _LEFT_EYE_CORNER = 33, 263
# Two meshes that overlap more than this are the same face seen twice (people in front of each other overlap less).
_SAME_FACE_IOU = 0.5
# The first fit after a detection may be off by up to 15 degrees of roll; a mesh further off its own region than this is
# fitted once more.
_REFIT_DEGREES, _REFIT_SHIFT = 5.0, 0.05
# On a face upside down or on its side the network may lay an upright mesh and still see a face: at 0.5 to 10 in
# log-odds where the right turn has 18 to 40 (the example clip and rendered faces, turned by quarters). A detected face
# below this is also tried turned by quarters.
_SURE_SCORE = 1 - 1 / (1 + np.exp(15.0))
# The detector finds no face turned by 75 degrees or more. Where nothing was found in so many frames, the picture is
# also searched turned by quarters, again after as many.
_TURN_AFTER_FRAMES = 15


class Region(NamedTuple):
    """A square, turned part of a picture: centre and side in pixels, angle clockwise in radians."""

    center_x: float
    center_y: float
    side: float
    angle: float


class FollowingBackend(ABC):
    """A mesh backend that follows faces (see the module).

    A face's `score` is the mesh network's presence probability; its box is the extent of its mesh.

    Args:
        max_faces: at most so many faces a frame.
        detect_every: the detector looks for new faces every so many frames (and after a miss, and after a cut).

    Raises:
        InputError: an option out of range.
    """

    def __init__(self, max_faces: int, detect_every: int, min_score: float) -> None:
        if max_faces < 1 or detect_every < 1 or not 0 < min_score < 1:
            raise InputError(
                f"max_faces and detect_every must be at least 1, min_score within 0..1: "
                f"{max_faces = }, {detect_every = }, {min_score = }"
            )
        self._max_faces, self._detect_every = max_faces, detect_every
        self.reset()

    @abstractmethod
    def detect(self, image: UInt8) -> list[Region]:
        """Regions around the faces that the detector finds in [H, W, 3], best first."""

    @abstractmethod
    def fit(self, image: UInt8, region: Region) -> FaceObservation | None:
        """The mesh of the face in `region`; None where the network sees no face (presence below 0.5)."""

    @abstractmethod
    def close(self) -> None:
        """Releases the models; the object is not usable afterwards."""

    def __enter__(self) -> FollowingBackend:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def reset(self) -> None:
        """Forgets all faces: the next frame is searched as a first one."""
        self._followed: list[Region] = []
        self._since_detection = self._detect_every
        self._num_empty = 0
        self._cuts = CutDetector()

    def observe(self, images: UInt8) -> list[tuple[FaceObservation, ...]]:
        """The faces of each of `images` [N, H, W, 3] RGB, largest score first, in pixels of these images."""
        return [self._observe_one(np.ascontiguousarray(image)) for image in images]

    def _observe_one(self, image: UInt8) -> tuple[FaceObservation, ...]:
        if self._cuts.is_cut(image):
            self._followed, self._since_detection = [], self._detect_every
        followed = [self.fit(image, region) for region in self._followed]
        faces = distinct([face for face in followed if face is not None])
        self._since_detection += 1
        # A lost face is looked for at once; an empty picture is searched every other frame.
        is_lost = len(faces) < len(self._followed) or (not faces and self._since_detection >= 2)
        if is_lost or self._since_detection >= self._detect_every:
            self._since_detection = 0
            regions = self.detect(image)
            if not faces and not regions and self._num_empty >= _TURN_AFTER_FRAMES:
                self._num_empty = 0
                regions = self._detect_turned(image)
            for region in regions:
                if len(faces) < self._max_faces and not any(_covers(face, region) for face in faces):
                    found = self._fit_anew(image, region)
                    faces = distinct([*faces, found]) if found is not None else faces
        self._followed = [region_of_mesh(_mesh(face)) for face in faces]
        self._num_empty = 0 if faces else self._num_empty + 1
        return tuple(faces)

    def _detect_turned(self, image: UInt8) -> list[Region]:
        """Regions of faces that lie on their side or upside down, in pixels of the picture as it is."""
        for turns in (1, 3, 2):
            regions = self.detect(np.ascontiguousarray(np.rot90(image, turns)))
            if regions:
                return [_turned_back(region, turns, image.shape[:2]) for region in regions]
        return []

    def _fit_anew(self, image: UInt8, region: Region) -> FaceObservation | None:
        """A detected face, the way up that the network is surest of."""
        face = self._fit_twice(image, region)
        if face is not None and face.score >= _SURE_SCORE:
            return face
        turned = (region._replace(angle=region.angle + quarters * np.pi / 2) for quarters in (1, 2, 3))
        found = [face, *(self._fit_twice(image, other) for other in turned)]
        return max((f for f in found if f is not None), key=lambda f: f.score, default=None)

    def _fit_twice(self, image: UInt8, region: Region) -> FaceObservation | None:
        """A face, fitted again in its own mesh's region where the region was turned or shifted."""
        face = self.fit(image, region)
        if face is None:
            return None
        better = region_of_mesh(_mesh(face))
        turned = abs(np.angle(np.exp(1j * (better.angle - region.angle))))
        shifted = np.hypot(better.center_x - region.center_x, better.center_y - region.center_y)
        if turned < np.radians(_REFIT_DEGREES) and shifted < _REFIT_SHIFT * region.side:
            return face
        return self.fit(image, better)


def observation(landmarks: Float, presence: float) -> FaceObservation:
    """A face of its mesh [478, 3] in pixels."""
    (x1, y1), (x2, y2) = landmarks[:, :2].min(0).tolist(), landmarks[:, :2].max(0).tolist()
    return FaceObservation((x1, y1, x2, y2), presence, landmarks)


def region_of(low: Float, high: Float, right_eye: Float, left_eye: Float) -> Region:
    """The region of a box [2] to [2] with level eyes, pixels."""
    center, eyes = (low + high) / 2, left_eye - right_eye
    side = _ENLARGE * float((high - low).max())
    return Region(float(center[0]), float(center[1]), side, float(np.arctan2(eyes[1], eyes[0])))


def region_of_mesh(landmarks: Float) -> Region:
    """The region in which the next frame's face is expected."""
    points = landmarks[:, :2]
    return region_of(points.min(0), points.max(0), points[_RIGHT_EYE_CORNER], points[_LEFT_EYE_CORNER])


def _turned_back(region: Region, turns: int, shape: tuple[int, ...]) -> Region:
    """A region of `np.rot90(image, turns)` in the image [height, width]."""
    for turn in reversed(range(turns)):
        # A quarter turn puts x = y', y = width - x' of the picture before it.
        width = shape[1] if turn % 2 == 0 else shape[0]
        region = Region(width - region.center_y, region.center_x, region.side, region.angle + np.pi / 2)
    return region


def distinct(faces: list[FaceObservation]) -> list[FaceObservation]:
    """Without the second mesh of the same face: of two that overlap, the more certain one stays."""
    kept: list[FaceObservation] = []
    for face in sorted(faces, key=lambda f: -f.score):
        if all(iou(face.box_xyxy, other.box_xyxy) < _SAME_FACE_IOU for other in kept):
            kept.append(face)
    return kept


def iou(a: Box, b: Box) -> float:
    """Intersection over union of two boxes."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    both = width * height
    return both / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both)


def _covers(face: FaceObservation, region: Region) -> bool:
    """The detection is of a face that already has its mesh: its middle lies well inside the mesh's box."""
    x1, y1, x2, y2 = face.box_xyxy
    offset = max(abs(region.center_x - (x1 + x2) / 2), abs(region.center_y - (y1 + y2) / 2))
    return offset < 0.35 * max(x2 - x1, y2 - y1)


def _mesh(face: FaceObservation) -> Float:
    assert face.landmarks is not None
    return face.landmarks
