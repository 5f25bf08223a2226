"""Which server processes are alive: each holds a lock that the system takes away when it ends, however it ends."""

from __future__ import annotations

import os
import re
import secrets
from contextlib import suppress
from pathlib import Path

from emotion_llama.errors import BackendError

_ID = re.compile(r"[0-9a-f]{16}")


class WorkerLock:
    """This process's place among those that share a data folder, from `__init__` to `release`.

    Args:
        folder: where the locks are; made if it is not there.

    Raises:
        BackendError: a lock cannot be made there.
    """

    def __init__(self, folder: Path) -> None:
        self.id = secrets.token_hex(8)
        self._path = folder / f"{self.id}.lock"
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._file = _locked(self._path)
        except OSError as error:
            raise BackendError(f"{folder} cannot hold a lock ({error.strerror}); give another data folder") from error

    def release(self) -> None:
        """Give the place up; a second call does nothing."""
        if self._file >= 0:
            self._path.unlink(missing_ok=True)
            os.close(self._file)
            self._file = -1


def _locked(path: Path) -> int:
    import fcntl

    while True:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(file, fcntl.LOCK_EX)
        # `is_alive` of another process may have taken the file away between the two lines above.
        with suppress(FileNotFoundError):
            if path.stat().st_ino == os.fstat(file).st_ino:
                return file
        os.close(file)


def is_alive(folder: Path, worker: str) -> bool:
    """Whether the process that has this id still runs; the lock of one that does not is taken away."""
    import fcntl

    if _ID.fullmatch(worker) is None:
        return False
    path = folder / f"{worker}.lock"
    try:
        file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    else:
        path.unlink(missing_ok=True)
        return False
    finally:
        os.close(file)


def dead_locks(folder: Path) -> list[str]:
    """Take away the locks of processes that have ended; their ids."""
    found = sorted(path.stem for path in folder.glob("*.lock"))
    return [worker for worker in found if not is_alive(folder, worker)]
