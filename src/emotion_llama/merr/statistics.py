"""What a build holds, counted: pure over its samples, in one pass; what is missing is counted with its reason."""

from __future__ import annotations

from collections.abc import Iterable

from emotion_llama.merr import counting
from emotion_llama.merr.counting import is_coarse, is_fine
from emotion_llama.merr.figures import Statistics
from emotion_llama.merr.records import Sample

__all__ = ["collect", "is_coarse", "is_fine"]


def collect(samples: Iterable[Sample]) -> Statistics:
    """Statistics of all samples of a build, also of those that were dropped or failed."""
    phases, labels, units, sounds = counting.Phases(), counting.Labels(), counting.Units(), counting.Sounds()
    texts, coverage, makers = counting.Texts(), counting.Coverages(), counting.Makers()
    splits, agreements = counting.Splits(), counting.Agreements()
    clips = fine = 0
    durations: list[float] = []
    for sample in samples:
        clips += 1
        phases.add(sample)
        if not is_coarse(sample):
            continue
        fine += is_fine(sample)
        if sample.clip.duration_seconds is not None:
            durations.append(sample.clip.duration_seconds)
        for counter in (labels, units, sounds, texts, coverage, makers, splits, agreements):
            counter.add(sample)
    return Statistics(
        clips=clips,
        coarse=labels.samples,
        fine=fine,
        seconds=sum(durations),
        phases=phases.result(),
        labels=labels.result(),
        unlabelled=labels.unlabelled,
        units=units.result(),
        peaks=units.peaks,
        durations=counting.spread(durations),
        duration_seconds=tuple(sorted(durations)),
        tone_words=counting.by_size(sounds.words),
        tones=sounds.tones,
        subtitle_sources=counting.by_size(sounds.sources),
        subtitle_languages=counting.by_size(sounds.languages),
        texts=texts.result(),
        coverage=coverage.result(),
        agreements=agreements.result(),
        conflicts=agreements.conflicts(),
        with_conflict=agreements.with_conflict,
        makers=makers.result(),
        splits=splits.result(),
        persons=len(splits.persons),
        sources=len(splits.sources),
        shared_persons=splits.shared_persons(),
        shared_sources=splits.shared_sources(),
    )
