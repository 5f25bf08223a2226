"""The ASGI application: routes, middleware and error answers around the shared state."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.routing import Match

from emotion_llama import __version__
from emotion_llama.errors import EmotionLlamaError
from emotion_llama.serve.auth import Guard
from emotion_llama.serve.middleware import METHODS, BodyGuard, CountRequests, Edge, HostGuard
from emotion_llama.serve.openapi import document
from emotion_llama.serve.problems import problem_of, problem_response
from emotion_llama.serve.routes import analyze, chat, files, health, jobs, page
from emotion_llama.serve.settings import ServeSettings
from emotion_llama.serve.state import ServeState, running

DESCRIPTION = """Who feels what in a recording, how sure, on which evidence, and why.

The server describes expressions: what a face, a voice and words show. What a person feels is not visible in them; do
not base decisions about people on it.

Errors have one form, OpenAI's: `{"error": {"message", "type", "code", "param"}}`.
"""


def create_app(settings: ServeSettings, state: ServeState) -> FastAPI:
    """The ASGI application; its lifespan starts and stops what `state` holds."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with running(state):
            yield

    # No pages of documentation: FastAPI's load scripts from elsewhere.
    app = FastAPI(
        title="emotion-llama", version=__version__, description=DESCRIPTION, lifespan=lifespan, docs_url=None,
        redoc_url=None, servers=[{"url": "/", "description": "the server that this document comes from"}],
    )  # fmt: skip
    app.state.serve = state
    for routes in (health, analyze, chat, files, jobs, page):
        app.include_router(routes.router)
    if settings.review_dir is not None:
        from emotion_llama.serve.routes.review import build_router

        app.include_router(build_router(settings.review_dir))
    app.openapi = partial(document, app, has_keys=bool(settings.api_keys))  # type: ignore[method-assign]
    _add_error_answers(app)
    _add_middleware(app, settings, state)
    return app


def _add_error_answers(app: FastAPI) -> None:
    async def answer(request: Request, error: Exception) -> Response:
        problem = problem_of(error)
        if problem.status == 405:
            problem.headers["Allow"] = ", ".join(_methods(app, request))
        return problem_response(problem)

    for kind in (RequestValidationError, ClientDisconnect, EmotionLlamaError, HTTPException):
        app.add_exception_handler(kind, answer)


def _methods(app: FastAPI, request: Request) -> list[str]:
    """All methods that the request's path takes; the router names those of the first of its routes alone."""
    scope = {"type": "http", "path": request.scope["path"], "root_path": "", "headers": []}
    return [
        method
        for method in METHODS
        if any(route.matches({**scope, "method": method})[0] is Match.FULL for route in app.routes)
    ]


def _add_middleware(app: FastAPI, settings: ServeSettings, state: ServeState) -> None:
    # The last one added is the outermost: names and keys are checked before a byte of the body is read.
    app.add_middleware(Guard, settings=settings)
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins,
            allow_methods=("GET", "POST", "DELETE"),
            allow_headers=("Authorization", "Content-Type", "X-Request-ID"),
            expose_headers=("X-Request-ID", "Retry-After"),
            max_age=600,
        )
    app.add_middleware(HostGuard, settings=settings)
    app.add_middleware(BodyGuard, settings=settings)  # around those that refuse, so that what they refuse is drained
    app.add_middleware(CountRequests, metrics=state.metrics)
    app.add_middleware(Edge)
