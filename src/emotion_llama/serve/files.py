"""Uploaded files that later requests name by id: private, each visible to its owner only, deleted when they expire.

A file is a folder `file-...` with `about.json` and the clip; it gets that name in one step when it is whole. Several
servers may share the store.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import math
import re
import secrets
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from emotion_llama.serve.errors import NotFound, Problem

log = logging.getLogger(__name__)

MAX_STORED_BYTES = 20 << 30  # of all owners together; our own choice
MAX_FILES = 1000  # of one owner; our own choice
_STRAY_SECONDS = 3600.0  # a half-made folder that old belongs to no server
_ID = re.compile(r"file-[0-9a-f]{32}")
_ABOUT = "about.json"


@dataclass(frozen=True)
class StoredFile:
    """A file and what is known of it.

    Attributes:
        id: random, so that it cannot be guessed.
        owner: hash of the key that uploaded it.
        name: what its owner called it; text to be shown.
        kind: what its first bytes say, such as "mp4"; its suffix.
        num_bytes, sha256: of its content.
        created_at: seconds since 1970, UTC.
        expires_at: when it is deleted; None where uploads are kept.
        path: where it lies.
    """

    id: str
    owner: str
    name: str
    kind: str
    num_bytes: int
    sha256: str
    created_at: float
    expires_at: float | None
    path: Path


class FileStore:
    """The files of a data folder. `start` and `close` for a server, which deletes expired files every minute.

    Args:
        folder: made, for this user alone, if it is not there.
        seconds: how long a file is kept; None keeps it until it is deleted.
        max_bytes: of all files together.
        max_files: of one owner.
        clock: seconds since 1970.
    """

    def __init__(
        self,
        folder: Path,
        *,
        seconds: float | None = 3600.0,
        max_bytes: int = MAX_STORED_BYTES,
        max_files: int = MAX_FILES,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.folder = folder
        self._seconds, self._max_bytes, self._max_files, self._clock = seconds, max_bytes, max_files, clock
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._sweeper: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Delete what has expired, now and every minute."""
        await asyncio.to_thread(self.sweep)
        self._sweeper = asyncio.create_task(self._sweep_for_ever())

    async def close(self, grace_seconds: float = 0.0) -> None:
        """Stop deleting files."""
        if self._sweeper is not None:
            self._sweeper.cancel()
            await asyncio.gather(self._sweeper, return_exceptions=True)
            self._sweeper = None

    async def _sweep_for_ever(self) -> None:
        while True:
            await asyncio.sleep(60.0)
            try:
                await asyncio.to_thread(self.sweep)
            except OSError as error:
                log.warning("expired files could not be deleted: %s", error)

    def add(self, owner: str, received: Path, *, name: str, kind: str) -> StoredFile:
        """Keep a file; it is moved from where it was received.

        Raises:
            Problem: 429, there is no room.
            OSError: it cannot be written.
        """
        num_bytes = received.stat().st_size
        self._check_room(owner, num_bytes)
        now = self._clock()
        expires_at = None if self._seconds is None else now + self._seconds
        file_id = f"file-{secrets.token_hex(16)}"
        half, place = self.folder / f"new-{secrets.token_hex(16)}", self.folder / file_id
        digest, path = _sha256(received), place / f"clip.{kind}"
        about = StoredFile(file_id, owner, name, kind, num_bytes, digest, now, expires_at, path)
        half.mkdir(mode=0o700)
        try:
            shutil.move(received, half / path.name)
            values = {key: value for key, value in asdict(about).items() if key != "path"}
            (half / _ABOUT).write_text(json.dumps(values), encoding="utf-8")
            half.rename(place)
        except BaseException:
            shutil.rmtree(half, ignore_errors=True)
            raise
        return about

    def get(self, owner: str, file_id: str) -> StoredFile:
        """One file.

        Raises:
            NotFound: this owner has none of this id, or it has expired.
        """
        found = self._about(file_id) if _ID.fullmatch(file_id) else None
        if found is None or found.owner != owner or self._has_expired(found):
            raise NotFound("file", file_id)
        return found

    def of_owner(self, owner: str) -> list[StoredFile]:
        """An owner's files, the newest first."""
        mine = [file for file in self._all() if file.owner == owner and not self._has_expired(file)]
        return sorted(mine, key=lambda file: (-file.created_at, file.id))

    def delete(self, owner: str, file_id: str) -> StoredFile:
        """Delete a file and return what it was; raises as `get`."""
        found = self.get(owner, file_id)
        self._remove(found.path.parent)
        return found

    def sweep(self) -> int:
        """Delete expired files, and what was never finished; how many files."""
        expired = [file for file in self._all() if self._has_expired(file)]
        for file in expired:
            self._remove(file.path.parent)
        for path in self.folder.glob("new-*"):
            with suppress(FileNotFoundError):
                if path.stat().st_mtime < time.time() - _STRAY_SECONDS:
                    shutil.rmtree(path, ignore_errors=True)
        return len(expired)

    def _check_room(self, owner: str, num_bytes: int) -> None:
        kept = [file for file in self._all() if not self._has_expired(file)]
        mine = [file for file in kept if file.owner == owner]
        wait = min((file.expires_at - self._clock() for file in kept if file.expires_at is not None), default=3600.0)
        if len(mine) >= self._max_files:
            raise _full(f"you have {len(mine)} files, up to {self._max_files} are kept", wait)
        if sum(file.num_bytes for file in kept) + num_bytes > self._max_bytes:
            raise _full(f"the file has {num_bytes} bytes, and there is no room for it", wait)

    def _all(self) -> list[StoredFile]:
        found = (self._about(path.name) for path in self.folder.glob("file-*") if _ID.fullmatch(path.name))
        return [file for file in found if file is not None]

    def _about(self, file_id: str) -> StoredFile | None:
        folder = self.folder / file_id
        try:
            values = json.loads((folder / _ABOUT).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        return StoredFile(**values, path=folder / f"clip.{values['kind']}")

    def _has_expired(self, file: StoredFile) -> bool:
        return self._clock() >= (math.inf if file.expires_at is None else file.expires_at)

    def _remove(self, folder: Path) -> None:
        gone = folder.with_name(f"new-{secrets.token_hex(16)}")  # renamed first: nobody finds half a file
        with suppress(FileNotFoundError):
            folder.rename(gone)
            shutil.rmtree(gone, ignore_errors=True)


def _full(what: str, retry_after_seconds: float) -> Problem:
    message = f"{what}; delete files that are not needed any more, or wait for some to expire"
    return Problem(429, message, code="store_full", retry_after_seconds=retry_after_seconds)


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()
