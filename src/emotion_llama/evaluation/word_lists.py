"""Emotion words out of free text: lists in any form, known words in prose, and groups that a language model made."""

from __future__ import annotations

import re

from emotion_llama.errors import InputError
from emotion_llama.evaluation.open_vocabulary import parse_word_list
from emotion_llama.labels import SYNONYMS

_KNOWN = frozenset({*SYNONYMS, *(label for labels in SYNONYMS.values() for label in labels)})
_BRACKETS = re.compile(r"\[([^\[\]]*)\]")
_AFTER_MARKER = re.compile(r"\b(?:emotions?|labels?|states?|answer|output)\b[^:\n]{0,30}:\s*([^\n.]+)", re.IGNORECASE)
_NUMBERING = re.compile(r"^(?:\d+[.)]|[-*\u2022])\s*", re.MULTILINE)
_WORD = re.compile(r"[a-z]+(?:[-'][a-z]+)*", re.IGNORECASE)
_CLAUSE = re.compile(r"[,.;:!?\n]|\b(?:but|however|although|while)\b", re.IGNORECASE)
_DENIED = re.compile(r"\b(?:not|no|never|without|neither|nor|rather than|instead of)\b|n't\b", re.IGNORECASE)
_SENTENCE = re.compile(
    r"\b(?:is|are|was|were|be|feels?|seems?|looks?|appears?|he|she|they|i|it|the|his|her|their)\b", re.IGNORECASE
)
_MOST_WORDS_OF_ITEM = 3  # own choice: "slightly annoyed at" is an item of a list, a longer one is prose


def listed_words(text: str) -> list[str] | None:
    """Words of a list somewhere in the text, or known words of its prose; None where neither is there."""
    bracketed = next((m for m in _BRACKETS.finditer(text) if _is_list(m[1]) or m[0] == text.strip()), None)
    if bracketed is not None:
        return parse_word_list(bracketed[0])
    text = _BRACKETS.sub(" ", text)  # tags such as "[emotion]"
    marked = _AFTER_MARKER.findall(text)
    for candidate in ([marked[-1]] if marked else []) + [text]:
        items = _items(candidate)
        if items and all(_is_item(item) for item in items):
            return items
    known = [
        word.lower()
        for clause in _CLAUSE.split(text)
        if clause and not _DENIED.search(clause)
        for word in _WORD.findall(clause)
        if word.lower() in _KNOWN
    ]
    return known or None


def _is_list(inner: str) -> bool:
    """Whether what stands in brackets is a list rather than a tag."""
    return not inner.strip() or any(mark in inner for mark in "'\",")


def _items(text: str) -> list[str]:
    plain = _NUMBERING.sub("", text.strip()).rstrip(".")
    items = [item.strip(" \t\"'*.") for item in re.split(r"[,;\n]|\band\b", plain)]
    return [item for item in items if item]


def _is_item(item: str) -> bool:
    is_short = len(item.split()) <= _MOST_WORDS_OF_ITEM
    return is_short and not _DENIED.search(item) and not _SENTENCE.search(item)


def synonym_groups(text: str) -> list[list[str]]:
    """Groups of a language model's reply, "[['happy', 'joyful'], ['sad']]", by the published rule of MER2024-OV.

    What stands between brackets is a group; inside it quotes separate words. A reply in JSON reads the same.

    Raises:
        InputError: the reply holds no group of quoted words.
    """
    parts = [part for part in re.split(r"[\[\]]", text) if part.strip() not in ("", ",")]
    groups = [[word for word in re.split("['\"]", part) if word.strip() not in ("", ",")] for part in parts]
    kept = [[word.strip().lower() for word in group] for group in groups if group]
    if not kept or not re.search("['\"]", text):
        raise InputError(f"a reply with groups looks like [['happy', 'joyful'], ['sad']], got {text[:60]!r}")
    return kept
