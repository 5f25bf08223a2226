"""The emotion lexicon: how a pattern of data/lexicon_en.csv is written, and how text becomes the tokens it matches.

The file has three columns and one row a pattern; it was written for this project, no other lexicon went into it.

    pattern   lower-case tokens separated by blanks. A `*` at the end of a token stands for any ending ("annoy*"); a
              `^` in front means that a sentence has to begin there ("^ help me", not "can you help me").
              Contractions are written out as `tokens` does ("do not", "can not"); a possessive keeps its "'s".
              Punctuation that carries something is a token of its own: `!`, `?`, `?!`, `...`, and so is an emoji.
    kind      `state`: the name of a feeling, which is the speaker's only when the speaker is the one who has it
              ("he was furious"); `stance`: what the speaker does with the words, whoever they are about.
    weights   `label:log-odds` pairs separated by blanks. 0.2-0.5 a hint, about 1 clear, 1.5 and more explicit.
              Labels may go beyond MERR's nine (disgust); a predictor uses those of its own label space.

The weights are chosen by hand, not learned.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from importlib import resources
from types import MappingProxyType
from typing import Literal, NamedTuple

from emotion_llama.errors import InputError

Kind = Literal["state", "stance"]
_KINDS: Mapping[str, Kind] = MappingProxyType({"state": "state", "stance": "stance"})

_CONTRACTIONS: tuple[tuple[str, str], ...] = (
    (r"\bcan(?:'t|not)\b", "can not"),
    (r"\bwon't\b", "will not"),
    (r"\bshan't\b", "shall not"),
    (r"\bain't\b", "is not"),
    (r"n't\b", " not"),
    (r"\blet's\b", "let us"),
    (r"\b(it|that|what|who|where|how|here|there|he|she|this)'s\b", r"\1 is"),
    (r"\bi'm\b", "i am"),
    (r"'re\b", " are"),
    (r"'ve\b", " have"),
    (r"'ll\b", " will"),
    (r"'d\b", " would"),
    (r"\bgonna\b", "going to"),
    (r"\bwanna\b", "want to"),
    (r"\bgotta\b", "got to"),
    (r"\bdunno\b", "do not know"),
    (r"\banymore\b", "any more"),
    (r"\balright\b", "all right"),
    (r"\bok\b", "okay"),
)
_EXPANSIONS = tuple((re.compile(pattern), plain) for pattern, plain in _CONTRACTIONS)
_ELONGATED = re.compile(r"([a-z])\1{2,}")  # "sooooo" -> "so"
_SENTENCE_ENDS = frozenset({".", "!", "?", "?!", "..."})
# What may come before the beginning that a `^` asks for: "Oh please, help me".
_OPENERS = frozenset({"oh", "please", "well", "and", "yeah", "yes", "no", "okay", "hey", "uh", "um", "ah", "now", ","})
_TOKEN = re.compile(r"[:;]-?[()]|[a-z]+(?:'[a-z]+)?|\d+|\.{2,}|[!?]+|[.,;:]|[\u2600-\u27bf\U0001f300-\U0001faff]")


class Token(NamedTuple):
    """One token, and whether it was written in capitals among words that are not."""

    text: str
    is_shouted: bool = False

    @property
    def is_word(self) -> bool:
        """Neither punctuation nor an emoji."""
        return self.text[0].isalnum()


class Pattern(NamedTuple):
    """One row of the lexicon."""

    tokens: tuple[str, ...]
    kind: Kind
    weights: Mapping[str, float]
    begins_sentence: bool = False

    @property
    def text(self) -> str:
        """The row's pattern as the file spells it."""
        return "^ " * self.begins_sentence + " ".join(self.tokens)


def tokens(text: str) -> tuple[Token, ...]:
    """Text as the lexicon sees it: lower case, contractions written out, runs of marks joined.

    >>> [t.text for t in tokens("I can't BELIEVE it?!")]
    ['i', 'can', 'not', 'believe', 'it', '?!']
    """
    plain = text.replace("\u2019", "'").replace("\u2018", "'").replace("\u2026", "...").replace("\ufe0f", "")
    words = re.findall(r"[A-Za-z]{2,}", plain)
    # In a subtitle that is all capitals, capitals mean nothing.
    shouted = {w.lower() for w in words if w.isupper()} if any(not w.isupper() for w in words) else set()
    plain = plain.lower()
    for pattern, replacement in _EXPANSIONS:
        plain = pattern.sub(replacement, plain)
    plain = _ELONGATED.sub(r"\1", plain)
    return tuple(Token(_mark(t), t in shouted) for t in _TOKEN.findall(plain))


