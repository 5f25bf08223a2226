"""What is measured of a clip in one pass over its file: the faces and the voice.

No frames are kept, so that memory does not grow with the length of a clip.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from emotion_llama.errors import InputError
from emotion_llama.records import ActionUnits, Clip, FaceTrack, Float, Frames, VoiceTrack, Waveform

if TYPE_CHECKING:
    from emotion_llama.face.backends import MeshBackend, PersonUnits, UnitReader
    from emotion_llama.media.frames import Tap
    from emotion_llama.media.reader import ClipFile

Warn = Callable[[str], None]
StageProgress = Callable[[str, float], None]  # stage, share done 0..1

# Sound is read so far ahead of the pictures, beyond the voice's steps of 5 s: little of the file waits in memory.
_AUDIO_CHUNK_SECONDS = 1.0


@dataclass(frozen=True, repr=False)
class Person:
    """One person of a clip: a face that was tracked, units that another program measured, or a voice without a face.

    Attributes:
        person_id: 1, 2, ... in order of first appearance, or of the other program's numbers.
        track: None when only another program's units are there, or nobody is in view.
        units: None when no unit could be measured.
        why_no_units: the reason, when `units` is None.
        why: what speaks for or against being the main person.
    """

    person_id: int
    track: FaceTrack | None
    units: ActionUnits | None
    why_no_units: str = ""
    why: str = ""


@dataclass(frozen=True, repr=False)
class Measurements:
    """All that one pass over a file found.

    Attributes:
        people: everybody in view, in order of first appearance.
        num_frames: frames that were searched for faces.
        why_nobody: the reason, where `people` is empty.
        voice: None with `why_no_voice`.
        waveform: the whole sound at 16 kHz, where it was asked for and there is any.
    """

    people: tuple[Person, ...] = ()
    num_frames: int = 0
    why_nobody: str = "the file has no video"
    voice: VoiceTrack | None = None
    why_no_voice: str = "the file has no sound"
    waveform: Waveform | None = None


class StageClock:
    """Hands progress on, and measures how long each stage was the current one."""

    def __init__(self, progress: StageProgress | None = None) -> None:
        self._progress = progress
        self._stage: str | None = None
        self._since = 0.0
        self._seconds: dict[str, float] = {}

    def __call__(self, stage: str, share: float = 0.0) -> None:
        """This stage is the current one, and so much of it is done."""
        if stage != self._stage:
            self._switch(stage)
        if self._progress is not None:
            self._progress(stage, share)

    @contextmanager
    def during(self, stage: str) -> Iterator[None]:
        """Count the time within as another stage's."""
        before = self._stage
        self._switch(stage)
        try:
            yield
        finally:
            self._switch(before)

    def finish(self) -> dict[str, float]:
        """Seconds by stage, in the order in which they began."""
        self._switch(None)
        return dict(self._seconds)

    def _switch(self, stage: str | None) -> None:
        now = time.perf_counter()
        if self._stage is not None:
            self._seconds[self._stage] += now - self._since
        if stage is not None:
            self._seconds.setdefault(stage, 0.0)
        self._stage, self._since = stage, now


# --- the pass -------------------------------------------------------------------------------------------------------


