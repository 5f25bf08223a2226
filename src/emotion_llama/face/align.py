"""Face crops as OpenFace makes them: turned, scaled and centred by a similarity transform, background black or kept.

OpenFace (Baltrusaitis, Zadeh, Lim, Morency: "OpenFace 2.0", FG 2018; `-simalign`, its default) moves the face onto the
mean shape of its 68-point model, times `sim_scale` = 0.7, centred in a picture of `sim_size` = 112, and blackens what
lies outside the hull of the face (its default; `-nomask` keeps it). The models behind Emotion-LLaMA's face features
were fed such crops. Here the transform is fitted to the eyes and the corners of the mouth, not to OpenFace's 24
"rigid" points, so crops agree with OpenFace's in layout but not pixel by pixel.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from emotion_llama.errors import InputError
from emotion_llama.records import FaceTrack, Float, Frames, UInt8

DEFAULT_SIZE = 112
_SIM_SCALE = 0.7

# OpenFace's mean shape (the x and y of its 68-point model "In-the-wild", millimetres, y down). Eyes are the midpoints
# between the outer and the inner corner (points 36 and 39, 42 and 45), mouth corners are points 48 and 54, and left
# and right are averaged: the mean face is a little crooked, which no person should be turned by.
_EYE = (32.53, -37.34)
_MOUTH_CORNER = (28.86, 28.35)
_TEMPLATE = np.array([(-_EYE[0], _EYE[1]), _EYE, (-_MOUTH_CORNER[0], _MOUTH_CORNER[1]), _MOUTH_CORNER])
_FITTED = [0, 1, 3, 4]  # rows of FaceTrack.points; the nose tip moves with yaw, it lies before the others

# Right half of the hull that OpenFace keeps: the jaw (points 0-8) and the brows (17-19), from the top to the chin,
# averaged with the mirrored left half. OpenFace lifts the brows and the ends of the jaw by 30 px at scale 0.7.
_LIFT = 30 / 0.7
_HULL_RIGHT = np.array([
    (-24.6, -61.5 - _LIFT), (-38.1, -62.4 - _LIFT), (-51.2, -59.0 - _LIFT), (-60.6, -49.8 - _LIFT),
    (-72.4, -30.1 - _LIFT), (-71.6, -11.3), (-69.4, 7.5), (-65.6, 25.8), (-58.6, 42.5), (-47.4, 56.4),
    (-33.4, 67.1), (-17.7, 74.9), (0.0, 77.1),
])  # fmt: skip


def template_points(size: int = DEFAULT_SIZE) -> Float:
    """[4, 2] where right eye, left eye, right and left mouth corner land in a crop of `size` pixels."""
    return np.asarray(_TEMPLATE * _SIM_SCALE * (size / DEFAULT_SIZE) + size / 2)


def alignment(points: Float, *, size: int = DEFAULT_SIZE) -> Float:
    """[2, 3] the similarity transform (turn, scale, shift) from picture to crop, by least squares.

    Args:
        points: [5, 2] right eye, left eye, nose tip, right and left mouth corner, pixels.
        size: side of the crop.

    Raises:
        InputError: points of another shape, NaN, or all in one place.
    """
    points = np.asarray(points, float)
    if points.shape != (5, 2) or not np.isfinite(points[_FITTED]).all():
        raise InputError(
            f"alignment needs 5 finite points [5, 2] (a frame where the face is valid), got {points.tolist()}"
        )
    # As complex numbers a similarity transform is w = a z + b, and least squares has a closed form.
    z, w = (p[:, 0] + 1j * p[:, 1] for p in (points[_FITTED], template_points(size)))
    spread = z - z.mean()
    if np.abs(spread).max() < 1e-6:
        raise InputError(f"alignment needs points that differ, got {points.tolist()}")
    a = np.vdot(spread, w) / np.vdot(spread, spread)
    b = w.mean() - a * z.mean()
    return np.array([[a.real, -a.imag, b.real], [a.imag, a.real, b.imag]])


def align_face(image: UInt8, points: Float, *, size: int = DEFAULT_SIZE, masked: bool = False) -> UInt8:
    """[size, size, 3] uint8 crop of one face.

    Args:
        image: [H, W, 3].
        points: [5, 2] as in FaceTrack.points, pixels of `image`.
        size: side of the crop; 112 is OpenFace's.
        masked: blacken what lies outside the hull of OpenFace's mean face, brows lifted, as OpenFace does by default.

    Raises:
        InputError: points that cannot be aligned (see `alignment`).
    """
    import cv2

    matrix = alignment(points, size=size)
    crop: UInt8 = np.asarray(cv2.warpAffine(image, matrix, (size, size), flags=cv2.INTER_LINEAR), np.uint8)
    if not masked:
        return crop
    corners = cv2.convexHull(np.asarray(np.round(_mean_hull(size)), np.int32))
    mask = cv2.fillConvexPoly(np.zeros((size, size), np.uint8), corners, (1,))
    return np.asarray(crop * mask[..., None], np.uint8)


def crops(
    chunks: Iterable[Frames], track: FaceTrack, *, size: int = DEFAULT_SIZE, masked: bool = False
) -> Iterator[tuple[int, float, UInt8]]:
    """Aligned faces of one person: row of the track, its time, the picture [size, size, 3] RGB.

    Frames where the person was not seen are skipped.

    Args:
        chunks: frames of the clip the track was made of, of any size, all of them or some.
        track: the person.
        size: side of the crops.
        masked: as in `align_face`.
    """
    row_of = {int(index): row for row, index in enumerate(track.frame_index)}
    for frames in chunks:
        height, width = frames.images.shape[1:3]
        scale = np.array([width / track.frame_size[0], height / track.frame_size[1]])
        for image, index in zip(frames.images, frames.index):
            row = row_of.get(int(index))
            if row is not None and track.valid[row]:
                face = align_face(image, track.points[row] * scale, size=size, masked=masked)
                yield row, float(track.pts_seconds[row]), face


def _mean_hull(size: int) -> Float:
    both = np.concatenate([_HULL_RIGHT, _HULL_RIGHT[::-1] * [-1, 1]])
    return np.asarray(both * _SIM_SCALE * (size / DEFAULT_SIZE) + size / 2)
