"""Deciding whether a model's reply is an answer: its form, its language, and that it is no refusal, echo or error text.

Pure: text in, checked values out. What is no answer raises AnnotationError of kind "refused", "empty" or "malformed",
whose message never holds the reply itself. Bounds and patterns are this project's own; they are meant to let every
honest description through, so that the consistency stage, not this module, judges content.

Naming an emotion in a description of face, picture or voice is allowed here: the label is shown in no such question,
so that there is nothing to leak.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from emotion_llama.chat.questions import Question, Task
from emotion_llama.chat.reply_texts import check_not_refused, empty, malformed, prose
from emotion_llama.errors import AnnotationError

MAX_REPLY_CHARACTERS = 40_000
MAX_LEAD_IN = 200  # "Here is the JSON you asked for:" before the object

Line = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=400)]
Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]


class _Reply(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class ExpressionReply(_Reply):
    """Answer to "expression"."""

    phrases: list[Line] = Field(min_length=1, max_length=12)


class TextReply(_Reply):
    """Answer to "visual" and "audio"."""

    text: Text


class ReasonReply(_Reply):
    """Answer to "reason"; `label` is one of the question's."""

    supporting: list[Line] = Field(min_length=1, max_length=16)
    misleading: list[Line] = Field(max_length=16)
    text: Text
    label: Line


class CheckReply(_Reply):
    """Answer to "check"."""

    holds: bool
    problems: list[Line] = Field(max_length=16)


REPLIES: Mapping[Task, type[_Reply]] = {
    "expression": ExpressionReply,
    "visual": TextReply,
    "audio": TextReply,
    "reason": ReasonReply,
    "check": CheckReply,
}


def reply_schema(task: Task, labels: Sequence[str] = ()) -> dict[str, Any]:
    """JSON schema of the task's reply, in the part of the language that structured output of servers knows.

    Lengths are left out (servers refuse them) and checked afterwards. The dict is what the server takes.
    """
    line: dict[str, Any] = {"type": "string"}
    lines: dict[str, Any] = {"type": "array", "items": line}
    label: dict[str, Any] = {"type": "string", "enum": list(labels)} if labels else line
    properties: Mapping[Task, dict[str, Any]] = {
        "expression": {"phrases": lines},
        "visual": {"text": line},
        "audio": {"text": line},
        "reason": {"supporting": lines, "misleading": lines, "text": line, "label": label},
        "check": {"holds": {"type": "boolean"}, "problems": lines},
    }
    own = properties[task]
    return {"type": "object", "properties": own, "required": list(own), "additionalProperties": False}


def check_reply(question: Question, reply: str, *, wording: str = "") -> dict[str, object]:
    """The values of a reply that should be one JSON object of the task's schema.

    Args:
        question: what was asked.
        reply: the model's text.
        wording: the prompt's own words, without what was filled in, so that an echo is known.

    Raises:
        AnnotationError: "empty", "refused" or "malformed".
    """
    text = _visible(reply)
    if not text:
        raise empty("the reply holds no text")
    if len(text) > MAX_REPLY_CHARACTERS:
        raise malformed(f"the reply has {len(text)} characters, expected at most {MAX_REPLY_CHARACTERS}")
    try:
        found = _one_object(text)
    except AnnotationError:
        check_not_refused(text, question)
        raise
    try:
        parsed = REPLIES[question.task].model_validate(found)
    except ValidationError as error:
        raise malformed(_problems(error)) from None  # the error's own text would quote the reply
    return _checked(question, parsed, wording)


def check_text(question: Question, reply: str) -> str:
    """A reply that is plain text, checked as a description is; for models that answer in prose.

    Raises:
        AnnotationError: "empty", "refused" or "malformed".
    """
    text = _visible(reply)
    if not text:
        raise empty("the reply holds no text")
    return prose(question, text, "")


# --- form -----------------------------------------------------------------------------------------------------------

_THINK = re.compile(r"\A\s*<think(?:ing)?>.*?</think(?:ing)?>", re.DOTALL | re.IGNORECASE)
_UNCLOSED_THINK = re.compile(r"\A\s*<think(?:ing)?>", re.IGNORECASE)
_FENCE = re.compile(r"\A\s*```(?:json|JSON)?\s*\n(?P<inside>.*?)\n?\s*```\s*\Z", re.DOTALL)


def _visible(reply: str) -> str:
    """The reply without hidden reasoning at its beginning; a reasoning that never ends leaves nothing."""
    bare = _THINK.sub("", reply, count=1)
    return "" if _UNCLOSED_THINK.match(bare) else bare.strip()


def _one_object(text: str) -> object:
    fenced = _FENCE.match(text)
    inside = fenced["inside"] if fenced else text
    start = inside.find("{")
    if start < 0:
        raise malformed("the reply is not JSON")
    lead = inside[:start].strip()
    if len(lead) > MAX_LEAD_IN or "<" in lead or "[" in lead:
        raise malformed("the reply does not begin with a JSON object")
    decoder = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_no_constant)
    try:
        found, end = decoder.raw_decode(inside, start)
    except (ValueError, RecursionError) as error:
        where = f" at character {error.pos}" if isinstance(error, json.JSONDecodeError) else ""
        raise malformed(f"the reply is not JSON or was cut off{where}") from None
    if inside[end:].strip() not in ("", "```"):
        raise malformed("the reply goes on after its JSON object")
    return found


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key twice")
    return found


def _no_constant(name: str) -> object:
    raise ValueError(f"{name} is no JSON")


def _problems(error: ValidationError) -> str:
    """What is wrong, by place and kind, in a fixed order; never with the value that came."""
    problems = []
    for one in error.errors(include_url=False, include_input=False, include_context=False):
        place = ".".join(str(part) for part in one["loc"] if part != "") or "reply"
        # A key that does not belong there was written by the model: it is counted, not quoted.
        problems.append("a key too many" if one["type"] == "extra_forbidden" else f"{place}: {one['msg']}")
    return "; ".join(dict.fromkeys(problems[:4]))


# --- content --------------------------------------------------------------------------------------------------------


def _checked(question: Question, reply: BaseModel, wording: str) -> dict[str, object]:
    if isinstance(reply, CheckReply):
        problems = [prose(question, one, wording, is_line=True) for one in reply.problems]
        if reply.holds == bool(problems):
            raise malformed("holds and problems contradict each other")
        return {"holds": reply.holds, "problems": problems}
    if isinstance(reply, ExpressionReply):
        phrases = [prose(question, one, wording, is_line=True).rstrip(".。;；") for one in reply.phrases]
        return {"phrases": list(dict.fromkeys(phrases))}
    if isinstance(reply, ReasonReply):
        label = reply.label.strip().lower()
        if label not in question.labels:
            raise malformed(f"label is none of {', '.join(question.labels)}")
        lines = {
            name: [prose(question, one, wording, is_line=True) for one in getattr(reply, name)]
            for name in ("supporting", "misleading")
        }
        return {"text": prose(question, reply.text, wording), **lines, "label": label}
    assert isinstance(reply, TextReply)
    return {"text": prose(question, reply.text, wording)}
