"""What the reviews of a sample come to, when several reviewers saw it. Pure.

The rule (own choice), over the newest review of each reviewer:

- A review of a state that the sample is no longer in (a later build wrote a field anew, the media changed) is out of
  date: it is counted and not used.
- The sample is kept when more reviewers keep it (accept or fix) than reject it. A tie leaves it out, as disputed.
- Its label is the one that most of those who keep it stand for: who accepts, or fixes something else, stands for the
  label that is there. A tie leaves the sample out, as disputed.
- Of any other field a fix goes before no fix, and the newest fix before older ones; a field that reviewers fixed in
  different ways is counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from emotion_llama.merr.columns import key_of
from emotion_llama.merr.records import Sample
from emotion_llama.merr.review_fixes import Fixes
from emotion_llama.merr.review_records import Review, provenance_of
from emotion_llama.merr.values import label_of

# "none": nobody has reviewed it as it is now.
Outcome = Literal["none", "accepted", "fixed", "rejected", "disputed", "disputed label"]
LEFT_OUT: Mapping[Outcome, str] = {
    "rejected": "rejected by reviewers",
    "disputed": "reviewers disagree: as many reject it as keep it",
    "disputed label": "reviewers disagree on its label",
}


@dataclass(frozen=True)
class Verdict:
    """What the reviews of one sample come to.

    Attributes:
        outcome: see the rule above; "fixed" where any field is changed.
        fixes: what takes the place of what the build has.
        reviews: those that hold for the sample as it is.
        out_of_date: how many others there are.
        disputed_columns: fields other than the label that reviewers fixed in different ways.
    """

    outcome: Outcome
    fixes: Fixes = field(default_factory=dict)
    reviews: tuple[Review, ...] = ()
    out_of_date: int = 0
    disputed_columns: tuple[str, ...] = ()

    @property
    def why_left_out(self) -> str | None:
        """Why the sample is left out; None when it stays."""
        return LEFT_OUT.get(self.outcome)


def settle(sample: Sample, reviews: Sequence[Review]) -> Verdict:
    """What the newest reviews of a sample, one a reviewer, come to.

    Args:
        sample: as the build has it.
        reviews: `reviews.newest_reviews` of it.
    """
    valid = tuple(sorted((r for r in reviews if r.holds_for(sample)), key=lambda review: review.number))
    stale = len(reviews) - len(valid)
    if not valid:
        return Verdict("none", out_of_date=stale)
    keepers = [review for review in valid if review.keeps]
    rejecting = len(valid) - len(keepers)
    if len(keepers) <= rejecting:
        return Verdict("disputed" if len(keepers) == rejecting else "rejected", {}, valid, stale)
    labels = _most_frequent([stated_label(review, sample) for review in keepers])
    fixes, disputed = _newest_fixes(keepers)
    if len(labels) > 1:
        return Verdict("disputed label", {}, valid, stale, disputed)
    if labels[0] != label_of(sample):
        named = [review for review in keepers if review.fixes.get("label") == labels[0]]
        fixes["label"] = named[-1]
    kept: Fixes = {
        key: (review.fixes[column], provenance_of(review))
        for column, review in fixes.items()
        if (key := key_of(column)) is not None and key in sample.fields
    }
    return Verdict("fixed" if kept else "accepted", kept, valid, stale, disputed)


def stated_label(review: Review, sample: Sample) -> str | None:
    """The label that a reviewer who keeps the sample stands for."""
    fixed = review.fixes.get("label")
    return fixed if isinstance(fixed, str) else label_of(sample)


def _most_frequent(labels: Sequence[str | None]) -> list[str | None]:
    """The most frequent one; several where they are equally frequent."""
    counts = Counter(labels)
    return [label for label, count in counts.items() if count == max(counts.values())]


def _newest_fixes(keepers: Sequence[Review]) -> tuple[dict[str, Review], tuple[str, ...]]:
    """Column -> the newest review that fixes it, labels aside; and the columns that were fixed in different ways."""
    newest: dict[str, Review] = {}
    disputed = set()
    for review in keepers:
        for column, value in review.fixes.items():
            if column == "label":
                continue
            if column in newest and newest[column].fixes[column] != value:
                disputed.add(column)
            newest[column] = review
    return newest, tuple(sorted(disputed))