def measure_clip(
    file: ClipFile,
    backend: Callable[[], MeshBackend] | None,
    clock: StageClock,
    *,
    max_side: int = 640,
    max_fps: float = math.inf,
    with_voice: bool = True,
    keep_waveform: bool = False,
    tap: Tap | None = None,
    warn: Warn,
) -> Measurements:
    """Track and measure every face of a clip, and its voice, in one pass.

    Args:
        file: open, and not read yet.
        backend: gives the face backend, called where there are pictures; None where faces are not to be looked for.
        clock: hears the stages "voice" and "faces".
        max_side: frames are scaled so that the longer side is at most so many pixels.
        max_fps: frames are taken at their own times up to this rate, at this rate above it.
        with_voice: whether the voice is measured.
        keep_waveform: whether the sound is kept.
        tap: takes some of the pictures at another size, in the same pass.
        warn: is given a line where a part of the file could not be read.
    """
    from emotion_llama.media.frames import iter_frames

    clip = file.clip
    clock("voice")
    frames, face_warnings = None, list[str]()
    if clip.video is not None and backend is not None:
        rate = frame_rate(clip, max_fps)
        frames = iter_frames(file, fps=rate, max_side=max_side, warn=face_warnings.append, tap=tap)
    elif clip.video is not None and tap is not None:
        for _ in iter_frames(file, fps=tap.fps, max_side=64, warn=face_warnings.append, tap=tap):
            pass
    sound = None if clip.audio is None else _Sound(file, with_voice, keep_waveform, warn)
    if frames is not None and backend is not None:
        clock("faces")
        found = _track_faces(clip, frames, backend(), sound, clock, face_warnings.append)
    else:
        found = Measurements(why_nobody="the file has no video" if clip.video is None else "faces were not looked for")
    if sound is not None:
        with clock.during("voice"):
            sound.read_until(math.inf, lambda share: None if frames is not None else clock("voice", share))
        voice, reason = (sound.voice, "") if sound.has_samples else (None, "the sound track holds no samples")
        found = replace(found, voice=voice, why_no_voice=reason, waveform=sound.waveform())
    for line in face_warnings:
        warn(line)
    return found


def frame_rate(clip: Clip, max_fps: float) -> float | None:
    """The rate to take frames at so that there are at most `max_fps` a second; None is every frame.

    A little above the limit still counts as the limit: 30 fps material is often 30.02. Far above it every second,
    third, ... frame is taken, evenly: of 50 a second 25.
    """
    fps = 0.0 if clip.video is None else clip.video.fps
    if fps <= 1.05 * max_fps:
        return None
    return fps / math.ceil(fps / (1.05 * max_fps)) if fps >= 1.6 * max_fps else max_fps


class _Sound:
    """The sound of a file, measured and kept as far as it is asked for, a few seconds at a time."""

    def __init__(self, file: ClipFile, with_voice: bool, keep: bool, warn: Warn) -> None:
        from emotion_llama.media.audio import iter_audio

        self.voice: VoiceTrack | None = None
        self.has_samples = False
        self._kept: list[Float] | None = [] if keep else None
        self._duration_seconds = file.clip.duration_seconds
        self._seconds = 0.0
        self._steps = self._measured(iter_audio(file, chunk_seconds=_AUDIO_CHUNK_SECONDS, warn=warn), with_voice)

    def read_until(self, seconds: float, progress: Callable[[float], None] | None = None) -> None:
        """Read on up to a time, or beyond it."""
        while self._seconds < seconds:
            self._seconds = next(self._steps, math.inf)
            if progress is not None:
                progress(min(1.0, self._seconds / self._duration_seconds))

    def waveform(self) -> Waveform | None:
        """What was kept."""
        return Waveform(np.concatenate(self._kept)) if self._kept else None

    def _measured(self, chunks: Iterator[Waveform], with_voice: bool) -> Iterator[float]:
        from emotion_llama.speech.voice_track import voice_steps

        passed = self._passed(chunks)
        if with_voice:
            self.voice = yield from voice_steps(passed)
        else:
            for chunk in passed:
                yield chunk.start_seconds + chunk.duration_seconds

    def _passed(self, chunks: Iterator[Waveform]) -> Iterator[Waveform]:
        for chunk in chunks:
            self.has_samples = self.has_samples or len(chunk.samples) > 0
            if self._kept is not None:
                self._kept.append(chunk.samples)
            yield chunk


