"""Answers sent by middlewares and the application's edge: a problem as JSON."""

from __future__ import annotations

from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from emotion_llama.serve.problems import Problem


def problem_response(problem: Problem) -> JSONResponse:
    """The answer that tells of `problem`."""
    return JSONResponse(problem.body, problem.status_code, problem.headers)


async def send_problem(problem: Problem, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with `problem` from within a middleware."""
    await problem_response(problem)(scope, receive, send)
