"""What is measured of a clip: frozen records of its media, its faces and its sound.

Notation: N video frames in time order, T audio frames (10 ms hop), U action units. Times are seconds from the start of
the file (`pts_seconds`), boxes are `x1, y1, x2, y2` in pixels of the upright frame, intensities are 0..5.
A thing that could not be measured is None with a `results.Missing` beside it, or NaN inside an array; never a default.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Float = npt.NDArray[np.floating[Any]]
Bool = npt.NDArray[np.bool_]
UInt8 = npt.NDArray[np.uint8]

# The 17 units whose intensity OpenFace reports (Baltrusaitis et al., FG 2018); AU45 is the blink.
AU_DESCRIPTIONS: Mapping[str, str] = MappingProxyType(
    {
        "AU01": "inner brow raiser", "AU02": "outer brow raiser", "AU04": "brow lowerer", "AU05": "upper lid raiser",
        "AU06": "cheek raiser", "AU07": "lid tightener", "AU09": "nose wrinkler", "AU10": "upper lip raiser",
        "AU12": "lip corner puller", "AU14": "dimpler", "AU15": "lip corner depressor", "AU17": "chin raiser",
        "AU20": "lip stretcher", "AU23": "lip tightener", "AU25": "lips part", "AU26": "jaw drop", "AU45": "blink",
    }
)  # fmt: skip
AU_NAMES: tuple[str, ...] = tuple(AU_DESCRIPTIONS)


def require(condition: bool, message: str) -> None:
    """Raise ValueError with the message unless the condition holds."""
    if not condition:
        raise ValueError(message)


def _require_rows(record: Any, count: int, *names: str) -> None:  # any of the records below
    for name in names:
        rows = len(getattr(record, name))
        require(rows == count, f"{name} must have {count} rows, has {rows}")


def _span(times: Float) -> str:
    return f"{times[0]:.2f}..{times[-1]:.2f} s" if len(times) else "empty"


def freeze(record: Any, *names: str) -> None:  # any frozen dataclass
    """Replace fields that hold mappings by read-only copies."""
    for name in names:
        object.__setattr__(record, name, MappingProxyType(dict(getattr(record, name))))


# --- media ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class VideoInfo:
    """What the video stream that is read is, measured upright (mirrored, then turned)."""

    width: int
    height: int
    fps: float  # average frames per second
    is_variable_frame_rate: bool
    rotation_degrees: int  # 0, 90, 180 or 270, clockwise turn that makes the picture upright
    codec: str
    pixel_format: str
    is_mirrored: bool = False  # left to right, before the turn
    track: int = 1  # which of the file's videos


@dataclass(frozen=True)
class AudioInfo:
    """What the sound that is read is."""

    sample_rate_hz: int
    channels: int
    codec: str
    track: int = 1  # which of the file's sound tracks
    weights: tuple[float, ...] = ()  # of the channels in the mix, where those of their places would be wrong


@dataclass(frozen=True)
class Clip:
    """One readable media file: at least one of `video` and `audio` is there."""

    path: Path
    sha256: str
    duration_seconds: float
    video: VideoInfo | None
    audio: AudioInfo | None

    def __post_init__(self) -> None:
        require(self.video is not None or self.audio is not None, f"a clip needs a stream: {self.path}")
        require(self.duration_seconds > 0, f"duration must be positive: {self.duration_seconds = }")


@dataclass(frozen=True, repr=False)
class Frames:
    """A chunk of upright RGB frames: images [N, H, W, 3] uint8, pts_seconds [N], index [N] in the whole stream."""

    images: UInt8
    pts_seconds: Float
    index: npt.NDArray[np.int64]

    def __post_init__(self) -> None:
        shape, kind = self.images.shape, self.images.dtype
        require(len(shape) == 4 and shape[3] == 3 and kind == np.uint8, f"expected [N, H, W, 3] uint8: {shape}, {kind}")
        _require_rows(self, len(self.images), "pts_seconds", "index")

    def __len__(self) -> int:
        return len(self.images)

    def __repr__(self) -> str:
        return f"Frames({list(self.images.shape)}, {_span(self.pts_seconds)})"


@dataclass(frozen=True, repr=False)
class Waveform:
    """Mono sound: samples [S] float32 in -1..1, starting `start_seconds` after the file's start."""

    samples: Float
    sample_rate_hz: int = 16_000
    start_seconds: float = 0.0

    def __post_init__(self) -> None:
        shape, kind = self.samples.shape, self.samples.dtype
        require(len(shape) == 1 and kind == np.float32, f"a waveform must be [S] float32: {shape}, {kind}")

    @property
    def duration_seconds(self) -> float:
        """Length of the samples."""
        return len(self.samples) / self.sample_rate_hz

    def between(self, start_seconds: float, end_seconds: float) -> Waveform:
        """The part from one time to another; empty where there is none."""
        first = max(0, round((start_seconds - self.start_seconds) * self.sample_rate_hz))
        last = first + round((end_seconds - start_seconds) * self.sample_rate_hz)
        return Waveform(self.samples[first:last], self.sample_rate_hz, start_seconds)

    def __repr__(self) -> str:
        return f"Waveform([{len(self.samples)}] @ {self.sample_rate_hz} Hz from {self.start_seconds:.2f} s)"


