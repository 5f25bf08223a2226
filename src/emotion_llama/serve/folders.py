"""Folders that belong to one process: the system releases their lock when the process ends, however it ends."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from pathlib import Path


class HeldFolder:
    """A new private folder in `parent`, locked by this process until `release`, which deletes it.

    Attributes:
        path: its name begins with the prefix that was given.

    Raises:
        OSError: it cannot be made or locked.
    """

    def __init__(self, parent: Path, prefix: str) -> None:
        while True:
            self.path = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
            self._lock = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
            fcntl.flock(self._lock, fcntl.LOCK_EX)
            if self.path.is_dir():  # else another process has swept it between the two lines above
                return
            os.close(self._lock)

    def release(self) -> None:
        """Delete the folder with all that is in it; a second call does nothing."""
        if self._lock >= 0:
            shutil.rmtree(self.path, ignore_errors=True)
            os.close(self._lock)
            self._lock = -1


def is_held(folder: Path) -> bool:
    """Whether the process that made this folder still runs; one that is not another's (any more) is deleted."""
    try:
        lock = os.open(folder, os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECTORY | os.O_NOFOLLOW)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:  # another user's, or a link
        return True
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder, ignore_errors=True)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False


def sweep(parent: Path, prefix: str) -> None:
    """Delete the folders that killed processes left behind."""
    for left in parent.glob(f"{prefix}*"):
        is_held(left)
