"""What people decided about samples: recorded in the build's ledger, never changed, and what several reviews come to.

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

import json
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Literal, get_args

from emotion_llama.errors import InputError
from emotion_llama.labels import MERR9, LabelSpace
from emotion_llama.merr.records import Json, Provenance, Sample, column_of, key_of, label_of, now, value_hash
from emotion_llama.merr.review.fixes import FIXABLE, REVIEWER, Fixes, checked_fixes, headline
from emotion_llama.merr.store import Store
from emotion_llama.merr.store.ledger import Ledger

# "withdraw" takes an earlier decision back: the sample is as if this reviewer had never seen it.
Decision = Literal["accept", "fix", "reject", "withdraw"]
DECISIONS: tuple[Decision, ...] = get_args(Decision)
# "none": nobody has reviewed it as it is now.
Outcome = Literal["none", "accepted", "fixed", "rejected", "disputed", "disputed label"]
LEFT_OUT: Mapping[Outcome, str] = {
    "rejected": "rejected by reviewers",
    "disputed": "reviewers disagree: as many reject it as keep it",
    "disputed label": "reviewers disagree on its label",
}
MEDIA = "media"  # the clip's file among what was seen
MAX_NAME, MAX_COMMENT = 60, 4000  # characters; own choice
_GONE = "gone"
_COLUMNS = ("clip_id", "reviewer", "decision", "stars", "comment", "fixes", "seen", "reviewed_at")
# A reviewer's newest row; one that was withdrawn afterwards is none.
_NEWEST = "id = (SELECT max(id) FROM reviews o WHERE (o.clip_id, o.reviewer) = (r.clip_id, r.reviewer))"


@dataclass(frozen=True)
class Review:
    """What a reviewer says of a sample; InputError where a value is none of those."""

    clip_id: str
    reviewer: str  # who says so; a name as it may be published, since the provenance of fixed fields carries it
    decision: Decision  # see `Decision`
    stars: int | None = None  # 1..5, or None for none given
    comment: str = ""  # free text, "" for none
    # column ("label", "fine_caption_en") -> new value in the form of its `FixKind`; None takes a text away. Only with
    # the decision "fix".
    fixes: Mapping[str, Json] = field(default_factory=dict)
    # column -> hash of the value that was looked at, and the media file's under "media"; recorded by `put_review`, like
    # what follows
    seen: Mapping[str, str] = field(default_factory=dict)
    reviewed_at: str = ""  # UTC time, ISO 8601 with seconds
    number: int = 0  # rises with every review of the build; the order in which they were made

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

    @property
    def keeps(self) -> bool:
        """The reviewer wants the sample in the data set."""
        return self.decision in ("accept", "fix")

    def stated_label(self, label: str | None) -> str | None:
        """The label that a reviewer who keeps a sample of this label stands for."""
        fixed = self.fixes.get("label")
        return fixed if isinstance(fixed, str) else label

    def holds_for(self, sample: Sample) -> bool:
        """The sample still is what the reviewer looked at; fields that came since do not matter."""
        current = seen_of(sample)
        return all(current.get(column) == sha for column, sha in self.seen.items())


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


@dataclass(frozen=True)
class Verdict:
    """What the reviews of one sample come to."""

    outcome: Outcome  # see the rule above; "fixed" where any field is changed
    fixes: Fixes = field(default_factory=dict)  # what takes the place of what the build has
    reviews: tuple[Review, ...] = ()  # those that hold for the sample as it is
    out_of_date: int = 0  # how many others there are
    disputed_columns: tuple[str, ...] = ()  # fields other than the label that reviewers fixed in different ways

    @property
    def why_left_out(self) -> str | None:
        """Why the sample is left out; None when it stays."""
        return LEFT_OUT.get(self.outcome)


def settle(sample: Sample, reviews: Sequence[Review]) -> Verdict:
    """What the newest reviews of a sample (`newest_reviews`), one a reviewer, come to."""
    valid = tuple(sorted((r for r in reviews if r.holds_for(sample)), key=lambda review: review.number))
    stale = len(reviews) - len(valid)
    if not valid:
        return Verdict("none", out_of_date=stale)
    keepers = [review for review in valid if review.keeps]
    rejecting = len(valid) - len(keepers)
    if len(keepers) <= rejecting:
        return Verdict("disputed" if len(keepers) == rejecting else "rejected", {}, valid, stale)
    votes = Counter(review.stated_label(label_of(sample)) for review in keepers)
    labels = [label for label, count in votes.items() if count == max(votes.values())]
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


# --- in the ledger


class Outdated(InputError):
    """The sample has changed since the reviewer was shown it."""


def put_review(store: Store, review: Review, *, state: str | None = None) -> Review:
    """Record what a reviewer decided; what the same reviewer decided before stays in the history.

    Args:
        store: open for writing.
        review: as it is handed in.
        state: `state_of` the sample that the reviewer was shown; None takes the one in the store.

    Returns:
        The review as recorded.

    Raises:
        InputError: the build has no such clip, a fix is none, or "fix" comes without one.
        Outdated: the sample has changed since it was shown.
    """
    with store.transaction() as db:
        sample = store.sample(review.clip_id)
        if state is not None and state != state_of(sample):
            raise Outdated(f"{review.clip_id} has changed since it was shown; look at it again")
        fixes = checked_fixes(review.fixes, sample, label_space(store))
        if review.decision == "fix" and not fixes:
            raise InputError("the decision 'fix' came without a changed field; change one, or accept the sample")
        put = replace(review, fixes=fixes, seen=seen_of(sample), reviewed_at=now())
        values = (*(getattr(put, name) for name in _COLUMNS[:5]), _json(put.fixes), _json(put.seen), put.reviewed_at)
        marks = ", ".join("?" * len(_COLUMNS))
        cursor = db.execute(f"INSERT INTO reviews ({', '.join(_COLUMNS)}) VALUES ({marks})", values)  # noqa: S608
        return replace(put, number=int(cursor.lastrowid or 0))


def history(ledger: Ledger, clip_id: str) -> list[Review]:
    """Every review of a clip that was ever recorded, oldest first."""
    return _read(ledger, "clip_id = ?", (clip_id,))


def newest_reviews(ledger: Ledger, clip_ids: Iterable[str] | None = None) -> dict[str, tuple[Review, ...]]:
    """Clip -> the newest review of each of its reviewers, oldest first; without what was withdrawn."""
    wanted = None if clip_ids is None else json.dumps(list(clip_ids))
    where = f"decision <> 'withdraw' AND {_NEWEST} AND (? IS NULL OR clip_id IN (SELECT value FROM json_each(?)))"  # noqa: S608
    found: dict[str, list[Review]] = {}
    for review in _read(ledger, where, (wanted, wanted)):
        found.setdefault(review.clip_id, []).append(review)
    return {clip_id: tuple(reviews) for clip_id, reviews in sorted(found.items())}


def reviewers(ledger: Ledger) -> list[str]:
    """Who has ever reviewed something of the build, by name."""
    return [row[0] for row in ledger.query("SELECT DISTINCT reviewer FROM reviews ORDER BY reviewer")]


def label_space(ledger: Ledger) -> LabelSpace:
    """Labels that a reviewer can choose from: the recipe's, or MERR's nine before the first build (imports)."""
    recipe = ledger.recipe
    return MERR9 if recipe is None else recipe.space


def _read(ledger: Ledger, where: str, parameters: tuple[object, ...]) -> list[Review]:
    sql = f"SELECT id, {', '.join(_COLUMNS)} FROM reviews r WHERE {where} ORDER BY id"  # noqa: S608  (constants)
    return [
        Review(clip_id, reviewer, decision, stars, comment, json.loads(fixes), json.loads(seen), at, number)
        for number, clip_id, reviewer, decision, stars, comment, fixes, seen, at in ledger.query(sql, parameters)
    ]


def _json(value: Mapping[str, Json] | Mapping[str, str]) -> str:
    return json.dumps(dict(value), ensure_ascii=False)
