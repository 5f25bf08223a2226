"""Which language a line is in: by its script, and in Latin script by function words of sixteen languages.

English is the question among these sixteen: what nothing speaks against goes as English.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from importlib import resources

from emotion_llama.records import Transcript

# Letters that few languages have: a word with one speaks for these as much as a function word does.
_LETTERS: Mapping[str, str] = {
    "de": "ß", "pl": "łąęśżźćń", "tr": "ğış", "da": "øæ", "no": "øæå", "sv": "å", "hu": "őű", "cs": "řěůčšž",
    "pt": "ãõ", "es": "ñ¿", "ro": "țșăâ",
}  # fmt: skip
NAMES: Mapping[str, str] = {
    "en": "English", "de": "German", "nl": "Dutch", "da": "Danish", "no": "Norwegian", "sv": "Swedish", "pl": "Polish",
    "fr": "French", "es": "Spanish", "it": "Italian", "pt": "Portuguese", "tr": "Turkish", "cs": "Czech",
    "hu": "Hungarian", "fi": "Finnish", "ro": "Romanian", "zh": "Chinese", "ja": "Japanese", "ko": "Korean",
    "ru": "Russian", "uk": "Ukrainian", "el": "Greek", "he": "Hebrew", "ar": "Arabic", "th": "Thai", "hi": "Hindi",
}  # fmt: skip
# Letters of scripts in which one language stands for all (Russian for Cyrillic, Arabic for its script): how they are
# read is another question than which one it is. Kana decide between Chinese and Japanese, three letters for Ukrainian.
_SCRIPTS: Mapping[str, re.Pattern[str]] = {
    tag: re.compile(f"[{letters}]")
    for tag, letters in {
        "zh": "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff", "ja": "\u3041-\u3096\u30a1-\u30fa\uff66-\uff9d",
        "ko": "\uac00-\ud7a3\u1100-\u11ff", "ru": "\u0400-\u04ff", "uk": "іїєґІЇЄҐ", "el": "\u0370-\u03ff",
        "he": "\u0590-\u05ff", "ar": "\u0600-\u06ff", "th": "\u0e00-\u0e7f", "hi": "\u0900-\u097f",
    }.items()
}  # fmt: skip
_WIDE = ("zh", "ja", "ko")
_WIDE_LETTERS = 3  # what a sign for a syllable or a word counts against Latin letters
# Languages that a text in a script may be in as well, where its source says so.
_SAME_SCRIPT = {"zh": ("ja",), "ru": ("uk", "be", "bg", "mk", "sr"), "uk": ("ru",), "ar": ("fa", "ur")}
_KANA = 0.1  # of the signs, from which on a text is Japanese
_NAMES = 2  # words that are names as well, from which on they are no longer taken for names
_CLEAR = 2  # a lead of fewer words leaves the decision to the whole text
_WORD = re.compile(r"[^\W\d_]+")


def language_of(text: str) -> str | None:
    """The language of a text (a key of `NAMES`); None where nothing speaks for one.

    English wins a tie: a few words of another language stand in many an English line.
    """
    return script_language(text) or _decide(text)[0]


def script_language(text: str) -> str | None:
    """The language of a text that is mostly in another script than Latin; None for Latin, and without letters."""
    counts = {tag: len(letters.findall(text)) for tag, letters in _SCRIPTS.items()}
    latin = sum(len(word) for word in re.findall(r"[A-Za-z\u00c0-\u024f]+", text))
    wide = sum(counts[tag] for tag in _WIDE)
    best = max(counts, key=lambda tag: counts[tag] * (_WIDE_LETTERS if tag in _WIDE else 1))
    if wide and best in ("zh", "ja"):
        best = "ja" if counts["ja"] >= _KANA * wide else "zh"
    weight = _WIDE_LETTERS * wide if best in _WIDE else counts[best]
    if not weight or weight < latin:
        return None
    return "uk" if best == "ru" and counts["uk"] else best


def line_languages(lines: Sequence[str], marked: str | None = None) -> list[str | None]:
    """The language of each line; a line that is short or mixed goes with the whole text.

    Args:
        lines: texts.
        marked: what their source says of them (a tag such as "de" or "en-GB"); it counts where a line's script can be
            that language's.
    """
    tag = None if marked is None else marked.lower().partition("-")[0]
    latin = [line for line in lines if script_language(line) is None]
    whole = _decide("\n".join(latin))[0]
    found: list[str | None] = []
    for line in lines:
        script = script_language(line)
        language, lead = _decide(line)
        if script is not None:
            found.append(tag if tag in _SAME_SCRIPT.get(script, ()) else script)
        elif not _WORD.search(line) or tag not in (None, "en", *_SCRIPTS):
            found.append(tag)  # "...", "2024", and languages that Latin letters do not contradict
        else:
            found.append(language if lead >= _CLEAR or whole is None else whole)
    return found


def with_languages(transcript: Transcript) -> Transcript:
    """The transcript with the language of every line that has none, as far as it can be decided."""
    tags = line_languages([line.text for line in transcript.lines], transcript.language)
    lines = tuple(replace(line, language=line.language or tag) for line, tag in zip(transcript.lines, tags))
    return replace(transcript, lines=lines)


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
    for tag in known.keys() - {"en", "names"}:
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
