"""A question of a MERR build as a chat request: prompt, picture and sound, and what its reply is checked against.

What is no answer raises AnnotationError of kind "refused", "empty" or "malformed", whose message never holds the reply
itself. Bounds and patterns are this project's own; they are meant to let every honest description through, so that the
consistency stage, not this module, judges content.

Naming an emotion in a description of face, picture or voice is allowed here: the label is shown in no such question,
so that there is nothing to leak.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any

from pydantic import BaseModel, Field, StringConstraints, ValidationError

from emotion_llama.chat.config import Config
from emotion_llama.chat.questions import TASKS, Language, Question, Task
from emotion_llama.chat.records import ChatRequest
from emotion_llama.chat.reply_texts import MAX_CHARACTERS, check_not_refused, empty, malformed, prose
from emotion_llama.errors import AnnotationError
from emotion_llama.face.label_units import PRESENT
from emotion_llama.prompts.prompt_files import load_prompt
from emotion_llama.records import AU_DESCRIPTIONS

_NEEDS_PICTURE: frozenset[Task] = frozenset({"expression", "visual"})
MAX_SUBTITLE_CHARACTERS = 2000  # a long talk is cut in the middle; our choice

# How a label reads in a sentence; what is not here stands as it is.
LABEL_WORDS: Mapping[Language, Mapping[str, str]] = MappingProxyType(
    {
        "en": {"surprise": "surprised", "fear": "afraid", "contempt": "contemptuous", "doubt": "doubtful",
               "disgust": "disgusted"},
        "zh": {"neutral": "平静", "angry": "愤怒", "happy": "高兴", "sad": "悲伤", "worried": "担忧",
               "surprise": "惊讶", "fear": "恐惧", "contempt": "轻蔑", "doubt": "怀疑", "disgust": "厌恶"},
    }
)  # fmt: skip
_WORDS: Mapping[Language, Mapping[str, str]] = MappingProxyType(
    {
        "en": {"missing": "not available ({why})", "unknown": "not given", "none": "nothing marked"},
        "zh": {"missing": "无（{why}）", "unknown": "未提供", "none": "没有明显动作"},
    }
)


def askable(modalities: Collection[str]) -> frozenset[Task]:
    """Tasks that a model of these modalities can be asked. A voice can be described from its measurements alone."""
    return frozenset(task for task in TASKS if task not in _NEEDS_PICTURE or "image" in modalities)


def request_of(question: Question, modalities: Collection[str], prompts: str | Path | None = None) -> ChatRequest:
    """The question as a chat model is asked it.

    Args:
        question: what to ask.
        modalities: what the model takes, of "text", "image" and "audio".
        prompts: folder of prompts of one's own.

    Raises:
        AnnotationError: "cannot": the model or the clip lacks what the question is about.
        InputError: a prompt file cannot be used.
    """
    picture = question.picture_png if question.task in _NEEDS_PICTURE and "image" in modalities else None
    sound = question.sound_wav if question.task == "audio" and "audio" in modalities else None
    _check_able(question, picture, sound)
    is_blind = question.task == "reason" and question.facts.label is None
    names = ("infer" if is_blind else question.task, "again")
    prompt, again = (load_prompt("merr", f"{name}.{question.language}", prompts) for name in names)
    system, user = prompt.filled({name: _value(name, question) for name in prompt.fields})
    # Both prompts' words, since the model may echo either.
    wording = f"{prompt.wording}\n{again.wording}"
    return ChatRequest(
        user, system, prompt.sha256, () if picture is None else (picture,), sound,
        parse=lambda reply: check_reply(question, reply, wording=wording),
        again=lambda problem: again.filled({"problem": problem})[1],
        schema=(question.task, reply_schema(question.task, question.labels)),
    )  # fmt: skip


def _check_able(question: Question, picture: bytes | None, sound: bytes | None) -> None:
    facts, task = question.facts, question.task
    if task in _NEEDS_PICTURE and picture is None:
        why = "the clip has no picture" if question.picture_png is None else "the model takes no pictures"
        raise _cannot(why)
    if task == "audio" and sound is None and facts.evidence.tone is None:
        lacks = "the clip has no sound" if question.sound_wav is None else "the model takes no sound"
        raise _cannot(f"{lacks}, and the voice was not measured ({facts.evidence.why_missing('tone') or 'not given'})")
    if task in ("reason", "check") and not facts.clues:
        raise _cannot("there is no clue to reason from")
    if task == "check" and not facts.text:
        raise _cannot("there is no description to check")
    if task == "reason" and not question.labels:
        raise _cannot("the question names no labels")


def _value(name: str, question: Question) -> str:
    facts, words = question.facts, _WORDS[question.language]
    if name == "measured":
        return _units(question) if question.task == "expression" else _voice(question)
    if name == "labels":
        return ", ".join(question.labels)
    if name == "label":
        return facts.label or ""
    if name == "label_word":
        return LABEL_WORDS[question.language].get(facts.label or "", facts.label or "")
    if name == "text":
        return facts.text or ""
    clue = " ".join(facts.clues.get(name, "").split())
    if not clue:
        return words["missing"].format(why=facts.why_missing.get(name, words["unknown"]))
    # As a JSON text: whoever speaks in a clip cannot end the quotation and go on as the one who asks.
    return json.dumps(_shortened(clue), ensure_ascii=False) if name == "subtitle" else clue


def _units(question: Question) -> str:
    present = {name: intensity for name, intensity in question.facts.peak_units.items() if intensity >= PRESENT}
    ranked = sorted(present.items(), key=lambda item: (-item[1], item[0]))
    phrases = [f"{AU_DESCRIPTIONS.get(name, name)} {intensity:.1f}" for name, intensity in ranked]
    return ", ".join(phrases) or _WORDS[question.language]["none"]


def _voice(question: Question) -> str:
    evidence, words = question.facts.evidence, _WORDS[question.language]
    if evidence.tone is None:
        return words["missing"].format(why=evidence.why_missing("tone") or words["unknown"])
    phrases = [f"{word} ({measured})" for word, measured in evidence.tone.words.items()]
    return ", ".join(phrases) or evidence.tone.phrase


def _shortened(text: str) -> str:
    half = MAX_SUBTITLE_CHARACTERS // 2
    return text if len(text) <= MAX_SUBTITLE_CHARACTERS else f"{text[:half]} ... {text[-half:]}"


def _cannot(why: str) -> AnnotationError:
    return AnnotationError("cannot", why, attempts=0)


# --- the form of replies ----------------------------------------------------------------------------------------------

MAX_REPLY_CHARACTERS = 40_000
MAX_LEAD_IN = 200  # "Here is the JSON you asked for:" before the object

Line = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=400)]
Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]


class ExpressionReply(Config):
    """Answer to "expression"."""

    phrases: list[Line] = Field(min_length=1, max_length=12)


class TextReply(Config):
    """Answer to "visual" and "audio"."""

    text: Text


class ReasonReply(Config):
    """Answer to "reason"; `label` is one of the question's."""

    supporting: list[Line] = Field(min_length=1, max_length=16)
    misleading: list[Line] = Field(max_length=16)
    text: Text
    label: Line


