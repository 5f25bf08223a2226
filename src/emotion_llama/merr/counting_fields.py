"""Counters of fields: lengths and vocabulary of texts, what is there or missing, and who made it at which cost."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import NamedTuple

from emotion_llama.merr.counts import by_size, reason_kind, spread
from emotion_llama.merr.fields import FIELDS
from emotion_llama.merr.figures import Coverage, Maker, TextCount
from emotion_llama.merr.records import FieldKey, Sample
from emotion_llama.merr.texts import ngrams, tokens
from emotion_llama.merr.values import text_of

DESCRIPTIONS: tuple[str, ...] = (
    "visual_expression", "visual_objective", "audio_tone", "coarse_caption", "fine_caption",
)  # fmt: skip


class Texts:
    """Lengths and vocabulary of each description."""

    def __init__(self) -> None:
        self._lengths: dict[FieldKey, list[int]] = defaultdict(list)
        self._words: dict[FieldKey, set[str]] = defaultdict(set)
        self._pairs: dict[FieldKey, set[tuple[str, ...]]] = defaultdict(set)

    def add(self, sample: Sample) -> None:
        """Count one sample."""
        for (name, language), found in sample.fields.items():
            text = text_of(found.value) if name in DESCRIPTIONS else None
            if text is not None:
                words = tokens(text)
                self._lengths[name, language].append(len(words))
                self._words[name, language].update(words)
                self._pairs[name, language].update(ngrams(words, 2))

    def result(self) -> tuple[TextCount, ...]:
        """The counts."""
        keys = sorted(self._lengths, key=lambda key: (DESCRIPTIONS.index(key[0]), key[1]))
        return tuple(self._count(key) for key in keys)

    def _count(self, key: FieldKey) -> TextCount:
        lengths = self._lengths[key]
        total, pairs = sum(lengths), sum(max(0, n - 1) for n in lengths)
        length = spread(lengths)
        assert length is not None  # a key is there because a text was
        return TextCount(
            *key, length, total, len(self._words[key]) / total if total else None,
            len(self._pairs[key]) / pairs if pairs else None,
        )  # fmt: skip


class Coverages:
    """Each field: there, or missing and why."""

    def __init__(self) -> None:
        self._samples = 0
        self._present: Counter[FieldKey] = Counter()
        self._missing: dict[FieldKey, Counter[str]] = defaultdict(Counter)

    def add(self, sample: Sample) -> None:
        """Count one sample."""
        self._samples += 1
        for key, found in sample.fields.items():
            self._present[key] += found.value is not None
            if found.why_missing is not None:
                self._missing[key][reason_kind(found.why_missing)] += 1

    def result(self) -> tuple[Coverage, ...]:
        """The counts."""
        order = list(FIELDS)
        keys = sorted(self._present, key=lambda k: (order.index(k[0]) if k[0] in FIELDS else len(order), k))
        return tuple(
            Coverage(*key, self._present[key], by_size(self._missing[key]),
                     self._samples - self._present[key] - self._missing[key].total())
            for key in keys
        )  # fmt: skip


class _Who(NamedTuple):
    name: str
    language: str
    annotator: str
    model: str
    prompt_sha256: str | None
    label_shown: bool


@dataclass
class _Cost:
    made: int = 0
    missing: int = 0
    tokens_in: int | None = None
    tokens_out: int | None = None
    seconds: float = 0.0


class Makers:
    """Who made which field, and what it cost."""

    def __init__(self) -> None:
        self._costs: dict[_Who, _Cost] = defaultdict(_Cost)

    def add(self, sample: Sample) -> None:
        """Count one sample."""
        for key, found in sample.fields.items():
            p = found.provenance
            cost = self._costs[_Who(*key, p.annotator, p.model, p.prompt_sha256, p.label_shown)]
            cost.made += found.value is not None
            cost.missing += found.value is None
            cost.tokens_in = _sum(cost.tokens_in, p.tokens_in)
            cost.tokens_out = _sum(cost.tokens_out, p.tokens_out)
            cost.seconds += p.seconds

    def result(self) -> tuple[Maker, ...]:
        """The counts, in the order of a build."""
        costs = sorted(self._costs.items(), key=lambda item: (_place(item[0].name), str(item[0])))
        return tuple(Maker(*who, c.made, c.missing, c.tokens_in, c.tokens_out, c.seconds) for who, c in costs)


def _place(name: str) -> int:
    return list(FIELDS).index(name) if name in FIELDS else len(FIELDS)


def _sum(one: int | None, two: int | None) -> int | None:
    """None where nothing was counted, which is not 0."""
    return one if two is None else (one or 0) + two
