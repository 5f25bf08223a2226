"""The pass over the pictures: frames in, one track and its action units per person out, memory bounded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from emotion_llama.records import ActionUnits, Clip, FaceTrack

if TYPE_CHECKING:
    from emotion_llama.face.backends import MeshBackend


@dataclass(frozen=True, repr=False)
class Seen:
    """One person in view: a track measured by us, or units that another program measured, or both.

    Attributes:
        person_id: the track's number, or the other program's face number.
        track: None when only another program's units are there.
        units: None when the face was found but no unit could be measured.
        why_no_units: the reason, when `units` is None.
    """

    person_id: int
    track: FaceTrack | None
    units: ActionUnits | None
    why_no_units: str = ""


@dataclass(frozen=True)
class Sight:
    """All that one pass over the pictures found; `frame_size` is width, height of the analysed frames."""

    people: tuple[Seen, ...]
    frame_size: tuple[int, int] | None
    num_frames: int
    why_nobody: str
    warnings: tuple[str, ...] = ()


def look(
    clip: Clip, backend: MeshBackend, *, max_side: int, max_fps: float, progress: Callable[[float], None]
) -> Sight:
    """Find, follow and measure every face of `clip`.

    Frames are taken at their own times up to `max_fps`, at that rate above it; they are scaled so that the longer side
    is at most `max_side` pixels.
    """
    from emotion_llama.face import action_units
    from emotion_llama.face.track import Tracker
    from emotion_llama.media.frames import iter_frames

    if clip.video is None:
        return Sight((), None, 0, "the file has no video")
    # A little above the limit still counts as the limit: 30 fps material is often 30.02.
    rate = max_fps if clip.video.fps > 1.05 * max_fps else None
    warnings: list[str] = []
    tracker: Tracker | None = None
    count, size = 0, None
    backend.reset()
    for frames in iter_frames(clip, fps=rate, max_side=max_side, warnings=warnings):
        if tracker is None:
            size = (frames.images.shape[2], frames.images.shape[1])
            tracker = Tracker(frame_size=size)
        tracker.update(frames, backend.observe(frames.images))
        count += len(frames)
        progress(min(1.0, float(frames.pts_seconds[-1]) / clip.duration_seconds))
    if tracker is None:
        return Sight((), None, 0, "the video has no readable frame", tuple(warnings))
    tracks = tracker.finish()
    people = tuple(Seen(track.track_id, track, action_units.estimate(track)) for track in tracks)
    return Sight(people, size, count, f"no face was found in {count} frames", tuple(warnings))
