"""A question of a MERR build as a chat request: the filled-in prompt, and which picture and sound go with it."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from types import MappingProxyType

from emotion_llama.chat.questions import TASKS, Language, Question, Task
from emotion_llama.chat.records import ChatRequest
from emotion_llama.chat.replies import check_reply, reply_schema
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
