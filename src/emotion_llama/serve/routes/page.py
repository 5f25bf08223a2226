"""The web page: its files, its example clips, and what it has to know about the server; needs no key, gives no data."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from functools import lru_cache
from importlib import resources
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from emotion_llama import __version__
from emotion_llama.serve.chat.answers import tasks_of
from emotion_llama.serve.errors import Problem
from emotion_llama.serve.settings import ServeSettings
from emotion_llama.serve.state import State

if TYPE_CHECKING:
    from emotion_llama.predictors import Predictor

router = APIRouter(include_in_schema=False)  # the page is no API

_EXAMPLES = "examples"
_LIST = "examples.json"
# A name with a suffix and no folder: no name leads out of the two folders.
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*(\.[a-z]{2})?\.([a-z0-9]+)")
_MEDIA_TYPES = {
    "css": "text/css; charset=utf-8",
    "html": "text/html; charset=utf-8",
    "jpg": "image/jpeg",
    "js": "text/javascript; charset=utf-8",
    "json": "application/json",
    "mp4": "video/mp4",
    "srt": "text/plain; charset=utf-8",
    "svg": "image/svg+xml",
}


_OFFERED = ["emotion", "reason", "visual", "audio"]  # tasks that have a button in the page, where a model can do them
_File = tuple[bytes, str, str]  # content, media type, ETag


@router.get("/")
async def index(request: Request) -> Response:
    """The page."""
    return _answer(request, _packaged("", "index.html"))


@router.get("/page/settings.json")
async def page_settings(state: State) -> Response:
    """What the page has to know about the server; it holds no secret, and is the same for everybody."""
    return JSONResponse(
        describe(state.settings, getattr(state, "predictors", {})), headers={"Cache-Control": "no-store"}
    )


@router.get("/page/examples/{name}")
async def example(request: Request, name: str, state: State) -> Response:
    """A file of an example: the clip, its subtitles, its poster."""
    return _answer(request, _own_example(state.settings, name) or _packaged(_EXAMPLES, name))


@router.get("/page/{name}")
async def asset(request: Request, name: str) -> Response:
    """A script, style sheet or list of strings."""
    return _answer(request, _packaged("", name))


def describe(settings: ServeSettings, predictors: Mapping[str, Predictor]) -> dict[str, Any]:  # as JSON
    """The settings that the page shows or obeys, and the tasks that each model can do."""
    tasks = {name: [task for task in tasks_of(one) if task in _OFFERED] for name, one in predictors.items()}
    return {
        "version": __version__,
        "models": [
            {
                "name": name,
                "is_rules": kind == "rules",
                "tasks": tasks.get(name, _OFFERED),
            }
            for name, kind in settings.models.items()
        ],
        "default_model": settings.model,
        "needs_key": bool(settings.api_keys),
        "is_local": settings.is_private,
        "keeps_uploads": settings.keep_uploads,
        "file_minutes": settings.file_minutes,
        "max_upload_bytes": settings.max_upload_bytes,
        "max_duration_seconds": settings.max_duration_seconds,
        "max_job_seconds": settings.max_job_seconds,
        "examples": _examples(settings),
    }


def _examples(settings: ServeSettings) -> list[dict[str, Any]]:  # as JSON
    """The package's own, or those of the folder that the server was given; these have no poster."""
    if settings.examples_dir is None:
        listed = _packaged(_EXAMPLES, _LIST)
        assert listed is not None
        examples: list[dict[str, Any]] = json.loads(listed[0])
        return examples
    clips = settings.example_clips()
    return [
        {
            "name": path.stem,
            "clip": name,
            "poster": None,
            "words": f"{path.stem}.srt" if path.with_suffix(".srt").is_file() else None,
        }
        for name, path in clips.items()
    ]


def _own_example(settings: ServeSettings, name: str) -> _File | None:
    """A file of the server's own examples: only names that its list holds, so no path is ever taken from a client."""
    if settings.examples_dir is None:
        return None
    clips = settings.example_clips()
    allowed = {file.name: file for path in clips.values() for file in (path, path.with_suffix(".srt"))}
    path = allowed.get(name)
    if path is None or not path.is_file():
        return None
    return _file(path.read_bytes(), path.suffix.removeprefix("."))


@lru_cache(maxsize=128)
def _packaged(folder: str, name: str) -> _File | None:
    """A file of the package; None where there is none of that name."""
    match = _NAME.fullmatch(name)
    if match is None or match[2] not in _MEDIA_TYPES:
        return None
    root = resources.files("emotion_llama.serve").joinpath("web")
    path = (root / folder if folder else root) / name
    if not path.is_file():
        return None
    return _file(path.read_bytes(), match[2])


def _file(content: bytes, suffix: str) -> _File:
    return content, _MEDIA_TYPES[suffix], f'"{hashlib.sha256(content).hexdigest()[:32]}"'


def _answer(request: Request, file: _File | None) -> Response:
    """The file, or 304 where the browser has it; it asks each time, so that a new version is seen at once."""
    if file is None:
        raise Problem(404, f"there is no page {request.url.path}", code="not_found")
    content, media_type, etag = file
    headers = {"ETag": etag, "Cache-Control": "no-cache"}
    if request.headers.get("if-none-match") == etag:
        return Response(status_code=304, headers=headers)
    return Response(content, media_type=media_type, headers=headers)
