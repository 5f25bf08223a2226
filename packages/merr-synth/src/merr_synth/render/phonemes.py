"""English text -> syllables of phonemes, by a small lexicon and letter-to-sound rules.

Enough for a synthetic voice: syllables and their number matter, a wrong vowel does not. Phonemes are written as in the
ARPAbet; rules and lexicon (`data/pronunciations.csv`) are this project's own.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from functools import lru_cache
from importlib import resources
from itertools import pairwise
from types import MappingProxyType
from typing import NamedTuple


def _set(names: str) -> frozenset[str]:
    return frozenset(names.split())


VOWELS = _set("AA AE AH AO AW AY EH ER EY IH IY OW OY UH UW")
CONSONANTS = _set("P B T D K G F V TH DH S Z SH ZH HH CH JH M N NG L R W Y")

# Words that are said without stress within a sentence.
_UNSTRESSED = _set(
    "a an the of to in on at for from by with and or but is are was were be been am has have had do does did can could "
    "would will should may might must that this it its as than then i you he she we they me him her us them my your "
    "his our their if so there"
)

# Clusters that can open a syllable: the longest such end of the consonants between two vowels goes to the second.
_ONSETS = _set(
    "PL PR BL BR TR DR KL KR GL GR FL FR THR SHR SL SM SN SP ST SK SW TW DW KW GW HW PY BY KY FY VY MY HHY "
    "SPL SPR STR SKR SKW"
)

_CLASSES = {"{V}": "[aeiouy]", "{C}": "[bcdfghjklmnpqrstvwxz]"}
_SINGLE = {letter: letter.upper() for letter in "bdfklmnprtvwz"}


class Syllable(NamedTuple):
    """onset, nucleus (one vowel) and coda; stressed or not."""

    onset: tuple[str, ...]
    nucleus: str
    coda: tuple[str, ...]
    is_stressed: bool


class Word(NamedTuple):
    """A word's syllables, and the mark that follows it: "" (none), "," or one of ". ! ?"."""

    text: str
    syllables: tuple[Syllable, ...]
    mark: str


@lru_cache(maxsize=4096)
def to_words(text: str) -> tuple[Word, ...]:
    """The words of `text` as syllables; what is neither letter nor mark is left out (numbers are to be spelt out)."""
    found = re.findall(r"([a-z]+(?:['\u2019][a-z]+)*)[^a-z,.!?]*([,.!?]?)", text.lower())
    words = ((spelt.replace("\u2019", "'"), mark) for spelt, mark in found)
    return tuple(Word(spelt, _syllables(spelt), mark) for spelt, mark in words)


@lru_cache(maxsize=1)
def pronunciations() -> Mapping[str, tuple[str, ...]]:
    """The lexicon: word -> phonemes, vowels with their stress (0 or 1) behind them."""
    text = resources.files("merr_synth.render").joinpath("data/pronunciations.csv").read_text("utf-8")
    rows = csv.reader(text.splitlines())
    next(rows)
    return MappingProxyType({word: tuple(phones.split()) for word, phones in rows})


def letters_to_sounds(word: str) -> tuple[str, ...]:
    """Phonemes of a lower-case word by rule."""
    phones: list[str] = []
    at = 0
    while at < len(word):
        for before, letters, after, sounds in _rules():
            if (
                word.startswith(letters, at)
                and (after is None or after.match(word, at + len(letters)))
                and (before is None or before.search(word[:at]))
            ):
                phones += sounds
                at += len(letters)
                break
        else:
            phones += [_SINGLE[word[at]]] if word[at] in _SINGLE else []
            at += 1
    return tuple(phones)


class _Rule(NamedTuple):
    before: re.Pattern[str] | None
    letters: str
    after: re.Pattern[str] | None
    sounds: tuple[str, ...]


@lru_cache(maxsize=1)
def _rules() -> tuple[_Rule, ...]:
    """`data/letter_rules.tsv`: what precedes, letters, what follows (regular expressions; "-": nothing), phonemes."""
    text = resources.files("merr_synth.render").joinpath("data/letter_rules.tsv").read_text("utf-8")
    for name, letters in _CLASSES.items():
        text = text.replace(name, letters)
    rows = (line.split("\t") for line in text.splitlines()[1:])
    return tuple(
        _Rule(
            None if before == "-" else re.compile(f"(?:{before})$"),
            letters,
            None if after == "-" else re.compile(after),
            () if sounds == "-" else tuple(sounds.split()),
        )
        for before, letters, after, sounds in rows
    )


def _syllables(word: str) -> tuple[Syllable, ...]:
    known = pronunciations().get(word)
    phones = letters_to_sounds(word) if known is None else known
    vowels = [i for i, phone in enumerate(phones) if phone.rstrip("01") in VOWELS]
    if not vowels:
        return ()
    starts = [0, *(_onset_start(phones, a, b) for a, b in pairwise(vowels)), len(phones)]
    marked = known is not None and any(phone.endswith("1") for phone in phones)
    can_stress = word not in _UNSTRESSED
    return tuple(
        Syllable(
            phones[start:vowel],
            phones[vowel].rstrip("01"),
            phones[vowel + 1 : end],
            can_stress and (phones[vowel].endswith("1") if marked else i == 0),
        )
        for i, (start, vowel, end) in enumerate(zip(starts, vowels, starts[1:]))
    )


def _onset_start(phones: tuple[str, ...], vowel: int, next_vowel: int) -> int:
    """Where the syllable of `next_vowel` begins: maximal onset."""
    for start in range(vowel + 1, next_vowel):
        onset = phones[start:next_vowel]
        if (len(onset) == 1 and onset[0] != "NG") or "".join(onset) in _ONSETS:
            return start
    return next_vowel
