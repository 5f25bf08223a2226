"""Counters that see each sample once: what `statistics.collect` adds up."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

from emotion_llama.merr.fields import FIELDS
from emotion_llama.merr.figures import (
    AgreementCount,
    ConflictCount,
    Coverage,
    LabelCount,
    Maker,
    PhaseCount,
    SplitCount,
    Spread,
    TextCount,
    UnitCount,
)
from emotion_llama.merr.modalities import MODALITIES, Modality, read_modality
from emotion_llama.merr.records import FieldKey, Provenance, Sample
from emotion_llama.merr.texts import ngrams, tokens
from emotion_llama.merr.values import label_of, part, peak_units, source_of, subtitle_language, text_of

# Phases in the order of a build; what else stands in a ledger comes after them, by name.
PHASES: tuple[str, ...] = (
    "ingest", "evidence", "subtitle", "pseudo_label", "select", "peak", "visual_expression", "visual_objective",
    "audio_tone", "coarse_caption", "fine_caption", "consistency", "balance", "splits",
)  # fmt: skip
DESCRIPTIONS: tuple[str, ...] = (
    "visual_expression", "visual_objective", "audio_tone", "coarse_caption", "fine_caption",
)  # fmt: skip
PRESENT = 0.8  # intensity from which a unit counts as present: MER-Factory's threshold
UNKNOWN = "not known"


def is_coarse(sample: Sample) -> bool:
    """The sample belongs to the coarse set: never dropped as a whole, and with a coarse caption."""
    return not _is_dropped(sample, "all") and _has(sample, "coarse_caption")


def is_fine(sample: Sample) -> bool:
    """The sample belongs to the fine set: in the coarse set, with a fine caption, and not dropped from there."""
    return is_coarse(sample) and not _is_dropped(sample, "fine") and _has(sample, "fine_caption")


def by_size(counter: Mapping[str, int]) -> dict[str, int]:
    """Counts by falling size, equal ones by name: the same on every run."""
    return dict(sorted(counter.items(), key=lambda item: (-item[1], item[0])))


def spread(numbers: Sequence[float]) -> Spread | None:
    """Mean, extremes and percentiles (linear interpolation); None of no numbers."""
    if not numbers:
        return None
    low, median, high = (float(v) for v in np.percentile(numbers, (10, 50, 90)))
    return Spread(len(numbers), float(np.mean(numbers)), float(min(numbers)), low, median, high, float(max(numbers)))


def reason_kind(reason: str) -> str:
    """A reason whose numbers and quoted names are made alike, so that it can be counted."""
    named = re.sub(r"(?<!\w)'[^']*'|\"[^\"]*\"", "…", reason)
    return re.sub(r"(?<![\w.])\d+(?:\.\d+)?(?!\w)", "N", named)


class Phases:
    """Clips of each phase by what became of them."""

    def __init__(self) -> None:
        self._status: dict[str, Counter[str]] = defaultdict(Counter)
        self._reasons: dict[str, Counter[str]] = defaultdict(Counter)
        self._seconds: dict[str, float] = defaultdict(float)

    def add(self, sample: Sample) -> None:
        for stage, run in sample.runs.items():
            fine = run.status == "dropped" and run.scope == "fine"
            self._status[stage]["dropped_fine" if fine else run.status] += 1
            self._seconds[stage] += run.seconds
            if run.reason is not None:
                self._reasons[stage][reason_kind(run.reason)] += 1

    def result(self) -> tuple[PhaseCount, ...]:
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
        units = peak_units(sample)
        if units is None:
            return
        self.peaks += 1
        for unit, intensity in units.items():
            if intensity >= PRESENT:
                self._present[unit].append(intensity)
                self._labels[unit][label_of(sample) or UNKNOWN] += 1

    def result(self) -> tuple[UnitCount, ...]:
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
        words = part(sample.value("tone"), "words")
        if isinstance(words, Mapping):
            self.tones += 1
            self.words.update(str(word) for word in words)
        subtitle = sample.value("subtitle")
        if text_of(subtitle) is not None:
            self.sources[source_of(subtitle) or UNKNOWN] += 1
            self.languages[subtitle_language(subtitle) or UNKNOWN] += 1


class Texts:
    """Lengths and vocabulary of each description."""

    def __init__(self) -> None:
        self._lengths: dict[FieldKey, list[int]] = defaultdict(list)
        self._words: dict[FieldKey, set[str]] = defaultdict(set)
        self._pairs: dict[FieldKey, set[tuple[str, ...]]] = defaultdict(set)

    def add(self, sample: Sample) -> None:
        for (name, language), found in sample.fields.items():
            text = text_of(found.value) if name in DESCRIPTIONS else None
            if text is not None:
                words = tokens(text)
                self._lengths[name, language].append(len(words))
                self._words[name, language].update(words)
                self._pairs[name, language].update(ngrams(words, 2))

    def result(self) -> tuple[TextCount, ...]:
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
        self._samples += 1
        for key, found in sample.fields.items():
            self._present[key] += found.value is not None
            if found.why_missing is not None:
                self._missing[key][reason_kind(found.why_missing)] += 1

    def result(self) -> tuple[Coverage, ...]:
        order = list(FIELDS)
        keys = sorted(self._present, key=lambda k: (order.index(k[0]) if k[0] in FIELDS else len(order), k))
        return tuple(
            Coverage(*key, self._present[key], by_size(self._missing[key]),
                     self._samples - self._present[key] - self._missing[key].total())
            for key in keys
        )  # fmt: skip


class Makers:
    """Who made which field, and what it cost."""

    def __init__(self) -> None:
        self._made: dict[tuple[FieldKey, tuple[str, str, str | None, bool]], list[tuple[bool, Provenance]]] = (
            defaultdict(list)
        )

    def add(self, sample: Sample) -> None:
        for key, found in sample.fields.items():
            p = found.provenance
            who = (p.annotator, p.model, p.prompt_sha256, p.label_shown)
            self._made[key, who].append((found.value is not None, p))

    def result(self) -> tuple[Maker, ...]:
        order = list(FIELDS)

        def place(item: tuple[FieldKey, tuple[str, str, str | None, bool]]) -> tuple[int, str]:
            return order.index(item[0][0]) if item[0][0] in FIELDS else len(order), str(item)

        return tuple(
            Maker(
                *key, *who, sum(made for made, _ in rows), sum(not made for made, _ in rows),
                _total([p.tokens_in for _, p in rows]), _total([p.tokens_out for _, p in rows]),
                sum(p.seconds for _, p in rows),
            )
            for (key, who), rows in ((item, self._made[item]) for item in sorted(self._made, key=place))
        )  # fmt: skip


class Splits:
    """Samples, persons and source videos of each split."""

    def __init__(self) -> None:
        self.persons: dict[str, set[str]] = defaultdict(set)
        self.sources: dict[str, set[str]] = defaultdict(set)
        self._rows: dict[str, list[tuple[bool, float, str]]] = defaultdict(list)

    def add(self, sample: Sample) -> None:
        split = sample.value("split")
        name = split if isinstance(split, str) else UNKNOWN
        clip = sample.clip
        self._rows[name].append((is_fine(sample), clip.duration_seconds or 0.0, label_of(sample) or UNKNOWN))
        if clip.person is not None:
            self.persons[clip.person].add(name)
        if clip.source is not None:
            self.sources[clip.source].add(name)

    def shared_persons(self) -> tuple[str, ...]:
        return tuple(sorted(person for person, splits in self.persons.items() if len(splits) > 1))

    def shared_sources(self) -> tuple[str, ...]:
        return tuple(sorted(source for source, splits in self.sources.items() if len(splits) > 1))

    def result(self) -> tuple[SplitCount, ...]:
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
        return tuple(
            AgreementCount(m, votes["agrees"], votes["disagrees"], votes["silent"], by_size(self._not_read[m]))
            for m, votes in self._votes.items()
        )

    def conflicts(self) -> tuple[ConflictCount, ...]:
        ordered = sorted(self._pairs.items(), key=lambda item: (-item[1], item[0]))
        return tuple(ConflictCount(*pair, count) for pair, count in ordered)


def _total(counts: Sequence[int | None]) -> int | None:
    known = [count for count in counts if count is not None]
    return sum(known) if known else None


def _is_dropped(sample: Sample, scope: str) -> bool:
    return any(run.status == "dropped" and (run.scope or "all") == scope for run in sample.runs.values())


def _has(sample: Sample, name: str) -> bool:
    return any(f.value is not None for (found, _), f in sample.fields.items() if found == name)
