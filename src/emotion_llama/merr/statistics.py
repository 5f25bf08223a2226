"""What a build holds, counted: pure over its samples, in one pass; what is missing is counted with its reason."""

from __future__ import annotations

from collections.abc import Iterable

from emotion_llama.merr.counting import Agreements, Labels, Phases, Sounds, Splits, Units
from emotion_llama.merr.counting_fields import Coverages, Makers, Texts
from emotion_llama.merr.counts import by_size, is_coarse, is_fine, spread
from emotion_llama.merr.figures import Statistics
from emotion_llama.merr.records import Sample


def collect(samples: Iterable[Sample]) -> Statistics:
    """Statistics of all samples of a build, also of those that were dropped or failed."""
    counts = Collector()
    for sample in samples:
        counts.add(sample)
    return counts.result()


class Collector:
    """All counters together, for who reads the samples once and does more with them."""

    def __init__(self) -> None:
        self._clips = self._fine = 0
        self._durations: list[float] = []
        self._phases = Phases()
        self._labels, self._units, self._sounds = Labels(), Units(), Sounds()
        self._texts, self._coverage, self._makers = Texts(), Coverages(), Makers()
        self._splits, self._agreements = Splits(), Agreements()

    def add(self, sample: Sample) -> None:
        """Count one sample: in its phases, and everywhere else if it belongs to the coarse set."""
        self._clips += 1
        self._phases.add(sample)
        if not is_coarse(sample):
            return
        self._fine += is_fine(sample)
        if sample.clip.duration_seconds is not None:
            self._durations.append(sample.clip.duration_seconds)
        for counter in (
            self._labels, self._units, self._sounds, self._texts, self._coverage, self._makers, self._splits,
            self._agreements,
        ):  # fmt: skip
            counter.add(sample)

    def result(self) -> Statistics:
        """The figures so far."""
        return Statistics(
            clips=self._clips,
            coarse=self._labels.samples,
            fine=self._fine,
            seconds=sum(self._durations),
            phases=self._phases.result(),
            labels=self._labels.result(),
            unlabelled=self._labels.unlabelled,
            units=self._units.result(),
            peaks=self._units.peaks,
            durations=spread(self._durations),
            duration_seconds=tuple(sorted(self._durations)),
            tone_words=by_size(self._sounds.words),
            tones=self._sounds.tones,
            subtitle_sources=by_size(self._sounds.sources),
            subtitle_languages=by_size(self._sounds.languages),
            texts=self._texts.result(),
            coverage=self._coverage.result(),
            agreements=self._agreements.result(),
            conflicts=self._agreements.conflicts(),
            with_conflict=self._agreements.with_conflict,
            makers=self._makers.result(),
            splits=self._splits.result(),
            persons=len(self._splits.persons),
            sources=len(self._splits.sources),
            shared_persons=self._splits.shared_persons(),
            shared_sources=self._splits.shared_sources(),
            ungrouped=self._splits.ungrouped,
        )
