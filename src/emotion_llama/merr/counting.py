"""Counters of clips, each of which sees every sample once: what `statistics.collect` adds up."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping

import numpy as np

from emotion_llama.merr.counts import UNKNOWN, by_size, is_fine, reason_kind
from emotion_llama.merr.figures import AgreementCount, ConflictCount, LabelCount, PhaseCount, SplitCount, UnitCount
from emotion_llama.merr.modalities import MODALITIES, Modality, read_modality
from emotion_llama.merr.records import Sample
from emotion_llama.merr.tally import reason_group
from emotion_llama.merr.values import label_of, part, peak_units, source_of, subtitle_language, text_of

# Phases in the order of a build; what else stands in a ledger comes after them, by name.
PHASES: tuple[str, ...] = (
    "ingest", "evidence", "subtitle", "pseudo_label", "select", "peak", "visual_expression", "visual_objective",
    "audio_tone", "coarse_caption", "fine_caption", "consistency", "balance", "splits",
)  # fmt: skip
PRESENT = 0.8  # intensity from which a unit counts as present: MER-Factory's threshold


class Phases:
    """Clips of each phase by what became of them."""

    def __init__(self) -> None:
        self._status: dict[str, Counter[str]] = defaultdict(Counter)
        self._reasons: dict[str, Counter[str]] = defaultdict(Counter)
        self._seconds: dict[str, float] = defaultdict(float)

    def add(self, sample: Sample) -> None:
        """Count one sample."""
        for stage, run in sample.runs.items():
            fine = run.status == "dropped" and run.scope == "fine"
            self._status[stage]["dropped_fine" if fine else run.status] += 1
            self._seconds[stage] += run.seconds
            if run.reason is not None:
                self._reasons[stage][reason_kind(reason_group(run.reason))] += 1

    def result(self) -> tuple[PhaseCount, ...]:
        """The counts."""
        order = [*(p for p in PHASES if p in self._status), *sorted(set(self._status) - set(PHASES))]
        return tuple(
            PhaseCount(
                stage, sum(status.values()), status["done"], status["dropped"], status["dropped_fine"],
                status["failed"], by_size(self._reasons[stage]), self._seconds[stage],
            )
            for stage, status in ((stage, self._status[stage]) for stage in order)
        )  # fmt: skip


class Labels:
    """Samples by label."""

    def __init__(self) -> None:
        self.samples = 0
        self.unlabelled = 0
        self._coarse: Counter[str] = Counter()
        self._fine: Counter[str] = Counter()
        self._given: Counter[str] = Counter()
        self._strengths: dict[str, Counter[str]] = defaultdict(Counter)
        self._splits: dict[str, Counter[str]] = defaultdict(Counter)

    def add(self, sample: Sample) -> None:
        """Count one sample."""
        self.samples += 1
        label = label_of(sample)
        if label is None:
            self.unlabelled += 1
            return
        value = sample.value("label")
        self._coarse[label] += 1
        self._fine[label] += is_fine(sample)
        self._given[label] += source_of(value) == "given"
        strength, split = part(value, "strength"), sample.value("split")
        self._strengths[label][strength if isinstance(strength, str) else UNKNOWN] += 1
        if isinstance(split, str):
            self._splits[label][split] += 1

    def result(self) -> tuple[LabelCount, ...]:
        """The counts."""
        return tuple(
            LabelCount(
                label, count, self._fine[label], self._given[label], by_size(self._strengths[label]),
                by_size(self._splits[label]),
            )
            for label, count in by_size(self._coarse).items()
        )  # fmt: skip


class Units:
    """Units present at the peak frames."""

    def __init__(self) -> None:
        self.peaks = 0
        self._present: dict[str, list[float]] = defaultdict(list)
        self._labels: dict[str, Counter[str]] = defaultdict(Counter)

    def add(self, sample: Sample) -> None:
        """Count one sample."""
        units = peak_units(sample)
        if units is None:
            return
        self.peaks += 1
        for unit, intensity in units.items():
            if intensity >= PRESENT:
                self._present[unit].append(intensity)
                self._labels[unit][label_of(sample) or UNKNOWN] += 1

    def result(self) -> tuple[UnitCount, ...]:
        """The counts."""
        return tuple(
            UnitCount(unit, count, float(np.mean(self._present[unit])), by_size(self._labels[unit]))
            for unit, count in by_size({unit: len(values) for unit, values in self._present.items()}).items()
        )


class Sounds:
    """Tone words, and where the words of the subtitles come from."""

    def __init__(self) -> None:
        self.tones = 0
        self.words: Counter[str] = Counter()
        self.sources: Counter[str] = Counter()
        self.languages: Counter[str] = Counter()

    def add(self, sample: Sample) -> None:
        """Count one sample."""
        words = part(sample.value("tone"), "words")
        if isinstance(words, Mapping):
            self.tones += 1
            self.words.update(str(word) for word in words)
        subtitle = sample.value("subtitle")
        if text_of(subtitle) is not None:
            self.sources[source_of(subtitle) or UNKNOWN] += 1
            self.languages[subtitle_language(subtitle) or UNKNOWN] += 1


class Splits:
    """Samples, persons and source videos of each split."""

    def __init__(self) -> None:
        self.persons: dict[str, set[str]] = defaultdict(set)
        self.sources: dict[str, set[str]] = defaultdict(set)
        self.ungrouped = 0
        self._rows: dict[str, list[tuple[bool, float, str]]] = defaultdict(list)

    def add(self, sample: Sample) -> None:
        """Count one sample."""
        split = sample.value("split")
        name = split if isinstance(split, str) else UNKNOWN
        clip = sample.clip
        self._rows[name].append((is_fine(sample), clip.duration_seconds or 0.0, label_of(sample) or UNKNOWN))
        self.ungrouped += isinstance(split, str) and clip.person is None and clip.source is None
        if clip.person is not None:
            self.persons[clip.person].add(name)
        if clip.source is not None:
            self.sources[clip.source].add(name)

    def shared_persons(self) -> tuple[str, ...]:
        """Persons that stand in more than one split."""
        return tuple(sorted(person for person, splits in self.persons.items() if len(splits) > 1))

    def shared_sources(self) -> tuple[str, ...]:
        """Source videos that stand in more than one split."""
        return tuple(sorted(source for source, splits in self.sources.items() if len(splits) > 1))

    def result(self) -> tuple[SplitCount, ...]:
        """The counts."""
        order = ["train", "validation", "test"]
        names = [*(n for n in order if n in self._rows), *sorted(set(self._rows) - set(order))]
        return tuple(
            SplitCount(
                name, len(rows), sum(fine for fine, _, _ in rows), sum(name in s for s in self.persons.values()),
                sum(name in s for s in self.sources.values()), sum(seconds for _, seconds, _ in rows),
                by_size(Counter(label for _, _, label in rows)),
            )
            for name, rows in ((name, self._rows[name]) for name in names)
        )  # fmt: skip


class Agreements:
    """How often each modality speaks for the label, and which pairs contradict each other."""

    def __init__(self) -> None:
        self.with_conflict = 0
        self._votes: dict[Modality, Counter[str]] = {modality: Counter() for modality in MODALITIES}
        self._not_read: dict[Modality, Counter[str]] = {modality: Counter() for modality in MODALITIES}
        self._pairs: Counter[tuple[str, str, str, str]] = Counter()

    def add(self, sample: Sample) -> None:
        """Count one sample."""
        conflicts = sample.value("conflicts")
        if isinstance(conflicts, list) and conflicts:
            self.with_conflict += 1
            names = ("first", "first_label", "second", "second_label")
            self._pairs.update(tuple(str(part(c, n)) for n in names) for c in conflicts)  # type: ignore[misc]
        label = label_of(sample)
        if label is None:
            return
        for modality in MODALITIES:
            reading = read_modality(sample, modality)
            if reading.why_not is not None:
                self._not_read[modality][reason_kind(reading.why_not)] += 1
            else:
                vote = "silent" if reading.label is None else "agrees" if reading.label == label else "disagrees"
                self._votes[modality][vote] += 1

    def result(self) -> tuple[AgreementCount, ...]:
        """The counts."""
        return tuple(
            AgreementCount(m, votes["agrees"], votes["disagrees"], votes["silent"], by_size(self._not_read[m]))
            for m, votes in self._votes.items()
        )

    def conflicts(self) -> tuple[ConflictCount, ...]:
        """Pairs of modalities with what they speak for, the most frequent first."""
        ordered = sorted(self._pairs.items(), key=lambda item: (-item[1], item[0]))
        return tuple(ConflictCount(*pair, count) for pair, count in ordered)
