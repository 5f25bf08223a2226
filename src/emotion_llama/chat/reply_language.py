"""Whether a text is in the language that was asked for, English or Chinese: by script, and by common small words."""

from __future__ import annotations

import re

from emotion_llama.chat.questions import Language

# Shares of letters or words; this project's own. A Chinese description may hold an English word or name, an English
# one hardly a Chinese one (quotations are taken out before).
LEAST_HAN, MOST_HAN, MOST_KANA = 0.5, 0.15, 0.1
LEAST_LATIN = 0.8
LEAST_FOREIGN_WORDS = 3

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
        if kana > MOST_KANA * len(letters):
            return "the text is Japanese, Chinese was asked for"
        if is_line and han:
            return None  # may quote what is said
        # A Chinese character is about half a word; a Latin word counts as one.
        if han / 2 < LEAST_HAN * (han / 2 + len(latin_words)) or han + latin < LEAST_LATIN * len(letters):
            return "the text is not Chinese, as was asked for"
        return None
    if latin < LEAST_LATIN * len(letters) or han > MOST_HAN * len(letters):
        return "the text is not English, as was asked for"
    words = [word.lower() for word in latin_words]
    foreign = sum(word in _FOREIGN for word in words)
    if foreign >= LEAST_FOREIGN_WORDS and foreign > sum(word in _ENGLISH for word in words):
        return "the text is not English, as was asked for"
    return None