def parse(rows: Iterable[Mapping[str, str]], source: str) -> tuple[Pattern, ...]:
    """Rows of a lexicon file as patterns; InputError names the row that is wrong.

    Args:
        rows: mappings with `pattern`, `kind` and `weights`.
        source: the file's name, for messages.
    """
    patterns: list[Pattern] = []
    seen: set[tuple[str, ...]] = set()
    for number, row in enumerate(rows, start=2):  # line 1 is the header
        parts = tuple((row.get("pattern") or "").split())
        if not parts or parts in seen:
            raise InputError(f"{source}, line {number}: expected a new pattern, got {row.get('pattern')!r}")
        kind = _KINDS.get(row.get("kind") or "")
        if kind is None:
            raise InputError(f"{source}, line {number}: kind must be 'state' or 'stance', got {row.get('kind')!r}")
        seen.add(parts)
        weights = _weights(row.get("weights") or "", f"{source}, line {number}")
        patterns.append(Pattern(parts[parts[0] == "^" :], kind, weights, parts[0] == "^"))
    return tuple(patterns)


class Lexicon:
    """Patterns, found by their first token; the longest one that fits wins."""

    def __init__(self, patterns: Iterable[Pattern]) -> None:
        self.patterns = tuple(patterns)
        self._exact: dict[str, list[Pattern]] = {}
        self._stems: list[Pattern] = []
        for pattern in sorted(self.patterns, key=lambda p: -len(p.tokens)):
            if pattern.tokens[0].endswith("*"):
                self._stems.append(pattern)
            else:
                self._exact.setdefault(pattern.tokens[0], []).append(pattern)

    def match(self, found: tuple[Token, ...], start: int, skip: frozenset[str]) -> tuple[Pattern, int] | None:
        """The longest pattern that begins at `start`, and the index after it.

        Args:
            found: all tokens of the text.
            start: where the pattern has to begin.
            skip: adverbs that may stand inside a phrase ("I `really` can `hardly` believe it").
        """
        first = found[start].text
        stems = [p for p in self._stems if first.startswith(p.tokens[0][:-1])]
        for pattern in sorted(self._exact.get(first, []) + stems, key=lambda p: (-len(p.tokens), -p.begins_sentence)):
            if pattern.begins_sentence and not _begins_sentence(found, start):
                continue
            end = _end_of(pattern.tokens, found, start, skip)
            if end is not None:
                return pattern, end
        return None


@lru_cache(maxsize=1)
def english() -> Lexicon:
    """The lexicon that ships with the package, read on first use."""
    file = resources.files("emotion_llama.rules").joinpath("data/lexicon_en.csv")
    rows = csv.DictReader(file.read_text(encoding="utf-8").splitlines())
    return Lexicon(parse(rows, "lexicon_en.csv"))


def _begins_sentence(found: tuple[Token, ...], start: int) -> bool:
    while start > 0 and found[start - 1].text in _OPENERS:
        start -= 1
    return start == 0 or found[start - 1].text in _SENTENCE_ENDS


def _end_of(pattern: tuple[str, ...], found: tuple[Token, ...], start: int, skip: frozenset[str]) -> int | None:
    at = start
    for number, wanted in enumerate(pattern):
        while number and at < len(found) and found[at].text in skip and not _fits(wanted, found[at].text):
            at += 1
        if at >= len(found) or not _fits(wanted, found[at].text):
            return None
        at += 1
    return at


def _fits(wanted: str, word: str) -> bool:
    return word.startswith(wanted[:-1]) if wanted.endswith("*") else word == wanted


def _mark(token: str) -> str:
    if token[0] in "!?":
        return "?!" if "?" in token and "!" in token else token[0]
    if token.startswith(".."):
        return "..."
    return token


def _weights(text: str, where: str) -> Mapping[str, float]:
    pairs = [item.partition(":") for item in text.split()]
    try:
        weights = {label: float(number) for label, _, number in pairs}
    except ValueError:
        weights = {}
    if not weights or len(weights) != len(pairs):
        raise InputError(f"{where}: weights must read 'label:number label:number', got {text!r}")
    return MappingProxyType(weights)