class CheckReply(Config):
    """Answer to "check"."""

    holds: bool
    problems: list[Line] = Field(max_length=16)


REPLIES: Mapping[Task, type[Config]] = {
    "expression": ExpressionReply,
    "visual": TextReply,
    "audio": TextReply,
    "reason": ReasonReply,
    "check": CheckReply,
}


def reply_schema(task: Task, labels: Sequence[str] = ()) -> dict[str, Any]:
    """JSON schema of the task's reply, with every bound that `check_reply` holds it to.

    A server that refuses bounds of lengths gets the same without them (`chat.openai_server`).
    """
    schema: dict[str, Any] = _without_titles(REPLIES[task].model_json_schema())
    properties = schema["properties"]
    if "text" in properties:
        properties["text"]["maxLength"] = MAX_CHARACTERS[task]
    if "label" in properties and labels:
        properties["label"] = {"type": "string", "enum": list(labels)}
    return schema


def _without_titles(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_titles(part) for key, part in value.items() if key not in ("title", "description")}
    return value


def check_reply(question: Question, reply: str, *, wording: str = "") -> dict[str, object]:
    """The values of a reply that should be one JSON object of the task's schema.

    Args:
        question: what was asked.
        reply: the model's text.
        wording: the prompt's own words, without what was filled in, so that an echo is known.

    Raises:
        AnnotationError: "empty", "refused" or "malformed".
    """
    text = visible(reply)
    if not text:
        raise empty("the reply holds no text")
    if len(text) > MAX_REPLY_CHARACTERS:
        raise malformed(f"the reply has {len(text)} characters, expected at most {MAX_REPLY_CHARACTERS}")
    try:
        found = one_object(text)
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
    text = visible(reply)
    if not text:
        raise empty("the reply holds no text")
    return prose(question, text, "")


# --- form -----------------------------------------------------------------------------------------------------------

_THINK = re.compile(r"\A\s*<think(?:ing)?>.*?</think(?:ing)?>", re.DOTALL | re.IGNORECASE)
_UNCLOSED_THINK = re.compile(r"\A\s*<think(?:ing)?>", re.IGNORECASE)
# Where the chat template writes the opening mark into the prompt, the reply holds the closing one alone.
_UNOPENED_THINK = re.compile(r"\A(?:(?!<think(?:ing)?>).)*</think(?:ing)?>", re.DOTALL | re.IGNORECASE)
_FENCE = re.compile(
    r"\A(?P<before>[^`]*)```(?:json)?[ \t]*\n(?P<inside>.*?)\n?\s*```(?P<after>[^`]*)\Z", re.DOTALL | re.IGNORECASE
)


def visible(reply: str) -> str:
    """The reply without hidden reasoning at its beginning; a reasoning that never ends leaves nothing."""
    bare = _UNOPENED_THINK.sub("", _THINK.sub("", reply, count=1), count=1)
    return "" if _UNCLOSED_THINK.match(bare) else bare.strip()


def one_object(text: str) -> object:
    """The one JSON object of a reply, around which a fence and a lead-in may stand; AnnotationError "malformed"."""
    fenced = _FENCE.match(text)
    # A remark before or behind the only fence is none of the object, unless it holds one itself.
    is_clear = fenced is not None and not set("{[<") & set(fenced["before"] + fenced["after"])
    inside = fenced["inside"] if fenced is not None and is_clear else text
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
        label = reply.label.strip(" \t.,;:!\"'*`“”。").lower()  # "Happy." is a label
        if label not in question.labels:
            raise malformed(f"label is none of {', '.join(question.labels)}")
        lines = {
            name: [prose(question, one, wording, is_line=True) for one in getattr(reply, name)]
            for name in ("supporting", "misleading")
        }
        return {"text": prose(question, reply.text, wording), **lines, "label": label}
    assert isinstance(reply, TextReply)
    return {"text": prose(question, reply.text, wording)}