def frame_seconds(pts_seconds: Float) -> Float:
    """[N] how long each frame is shown: until the next one, the last as long as the one before it; 1 where none is."""
    gaps = np.diff(pts_seconds)
    return np.append(gaps, gaps[-1:]) if gaps.any() else np.ones(len(pts_seconds))


def time_share(pts_seconds: Float, chosen: Bool) -> float:
    """Share of the time, not of the frames, for which `chosen` [N] holds; 0 without frames."""
    lasting = frame_seconds(pts_seconds)
    total = float(lasting.sum())
    return float(lasting[chosen].sum()) / total if total else 0.0


# --- face -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, repr=False)
class FaceTrack:
    """One person over all N analysed frames; rows where `valid` is False are NaN.

    Attributes:
        track_id: 0, 1, ... in order of first appearance.
        frame_size: width, height of the analysed frames, to whose pixels boxes and points refer.
        pts_seconds: [N].
        frame_index: [N] index of each analysed frame in the stream.
        valid: [N] the person's face was seen and meshed.
        boxes_xyxy: [N, 4].
        scores: [N] detection confidence 0..1.
        points: [N, 5, 2] right eye, left eye, nose tip, right and left mouth corner, pixels (right = the person's).
        head_pose_degrees: [N, 3] pitch (up +), yaw (to the person's left +), roll (clockwise in the image +).
        shape_features: [N, F] pose- and size-normalised measurements of the mesh (face/geometry.py names them).
        appearance: [D] descriptor that let the tracker join the parts across cuts.
        blendshapes: [N, 52] 0..1, named by face/blendshapes.py; None where they were not measured.
        lip_contrast: [N] how clearly the lips stand out, 1 where they are just seen (face/occlusion.py); NaN where that
            is not known, None where it was not measured.
    """

    track_id: int
    frame_size: tuple[int, int]
    pts_seconds: Float
    frame_index: npt.NDArray[np.int64]
    valid: Bool
    boxes_xyxy: Float
    scores: Float
    points: Float
    head_pose_degrees: Float
    shape_features: Float
    appearance: Float
    blendshapes: Float | None = None
    lip_contrast: Float | None = None

    def __post_init__(self) -> None:
        names = ("frame_index", "valid", "boxes_xyxy", "scores", "points", "head_pose_degrees", "shape_features")
        measured = [name for name in ("blendshapes", "lip_contrast") if getattr(self, name) is not None]
        _require_rows(self, len(self.pts_seconds), *names, *measured)

    def __repr__(self) -> str:
        return f"FaceTrack({self.track_id}, {int(self.valid.sum())} of {len(self.valid)} frames)"


