"""Errors of the server, each with the HTTP status, code and field that its client is answered with."""

from __future__ import annotations

import math
from collections.abc import Mapping

from emotion_llama.errors import EmotionLlamaError


class Problem(EmotionLlamaError):
    """A request that is answered with an error.

    Args:
        status: the HTTP status, 400 to 599.
        message: what came, what was expected, what to do next; shown to the client, so never a path of the server.
        code: a short word for programs.
        param: the field of the request that is meant.
        retry_after_seconds: when a new attempt is worthwhile.
        headers: extra headers.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        retry_after_seconds: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.code, self.param = status, message, code, param
        self.retry_after_seconds = retry_after_seconds
        self.headers = dict(headers or {})
        if retry_after_seconds is not None:  # in whole seconds, at least one (RFC 9110, 10.2.3)
            self.headers["Retry-After"] = str(max(1, math.ceil(retry_after_seconds)))


class Busy(Problem):
    """A bounded queue is full: 429.

    Args:
        what: what is waiting, such as "clips".
        waiting: how many are.
        retry_after_seconds: when a new attempt is worthwhile.
    """

    def __init__(self, what: str, waiting: int, retry_after_seconds: float) -> None:
        super().__init__(
            429,
            f"{waiting} {what} are waiting already, no more are taken; try again in {retry_after_seconds:.0f} s",
            code="busy",
            retry_after_seconds=retry_after_seconds,
        )


class Stopping(Problem):
    """The server stops before the answer is there: 503."""

    def __init__(self) -> None:
        super().__init__(
            503, "the server stops; ask again when it is back", code="stopping", retry_after_seconds=5.0
        )  # fmt: skip


class ClipRefused(Problem):
    """A clip, or an option that came with it, cannot be processed.

    Args:
        reason: one sentence or two for the client; never a path of the server.
        status: 413 too large or too long, 415 no media file, 422 everything else.
        code: a short word for programs: "no_media", "damaged", "too_long", "too_large", "too_slow", "too_much_memory",
            "option".
    """

    def __init__(self, reason: str, status: int = 422, code: str = "damaged") -> None:
        super().__init__(status, reason, code=code, param="file")


class ChildDied(Problem):
    """The process that measured the clip ended unexpectedly or broke its protocol; it is replaced: 422.

    The cause is in the file, as far as anybody can tell.

    Args:
        how: such as "ended by signal SIGSEGV".
    """

    def __init__(self, how: str) -> None:
        super().__init__(
            422,
            f"the file could not be processed: the process that measured the clip {how}; another has taken its place, "
            "try again",
            code="decoder_died",
            param="file",
        )


class NotFound(Problem):
    """This owner has no file or job of this id: 404. Whether another owner has is not revealed.

    Args:
        kind: "file" or "job".
        asked_id: as the client gave it.
    """

    def __init__(self, kind: str, asked_id: str) -> None:
        super().__init__(
            404,
            f"there is no {kind} {asked_id[:64]!r}; it may have expired, or it was deleted; submit it again",
            code=f"{kind}_not_found",
            param=f"{kind}_id",
        )


class JobLost(EmotionLlamaError):
    """A worker reports on a job that is no longer its own: cancelled, deleted, or given to another server."""

    def __init__(self, job_id: str) -> None:
        super().__init__(f"job {job_id} does not belong to this worker any more")


def no_room() -> Problem:
    """A 503: the disk took no more of a file."""
    return Problem(503, "the server has no room for the file; try again later", code="no_room")
