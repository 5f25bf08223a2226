"""Whether one text of a reply is a description: no refusal, placeholder, error text, echo, loop or other language."""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping

from emotion_llama.chat.questions import Language, Question, Task
from emotion_llama.errors import AnnotationError

# Longest texts, in characters: a Chinese description is about a third as long as the same one in English.
MAX_CHARACTERS: Mapping[Task, int] = {"visual": 1500, "audio": 1000, "reason": 4000}
ECHO_WORDS, ECHO_CHARACTERS = 8, 14  # a run of the prompt's own words (Chinese: characters) that no answer repeats
MIN_COMPRESSED = 0.12  # compressed share of a text below which it goes round in circles; prose of any length is > 0.3
MIN_LOOP_BYTES = 240

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


# Shares of letters or words; this project's own. A Chinese description may hold an English word or name, an English
# one hardly a Chinese one (quotations are taken out before).
MIN_HAN, MAX_HAN, MAX_KANA = 0.5, 0.15, 0.1
MIN_LATIN = 0.8
MIN_FOREIGN_WORDS = 3

_ENGLISH = frozenset(
    {
        "a", "an", "the", "and", "or", "but", "is", "are", "was", "were", "be", "has", "have", "with", "without", "of",
        "in", "on", "at", "to", "from", "by", "for", "his", "her", "their", "its", "he", "she", "they", "it", "as",
        "while", "which", "that", "this", "these", "not", "very", "slightly", "person", "man", "woman", "face", "eyes",
        "mouth", "voice",
    }
)  # fmt: skip
# Small words of other languages in Latin script; none of them is an English word of any frequency.
_FOREIGN = frozenset(
    {
        "le", "la", "les", "des", "une", "est", "et", "dans", "avec", "du", "au", "aux", "sur", "sont", "elle", "il",
        "qui", "que", "pas", "der", "das", "und", "ist", "mit", "ein", "eine", "einen", "den", "dem", "von", "auf",
        "nicht", "sie", "sich", "auch", "el", "los", "las", "una", "con", "del", "por", "para", "está", "es", "su",
        "y", "di", "che", "della", "è", "gli", "nel", "sono", "het", "een", "van", "met", "zijn", "op", "aan", "niet",
        "uma", "com", "não", "os", "ao", "na", "em", "se", "och", "är", "med", "på", "som", "det",
    }
)  # fmt: skip


def prose(question: Question, text: str, wording: str, *, is_line: bool = False) -> str:
    """One text of an answer, its blanks collapsed.

    Args:
        question: what was asked.
        text: as it came.
        wording: the prompt's own words, which an answer does not repeat; "" where there were none.
        is_line: one of a list; may be as short as a word.

    Raises:
        AnnotationError: "empty", "refused" or "malformed".
    """
    plain = " ".join(text.split())
    if _CONTROL.search(plain):
        raise malformed("the text holds characters that are no text")
    if _PLACEHOLDER.match(plain):
        raise empty("the text is a placeholder, not a description")
    check_not_refused(plain, question)
    if _MARKUP.search(plain):
        raise malformed("the text holds markup or special tokens")
    own = _own_words(plain, question)
    if _ERROR.search(own):
        raise malformed("the text is an error message")
    if _repeats(plain):
        raise malformed("the text repeats itself")
    if wording and _echoes(plain, wording, question.language):
        raise malformed("the text repeats the prompt")
    if why := why_other_language(own, question.language, is_line=is_line):
        raise malformed(why)
    if not is_line:
        _check_length(question, plain)
    return plain


def _check_length(question: Question, text: str) -> None:
    most = MAX_CHARACTERS.get(question.task, max(MAX_CHARACTERS.values()))
    if len(text) > most:
        raise malformed(f"the text has {len(text)} characters, expected at most {most}")
    least, unit = (4, "characters") if question.language == "zh" else (2, "words")
    count = len(re.findall(f"[{_HAN}]", text)) if question.language == "zh" else len(text.split())
    if count < least:
        raise malformed(f"the text has {count} {unit}, expected {least} or more")


def check_not_refused(text: str, question: Question) -> None:
    """Raises AnnotationError "refused" where the model declines in its own words."""
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
    return len(data) >= MIN_LOOP_BYTES and len(zlib.compress(data, 9)) < MIN_COMPRESSED * len(data)


def _echoes(text: str, wording: str, language: Language) -> bool:
    if language == "zh":
        runs, size, prompt = re.sub(f"[^{_HAN}]", "", text), ECHO_CHARACTERS, re.sub(f"[^{_HAN}]", "", wording)
        return any(runs[i : i + size] in prompt for i in range(len(runs) - size + 1))
    words, asked = (re.findall(r"[a-z']+", one.lower()) for one in (text, wording))
    known = {tuple(asked[i : i + ECHO_WORDS]) for i in range(len(asked) - ECHO_WORDS + 1)}
    return any(tuple(words[i : i + ECHO_WORDS]) in known for i in range(len(words) - ECHO_WORDS + 1))


def why_other_language(text: str, language: Language, *, is_line: bool = False) -> str | None:
    """Why the text is not in `language`; None when it is, or is too short to tell.

    Args:
        text: without quotations.
        language: asked for.
        is_line: a phrase, in which a loan word or a number may be all there is.
    """
    letters = [c for c in text if c.isalpha()]
    if not letters:
        return None if is_line else "the text holds no words"
    han = sum("\u3400" <= c <= "\u9fff" or "\uf900" <= c <= "\ufaff" for c in letters)
    kana = sum("\u3040" <= c <= "\u30ff" for c in letters)
    latin_words = re.findall(r"[A-Za-z\u00c0-\u024f]+", text)
    latin = sum(len(word) for word in latin_words)
    if language == "zh":
        if kana > MAX_KANA * len(letters):
            return "the text is Japanese, Chinese was asked for"
        if is_line and han:
            return None  # may quote what is said
        # A Chinese character is about half a word; a Latin word counts as one.
        if han / 2 < MIN_HAN * (han / 2 + len(latin_words)) or han + latin < MIN_LATIN * len(letters):
            return "the text is not Chinese, as was asked for"
        return None
    if latin < MIN_LATIN * len(letters) or han > MAX_HAN * len(letters):
        return "the text is not English, as was asked for"
    words = [word.lower() for word in latin_words]
    foreign = sum(word in _FOREIGN for word in words)
    if foreign >= MIN_FOREIGN_WORDS and foreign > sum(word in _ENGLISH for word in words):
        return "the text is not English, as was asked for"
    return None


def malformed(problem: str) -> AnnotationError:
    """The error for a reply of a wrong form or language."""
    return AnnotationError("malformed", problem)


def empty(problem: str) -> AnnotationError:
    """The error for a reply that says nothing."""
    return AnnotationError("empty", problem)
