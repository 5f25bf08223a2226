"""Open a local media file safely: what may be opened, which of its streams are read, and clear errors."""

from __future__ import annotations

import io
import logging
import os
import re
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from emotion_llama.errors import MediaError
from emotion_llama.media.kinds import FORMATS, SECOND_HEAD, SNIFF_BYTES, sniff
from emotion_llama.media.survey import Joins

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

_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"\x89PNG", "a still picture"),
    (b"\xff\xd8\xff", "a still picture"),
    (b"BM", "a still picture"),
    (b"II*\x00", "a still picture"),
    (b"MM\x00*", "a still picture"),
    (b"#EXTM3U", "a playlist, which only points to other files,"),
    (b"ffconcat", "a playlist, which only points to other files,"),
    (b"[playlist]", "a playlist, which only points to other files,"),
    (b"v=0", "a playlist, which only points to other files,"),
    (b"<", "a text file"),
)
_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]+:/", re.IGNORECASE)
_BEFORE_HOST = re.compile(r"^((?!concat:|file:)[a-z][a-z0-9+.-]+):/(?!/)", re.IGNORECASE)
_FIRST_PYAV_WITH_LENIENT_METADATA = 19
_SILENT_PEAK = 1e-3  # -60 dB: a track that stays below is silent
_PADDING_BYTES = 8192
_REST_BYTES = 256 << 20  # behind the last packet, in which other recordings are looked for
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
        joins: where stored times restart (`reader.ClipFile` finds it).
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

    @property
    def is_indexed(self) -> bool:
        """Whether times after a seek, and the length in the header, can be trusted."""
        return bool(self.format_names & INDEXED_FORMATS) and not any(self.joins.values())

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
    with _open(path) as container:
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
    with _open(path) as container, suppress(FFmpegError):
        for packet in read_packets(container, *(container.streams[index] for index in indices)):
            counts[packet.stream_index] += bool(packet.size)
            if min(counts.values()) > 1 or sum(counts.values()) > _COUNT_PACKETS:
                break
    return counts


def _first_sounding(path: Path, indices: list[int]) -> int | None:
    """The first of these sound streams that is not silent; None where all are, as far as was looked."""
    from av.error import FFmpegError

    with _open(path) as container:
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


def seconds_behind(path: Path, end_byte: int, *, is_headless: bool) -> list[float]:
    """Lengths of the recordings that were joined behind a byte of a file, as `cat` joins them.

    In a headless container (a transport stream) all that follows may be one: streams that begin late are not seen.
    """
    import av
    from av.error import FFmpegError

    with path.open("rb") as file:
        file.seek(end_byte)
        rest = file.read(_REST_BYTES)
    lengths = []
    heads = [match.start() for match in SECOND_HEAD.finditer(rest)]
    if not heads and is_headless and len(rest) > _PADDING_BYTES:
        heads = [0]
    for begin, end in zip(heads, [*heads[1:], len(rest)]):
        try:
            with av.open(io.BytesIO(rest[begin:end]), options={"format_whitelist": ",".join(FORMATS)}) as container:
                ends = [
                    float((packet.dts + (packet.duration or 0)) * (packet.time_base or 0))
                    for packet in read_packets(container, *container.streams.video, *container.streams.audio)
                    if packet.size and packet.dts is not None
                ]
        except (FFmpegError, ValueError):
            continue  # bytes that only look like a beginning
        if ends and max(ends) > 0:
            lengths.append(max(ends))
    return lengths


def check_regular_file(path: Path) -> None:
    """Raise MediaError unless `path` is a regular file that this process may read and that has content."""
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            next(path.iterdir(), None)  # a folder that cannot be listed is a matter of permission
        elif stat.S_ISREG(status.st_mode):
            with path.open("rb") as file:
                file.read(1)
    except (OSError, ValueError) as error:
        raise explain(path, error) from None
    if stat.S_ISDIR(status.st_mode):
        raise MediaError(
            path, "this is a folder without media files; a media file was expected", "name a video or sound file"
        )
    if not stat.S_ISREG(status.st_mode):
        raise MediaError(
            path, "this is a pipe or device; a regular file was expected", "save its content to a file first"
        )
    if status.st_size == 0:
        raise MediaError(path, "the file is empty (0 bytes)", "copy or download it again")


def explain(path: Path, error: Exception) -> MediaError:
    """The MediaError for what the system or FFmpeg said about `path`."""
    if _ADDRESS.match(str(path)):
        # A path holds "http://host" as "http:/host"; it is shown as it was typed.
        typed = _BEFORE_HOST.sub(r"\1://", str(path))
        return MediaError(typed, "this is an address; a local file was expected", "download it first")
    if isinstance(error, FileNotFoundError):
        return MediaError(path, "no such file", "check the path")
    if isinstance(error, PermissionError):
        return MediaError(path, "permission denied", "make the file readable for this user")
    from_ffmpeg = hasattr(error, "log")
    if isinstance(error, ValueError) and not from_ffmpeg:
        return MediaError(path, f"its name cannot be used ({error})", "rename it")
    if isinstance(error, OSError) and not from_ffmpeg:
        return MediaError(path, f"the system cannot read it ({error.strerror or error})", "check the path and the disk")
    what = _looks_like(path)
    if what:
        return MediaError(path, f"{what} came; a video or sound file was expected", "give the recording itself")
    if _is_mp4(path):
        return MediaError(
            path,
            "an MP4 file whose index is missing or damaged: it was cut short, or is still being written",
            "copy or download it again, or wait until it is finished",
        )
    kind = _kind(path)
    what = "no video or sound file, or one" if kind is None else f"a file of the kind {kind}"
    return MediaError(path, f"this is {what} that was cut short or damaged", "copy or download it again")


@contextmanager
def _open(path: Path) -> Iterator[InputContainer]:
    import av
    from av.error import FFmpegError

    options: dict[str, Any] = {
        "container_options": {"protocol_whitelist": "file", "format_whitelist": ",".join(FORMATS)}
    }
    if int(av.__version__.split(".")[0]) < _FIRST_PYAV_WITH_LENIENT_METADATA:
        options["metadata_errors"] = "replace"  # a title in an old encoding must not make a file unreadable
    try:
        container = av.open("file:" + str(path.absolute()), **options)
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


def _looks_like(path: Path) -> str | None:
    """What the first bytes show, where that explains why a file is refused."""
    with path.open("rb") as file:
        head = file.read(512)
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        is_animated = head[12:16] == b"VP8X" and head[20:21] and head[20] & 2
        return (
            "an animated WebP, which is not decoded here (convert it to GIF, APNG or MP4),"
            if is_animated
            else "a still picture"
        )
    if b"<MPD" in head:
        return "a playlist, which only points to other files,"
    for magic, what in _MAGIC:
        if head.startswith(magic):
            return what
    if sniff(head) is None and not any(byte < 9 or 13 < byte < 32 for byte in head):
        return "a text file"
    return None


def _is_mp4(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(8)[4:] == b"ftyp"


def _kind(path: Path) -> str | None:
    with path.open("rb") as file:
        return sniff(file.read(SNIFF_BYTES))


def path_of(path: str | os.PathLike[str]) -> Path:
    """The path as the user named it."""
    return Path(os.fspath(path))
