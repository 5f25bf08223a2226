"""What encoders are given of one person in a clip or a part of it: a frame, aligned face crops, the sound."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from emotion_llama.analysis.evidence import main_first
from emotion_llama.analysis.measure import Person, StageClock, Warn, frame_rate, measure_clip
from emotion_llama.analysis.options import check_choice
from emotion_llama.models.clips import ClipInputs, FaceCrops
from emotion_llama.models.inputs import FRAME_POLICIES, FramePolicy
from emotion_llama.records import FaceTrack, PeakFrame, UInt8, Waveform
from emotion_llama.results import Missing

if TYPE_CHECKING:
    from emotion_llama.face.backends import MeshBackend
    from emotion_llama.media.reader import ClipFile

# Frames decoded at a time for cropping: a chunk of 1080p frames is 100 MB.
_CHUNK_FRAMES = 16


@dataclass(frozen=True)
class CropOptions:
    """How faces are found and cropped; the defaults are those of the published features.

    Attributes:
        frame_policy: which frame the global encoder gets.
        max_fps: most frames a second; the published features take every frame, whatever the rate.
        max_side: faces are looked for in frames scaled to this; crops are cut from full size.
        masked: blacken what lies outside the face, as OpenFace does by default.
    """

    frame_policy: FramePolicy = "first"
    max_fps: float = inf
    max_side: int = 640
    masked: bool = True

    def __post_init__(self) -> None:
        check_choice("frame_policy", self.frame_policy, FRAME_POLICIES)


@contextmanager
def open_inputs(
    path: str | Path,
    backend: Callable[[], MeshBackend],
    options: CropOptions | None = None,
    *,
    need_faces: bool = True,
    clock: StageClock | None = None,
    warn: Warn,
) -> Iterator[ClipInputs]:
    """The inputs of a whole clip and its main person, the one that `analyze` names, while the clip's file is open.

    Args:
        path: a video or sound file.
        backend: gives the face backend; not called for a sound file.
        options: how faces are found and cropped.
        need_faces: False spares the search for faces where only the frame and the sound are wanted; the frame policy
            "peak" searches all the same.
        clock: hears the stages "voice" (the sound) and "faces".
        warn: is given a line where a part of the file could not be read.

    Raises:
        MediaError: the file cannot be read.
    """
    from emotion_llama.media.probe import open_clip

    options = options or CropOptions()
    wants_faces = need_faces or options.frame_policy == "peak"
    with open_clip(path, warn=warn) as file:
        found = measure_clip(
            file, backend if wants_faces else None, clock or StageClock(), max_side=options.max_side,
            max_fps=options.max_fps, with_voice=False, keep_waveform=True, warn=warn,
        )  # fmt: skip
        # Who is the main person can depend on who speaks, but only where there are several.
        if len(found.people) > 1 and found.waveform is not None:
            from emotion_llama.speech.voice_track import measure_voice

            found = replace(found, voice=measure_voice([found.waveform]))
        yield person_inputs(file, main_first(found)[0], options, waveform=found.waveform)


def person_inputs(
    file: ClipFile,
    person: Person,
    options: CropOptions,
    *,
    waveform: Waveform | None,
    span: tuple[float, float] | None = None,
    silent_because: str | None = None,
) -> ClipInputs:
    """The inputs of one person, in the whole clip or within `span`; crops are cut while `file` is open.

    Args:
        file: the open file.
        person: as `measure_clip` found them with the same `max_fps`.
        options: how the frame is chosen and crops are cut.
        waveform: all of the file's sound.
        span: start and end in seconds.
        silent_because: why the sound of this span is not this person's; None when it is.
    """
    clip = file.clip
    start, end = (0.0, clip.duration_seconds) if span is None else span
    missing: list[Missing] = []
    track = person.track
    rows = np.empty(0, np.int64)
    if track is not None:
        inside = (span is None) | ((track.pts_seconds >= start) & (track.pts_seconds < end))
        rows = np.flatnonzero(track.valid & inside)
    if not len(rows):
        missing.append(Missing("faces", _why_no_faces(person)))
    image, seconds, why = _frame(file, person, options.frame_policy, (start, end), missing)
    samples = None
    if clip.audio is None or silent_because is not None:
        missing.append(Missing("sound", silent_because or "the file has no sound"))
    else:
        part = waveform if waveform is None or span is None else waveform.between(start, end)
        if part is not None and len(part.samples):
            samples = part.samples.astype(np.float32, copy=False)
        else:
            missing.append(Missing("sound", "the sound track holds no samples here"))
    faces = None
    if track is not None and len(rows):
        faces = FaceCrops(len(rows), partial(_crops, file, track, rows, options))
    return ClipInputs(image, faces, samples, tuple(missing), seconds, why, clip)


def _crops(file: ClipFile, track: FaceTrack, rows: npt.NDArray[np.int64], options: CropOptions) -> Iterator[UInt8]:
    """Chunks of the crops of some rows of a track, which is decoded again at every call."""
    from emotion_llama.face.align import crops
    from emotion_llama.media.frames import iter_frames

    wanted = frozenset(rows.tolist())
    # A millisecond to either side of the first and last face; what else lies there is not wanted.
    start, end = max(0.0, float(track.pts_seconds[rows[0]]) - 1e-3), float(track.pts_seconds[rows[-1]]) + 1e-3
    rate = frame_rate(file.clip, options.max_fps)
    for frames in iter_frames(
        file, fps=rate, start_seconds=start, end_seconds=end, chunk_size=_CHUNK_FRAMES, warn=lambda line: None
    ):
        cut = [image for row, _, image in crops([frames], track, masked=options.masked) if row in wanted]
        if cut:
            yield np.stack(cut)


def _why_no_faces(person: Person) -> str:
    if person.track is not None:
        return "the face was not seen in this segment"
    if person.units is not None:
        return "another program measured the units, and where the face is is not known"
    return person.why_no_units


def _frame(
    file: ClipFile, person: Person, policy: FramePolicy, span: tuple[float, float], missing: list[Missing]
) -> tuple[UInt8 | None, float | None, str]:
    """The frame for the global encoder, its time, and why this one."""
    from emotion_llama.media.frames import frame_at

    if file.clip.video is None:
        missing.append(Missing("frame", "the file has no video"))
        return None, None, ""
    start, end = span
    seconds, why = (start, "the first") if policy == "first" else ((start + end) / 2, "the middle")
    if policy == "peak":
        peak = _peak(person, span)
        # A picture there always is, and the middle one serves better than the first where no face was measured.
        seconds, why = (peak.pts_seconds, peak.why) if peak else (seconds, "the middle, for no expression was measured")
    frame = frame_at(file, min(seconds, file.clip.duration_seconds), warn=lambda line: None)
    return frame.images[0], float(frame.pts_seconds[0]), why


def _peak(person: Person, span: tuple[float, float]) -> PeakFrame | None:
    from emotion_llama.face.peak import find_peak

    if person.units is None:
        return None
    # The clip's last frame belongs to it, though nothing is shown after its time.
    units = person.units.between(span[0], np.nextafter(span[1], np.inf))
    return find_peak(units) if units.valid.any() else None
