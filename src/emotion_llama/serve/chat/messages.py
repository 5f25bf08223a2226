"""From the messages of a chat to one question about one clip; nothing is measured or fetched here."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes

from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError

from emotion_llama.media.kinds import KINDS, SNIFF_BYTES, sniff
from emotion_llama.prompts.builder import Turn, user_text
from emotion_llama.prompts.tasks import TASKS
from emotion_llama.serve.chat.schemas import (
    DEFAULT_NEW_TOKENS,
    MAX_CHAT_TEXT,
    ChatRequest,
    FilePart,
    Message,
    SoundPart,
    TextPart,
    VideoPart,
)
from emotion_llama.serve.errors import Problem, no_room
from emotion_llama.serve.workers.pool import name_to_show

_DATA_URI = re.compile(r"""data:[\w.+-]*/?[\w.+-]*(?:;[\w.+-]+=(?:"[^"]*"|[\w.+-]+))*(;base64)?,""", re.IGNORECASE)
_URL_SAFE = bytes.maketrans(b"-_", b"+/")
_TAG = re.compile(r"\s*\[([A-Za-z0-9_]{1,32})\]\s*")
FREE = "free"


@dataclass(frozen=True, repr=False)
class ClipReference:
    """A clip that a message names: a file that was uploaded before, or one that came in the request.

    Attributes:
        file_id: of the uploaded file; None for one that came in the request.
        text: of that: a data URI, or base64 alone; "" once it is on disk.
        is_uri: which of these.
        name: what the client called it.
        path, sha256: where it is on disk, and of its content; None before.
    """

    file_id: str | None = None
    text: str = ""
    is_uri: bool = True
    name: str = "clip"
    path: Path | None = None
    sha256: str = ""

    def __repr__(self) -> str:
        return f"ClipReference({self.file_id or self.name!r}, {len(self.text)} characters)"


@dataclass(frozen=True)
class ChatQuestion:
    """A chat as one question.

    Attributes:
        clip: what it is about: the last clip of the conversation.
        task: a name of `prompts.TASKS`; "free" without a tag.
        turns: the question, and earlier ones with their answers before it.
        options: others of `Predictor.stream`.
        stop: texts that end the answer, and are not in it.
    """

    clip: ClipReference
    task: str
    turns: tuple[Turn, ...]
    options: Mapping[str, Any]
    stop: tuple[str, ...]


def read_chat(folder: Path, raw: bytes) -> tuple[ChatRequest, ChatQuestion]:
    """A request without its messages, and what they ask; a clip among them is written into the folder.

    Raises:
        RequestValidationError: this is no chat.
        Problem: as `question_of`, `inline_bytes` and `kind_of`; 422 it is no JSON, 503 there is no room for the clip.
    """
    try:
        body = json.loads(raw)
    except json.JSONDecodeError as error:
        raise Problem(422, f"the body is not JSON: {error.msg} (character {error.pos})", code="invalid") from None
    except (UnicodeDecodeError, RecursionError) as error:
        raise Problem(422, f"the body is not JSON: {str(error)[:100]}", code="invalid") from None
    try:
        request = ChatRequest.model_validate(body)
    except ValidationError as error:
        found = [{**one, "loc": ("body", *one["loc"])} for one in error.errors(include_url=False)]
        raise RequestValidationError(found, body=body) from None
    question = question_of(request)
    if question.clip.file_id is None:
        data = inline_bytes(question.clip)
        path = folder / f"clip.{kind_of(data)}"
        try:
            path.write_bytes(data)
        except OSError as error:
            raise no_room() from error
        name = name_to_show(question.clip.name)
        clip = ClipReference(name=name, path=path, sha256=hashlib.sha256(data).hexdigest())
        question = replace(question, clip=clip)
    return request.model_copy(update={"messages": []}), question


def clip_of(message: Message, number: int) -> ClipReference | None:
    """The clip in a message, the `number`th of the chat; None where there is none.

    Raises:
        Problem: 400, there are several, one is not the user's, or its address is not a data URI.
    """
    if isinstance(message.content, str):
        return None
    found = [_reference(part) for part in message.content if not isinstance(part, TextPart)]
    if found and message.role != "user":
        raise wrong(f"a clip is in a message of the role {message.role!r}; clips come from the user", "messages")
    if len(found) > 1:
        raise wrong(f"message {number} holds {len(found)} clips; ask about one at a time", "messages")
    return found[0] if found else None


def _reference(part: VideoPart | FilePart | SoundPart) -> ClipReference:
    if isinstance(part, SoundPart):
        return ClipReference(text=part.input_audio.data, is_uri=False, name="sound")
    if isinstance(part, VideoPart):
        return _uri(part.video_url.url, "clip", "video_url")
    given = part.file
    if (given.file_id is None) == (given.file_data is None):
        raise wrong("a file is named by file_id or carried in file_data, one of the two", "file")
    if given.file_id is not None:
        return ClipReference(given.file_id)
    assert given.file_data is not None
    return _uri(given.file_data, given.filename or "clip", "file_data")


def _uri(text: str, name: str, param: str) -> ClipReference:
    if _DATA_URI.match(text[:256]) is None:
        scheme = text[:64].partition(":")[0].lower()
        what = f"addresses ({scheme}:) are" if re.fullmatch(r"[a-z][a-z0-9+.-]{1,15}", scheme) else "such an address is"
        raise wrong(
            f"{what} not fetched or opened by this server; send the clip itself as data:video/mp4;base64,... or upload "
            "it with POST /v1/files and give its file_id", param, code="url_not_allowed",
        )  # fmt: skip
    return ClipReference(text=text, name=name)


