"""Errors as HTTP answers: one JSON form (OpenAI's), a status for each error of this package, never a traceback."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse

from emotion_llama.errors import AnnotationError, EmotionLlamaError, InputError, MediaError
from emotion_llama.serve.errors import Problem

# Status -> the type that OpenAI's clients know (platform.openai.com/docs/guides/error-codes); all else by its hundred.
_TYPES = {401: "authentication_error", 403: "permission_error", 404: "not_found_error", 429: "rate_limit_error"}
# In place of the router's bare phrase for an address or a method that it does not have.
_UNROUTED = {
    404: "there is nothing at this address; GET /openapi.json has all that there are",
    405: "this address does not take this method; the header Allow names those that it takes",
}


class Schema(BaseModel):
    """The base of all JSON requests and answers: strict types, and no field that is not declared."""

    model_config = ConfigDict(extra="forbid", strict=True)


class ErrorBody(Schema):
    """What went wrong; `code` is a short word for programs, `param` the field that is meant."""

    message: str
    type: str
    code: str | None = None
    param: str | None = None


class ErrorAnswer(Schema):
    """The body of every answer of 4xx and 5xx."""

    error: ErrorBody


def problem_of(error: Exception) -> Problem:
    """The answer to any error; for one that is not of this package, a 500 that reveals nothing of the server."""
    match error:
        case Problem():
            return error
        case RequestValidationError():
            return _invalid_request(error.errors(), error.body)
        case ClientDisconnect():
            return Problem(400, "the client went away before its body was complete", code="body")
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


def error_json(problem: Problem) -> dict[str, Any]:  # as JSON
    """The body of the answer that reports `problem`."""
    kind = _TYPES.get(problem.status, "invalid_request_error" if problem.status < 500 else "server_error")
    body = ErrorBody(message=problem.message, type=kind, code=problem.code, param=problem.param)
    return ErrorAnswer(error=body).model_dump()


def problem_response(problem: Problem) -> JSONResponse:
    """The answer that reports `problem`; an ASGI application, for middleware."""
    return JSONResponse(error_json(problem), problem.status, problem.headers)


def error_responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """`responses=` of a route: the error form for each of `statuses`, for the OpenAPI document."""
    answers: dict[int | str, dict[str, Any]] = {}
    for status in statuses:
        phrase = HTTPStatus(status).phrase
        example = {"application/json": {"example": error_json(Problem(status, phrase))}}
        answers[status] = {"model": ErrorAnswer, "description": phrase, "content": example}
        if status == 429:
            schema = {"type": "integer", "minimum": 1}
            answers[status]["headers"] = {"Retry-After": {"description": "seconds to wait", "schema": schema}}
    return answers


def _invalid_request(errors: Sequence[Mapping[str, Any]], body: Any) -> Problem:
    """A 422 for a request that pydantic refused; `loc` of an error begins with "body", "query", "path" or "header"."""
    # A value that fits no kind of a union has an error for each kind: the deepest is of the kind that was meant.
    error = max(errors, key=lambda each: len(each["loc"]))
    if error["type"] == "json_invalid":
        message = f"the body is not JSON: {error['ctx']['error']} (character {error['loc'][-1]})"
        return Problem(422, message, code="invalid")
    place = ".".join(_sent_names(error["loc"], body)) or None
    return Problem(422, f"{place or 'the body'}: {error['msg']}", code="invalid", param=place)


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
