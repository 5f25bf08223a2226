"""What is known of a job, and the errors about one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from emotion_llama.errors import EmotionLlamaError

JobStatus = Literal["queued", "running", "done", "failed", "cancelled"]
ResultKind = Literal["json", "html"]
FINISHED: tuple[JobStatus, ...] = ("done", "failed", "cancelled")
JOB_STATUSES: tuple[JobStatus, ...] = ("queued", "running", *FINISHED)

COLUMNS = (
    "id", "owner", "status", "spec", "created_at", "started_at", "finished_at", "stage", "share", "attempts",
    "worker", "is_cancelling", "error_code", "error_message",
)  # fmt: skip


@dataclass(frozen=True)
class Job:
    """A long recording that was handed in.

    Attributes:
        id: random, so that it cannot be guessed.
        owner: hash of the key that handed it in.
        status: "queued", "running", "done", "failed" or "cancelled"; the last three are final.
        spec: what was asked for, as JSON; the store does not look into it.
        created_at, started_at, finished_at: seconds since 1970, UTC; `started_at` of the last attempt.
        stage, share: what it is at, and how much of that is done, 0..1.
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

    @property
    def is_finished(self) -> bool:
        """It will not change any more."""
        return self.status in FINISHED


def job_from_row(row: tuple[Any, ...]) -> Job:
    """A row of `COLUMNS`."""
    values = dict(zip(COLUMNS, row, strict=True))
    return Job(**{**values, "is_cancelling": bool(values["is_cancelling"])})


class NoSuchJob(EmotionLlamaError):
    """This owner has no job of this id; whether another one has is not told."""

    def __init__(self, job_id: str) -> None:
        super().__init__(f"there is no job {job_id[:64]!r}; its result may have expired, or it was deleted")


class NotYours(EmotionLlamaError):
    """A worker reports on a job that is no longer its own: cancelled, deleted, or given to another."""

    def __init__(self, job_id: str) -> None:
        super().__init__(f"job {job_id} is not this worker's any more")
