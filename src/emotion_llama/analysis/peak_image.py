"""The image of a face at its peak frame: the frame again in full size, its face meshed again, cut out and encoded.

The pass over a clip keeps no frames and no meshes, so that memory does not grow with its length.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from emotion_llama.errors import InputError
from emotion_llama.media.encoded import scaled_jpeg
from emotion_llama.records import FaceTrack, Float, PeakFrame, UInt8
from emotion_llama.results import PeakImage

if TYPE_CHECKING:
    from emotion_llama.face.backends import MeshBackend
    from emotion_llama.media.reader import ClipFile

# Room around a face's box on each side, as a share of its longer side: where its mesh is looked for, and in an image.
MESH_MARGIN, IMAGE_MARGIN = 0.8, 0.25


def peak_image(file: ClipFile, track: FaceTrack, peak: PeakFrame, backend: MeshBackend) -> PeakImage:
    """The face of `track` at its peak.

    Raises:
        MediaError: the file can no longer be read.
    """
    from emotion_llama.media.frames import frame_at

    seen = np.flatnonzero(track.valid)
    row = int(seen[np.argmin(np.abs(track.pts_seconds[seen] - peak.pts_seconds))])
    frame = frame_at(file, float(track.pts_seconds[row])).images[0]
    scale = frame.shape[1] / track.frame_size[0]
    x1, y1, x2, y2 = (float(v) * scale for v in track.boxes_xyxy[row])
    box = (x1, y1, x2, y2)
    return make_peak_image(frame, box, mesh_in(frame, box, backend))


def mesh_in(frame: UInt8, box: tuple[float, float, float, float], backend: MeshBackend) -> Float | None:
    """The mesh of the face in `box`, in pixels of `frame`; None when no face is found whose centre lies in the box."""
    height, width = frame.shape[:2]
    margin = MESH_MARGIN * max(box[2] - box[0], box[3] - box[1])
    left, top = max(0, int(box[0] - margin)), max(0, int(box[1] - margin))
    right, bottom = min(width, int(box[2] + margin) + 1), min(height, int(box[3] + margin) + 1)
    backend.reset()
    (faces,) = backend.observe(np.ascontiguousarray(frame[None, top:bottom, left:right]))
    backend.reset()
    for face in faces:
        x = left + (face.box_xyxy[0] + face.box_xyxy[2]) / 2
        y = top + (face.box_xyxy[1] + face.box_xyxy[3]) / 2
        if face.landmarks is not None and box[0] <= x <= box[2] and box[1] <= y <= box[3]:
            return face.landmarks + np.array([left, top, 0], np.float32)
    return None


def crop_around(
    box_xyxy: tuple[float, float, float, float], frame_size: tuple[int, int], margin: float
) -> tuple[int, int, int, int]:
    """The square around a box with `margin` on each side, moved, then cut, to lie within the (width, height) frame.

    Returns:
        left, top, right, bottom in whole pixels, the right and lower border not included.

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
    return left, top, min(width, left + side), min(height, top + side)


def make_peak_image(
    frame_rgb: UInt8,
    box_xyxy: tuple[float, float, float, float],
    landmarks: Float | None = None,
    *,
    size: int = 480,
    margin: float = IMAGE_MARGIN,
) -> PeakImage:
    """The face region of a frame [H, W, 3], its longer side at most `size` pixels, as JPEG.

    Args:
        frame_rgb: the upright frame.
        box_xyxy: the face, pixels of the frame.
        landmarks: [478, 3] or [478, 2] mesh points in pixels of the frame, or None.
        size: longest side of the image, pixels; a smaller face is not enlarged.
        margin: room around the box on each side, as a share of its longer side.

    Raises:
        InputError: the frame is not an RGB image, or the box lies outside.
        BackendError: OpenCV could not encode the image.
    """
    if frame_rgb.ndim != 3 or frame_rgb.shape[2] != 3 or frame_rgb.dtype != np.uint8:
        raise InputError(f"a frame must be [H, W, 3] uint8, got {list(frame_rgb.shape)} {frame_rgb.dtype}")
    left, top, right, bottom = crop_around(box_xyxy, (frame_rgb.shape[1], frame_rgb.shape[0]), margin)
    face_bgr = frame_rgb[top:bottom, left:right, ::-1]
    jpeg, width, height = scaled_jpeg(face_bgr, size)
    mesh = None
    if landmarks is not None:
        # Resizing maps border to border, so that continuous coordinates scale by the ratio of the sizes.
        ratio = np.array([width / (right - left), height / (bottom - top)])
        mesh = (landmarks[:, :2] - np.array([left, top])) * ratio
    return PeakImage(jpeg, width, height, mesh)
