"""The reviews of a build in its ledger: recorded one by one, never changed; and the list of what can be reviewed."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timezone
from typing import Any, Literal, TypeAlias

from emotion_llama.errors import InputError
from emotion_llama.labels import MERR9, LabelSpace
from emotion_llama.merr.records import Json, Sample
from emotion_llama.merr.review.figures import ReviewCounter, ReviewStatistics
from emotion_llama.merr.review.fixes import checked_fixes
from emotion_llama.merr.review.records import Draft, Review, seen_of, settle, state_of
from emotion_llama.merr.store import Store
from emotion_llama.merr.store.ledger import Ledger
from emotion_llama.merr.store.rows import Row
from emotion_llama.merr.values import part

Flag = Literal["conflict", "description", "label", "changed", "disputed"]  # `index` says what they mean
IndexRow: TypeAlias = dict[str, Any]  # `index` says what it holds
_COLUMNS = "id, clip_id, reviewer, decision, stars, comment, fixes, seen, reviewed_at"
# A reviewer's newest row; one that was withdrawn afterwards is none.
_NEWEST = "id = (SELECT max(id) FROM reviews o WHERE (o.clip_id, o.reviewer) = (r.clip_id, r.reviewer))"


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


def history(ledger: Ledger, clip_id: str) -> list[Review]:
    """Every review of a clip that was ever recorded, oldest first."""
    return _read(ledger, f"SELECT {_COLUMNS} FROM reviews r WHERE clip_id = ? ORDER BY id", (clip_id,))  # noqa: S608


def newest_reviews(ledger: Ledger, clip_ids: Iterable[str] | None = None) -> dict[str, tuple[Review, ...]]:
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


def reviewers(ledger: Ledger) -> list[str]:
    """Who has ever reviewed something of the build, by name."""
    if not _has_table(ledger):
        return []
    return [row[0] for row in ledger.query("SELECT DISTINCT reviewer FROM reviews ORDER BY reviewer")]


def label_space(ledger: Ledger) -> LabelSpace:
    """Labels that a reviewer can choose from: the recipe's, or MERR's nine before the first build (imports)."""
    recipe = ledger.recipe
    return MERR9 if recipe is None else recipe.space


def _read(ledger: Ledger, sql: str, parameters: tuple[object, ...]) -> list[Review]:
    return [_from_row(row) for row in ledger.query(sql, parameters)] if _has_table(ledger) else []


def _has_table(ledger: Ledger) -> bool:
    """Whether the ledger has been opened for writing since there are reviews at all."""
    return bool(ledger.query("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'reviews'"))


def _from_row(row: Row) -> Review:
    number, clip_id, reviewer, decision, stars, comment, fixes, seen, at = row
    seen_then: Mapping[str, str] = json.loads(seen)
    review = Review(clip_id, reviewer, decision, stars, comment, json.loads(fixes))
    return replace(review, seen=seen_then, reviewed_at=at, number=number)


def index(store: Store, reviewer: str | None) -> list[IndexRow]:
    """The samples of the coarse set, by id, as one reviewer has them before them: a short row each.

    Args:
        store: open.
        reviewer: whose decisions are named; None for nobody's.

    Returns:
        `clip_id`, `label`, `confidence` of a label by rules (0..1; None for a given one), `mine`: what the reviewer
        decided last, whether or not the sample has changed since; `reviews`: how many reviewers have seen it as it is.
        `flags` say why it deserves a look: "conflict" (its modalities contradict each other), "description" (its fine
        description did not hold), "label" (the rules would have labelled it otherwise than whoever gave the label),
        "changed" (after this reviewer saw it), "disputed" (reviewers disagree).
    """
    with store.snapshot():
        found: dict[str, dict[str, list[Json]]] = {clip_id: {} for clip_id in store.clip_ids("coarse")}
        # The few fields that matter, in one go.
        for clip_id, name, value in store.query(
            "SELECT f.clip_id, f.name, f.value FROM fields f "
            "JOIN runs r ON r.clip_id = f.clip_id AND r.stage = f.stage AND r.current = 1 "
            "WHERE f.name IN ('label', 'conflicts', 'consistency') AND f.value IS NOT NULL"
        ):
            if clip_id in found:
                found[clip_id].setdefault(name, []).append(json.loads(value))
        rows = {clip_id: _row(clip_id, values) for clip_id, values in found.items()}
        reviews = newest_reviews(store)
        for sample in store.samples_of([clip_id for clip_id in reviews if clip_id in rows]):
            clip_id = sample.clip.clip_id
            rows[clip_id] = _as_reviewed(rows[clip_id], sample, reviews[clip_id], reviewer)
    return list(rows.values())


def index_row(sample: Sample, reviews: Sequence[Review], reviewer: str | None) -> IndexRow:
    """The row of one sample, of its newest reviews."""
    values: dict[str, list[Json]] = {}
    for (name, _), found in sample.fields.items():
        values.setdefault(name, []).append(found.value)
    return _as_reviewed(_row(sample.clip.clip_id, values), sample, reviews, reviewer)


def review_statistics(store: Store) -> ReviewStatistics:
    """The reviews of a build counted, read without all that nobody has reviewed."""
    with store.snapshot():
        reviews = newest_reviews(store)
        counter = ReviewCounter(reviews)
        for sample in store.samples_of(list(reviews)):
            counter.add(sample)
        samples = store.count("coarse")
    found = counter.result()
    found["outcomes"]["none"] = found["outcomes"].get("none", 0) + samples - found["samples"]
    return {**found, "samples": samples}


def _row(clip_id: str, values: Mapping[str, list[Json]]) -> IndexRow:
    said = values.get("label", [None])[0]
    label, by_rules, confidence = part(said, "label"), part(said, "by_rules"), part(said, "confidence")
    flags = {
        "conflict": any(values.get("conflicts", [])),
        "description": any(part(one, "problems") for one in values.get("consistency", [])),
        "label": by_rules is not None and by_rules != label,
    }
    return {
        "clip_id": clip_id,
        "label": label if isinstance(label, str) else None,
        "confidence": float(confidence) if isinstance(confidence, (int, float)) else None,
        "flags": [flag for flag, is_set in flags.items() if is_set],
        "mine": None,
        "reviews": 0,
    }


def _as_reviewed(row: IndexRow, sample: Sample, reviews: Sequence[Review], reviewer: str | None) -> IndexRow:
    verdict = settle(sample, reviews)
    mine = next((r for r in reviews if r.reviewer == reviewer), None)
    flags = list(row["flags"])
    if mine is not None and mine not in verdict.reviews:
        flags.append("changed")
    if verdict.outcome in ("disputed", "disputed label"):
        flags.append("disputed")
    return {**row, "flags": flags, "mine": None if mine is None else mine.decision, "reviews": len(verdict.reviews)}
