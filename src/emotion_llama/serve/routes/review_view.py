"""A sample as the review page shows it: fields with their makers, the peak, flags, and who said what of it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePath
from typing import Literal

import numpy as np
from fastapi.responses import FileResponse

from emotion_llama.errors import EmotionLlamaError
from emotion_llama.face.peak import BLINK_UNIT
from emotion_llama.media import kinds
from emotion_llama.merr.measured import from_bytes
from emotion_llama.merr.records import ClipRow, Field, Json, Sample, column_of, label_of, part, peak_units
from emotion_llama.merr.review.decisions import Review, state_of
from emotion_llama.merr.review.figures import IndexRow
from emotion_llama.merr.review.fixes import FIXABLE, headline
from emotion_llama.merr.store import Store
from emotion_llama.records import AU_DESCRIPTIONS, ActionUnits
from emotion_llama.report.dataset_text import in_order, maker, value_lines
from emotion_llama.results import held_units
from emotion_llama.serve.errors import Problem
from emotion_llama.serve.routes.review_schemas import (
    ClipFacts,
    Clues,
    Curves,
    FixValue,
    Given,
    Peak,
    PictureName,
    Shown,
    ShownField,
    Unit,
    UnitCurve,
)

# Kinds that browsers know, and their media types. A file that is none of these is not sent.
_PLAYED = ("mp4", "mov", "webm", "mkv", "avi", "wav", "mp3", "flac", "ogg", "m4a")
MEDIA_TYPES: Mapping[str, str] = {kind: kinds.MEDIA_TYPES[kind] for kind in _PLAYED}
ARTIFACT_TYPES: Mapping[str, str] = {
    ".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".webp": "image/webp", ".wav": "audio/wav",
}  # fmt: skip


FoundFile = tuple[Path, str]  # a file to send, and its media type


def clip_file(clip: ClipRow) -> FoundFile | None:
    """The clip's media file; None where it is gone, or is no media file (any more)."""
    if clip.path is None:
        return None
    path = Path(clip.path)
    try:
        if not path.is_file():
            return None
        with path.open("rb") as file:
            kind = kinds.sniff(file.read(kinds.SNIFF_BYTES))
    except OSError:
        return None
    return None if kind is None or kind not in MEDIA_TYPES else (path, MEDIA_TYPES[kind])


def artifact_file(store: Store, sample: Sample, name: str) -> FoundFile | None:
    """A file that a stage made of the clip; None where there is none."""
    relative = sample.artifacts.get(name)
    if relative is None:
        return None
    path = store.folder / relative
    media_type = ARTIFACT_TYPES.get(path.suffix)
    return (path, media_type) if media_type is not None and path.is_file() else None


def send(found: FoundFile | None, what: str) -> FileResponse:
    """The file, in ranges where the client asks for them (RFC 9110, 14).

    Raises:
        Problem: 404, there is none.
    """
    if found is None:
        raise Problem(404, f"there is no {what} of this clip", code="not_found")
    path, media_type = found
    # No cache on the way keeps data about people; the browser itself may keep it for a while.
    return FileResponse(path, media_type=media_type, headers={"Cache-Control": "private, max-age=300"})


MOST_UNITS, MOST_POINTS = 5, 600  # what a strip a few hundred pixels wide can show
LEAST_HELD = 0.5  # a unit that is not held so far (of 5) is noise, and not drawn; own choice


def curves_of(store: Store, sample: Sample) -> Curves:
    """The curves of the main person's face, blinks aside; empty where nothing was measured, or it cannot be read."""
    try:
        data = store.artifact(sample.clip.clip_id, "evidence")
        units = None if data is None else from_bytes(data).evidence.action_units
    except EmotionLlamaError:  # an artifact that is lost or of another version: the page does without
        units = None
    return Curves(pts_seconds=[], units=[]) if units is None or not units.valid.any() else _curves(units)


def _curves(units: ActionUnits) -> Curves:
    step = max(1, math.ceil(len(units.pts_seconds) / MOST_POINTS))
    held = held_units(units)
    shown = [name for name in held if held[name] >= LEAST_HELD and name != BLINK_UNIT]
    chosen = sorted(shown, key=lambda name: (-held[name], name))[:MOST_UNITS]
    return Curves(
        pts_seconds=[round(float(t), 3) for t in units.pts_seconds[::step]],
        units=[
            UnitCurve(
                name=name,
                words=AU_DESCRIPTIONS.get(name, ""),
                intensity=[round(float(x), 2) if np.isfinite(x) else None for x in units.column(name)[::step]],
            )
            for name in chosen
        ],
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
        flags=row["flags"],
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
    return "sound" if found[1].startswith("audio/") or clip.width is None else "video"


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
