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
import zlib
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from emotion_llama.annotators.annotator import Language, Question, Task
from emotion_llama.annotators.reply_language import why_other_language
from emotion_llama.errors import AnnotationError

# Longest texts, in characters: a Chinese description is about a third as long as the same one in English.
MOST_CHARACTERS: Mapping[Task, int] = {"visual": 1500, "audio": 1000, "reason": 4000}
MOST_REPLY_CHARACTERS = 40_000
MOST_LEAD_IN = 200  # "Here is the JSON you asked for:" before the object
ECHO_WORDS, ECHO_CHARACTERS = 8, 14  # a run of the prompt's own words (Chinese: characters) that no answer repeats
MOST_REPEATED = 0.12  # compressed share of a text below which it goes round in circles; prose of any length is > 0.3
SHORTEST_LOOP_BYTES = 240

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
        raise _empty("the reply holds no text")
    if len(text) > MOST_REPLY_CHARACTERS:
        raise _malformed(f"the reply has {len(text)} characters, expected at most {MOST_REPLY_CHARACTERS}")
    try:
        found = _one_object(text)
    except AnnotationError:
        _check_not_refused(text, question)
        raise
    try:
        parsed = REPLIES[question.task].model_validate(found)
    except ValidationError as error:
        raise _malformed(_problems(error)) from None  # the error's own text would quote the reply
    return _checked(question, parsed, wording)


def check_text(question: Question, reply: str) -> str:
    """A reply that is plain text, checked as a description is; for models that answer in prose.

    Raises:
        AnnotationError: "empty", "refused" or "malformed".
    """
    text = _visible(reply)
    if not text:
        raise _empty("the reply holds no text")
    return _prose(question, text, "")


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
        raise _malformed("the reply is not JSON")
    lead = inside[:start].strip()
    if len(lead) > MOST_LEAD_IN or "<" in lead or "[" in lead:
        raise _malformed("the reply does not begin with a JSON object")
    decoder = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_no_constant)
    try:
        found, end = decoder.raw_decode(inside, start)
    except (ValueError, RecursionError) as error:
        where = f" at character {error.pos}" if isinstance(error, json.JSONDecodeError) else ""
        raise _malformed(f"the reply is not JSON or was cut off{where}") from None
    if inside[end:].strip() not in ("", "```"):
        raise _malformed("the reply goes on after its JSON object")
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
    told = []
    for one in error.errors(include_url=False, include_input=False, include_context=False):
        place = ".".join(str(part) for part in one["loc"] if part != "") or "reply"
        # A key that does not belong there was written by the model: it is counted, not quoted.
        told.append("a key too many" if one["type"] == "extra_forbidden" else f"{place}: {one['msg']}")
    return "; ".join(dict.fromkeys(told[:4]))


# --- content --------------------------------------------------------------------------------------------------------


def _checked(question: Question, reply: BaseModel, wording: str) -> dict[str, object]:
    if isinstance(reply, CheckReply):
        problems = [_prose(question, one, wording, is_line=True) for one in reply.problems]
        if reply.holds == bool(problems):
            raise _malformed("holds and problems contradict each other")
        return {"holds": reply.holds, "problems": problems}
    if isinstance(reply, ExpressionReply):
        phrases = [_prose(question, one, wording, is_line=True).rstrip(".。;；") for one in reply.phrases]
        return {"phrases": list(dict.fromkeys(phrases))}
    if isinstance(reply, ReasonReply):
        label = reply.label.strip().lower()
        if label not in question.labels:
            raise _malformed(f"label is none of {', '.join(question.labels)}")
        lines = {
            name: [_prose(question, one, wording, is_line=True) for one in getattr(reply, name)]
            for name in ("supporting", "misleading")
        }
        return {"text": _prose(question, reply.text, wording), **lines, "label": label}
    assert isinstance(reply, TextReply)
    return {"text": _prose(question, reply.text, wording)}


