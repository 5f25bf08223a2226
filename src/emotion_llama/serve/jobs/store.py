"""Jobs on disk: one SQLite file and a folder of clips; a killed server loses none, whatever it was doing.

A job is a row and, until it is finished, a folder with its clip. The clip is there before the row, the result is
written in the transaction that says "done", and the clip goes after it, so that at every moment a job is either
whole or was never promised. Several servers may share one data folder.
"""

from __future__ import annotations

import re
import secrets
import shutil
import sqlite3
import time
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path

from emotion_llama.errors import BackendError, InputError
from emotion_llama.serve.errors import Busy, JobLost, NotFound
from emotion_llama.serve.folders import HeldFolder, is_held, sweep
from emotion_llama.serve.jobs.database import (
    COLUMNS,
    JOB_STATUSES,
    Job,
    JobFile,
    JobStatus,
    ResultKind,
    job_from_row,
    to_disk,
)

# A job that was begun so often and never ended brings servers down; it fails rather than being tried for ever.
MAX_ATTEMPTS = 10
STRAY_SECONDS = 3600.0  # a folder without a row may be another server's, not yet submitted; strays are older than that
_ID = re.compile(r"job-[0-9a-f]{32}")
_SELECT = f"SELECT {', '.join(COLUMNS)} FROM jobs"  # noqa: S608  (constants)
_FINISHED = "status IN ('done', 'failed', 'cancelled')"


