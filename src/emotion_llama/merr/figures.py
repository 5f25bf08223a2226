"""The figures of a build: what statistics say, as records."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class PhaseCount:
    """What became of the clips that a phase looked at.

    `dropped` clips leave the data set, `dropped_fine` ones its fine-grained part only; `reasons` counts both and
    the failures, numbers and clip names in them made alike.
    """

    stage: str
    entered: int
    done: int
    dropped: int
    dropped_fine: int
    failed: int
    reasons: Mapping[str, int]
    seconds: float


@dataclass(frozen=True)
class Spread:
    """Of `count` numbers: mean, least, 10th percentile, median, 90th percentile, largest."""

    count: int
    mean: float
    least: float
    low: float
    median: float
    high: float
    most: float


@dataclass(frozen=True)
class LabelCount:
    """One label: samples, those with a fine description, those labelled by whoever gave the clip, strengths, splits."""

    label: str
    coarse: int
    fine: int
    given: int
    strengths: Mapping[str, int]
    splits: Mapping[str, int]


@dataclass(frozen=True)
class UnitCount:
    """One unit at the peak frames: in how many it is present (0.8 and more), its mean there, and by label how often."""

    unit: str
    present: int
    mean_intensity: float
    by_label: Mapping[str, int]


@dataclass(frozen=True)
class TextCount:
    """One description in one language, over the samples that have it.

    `length` is in words, for Chinese in characters. `distinct_1` and `distinct_2` (Li et al., NAACL 2016) fall with
    the number of tokens, which stands beside them.
    """

    name: str
    language: str
    length: Spread
    tokens: int
    distinct_1: float | None
    distinct_2: float | None


@dataclass(frozen=True)
class Coverage:
    """One field over the samples: there, or missing and why; `not_made` has no stage's word on it."""

    name: str
    language: str
    present: int
    missing: Mapping[str, int]
    not_made: int


@dataclass(frozen=True)
class Maker:
    """Who made a field, how often, at which cost; tokens are None where nothing counted them."""

    name: str
    language: str
    annotator: str
    model: str
    prompt_sha256: str | None
    label_shown: bool
    made: int
    missing: int
    tokens_in: int | None
    tokens_out: int | None
    seconds: float


@dataclass(frozen=True)
class AgreementCount:
    """How often a modality speaks for the label, over the samples that have one.

    `agrees` and `disagrees` count samples where the modality speaks for a label; `silent` where it speaks for none.
    `not_read` counts, by reason, where it could not be asked: nothing was measured, or asking would be circular.
    """

    modality: str
    agrees: int
    disagrees: int
    silent: int
    not_read: Mapping[str, int]


@dataclass(frozen=True)
class ConflictCount:
    """One pair of modalities that speak for different labels: ("face", "happy", "words", "angry")."""

    first: str
    first_label: str
    second: str
    second_label: str
    count: int


@dataclass(frozen=True)
class SplitCount:
    """One split: samples, fine ones, and how many persons and source videos are known in it."""

    split: str
    coarse: int
    fine: int
    persons: int
    sources: int
    seconds: float
    labels: Mapping[str, int]


@dataclass(frozen=True)
class Statistics:
    """A build in figures. `clips` counts everything that was found; all else but `phases` is over the coarse set.

    `shared_persons` and `shared_sources` name what stands in more than one split, which should be nothing. `ungrouped`
    counts samples with a split of which neither is known: each was split by itself, whoever it shows.
    """

    clips: int
    coarse: int
    fine: int
    seconds: float
    phases: tuple[PhaseCount, ...]
    labels: tuple[LabelCount, ...]
    unlabelled: int
    units: tuple[UnitCount, ...]
    peaks: int
    durations: Spread | None
    duration_seconds: tuple[float, ...]
    tone_words: Mapping[str, int]
    tones: int
    subtitle_sources: Mapping[str, int]
    subtitle_languages: Mapping[str, int]
    texts: tuple[TextCount, ...]
    coverage: tuple[Coverage, ...]
    agreements: tuple[AgreementCount, ...]
    conflicts: tuple[ConflictCount, ...]
    with_conflict: int
    makers: tuple[Maker, ...]
    splits: tuple[SplitCount, ...]
    persons: int
    sources: int
    shared_persons: tuple[str, ...]
    shared_sources: tuple[str, ...]
    ungrouped: int = 0
