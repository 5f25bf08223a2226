"""How good a build is, measured without references and without asking anything about its own words.

A text is compared only with what its writer did not make it from: where `rules` wrote a description from the measured
units, its agreement with these units is theirs by construction and is not computed. What is missing is not counted, and
every measure says on how much it rests. There is no sum of all measures: they have no common unit.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from emotion_llama.merr.counts import is_coarse
from emotion_llama.merr.records import Sample

CIRCULAR = "written by rules from these measurements: agreement would be circular"


@dataclass(frozen=True)
class Measure:
    """One figure about a build.

    Attributes:
        name: short name.
        title: for a reader.
        value: None where nothing could be compared.
        chance: what the same figure is when each text stands beside another sample's measurement; None where that
            has no meaning.
        rests_on: how many of `unit` were compared.
        unit: "samples", "mentions", "words", "pairs".
        better: "higher", "lower", or "neither".
        left_out: why samples were not compared, counted.
        says: how it is computed.
    """

    name: str
    title: str
    value: float | None
    rests_on: int
    unit: str
    better: str
    says: str
    chance: float | None = None
    left_out: Mapping[str, int] = field(default_factory=dict)


class Counter(Protocol):
    """Sees each sample of the coarse set once."""

    def add(self, sample: Sample) -> None:
        """Count one sample."""

    def measures(self) -> tuple[Measure, ...]:
        """The measures so far."""


class Assessor:
    """All measures together, for who reads the samples once and does more with them."""

    def __init__(self) -> None:
        from emotion_llama.merr.quality_faces import Expressions
        from emotion_llama.merr.quality_labels import GivenLabels, Leaks
        from emotion_llama.merr.quality_texts import Grounds, Languages, Repeats
        from emotion_llama.merr.quality_voices import Tones

        self._counters: tuple[Counter, ...] = (
            GivenLabels(), Expressions(), Tones(), Grounds(), Leaks(), Languages(), Repeats(),
        )  # fmt: skip

    def add(self, sample: Sample) -> None:
        """Count one sample; those outside the coarse set are passed over."""
        if is_coarse(sample):
            for counter in self._counters:
                counter.add(sample)

    def measures(self) -> tuple[Measure, ...]:
        """All measures so far."""
        return tuple(measure for counter in self._counters for measure in counter.measures())


def assess(samples: Iterable[Sample]) -> tuple[Measure, ...]:
    """All measures over the coarse set of a build."""
    assessor = Assessor()
    for sample in samples:
        assessor.add(sample)
    return assessor.measures()
