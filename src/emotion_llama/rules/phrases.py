"""Action units in the plain words that MERR uses ("eyes widened", "wide-mouthed"), not in FACS names.

The phrases are this project's own (`wording`). A slot in braces is where the word of strength goes: slight from 0.8,
clear from 1.6, strong from 2.4 of 5 (MER-Factory's thresholds).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from emotion_llama.errors import InputError
from emotion_llama.face.label_units import PRESENT
from emotion_llama.records import AU_NAMES
from emotion_llama.rules.rule_tables import DEGREES
from emotion_llama.rules.wording import Wording, pick, wording

Phrases = Mapping[tuple[str, ...], Sequence[str]]  # units that are one gesture -> phrases

ADVERBS: tuple[tuple[str, float], ...] = tuple(
    (word, least) for word, (_, least) in zip(reversed(wording("en").strengths["how"]), DEGREES)
)
UNITS = wording("en").units


def expression_phrases(
    units: Mapping[str, float], *, variant: int = 0, language: str = "en", own: Phrases | None = None
) -> list[str]:
    """Phrases for the present units (0.8 and more), the strongest gesture first.

    The same units and `variant` always give the same words.

    Args:
        units: unit name -> intensity 0..5.
        variant: which of a gesture's wordings to take, counted round; a data set varies it by clip.
        language: "en" or "zh".
        own: phrases that take the place of the package's for the units they name (`own_phrases` checks them).
    """
    return [phrase for phrase, _, _ in gestures(units, variant=variant, language=language, own=own)]


def gestures(
    units: Mapping[str, float], *, variant: int = 0, language: str = "en", own: Phrases | None = None
) -> list[tuple[str, tuple[str, ...], float]]:
    """The same with the units behind each phrase, and their mean intensity 0..5; arguments as `expression_phrases`."""
    words = wording(language)
    left = {name: x for name, x in units.items() if x >= PRESENT and name in words.units}
    found = []
    for group, phrases in _tables(words, own):
        if all(name in left for name in group):
            intensity = sum(left.pop(name) for name in group) / len(group)
            found.append((_worded(pick(phrases, variant), intensity, words), group, intensity))
    named = {name for _, group, _ in found for name in group}
    # A jaw that drops parts the lips: said once.
    kept = [gesture for gesture in found if gesture[1] != ("AU25",) or "AU26" not in named]
    return sorted(kept, key=lambda gesture: -gesture[2])


def phrase_index(language: str, own: Phrases | None = None) -> dict[str, tuple[tuple[str, ...], float]]:
    """Every phrase that `expression_phrases` can give -> its units and the least intensity that gives it."""
    words = wording(language)
    index: dict[str, tuple[tuple[str, ...], float]] = {}
    for group, phrases in _tables(words, own):
        for phrase in phrases:
            for _, least in DEGREES:
                index[_worded(phrase, least, words)] = (group, least)
    return index


def own_phrases(table: Mapping[str, Sequence[str]], language: str = "en") -> Phrases:
    """A table of one's own, checked.

    Args:
        table: a unit ("AU12"), or units of one gesture joined by "+" ("AU06+AU12") -> one phrase or more. A phrase may
            hold one of the language's slots of strength, such as {how}.
        language: of the phrases.

    Raises:
        InputError: an unknown unit or slot, no phrase, or a phrase with a comma or semicolon, which join phrases.
    """
    slots = wording(language).strengths
    checked: dict[tuple[str, ...], tuple[str, ...]] = {}
    for key, phrases in table.items():
        group = tuple(sorted(part.strip() for part in key.split("+")))
        if unknown := [name for name in group if name not in AU_NAMES]:
            raise InputError(f"phrases: {unknown[0]!r} is no action unit (there are: {', '.join(AU_NAMES)})")
        if isinstance(phrases, str) or not phrases or not all(p.strip() for p in phrases):
            raise InputError(f"phrases: {key} needs a list of phrases, got {phrases!r}")
        for phrase in phrases:
            _check_phrase(phrase, slots)
        checked[group] = tuple(phrases)
    return checked


def adverb(intensity: float) -> str:
    """English adverb of strength for an intensity of at least 0.8."""
    return next((word for word, least in ADVERBS if intensity >= least), ADVERBS[-1][0])


def _tables(words: Wording, own: Phrases | None) -> list[tuple[tuple[str, ...], Sequence[str]]]:
    """Groups of units with their phrases, the largest first; one's own before the package's of that size."""
    merged: dict[tuple[str, ...], Sequence[str]] = {
        **(own or {}),
        **words.combinations,
        **{(name,): phrases for name, phrases in words.units.items()},
        **(own or {}),
    }
    return sorted(merged.items(), key=lambda item: -len(item[0]))


def _worded(phrase: str, intensity: float, words: Wording) -> str:
    level = next((i for i, (_, least) in enumerate(DEGREES) if intensity >= least), len(DEGREES) - 1)
    return phrase.format_map({slot: levels[len(levels) - 1 - level] for slot, levels in words.strengths.items()})


def _check_phrase(phrase: str, slots: Mapping[str, object]) -> None:
    try:
        phrase.format_map(dict.fromkeys(slots, ""))
    except (KeyError, ValueError, IndexError):
        raise InputError(
            f"phrases: {phrase!r} has a slot that is not known (there are: {', '.join(f'{{{s}}}' for s in slots)})"
        ) from None
    if any(mark in phrase for mark in ",;，；、"):
        raise InputError(f"phrases: {phrase!r} holds a comma or semicolon; these join phrases, give two phrases")
