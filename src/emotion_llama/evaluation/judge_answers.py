"""From a judge's text to a score, a list of words, groups of words or a sentiment: what is one, and what is not."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from typing import Any

from emotion_llama.errors import AnnotationError
from emotion_llama.evaluation.metrics.words import SENTIMENTS

# Lowest and highest score. The published judge's prompt says 1 to 10, the project page 0 to 10.
SCALES: dict[str, tuple[float, float]] = {"1-10": (1, 10), "0-10": (0, 10)}

_THINK = re.compile(r"\A\s*<think(?:ing)?>.*?(?:</think(?:ing)?>|\Z)", re.DOTALL | re.IGNORECASE)
_NUMBER = r"[-+]?\d+(?:[.,]\d+)?"
_OF = rf"(?:\s*(?:/|out of|of)\s*(?P<of>{_NUMBER}))?"
_NAMED = re.compile(rf"\b(?:score|rating|overlap)\b[\s:=\-]*(?:is|of|as)?[\s:=]*(?P<n>{_NUMBER}){_OF}", re.IGNORECASE)
_FIRST = re.compile(rf"\A(?P<n>{_NUMBER}){_OF}(?P<after>.*)", re.DOTALL | re.IGNORECASE)
_SHARE = re.compile(rf"(?<![\d.,/])(?P<n>{_NUMBER})\s*(?:/|out of)\s*(?P<of>{_NUMBER})", re.IGNORECASE)
# "1" that begins a list ("1. The clues"), a range ("7-8") or a count ("3 clues"), and is no score.
_NO_SCORE = re.compile(r"\s*(?:[.)]\s*\S|[-–~]\s*\d|%|[a-z])", re.IGNORECASE)


def parse_score(text: str, low: float, high: float) -> float:
    """The score from `low` to `high` that an answer gives.

    Read, in this order: "score: 7.5" or "rating 8/10" (of several, all must agree); an answer that begins with the
    number ("8", "8/10", "8; because ..."), but not with the number of a list ("1. The clues", "1) ..."); one "8/10" or
    "8 out of 10" in the text. The published code takes the first digits of whatever comes, so that "1. ..." is a 1.

    Raises:
        AnnotationError: "empty" or "malformed": there is no score, there are several, or it is outside the scale.
    """
    plain = re.sub(r"[*`_#]", "", _THINK.sub("", text)).strip().lstrip("\"'([ ")
    if not plain:
        raise AnnotationError("empty", "the reply holds no text")
    found = [(match["n"], match["of"]) for match in _NAMED.finditer(plain)]
    first = _FIRST.match(plain)
    if not found and first is not None and (first["of"] is not None or not _NO_SCORE.match(first["after"])):
        found = [(first["n"], first["of"])]
    if not found:
        found = [(match["n"], match["of"]) for match in _SHARE.finditer(plain)]
    expected = f"expected one from {low:g} to {high:g}"
    scores = set()
    for number, of in found:
        score = float(number.replace(",", "."))
        if of is not None and float(of.replace(",", ".")) != high:
            raise AnnotationError("malformed", f"the score is out of {of}, {expected}")
        if not low <= score <= high:
            raise AnnotationError("malformed", f"the score is {score:g}, {expected}")
        scores.add(score)
    if not scores:
        raise AnnotationError("malformed", "the reply holds no score")
    if len(scores) > 1:
        several = ", ".join(f"{score:g}" for score in sorted(scores))
        raise AnnotationError("malformed", f"the reply holds several scores ({several})")
    return scores.pop()


def _json_list(text: str) -> list[Any]:
    bare = re.sub(r"\A\s*<think(?:ing)?>.*?</think(?:ing)?>", "", text, flags=re.DOTALL | re.IGNORECASE)
    begin, end = bare.find("["), bare.rfind("]")
    try:
        found = json.loads(bare[begin : end + 1]) if 0 <= begin < end else None
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, list):
        raise AnnotationError("malformed", "the reply is no JSON list")
    return found


def read_words(text: str) -> list[str]:
    """Emotion words, in lower case, each once; AnnotationError "malformed" where the text is no list of words."""
    found = _json_list(text)
    if not all(isinstance(word, str) for word in found):
        raise AnnotationError("malformed", "the reply is no list of words")
    return list(dict.fromkeys(word.strip().lower() for word in found if word.strip()))


def groups_of(words: Sequence[str]) -> Callable[[str], list[list[str]]]:
    """Reads groups that hold each of `words` exactly once; AnnotationError "malformed" where a text does not."""
    wanted = sorted({word.strip().lower() for word in words})

    def read(text: str) -> list[list[str]]:
        found = _json_list(text)
        if not all(isinstance(group, list) and all(isinstance(word, str) for word in group) for group in found):
            raise AnnotationError("malformed", "the reply is no list of lists of words")
        groups = [[word.strip().lower() for word in group] for group in found if group]
        if sorted(word for group in groups for word in group) != wanted:
            raise AnnotationError("malformed", "the groups do not hold every word of the list exactly once")
        return groups

    return read


def read_sentiment(text: str) -> str:
    """One of `SENTIMENTS`; AnnotationError "malformed" where the text is none."""
    word = text.strip().strip(".\"'*").lower()
    if word not in SENTIMENTS:
        raise AnnotationError("malformed", f"the reply is none of {', '.join(SENTIMENTS)}")
    return word
