"""POST /v1/analyze: a recording in; the published document, the page, or a stream of its stages out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any, NamedTuple

from fastapi import APIRouter, Request, Response

from emotion_llama.schema import AnalysisDocument
from emotion_llama.serve.analysis import FIELDS, AnalyzeForm, Seen, analyze_clip, parse_form, prediction_json
from emotion_llama.serve.auth import Owner
from emotion_llama.serve.chat.answers import linked, remember
from emotion_llama.serve.errors import Problem
from emotion_llama.serve.files import StoredFile
from emotion_llama.serve.problems import error_json, error_responses, problem_of
from emotion_llama.serve.state import ServeState, State
from emotion_llama.serve.streams import EventStream, event, event_of_json, unless_gone, with_signs_of_life
from emotion_llama.serve.uploads import ReceivedFile, receive_upload
from emotion_llama.serve.workers.worker import Analyzed

router = APIRouter(tags=["analyze"])

EVENTS = "text/event-stream"
EVENTS_EXAMPLE = (
    'event: progress\ndata: {"stage": "faces", "share": 0.5}\n\n'
    'event: answer\ndata: {"label": "happy", "probabilities": {"happy": 0.9}, "reasoning": "", "problem": null}\n\n'
    'event: result\ndata: {"schema_version": 1, "clip": {"path": "talk.mp4"}}\n\n'
)
PAGE_EXAMPLE = '<!doctype html>\n<html lang="en"><head><title>talk.mp4</title></head></html>'
# The page carries its own policy in a meta element; this one makes it a document of no origin as well.
PAGE_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; frame-ancestors 'none'; sandbox"


def multipart_body(form: type[AnalyzeForm] = AnalyzeForm) -> dict[str, Any]:
    """`openapi_extra` of a route that takes a recording and this form."""
    schema = form.model_json_schema()
    schema["title"] = "AnalyzeRequest"
    schema["properties"] = {
        "file": {"type": "string", "format": "binary", "description": "the recording: mp4, mov, webm, mkv, avi, wav, "
                 "mp3, flac, ogg or m4a; its first bytes decide, not its name"},
        "transcript": {"type": "string", "format": "binary", "description": "what is said: a .srt, .vtt, .ass "
                       "or .txt file"},
        **{name: _sendable(field) for name, field in schema["properties"].items()},
    }  # fmt: skip
    schema["anyOf"] = [{"required": ["file"]}, {"required": ["file_id"]}]
    return {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": schema}}}}


def _sendable(field: dict[str, Any]) -> dict[str, Any]:
    """A field's schema without null: a text field of a form is there or is not."""
    choices = [choice for choice in field.get("anyOf", ()) if choice != {"type": "null"}]
    kept = {name: value for name, value in field.items() if name != "anyOf" and value is not None}
    return kept if not choices else {**choices[0], **kept} if len(choices) == 1 else {**kept, "anyOf": choices}


@router.post(
    "/v1/analyze",
    summary="Analyse a recording",
    operation_id="analyze",
    openapi_extra=multipart_body(),
    response_class=Response,
    responses={
        200: {
            "description": "the analysis; with `Accept: text/event-stream` its stages, then the document",
            "model": AnalysisDocument,
            "content": {
                "text/html": {"schema": {"type": "string"}, "example": PAGE_EXAMPLE},
                EVENTS: {"schema": {"type": "string"}, "example": EVENTS_EXAMPLE},
            },
        },
        **error_responses(400, 401, 403, 404, 408, 413, 415, 421, 422, 429, 500, 503),
    },
)
async def analyze(request: Request, state: State, owner: Owner) -> Response:
    """Analyse a recording: measurements and predictions, as `emotion-llama analyze`.

    With `Accept: text/event-stream` events come as they happen: `progress` {stage, share}, `answer` (each model's
    answer), `page` {html} where format is html, `result` (the document), or `error`.
    """
    wants_events = EVENTS in request.headers.get("accept", "")
    async with AsyncExitStack() as stack:
        asked = await receive_clip(request, state, owner, stack)
        if wants_events:
            return EventStream(_events(state, owner, asked), stack.pop_all())
        return _answer(asked.form, await unless_gone(request.receive, _analyze(state, owner, asked)))


class Asked(NamedTuple):
    """A recording, and what is asked of it; `stored` where it was named by its id."""

    form: AnalyzeForm
    files: dict[str, ReceivedFile]
    stored: StoredFile | None


async def receive_clip(request: Request, state: ServeState, owner: str, stack: AsyncExitStack) -> Asked:
    """A request's recording, received or stored, in folders that go with `stack`.

    Raises:
        Problem: as `receive_upload` and `parse_form`; 404 no such model or stored file, 422 both kinds of file.
    """
    fields, files = await stack.enter_async_context(receive_upload(request, state, fields=FIELDS))
    form = parse_form(fields)
    state.model_name(form.model)
    if form.file_id is None:
        return Asked(form, files, None)
    if "file" in files:
        raise Problem(422, "file_id: the recording is sent as well; send one of both", code="option", param="file_id")
    stored = await asyncio.to_thread(state.files.get, owner, form.file_id)
    path = await linked(state, stored, stack)
    return Asked(form, {**files, "file": ReceivedFile(path, stored.name, stored.num_bytes, stored.kind)}, stored)


async def _analyze(state: ServeState, owner: str, asked: Asked, **callbacks: Any) -> Analyzed:
    clip, transcript, seen = asked.files["file"], asked.files.get("transcript"), Seen()
    analyzed = await analyze_clip(
        state, clip.path, asked.form, shown_name=clip.name, transcript=None if transcript is None else transcript.path,
        seen=None if asked.stored is None else seen, **callbacks,
    )  # fmt: skip
    if asked.stored is not None and transcript is None:
        await remember(state, owner, asked.stored, asked.form, analyzed, seen)
    return analyzed


def _answer(form: AnalyzeForm, analyzed: Analyzed) -> Response:
    if form.format == "html":
        return Response(
            analyzed.html, media_type="text/html; charset=utf-8", headers={"Content-Security-Policy": PAGE_POLICY}
        )
    return Response(analyzed.document_json, media_type="application/json")


async def _events(state: ServeState, owner: str, asked: Asked) -> AsyncIterator[bytes]:
    queue: asyncio.Queue[bytes | None] = asyncio.Queue()

    async def work() -> None:
        try:
            analyzed = await _analyze(
                state,
                owner,
                asked,
                progress=lambda stage, share: queue.put_nowait(event("progress", {"stage": stage, "share": share})),
                answered=lambda prediction: queue.put_nowait(event("answer", prediction_json(prediction))),
            )
            if analyzed.html is not None:
                queue.put_nowait(event("page", {"html": analyzed.html}))
            queue.put_nowait(event_of_json("result", analyzed.document_json))
        except Exception as error:  # noqa: BLE001  the answer has begun: an error can only be reported within it
            queue.put_nowait(event("error", error_json(problem_of(error))))
        finally:
            queue.put_nowait(None)

    task = asyncio.ensure_future(work())
    try:
        async for piece in with_signs_of_life(queue):
            yield piece
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
