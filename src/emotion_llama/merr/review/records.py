"""What people said of a sample (decision, stars, comment, fixed fields), and what the reviews of several come to. Pure.

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

import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal, get_args

from emotion_llama.errors import InputError
from emotion_llama.merr.columns import HEADLINES, column_of, key_of, value_hash
from emotion_llama.merr.records import FieldKey, Json, Provenance, Sample
from emotion_llama.merr.values import label_of

# "withdraw" takes an earlier decision back: the sample is as if this reviewer had never seen it.
Decision = Literal["accept", "fix", "reject", "withdraw"]
DECISIONS: tuple[Decision, ...] = get_args(Decision)
# How a field that people may fix is written: one word of the label space, a text, a list of phrases, sorted clues.
FixKind = Literal["label", "text", "phrases", "clues"]
FIXABLE: Mapping[str, FixKind] = MappingProxyType(
    {
        "label": "label",
        "subtitle": "text",
        "visual_expression": "phrases",
        "visual_objective": "text",
        "audio_tone": "text",
        "coarse_caption": "text",
        "clues": "clues",
        "fine_caption": "text",
    }
)
# "none": nobody has reviewed it as it is now.
Outcome = Literal["none", "accepted", "fixed", "rejected", "disputed", "disputed label"]
LEFT_OUT: Mapping[Outcome, str] = {
    "rejected": "rejected by reviewers",
    "disputed": "reviewers disagree: as many reject it as keep it",
    "disputed label": "reviewers disagree on its label",
}
Fixes = Mapping[FieldKey, tuple[Json, Provenance]]  # new values, with the reviewer as their maker
REVIEWER = "reviewer"  # the annotator's name in the provenance of a fixed field; its model is who fixed it
MEDIA = "media"  # the clip's file among what was seen
MAX_NAME, MAX_COMMENT = 60, 4000  # characters; own choice
_GONE = "gone"


@dataclass(frozen=True)
class Draft:
    """A review as it is handed in.

    Attributes:
        clip_id: of the sample.
        reviewer: who says so; a name as it may be published, since the provenance of fixed fields carries it.
        decision: see `Decision`.
        stars: 1..5, or None for none given.
        comment: free text, "" for none.
        fixes: column ("label", "fine_caption_en") -> new value in the form of its `FixKind`; None takes a text away.
            Only with the decision "fix".

    Raises:
        InputError: a value is none of those.
    """

    clip_id: str
    reviewer: str
    decision: Decision
    stars: int | None = None
    comment: str = ""
    fixes: Mapping[str, Json] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "reviewer", reviewer_name(self.reviewer))
        if self.decision not in DECISIONS:
            raise InputError(f"a review's decision is one of {', '.join(DECISIONS)}; got {self.decision!r}")
        if self.stars is not None and self.stars not in range(1, 6):
            raise InputError(f"stars are 1 to 5, or none; got {self.stars!r}")
        if len(self.comment) > MAX_COMMENT:
            raise InputError(f"a comment has at most {MAX_COMMENT} characters, got {len(self.comment)}")
        if self.fixes and self.decision != "fix":
            raise InputError(f"fixed fields go with the decision 'fix', not with {self.decision!r}")
        object.__setattr__(self, "fixes", MappingProxyType(dict(self.fixes)))


@dataclass(frozen=True)
class Review(Draft):
    """A review as the store has it.

    Attributes:
        seen: column -> hash of the value that was looked at, and the media file's under "media".
        reviewed_at: UTC time, ISO 8601 with seconds.
        number: rises with every review of the build; the order in which they were made.
    """

    seen: Mapping[str, str] = field(default_factory=dict)
    reviewed_at: str = ""
    number: int = 0

    @property
    def keeps(self) -> bool:
        """The reviewer wants the sample in the data set."""
        return self.decision in ("accept", "fix")

    def holds_for(self, sample: Sample) -> bool:
        """The sample still is what the reviewer looked at; fields that came since do not matter."""
        now = seen_of(sample)
        return all(now.get(column) == sha for column, sha in self.seen.items())


def reviewer_name(name: str) -> str:
    """A reviewer's name with single blanks, its letters composed (Unicode NFC).

    Raises:
        InputError: it is empty, too long, or holds characters that cannot be printed.
    """
    tidy = unicodedata.normalize("NFC", " ".join(name.split()))
    if not tidy or len(tidy) > MAX_NAME or not tidy.isprintable():
        raise InputError(f"a reviewer's name is 1 to {MAX_NAME} printable characters, got {name!r}")
    return tidy


def seen_of(sample: Sample) -> dict[str, str]:
    """What a reviewer looks at, hashed: the media file and each field that people may fix; measurements are left out.

    Of a label its word counts, of a subtitle its text.
    """
    seen = {
        column_of(key): value_hash(headline(found.name, found.value))
        for key, found in sorted(sample.fields.items())
        if key[0] in FIXABLE
    }
    return {**seen, MEDIA: sample.clip.sha256 or _GONE}


def state_of(sample: Sample) -> str:
    """The whole of `seen_of` in one hash: changes whenever anything that a reviewer looks at does."""
    return value_hash(dict(seen_of(sample)))


def headline(name: str, value: Json) -> Json:
    """What people read and fix of a field's value: the word of a label, the text of a subtitle, others whole."""
    if name in HEADLINES and isinstance(value, Mapping):
        return value.get(HEADLINES[name])
    return value


def key_of_fix(column: str, sample: Sample) -> FieldKey:
    """The field of a column that people may fix.

    Raises:
        InputError: the sample has no such field, or nobody may fix it.
    """
    found = key_of(column)
    if found is not None and found[0] in FIXABLE and found in sample.fields:
        return found
    columns = ", ".join(column_of(key) for key in sorted(sample.fields) if key[0] in FIXABLE)
    raise InputError(f"{sample.clip.clip_id} has no field {column!r} that a reviewer can fix (it has: {columns})")


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
        key: (review.fixes[column], Provenance(REVIEWER, review.reviewer, made_at=review.reviewed_at))
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