def inline_bytes(clip: ClipReference) -> bytes:
    """The file that came in a request.

    Raises:
        Problem: 400, it is not base64, or empty.
    """
    text, is_base64 = clip.text, True
    if clip.is_uri:
        head = _DATA_URI.match(text[:256])
        assert head is not None  # `_uri` has checked
        text, is_base64 = text[head.end() :], head[1] is not None
    try:
        # Both alphabets of RFC 4648; line breaks, which encoders put in, are dropped.
        raw = text.encode("ascii")
        data = (
            base64.b64decode(raw.translate(_URL_SAFE, b"\r\n \t"), validate=True)
            if is_base64
            else unquote_to_bytes(raw)
        )
    except (UnicodeEncodeError, binascii.Error) as error:
        raise wrong("the clip's data is not base64 (RFC 4648)", "messages", code="not_base64") from error
    if not data:
        raise wrong("the clip's data is empty", "messages", code="empty")
    return data


def kind_of(data: bytes) -> str:
    """The suffix of a file by its first bytes.

    Raises:
        Problem: 415, this is no recording.
    """
    kind = sniff(data[:SNIFF_BYTES])
    if kind is None:
        raise Problem(
            415, f"the clip is not a recording that is known here; expected one of: {', '.join(KINDS)}",
            code="no_media", param="messages",
        )  # fmt: skip
    return kind


def wrong(message: str, param: str, code: str = "invalid") -> Problem:
    """A 400 about a field of the request."""
    return Problem(400, message, code=code, param=param)


def question_of(request: ChatRequest) -> ChatQuestion:
    """The question that a chat ends with.

    Raises:
        Problem: 400, it does not end with a question of the user, has no clip, or a part that is not taken.
    """
    messages = request.messages
    length = sum(len(text_of(message)) for message in messages)
    if length > MAX_CHAT_TEXT:
        raise wrong(
            f"the chat has {length} characters of text, up to {MAX_CHAT_TEXT} are taken; leave out earlier turns",
            "messages",
            code="too_long",
        )
    if messages[-1].role != "user":
        raise wrong("the last message must be the user's question", "messages")
    clips = [clip_of(message, number) for number, message in enumerate(messages)]
    clip = next((found for found in reversed(clips) if found is not None), None)
    if clip is None:
        raise wrong(
            "the chat is about no clip; add one to a user message: {'type': 'file', 'file': {'file_id': ...}} with an "
            "id from POST /v1/files, or {'type': 'video_url', 'video_url': {'url': 'data:video/mp4;base64,...'}}",
            "messages", code="no_clip",
        )  # fmt: skip
    # What was said of another clip before is not about this one. Clients send the whole chat each time, so that the
    # same clip may come several times.
    last_other = max((i for i, found in enumerate(clips) if found not in (None, clip)), default=-1)
    first = next(i for i, found in enumerate(clips) if i > last_other and found == clip)
    system = [text_of(message) for message in messages if message.role in ("system", "developer")]
    task, text = split_tag(text_of(messages[-1]))
    return ChatQuestion(
        clip,
        task,
        (*history_of(messages[first:-1]), _question(task, text, system)),
        _options(request),
        _stops(request.stop),
    )


def _question(task: str, text: str, system: Sequence[str]) -> Turn:
    if task == FREE and not text:
        raise wrong(f"nothing is asked; write a question, or one of {_tags()}", "messages")
    return Turn("\n".join([*filter(None, system), text]) if task == FREE else text)


def _options(request: ChatRequest) -> dict[str, Any]:
    return {
        "temperature": request.temperature or 0.0,
        "top_p": 1.0 if request.top_p is None else request.top_p,
        "max_new_tokens": request.max_completion_tokens or request.max_tokens or DEFAULT_NEW_TOKENS,
        "seed": request.seed,
    }


def history_of(messages: Sequence[Message]) -> tuple[Turn, ...]:
    """Earlier questions with their answers, in the wording that the prompt had then; several in a row count as one.

    Raises:
        Problem: 400, an answer comes before any question.
    """
    turns: list[Turn] = []
    questions: list[str] = []
    for message in messages:
        text = text_of(message).strip()
        if message.role == "user" and text:
            questions.append(text)
        elif message.role == "assistant":
            if not questions and not turns:
                raise wrong("an assistant's message comes before any question about the clip", "messages")
            if questions:
                turns.append(Turn(_as_asked("\n".join(questions)), text))
                questions = []
            elif text:
                turns[-1] = Turn(turns[-1].text, f"{turns[-1].answer}\n{text}")
    return (*turns, *(Turn(_as_asked(question)) for question in questions))


def _as_asked(text: str) -> str:
    task, rest = split_tag(text)
    if task == FREE:
        return user_text(FREE, instruction=rest) if rest else text
    return user_text(task, instruction=rest or None)


def text_of(message: Message) -> str:
    """The text of a message, its text parts one a line."""
    if isinstance(message.content, str):
        return message.content
    return "\n".join(part.text for part in message.content if isinstance(part, TextPart))


def split_tag(text: str) -> tuple[str, str]:
    """The task that a text begins with, such as `[reason]`, "free" without a tag; and the text after it.

    Raises:
        Problem: 400, there is no such task.
    """
    found = _TAG.match(text)
    if found is None:
        return FREE, text.strip()
    name = found[1].lower()
    if TASKS.get(name) is None:
        raise wrong(f"there is no task [{found[1]}]; there are: {_tags()}; without a tag the question is free",
                     "messages", code="unknown_task")  # fmt: skip
    return name, text[found.end() :].strip()


def _tags() -> str:
    return ", ".join(f"[{name}]" for name, pool in TASKS.items() if pool is not None)


def _stops(stop: str | list[str] | None) -> tuple[str, ...]:
    given = (stop,) if isinstance(stop, str) else tuple(stop or ())
    return tuple(text for text in given if text)
