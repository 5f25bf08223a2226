"""Stream the pictures of a clip: upright RGB chunks at their own times, all of them or at a chosen rate."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import suppress
from fractions import Fraction
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from emotion_llama.errors import InputError, MediaError
from emotion_llama.media.container import Warn, log_warning
from emotion_llama.media.hdr import NAMES, to_sdr
from emotion_llama.media.reader import ClipFile, opened
from emotion_llama.media.sampling import EPSILON_SECONDS, fit_size, pick_nearest
from emotion_llama.media.streams import StreamReader
from emotion_llama.records import Clip, Frames, UInt8, VideoInfo

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

_CHUNK_BYTES = 256 * 1024 * 1024  # a chunk of large pictures holds fewer of them
_DECODE_FROM_START_SECONDS = 1.0  # a start earlier than this is not worth a seek
_REORDER_PACKETS = 32  # a picture is stored at most 16 places from where it is shown (H.264, H.265)
_SEEK_MARGINS_SECONDS = (0.0, 2.0, 12.0)


class Tap(NamedTuple):
    """Takes some of the pictures that are decoded anyway, at a size of its own: (seconds, [H, W, 3] upright RGB)."""

    fps: float  # at most so many a second
    max_side: int
    take: Callable[[float, UInt8], None]


class _Picture(NamedTuple):
    """A decoded picture before its conversion, and its place among the stream's pictures."""

    stream_index: int
    frame: VideoFrame


def iter_frames(
    source: Clip | ClipFile,
    *,
    fps: float | None = None,
    max_side: int | None = None,
    start_seconds: float = 0.0,
    end_seconds: float | None = None,
    chunk_size: int = 32,
    warn: Warn = log_warning,
    tap: Tap | None = None,
) -> Iterator[Frames]:
    """Decode the pictures whose time is in [start, end), in time order, chunk by chunk.

    Times are the pictures' own, from the file's start, and strictly grow: a picture that does not come after the one
    before it is left out, with a warning. A picture's index counts all pictures of the stream from its beginning. Two
    chunks at most and the decoder's own pictures are in memory at a time.

    Args:
        source: what `probe` returned; or a file that is open, whose sound can then be read in the same pass.
        fps: pictures a second, as `sampling.pick_nearest` picks them; None for every picture.
        max_side: the longer side after scaling, in pixels; smaller pictures keep their size. None for full size.
        start_seconds: time of the first picture wanted.
        end_seconds: time before which the last one lies; None for the clip's end.
        chunk_size: pictures a chunk; fewer where they would take more than 256 MiB.
        warn: is given one line when a part of the file could not be read; by default it is logged.
        tap: takes some of the pictures at another size, as they are decoded.

    Raises:
        InputError: an option is out of range.
        MediaError: the clip has no video, the file cannot be opened, or no picture of it can be decoded.
    """
    if fps is not None and not fps > 0:
        raise InputError(f"fps must be above 0, got {fps}; leave it out for every frame")
    if max_side is not None and max_side < 1:
        raise InputError(f"max_side must be 1 pixel or more, got {max_side}; leave it out for full size")
    if chunk_size < 1:
        raise InputError(f"chunk_size must be 1 frame or more, got {chunk_size}")
    check_span(start_seconds, end_seconds)
    clip = clip_of(source)
    video = video_of(clip)
    reader = source.pictures() if isinstance(source, ClipFile) else None
    converter = _Converter(video, max_side)
    taken = None if tap is None else _tapped(tap, video)
    return _chunks(source, reader, converter, fps, start_seconds, end_seconds, chunk_size, warn, taken)


