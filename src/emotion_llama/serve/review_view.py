"""A sample as the review page shows it: fields with their makers, the peak, flags, and who said what of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Literal

from emotion_llama.merr.columns import column_of
from emotion_llama.merr.records import ClipRow, Field, Json, Sample
from emotion_llama.merr.review_index import IndexRow
from emotion_llama.merr.review_records import FIXABLE, Review, headline, state_of
from emotion_llama.merr.store import Store
from emotion_llama.merr.values import label_of, part, peak_units
from emotion_llama.records import AU_DESCRIPTIONS
from emotion_llama.report.sample_text import in_order, maker, value_lines
from emotion_llama.serve.review_media import artifact_file, clip_file
from emotion_llama.serve.review_schemas import (
    ClipFacts,
    Clues,
    FixValue,
    Given,
    Peak,
    PictureName,
    Row,
    Shown,
    ShownField,
    Unit,
)

PICTURES: tuple[PictureName, ...] = ("peak_frame", "face_crop")
_HIDDEN = ("features", "peak")  # places of files; and what is shown in its own way


def shown(store: Store, sample: Sample, row: IndexRow, history: Sequence[Review], reviewer: str | None) -> Shown:
    """The sample for one reviewer.

    Args:
        store: open.
        sample: as the build has it.
        row: its row of the index.
        history: all reviews of it, oldest first.
        reviewer: who looks at it; None for somebody who has not said.
    """
    own = [review for review in history if review.reviewer == reviewer]
    mine = own[-1] if own and own[-1].decision != "withdraw" else None
    newest = {review.reviewer: review for review in history if review.reviewer != reviewer}
    others = [review for review in newest.values() if review.decision != "withdraw"]
    return Shown(
        clip_id=sample.clip.clip_id,
        state=state_of(sample),
        label=label_of(sample),
        flags=list(row.flags),
        clip=_facts(sample.clip),
        media=_media(sample.clip),
        pictures=[name for name in PICTURES if artifact_file(store, sample, name) is not None],
        has_sound=artifact_file(store, sample, "sound") is not None,
        peak=_peak(sample),
        fields=[_field(found) for found in in_order(sample) if found.name not in _HIDDEN],
        left_fine=next((r.reason for r in sample.runs.values() if r.status == "dropped" and r.scope == "fine"), None),
        mine=None if mine is None else given(mine, sample),
        history=[given(review, sample) for review in own],
        # An opinion is one's own only as long as nobody else's is shown.
        others=[] if mine is None else [given(review, sample) for review in others],
    )


def given(review: Review, sample: Sample) -> Given:
    """A review as the page shows it."""
    return Given(
        reviewer=review.reviewer,
        decision=review.decision,
        stars=review.stars,
        comment=review.comment,
        fixes={column: _fix_value(value) for column, value in review.fixes.items()},
        reviewed_at=review.reviewed_at,
        holds=review.holds_for(sample),
    )


def row_of(row: IndexRow) -> Row:
    """A row of the index as the page lists it."""
    return Row(
        clip_id=row.clip_id, label=row.label, confidence=row.confidence, flags=list(row.flags), mine=row.mine,
        reviews=row.reviews,
    )  # fmt: skip


def plain_fixes(fixes: Mapping[str, FixValue]) -> dict[str, Json]:
    """Fixes as the store takes them."""
    return {
        column: value.model_dump() if isinstance(value, Clues) else list(value) if isinstance(value, list) else value
        for column, value in fixes.items()
    }


def _facts(clip: ClipRow) -> ClipFacts:
    return ClipFacts(
        file=None if clip.path is None else PurePath(clip.path).name,
        duration_seconds=clip.duration_seconds,
        fps=clip.fps,
        width=clip.width,
        height=clip.height,
        has_audio=clip.has_audio,
        person=clip.person,
        source=clip.source,
    )


def _media(clip: ClipRow) -> Literal["video", "sound"] | None:
    found = clip_file(clip)
    if found is None:
        return None
    return "sound" if found.media_type.startswith("audio/") or clip.width is None else "video"


def _peak(sample: Sample) -> Peak | None:
    value, units = sample.value("peak"), peak_units(sample) or {}
    frame, pts = part(value, "frame_index"), part(value, "pts_seconds")
    if not isinstance(frame, int) or not isinstance(pts, (int, float)):
        return None
    return Peak(
        frame_index=frame,
        pts_seconds=float(pts),
        why=str(part(value, "why") or ""),
        units=[
            Unit(name=name, words=AU_DESCRIPTIONS.get(name, ""), intensity=x)
            for name, x in sorted(units.items(), key=lambda item: -item[1])
        ],
    )


def _field(found: Field) -> ShownField:
    kind = FIXABLE.get(found.name)
    return ShownField(
        column=column_of((found.name, found.language)),
        title=found.name.replace("_", " "),
        language=found.language,
        kind=kind,
        value=None if kind is None else _fix_value(headline(found.name, found.value)),
        lines=[] if found.value is None else value_lines(found.name, found.value),
        why_missing=found.why_missing,
        maker=maker(found),
    )


def _fix_value(value: Json) -> FixValue:
    """A stored value in the form in which the page edits it."""
    if isinstance(value, Mapping):
        return Clues(supporting=_texts(value.get("supporting")), misleading=_texts(value.get("misleading")))
    return _texts(value) if isinstance(value, list) else None if value is None else str(value)


def _texts(value: Json) -> list[str]:
    return [str(item) for item in value] if isinstance(value, list) else []
