"""Errors of the server; `problems.problem_of` turns each into an HTTP answer."""

from __future__ import annotations

from emotion_llama.errors import BackendError, EmotionLlamaError


class Busy(EmotionLlamaError):
    """A bounded queue is full; answered with 429 and Retry-After.

    Args:
        what: what is waiting, such as "clips".
        waiting: how many are.
        retry_after_seconds: when a new attempt is worthwhile.
    """

    def __init__(self, what: str, waiting: int, retry_after_seconds: float) -> None:
        self.retry_after_seconds = retry_after_seconds
        super().__init__(
            f"{waiting} {what} are waiting already, no more are taken; try again in {retry_after_seconds:.0f} s"
        )


class ClipRefused(EmotionLlamaError):
    """A clip, or an option that came with it, cannot be processed; answered with a 4xx.

    Args:
        reason: one sentence or two for the client; never a path of the server.
        status: 413 too large or too long, 415 no media file, 422 everything else.
        code: a short word for programs: "no_media", "damaged", "too_long", "too_large", "too_slow", "too_much_memory",
            "option".
    """

    def __init__(self, reason: str, status: int = 422, code: str = "damaged") -> None:
        self.reason = reason
        self.status = status
        self.code = code
        super().__init__(reason)


class ChildDied(BackendError):
    """The process that measured the clip ended unexpectedly or broke its protocol; it is replaced. Answered with 422.

    Args:
        how: such as "ended by signal SIGSEGV".
    """

    def __init__(self, how: str) -> None:
        super().__init__(f"the process that measured the clip {how}; another has taken its place, try again")


class NoSuchFile(EmotionLlamaError):
    """This owner has no file of this id; whether another owner has is not revealed."""

    def __init__(self, file_id: str) -> None:
        super().__init__(f"there is no file {file_id[:64]!r}; it may have expired, or it was deleted; upload it again")


class StoreFull(EmotionLlamaError):
    """There is no room for another file; answered with 429.

    Args:
        what: what there is too much of.
        retry_after_seconds: when the next file expires.
    """

    def __init__(self, what: str, retry_after_seconds: float) -> None:
        self.retry_after_seconds = retry_after_seconds
        super().__init__(f"{what}; delete files that are not needed any more, or wait for some to expire")


class NoSuchJob(EmotionLlamaError):
    """This owner has no job of this id; whether another owner has is not revealed."""

    def __init__(self, job_id: str) -> None:
        super().__init__(f"there is no job {job_id[:64]!r}; its result may have expired, or it was deleted")


class JobLost(EmotionLlamaError):
    """A worker reports on a job that is no longer its own: cancelled, deleted, or given to another server."""

    def __init__(self, job_id: str) -> None:
        super().__init__(f"job {job_id} does not belong to this worker any more")