def frame_at(
    source: Clip | ClipFile, pts_seconds: float, *, max_side: int | None = None, warn: Warn = log_warning
) -> Frames:
    """The picture that is shown at a time: the last one that begins at or before it, or the first of all.

    Returns:
        One frame, at full size unless `max_side` limits it.

    Raises:
        InputError: the time is outside the clip.
        MediaError: as `iter_frames`.
    """
    clip = clip_of(source)
    converter = _Converter(video_of(clip), max_side)
    if not 0 <= pts_seconds <= clip.duration_seconds + EPSILON_SECONDS:
        raise InputError(
            f"{clip.path}: no frame at {pts_seconds} s; the clip lasts from 0 to {clip.duration_seconds:.3f} s"
        )
    shown: tuple[float, _Picture] | None = None
    with opened(source) as file:
        for seconds, picture in _pictures(file, file.pictures(), pts_seconds, warn):
            if shown is not None and seconds > pts_seconds + EPSILON_SECONDS:
                break
            shown = seconds, picture
        if shown is None:
            raise MediaError(clip.path, "no picture can be decoded", "copy or download it again")
        images = np.empty((1, *converter.shape), np.uint8)
        converter.write(shown[1].frame, images[0])
    return Frames(images, np.array([shown[0]]), np.array([shown[1].stream_index], np.int64))


def check_span(start_seconds: float, end_seconds: float | None) -> None:
    """Raise InputError unless 0 <= start < end, all finite."""
    if not (start_seconds >= 0 and math.isfinite(start_seconds)):
        raise InputError(f"start_seconds must be 0 or more, got {start_seconds}")
    if end_seconds is not None and not end_seconds > start_seconds:
        raise InputError(f"end_seconds must be after the start ({start_seconds} s), got {end_seconds}")


def video_of(clip: Clip) -> VideoInfo:
    """The clip's video, or MediaError where it has none."""
    if clip.video is None:
        raise MediaError(clip.path, "it has sound but no video", "ask for its sound only")
    return clip.video


def clip_of(source: Clip | ClipFile) -> Clip:
    """The record of a clip or of an open file."""
    return source.clip if isinstance(source, ClipFile) else source


def _tapped(tap: Tap, video: VideoInfo) -> Callable[[float, VideoFrame], None]:
    converter, following = _Converter(video, tap.max_side), 0.0

    def take(seconds: float, frame: VideoFrame) -> None:
        nonlocal following
        if seconds < following - EPSILON_SECONDS:
            return
        following = max(following + 1 / tap.fps, seconds)
        image = np.empty(converter.shape, np.uint8)
        converter.write(frame, image)
        tap.take(seconds, image)

    return take


