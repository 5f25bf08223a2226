"""What a chat server's reply holds: its text, the model that answered, and the tokens it took."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, TypeGuard

from emotion_llama.chat.http_chat import Reply
from emotion_llama.errors import AnnotationError


class Count:
    """What one question has cost so far."""

    def __init__(self) -> None:
        self.attempts = self.tokens_in = self.tokens_out = 0
        self.is_told = False
        self._start = time.monotonic()

    @property
    def seconds(self) -> float:
        """Since it began."""
        return time.monotonic() - self._start

    def add(self, reply: Reply) -> int | None:
        """Tokens that the server says this reply took; a request that it turned away took none."""
        if reply.body is None:
            # Where the reply was lost or is no JSON, it may have been worked on: unknown, not nothing.
            return 0 if reply.status is not None and reply.status != 200 else None
        usage = reply.body.get("usage")
        if not isinstance(usage, dict):
            return None
        tokens_in, tokens_out = usage.get("prompt_tokens"), usage.get("completion_tokens")
        if not (_is_count(tokens_in) and _is_count(tokens_out)):
            return None
        self.is_told = True
        self.tokens_in += tokens_in
        self.tokens_out += tokens_out
        return tokens_in + tokens_out


def _is_count(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def text_of(body: Mapping[str, Any]) -> str:
    """The text of a chat reply.

    Raises:
        AnnotationError: "refused", "empty" or "malformed": there is none, or it is not whole.
    """
    choices = body.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    message = choice.get("message") if isinstance(choice, dict) else None
    if not isinstance(choice, dict) or not isinstance(message, dict):
        raise AnnotationError("malformed", "the server's reply holds no message")
    reason = choice.get("finish_reason")
    if message.get("refusal") or reason == "content_filter":
        raise AnnotationError("refused", "the server says that the model declined, or its filter stepped in")
    if reason == "length":
        raise AnnotationError("malformed", "the reply is longer than max_tokens allows and was cut off")
    content = message.get("content")
    if isinstance(content, list):
        texts = [part.get("text") for part in content if isinstance(part, dict) and part.get("type") == "text"]
        content = "".join(text for text in texts if isinstance(text, str))
    if content is None:
        raise AnnotationError("empty", "the reply holds no text")
    if not isinstance(content, str):
        raise AnnotationError("malformed", "the reply's content is no text")
    return content


def model_of(body: Mapping[str, Any]) -> str | None:
    """What the server says answered, where it is a name: more exact than what was asked for ("gpt-4o-2024-08-06")."""
    model = body.get("model")
    return model if isinstance(model, str) and 0 < len(model.strip()) <= 200 else None
