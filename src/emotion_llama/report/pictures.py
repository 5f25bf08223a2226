"""The picture of a face at its peak frame: cut out, scaled, encoded, with the mesh in its own pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from emotion_llama.errors import BackendError, InputError
from emotion_llama.records import Analysis, Float, UInt8
from emotion_llama.report.selection import Key, choose_detailed

if TYPE_CHECKING:
    from emotion_llama.analysis import Analyzer

MARGIN = 0.25  # room around the box on each side, as a share of its longer side
JPEG_QUALITY = 82


@dataclass(frozen=True, repr=False)
class PeakPicture:
    """A face at its peak frame.

    Attributes:
        jpeg: the encoded picture.
        width, height: its size in pixels.
        mesh: [478, 2] mesh points in the picture's pixels, or None where the backend gives none.
    """

    jpeg: bytes
    width: int
    height: int
    mesh: Float | None

    def __repr__(self) -> str:
        return f"PeakPicture({self.width}x{self.height}, {len(self.jpeg)} bytes, mesh={self.mesh is not None})"


class Crop(NamedTuple):
    """A region of a frame, whole pixels, the right and lower border not included."""

    left: int
    top: int
    right: int
    bottom: int


def crop_around(box_xyxy: tuple[float, float, float, float], frame_size: tuple[int, int], margin: float) -> Crop:
    """The square around a box with `margin` on each side, moved, then cut, to lie within the (width, height) frame.

    Raises:
        InputError: the box has no area or does not touch the frame.
    """
    x1, y1, x2, y2 = box_xyxy
    width, height = frame_size
    if not (np.isfinite(box_xyxy).all() and x2 > x1 and y2 > y1 and x1 < width and y1 < height and x2 > 0 and y2 > 0):
        raise InputError(f"a face box must have an area within the frame of {width}x{height} pixels, got {box_xyxy}")
    side = max(1, round(max(x2 - x1, y2 - y1) * (1 + 2 * margin)))
    left = min(max(0, round((x1 + x2 - side) / 2)), max(0, width - side))
    top = min(max(0, round((y1 + y2 - side) / 2)), max(0, height - side))
    return Crop(left, top, min(width, left + side), min(height, top + side))


def peak_pictures(analyzer: Analyzer, analysis: Analysis) -> dict[Key, PeakPicture]:
    """The pictures that a page of this analysis shows, each read from the clip again; by (person_id, segment index).

    Raises:
        MediaError: the clip can no longer be read.
    """
    from emotion_llama.analysis.peak_view import peak_view

    people = {person.person_id: person for person in analysis.people}
    found: dict[Key, PeakPicture] = {}
    for person_id, index in choose_detailed(analysis.people):
        person = people[person_id]
        if person.track is None or person.segments[index].evidence.peak_frame is None:
            continue  # nothing to look for: do not start the face backend
        view = peak_view(analysis, person, person.segments[index], analyzer.mesh_backend())
        if view is not None:
            found[person_id, index] = make_peak_picture(view.frame_rgb, view.box_xyxy, view.landmarks)
    return found


def make_peak_picture(
    frame_rgb: UInt8,
    box_xyxy: tuple[float, float, float, float],
    landmarks: Float | None,
    *,
    size: int = 480,
    margin: float = MARGIN,
) -> PeakPicture:
    """The face region of a frame [H, W, 3], its longer side at most `size` pixels, as JPEG.

    Args:
        frame_rgb: the upright frame.
        box_xyxy: the face, pixels of the frame.
        landmarks: [478, 3] or [478, 2] mesh points in pixels of the frame, or None.
        size: longest side of the picture, pixels; a smaller face is not enlarged.
        margin: room around the box on each side, as a share of its longer side.

    Raises:
        InputError: the frame is not an RGB image, or the box lies outside.
        BackendError: OpenCV could not encode the picture.
    """
    import cv2

    if frame_rgb.ndim != 3 or frame_rgb.shape[2] != 3 or frame_rgb.dtype != np.uint8:
        raise InputError(f"a frame must be [H, W, 3] uint8, got {list(frame_rgb.shape)} {frame_rgb.dtype}")
    crop = crop_around(box_xyxy, (frame_rgb.shape[1], frame_rgb.shape[0]), margin)
    face = frame_rgb[crop.top : crop.bottom, crop.left : crop.right]
    scale = min(1.0, size / max(face.shape[:2]))
    width, height = max(1, round(face.shape[1] * scale)), max(1, round(face.shape[0] * scale))
    if scale < 1:
        face = np.asarray(cv2.resize(face, (width, height), interpolation=cv2.INTER_AREA), dtype=np.uint8)
    encoded, jpeg = cv2.imencode(".jpg", face[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    if not encoded:
        raise BackendError(f"OpenCV could not encode a picture of {width}x{height} pixels as JPEG")
    mesh = None
    if landmarks is not None:
        # Resizing maps border to border, so that continuous coordinates scale by the ratio of the sizes.
        ratio = np.array([width / (crop.right - crop.left), height / (crop.bottom - crop.top)])
        mesh = (landmarks[:, :2] - np.array([crop.left, crop.top])) * ratio
    return PeakPicture(jpeg.tobytes(), width, height, mesh)
