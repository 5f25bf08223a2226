"""POST /v1/chat/completions: questions about a clip in OpenAI's form, answered whole or as they are written."""

from __future__ import annotations

import json
import secrets
import shutil
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, ExitStack
from functools import partial
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request, Response

from emotion_llama.serve.auth import Owner
from emotion_llama.serve.chat.answers import Reply, reply_to
from emotion_llama.serve.chat.messages import read_chat
from emotion_llama.serve.chat.schemas import AnswerMessage, ChatCompletion, Choice, ClipOptions
from emotion_llama.serve.problems import error_json, error_responses, problem_of
from emotion_llama.serve.state import State
from emotion_llama.serve.streams import EventStream, unless_gone
from emotion_llama.serve.uploads import receive_json

router = APIRouter(tags=["chat"])

CHUNKS_EXAMPLE = (
    'data: {"id": "chatcmpl-0f9a", "object": "chat.completion.chunk", "created": 1790000000, "model": "rules", '
    '"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": null}]}\n\n'
    "data: [DONE]\n\n"
)


@router.post(
    "/v1/chat/completions",
    summary="Ask about a clip",
    operation_id="chat",
    response_model=ChatCompletion,
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/ChatRequest"}}},
        }
    },
    responses={
        200: {
            "description": "the answer; with `stream: true` its pieces as server-sent events",
            "content": {"text/event-stream": {"schema": {"type": "string"}, "example": CHUNKS_EXAMPLE}},
        },
        **error_responses(400, 401, 403, 404, 408, 413, 415, 421, 422, 429, 500, 502, 503),
    },
)
async def chat(request: Request, state: State, owner: Owner) -> Response:
    """Answer a question about a clip.

    The clip is the last one of the conversation: a `file` part with an id of /v1/files, or a data URI in a
    `video_url` part, or `input_audio`. A question begins with a task, `[emotion]`, `[reason]`, `[visual]` or `[audio]`,
    or is free. The clip is measured once; follow-ups, which send the same clip or id again, only cost the answer.
    `emotion_llama` beside the choices says whom the answer is about, and for [emotion] label and probabilities.
    """
    with ExitStack() as removal:
        folder = Path(tempfile.mkdtemp(prefix="chat-", dir=state.uploads_dir))
        removal.callback(shutil.rmtree, folder, ignore_errors=True)
        body, query = await receive_json(request, state, folder, partial(read_chat, folder))
        model = state.model_name(body.model)
        options = body.emotion_llama or ClipOptions()
        # A refusal is still an answer with a status: nothing is sent before the first piece is there.
        reply = await unless_gone(request.receive, reply_to(state, owner, model, query, options, removal))
    answer_id, now = f"chatcmpl-{secrets.token_hex(12)}", int(time.time())
    if body.stream:
        wants_usage = bool(body.stream_options and body.stream_options.include_usage)
        keep = AsyncExitStack()
        keep.push_async_callback(reply.close)
        return EventStream(_chunks(reply, answer_id, now, model, wants_usage=wants_usage), keep)
    try:
        text = await unless_gone(request.receive, _whole(reply))
    finally:
        await reply.close()
    whole = ChatCompletion(
        id=answer_id,
        created=now,
        model=model,
        choices=[Choice(message=AnswerMessage(content=text), finish_reason=reply.finish_reason)],
        usage=reply.usage,
        emotion_llama=reply.about,
    )
    return Response(whole.model_dump_json(), media_type="application/json")


async def _whole(reply: Reply) -> str:
    return "".join([piece async for piece in reply.pieces()])


async def _chunks(reply: Reply, answer_id: str, now: int, model: str, *, wants_usage: bool) -> AsyncIterator[bytes]:
    def chunk(delta: dict[str, str] | None, finish: str | None = None, **more: Any) -> bytes:
        choices = [] if delta is None else [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}]
        head = {"id": answer_id, "object": "chat.completion.chunk", "created": now, "model": model, "choices": choices}
        return _data({**head, **({"usage": None} if wants_usage else {}), **more})

    try:
        yield chunk({"role": "assistant", "content": ""}, emotion_llama=reply.about.model_dump(exclude_none=True))
        async for piece in reply.pieces():
            if piece:
                yield chunk({"content": piece})
        yield chunk({}, reply.finish_reason)
        if wants_usage:
            yield chunk(None, usage=reply.usage.model_dump())
        yield b"data: [DONE]\n\n"
    except Exception as error:  # noqa: BLE001  the answer has begun: an error can only be reported within it
        yield _data(error_json(problem_of(error)))


def _data(value: object) -> bytes:
    return f"data: {json.dumps(value, ensure_ascii=False)}\n\n".encode()
