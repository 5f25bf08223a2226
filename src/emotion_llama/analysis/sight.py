"""The pass over the pictures: frames in, one track and its action units per person out, memory bounded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from emotion_llama.errors import InputError
from emotion_llama.records import ActionUnits, Clip, FaceTrack

if TYPE_CHECKING:
    from emotion_llama.face.backends import MeshBackend, UnitReader


@dataclass(frozen=True, repr=False)
class Seen:
    """One person in view: a track measured by us, or units that another program measured, or both.

    Attributes:
        person_id: 1, 2, ... in order of first appearance, or of the other program's numbers.
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


def look(
    clip: Clip,
    backend: MeshBackend,
    *,
    max_side: int,
    max_fps: float,
    warn: Callable[[str], None],
    progress: Callable[[float], None],
) -> Sight:
    """Find, follow and measure every face of `clip`.

    Frames are taken at their own times up to `max_fps`, at that rate above it; they are scaled so that the longer side
    is at most `max_side` pixels. `warn` is told of damage in the file, `progress` the share of the clip that is done.
    """
    from emotion_llama.face import action_units
    from emotion_llama.face.track import Tracker
    from emotion_llama.media.frames import iter_frames

    if clip.video is None:
        return Sight((), None, 0, "the file has no video")
    # A little above the limit still counts as the limit: 30 fps material is often 30.02.
    rate = max_fps if clip.video.fps > 1.05 * max_fps else None
    tracker: Tracker | None = None
    count, size = 0, None
    backend.reset()
    for frames in iter_frames(clip, fps=rate, max_side=max_side, warn=warn):
        if tracker is None:
            size = (frames.images.shape[2], frames.images.shape[1])
            tracker = Tracker(frame_size=size)
        tracker.update(frames, backend.observe(frames.images))
        count += len(frames)
        progress(min(1.0, float(frames.pts_seconds[-1]) / clip.duration_seconds))
    if tracker is None:
        return Sight((), None, 0, "the video has no readable frame")
    tracks = tracker.finish()
    people = tuple(Seen(track.track_id + 1, track, action_units.estimate(track)) for track in tracks)
    for lost in tracker.dropped:
        warn(lost.reason)
    return Sight(people, size, count, f"no face was found in {count} frames")


def read_units(clip: Clip, table: Path | None, backend: str) -> Sight:
    """The people of another program's measurement: of the CSV `table`, or of running `backend` on the clip.

    Raises:
        InputError: the table is missing or is not one of the known formats, or no backend has that name.
        MissingDependency, BackendError: the backend is not installed, or failed.
    """
    from emotion_llama.face.backends import BACKENDS, load_unit_reader

    if table is None and backend not in BACKENDS:
        raise InputError(
            f"{backend}: no such file or folder, and no backend of that name; give a CSV with action units"
        )
    reader, path = (load_unit_reader(backend), clip.path) if table is None else (_reader_of(table, clip), table)
    people = reader.read(path)
    seen = tuple(Seen(i, None, person.units) for i, person in enumerate(people, 1))
    source = backend if table is None else table.name
    return Sight(seen, None, max((len(p.units.pts_seconds) for p in people), default=0), f"no person in {source}")


def _reader_of(table: Path, clip: Clip) -> UnitReader:
    from emotion_llama.face.backends import load_unit_reader

    name = units_format(table)
    if name != "pyfeat":
        return load_unit_reader(name)
    # py-feat numbers frames and writes no times.
    if clip.video is None:
        raise InputError(f"{table}: a py-feat table needs a clip with video, and {clip.path} has none")
    return load_unit_reader(name, fps=clip.video.fps)


def units_format(table: Path) -> str:
    """Which unit reader a CSV is for, by its header: OpenFace's columns are `AU01_r`, py-feat's `AU01`.

    Raises:
        InputError: no such file, or the header has neither.
    """
    if not table.is_file():
        raise InputError(f"{table}: no such file; expected a CSV with action units, or a backend's name")
    with table.open(encoding="utf-8", errors="replace") as file:
        names = {name.strip() for name in file.readline().split(",")}
    if "AU01_r" in names:
        return "openface_csv"
    if "AU01" in names:
        return "pyfeat"
    raise InputError(f"{table}: expected a column AU01_r (OpenFace) or AU01 (py-feat) in its first line; found neither")
