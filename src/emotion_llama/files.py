"""Files that are written whole or line by line, whatever kills the process; their folders; locks that die with it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import IO, Any

from emotion_llama.errors import InputError

# Of the results of `analyze`, after the clip's whole name, so that talk.mp4 and talk.wav do not collide.
RESULT_SUFFIX = ".emotion.json"


def make_folder(folder: Path) -> Path:
    """Make a folder and those above it, where they are not there yet.

    Raises:
        InputError: it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder} cannot be made ({error.strerror}); give another place") from error
    return folder


def write_whole(path: Path, content: str | bytes | Callable[[Path], object]) -> Path:
    """Write a file so that `path` is the old file or the new one, never half of it.

    Args:
        path: the file; its folder is made.
        content: text (written as UTF-8), bytes, or a function that fills the file it is given.

    Raises:
        InputError: it cannot be written.
    """
    make_folder(path.parent)
    # A short name of its own: a long file name need not leave room for a suffix.
    half = path.with_name(f".{os.getpid()}-{abs(hash(path.name)) % 10**8}.tmp")
    try:
        if isinstance(content, str):
            half.write_text(content, encoding="utf-8")
        elif isinstance(content, bytes):
            half.write_bytes(content)
        else:
            content(half)
        half.replace(path)
    except OSError as error:
        raise InputError(f"{path} cannot be written ({error.strerror}); give another place") from error
    finally:
        half.unlink(missing_ok=True)
    return path


def append_lines(path: Path, values: Iterable[object]) -> None:
    """Append JSON values, a line each, in one write; they are handed to the kernel when this returns.

    A line that a killed process has cut off is ended first, so that it spoils no other.

    Raises:
        InputError: the file cannot be written.
        ValueError: a value is NaN or an infinity.
    """
    lines = (json.dumps(value, ensure_ascii=False, allow_nan=False) + "\n" for value in values)
    data = "".join(lines).encode("utf-8", "surrogatepass")
    try:
        with path.open("ab+", buffering=0) as file:
            if file.tell():
                file.seek(-1, os.SEEK_END)
                data = data if file.read(1) == b"\n" else b"\n" + data
            file.write(data)
    except OSError as error:
        raise InputError(f"{path} cannot be written ({error.strerror}); make room, then run it again") from error


def read_lines(path: Path) -> list[Any]:
    """The JSON values that `append_lines` wrote; of a line that was cut off nothing, and nothing of a missing file.

    Raises:
        InputError: the file cannot be read.
    """
    try:
        lines = path.read_bytes().split(b"\n") if path.exists() else []
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror})") from error
    found = []
    for line in lines:
        try:
            found.append(json.loads(line.decode("utf-8", "surrogatepass")))
        except ValueError:  # noqa: PERF203  (empty, or cut off)
            continue
    return found


def try_lock(file: IO[Any], *, shared: bool = False) -> bool:
    """Take the lock of an open file, which its closing or the end of the process gives back; False: another has it.

    Raises:
        InputError: the disk knows no locks.
    """
    try:
        import fcntl
    except ImportError:  # Windows: two processes at a time are the user's to avoid
        return True
    try:
        fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        raise InputError(f"{file.name} cannot be locked ({error.strerror}); use another disk") from error
    return True


def lock_file(path: Path, busy: str) -> IO[str]:
    """A file that this process alone holds locked, until it is closed.

    Raises:
        InputError: another process holds it, with the text `busy`.
    """
    handle = path.open("w")
    if not try_lock(handle):
        handle.close()
        raise InputError(busy)
    return handle
