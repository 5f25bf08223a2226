"""Open a local media file safely: what may be opened, which of its streams are read, and clear errors."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from emotion_llama.media.kinds import FORMATS
from emotion_llama.media.refused import check_moving, check_regular_file, explain
from emotion_llama.media.survey import Joins, Strays

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.packet import Packet
    from av.stream import Stream
    from av.video.stream import VideoStream

Warn = Callable[[str], None]

# Containers whose packets carry true times, so that a seek lands where it says and the stated length holds.
INDEXED_FORMATS = frozenset({"mov", "matroska", "webm", "mp4", "asf", "flv", "nut", "mxf"})
# Containers that can give channels an order of their own.
_ORDERING_FORMATS = frozenset({"mov", "caf", "aiff"})

_FIRST_PYAV_WITH_LENIENT_METADATA = 19
_SILENT_PEAK = 1e-3  # -60 dB: a track that stays below is silent
_PEEK_PACKETS = 50_000  # looked at to find a track that sounds: 20 minutes of one
_COUNT_PACKETS = 200  # looked at to tell a stream of one picture
MAX_CHANNELS = 64  # that libswresample converts (SWR_CH_MAX)

logger = logging.getLogger("emotion_llama.media")


def log_warning(message: str) -> None:
    """What happens to a warning when the caller gives no `warn`: it goes to the logger `emotion_llama.media`."""
    logger.warning("%s", message)


@dataclass
class Media:
    """An open file, the streams of it that are read, and the time that both count from.

    Attributes:
        container: PyAV's container.
        format_names: the demuxer's names, such as {"mov", "mp4", ...}.
        video: None where the file has none that this build can decode; a single picture beside a video is not one.
        audio: likewise.
        zero_seconds: container time of the first picture or sound, whichever is earlier (`reader.ClipFile` finds it).
        video_track, audio_track: which of its kind each is, from 1.
        notes: one line for each choice among several streams.
        joins, strays: where stored times restart, and which are wild (`reader.ClipFile` finds them).
    """

    container: InputContainer
    format_names: frozenset[str]
    video: VideoStream | None
    audio: AudioStream | None
    zero_seconds: Fraction = Fraction(0)
    video_track: int = 1
    audio_track: int = 1
    notes: list[str] = field(default_factory=list)
    joins: Joins = field(default_factory=dict)
    strays: Strays = field(default_factory=dict)

    @property
    def is_indexed(self) -> bool:
        """Whether times after a seek, and the length in the header, can be trusted."""
        return bool(self.format_names & INDEXED_FORMATS) and not self.joins and not self.strays

    @property
    def is_continuous(self) -> bool:
        """Whether the container is one of broadcasts, where a gap in the times is lost data."""
        return bool(self.format_names & {"mpegts", "mpeg", "ogg"})

    @property
    def streams(self) -> list[VideoStream | AudioStream]:
        """The streams that are read."""
        return [stream for stream in (self.video, self.audio) if stream is not None]


@contextmanager
def open_media(path: Path, tracks: tuple[int | None, int | None] = (None, None)) -> Iterator[Media]:
    """Open a regular local file of a known container.

    The file is opened through FFmpeg's `file:` protocol alone, and only by demuxers of `FORMATS`. Of several videos
    the one marked as default is read, else the first; of several sound tracks the default one, unless it is silent and
    another is not.

    Args:
        path: the file.
        tracks: which of its videos and which of its sound tracks to read, from 1; None chooses.

    Raises:
        MediaError: the path is missing, a folder, a device, unreadable, empty, a playlist, a picture, text, or
            damaged so that it cannot be opened; or it has no such track.
    """
    check_regular_file(path)
    with open_container(path) as container:
        check_moving(path, container)
        media = Media(container, frozenset(container.format.name.split(",")), None, None)
        _choose_video(path, media, tracks[0])
        _choose_audio(path, media, tracks[1])
        for stream in media.streams:
            # Pixel and sample work is cheapest on one thread: 0.71 ms of processor time a 720p frame, against 1.14 with
            # FFmpeg's automatic threads and 2.29 with slice threads; clips are the better unit to run side by side.
            stream.codec_context.thread_count = 1
        yield media


def _choose_video(path: Path, media: Media, track: int | None) -> None:
    streams = media.container.streams.video
    moving = [stream for stream in streams if _is_moving(stream)]
    if track is not None:
        moving = [stream for stream in streams[track - 1 : track] if stream.codec_context]
    elif len(moving) > 1:
        counts = {stream.index: stream.frames for stream in moving}
        if not all(counts.values()):
            counts = _first_packets(path, [stream.index for stream in moving])
        single = [stream for stream in moving if counts[stream.index] == 1]
        moving = [stream for stream in moving if stream not in single] or moving[:1]
        if single and moving[0] not in single:
            media.notes.append(f"video: {_count(len(single), 'stream')} of one picture beside it left out")
        moving.sort(key=lambda stream: not _is_default(stream))  # stable: else the first
        if len(moving) > 1:
            number = streams.index(moving[0]) + 1
            media.notes.append(f"video: the file has {len(streams)} video streams; number {number} is read")
    if moving:
        media.video, media.video_track = moving[0], streams.index(moving[0]) + 1


def _choose_audio(path: Path, media: Media, track: int | None) -> None:
    streams = media.container.streams.audio
    usable = [stream for stream in streams if stream.codec_context]
    if track is not None:
        usable = [stream for stream in streams[track - 1 : track] if stream.codec_context]
    elif len(usable) > 1:
        usable.sort(key=lambda stream: not _is_default(stream))
        sounding = _first_sounding(path, [stream.index for stream in usable])
        chosen = next((stream for stream in usable if stream.index == sounding), usable[0])
        number = streams.index(chosen) + 1
        why = "" if sounding == usable[0].index else f", for track {streams.index(usable[0]) + 1} is silent"
        why = ", and all are silent" if sounding is None else why
        language = f" ({chosen.language})" if chosen.language not in (None, "und") else ""
        media.notes.append(
            f"sound: the file has {len(streams)} tracks; track {number}{language} is read{why} (--audio-track chooses)"
        )
        usable = [chosen]
    if usable:
        media.audio, media.audio_track = usable[0], streams.index(usable[0]) + 1
        forget_channel_order(media.audio, media.format_names)


def _first_packets(path: Path, indices: list[int]) -> dict[int, int]:
    """Number of packets of each stream among the first ones of the file."""
    from av.error import FFmpegError

    counts = dict.fromkeys(indices, 0)
    with open_container(path) as container, suppress(FFmpegError):
        for packet in read_packets(container, *(container.streams[index] for index in indices)):
            counts[packet.stream_index] += bool(packet.size)
            if min(counts.values()) > 1 or sum(counts.values()) > _COUNT_PACKETS:
                break
    return counts


def _first_sounding(path: Path, indices: list[int]) -> int | None:
    """The first of these sound streams that is not silent; None where all are, as far as was looked."""
    from av.error import FFmpegError

    with open_container(path) as container:
        streams = [cast("AudioStream", container.streams[index]) for index in indices]
        names = frozenset(container.format.name.split(","))
        for stream in streams:
            forget_channel_order(stream, names)
        sounding: set[int] = set()
        with suppress(FFmpegError):
            for _, packet in zip(range(_PEEK_PACKETS), read_packets(container, *streams)):
                if packet.stream_index not in sounding and _sounds(cast("Packet[AudioStream]", packet)):
                    sounding.add(packet.stream_index)
                if indices[0] in sounding:
                    break
        return next((index for index in indices if index in sounding), None)


def _sounds(packet: Packet[AudioStream]) -> bool:
    from av.audio.resampler import AudioResampler
    from av.error import FFmpegError

    try:
        frames = packet.decode()
    except FFmpegError:
        return False
    for frame in frames:
        if frame.layout.nb_channels <= MAX_CHANNELS:
            for converted in AudioResampler("flt", frame.layout, frame.sample_rate).resample(frame):
                if float(np.abs(converted.to_ndarray()).max(initial=0)) > _SILENT_PEAK:
                    return True
    return False


def read_packets(container: InputContainer, *streams: Stream) -> Iterator[Packet[Any]]:
    """The packets of these streams as they are stored, then an empty one for each, which asks for its last frames.

    PyAV (up to 19) may then go on to a stream that appeared while it read (transport streams allow it), for which it
    has no object. By then the streams that were known from the start have given all they hold.
    """
    with suppress(IndexError):
        yield from container.demux(*streams)


@contextmanager
def open_container(path: Path, part: tuple[int, int] | None = None) -> Iterator[InputContainer]:
    """A file, or the bytes of it from one place to another, as FFmpeg opens it; MediaError where it cannot."""
    import av
    from av.error import FFmpegError

    options: dict[str, Any] = {
        "container_options": {"protocol_whitelist": "file,subfile", "format_whitelist": ",".join(FORMATS)}
    }
    if int(av.__version__.split(".")[0]) < _FIRST_PYAV_WITH_LENIENT_METADATA:
        options["metadata_errors"] = "replace"  # a title in an old encoding must not make a file unreadable
    name = f"file:{path.absolute()}"
    if part is not None:
        name = f"subfile,,start,{part[0]},end,{part[1]},,:{name}"
    try:
        container = av.open(name, **options)
    except (FFmpegError, OSError, ValueError) as error:  # a ValueError is PyAV's, for a name it cannot encode
        raise explain(path, error) from error
    with container:
        yield container


def _is_moving(stream: VideoStream) -> bool:
    from av.stream import Disposition

    still = Disposition.attached_pic | Disposition.still_image | Disposition.timed_thumbnails
    return bool(stream.codec_context) and not Disposition(stream.disposition) & still


def _is_default(stream: Stream) -> bool:
    from av.stream import Disposition

    return bool(Disposition(stream.disposition) & Disposition.default)


def _count(number: int, what: str) -> str:
    return f"{number} {what}" + ("" if number == 1 else "s")


def forget_channel_order(stream: AudioStream, format_names: frozenset[str]) -> None:
    """Let the decoder know only how many channels come, in containers that may order them in ways of their own.

    QuickTime can name the channels in any order ("right, left", "unused, unused"). PyAV before 19 frees such an order
    with each object that tells of it, and again with its owner, which ends the process; a mere count has no memory to
    free. Hence this comes first, and asks once.
    """
    channels = stream.codec_context.channels
    if channels and format_names & _ORDERING_FORMATS:
        stream.codec_context.layout = f"{channels} channels"


def path_of(path: str | os.PathLike[str]) -> Path:
    """The path as the user named it."""
    return Path(os.fspath(path))
