"""Files that are written whole or not at all, and the folders they lie in."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from emotion_llama.errors import InputError


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
