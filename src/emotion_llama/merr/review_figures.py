"""Reviews of a build counted: progress, what they come to, each reviewer, and how far two reviewers agree."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from emotion_llama.merr.columns import column_of
from emotion_llama.merr.counts import by_size, is_coarse
from emotion_llama.merr.records import Sample
from emotion_llama.merr.review_records import Review
from emotion_llama.merr.review_verdicts import Outcome, Verdict, settle, stated_label


@dataclass(frozen=True)
class ReviewerCount:
    """One reviewer's newest decisions on samples as they are now; `mean_stars` over the `starred` ones."""

    reviewer: str
    reviewed: int
    accepted: int
    fixed: int
    rejected: int
    starred: int
    mean_stars: float | None


@dataclass(frozen=True)
class Agreement:
    """Two judgements of the same things: how many, the share that is equal, and Cohen's kappa.

    kappa = (p_o - p_e) / (1 - p_e), with p_o the share of equal judgements and p_e the share expected of two judges who
    use each category as often as these do, but by chance (Cohen, Educational and Psychological Measurement 20, 1960).
    None where nothing was compared, and where both used one and the same category only, so that p_e is 1.
    """

    compared: int
    equal: float | None
    kappa: float | None


@dataclass(frozen=True)
class PairAgreement:
    """Two reviewers on the samples that both reviewed.

    `decisions` compares accept, fix and reject; `labels` the labels that they stand for, where both keep the sample.
    """

    first: str
    second: str
    decisions: Agreement
    labels: Agreement


@dataclass(frozen=True)
class ReviewStatistics:
    """Reviews of a build, over its coarse set.

    Attributes:
        samples: of the coarse set.
        outcomes: what the reviews come to -> samples; "none" for those nobody has reviewed as they are now.
        left_out: samples that an export leaves out for it.
        out_of_date: reviews of an earlier state of their sample, which are not used.
        fixed_fields: column -> samples in which an export uses a reviewer's value.
        disputed_texts: samples of which reviewers fixed a text in different ways; the newest is used.
        reviewers: each of them, by name.
        pairs: each two who reviewed a sample in common.
    """

    samples: int
    outcomes: Mapping[Outcome, int]
    left_out: int
    out_of_date: int
    fixed_fields: Mapping[str, int]
    disputed_texts: int
    reviewers: tuple[ReviewerCount, ...]
    pairs: tuple[PairAgreement, ...]

    @property
    def reviewed(self) -> int:
        """Samples that somebody has reviewed as they are now."""
        return self.samples - self.outcomes.get("none", 0)

    def lines(self) -> tuple[str, ...]:
        """What an export did with them, in sentences; none without any review."""
        if not self.reviewed and not self.out_of_date:
            return ()
        fixed = ", ".join(f"{column} {count:,}" for column, count in self.fixed_fields.items())
        said = [
            f"samples reviewed: {self.reviewed:,} of {self.samples:,}; left out for it: {self.left_out:,}; with fixed "
            f"fields: {self.outcomes.get('fixed', 0):,}" + (f" ({fixed})" if fixed else "")
        ]
        if self.disputed:
            said.append(f"samples on which reviewers disagree, left out: {self.disputed:,}")
        if self.disputed_texts:
            said.append(
                f"samples of which reviewers fixed a text differently, the newest is used: {self.disputed_texts:,}"
            )
        if self.out_of_date:
            said.append(f"reviews of an earlier state of their sample, not used: {self.out_of_date:,}")
        return tuple(said)

    @property
    def disputed(self) -> int:
        """Samples that are left out because reviewers disagree."""
        return self.outcomes.get("disputed", 0) + self.outcomes.get("disputed label", 0)


class ReviewCounter:
    """Counts the reviews of samples that are offered one by one."""

    def __init__(self, reviews: Mapping[str, Sequence[Review]]) -> None:
        self._reviews = reviews
        self._samples = self._left_out = self._out_of_date = self._disputed_texts = 0
        self._outcomes: Counter[Outcome] = Counter()
        self._fields: Counter[str] = Counter()
        self._by_reviewer: dict[str, list[Review]] = defaultdict(list)
        self._pairs: dict[tuple[str, str], list[tuple[Review, Review, Sample]]] = defaultdict(list)

    def add(self, sample: Sample) -> Verdict:
        """Count one sample, if it belongs to the coarse set; what its reviews come to, in any case."""
        verdict = settle(sample, self._reviews.get(sample.clip.clip_id, ()))
        if is_coarse(sample):
            self._count(sample, verdict)
        return verdict

    def _count(self, sample: Sample, verdict: Verdict) -> None:
        self._samples += 1
        self._outcomes[verdict.outcome] += 1
        self._left_out += verdict.why_left_out is not None
        self._out_of_date += verdict.out_of_date
        self._fields.update(column_of(key) for key in verdict.fixes)
        self._disputed_texts += bool(verdict.disputed_columns)
        for review in verdict.reviews:
            self._by_reviewer[review.reviewer].append(review)
        for one, other in combinations(sorted(verdict.reviews, key=lambda review: review.reviewer), 2):
            self._pairs[one.reviewer, other.reviewer].append((one, other, sample))

    def result(self) -> ReviewStatistics:
        """The figures so far."""
        return ReviewStatistics(
            samples=self._samples,
            outcomes=dict(self._outcomes),
            left_out=self._left_out,
            out_of_date=self._out_of_date,
            fixed_fields=by_size(self._fields),
            disputed_texts=self._disputed_texts,
            reviewers=tuple(_reviewer(name, found) for name, found in sorted(self._by_reviewer.items())),
            pairs=tuple(_pair(*names, found) for names, found in sorted(self._pairs.items())),
        )


def agreement(pairs: Sequence[tuple[Hashable, Hashable]]) -> Agreement:
    """How far two judges agree; each pair is what they said of one thing."""
    if not pairs:
        return Agreement(0, None, None)
    count = len(pairs)
    equal = sum(one == other for one, other in pairs) / count
    first, second = Counter(one for one, _ in pairs), Counter(other for _, other in pairs)
    expected = sum(times * second[said] for said, times in first.items()) / count**2
    return Agreement(count, equal, None if expected == 1 else (equal - expected) / (1 - expected))


def _reviewer(name: str, reviews: Sequence[Review]) -> ReviewerCount:
    decisions = Counter(review.decision for review in reviews)
    stars = [review.stars for review in reviews if review.stars is not None]
    mean = sum(stars) / len(stars) if stars else None
    counts = (decisions["accept"], decisions["fix"], decisions["reject"])
    return ReviewerCount(name, len(reviews), *counts, len(stars), mean)


def _pair(first: str, second: str, common: Sequence[tuple[Review, Review, Sample]]) -> PairAgreement:
    decisions = [(one.decision, other.decision) for one, other, _ in common]
    labels = [
        (stated_label(one, sample), stated_label(other, sample))
        for one, other, sample in common
        if one.keeps and other.keeps
    ]
    return PairAgreement(first, second, agreement(decisions), agreement(labels))
