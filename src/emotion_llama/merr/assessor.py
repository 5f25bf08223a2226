"""All measures of how good a build is, together."""

from __future__ import annotations

from collections.abc import Iterable

from emotion_llama.merr.counts import is_coarse
from emotion_llama.merr.quality import Counter, Measure
from emotion_llama.merr.quality_faces import Expressions
from emotion_llama.merr.quality_labels import GivenLabels, Leaks
from emotion_llama.merr.quality_texts import Grounds, Languages, Repeats
from emotion_llama.merr.quality_voices import Tones
from emotion_llama.merr.records import Sample


class Assessor:
    """All measures together, for who reads the samples once and does more with them."""

    def __init__(self) -> None:
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
