"""Files that stages make, named by their content: `artifacts/ab/<sha256><suffix>`; whole or not there.

That holds whatever happens to the process. A machine that loses power may leave a file short: its length is checked
when a build begins and its hash whenever it is read, and what does not hold is made again. Forcing each file to the
disk instead would cost more than all else that the store does.
"""

from __future__ import annotations

import hashlib
from collections.abc import Set
from pathlib import Path

from emotion_llama.errors import BackendError, InputError
from emotion_llama.files import write_whole

FOLDER = "artifacts"


class ArtifactFolder:
    """The artifacts of a build in `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._root = folder / FOLDER

    @staticmethod
    def relative(sha256: str, suffix: str) -> str:
        """Path of an artifact within the build, with slashes."""
        return f"{FOLDER}/{sha256[:2]}/{sha256}{suffix}"

    def put(self, data: bytes, suffix: str) -> str:
        """Keep `data`; returns its SHA-256. Content that is there already is not written again.

        Raises:
            BackendError: it cannot be written.
        """
        sha256 = hashlib.sha256(data).hexdigest()
        path = self._folder / self.relative(sha256, suffix)
        try:
            if not (path.exists() and path.stat().st_size == len(data)):
                write_whole(path, data)
        except (InputError, OSError) as error:
            raise BackendError(
                f"{path} cannot be written ({error}); make room or set the rights right and run the same command "
                "again, nothing is lost"
            ) from error
        return sha256

    def read(self, sha256: str, suffix: str) -> bytes | None:
        """An artifact's bytes; None when its file is gone or is not what its name says."""
        try:
            data = (self._folder / self.relative(sha256, suffix)).read_bytes()
        except OSError:
            return None
        return data if hashlib.sha256(data).hexdigest() == sha256 else None

    def is_there(self, sha256: str, suffix: str, num_bytes: int) -> bool:
        """Whether the file is there and has its length; its content is looked at when it is read."""
        try:
            return (self._folder / self.relative(sha256, suffix)).stat().st_size == num_bytes
        except OSError:
            return False

    def discard(self, sha256: str, suffix: str) -> None:
        """Take a file away, if it is there."""
        (self._folder / self.relative(sha256, suffix)).unlink(missing_ok=True)

    def prune(self, keep: Set[str]) -> tuple[int, int]:
        """Take away every file whose path within the build is not in `keep`, half-written ones too.

        Nobody else may be writing artifacts meanwhile. Returns the number of files and of bytes that are gone.
        """
        num_files = num_bytes = 0
        for folder in sorted(self._root.glob("[0-9a-f][0-9a-f]")):
            for path in sorted(folder.iterdir()):
                if f"{FOLDER}/{folder.name}/{path.name}" not in keep:
                    num_files, num_bytes = num_files + 1, num_bytes + path.stat().st_size
                    path.unlink(missing_ok=True)
        return num_files, num_bytes
