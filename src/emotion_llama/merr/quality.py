"""How good a build is, measured without references and without asking anything about its own words.

A text is compared only with what its writer did not make it from: where `rules` wrote a description from the measured
units, its agreement with these units is theirs by construction and is not computed. What is missing is not counted, and
every measure says on how much it rests. There is no sum of all measures: they have no common unit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

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