def _chunks(
    source: Clip | ClipFile,
    reader: StreamReader[VideoFrame] | None,
    converter: _Converter,
    fps: float | None,
    start_seconds: float,
    end_seconds: float | None,
    chunk_size: int,
    warn: Warn,
    tapped: Callable[[float, VideoFrame], None] | None,
) -> Iterator[Frames]:
    size = max(1, min(chunk_size, _CHUNK_BYTES // math.prod(converter.shape)))
    images, times, indices = np.empty((size, *converter.shape), np.uint8), list[float](), list[int]()
    with opened(source) as file:
        # One wanted time earlier, so that the first picture in the span is judged beside the one before it.
        earlier = start_seconds - (1 / fps if fps else 0)
        timed = _pictures(file, reader or file.pictures(), earlier, warn)
        for seconds, picture in timed if fps is None else pick_nearest(timed, fps):
            if end_seconds is not None and seconds >= end_seconds - EPSILON_SECONDS:
                break
            if seconds < start_seconds - EPSILON_SECONDS:
                continue
            converter.write(picture.frame, images[len(times)])
            if tapped is not None:
                tapped(seconds, picture.frame)
            times.append(seconds)
            indices.append(picture.stream_index)
            if len(times) == size:
                yield Frames(images, np.array(times), np.array(indices, np.int64))
                images, times, indices = np.empty((size, *converter.shape), np.uint8), [], []
    if times:
        yield Frames(images[: len(times)].copy(), np.array(times), np.array(indices, np.int64))


def _pictures(
    file: ClipFile, reader: StreamReader[VideoFrame], start_seconds: float, warn: Warn
) -> Iterator[tuple[float, _Picture]]:
    """Pictures from the last key frame at or before the start to the end, with strictly growing times."""
    video = video_of(file.clip)
    index = 0
    target = _seek_target(reader, start_seconds) if file.media.is_indexed else None
    if target is not None:
        seek_seconds, first_seconds = target
        index = _count_before(file, first_seconds)
        reader = file.pictures()
        reader.seek(seek_seconds)
    usual_gap = Fraction(1) / Fraction(video.fps).limit_denominator(100_000)
    latest: Fraction | None = None
    count, out_of_order = 0, 0
    for seconds, frame in reader.frames():
        now = seconds
        if now is None:
            now = Fraction(0) if latest is None else latest + usual_gap
        if latest is None or now > latest:
            latest = now
            count += 1
            yield float(now), _Picture(index, frame)
        else:
            out_of_order += 1
        index += 1
    reader.check_end()
    if reader.is_from_start:
        file.coverage["video"] = reader.read_seconds, reader.damage.unread_seconds
    _report(file.clip, reader, count, out_of_order, float(latest or 0), start_seconds, warn)


def _seek_target(reader: StreamReader[VideoFrame], seconds: float) -> tuple[float, Fraction] | None:
    """Where to seek to for a time, and the time of the frame that comes then; None: the reader is at the beginning.

    The first picture may come later than asked, where pictures lean on the key frame before the one that the index
    names, or the index is wrong; then an earlier key frame is tried.
    """
    tried = False
    for margin in _SEEK_MARGINS_SECONDS:
        if seconds - margin <= _DECODE_FROM_START_SECONDS:
            break
        tried = True
        reader.seek(seconds - margin)
        first = next(reader.frames(), None)
        if first is not None and first[0] is not None and first[0] <= seconds:
            return seconds - margin, first[0]
    if tried:
        reader.seek(0)
    return None


def _report(
    clip: Clip,
    reader: StreamReader[VideoFrame],
    count: int,
    out_of_order: int,
    latest_seconds: float,
    start_seconds: float,
    warn: Warn,
) -> None:
    if count == 0 and start_seconds <= _DECODE_FROM_START_SECONDS:
        raise MediaError(clip.path, "no picture can be decoded", "copy or download it again")
    damage = reader.damage.describe("video", latest_seconds, f"{count} frames")
    if damage:
        warn(damage)
    if out_of_order:
        warn(f"video: {out_of_order} frames have the time of another frame, or an earlier one, and were left out")


def _count_before(file: ClipFile, seconds: Fraction) -> int:
    """Number of the stream's pictures before this time: packets are counted, which needs no decoding."""
    from av.error import FFmpegError

    count, after = 0, 0
    with suppress(FFmpegError):  # after damage the count is what was readable
        for packet in file.picture_packets():
            time = packet.dts if packet.pts is None else packet.pts
            if time is None or packet.is_discard:
                continue
            is_before = time * packet.time_base - file.media.zero_seconds < seconds
            count += is_before
            after = 0 if is_before else after + 1
            if after > _REORDER_PACKETS:
                break
    return count


class _Converter:
    """Turns decoded pictures into upright RGB of one size, scaling and changing colour space in one pass."""

    def __init__(self, video: VideoInfo, max_side: int | None) -> None:
        from av.video.reformatter import VideoReformatter

        width, height = fit_size(video.width, video.height, max_side)
        self.shape = (height, width, 3)
        self._quarter_turns, self._is_mirrored = video.rotation_degrees // 90, video.is_mirrored
        self._stored_size = (height, width) if self._quarter_turns % 2 else (width, height)
        self._reformatter = VideoReformatter()

    def write(self, frame: VideoFrame, out: UInt8) -> None:
        """Fill `out` [H, W, 3] from a decoded frame."""
        width, height = self._stored_size
        is_hdr = frame.color_trc in NAMES
        # AREA averages the pixels that fall together, so that a smaller picture does not alias; it is also the
        # cheapest of swscale's kinds that do not.
        rgb = self._reformatter.reformat(
            frame, width, height, "rgb48le" if is_hdr else "rgb24", interpolation="AREA", threads=1
        )
        plane, kind = rgb.planes[0], np.dtype("<u2" if is_hdr else "u1")
        rows = np.frombuffer(memoryview(plane), kind).reshape(-1, plane.line_size // kind.itemsize)
        image = rows[:height, : width * 3].reshape(height, width, 3)
        if is_hdr:
            image = to_sdr(image, frame.color_trc)
        out[...] = np.rot90(image[:, ::-1] if self._is_mirrored else image, -self._quarter_turns)
