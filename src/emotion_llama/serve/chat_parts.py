"""From a chat's messages to one question about one clip. Pure: nothing is opened, measured or asked here."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from emotion_llama.prompts.builder import Turn, user_text
from emotion_llama.prompts.tasks import TASKS
from emotion_llama.serve.chat_media import ClipReference, clip_of, wrong
from emotion_llama.serve.chat_schemas import DEFAULT_NEW_TOKENS, MAX_CHAT_TEXT, ChatRequest, Message, TextPart
from emotion_llama.serve.questions import Question

FREE = "free"
_TAG = re.compile(r"\s*\[([A-Za-z0-9_]{1,32})\]\s*")


@dataclass(frozen=True)
class Asked:
    """A chat as one question.

    Attributes:
        clip: what it is about: the last clip of the conversation.
        task: a name of `prompts.TASKS`; "free" without a tag.
        question: as the engine takes it.
        stop: texts that end the answer, and are not in it.
    """

    clip: ClipReference
    task: str
    question: Question
    stop: tuple[str, ...]


def asked(request: ChatRequest) -> Asked:
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
    task, words = split_tag(text_of(messages[-1]))
    return Asked(clip, task, _question(request, task, words, system, messages[first:-1]), _stops(request.stop))


def _question(
    request: ChatRequest, task: str, words: str, system: Sequence[str], before: Sequence[Message]
) -> Question:
    if task == FREE and not words:
        raise wrong(f"nothing is asked; write a question, or one of {_tags()}", "messages")
    instruction = "\n".join([*filter(None, system), words]) if task == FREE else words
    limit = request.max_completion_tokens or request.max_tokens or DEFAULT_NEW_TOKENS
    return Question(
        instruction=instruction,
        task=task,
        history=history_of(before),
        temperature=request.temperature or 0.0,
        top_p=1.0 if request.top_p is None else request.top_p,
        max_new_tokens=limit,
        seed=request.seed,
    )


def history_of(messages: Sequence[Message]) -> tuple[Turn, ...]:
    """Earlier questions with their answers, in the words that the prompt had then; several in a row count as one.

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
    task, words = split_tag(text)
    if task == FREE:
        return user_text(FREE, instruction=words) if words else text
    return user_text(task, instruction=words or None)


def text_of(message: Message) -> str:
    """The words of a message, its text parts one a line."""
    if isinstance(message.content, str):
        return message.content
    return "\n".join(part.text for part in message.content if isinstance(part, TextPart))


def split_tag(text: str) -> tuple[str, str]:
    """The task that a text begins with, such as `[reason]`, "free" without a tag; and the words after it.

    Raises:
        Problem: 400, there is no such task.
    """
    found = _TAG.match(text)
    if found is None:
        return FREE, text.strip()
    name = found[1].lower()
    if name not in TASKS or TASKS[name].tag is None:
        raise wrong(f"there is no task [{found[1]}]; there are: {_tags()}; without a tag the question is free",
                     "messages", code="unknown_task")  # fmt: skip
    return name, text[found.end() :].strip()


def _tags() -> str:
    return ", ".join(f"[{task.tag}]" for task in TASKS.values() if task.tag is not None)


def _stops(stop: str | list[str] | None) -> tuple[str, ...]:
    given = (stop,) if isinstance(stop, str) else tuple(stop or ())
    return tuple(text for text in given if text)
