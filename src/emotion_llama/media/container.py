"""Open a local media file safely: what may be opened, which streams count, where time zero is, and clear errors."""

from __future__ import annotations

import logging
import os
import re
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emotion_llama.errors import MediaError

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.packet import Packet
    from av.stream import Stream
    from av.video.stream import VideoStream

Warn = Callable[[str], None]

# Demuxers that read one self-contained file. Everything else is refused: playlists (hls, dash, concat, sdp) make
# FFmpeg open other files or the network, and the image demuxers take a name as a pattern.
FORMATS: tuple[str, ...] = (
    "mov", "mp4", "m4a", "3gp", "3g2", "mj2", "matroska", "webm", "avi", "mpegts", "mpeg", "mpegvideo", "flv", "asf",
    "ogg", "mxf", "nut", "rm", "gif", "ivf", "dv", "h264", "hevc", "m4v", "mjpeg", "yuv4mpegpipe", "obu",
    "wav", "w64", "aiff", "au", "caf", "flac", "mp3", "aac", "amr", "ac3", "eac3", "dts", "wv", "tta", "ape",
)  # fmt: skip
# Containers whose packets carry true times, so that a seek lands where it says and the stated length holds.
INDEXED_FORMATS = frozenset({"mov", "matroska", "webm", "mp4", "asf", "flv", "nut", "mxf"})

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

logger = logging.getLogger("emotion_llama.media")


def log_warning(message: str) -> None:
    """What happens to a warning when the caller gives no `warn`: it goes to the logger `emotion_llama.media`."""
    logger.warning("%s", message)


@dataclass
class Media:
    """An open file: its first real video stream, its first sound stream, and the time both count from.

    Attributes:
        container: PyAV's container.
        format_names: the demuxer's names, such as {"mov", "mp4", ...}.
        video: None where the file has none that this build can decode; a cover picture is not one.
        audio: likewise.
        zero_seconds: container time of the first picture or sound, whichever is earlier (`reader.ClipFile` finds it).
    """

    container: InputContainer
    format_names: frozenset[str]
    video: VideoStream | None
    audio: AudioStream | None
    zero_seconds: Fraction = Fraction(0)

    @property
    def is_indexed(self) -> bool:
        """Whether times after a seek, and the length in the header, can be trusted."""
        return bool(self.format_names & INDEXED_FORMATS)


@contextmanager
def open_media(path: Path) -> Iterator[Media]:
    """Open a regular local file of a known container.

    The file is opened through FFmpeg's `file:` protocol alone, and only by demuxers of `FORMATS`.

    Raises:
        MediaError: the path is missing, a folder, a device, unreadable, empty, a playlist, a picture, text, or
            damaged so that it cannot be opened.
    """
    check_regular_file(path)
    with _open(path) as container:
        # Pixel and sample work is cheapest on one thread: 0.71 ms of processor time a 720p frame, against 1.14 with
        # FFmpeg's automatic threads and 2.29 with slice threads; clips are the better unit to run side by side.
        video = next((s for s in container.streams.video if _is_moving(s)), None)
        audio = next((s for s in container.streams.audio if s.codec_context), None)
        for stream in (video, audio):
            if stream is not None:
                stream.codec_context.thread_count = 1
        if audio is not None:
            _forget_channel_order(audio)
        names = frozenset(container.format.name.split(","))
        yield Media(container, names, video, audio)


def read_packets(container: InputContainer, *streams: Stream) -> Iterator[Packet[Any]]:
    """The packets of these streams as they are stored, then an empty one for each, which asks for its last frames.

    PyAV (up to 19) may then go on to a stream that appeared while it read (transport streams allow it), for which it
    has no object. By then the streams that were known from the start have given all they hold.
    """
    with suppress(IndexError):
        yield from container.demux(*streams)


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
    return MediaError(
        path, "this is no video or sound file, or one that was cut short or damaged", "copy or download it again"
    )


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


def _forget_channel_order(stream: AudioStream) -> None:
    """Let the decoder know only how many channels come; where they belong counts nowhere here.

    QuickTime can name the channels in any order ("right, left", "unused, unused"). PyAV before 19 frees such an order
    with each object that tells of it, and again with its owner, which ends the process; a mere count has no memory to
    free. Hence this comes first, and asks once.
    """
    channels = stream.codec_context.channels
    if channels:
        stream.codec_context.layout = f"{channels} channels"


def _looks_like(path: Path) -> str | None:
    """What the first bytes show, where that explains why a file is refused."""
    with path.open("rb") as file:
        head = file.read(512)
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "a still picture"
    if b"<MPD" in head:
        return "a playlist, which only points to other files,"
    for magic, what in _MAGIC:
        if head.startswith(magic):
            return what
    if not any(byte < 9 or 13 < byte < 32 for byte in head):
        return "a text file"
    return None


def _is_mp4(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(8)[4:] == b"ftyp"


def path_of(path: str | os.PathLike[str]) -> Path:
    """The path as the user named it."""
    return Path(os.fspath(path))