@dataclass(frozen=True, repr=False)
class ActionUnits:
    """Facial action unit intensities over time.

    Attributes:
        names: U unit names, "AU01" style.
        pts_seconds: [N].
        intensity: [N, U] 0..5; NaN where the face, or the part of it that the unit moves, was not seen.
        confidence: [N] 0..1; 0 where the face was not seen.
        is_blink: [N] AU45 (and the lid units with it) moves because of a blink.
        is_speech: [N] the mouth moves because the person talks.
        neutral: what zero means: the person's own neutral face, or the population's.
        source: which backend measured it.
        presence_names: P units that the backend also calls present or absent; may hold units without an intensity
            (OpenFace: AU28). Empty for backends that measure intensities alone.
        presence: [N, P] 1 present, 0 absent, NaN not seen; None without names.
    """

    names: tuple[str, ...]
    pts_seconds: Float
    intensity: Float
    confidence: Float
    is_blink: Bool
    is_speech: Bool
    neutral: Literal["person", "population", "backend"]
    source: str
    presence_names: tuple[str, ...] = ()
    presence: Float | None = None

    def __post_init__(self) -> None:
        n, expected = len(self.pts_seconds), (len(self.pts_seconds), len(self.names))
        require(self.intensity.shape == expected, f"intensity must be {expected}: {self.intensity.shape = }")
        _require_rows(self, n, "confidence", "is_blink", "is_speech")
        shape = None if self.presence is None else self.presence.shape
        require(shape == ((n, len(self.presence_names)) if self.presence_names else None), f"presence is {shape}")
        seen = self.intensity[np.isfinite(self.intensity)]
        require(bool(np.all((seen >= 0) & (seen <= 5))), "intensities must be within 0..5 or NaN")

    @property
    def valid(self) -> Bool:
        """[N] frames with a measurement."""
        return np.asarray((self.confidence > 0) & np.isfinite(self.intensity).any(axis=1))

    def column(self, name: str) -> Float:
        """[N] intensity of one unit."""
        return self.intensity[:, self.names.index(name)]

    def between(self, start_seconds: float, end_seconds: float) -> ActionUnits:
        """The same, from `start_seconds` up to, not including, `end_seconds`."""
        keep = (self.pts_seconds >= start_seconds) & (self.pts_seconds < end_seconds)
        rows = ("pts_seconds", "intensity", "confidence", "is_blink", "is_speech")
        presence = None if self.presence is None else self.presence[keep]
        return replace(self, **{name: getattr(self, name)[keep] for name in rows}, presence=presence)

    def __repr__(self) -> str:
        return f"ActionUnits([{self.intensity.shape[0]}, {self.intensity.shape[1]}], {_span(self.pts_seconds)})"


@dataclass(frozen=True)
class PeakFrame:
    """The frame of strongest expression, and why it was chosen.

    `rule` is "all" (largest sum of all units) or "label" (largest sum of the label's units); `units` holds the
    intensities at the frame, strongest first, only those above the reporting threshold.
    """

    row: int  # row in the ActionUnits
    pts_seconds: float
    score: float
    rule: Literal["all", "label"]
    label: str | None
    units: Mapping[str, float]
    why: str

    def __post_init__(self) -> None:
        freeze(self, "units")


