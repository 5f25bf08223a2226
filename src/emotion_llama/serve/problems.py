"""Errors as HTTP answers: one JSON form (OpenAI's), a status for each error of this package, never a traceback."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from pydantic import BaseModel, ConfigDict
from starlette.exceptions import HTTPException

from emotion_llama.errors import AnnotationError, EmotionLlamaError, InputError, MediaError
from emotion_llama.serve.busy import Busy
from emotion_llama.serve.isolation.limits import ChildDied, ClipRefused

# Status -> the type that OpenAI's clients know (platform.openai.com/docs/guides/error-codes); all else by its hundred.
_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
}


# What a router says of an address or a method that it does not have, in words that help.
_UNROUTED = {
    404: "there is nothing at this address; GET /openapi.json has all that there are",
    405: "this address does not take this method; the header Allow names those that it takes",
}


class ErrorBody(BaseModel):
    """What went wrong; `code` is a short word for programs, `param` the field that is meant."""

    model_config = ConfigDict(extra="forbid")

    message: str
    type: str
    code: str | None = None
    param: str | None = None


class ErrorAnswer(BaseModel):
    """The body of every answer of 4xx and 5xx."""

    model_config = ConfigDict(extra="forbid")

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


def problem_of(error: Exception) -> Problem:
    """The answer to an error of this package; of anything else, a 500 that says nothing of the server's inside."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, Busy):
        return busy(str(error), error.retry_after_seconds)
    if isinstance(error, ClipRefused):
        return Problem(error.status, error.reason, code=error.code, param="file")
    if isinstance(error, ChildDied):
        # What a decoder died of is in the file, as far as anybody can tell: the client's matter.
        return Problem(422, f"the file could not be worked on: {error}", code="decoder_died", param="file")
    if isinstance(error, MediaError):
        return Problem(422, error.problem, code="damaged", param="file")
    if isinstance(error, InputError):
        return Problem(422, str(error), code="option")
    if isinstance(error, AnnotationError):
        return Problem(502, error.message, code=error.kind)
    if isinstance(error, EmotionLlamaError):
        # Its text may name folders of the server.
        return Problem(503, "what is needed for the answer does not work at the moment", code="unavailable")
    if isinstance(error, HTTPException):
        return Problem(error.status_code, _phrase(error), code=None, headers=error.headers)
    return Problem(500, "the server made a mistake; its log has the details under this answer's X-Request-ID")


def invalid_request(errors: Sequence[Mapping[str, Any]], body: Any) -> Problem:
    """A 422 for a request that pydantic refused.

    Args:
        errors: of pydantic; `loc` begins with "body", "query", "path" or "header".
        body: what was sent, as parsed; None where it was not read.
    """
    # A value that fits no kind of a union has an error for each kind: the deepest is of the kind that was meant.
    error = max(errors, key=lambda each: len(each["loc"]))
    if error["type"] == "json_invalid":
        told = f"the body is not JSON: {error['ctx']['error']} (character {error['loc'][-1]})"
        return Problem(422, told, code="invalid")
    place = ".".join(_sent_names(error["loc"], body)) or None
    return Problem(422, f"{place or 'the body'}: {error['msg']}", code="invalid", param=place)


def error_responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """`responses=` of a route: the error form for each of `statuses`, for the OpenAPI document."""
    answers: dict[int | str, dict[str, Any]] = {}
    for status in statuses:
        phrase = HTTPStatus(status).phrase
        example = Problem(status, phrase).body
        answers[status] = {
            "model": ErrorAnswer,
            "description": phrase,
            "content": {"application/json": {"example": example}},
        }
        if status == 429:
            answers[status]["headers"] = {
                "Retry-After": {"description": "seconds to wait", "schema": {"type": "integer", "minimum": 1}}
            }
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
