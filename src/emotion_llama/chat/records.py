"""What is asked of a chat model, and what it answered."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, NamedTuple

from emotion_llama.errors import AnnotationError


def plain_text(reply: str) -> dict[str, object]:
    """{"text": reply}; AnnotationError "empty" where there is none."""
    if not reply.strip():
        raise AnnotationError("empty", "the reply holds no text")
    return {"text": reply}


@dataclass(frozen=True, repr=False)
class ChatRequest:
    """One conversation.

    Attributes:
        user: the question.
        system: said first; may be None.
        prompt_sha256: of the prompt's file, for provenance.
        pictures_png: sent with it, in order.
        sound_wav: likewise; None sends none.
        parse: from a reply's text to its values; raises AnnotationError where it is no answer.
        again: asks once more, given what was wrong with the last reply.
        schema: name and JSON schema of the reply, for servers with structured output; None asks for plain text.
        begun: what the reply begins with, which is to be continued; None where it begins anew.
        fields: further fields of the request to a server, in place of its own.
    """

    user: str
    system: str | None = None
    prompt_sha256: str = ""
    pictures_png: tuple[bytes, ...] = ()
    sound_wav: bytes | None = None
    parse: Callable[[str], dict[str, object]] = plain_text
    again: Callable[[str], str] = str
    schema: tuple[str, Mapping[str, Any]] | None = None
    begun: str | None = None
    fields: Mapping[str, Any] = field(default_factory=dict)

    @property
    def media(self) -> tuple[int, bool]:
        """Number of pictures, and whether there is sound: a batch of a local model holds requests of one kind."""
        return len(self.pictures_png), self.sound_wav is not None

    def __repr__(self) -> str:
        return f"ChatRequest({len(self.user)} characters, {len(self.pictures_png)} pictures)"


class RawReply(NamedTuple):
    """A text as a backend received or generated it; tokens are None where nobody counts."""

    text: str
    model: str
    tokens_in: int | None = None
    tokens_out: int | None = None
    seconds: float = 0.0
    attempts: int = 1


@dataclass(frozen=True)
class Answer:
    """A checked answer.

    Attributes:
        values: as the request's `parse` has them.
        model: id of what answered.
        prompt_sha256: of the prompt's text before it was filled in; None where there was none.
        tokens_in, tokens_out: spent on all attempts, as the server counted; None where nothing counts.
        seconds: from asking to the answer, waiting included.
        attempts: 1 when the first reply was good.
        label_shown: whether the label of a MERR question was in the prompt; None: where the question has one.
    """

    values: Mapping[str, object]
    model: str
    prompt_sha256: str | None = None
    tokens_in: int | None = None
    tokens_out: int | None = None
    seconds: float = 0.0
    attempts: int = 1
    label_shown: bool | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", MappingProxyType(dict(self.values)))


Outcome = Answer | AnnotationError
