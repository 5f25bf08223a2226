"""All samples that can be reviewed, a short row each: what a list, filters and progress need, and nothing more."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from emotion_llama.merr.records import Json, Sample
from emotion_llama.merr.review_figures import ReviewCounter, ReviewStatistics
from emotion_llama.merr.review_records import Decision, Review
from emotion_llama.merr.review_verdicts import settle
from emotion_llama.merr.reviews import newest_reviews
from emotion_llama.merr.store import Store
from emotion_llama.merr.values import part

# Why a sample deserves a look: its modalities contradict each other; its fine description did not hold; the rules
# would have labelled it otherwise than whoever gave the label; it changed after this reviewer saw it; reviewers
# disagree.
Flag = Literal["conflict", "description", "label", "changed", "disputed"]


@dataclass(frozen=True)
class IndexRow:
    """One sample.

    Attributes:
        clip_id: its id.
        label: its label in the build.
        confidence: of a label by rules, 0..1; None for a given one.
        flags: why it deserves a look.
        mine: what the reviewer who asks decided last, whether or not the sample has changed since.
        reviews: how many reviewers have seen it as it is.
    """

    clip_id: str
    label: str | None
    confidence: float | None
    flags: tuple[Flag, ...]
    mine: Decision | None = None
    reviews: int = 0


def index(store: Store, reviewer: str | None) -> list[IndexRow]:
    """The samples of the coarse set, by id, as one reviewer has them before them.

    Args:
        store: open.
        reviewer: whose decisions are told; None for nobody's.
    """
    with store.snapshot():
        rows = _rows(store)
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


def _rows(store: Store) -> dict[str, IndexRow]:
    """The rows without what reviewers said, read in one go of the few fields that matter."""
    found: dict[str, dict[str, list[Json]]] = {clip_id: {} for clip_id in store.clip_ids("coarse")}
    for clip_id, name, value in store.query(
        "SELECT f.clip_id, f.name, f.value FROM fields f JOIN runs r ON r.clip_id = f.clip_id AND r.stage = f.stage "
        "AND r.current = 1 WHERE f.name IN ('label', 'conflicts', 'consistency') AND f.value IS NOT NULL"
    ):
        if clip_id in found:
            found[clip_id].setdefault(name, []).append(json.loads(value))
    return {clip_id: _row(clip_id, values) for clip_id, values in found.items()}


def _row(clip_id: str, values: Mapping[str, list[Json]]) -> IndexRow:
    said = values.get("label", [None])[0]
    label, by_rules, confidence = part(said, "label"), part(said, "by_rules"), part(said, "confidence")
    flags: list[Flag] = []
    if any(values.get("conflicts", [])):
        flags.append("conflict")
    if any(part(one, "problems") for one in values.get("consistency", [])):
        flags.append("description")
    if by_rules is not None and by_rules != label:
        flags.append("label")
    sure = float(confidence) if isinstance(confidence, (int, float)) else None
    return IndexRow(clip_id, label if isinstance(label, str) else None, sure, tuple(flags))


def _as_reviewed(row: IndexRow, sample: Sample, reviews: Sequence[Review], reviewer: str | None) -> IndexRow:
    verdict = settle(sample, reviews)
    mine = next((r for r in reviews if r.reviewer == reviewer), None)
    flags = list(row.flags)
    if mine is not None and mine not in verdict.reviews:
        flags.append("changed")
    if verdict.outcome in ("disputed", "disputed label"):
        flags.append("disputed")
    decision = None if mine is None else mine.decision
    return replace(row, flags=tuple(flags), mine=decision, reviews=len(verdict.reviews))
