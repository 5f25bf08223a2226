"""Clips whose face, voice and words do not agree: which kinds there are, and what is true of each.

Three rules say what the truth is; they are this project's decision, after the sources named, and each kind follows one:

1. Two of the three that agree outvote the third ("a smile with angry words and tone is anger": MERR's own example).
   So does the tone, with the face, against friendly words: Mehrabian & Wiener 1967, J. Personality and Social
   Psychology 6, 109.
2. A neutral face, voice or sentence is no sign of anything, and outvotes nothing.
3. A smile is the easiest sign to put on and the voice the hardest to hold back: Ekman & Friesen 1969, Psychiatry 32,
   88. Where only a smile and a voice speak, the voice is the truth.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple


class ConflictKind(NamedTuple):
    """One kind of disagreement.

    Attributes:
        labels: true labels it occurs with.
        face, voice, words: what each shows; None: the true label.
        is_mask: the face's smile is put on (AU12 without AU06).
        rule: why the true label is the truth.
    """

    labels: tuple[str, ...]
    face: str | None
    voice: str | None
    words: str | None
    is_mask: bool
    rule: str


CONFLICTS: Mapping[str, ConflictKind] = MappingProxyType(
    {
        "masking_smile": ConflictKind(
            ("angry", "sad", "worried", "fear", "contempt"), "happy", None, None, True,
            "rule 1: words and tone agree against a smile",
        ),
        "sarcasm": ConflictKind(
            ("contempt", "angry"), None, None, "happy", False, "rule 1: tone and face agree against friendly words",
        ),
        "brave_face": ConflictKind(
            ("sad", "worried", "fear"), "happy", None, "neutral", True,
            "rules 2 and 3: plain words, and a smile against the voice",
        ),
        "stone_face": ConflictKind(
            ("angry", "happy", "sad", "worried", "surprise", "fear", "contempt", "doubt"), "neutral", None, None, False,
            "rule 2: a face at rest does not outvote voice and words",
        ),
        "leak": ConflictKind(
            ("angry", "happy", "sad", "worried", "surprise", "fear", "contempt", "doubt"), None, "neutral", "neutral",
            False, "rule 2: plain words in a plain voice do not outvote the face",
        ),
    }
)  # fmt: skip


def kinds_for(label: str) -> tuple[str, ...]:
    """The kinds whose truth can be `label`; none for neutral."""
    return tuple(name for name, kind in CONFLICTS.items() if label in kind.labels)
