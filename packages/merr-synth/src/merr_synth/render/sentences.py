"""Sentences per emotion from a small grammar, the same for the same seed, in splits that share none of them.

The grammar is `data/sentences.yaml`: slots with their fillers, and templates per label and split. A template stands in
one split only; fillers (people, places, things) are shared, as the words of a language are. All of it was written for
this project.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from emotion_llama.errors import InputError
from emotion_llama.labels import MERR9
from merr_synth.render.phonemes import to_words

SPLITS = ("train", "validation", "test")
AMBIGUOUS = "ambiguous"  # sentences that tell nothing of the speaker's feeling
SENTENCE_LABELS = (*MERR9.labels, AMBIGUOUS)
_SLOT = re.compile(r"\{(\w+)\}")
_MOST_TRIES = 300


@dataclass(frozen=True)
class Sentence:
    """One sentence: its text, the emotion that its words speak for, and the template it was made of.

    Attributes:
        text: ready to be shown as a subtitle.
        label: one of MERR's nine labels, or "ambiguous".
        template_id: "label/split/number".
    """

    text: str
    label: str
    template_id: str


class Grammar(NamedTuple):
    """slots: name -> fillers; templates: (label, split) -> sentences with slots."""

    slots: Mapping[str, tuple[str, ...]]
    templates: Mapping[tuple[str, str], tuple[str, ...]]


@lru_cache(maxsize=1)
def grammar() -> Grammar:
    """The package's grammar."""
    import yaml

    text = resources.files("merr_synth.render").joinpath("data/sentences.yaml").read_text("utf-8")
    loaded = yaml.safe_load(text)
    slots = {name: tuple(fillers) for name, fillers in loaded["slots"].items()}
    templates = {
        (label, split): tuple(sentences)
        for label, by_split in loaded["templates"].items()
        for split, sentences in by_split.items()
    }
    return Grammar(MappingProxyType(slots), MappingProxyType(templates))


def draw_sentence(label: str, split: str, seed: int, *, most_syllables: int | None = None) -> Sentence:
    """A sentence of the label and split: every template alike likely, and every filler of its slots.

    Args:
        label: one of MERR's nine, or "ambiguous".
        split: "train", "validation" or "test".
        seed: the same seed gives the same sentence.
        most_syllables: draw again until the sentence is no longer than this; where none of many draws is, the shortest.

    Raises:
        InputError: no such label or split.
    """
    if label not in SENTENCE_LABELS or split not in SPLITS:
        raise InputError(
            f"no sentences for label {label!r} in split {split!r} (labels: {', '.join(SENTENCE_LABELS)}; splits: "
            f"{', '.join(SPLITS)})"
        )
    rng = np.random.default_rng([seed, SENTENCE_LABELS.index(label), SPLITS.index(split)])
    templates = grammar().templates[label, split]
    shortest: tuple[int, Sentence] | None = None
    for _ in range(_MOST_TRIES):
        number = int(rng.integers(len(templates)))
        sentence = Sentence(_finish(_fill(templates[number], rng)), label, f"{label}/{split}/{number}")
        if most_syllables is None:
            return sentence
        length = sum(len(word.syllables) for word in to_words(sentence.text))
        if length <= most_syllables:
            return sentence
        if shortest is None or length < shortest[0]:
            shortest = (length, sentence)
    assert shortest is not None
    return shortest[1]


def count_sentences(label: str, split: str) -> int:
    """How many fillings the templates of a label and split have (two slots may be filled alike)."""
    return sum(_count(template) for template in grammar().templates[label, split])


def _count(text: str) -> int:
    total = 1
    for slot in _SLOT.findall(text):
        total *= sum(_count(filler) for filler in grammar().slots[slot])
    return total


def _fill(text: str, rng: np.random.Generator) -> str:
    """`text` with every slot filled, slots in fillers too; a filler is not used twice in one sentence."""
    used: set[str] = set()

    def filled(match: re.Match[str]) -> str:
        fillers = [filler for filler in grammar().slots[match[1]] if filler not in used]
        filler = fillers[int(rng.integers(len(fillers)))]
        used.add(filler)
        return _SLOT.sub(filled, filler)

    return _SLOT.sub(filled, text)


def _finish(text: str) -> str:
    """First letters of sentences in capitals."""
    return re.sub(r"(^|[.!?] )([a-z])", lambda m: m[1] + m[2].upper(), text)
