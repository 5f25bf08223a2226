"""Reasons by template: clues sorted into those that count and those that mislead, and the label in the last sentence.

Every clue that a text names is one of those given, word for word. The label, and every word of `Wording.label_words`
that means it, comes in the last sentence only: a clue whose own words hold one (a subtitle "I am so angry", a model's
"happy smile") is sorted like the others, but the text only says that the feeling is put into words.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from emotion_llama.chat.questions import Facts
from emotion_llama.rules.clues import MAX_CHARACTERS, MODALITIES, Clue, Source
from emotion_llama.rules.rule_tables import EVIDENCE_FLOOR
from emotion_llama.rules.wording import LANGUAGES, Wording, joined, pick_for, wording

# Log-odds for the label from which a clue counts for it, and those for another label from which it misleads. Own; the
# weights' scale is 0.3 a hint, 1 a clear cue (`rule_tables`).
SUPPORTS, MISLEADS, AGAINST = 0.1, EVIDENCE_FLOOR, -0.2
MAX_NAMED = 4  # clues of one source in one sentence
MAX_SENTENCES = 6


# Clues that speak for the label, that mislead, and that decide nothing, each in the order given.
Sorted = tuple[list[Clue], list[Clue], list[Clue]]
_Group = tuple[Source, list[Clue]]  # the clues of one modality


def sort_clues(clues: Sequence[Clue], label: str) -> Sorted:
    """Which clues speak for the label, which for others, and which for nothing.

    "neutral" has no claim beside another label: a voice without anything unusual is no contradiction of anger.
    """
    groups: Sorted = ([], [], [])
    for clue in clues:
        own = clue.weights.get(label, 0.0)
        rival = max((w for name, w in clue.weights.items() if name not in (label, "neutral")), default=0.0)
        is_rival = rival >= MISLEADS and (own < SUPPORTS or rival >= 2 * own)
        misleads = is_rival or own <= AGAINST
        groups[1 if misleads else 0 if own >= SUPPORTS else 2].append(clue)
    return groups


def reason(found: Sorted, label: str, facts: Facts, language: str, *, variant: int = 0, is_given: bool = True) -> str:
    """Three to six sentences on the clues; the label is named in the last one.

    Args:
        found: the clues, sorted for the label.
        label: the emotion.
        facts: for what is missing.
        language: "en" or "zh".
        variant: chooses among wordings.
        is_given: the label came with the clip, so that it stays where no clue bears it out.
    """
    write = _Phrasing(wording(language), variant, label)
    supporting, rivals, undecisive = found
    leading = _by_source(supporting, label)
    first = [write.first(leading[0])] if leading else [write("unsupported")]
    second = [write("second", clues=write.clauses(leading[1:], "outright"))] if len(leading) > 1 else []
    unread = [clue for clue in undecisive if clue.source == "words" and not clue.weights]
    said = write.said(unread)
    undecided = write.undecided([clue for clue in undecisive if clue not in unread])
    misleading = write.misleading(rivals, "misleading" if leading else "contrary")
    missing = write.missing(facts)
    last = write.last(leading, is_given, is_contested=bool(rivals))
    if not misleading and leading and not unread:
        misleading = [write("none.misleading")]
    sentences = [*first, *second, *misleading, *said, *missing, last]
    if undecided and len(sentences) < MAX_SENTENCES:
        at = len(first) + len(second)
        sentences[at:at] = undecided
    if len(sentences) < MAX_SENTENCES:
        sentences[:0] = write.setting(facts)
    return write.words.between_sentences.join(sentences)


def holds_label(text: str, label: str, words: Wording) -> bool:
    """Whether a text has the label in it, or another word for it."""
    for word in (label, *words.label_words.get(label, ())):
        pattern = rf"\b{re.escape(word)}\b" if word.isascii() else re.escape(word)
        if re.search(pattern, text, re.IGNORECASE | re.ASCII):
            return True
    return False


def _by_source(clues: Sequence[Clue], label: str) -> list[_Group]:
    """Clues grouped by modality, the weightiest modality first; within it in their order."""
    groups = [(source, [clue for clue in clues if clue.source == source]) for source in MODALITIES]
    found = [group for group in groups if group[1]]
    return sorted(found, key=lambda group: -sum(clue.weights.get(label, 0.0) for clue in group[1]))


class _Phrasing:
    """Sentences in one language and variant, with the label kept out of them."""

    def __init__(self, words: Wording, variant: int, label: str) -> None:
        self.words, self._variant, self._label = words, variant, label

    def __call__(self, key: str, **slots: object) -> str:
        return pick_for(key, self.words.reason[key], self._variant).format(**slots)

    def first(self, leading: _Group) -> str:
        clue = self._clause(leading, "outright", "lead")
        return self("first", source=self._source(leading[0]), clue=clue)

    def setting(self, facts: Facts) -> list[str]:
        """The first sentence of the picture's description, as it was given."""
        text = facts.clues.get("visual_objective", "").strip()
        ends = re.escape(self.words.sentence_ends)
        first = re.split(rf"(?<=[{ends}])(?!\d)", text)[0].strip()
        is_usable = 0 < len(first) <= MAX_CHARACTERS and not self._tells(first)
        return (
            [first if first[-1] in self.words.sentence_ends else first + self.words.sentence_ends[0]]
            if is_usable
            else []
        )

    def said(self, clues: Sequence[Clue]) -> list[str]:
        """Words that nobody here can read: quoted without a judgement."""
        items = [self.words.quoted(c.text) for c in clues if not self._tells(c.text)]
        return [self("said", items=self.words.listed(items))] if items else []

    def misleading(self, clues: Sequence[Clue], key: str) -> list[str]:
        if not clues:
            return []
        groups = _by_source(clues, self._label)
        moods = {self._mood(own) for _, own in groups}
        mood = moods.pop() if len(moods) == 1 else None
        text = self.clauses(groups)
        return [self(f"{key}.plain", clues=text) if mood is None else self(key, clues=text, mood=mood)]

    def undecided(self, clues: Sequence[Clue]) -> list[str]:
        groups = _by_source(clues, self._label)
        return [self("undecided", clues=self.clauses(groups))] if groups else []

    def missing(self, facts: Facts) -> list[str]:
        absent = [source for source, name in MODALITIES.items() if not facts.clues.get(name, "").strip()]
        if not absent:
            return []
        return [self("missing", sources=self.words.listed([self(f"missing.{source}") for source in absent]))]

    def last(self, leading: Sequence[_Group], is_given: bool, *, is_contested: bool) -> str:
        feeling = self.words.feelings.get(self._label, self._label)
        if leading and is_contested:
            return self("last.conflict", feeling=feeling, source=self._source(leading[0][0]))
        if leading:
            return self("last", feeling=feeling)
        return self("last.unsupported" if is_given else "last.unmeasured", feeling=feeling)

    def clauses(self, groups: Sequence[_Group], hidden: str = "mentioned") -> str:
        return joined([self._clause(group, hidden) for group in groups], self.words.clause_comma, self("and"))

    def _tells(self, text: str) -> bool:
        """Whether a text gives the label away, in any language: a subtitle need not be in the description's."""
        return any(holds_label(text, self._label, wording(language)) for language in LANGUAGES)

    def _source(self, source: Source) -> str:
        return self(f"source.{source}")

    def _clause(self, group: _Group, hidden: str, kind: str = "clue") -> str:
        """The clues of one source as a clause; those that hold the label itself are not named."""
        source, clues = group
        plain = [c for c in clues if not self._tells(c.text)]
        if not plain:
            return self(f"clue.{hidden}")
        heaviest = sorted(plain, key=lambda c: -abs(c.weights.get(self._label, 0.0)))[:MAX_NAMED]
        plain = [c for c in plain if c in heaviest]
        described = [c for c in plain if c.is_described]
        if described:
            items = self.words.listed([self.words.quoted(c.text) for c in plain])
            return self("clue.described", source=self._source(source), items=items)
        texts = [self.words.quoted(c.text) if source == "words" else c.text for c in plain]
        return self(f"{kind}.{source}", items=self.words.listed(texts))

    def _mood(self, clues: Sequence[Clue]) -> str | None:
        """What the clues would suggest by themselves, together; None when that is nothing clear, or has no name."""
        sums: dict[str, float] = {}
        for clue in clues:
            for name, weight in clue.weights.items():
                sums[name] = sums.get(name, 0.0) + weight
        strongest = _strongest(sums, self._label)
        return None if strongest is None else self.words.moods.get(strongest)


def _strongest(sums: Mapping[str, float], label: str) -> str | None:
    others = {name: weight for name, weight in sums.items() if name not in (label, "neutral") and weight >= MISLEADS}
    return max(others, key=lambda name: others[name], default=None)
