"""Replies of a judge that are lists of words, groups of words or a sentiment: what is one, and what is not."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from typing import Any

from emotion_llama.errors import AnnotationError

SENTIMENTS = ("positive", "negative", "neutral")


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
    """Emotion words of a reply, in lower case, each once; AnnotationError "malformed" where it is no list of words."""
    found = _json_list(text)
    if not all(isinstance(word, str) for word in found):
        raise AnnotationError("malformed", "the reply is no list of words")
    return list(dict.fromkeys(word.strip().lower() for word in found if word.strip()))


def groups_of(words: Sequence[str]) -> Callable[[str], list[list[str]]]:
    """Reads groups that hold each of `words` exactly once; AnnotationError "malformed" where a reply does not."""
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
    """One of `SENTIMENTS`; AnnotationError "malformed" where the reply is none."""
    word = text.strip().strip(".\"'*").lower()
    if word not in SENTIMENTS:
        raise AnnotationError("malformed", f"the reply is none of {', '.join(SENTIMENTS)}")
    return word
