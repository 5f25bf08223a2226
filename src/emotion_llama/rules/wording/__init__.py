"""Everything that descriptions by rules say, by language: one YAML file a language, all with the same keys.

A further language is one more file, and its name in `LANGUAGES`; the tests hold it against the keys of the others.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Any

from emotion_llama.errors import InputError
from emotion_llama.labels import SYNONYMS
from emotion_llama.media.picture import COLOUR_WORDS

Table = Mapping[str, tuple[str, ...]]

LANGUAGES = ("en", "zh")


@dataclass(frozen=True, repr=False)
class Wording:
    """One language. A table's value is a tuple of wordings that mean the same; `variant` chooses.

    Attributes:
        language: "en", "zh".
        strengths: slot in a phrase -> words for slight, clear and strong; which slot depends on what sounds natural.
        combinations: units that are one gesture together, the largest first -> phrases.
        units: unit -> phrases.
        at_rest: of a face without marked movement.
        tones: word of `speech.tone` -> the same as a predicate ("low-pitched").
        tones_relative: likewise, beside the same person's usual voice ("lower-pitched than usual").
        figures: field of Prosody -> how its figure is given, with the slot {value}.
        colours: word of `media.picture.COLOUR_WORDS` -> the same.
        scene: fragments of the picture's description, by measured value.
        reason: sentences of the reasoning, by purpose.
        coarse: the coarse caption's parts.
        problems: what the judge of groundedness says.
        feelings: label -> what fills "feels {feeling}".
        moods: label -> noun for what a clue would suggest.
        label_words: label -> words that name it, beside the label itself; none may come before the last sentence.
        cues: concept -> regular expression that finds it in a text.
        negations: regular expression of what takes back the cue that follows within a few words.
        comma, last_and: join lists of words; `last_and` stands before the last one.
        clause_comma, clause_and: likewise for clauses.
        between_sentences: what stands between two sentences.
        quotes: opening and closing quotation mark.
        sentence_ends: marks that end a sentence.
    """

    language: str
    strengths: Mapping[str, tuple[str, str, str]]
    combinations: Mapping[tuple[str, ...], tuple[str, ...]]
    units: Table
    at_rest: tuple[str, ...]
    tones: Table
    tones_relative: Table
    figures: Mapping[str, str]
    colours: Mapping[str, str]
    scene: Table
    reason: Table
    coarse: Mapping[str, str]
    problems: Mapping[str, str]
    feelings: Mapping[str, str]
    moods: Mapping[str, str]
    label_words: Table
    cues: Mapping[str, str]
    negations: str
    comma: str
    last_and: str
    clause_comma: str
    clause_and: str
    between_sentences: str
    quotes: tuple[str, str]
    sentence_ends: str

    def listed(self, items: Sequence[str]) -> str:
        """Words as a list in running text: "a, b and c"."""
        holds_and = any(self.last_and in item for item in items)
        return joined(items, self.comma, self.comma.rstrip() + self.last_and if holds_and else self.last_and)

    def clauses(self, items: Sequence[str]) -> str:
        """Clauses as one sentence, without its full stop."""
        return joined(items, self.clause_comma, self.clause_and)

    def quoted(self, text: str) -> str:
        """The text in this language's quotation marks."""
        return f"{self.quotes[0]}{text}{self.quotes[1]}"


@cache
def wording(language: str) -> Wording:
    """The words of a language.

    Raises:
        InputError: there is no file for it.
    """
    if language not in LANGUAGES:
        raise InputError(f"no wording for language {language!r} (there are: {', '.join(LANGUAGES)})")
    import yaml

    text = (files(__name__) / f"{language}.yaml").read_text(encoding="utf-8")
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times as fast where PyYAML has it
    tables: dict[str, Any] = yaml.load(text, loader)  # noqa: S506  (a safe loader)
    gap = tables.pop("gap", "")
    tables["cues"] = {cue: "|".join(found).replace("<gap>", gap) for cue, found in tables["cues"].items()}
    tables["combinations"] = {tuple(units.split()): phrases for units, phrases in tables["combinations"].items()}
    words = {label: tuple(word for word, labels in SYNONYMS.items() if label in labels) for label in tables["moods"]}
    own = {"label_words": words, "feelings": {label: label for label in words}}
    own["colours"] = {word: word for word in COLOUR_WORDS}
    return Wording(language, **{name: _frozen(table) for name, table in (own | tables).items()})


def _frozen(value: Any) -> Any:  # a text, a list of texts, or a mapping of either
    if isinstance(value, Mapping):
        return MappingProxyType({key: _frozen(item) for key, item in value.items()})
    return tuple(value) if isinstance(value, list) else value


def pick(wordings: Sequence[str], variant: int) -> str:
    """One of several wordings, counted round."""
    return wordings[variant % len(wordings)]


def pick_for(key: str, wordings: Sequence[str], variant: int) -> str:
    """One of several wordings; different keys choose independently of each other."""
    # A checksum would not do: those of two keys differ by the same bits whatever the variant.
    digest = hashlib.sha256(f"{key}:{variant}".encode()).digest()
    return wordings[digest[0] % len(wordings)]


def joined(items: Sequence[str], comma: str, last: str) -> str:
    """Items with commas between them, and `last` before the last one."""
    return comma.join(items[:-1]) + last * (len(items) > 1) + "".join(items[-1:])
