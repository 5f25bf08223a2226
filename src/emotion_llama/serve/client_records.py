"""What a server answers, as the Python client gives it: small frozen records, lenient to fields of newer servers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from emotion_llama.errors import BackendError
from emotion_llama.schema import AnalysisDocument

T = TypeVar("T")
Json = Mapping[str, Any]  # a JSON object as it came


class ServerError(BackendError):
    """The server answered with an error, or not at all.

    Args:
        message: the server's own words, or what happened on the way.
        status: of the answer; None where there was none.
        code: a short word for programs, such as "too_large".
        param: the field of the request that is meant.
        retry_after_seconds: when the server wants to be asked again.
        request_id: by which its log knows the request.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        code: str | None = None,
        param: str | None = None,
        retry_after_seconds: float | None = None,
        request_id: str | None = None,
    ) -> None:
        self.message = message
        self.status = status
        self.code = code
        self.param = param
        self.retry_after_seconds = retry_after_seconds
        self.request_id = request_id
        super().__init__(message if status is None else f"HTTP status {status}: {message}")


@dataclass(frozen=True)
class ModelInfo:
    """A model: its name, what it reads ("measurements" or "recordings"), whether it answers where none is named."""

    id: str
    reads: str
    is_default: bool


@dataclass(frozen=True)
class FileInfo:
    """An uploaded file; `expires_at` in seconds since 1970, None where it is kept."""

    id: str
    name: str
    num_bytes: int
    expires_at: float | None


@dataclass(frozen=True)
class JobInfo:
    """A job.

    Attributes:
        id: its name.
        status: "queued", "running", "done", "failed" or "cancelled".
        stage, share: what it is at, and how much of that is done, 0..1.
        waiting_before: jobs that come first, while it is queued.
        attempts: how often it was begun.
        name: what its recording is called.
        error_code, error_message: why it failed.
    """

    id: str
    status: str
    stage: str | None
    share: float
    waiting_before: int | None
    attempts: int
    name: str
    error_code: str | None = None
    error_message: str | None = None

    @property
    def is_finished(self) -> bool:
        """It will not change any more."""
        return self.status in ("done", "failed", "cancelled")


@dataclass(frozen=True)
class ChatAnswer:
    """An answer about one person of a clip.

    Attributes:
        text: the answer.
        person_id: whom it is about.
        finish_reason: "stop", or "length" where it was cut.
        label, probabilities: of [emotion]; None for other questions.
        prompt_tokens, completion_tokens: read and written by a model.
    """

    text: str
    person_id: int
    finish_reason: str
    label: str | None
    probabilities: Mapping[str, float] | None
    prompt_tokens: int
    completion_tokens: int


def read(kind: Callable[[Json], T], value: Json) -> T:
    """A record from an answer.

    Raises:
        ServerError: it lacks what such an answer holds.
    """
    try:
        return kind(value)
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise ServerError(f"the answer lacks what is expected ({error}); is this server one of ours?") from error


def models_of(value: Json) -> list[ModelInfo]:
    """An answer of /v1/models."""
    return [ModelInfo(one["id"], one["reads"], one["is_default"]) for one in value["data"]]


def document_of(text: str) -> AnalysisDocument:
    """An answer of /v1/analyze.

    Raises:
        ServerError: it is of another version of the document.
    """
    try:
        return AnalysisDocument.model_validate_json(text)
    except ValueError as error:
        told = str(error).partition("\n")[0]
        raise ServerError(f"the answer is no analysis of this version ({told}); update the client") from error


def file_of(value: Json) -> FileInfo:
    """An answer of /v1/files."""
    return FileInfo(value["id"], value["filename"], value["bytes"], value["expires_at"])


def job_of(value: Json) -> JobInfo:
    """An answer of /v1/jobs."""
    error = value["error"] or {}
    return JobInfo(
        value["id"], value["status"], value["stage"], value["share"], value["waiting_before"], value["attempts"],
        value["filename"], error.get("code"), error.get("message"),
    )  # fmt: skip


def piece_of(value: Json) -> str:
    """The words in an event of a streamed answer; "" where it has none."""
    return "".join(choice["delta"].get("content") or "" for choice in value["choices"])


def answer_of(value: Json) -> ChatAnswer:
    """An answer of /v1/chat/completions."""
    choice, about, usage = value["choices"][0], value["emotion_llama"], value["usage"]
    return ChatAnswer(
        choice["message"]["content"], about["person_id"], choice["finish_reason"], about.get("label"),
        about.get("probabilities"), usage["prompt_tokens"], usage["completion_tokens"],
    )  # fmt: skip


def error_of(status: int, value: object, headers: Mapping[str, str]) -> ServerError:
    """The error in an answer's body, whatever a proxy on the way may have made of it."""
    body = value.get("error") if isinstance(value, dict) else None
    told = body if isinstance(body, dict) else {}
    wait = headers.get("retry-after", "")
    return ServerError(
        str(told.get("message") or "the answer says nothing of what went wrong"),
        status=status,
        code=told.get("code"),
        param=told.get("param"),
        retry_after_seconds=float(wait) if wait.isdecimal() else None,
        request_id=headers.get("x-request-id"),
    )
