"""Which language a line is in, by function words of sixteen languages in Latin script, with English as the question."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources

# Letters that few languages have: a word with one speaks for these as much as a function word does.
_LETTERS: Mapping[str, str] = {
    "de": "ß", "pl": "łąęśżźćń", "tr": "ğış", "da": "øæ", "no": "øæå", "sv": "å", "hu": "őű", "cs": "řěůčšž",
    "pt": "ãõ", "es": "ñ¿", "ro": "țșăâ",
}  # fmt: skip
NAMES: Mapping[str, str] = {
    "en": "English", "de": "German", "nl": "Dutch", "da": "Danish", "no": "Norwegian", "sv": "Swedish", "pl": "Polish",
    "fr": "French", "es": "Spanish", "it": "Italian", "pt": "Portuguese", "tr": "Turkish", "cs": "Czech",
    "hu": "Hungarian", "fi": "Finnish", "ro": "Romanian",
}  # fmt: skip
_NAMES = 2  # words that are names as well, from which on they are no longer taken for names
_CLEAR = 2  # a lead of fewer words leaves the decision to the whole text
_WORD = re.compile(r"[^\W\d_]+")


def language_of(text: str) -> str | None:
    """The language of a text in Latin script (a key of `NAMES`); None where nothing speaks for one.

    English wins a tie: a few words of another language stand in many an English line.
    """
    return _decide(text)[0]


def line_languages(lines: Sequence[str]) -> list[str | None]:
    """The language of each line; a line that is short or mixed goes with the whole text."""
    whole = language_of("\n".join(lines))
    decided = [_decide(line) for line in lines]
    return [language if lead >= _CLEAR or whole is None else whole for language, lead in decided]


@cache
def _function_words() -> Mapping[str, frozenset[str]]:
    """Tag -> words, from data/function_words.txt."""
    text = resources.files("emotion_llama.media").joinpath("data/function_words.txt").read_text(encoding="utf-8")
    blocks = re.findall(r"^(\w+):((?: .*\n)(?:    .*\n)*)", text, re.MULTILINE)
    return {tag: frozenset(words.split()) for tag, words in blocks}


def _decide(text: str) -> tuple[str | None, int]:
    """The language, and by how many words it leads: English over the others, another one over English."""
    words = _WORD.findall(text.lower())
    known = _function_words()
    english = sum(word in known["en"] for word in words)
    scores: dict[str, int] = {}
    for tag in NAMES.keys() - {"en"}:
        letters = set(_LETTERS.get(tag, ""))
        mine = [word for word in words if word in known[tag] or letters & set(word)]
        own = set(mine) - known["en"]
        if own - known["names"] or len(own) >= _NAMES:
            scores[tag] = len(mine)
    best = max(sorted(scores), key=lambda tag: scores[tag], default=None)
    lead = english - (scores[best] if best else 0)
    if best is not None and lead < 0:
        return best, -lead
    return ("en", lead) if english else (None, 0)