_MARKUP = re.compile(
    r"<\|[^|>]*\|>|</?(?:s|html|body|head|div|span|script|think|p|br|image|video|audio|unk|pad)\b[^>]*>|"
    r"\[/?INST\]|```|\A\s*[\[{]\s*\"|\\u[0-9a-f]{4}",
    re.IGNORECASE,
)
_ERROR = re.compile(
    r"traceback \(most recent call|internal server error|bad gateway|service unavailable|gateway time-?out|"
    r"too many requests|rate limit (?:exceeded|reached)|quota exceeded|\berror (?:code|occurred|message)\b|"
    r"\b(?:http|status)(?: code)? [45]\d\d\b|cuda out of memory|connection (?:refused|reset)|invalid api key|"
    r"请求失败|服务器(?:内部)?错误|请求过于频繁|网络错误",
    re.IGNORECASE,
)
_PLACEHOLDER = re.compile(
    r"\A[\W_]*(?:n/?a|none|null|nil|unknown|undefined|todo|tbd|empty|string|text|description|lorem ipsum.*|"
    r"not (?:available|applicable|provided|given|specified)|no (?:description|data|answer|information|content|text)"
    r"(?: (?:available|provided|given))?|"
    r"(?:your|the) (?:description|explanation|text|answer)(?: here)?|(?:first|second) phrase|insert .{0,40} here|"
    r"无|暂无|没有|未知|空|不适用|无描述|无内容|你的(?:描述|解释|回答)|第[一二]个短语)?[\W_]*\Z",
    re.IGNORECASE,
)
_REFUSED_AT_START = re.compile(
    r"\A\W*(?:(?:i(?:['’]m| am) (?:very |really |so )?sorry|sorry|my apologies|i apologi[sz]e|unfortunately|as an ai\b)"
    r"[^.!?]{0,20}[,.!:]?\s*(?:but )?(?:as an ai\b|i\b|we\b|this\b|it\b|the (?:image|picture|audio|clip))|as an ai\b|"
    r"i(?: am|['’]m) (?:unable|not able)\b|i (?:can(?:no|['’])t|can not|won['’]t|will not|do(?:n['’]t| not) have)\b|"
    r"(?:很|非常|十分)?(?:抱歉|对不起|不好意思)|作为(?:一个|一名)?(?:AI|人工智能|语言模型|大模型|智能助手)|"
    r"我(?:无法|不能|没有办法|没办法|不便)|无法(?:查看|看到|识别|听到|访问|打开|提供|协助|回答))",
    re.IGNORECASE,
)
_REFUSED_ANYWHERE = re.compile(
    r"\bas an ai (?:language )?(?:model|assistant)\b|"
    r"\bi(?:['’]m| am)? (?:can(?:no|['’])t|can not|unable to|not able to|do(?:n['’]t| not) have (?:access|the ability))"
    r"[^.]{0,30}\b(?:see|view|hear|listen|access|open|process|analy[sz]e|identify|recogni[sz]e|assist|help|comply|"
    r"provide|determine|image|picture|audio|sound|clip|video)\b|"
    r"\bno (?:image|picture|audio|sound file|clip) (?:was|is|has been) (?:provided|attached|given|uploaded)\b|"
    r"(?:未|没有)(?:提供|上传|附上|收到)(?:任何)?(?:图片|图像|音频|视频|录音)|"
    r"我(?:无法|不能|没有办法|没办法)(?:直接)?(?:查看|看到|看见|听到|听见|识别|访问|打开|处理|分析|判断|提供|协助|满足)",
    re.IGNORECASE,
)
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ufffd]")
_HAN = r"\u3400-\u9fff\uf900-\ufaff"


def _prose(question: Question, text: str, wording: str, *, is_line: bool = False) -> str:
    """One text of an answer, its blanks collapsed."""
    plain = " ".join(text.split())
    if _CONTROL.search(plain):
        raise _malformed("the text holds characters that are no text")
    if _PLACEHOLDER.match(plain):
        raise _empty("the text is a placeholder, not a description")
    _check_not_refused(plain, question)
    if _MARKUP.search(plain):
        raise _malformed("the text holds markup or special tokens")
    own = _own_words(plain, question)
    if _ERROR.search(own):
        raise _malformed("the text is an error message")
    if not is_line:
        _check_length(question, plain)
    if _repeats(plain):
        raise _malformed("the text repeats itself")
    if wording and _echoes(plain, wording, question.language):
        raise _malformed("the text repeats the prompt")
    if why := why_other_language(own, question.language, is_line=is_line):
        raise _malformed(why)
    return plain


def _check_length(question: Question, text: str) -> None:
    most = MOST_CHARACTERS.get(question.task, max(MOST_CHARACTERS.values()))
    if len(text) > most:
        raise _malformed(f"the text has {len(text)} characters, expected at most {most}")
    least, unit = (4, "characters") if question.language == "zh" else (2, "words")
    count = len(re.findall(f"[{_HAN}]", text)) if question.language == "zh" else len(text.split())
    if count < least:
        raise _malformed(f"the text has {count} {unit}, expected {least} or more")


def _check_not_refused(text: str, question: Question) -> None:
    own = _own_words(text, question)
    if _REFUSED_AT_START.match(own) or _REFUSED_ANYWHERE.search(own):
        raise AnnotationError("refused", "the model declined to answer; another model or prompt may not")


def _own_words(text: str, question: Question) -> str:
    """The text without quotations and without the clip's words: "I'm sorry" may be what the person says."""
    bare = re.sub(r"[\"“”「『](?!\s*:)[^\"“”「」『』]{1,300}[\"“”」』]", " ", text)
    said = question.facts.clues.get("subtitle", "")
    transcript = question.facts.evidence.transcript
    for words in (said, transcript.text if transcript else ""):
        if words.strip():
            bare = bare.replace(words.strip(), " ")
    return bare.strip()


def _repeats(text: str) -> bool:
    data = text.encode()
    return len(data) >= SHORTEST_LOOP_BYTES and len(zlib.compress(data, 9)) < MOST_REPEATED * len(data)


def _echoes(text: str, wording: str, language: Language) -> bool:
    if language == "zh":
        runs, size, prompt = re.sub(f"[^{_HAN}]", "", text), ECHO_CHARACTERS, re.sub(f"[^{_HAN}]", "", wording)
        return any(runs[i : i + size] in prompt for i in range(len(runs) - size + 1))
    words, asked = (re.findall(r"[a-z']+", one.lower()) for one in (text, wording))
    known = {tuple(asked[i : i + ECHO_WORDS]) for i in range(len(asked) - ECHO_WORDS + 1)}
    return any(tuple(words[i : i + ECHO_WORDS]) in known for i in range(len(words) - ECHO_WORDS + 1))


def _malformed(problem: str) -> AnnotationError:
    return AnnotationError("malformed", problem)


def _empty(problem: str) -> AnnotationError:
    return AnnotationError("empty", problem)
