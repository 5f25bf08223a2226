"""The SQLite file of jobs, and a job's row."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from emotion_llama.errors import BackendError, InputError

JobStatus = Literal["queued", "running", "done", "failed", "cancelled"]
ResultKind = Literal["json", "html"]
JOB_STATUSES: tuple[JobStatus, ...] = ("queued", "running", "done", "failed", "cancelled")
COLUMNS = (
    "id", "owner", "status", "spec", "created_at", "started_at", "finished_at", "stage", "share", "attempts",
    "worker", "is_cancelling", "error_code", "error_message",
)  # fmt: skip

LOCK_WAIT_SECONDS = 30.0  # for another server's transaction; each takes milliseconds
APPLICATION_ID = 0x454C4A42  # "ELJB": distinguishes this file from other SQLite files
VERSION = 1
SCHEMA = """
CREATE TABLE jobs (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, owner TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('queued', 'running', 'done', 'failed', 'cancelled')),
    spec TEXT NOT NULL, created_at REAL NOT NULL, started_at REAL, finished_at REAL,
    stage TEXT, share REAL NOT NULL DEFAULT 0, attempts INTEGER NOT NULL DEFAULT 0,
    worker TEXT, is_cancelling INTEGER NOT NULL DEFAULT 0, error_code TEXT, error_message TEXT,
    CHECK ((status = 'running') = (worker IS NOT NULL)),
    CHECK ((status = 'failed') = (error_message IS NOT NULL)),
    CHECK ((status IN ('done', 'failed', 'cancelled')) = (finished_at IS NOT NULL))
);
CREATE INDEX jobs_by_status ON jobs (status, seq);
CREATE INDEX jobs_by_owner ON jobs (owner, seq);
CREATE TABLE results (
    job_id TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE, kind TEXT NOT NULL CHECK (kind IN ('json', 'html')),
    data BLOB NOT NULL, PRIMARY KEY (job_id, kind)
) WITHOUT ROWID;
"""


@dataclass(frozen=True)
class Job:
    """A long recording that was submitted.

    Attributes:
        id: random, so that it cannot be guessed.
        owner: hash of the key that submitted it.
        status: "queued", "running", "done", "failed" or "cancelled"; the last three are final.
        spec: what was asked for, as JSON; the store does not look into it.
        created_at, started_at, finished_at: seconds since 1970, UTC; `started_at` of the last attempt.
        stage, share: the current stage, and how much of it is done, 0..1.
        attempts: how often it was begun; more than once where a server was ended in the middle.
        worker: the server process that works on it, while it runs.
        is_cancelling: somebody asked for it to end.
        error_code, error_message: why it failed.
    """

    id: str
    owner: str
    status: JobStatus
    spec: str
    created_at: float
    started_at: float | None
    finished_at: float | None
    stage: str | None
    share: float
    attempts: int
    worker: str | None
    is_cancelling: bool
    error_code: str | None
    error_message: str | None


def job_from_row(row: tuple[Any, ...]) -> Job:
    """A row of `COLUMNS`."""
    values = dict(zip(COLUMNS, row, strict=True))
    return Job(**{**values, "is_cancelling": bool(values["is_cancelling"])})


class JobFile:
    """A connection to the file at `path` (SQLite in WAL mode), made if it is not there. Safe to share between threads.

    Raises:
        InputError: it cannot be made or written, or is not one of ours.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._mutex = threading.Lock()
        try:
            self._db = _connect(path)
        except (OSError, sqlite3.Error) as error:
            raise InputError(f"{path} cannot hold jobs ({error}); give another data folder") from error

    def close(self) -> None:
        """Close the connection."""
        with self._mutex:
            self._db.close()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Changes that are all written, or none.

        Raises:
            BackendError: they cannot be written.
        """
        with self._mutex, self._as_backend_error():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    def read(self, sql: str, values: tuple[object, ...] = ()) -> list[tuple[Any, ...]]:
        """All rows of a query; BackendError where they cannot be read."""
        with self._mutex, self._as_backend_error():
            return self._db.execute(sql, values).fetchall()

    @contextmanager
    def _as_backend_error(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise BackendError(f"{self._path}: the jobs cannot be read or written ({error})") from error


def _connect(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, isolation_level=None, timeout=LOCK_WAIT_SECONDS, check_same_thread=False)
    try:
        db.execute(f"PRAGMA busy_timeout={int(LOCK_WAIT_SECONDS * 1000)}")
        db.execute("BEGIN IMMEDIATE")  # two servers may start at once
        if db.execute("SELECT 1 FROM sqlite_master").fetchone() is None:
            for statement in SCHEMA.split(";"):
                db.execute(statement)
            db.execute(f"PRAGMA application_id={APPLICATION_ID}")
            db.execute(f"PRAGMA user_version={VERSION}")
        db.execute("COMMIT")
        found = tuple(db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version"))
        if found != (APPLICATION_ID, VERSION):
            raise InputError(f"{path} is not a job file of this version {VERSION}; give another data folder")
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("PRAGMA synchronous=FULL")  # a job that was answered with 202 survives a loss of power, too
        db.execute("PRAGMA foreign_keys=ON")
    except BaseException:
        db.close()
        raise
    path.chmod(0o600)
    return db


def to_disk(path: Path) -> None:
    """Wait until a file, or a folder's list of names, is on the disk itself."""
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)