class JobStore:
    """The jobs of a data folder. Safe to share between threads.

    Args:
        folder: made, for this user alone, if it is not there.
        max_queued: jobs that wait, of all owners together.
        max_queued_per_owner: and of one.
        clock: seconds since 1970.

    Raises:
        InputError: the folder cannot be made or written, or its file is not one of ours.
    """

    def __init__(
        self,
        folder: Path,
        *,
        max_queued: int = 1000,
        max_queued_per_owner: int = 100,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.folder = folder
        self._max_queued, self._max_per_owner, self._clock = max_queued, max_queued_per_owner, clock
        self._clips, self._locks = folder / "clips", folder / "workers"
        try:
            for path in (folder, self._clips, self._locks):
                path.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"{folder} cannot hold jobs ({error.strerror}); give another data folder") from error
        self._file = JobFile(folder / "jobs.sqlite")
        try:
            self._lock = HeldFolder(self._locks, "")
        except OSError as error:
            raise InputError(f"{folder} cannot hold a lock ({error.strerror}); give another data folder") from error

    @property
    def worker(self) -> str:
        """This process, as `Job.worker` names it."""
        return self._lock.path.name

    def close(self) -> None:
        """Close the file and release the worker's lock; jobs that still run are taken over by the next server."""
        self._file.close()
        self._lock.release()

    # --- submitting

    def new_folder(self) -> Path:
        """A private, empty folder on the jobs' disk, to be filled with the clip and given to `add` (or removed)."""
        path = self._clips / f"new-{secrets.token_hex(16)}"
        path.mkdir(mode=0o700)
        return path

    def add(self, owner: str, spec: str, filled: Path) -> Job:
        """Queue a job. When this returns, the job is on disk.

        Args:
            owner: hash of the key that submits it.
            spec: what is asked for, as JSON.
            filled: a `new_folder` with the job's files; it belongs to the store from now on, also where this raises.

        Raises:
            Busy: too many wait already.
            BackendError: it cannot be written.
        """
        job_id = f"job-{secrets.token_hex(16)}"
        place = self.clip_folder(job_id)
        try:
            for path in (*filled.iterdir(), filled):
                to_disk(path)
            filled.rename(place)
            to_disk(self._clips)
            with self._file.transaction() as db:
                self._check_room(db, owner)
                db.execute(
                    "INSERT INTO jobs (id, owner, status, spec, created_at) VALUES (?, ?, 'queued', ?, ?)",
                    (job_id, owner, spec, self._clock()),
                )
        except BaseException as error:
            for path in (filled, place):
                shutil.rmtree(path, ignore_errors=True)
            if isinstance(error, OSError):
                raise BackendError(f"the job cannot be kept ({error.strerror})") from error
            raise
        return self.get(owner, job_id)

    def _check_room(self, db: sqlite3.Connection, owner: str) -> None:
        total, own = db.execute(
            "SELECT count(*), coalesce(sum(owner = ?), 0) FROM jobs WHERE status = 'queued'", (owner,)
        ).fetchone()
        if total >= self._max_queued or own >= self._max_per_owner:
            raise Busy("jobs", total if total >= self._max_queued else own, retry_after_seconds=60.0)

    def clip_folder(self, job_id: str) -> Path:
        """Where a job's files are until it is finished.

        Raises:
            NotFound: this is no id.
        """
        if _ID.fullmatch(job_id) is None:
            raise NotFound("job", job_id)
        return self._clips / job_id

    # --- asking

    def get(self, owner: str, job_id: str) -> Job:
        """One job.

        Raises:
            NotFound: this owner has none of this id.
        """
        rows = self._file.read(f"{_SELECT} WHERE id = ? AND owner = ?", (job_id, owner))
        if not rows:
            raise NotFound("job", job_id)
        return job_from_row(rows[0])

    def of_owner(self, owner: str, *, limit: int = 20, after: str | None = None) -> list[Job]:
        """An owner's jobs, the newest first.

        Args:
            owner: whose.
            limit: at most so many.
            after: id of the job that the list goes on after.

        Raises:
            NotFound: `after` is none of this owner's.
        """
        before = None
        if after is not None:
            self.get(owner, after)
            before = self._file.read("SELECT seq FROM jobs WHERE id = ?", (after,))[0][0]
        sql = f"{_SELECT} WHERE owner = ? AND (? IS NULL OR seq < ?) ORDER BY seq DESC LIMIT ?"
        return [job_from_row(row) for row in self._file.read(sql, (owner, before, before, limit))]

    def waiting_before(self, job_id: str) -> int:
        """Jobs of anybody that are queued before this one."""
        sql = "SELECT count(*) FROM jobs WHERE status = 'queued' AND seq < (SELECT seq FROM jobs WHERE id = ?)"
        return int(self._file.read(sql, (job_id,))[0][0])

    def result(self, owner: str, job_id: str, kind: ResultKind) -> bytes | None:
        """The result, UTF-8 text; None where the job has none of this kind.

        Raises:
            NotFound: this owner has none of this id.
        """
        self.get(owner, job_id)
        rows = self._file.read("SELECT data FROM results WHERE job_id = ? AND kind = ?", (job_id, kind))
        return zlib.decompress(rows[0][0]) if rows else None

    def counts(self) -> Mapping[JobStatus, int]:
        """Jobs by status, for the metrics."""
        found = dict(self._file.read("SELECT status, count(*) FROM jobs GROUP BY status"))
        return {status: found.get(status, 0) for status in JOB_STATUSES}

    # --- working

    def claim(self) -> Job | None:
        """Take the oldest job that waits; None where none does."""
        with self._file.transaction() as db:
            row = db.execute(f"{_SELECT} WHERE status = 'queued' ORDER BY seq LIMIT 1").fetchone()
            if row is None:
                return None
            job_id = job_from_row(row).id
            db.execute(
                "UPDATE jobs SET status = 'running', worker = ?, attempts = attempts + 1, started_at = ?, "
                "stage = NULL, share = 0 WHERE id = ?",
                (self.worker, self._clock(), job_id),
            )
            return job_from_row(db.execute(f"{_SELECT} WHERE id = ?", (job_id,)).fetchone())

    def report(self, job_id: str, stage: str, share: float) -> bool:
        """Record how far a job is; whether it is still wanted (False: cancelled, deleted, or another's)."""
        with self._file.transaction() as db:
            changed = db.execute(
                "UPDATE jobs SET stage = ?, share = ? WHERE id = ? AND worker = ? AND NOT is_cancelling",
                (stage, share, job_id, self.worker),
            ).rowcount
        return changed > 0

    def done(self, job_id: str, results: Mapping[ResultKind, str]) -> None:
        """Keep the results and mark the job as done, in one transaction; its clip is deleted.

        Raises:
            JobLost: it is not this worker's any more; nothing is kept.
        """
        packed = [(job_id, kind, zlib.compress(text.encode(), 6)) for kind, text in results.items()]
        with self._file.transaction() as db:
            self._end(db, job_id, "done")
            db.executemany("INSERT INTO results VALUES (?, ?, ?)", packed)
        self._remove_clip(job_id)

    def failed(self, job_id: str, code: str, message: str) -> None:
        """Record why a job failed; its clip is deleted. JobLost as `done`."""
        with self._file.transaction() as db:
            self._end(db, job_id, "failed", code, message)
        self._remove_clip(job_id)

    def cancelled(self, job_id: str) -> None:
        """Mark a job as cancelled; its clip is deleted. JobLost as `done`."""
        with self._file.transaction() as db:
            self._end(db, job_id, "cancelled")
        self._remove_clip(job_id)

    def give_back(self, job_id: str) -> None:
        """Put a running job back in its place in the queue, without counting the attempt.

        One that somebody asked to cancel is cancelled. JobLost as `done`.
        """
        with self._file.transaction() as db:
            changed = db.execute(
                "UPDATE jobs SET status = 'queued', worker = NULL, attempts = attempts - 1, stage = NULL, share = 0 "
                "WHERE id = ? AND worker = ? AND NOT is_cancelling",
                (job_id, self.worker),
            ).rowcount
        if not changed:
            self.cancelled(job_id)

    def _end(
        self, db: sqlite3.Connection, job_id: str, status: JobStatus, code: str | None = None, why: str | None = None
    ) -> None:
        changed = db.execute(
            "UPDATE jobs SET status = ?, finished_at = ?, worker = NULL, error_code = ?, error_message = ?, "
            "share = CASE ? WHEN 'done' THEN 1 ELSE share END WHERE id = ? AND worker = ?",
            (status, self._clock(), code, why, status, job_id, self.worker),
        ).rowcount
        if not changed:
            raise JobLost(job_id)

    # --- ending

    def cancel(self, owner: str, job_id: str) -> Job:
        """Cancel a job: at once where it waits; where it runs, its worker ends it. A finished one stays.

        Raises:
            NotFound: this owner has none of this id.
        """
        with self._file.transaction() as db:
            key = (job_id, owner)
            db.execute("UPDATE jobs SET is_cancelling = 1 WHERE id = ? AND owner = ? AND status = 'running'", key)
            ended = db.execute(
                "UPDATE jobs SET status = 'cancelled', finished_at = ? WHERE id = ? AND owner = ? "
                "AND status = 'queued'",
                (self._clock(), *key),
            ).rowcount
        if ended:
            self._remove_clip(job_id)
        return self.get(owner, job_id)

    def delete(self, owner: str, job_id: str) -> None:
        """Delete a job with its clip and results, whatever its status.

        Raises:
            NotFound: this owner has none of this id.
        """
        with self._file.transaction() as db:
            if not db.execute("DELETE FROM jobs WHERE id = ? AND owner = ?", (job_id, owner)).rowcount:
                raise NotFound("job", job_id)
        self._remove_clip(job_id)

    def expire(self, older_than_seconds: float) -> int:
        """Delete jobs that have been finished for so long; how many."""
        with self._file.transaction() as db:
            ended = db.execute(
                f"DELETE FROM jobs WHERE {_FINISHED} AND finished_at < ?",  # noqa: S608  (constant)
                (self._clock() - older_than_seconds,),
            ).rowcount
        return int(ended)

    # --- after a server has ended

    def recover(self) -> int:
        """Queue the jobs of servers that have ended, and delete files that belong to no job; how many are queued.

        Cancelled ones end; those begun `MAX_ATTEMPTS` times fail with a message that says so.
        """
        running = self._file.read(
            "SELECT DISTINCT worker FROM jobs WHERE status = 'running' AND worker <> ?", (self.worker,)
        )
        gone = [worker for (worker,) in running if not is_held(self._locks / worker)]
        queued = 0
        with self._file.transaction() as db:
            for worker in gone:
                queued += self._take_over(db, worker)
        sweep(self._locks, "")
        self._remove_strays()
        return queued

    def _take_over(self, db: sqlite3.Connection, worker: str) -> int:
        now = self._clock()
        db.execute(
            "UPDATE jobs SET status = 'cancelled', worker = NULL, finished_at = ? WHERE worker = ? AND is_cancelling",
            (now, worker),
        )
        db.execute(
            "UPDATE jobs SET status = 'failed', worker = NULL, finished_at = ?, error_code = 'interrupted', "
            "error_message = 'the server ended ' || attempts || ' times while it worked on this; submit it again' "
            "WHERE worker = ? AND attempts >= ?",
            (now, worker, MAX_ATTEMPTS),
        )
        return db.execute(
            "UPDATE jobs SET status = 'queued', worker = NULL, stage = NULL, share = 0 WHERE worker = ?", (worker,)
        ).rowcount

    def _remove_strays(self) -> None:
        needed = {job_id for (job_id,) in self._file.read(f"SELECT id FROM jobs WHERE NOT {_FINISHED}")}  # noqa: S608
        known = {job_id for (job_id,) in self._file.read("SELECT id FROM jobs")}
        for path in self._clips.iterdir():
            try:
                is_old = path.stat().st_mtime < time.time() - STRAY_SECONDS
            except FileNotFoundError:
                continue
            if path.name not in needed and (path.name in known or is_old):
                shutil.rmtree(path, ignore_errors=True)

    def _remove_clip(self, job_id: str) -> None:
        shutil.rmtree(self.clip_folder(job_id), ignore_errors=True)
