"""Words that a planned clip says, in more ways than its grammar has: what a feeling sounds like beyond templates.

Three ways, all from sources that no validation or test sentence is part of: the train grammar's sentences with words
left out; what stands in their slots alone ("the ice is breaking!"); and patterns of the annotator's own lexicon. A
model that learns from sentences alone learns their skeletons, and the sentences of other splits have others.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

import numpy as np

from emotion_llama.labels import MERR9
from emotion_llama.rules.lexicon import english
from merr_synth.render.sentences import grammar

# How often each way is taken; the rest of the sentences stay as they are. Own.
SHARES: Mapping[str, float] = {"thinned": 0.2, "fragment": 0.12, "lexicon": 0.28}
LEFT_OUT = 0.15  # of the words of a thinned sentence
CLEAR = 0.8  # log-odds from which a pattern of the lexicon stands for its label
_SLOT = re.compile(r"\{(\w+)\}")
_OPENERS = ("", "", "", "oh, ", "well, ", "I mean, ", "you know, ", "listen, ", "yes, ", "so, ")
_STARTS_ANEW = frozenset({"i", "you", "he", "she", "it", "we", "they", "what", "how", "who", "do", "please", "there"})


def vary(text: str, label: str | None, rng: np.random.Generator) -> str:
    """The sentence, or other words that speak for the same label; None: words that tell nothing stay as they are."""
    if label is None:
        return text
    chance = float(rng.random())
    for way, share in SHARES.items():
        if chance < share:
            made = {"thinned": _thinned, "fragment": _fragment, "lexicon": _from_lexicon}[way](text, label, rng)
            return made[:1].upper() + made[1:]
        chance -= share
    return text


def _thinned(text: str, label: str, rng: np.random.Generator) -> str:
    words = text.split()
    kept = [word for word in words if rng.random() >= LEFT_OUT]
    return " ".join(kept if len(kept) >= 2 else words)


def _fragment(text: str, label: str, rng: np.random.Generator) -> str:
    slots = own_slots().get(label)
    if not slots:
        return text
    fillers = grammar().slots[str(rng.choice(slots))]
    return _filled(str(rng.choice(fillers)), rng) + str(rng.choice([".", "!", "?"]))


def _from_lexicon(text: str, label: str, rng: np.random.Generator) -> str:
    patterns = telling_patterns().get(label)
    if not patterns:
        return text
    found = str(rng.choice(patterns))
    is_sentence = " " in found and found.split()[0] in _STARTS_ANEW
    head = (
        str(rng.choice(_OPENERS))
        if is_sentence
        else str(rng.choice(["", "so ", "I am ", "it is ", "I feel ", "this is ", "really "]))
    )
    return f"{head}{found}{rng.choice(['.', '!', '.', '?'])}"


@lru_cache(maxsize=1)
def own_slots() -> Mapping[str, tuple[str, ...]]:
    """Label -> slots that stand in its train templates and in no other label's."""
    users: dict[str, set[str]] = {}
    for (label, split), templates in grammar().templates.items():
        if split == "train":
            for slot in {slot for template in templates for slot in _SLOT.findall(template)}:
                users.setdefault(slot, set()).add(label)
    only = {slot: next(iter(labels)) for slot, labels in users.items() if len(labels) == 1}
    return {label: tuple(sorted(s for s, one in only.items() if one == label)) for label in MERR9.labels}


@lru_cache(maxsize=1)
def telling_patterns() -> Mapping[str, tuple[str, ...]]:
    """Label -> plain texts of the lexicon's patterns that speak clearly for it and for no other label as much."""
    found: dict[str, list[str]] = {label: [] for label in MERR9.labels}
    for pattern in english().patterns:
        best = max(pattern.weights, key=lambda label: pattern.weights[label])
        is_word = all(re.fullmatch(r"[a-z']+\*?", token) for token in pattern.tokens)
        if best in found and is_word and pattern.weights[best] >= CLEAR:
            found[best].append(" ".join(token.rstrip("*") for token in pattern.tokens))
    return {label: tuple(texts) for label, texts in found.items()}


def _filled(text: str, rng: np.random.Generator) -> str:
    return _SLOT.sub(lambda match: _filled(str(rng.choice(grammar().slots[match[1]])), rng), text)
