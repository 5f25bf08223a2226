"""Made-up answers to the questions of a build: for tests, and for trying a build before there is a model.

They look like descriptions and differ by the question's hash; provenance says "stub". They go through the same checks
as a model's.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

from emotion_llama.chat.asking import LABEL_WORDS, check_reply
from emotion_llama.chat.questions import Language, Question
from emotion_llama.chat.records import Answer, Outcome
from emotion_llama.errors import AnnotationError

MODEL = "stub 1"
_WORDS: Mapping[Language, Mapping[str, tuple[str, ...]]] = {
    "en": {
        "phrase": ("eyebrows raised", "lips pressed together", "eyes widened", "chin pushed up", "brow furrowed"),
        "visual": ("one person in the middle of the picture", "a person seen from the chest up", "a face close by"),
        "audio": ("a low and even voice", "a loud voice with few pauses", "a slow and quiet voice"),
    },
    "zh": {
        "phrase": ("眉毛上扬", "嘴唇紧闭", "眼睛睁大", "下巴抬起", "眉头紧锁"),
        "visual": ("画面中间有一个人", "画面中是一个人的上半身", "画面中是一张很近的脸"),
        "audio": ("声音低沉而平稳", "声音响亮，停顿很少", "声音缓慢而轻柔"),
    },
}  # fmt: skip


def stub_answer(question: Question, seed: str, failures: Mapping[str, float]) -> Outcome:
    """A made-up answer by the question's hash: the same question always has the same one."""
    digest = hashlib.sha256(f"{seed}\n{question_hash(question)}".encode()).digest()
    draw = int.from_bytes(digest[-6:], "big") / 256**6
    for kind, share in failures.items():
        if draw < share:
            return AnnotationError(kind, "the stub fails here, as its configuration says")
        draw -= share
    values = _made_up(question, digest)
    return Answer(check_reply(question, json.dumps(values, ensure_ascii=False)), MODEL)


def question_hash(question: Question) -> str:
    """SHA-256 of all that a question shows: the same in every process, another for another question."""
    facts = question.facts
    shown = {
        "task": question.task,
        "language": question.language,
        "labels": list(question.labels),
        "variant": question.variant,
        "label": facts.label,
        "clues": dict(sorted(facts.clues.items())),
        "why_missing": dict(sorted(facts.why_missing.items())),
        "units": dict(sorted(facts.peak_units.items())),
        "tone": None if facts.evidence.tone is None else facts.evidence.tone.phrase,
        "text": facts.text,
        "media": [hashlib.sha256(data or b"").hexdigest() for data in (question.picture_png, question.sound_wav)],
    }
    return hashlib.sha256(json.dumps(shown, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def _made_up(question: Question, digest: bytes) -> dict[str, object]:
    words = _WORDS[question.language]
    if question.task == "expression":
        choices = words["phrase"]
        first = digest[0] % len(choices)
        return {"phrases": [choices[first], choices[(first + 1 + digest[1] % (len(choices) - 1)) % len(choices)]]}
    if question.task == "check":
        return {"holds": True, "problems": []}
    if question.task == "reason":
        return _reasoned(question, digest)
    choices = words[question.task]
    return {"text": choices[digest[0] % len(choices)]}


def _reasoned(question: Question, digest: bytes) -> dict[str, object]:
    """Repeats the clues and ends with the label: what a grounded description looks like."""
    label = question.facts.label or question.labels[digest[0] % len(question.labels)]
    word = LABEL_WORDS[question.language].get(label, label)
    clues = [f"{name.replace('_', ' ')}: {text}"[:200] for name, text in sorted(question.facts.clues.items()) if text]
    if question.language == "zh":  # clues may be in the language that is spoken in the clip
        return {
            "supporting": [f"第 {number} 条线索" for number in range(1, len(clues[:16]) + 1)] or ["线索不足"],
            "misleading": [],
            "text": f"这个人的表情和声音都指向同一种情绪。因此这个人感到{word}。",
            "label": label,
        }
    return {
        "supporting": clues[:16] or ["too few clues"],
        "misleading": [],
        "text": f"The clues of face, voice and words point the same way. The person feels {word}.",
        "label": label,
    }
