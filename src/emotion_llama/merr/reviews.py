"""The reviews of a build in its ledger: recorded one by one, never changed; the newest of each reviewer counts."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timezone
from typing import Protocol

from emotion_llama.errors import InputError
from emotion_llama.labels import MERR9, LabelSpace
from emotion_llama.merr.review_fixes import checked_fixes
from emotion_llama.merr.review_records import Draft, Review, seen_of, state_of
from emotion_llama.merr.store import Store
from emotion_llama.merr.store.ledger import Ledger
from emotion_llama.merr.store.rows import Row

_COLUMNS = "id, clip_id, reviewer, decision, stars, comment, fixes, seen, reviewed_at"
# A reviewer's newest row; one that was withdrawn afterwards is none.
_NEWEST = "id = (SELECT max(id) FROM reviews o WHERE (o.clip_id, o.reviewer) = (r.clip_id, r.reviewer))"


class Readable(Protocol):
    """An open ledger, of which reviews are read."""

    def query(self, sql: str, parameters: Sequence[object] = ()) -> list[Row]:
        """Rows of a SELECT."""


class Outdated(InputError):
    """The sample has changed since the reviewer was shown it."""


def put_review(store: Store, draft: Draft, *, state: str | None = None) -> Review:
    """Record what a reviewer decided; what the same reviewer decided before stays in the history.

    Args:
        store: open for writing.
        draft: the review.
        state: `state_of` the sample that the reviewer was shown; None takes the one in the store.

    Returns:
        The review as recorded.

    Raises:
        InputError: the build has no such clip, a fix is none, or "fix" comes without one.
        Outdated: the sample has changed since it was shown.
    """
    with store.transaction() as db:
        sample = store.sample(draft.clip_id)
        if state is not None and state != state_of(sample):
            raise Outdated(f"{draft.clip_id} has changed since it was shown; look at it again")
        fixes = checked_fixes(draft.fixes, sample, label_space(store))
        if draft.decision == "fix" and not fixes:
            raise InputError("the decision 'fix' came without a changed field; change one, or accept the sample")
        seen, at = seen_of(sample), datetime.now(timezone.utc).isoformat(timespec="seconds")
        texts = (json.dumps(fixes, ensure_ascii=False), json.dumps(seen, ensure_ascii=False))
        cursor = db.execute(
            "INSERT INTO reviews (clip_id, reviewer, decision, stars, comment, fixes, seen, reviewed_at) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (draft.clip_id, draft.reviewer, draft.decision, draft.stars, draft.comment, *texts, at),
        )
        values = {**vars(draft), "fixes": fixes}
        return Review(**values, seen=seen, reviewed_at=at, number=int(cursor.lastrowid or 0))


def history(ledger: Readable, clip_id: str) -> list[Review]:
    """Every review of a clip that was ever recorded, oldest first."""
    return _read(ledger, f"SELECT {_COLUMNS} FROM reviews r WHERE clip_id = ? ORDER BY id", (clip_id,))  # noqa: S608


def newest_reviews(ledger: Readable, clip_ids: Iterable[str] | None = None) -> dict[str, tuple[Review, ...]]:
    """Clip -> the newest review of each of its reviewers, oldest first; without what was withdrawn.

    Args:
        ledger: open; one of an older version, which cannot have any, gives none.
        clip_ids: only these; None for all.
    """
    wanted = None if clip_ids is None else json.dumps(list(clip_ids))
    found: dict[str, list[Review]] = {}
    for review in _read(
        ledger,
        f"SELECT {_COLUMNS} FROM reviews r WHERE decision <> 'withdraw' AND {_NEWEST} "  # noqa: S608  (constants)
        "AND (? IS NULL OR clip_id IN (SELECT value FROM json_each(?))) ORDER BY id",
        (wanted, wanted),
    ):
        found.setdefault(review.clip_id, []).append(review)
    return {clip_id: tuple(reviews) for clip_id, reviews in sorted(found.items())}


def reviewers(ledger: Readable) -> list[str]:
    """Who has ever reviewed something of the build, by name."""
    if not _has_table(ledger):
        return []
    return [row[0] for row in ledger.query("SELECT DISTINCT reviewer FROM reviews ORDER BY reviewer")]


def label_space(ledger: Ledger) -> LabelSpace:
    """Labels that a reviewer can choose from: the recipe's, or MERR's nine before the first build (imports)."""
    recipe = ledger.recipe
    return MERR9 if recipe is None else recipe.space


def _read(ledger: Readable, sql: str, parameters: tuple[object, ...]) -> list[Review]:
    return [_from_row(row) for row in ledger.query(sql, parameters)] if _has_table(ledger) else []


def _has_table(ledger: Readable) -> bool:
    """Whether the ledger has been opened for writing since there are reviews at all."""
    return bool(ledger.query("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'reviews'"))


def _from_row(row: Row) -> Review:
    number, clip_id, reviewer, decision, stars, comment, fixes, seen, at = row
    seen_then: Mapping[str, str] = json.loads(seen)
    review = Review(clip_id, reviewer, decision, stars, comment, json.loads(fixes))
    return replace(review, seen=seen_then, reviewed_at=at, number=number)
