"""The picture behind a peak frame: the frame is read again in full size and its face meshed again.

The pass over the pictures keeps no images and no meshes, so that memory does not grow with the length of a clip.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from emotion_llama.records import Analysis, Float, PersonAnalysis, Segment, UInt8

if TYPE_CHECKING:
    from emotion_llama.face.backends import MeshBackend

# The mesh is looked for in the face's box with so much of its size around it on each side.
MARGIN = 0.8


class PeakView(NamedTuple):
    """frame_rgb [H, W, 3], the face's box in its pixels, and the mesh [478, 3], None where it was not found again."""

    frame_rgb: UInt8
    box_xyxy: tuple[float, float, float, float]
    landmarks: Float | None


def peak_view(analysis: Analysis, person: PersonAnalysis, segment: Segment, backend: MeshBackend) -> PeakView | None:
    """What `person` looks like at the peak of `segment`; None without a peak, or without a face track of our own."""
    from emotion_llama.media.frames import frame_at

    peak, track = segment.evidence.peak_frame, person.track
    if peak is None or track is None:
        return None
    seen = np.flatnonzero(track.valid)
    row = int(seen[np.argmin(np.abs(track.pts_seconds[seen] - peak.pts_seconds))])
    frame = frame_at(analysis.clip, float(track.pts_seconds[row])).images[0]
    scale = frame.shape[1] / track.frame_size[0]
    x1, y1, x2, y2 = (float(v) * scale for v in track.boxes_xyxy[row])
    box = (x1, y1, x2, y2)
    return PeakView(frame, box, mesh_in(frame, box, backend))


def mesh_in(frame: UInt8, box: tuple[float, float, float, float], backend: MeshBackend) -> Float | None:
    """The mesh of the face in `box`, in pixels of `frame`; None when no face is found whose centre lies in the box."""
    height, width = frame.shape[:2]
    margin = MARGIN * max(box[2] - box[0], box[3] - box[1])
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