# --- speech ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, repr=False)
class VoiceTrack:
    """Sound measured frame by frame (T frames, 10 ms hop).

    Attributes:
        times_seconds: [T] centre of each frame.
        f0_hz: [T] pitch; NaN where unvoiced.
        loudness_db: [T] level, dB re full scale (0 dB = sine of amplitude 1).
        harmonicity_db: [T] harmonics-to-noise ratio; NaN where unvoiced.
        tilt_db: [T] level below 1 kHz minus level of 1-5 kHz (large = soft, dark voice); NaN where silent.
        sonority_db: [T] level within 60-3300 Hz under half the A weighting, dB re full scale: moves with the syllables.
        is_speech: [T] voice activity.
        envelope: [T, 2] lowest and highest sample in the frame, for drawing.
    """

    times_seconds: Float
    f0_hz: Float
    loudness_db: Float
    harmonicity_db: Float
    tilt_db: Float
    sonority_db: Float
    is_speech: Bool
    envelope: Float

    def __post_init__(self) -> None:
        names = ("f0_hz", "loudness_db", "harmonicity_db", "tilt_db", "sonority_db", "is_speech", "envelope")
        _require_rows(self, len(self.times_seconds), *names)

    def between(self, start_seconds: float, end_seconds: float) -> VoiceTrack:
        """The same, from `start_seconds` up to, not including, `end_seconds`."""
        keep = (self.times_seconds >= start_seconds) & (self.times_seconds < end_seconds)
        return VoiceTrack(**{field.name: getattr(self, field.name)[keep] for field in fields(self)})

    def __repr__(self) -> str:
        return f"VoiceTrack([{len(self.times_seconds)}], {_span(self.times_seconds)})"


@dataclass(frozen=True)
class Prosody:
    """How a stretch of speech sounds. Any figure the sound does not support is None.

    Semitones are relative to 27.5 Hz (A0), as in eGeMAPS (Eyben et al., 2016).
    """

    speech_seconds: float
    voiced_seconds: float
    pitch_median_hz: float | None
    pitch_median_semitones: float | None
    pitch_range_semitones: float | None  # 10th to 90th percentile
    pitch_slope_semitones_per_second: float | None  # median slope within voiced runs
    loudness_median_db: float | None  # re full scale, speech frames
    loudness_range_db: float | None  # 10th to 90th percentile
    syllables_per_second: float | None  # over the speech span, pauses included
    articulation_rate: float | None  # syllables per second of speech, pauses excluded
    pause_count: int | None
    pause_share: float | None  # share of the speech span that is pause
    harmonicity_db: float | None
    pitch_perturbation_percent: float | None  # jitter-like, from 10 ms pitch values
    loudness_perturbation_db: float | None  # shimmer-like
    tremor_depth_percent: float | None  # pitch modulation of 3-10 Hz in steady voiced runs
    tilt_db: float | None
    backend: str


@dataclass(frozen=True)
class Tone:
    """Prosody in words: "low-pitched, quiet voice", and word -> the measurement behind it, with its unit."""

    phrase: str
    words: Mapping[str, str]

    def __post_init__(self) -> None:
        freeze(self, "words")


@dataclass(frozen=True)
class TranscriptLine:
    """A line of speech; times are None when the source has none (a plain subtitle)."""

    text: str
    start_seconds: float | None = None
    end_seconds: float | None = None
    speaker: str | None = None
    language: str | None = None  # ISO 639-1, where it is known
    confidence: float | None = None  # 0..1, of a line that was recognised
    words: tuple[tuple[str, float, float, float], ...] = ()  # of a recogniser, as `speech.transcribe.Word`
    source: str | None = None  # where that is not the whole transcript's


@dataclass(frozen=True)
class Transcript:
    """What was said, and where the words came from ("given", a file name, or a recogniser).

    `notes` say, a line each, what of the source was not taken for words, and what was chosen or assumed.
    """

    lines: tuple[TranscriptLine, ...]
    source: str
    language: str | None = None  # of the whole, as the source or its recogniser says
    notes: tuple[str, ...] = ()
    language_probability: float | None = None  # 0..1, where it was recognised

    @property
    def text(self) -> str:
        """All lines, joined by spaces."""
        return " ".join(line.text for line in self.lines)

    def between(self, start_seconds: float, end_seconds: float) -> Transcript | None:
        """Lines that overlap the span; a line without times belongs everywhere. None when nothing is left."""
        spans = ((line, line.start_seconds, line.end_seconds or line.start_seconds) for line in self.lines)
        kept = [one for one, a, b in spans if a is None or b is None or (a < end_seconds and b >= start_seconds)]
        return replace(self, lines=tuple(kept), notes=()) if kept else None
