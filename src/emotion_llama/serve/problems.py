"""Errors as HTTP answers: one JSON form (OpenAI's), a status for each error of this package, never a traceback."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from pydantic import BaseModel, ConfigDict
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from emotion_llama.errors import AnnotationError, EmotionLlamaError, InputError, MediaError
from emotion_llama.serve.errors import Busy, ChildDied, ClipRefused, NoSuchFile, NoSuchJob, StoreFull

# Status -> the type that OpenAI's clients know (platform.openai.com/docs/guides/error-codes); all else by its hundred.
_TYPES = {401: "authentication_error", 403: "permission_error", 404: "not_found_error", 429: "rate_limit_error"}
# In place of the router's bare phrase for an address or a method that it does not have.
_UNROUTED = {
    404: "there is nothing at this address; GET /openapi.json has all that there are",
    405: "this address does not take this method; the header Allow names those that it takes",
}


class Schema(BaseModel):
    """The base of all requests and answers: no field that is not declared."""

    model_config = ConfigDict(extra="forbid")


class ErrorBody(Schema):
    """What went wrong; `code` is a short word for programs, `param` the field that is meant."""

    message: str
    type: str
    code: str | None = None
    param: str | None = None


class ErrorAnswer(Schema):
    """The body of every answer of 4xx and 5xx."""

    error: ErrorBody


class Problem(HTTPException):
    """A request that is answered with an error.

    Args:
        status: the HTTP status, 400 to 599.
        message: what came, what was expected, what to do next; shown to the client.
        code: a short word for programs.
        param: the field of the request that is meant.
        headers: extra headers, such as Retry-After.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(status, message, dict(headers) if headers else None)
        self.message = message
        self.code = code
        self.param = param

    @property
    def body(self) -> dict[str, Any]:  # as JSON
        """The answer's body."""
        kind = _TYPES.get(self.status_code, "invalid_request_error" if self.status_code < 500 else "server_error")
        error = ErrorBody(message=self.message, type=kind, code=self.code, param=self.param)
        return ErrorAnswer(error=error).model_dump()


def busy(message: str, retry_after_seconds: float, code: str = "busy") -> Problem:
    """A 429 with Retry-After, in whole seconds and at least one (RFC 9110, 10.2.3)."""
    seconds = max(1, math.ceil(retry_after_seconds))
    return Problem(429, message, code=code, headers={"Retry-After": str(seconds)})


def no_room() -> Problem:
    """A 503: the disk took no more of a file."""
    return Problem(503, "the server has no room for the file; try again later", code="no_room")


def problem_of(error: Exception) -> Problem:
    """The answer to an error of this package; of anything else, a 500 that reveals nothing of the server."""
    match error:
        case Problem():
            return error
        case Busy():
            return busy(str(error), error.retry_after_seconds)
        case StoreFull():
            return busy(str(error), error.retry_after_seconds, code="store_full")
        case NoSuchFile():
            return Problem(404, str(error), code="file_not_found", param="file_id")
        case NoSuchJob():
            return Problem(404, str(error), code="job_not_found", param="job_id")
        case ClipRefused():
            return Problem(error.status, error.reason, code=error.code, param="file")
        case ChildDied():
            # The cause is in the file, as far as anybody can tell.
            return Problem(422, f"the file could not be processed: {error}", code="decoder_died", param="file")
        case MediaError():
            return Problem(422, error.problem, code="damaged", param="file")
        case InputError():
            return Problem(422, str(error), code="option")
        case AnnotationError():
            return Problem(502, error.message, code=error.kind)
        case EmotionLlamaError():  # its text may name folders of the server
            return Problem(503, "what is needed for the answer does not work at the moment", code="unavailable")
        case HTTPException():
            return Problem(error.status_code, _phrase(error), headers=error.headers)
    return Problem(500, "the server made a mistake; its log has the details under this answer's X-Request-ID")


def problem_response(problem: Problem) -> JSONResponse:
    """The answer that reports `problem`."""
    return JSONResponse(problem.body, problem.status_code, problem.headers)


async def send_problem(problem: Problem, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with `problem` from within a middleware."""
    await problem_response(problem)(scope, receive, send)


def invalid_request(errors: Sequence[Mapping[str, Any]], body: Any) -> Problem:
    """A 422 for a request that pydantic refused.

    Args:
        errors: of pydantic; `loc` begins with "body", "query", "path" or "header".
        body: what was sent, as parsed; None where it was not read.
    """
    # A value that fits no kind of a union has an error for each kind: the deepest is of the kind that was meant.
    error = max(errors, key=lambda each: len(each["loc"]))
    if error["type"] == "json_invalid":
        message = f"the body is not JSON: {error['ctx']['error']} (character {error['loc'][-1]})"
        return Problem(422, message, code="invalid")
    place = ".".join(_sent_names(error["loc"], body)) or None
    return Problem(422, f"{place or 'the body'}: {error['msg']}", code="invalid", param=place)


def error_responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """`responses=` of a route: the error form for each of `statuses`, for the OpenAPI document."""
    answers: dict[int | str, dict[str, Any]] = {}
    for status in statuses:
        phrase = HTTPStatus(status).phrase
        example = {"application/json": {"example": Problem(status, phrase).body}}
        answers[status] = {"model": ErrorAnswer, "description": phrase, "content": example}
        if status == 429:
            schema = {"type": "integer", "minimum": 1}
            answers[status]["headers"] = {"Retry-After": {"description": "seconds to wait", "schema": schema}}
    return answers


def _sent_names(place: Sequence[str | int], body: Any) -> list[str]:
    # Pydantic puts names of a union's kinds ("constrained-str") between those of fields; a client never sent them.
    where, *parts = place
    if where != "body":
        return [str(part) for part in parts]
    names = []
    for index, part in enumerate(parts):
        is_last = index == len(parts) - 1
        if isinstance(body, dict) and (part in body or is_last):
            body = body.get(part)
        elif isinstance(body, list) and isinstance(part, int) and part < len(body):
            body = body[part]
        else:
            continue
        names.append(str(part))
    return names


def _phrase(error: HTTPException) -> str:
    phrase = HTTPStatus(error.status_code).phrase
    if error.detail and error.detail != phrase:
        return str(error.detail)
    return _UNROUTED.get(error.status_code, phrase)
