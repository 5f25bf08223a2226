"""Reviews of a build counted (progress, outcomes, each reviewer, agreement of two), and the list of what to review."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Hashable, Mapping, Sequence
from itertools import combinations
from typing import Any, Literal, TypeAlias

from emotion_llama.merr.records import Json, Sample, column_of, is_coarse, label_of, part, text_part
from emotion_llama.merr.review.decisions import Outcome, Review, Verdict, newest_reviews, settle
from emotion_llama.merr.statistics import by_size
from emotion_llama.merr.store import Store

ReviewStatistics: TypeAlias = dict[str, Any]  # JSON values; `ReviewCounter.result` says which
Flag = Literal["conflict", "description", "label", "changed", "disputed"]  # `index` says what they mean
IndexRow: TypeAlias = dict[str, Any]  # `index` says what it holds


class ReviewCounter:
    """Counts the reviews of samples that are offered one by one."""

    def __init__(self, reviews: Mapping[str, Sequence[Review]]) -> None:
        self._reviews = reviews
        self._samples = 0
        self._seen: list[tuple[Verdict, str | None]] = []  # of samples with reviews, beside their label

    def add(self, sample: Sample) -> Verdict:
        """Count one sample, if it belongs to the coarse set; what its reviews come to, in any case."""
        reviews = self._reviews.get(sample.clip.clip_id, ())
        verdict = settle(sample, reviews)
        if is_coarse(sample):
            self._samples += 1
            if reviews:
                self._seen.append((verdict, label_of(sample)))
        return verdict

    def result(self) -> ReviewStatistics:
        """The figures so far, over the coarse set.

        Returns:
            JSON values: `samples`; `outcomes` -> samples, "none" for those nobody has reviewed as they are now;
            `left_out` samples of an export; `out_of_date` reviews of an earlier state of their sample, not used;
            `fixed_fields`: column -> samples whose value a reviewer replaces; `disputed_texts`: samples of which
            reviewers fixed a text in different ways (the newest is used). `reviewers`, by name: `reviewed`, `accepted`,
            `fixed`, `rejected`, `starred`, `mean_stars` of their newest decisions. `pairs` of two who reviewed a sample
            in common: `agreement` of their `decisions`, and of the `labels` that they stand for where both keep it.
        """
        verdicts = [verdict for verdict, _ in self._seen]
        outcomes = Counter[Outcome](verdict.outcome for verdict in verdicts)
        outcomes["none"] += self._samples - len(verdicts)
        by_reviewer: defaultdict[str, list[Review]] = defaultdict(list)
        pairs: defaultdict[tuple[str, str], list[tuple[Review, Review, str | None]]] = defaultdict(list)
        for verdict, label in self._seen:
            for review in verdict.reviews:
                by_reviewer[review.reviewer].append(review)
            for one, other in combinations(sorted(verdict.reviews, key=lambda review: review.reviewer), 2):
                pairs[one.reviewer, other.reviewer].append((one, other, label))
        return {
            "samples": self._samples,
            "outcomes": dict(+outcomes),
            "left_out": sum(verdict.why_left_out is not None for verdict in verdicts),
            "out_of_date": sum(verdict.out_of_date for verdict in verdicts),
            "fixed_fields": by_size(Counter(column_of(key) for verdict in verdicts for key in verdict.fixes)),
            "disputed_texts": sum(bool(verdict.disputed_columns) for verdict in verdicts),
            "reviewers": [_reviewer(name, found) for name, found in sorted(by_reviewer.items())],
            "pairs": [_pair(*names, found) for names, found in sorted(pairs.items())],
        }


def num_reviewed(found: ReviewStatistics) -> int:
    """Samples that somebody has reviewed as they are now."""
    return int(found["samples"] - found["outcomes"].get("none", 0))


def num_disputed(found: ReviewStatistics) -> int:
    """Samples that are left out because reviewers disagree."""
    return sum(found["outcomes"].get(outcome, 0) for outcome in ("disputed", "disputed label"))


def review_lines(found: ReviewStatistics) -> tuple[str, ...]:
    """What an export does with the reviews, in sentences; none without any review."""
    reviewed, disputed = num_reviewed(found), num_disputed(found)
    if not reviewed and not found["out_of_date"]:
        return ()
    fixed = ", ".join(f"{column} {count:,}" for column, count in found["fixed_fields"].items())
    lines = [
        f"samples reviewed: {reviewed:,} of {found['samples']:,}; left out for it: {found['left_out']:,}; with fixed "
        f"fields: {found['outcomes'].get('fixed', 0):,}" + (f" ({fixed})" if fixed else "")
    ]
    if disputed:
        lines.append(f"samples on which reviewers disagree, left out: {disputed:,}")
    if found["disputed_texts"]:
        lines.append(
            f"samples of which reviewers fixed a text differently, the newest is used: {found['disputed_texts']:,}"
        )
    if found["out_of_date"]:
        lines.append(f"reviews of an earlier state of their sample, not used: {found['out_of_date']:,}")
    return tuple(lines)


def agreement(pairs: Sequence[tuple[Hashable, Hashable]]) -> dict[str, float | None]:
    """How far two judges agree; each pair is what they said of one thing.

    Returns:
        `compared` things, the share that is `equal`, and Cohen's `kappa` = (p_o - p_e) / (1 - p_e), with p_o the share
        of equal judgements and p_e the share expected of two judges who use each category as often as these do, but by
        chance (Cohen, Educational and Psychological Measurement 20, 1960). None where nothing was compared, and where
        both used one and the same category only, so that p_e is 1.
    """
    count = len(pairs)
    if not count:
        return {"compared": 0, "equal": None, "kappa": None}
    equal = sum(one == other for one, other in pairs) / count
    first, second = Counter(one for one, _ in pairs), Counter(other for _, other in pairs)
    expected = sum(times * second[said] for said, times in first.items()) / count**2
    return {"compared": count, "equal": equal, "kappa": None if expected == 1 else (equal - expected) / (1 - expected)}


def _reviewer(name: str, reviews: Sequence[Review]) -> dict[str, str | float | None]:
    decisions = Counter(review.decision for review in reviews)
    stars = [review.stars for review in reviews if review.stars is not None]
    return {
        "reviewer": name,
        "reviewed": len(reviews),
        "accepted": decisions["accept"],
        "fixed": decisions["fix"],
        "rejected": decisions["reject"],
        "starred": len(stars),
        "mean_stars": sum(stars) / len(stars) if stars else None,
    }


def _pair(first: str, second: str, common: Sequence[tuple[Review, Review, str | None]]) -> dict[str, Any]:  # JSON
    labels = [(a.stated_label(label), b.stated_label(label)) for a, b, label in common if a.keeps and b.keeps]
    decisions = agreement([(one.decision, other.decision) for one, other, _ in common])
    return {"first": first, "second": second, "decisions": decisions, "labels": agreement(labels)}


# --- the list of what can be reviewed


def index(store: Store, reviewer: str | None) -> list[IndexRow]:
    """The samples of the coarse set, by id, as one reviewer has them before them: a short row each.

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
        "label": text_part(said, "label"),
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