def _track_faces(
    clip: Clip,
    chunks: Iterator[Frames],
    backend: MeshBackend,
    sound: _Sound | None,
    clock: StageClock,
    warn: Warn,
) -> Measurements:
    """The people in view; the sound is read beside the pictures."""
    from emotion_llama.face import action_units
    from emotion_llama.face.track import Tracker

    tracker: Tracker | None = None
    count = 0
    backend.reset()
    for frames in chunks:
        if tracker is None:
            tracker = Tracker(frame_size=(frames.images.shape[2], frames.images.shape[1]))
        tracker.update(frames, backend.observe(frames.images))
        count += len(frames)
        seconds = float(frames.pts_seconds[-1])
        clock("faces", min(1.0, seconds / clip.duration_seconds))
        if sound is not None:
            with clock.during("voice"):
                sound.read_until(seconds)
    if tracker is None:
        return Measurements(why_nobody="the video has no readable frame")
    tracks = tracker.finish()
    people = tuple(Person(track.track_id + 1, track, action_units.estimate(track)) for track in tracks)
    for line in tracker.dropped:
        warn(line)
    return Measurements(people, count, f"no face was found in {count} frames")


# --- units that another program measured ----------------------------------------------------------------------------


# A table may end so much off the clip's end; what it does not cover beyond that is said.
_END_SECONDS, _END_SHARE, _COVERED_SHARE = 0.5, 0.02, 0.9
_MAX_STEP_SECONDS = 2.0  # between rows; beyond it the times are milliseconds


def read_units(clip: Clip, table: Path | None, backend: str, warn: Warn) -> Measurements:
    """The people of another program's measurement: of the CSV `table`, or of running `backend` on the clip.

    Times are checked against the clip: milliseconds, and another frame rate over the clip's own frames, are put right;
    a table that covers less than the clip is taken. `warn` is given a line of each.

    Raises:
        InputError: the table is missing or is not one of the known formats, it is of a longer clip, or no backend has
            that name.
        MissingDependency, BackendError: the backend is not installed, or failed.
    """
    from emotion_llama.face.backends import BACKENDS, load_unit_reader

    if table is None and backend not in BACKENDS:
        raise InputError(
            f"{backend}: no such file or folder, and no backend of that name; give a CSV with action units"
        )
    reader, path = (load_unit_reader(backend), clip.path) if table is None else (_reader_of(table, clip), table)
    name = backend if table is None else table.name
    people = _at_clip_times(reader.read(path), clip, name, warn)
    num_frames = max((len(person.units.pts_seconds) for person in people), default=0)
    found = tuple(Person(i, None, person.units) for i, person in enumerate(people, 1))
    return Measurements(found, num_frames, f"no person in {name}")


def _at_clip_times(people: Sequence[PersonUnits], clip: Clip, name: str, warn: Warn) -> list[PersonUnits]:
    """The same people with times that fit the clip."""
    times = np.unique(np.concatenate([person.units.pts_seconds for person in people])) if people else np.empty(0)
    if len(times) < 2:
        return list(people)
    step, length = float(np.median(np.diff(times))), clip.duration_seconds
    tolerance = max(_END_SECONDS, _END_SHARE * length)
    fitting = times
    if step > _MAX_STEP_SECONDS and (times[-1] + step) / 1000 <= length + tolerance:
        fitting, step = times / 1000, step / 1000
        warn(f"{name}: its times are milliseconds, and were divided by 1000")
    frames = 0 if clip.video is None or clip.video.is_variable_frame_rate else round(length * clip.video.fps)
    end = float(fitting[-1]) + step
    if clip.video is not None and abs(end - length) > tolerance and abs(len(times) - frames) <= max(1, 0.01 * frames):
        fitting, rate = np.arange(len(times)) / clip.video.fps, 1 / step
        step = 1 / clip.video.fps
        warn(f"{name}: one row a frame, at {rate:.4g} a second; the clip has {clip.video.fps:.4g}, which is taken")
    end = float(fitting[-1]) + step
    if fitting[0] < -tolerance or end > length + tolerance:
        raise InputError(
            f"{name}: its times go from {fitting[0]:.2f} to {end:.2f} s, the clip {clip.path.name} has {length:.2f} s; "
            "give the table of this clip"
        )
    covered = len(fitting) * step
    if covered < _COVERED_SHARE * length:
        warn(f"{name}: its rows cover {covered:.2f} of {length:.2f} s; no units are known of the rest")
    if fitting is times:
        return list(people)
    return [
        person._replace(
            units=replace(person.units, pts_seconds=fitting[np.searchsorted(times, person.units.pts_seconds)])
        )
        for person in people
    ]


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
