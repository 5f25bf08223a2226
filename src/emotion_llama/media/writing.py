"""Write small media files from arrays, with every property a reader has to cope with under control."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np

from emotion_llama.errors import InputError
from emotion_llama.records import Float, UInt8

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame
    from av.audio.stream import AudioStream
    from av.container import OutputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

# suffix -> (video codec, audio codec) that the container holds best
CODECS: dict[str, tuple[str | None, str]] = {
    ".mp4": ("libx264", "aac"),
    ".mov": ("libx264", "aac"),
    ".m4a": (None, "aac"),
    ".mkv": ("libx264", "flac"),
    ".ts": ("libx264", "aac"),
    ".webm": ("libvpx-vp9", "libopus"),
    ".avi": ("mjpeg", "pcm_s16le"),
    ".wav": (None, "pcm_s16le"),
    ".mp3": (None, "libmp3lame"),
    ".flac": (None, "flac"),
}
_QUICK: dict[str, dict[str, str]] = {
    "libx264": {"preset": "ultrafast", "crf": "16"},
    "libx265": {"preset": "ultrafast", "crf": "16", "x265-params": "log-level=none"},
    "libvpx-vp9": {"deadline": "realtime", "cpu-used": "8", "crf": "16"},
    "mjpeg": {"qmin": "2", "qmax": "3"},
}
_PIXEL_FORMATS = {"mjpeg": "yuvj420p"}  # full range: the only kind this encoder takes
_LAYOUTS = {1: "mono", 2: "stereo", 6: "5.1"}
_TICKS_PER_SECOND = 90_000  # of clips whose frame times are given one by one
_SAMPLES_PER_FRAME = 1024
_OPUS_RATE_HZ = 48_000  # the rate of all Opus sound; PyAV resamples what comes


@dataclass(frozen=True)
class ClipFormat:
    """How a clip is stored. What is None follows from the file's suffix.

    Attributes:
        video_codec: encoder name, as FFmpeg spells it.
        audio_codec: likewise.
        pixel_format: of the encoder; by default 8-bit 4:2:0.
        rotation_degrees: 0, 90, 180 or 270: pictures are stored turned, together with a note that a player must turn
            them clockwise by this angle (what a phone does).
        audio_layout: name of the channel layout; by default the usual one for the number of channels.
        video_options: encoder options; by default those that encode quickly.
        container_options: such as `{"movflags": "faststart"}`.
    """

    video_codec: str | None = None
    audio_codec: str | None = None
    pixel_format: str | None = None
    rotation_degrees: int = 0
    audio_layout: str | None = None
    video_options: Mapping[str, str] | None = None
    container_options: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.rotation_degrees not in (0, 90, 180, 270):
            raise InputError(f"rotation must be 0, 90, 180 or 270 degrees, got {self.rotation_degrees}")


def write_clip(
    path: str | Path,
    images: Iterable[UInt8] | None = None,
    fps: float = 25.0,
    audio: Float | None = None,
    *,
    sample_rate_hz: int = 44_100,
    audio_start_seconds: float = 0.0,
    pts_seconds: Sequence[float] | None = None,
    stored: ClipFormat | None = None,
) -> Path:
    """Encode upright pictures and sound into a file; its suffix names the container.

    Args:
        path: the file to write.
        images: upright RGB pictures, each [H, W, 3] uint8, read one at a time; None writes no video.
        fps: frames per second, unless `pts_seconds` gives each frame its time.
        audio: [S] or [channels, S] float in -1..1; None writes no sound.
        sample_rate_hz: rate of `audio`.
        audio_start_seconds: time of the first sample.
        pts_seconds: [N] time of each frame, for a variable frame rate.
        stored: codecs, pixel format, rotation and layout, where the defaults will not do.

    Returns:
        `path`.

    Raises:
        InputError: there is nothing to write, or no codec or channel layout is known for it.
    """
    import av

    path, stored = Path(path), stored or ClipFormat()
    usual_video, usual_audio = CODECS.get(path.suffix.lower(), (None, None))
    video_codec, audio_codec = stored.video_codec or usual_video, stored.audio_codec or usual_audio
    if images is None and audio is None:
        raise InputError(f"a clip needs pictures or sound: {path}")
    if (images is not None and not video_codec) or (audio is not None and not audio_codec):
        raise InputError(f"no codec is known for {path.name}: use one of {', '.join(CODECS)}, or name the codecs")
    with av.open(str(path), "w", container_options=dict(stored.container_options)) as container:
        sources: list[Iterator[_Timed]] = []
        if images is not None and video_codec:
            sources.append(_pictures(container, images, Fraction(fps), pts_seconds, video_codec, stored))
        if audio is not None and audio_codec:
            channels = np.atleast_2d(np.asarray(audio, np.float32))
            layout = stored.audio_layout or _LAYOUTS.get(len(channels))
            if layout is None:
                raise InputError(f"no usual layout has {len(channels)} channels; name one (ClipFormat.audio_layout)")
            rate = _OPUS_RATE_HZ if audio_codec == "libopus" else sample_rate_hz
            stream = cast("AudioStream", container.add_stream(audio_codec, rate=rate, layout=layout))
            sources.append(_sound(stream, channels, layout, sample_rate_hz, audio_start_seconds))
        for timed in heapq.merge(*sources, key=lambda timed: timed.seconds):
            container.mux(timed.stream.encode(timed.frame))  # type: ignore[arg-type]
        for track in (*container.streams.video, *container.streams.audio):
            container.mux(track.encode(None))
    return path


@dataclass(frozen=True)
class _Timed:
    seconds: float
    stream: VideoStream | AudioStream
    frame: VideoFrame | AudioFrame


def _pictures(
    container: OutputContainer,
    images: Iterable[UInt8],
    fps: Fraction,
    pts_seconds: Sequence[float] | None,
    codec: str,
    stored: ClipFormat,
) -> Iterator[_Timed]:
    """Add a video stream now; the iterator then gives its frames."""
    rate = fps.limit_denominator(1001)
    options = dict(_QUICK.get(codec, {}) if stored.video_options is None else stored.video_options)
    stream = cast("VideoStream", container.add_stream(codec, rate=rate, options=options))
    stream.pix_fmt = stored.pixel_format or _PIXEL_FORMATS.get(codec, "yuv420p")
    time_base = 1 / rate if pts_seconds is None else Fraction(1, _TICKS_PER_SECOND)
    stream.codec_context.time_base = stream.time_base = time_base
    if stored.rotation_degrees:
        stream.set_display_rotation(-stored.rotation_degrees)  # FFmpeg counts counter-clockwise
    turned = (np.ascontiguousarray(np.rot90(image, stored.rotation_degrees // 90)) for image in images)
    first = next(turned, None)
    if first is None:
        raise InputError("a clip needs at least one picture; give None for a clip without video")
    stream.height, stream.width = first.shape[:2]
    ticks = itertools.count() if pts_seconds is None else (round(t / time_base) for t in pts_seconds)
    return _video_frames(stream, itertools.chain([first], turned), ticks, time_base)


def _video_frames(
    stream: VideoStream, images: Iterable[UInt8], ticks: Iterable[int], time_base: Fraction
) -> Iterator[_Timed]:
    from av.video.frame import VideoFrame

    for image, tick in zip(images, ticks):
        frame = VideoFrame.from_ndarray(image, format="rgb24")
        frame.pts, frame.time_base = tick, time_base
        yield _Timed(float(tick * time_base), stream, frame)


def _sound(
    stream: AudioStream, channels: Float, layout: str, sample_rate_hz: int, start_seconds: float
) -> Iterator[_Timed]:
    from av.audio.frame import AudioFrame

    offset = round(start_seconds * sample_rate_hz)
    for begin in range(0, channels.shape[1], _SAMPLES_PER_FRAME):
        # Channels in turn, in one plane: PyAV (up to 19) writes beyond a frame of 8 planes or more.
        part = channels[:, begin : begin + _SAMPLES_PER_FRAME].T.reshape(1, -1)
        frame = AudioFrame.from_ndarray(part, format="flt", layout=layout)
        frame.sample_rate, frame.pts, frame.time_base = sample_rate_hz, offset + begin, Fraction(1, sample_rate_hz)
        yield _Timed((offset + begin) / sample_rate_hz, stream, frame)
