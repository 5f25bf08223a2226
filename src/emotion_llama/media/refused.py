"""Files that are not opened, and what is said of each: no regular file, another kind of file, a damaged one."""

from __future__ import annotations

import re
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from emotion_llama.errors import MediaError
from emotion_llama.media.kinds import PICTURE_BRANDS, SNIFF_BYTES, sniff

if TYPE_CHECKING:
    from av.container import InputContainer

_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"\x89PNG", "a still picture"),
    (b"\xff\xd8\xff", "a still picture"),
    (b"BM", "a still picture"),
    (b"II*\x00", "a still picture"),
    (b"MM\x00*", "a still picture"),
    (b"8BPS", "a still picture"),
    (b"\0\0\0\x0cJXL ", "a still picture (JPEG XL)"),
    (b"\0\0\0\x0cjP  ", "a still picture (JPEG 2000)"),
    (b"#EXTM3U", "a playlist, which only points to other files,"),
    (b"ffconcat", "a playlist, which only points to other files,"),
    (b"[playlist]", "a playlist, which only points to other files,"),
    (b"v=0", "a playlist, which only points to other files,"),
    (b"<", "a text file"),
)
_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]+:/", re.IGNORECASE)
_BEFORE_HOST = re.compile(r"^((?!concat:|file:)[a-z][a-z0-9+.-]+):/(?!/)", re.IGNORECASE)


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


def check_moving(path: Path, container: InputContainer) -> None:
    """Raise MediaError for a file of pictures (AVIF, HEIC) that are single ones, for which FFmpeg invents a second."""
    streams = container.streams
    if streams.audio or any(stream.frames > 1 for stream in streams.video):
        return
    with path.open("rb") as file:
        head = file.read(12)
    if head[4:8] == b"ftyp" and head[8:] in PICTURE_BRANDS:
        raise _another(path, f"a still picture ({PICTURE_BRANDS[head[8:]]})")


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
        return _another(path, what)
    if _is_mp4(path):
        return MediaError(
            path,
            "an MP4 file whose index is missing or damaged: it was cut short, or is still being written",
            "copy or download it again, or wait until it is finished",
        )
    kind = _kind(path)
    what = "no video or sound file, or one" if kind is None else f"a file of the kind {kind}"
    return MediaError(path, f"this is {what} that was cut short or damaged", "copy or download it again")


def _another(path: Path, what: str) -> MediaError:
    return MediaError(path, f"{what} came; a video or sound file was expected", "give the recording itself")


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
    if head[4:8] == b"ftyp" and head[8:12] in PICTURE_BRANDS and sniff(head) is None:
        return f"a still picture ({PICTURE_BRANDS[head[8:12]]})"
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
