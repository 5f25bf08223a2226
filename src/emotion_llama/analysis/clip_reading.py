"""What the encoders take from a clip: the frame by policy, the main person's face crops, the waveform."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from emotion_llama.analysis.options import check_choice
from emotion_llama.analysis.people import main_first
from emotion_llama.analysis.sight import Seen, Sight, look
from emotion_llama.models.clip_inputs import ClipInputs, GlobalFrame, no_faces
from emotion_llama.models.inputs import FRAME_POLICIES, FramePolicy
from emotion_llama.records import Clip, FaceTrack, Missing, PeakFrame, UInt8, VoiceTrack, Waveform

if TYPE_CHECKING:
    from emotion_llama.face.backends import MeshBackend

Report = Callable[[float], None]
Warn = Callable[[str], None]

# Frames decoded at a time for cropping: a chunk of 1080p frames is 100 MB.
_CHUNK_FRAMES = 16


@dataclass(frozen=True)
class LookOptions:
    """How faces are found and cropped; the defaults are those of the published features.

    Attributes:
        frame_policy: which frame the global encoder sees.
        max_fps: frames a second that are looked at; the published features take every frame, whatever the rate.
        max_side: faces are looked for in frames scaled to this; crops are cut from full size.
        masked: blacken what lies outside the face, as OpenFace does by default.
    """

    frame_policy: FramePolicy = "first"
    max_fps: float = float("inf")
    max_side: int = 640
    masked: bool = True

    def __post_init__(self) -> None:
        check_choice("frame_policy", self.frame_policy, FRAME_POLICIES)

    def rate(self, clip: Clip) -> float | None:
        """The rate to decode at; None is every frame. The same rule as `sight.look`."""
        above = clip.video is not None and clip.video.fps > 1.05 * self.max_fps
        return self.max_fps if above else None


def read_inputs(
    path: str | Path,
    backend: Callable[[], MeshBackend],
    options: LookOptions | None = None,
    *,
    need_faces: bool = True,
    warn: Warn,
    progress: Report = lambda share: None,
) -> ClipInputs:
    """The inputs of a whole clip and its main person, the one that `analyze` names.

    Args:
        path: a video or sound file.
        backend: gives the face backend; not called for a sound file.
        options: how to look.
        need_faces: False spares the search for faces where only the frame and the sound are wanted; the frame policy
            "peak" searches all the same.
        warn: is told of damage in the file.
        progress: is told the share of the pictures that was searched for faces.

    Raises:
        MediaError: the file cannot be read.
    """
    from emotion_llama.media.probe import probe

    options = options or LookOptions()
    clip = probe(path, warn=warn)
    if clip.video is None:
        sight = Sight((), None, 0, "the file has no video")
    elif not need_faces and options.frame_policy != "peak":
        sight = Sight((), None, 0, "faces were not looked for")
    else:
        sight = look(clip, backend(), max_side=options.max_side, max_fps=options.max_fps, warn=warn, progress=progress)
    # Who is the main person can depend on who speaks, but only where there are several.
    voice = _voice(clip) if len(sight.people) > 1 and clip.audio is not None else None
    person = main_first(sight, voice)[0].seen
    return person_inputs(clip, person, options, why_nobody=sight.why_nobody)


def person_inputs(
    clip: Clip,
    person: Seen | None,
    options: LookOptions,
    *,
    span: tuple[float, float] | None = None,
    why_nobody: str = "no face was found",
    why_silent: str | None = None,
) -> ClipInputs:
    """The inputs of one person, in the whole clip or within `span` (start and end in seconds).

    Args:
        clip: the file.
        person: who, as `look` found them with the same `max_fps`; None where nobody is seen.
        options: how the frame is chosen and crops are cut.
        span: start and end in seconds.
        why_nobody: the reason to give when `person` is None.
        why_silent: why the sound of this span is not this person's; None when it is.
    """
    start, end = (0.0, clip.duration_seconds) if span is None else span
    missing: list[Missing] = []
    track = person.track if person is not None else None
    rows = np.empty(0, np.int64) if track is None else _rows(track, start, end, is_whole=span is None)
    if not len(rows):
        missing.append(Missing("faces", _why_no_faces(person, why_nobody)))
    frame = _frame(clip, person, options.frame_policy, (start, end), missing)
    sound = _sound(clip, span, why_silent, missing)
    if track is None or not len(rows):
        return ClipInputs(clip, frame, 0, no_faces, sound, tuple(missing))
    wanted = frozenset(int(index) for index in track.frame_index[rows])
    bounds = (float(track.pts_seconds[rows[0]]), float(track.pts_seconds[rows[-1]]))
    stream = _FaceStream(clip, track, wanted, bounds, options)
    return ClipInputs(clip, frame, len(rows), stream, sound, tuple(missing))


@dataclass(frozen=True, repr=False)
class _FaceStream:
    """Decodes the clip again at every call and cuts the crops of the wanted frames."""

    clip: Clip
    track: FaceTrack
    wanted: frozenset[int]
    bounds_seconds: tuple[float, float]
    options: LookOptions

    def __call__(self) -> Iterator[UInt8]:
        from emotion_llama.face.align import crops
        from emotion_llama.media.frames import iter_frames

        # A millisecond to either side of the first and last face; what else lies there is not wanted.
        start, end = max(0.0, self.bounds_seconds[0] - 1e-3), self.bounds_seconds[1] + 1e-3
        rate = self.options.rate(self.clip)
        for frames in iter_frames(
            self.clip, fps=rate, start_seconds=start, end_seconds=end, chunk_size=_CHUNK_FRAMES, warn=lambda line: None
        ):
            cut = [
                crop.image
                for crop in crops([frames], self.track, masked=self.options.masked)
                if int(self.track.frame_index[crop.row]) in self.wanted
            ]
            if cut:
                yield np.stack(cut)


def _rows(track: FaceTrack, start: float, end: float, *, is_whole: bool) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    inside = is_whole | ((track.pts_seconds >= start) & (track.pts_seconds < end))
    return np.flatnonzero(track.valid & inside)


def _why_no_faces(person: Seen | None, why_nobody: str) -> str:
    if person is None:
        return why_nobody
    if person.track is None:
        return "another program measured the units, and where the face is is not known"
    return "the face was not seen in this segment"


def _frame(
    clip: Clip, person: Seen | None, policy: FramePolicy, span: tuple[float, float], missing: list[Missing]
) -> GlobalFrame | None:
    from emotion_llama.media.frames import frame_at

    if clip.video is None:
        missing.append(Missing("frame", "the file has no video"))
        return None
    start, end = span
    seconds, why = (start, "the first") if policy == "first" else ((start + end) / 2, "the middle")
    if policy == "peak":
        peak = _peak(person, span)
        # A picture there always is, and the middle one serves better than the first where no face was measured.
        seconds, why = (peak.pts_seconds, peak.why) if peak else (seconds, "the middle, for no expression was measured")
    frame = frame_at(clip, min(seconds, clip.duration_seconds), warn=lambda line: None)
    return GlobalFrame(frame.images[0], float(frame.pts_seconds[0]), policy, why)


def _peak(person: Seen | None, span: tuple[float, float]) -> PeakFrame | None:
    from emotion_llama.face.peak import find_peak

    if person is None or person.units is None:
        return None
    # The clip's last frame belongs to it, though nothing is shown after its time.
    units = person.units.between(span[0], np.nextafter(span[1], np.inf))
    return find_peak(units) if units.valid.any() else None


def _sound(
    clip: Clip, span: tuple[float, float] | None, why_silent: str | None, missing: list[Missing]
) -> Waveform | None:
    from emotion_llama.media.audio import read_audio

    if clip.audio is None or why_silent is not None:
        missing.append(Missing("sound", why_silent or "the file has no sound"))
        return None
    start, end = span if span is not None else (0.0, None)
    sound = read_audio(clip, start_seconds=start, end_seconds=end, warn=lambda line: None)
    if not len(sound.samples):
        missing.append(Missing("sound", "the sound track holds no samples here"))
        return None
    return sound


def _voice(clip: Clip) -> VoiceTrack:
    from emotion_llama.media.audio import iter_audio
    from emotion_llama.speech.voice_track import measure_voice

    return measure_voice(iter_audio(clip, warn=lambda line: None))
