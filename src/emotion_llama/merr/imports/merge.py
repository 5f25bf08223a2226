"""What several files say of the same clips, put together; what they disagree about is counted."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from emotion_llama.merr.imports.claims import Claim, FileContent
from emotion_llama.merr.problems import Problems
from emotion_llama.merr.records import ClipRow, Field, FieldKey, Json, Provenance
from emotion_llama.merr.values import part, text_of


@dataclass
class Draft:
    """Everything that the imported files say of one clip."""

    clip_id: str
    fields: dict[FieldKey, Field] = field(default_factory=dict)
    stated_frame_count: int | None = None
    clip: ClipRow | None = None
    not_fine: str | None = None


def merge(contents: Iterable[FileContent], problems: Problems, made_at: str) -> dict[str, Draft]:
    """Drafts by clip, sorted by id. The first file that says something of a field counts; see `files.ORDER`."""
    drafts: dict[str, Draft] = {}

    def of(clip_id: str) -> Draft:
        return drafts.setdefault(clip_id, Draft(clip_id))

    for content in contents:
        problems.add_all(content.problems)
        imported = Provenance("imported", f"{content.origin} (sha256 {content.sha256[:12]})", made_at=made_at)
        for clip in content.clips:
            of(clip.clip_id).clip = clip
        for claim in content.claims:
            _add(of(claim.clip_id), claim, imported, content.origin, problems)
        for clip_id, count in content.frame_counts.items():
            draft = of(clip_id)
            if draft.stated_frame_count is None:
                draft.stated_frame_count = count
            elif draft.stated_frame_count != count:
                where = f"{clip_id}: {draft.stated_frame_count}, {content.origin}: {count}"
                problems.add("two files state different frame counts (the first counts)", where)
        for clip_id, why in content.not_fine.items():
            of(clip_id).not_fine = why
    return dict(sorted(drafts.items()))


def _add(draft: Draft, claim: Claim, imported: Provenance, origin: str, problems: Problems) -> None:
    name, language = claim.key
    new = Field(name, claim.value, claim.provenance or imported, language, claim.why_missing)
    old = draft.fields.get(claim.key)
    if old is None or old.value is None:
        draft.fields[claim.key] = new
    elif name == "published":
        draft.fields[claim.key] = Field(name, _joined(old.value, new.value), old.provenance)
    elif claim.value is not None and _said(name, old.value) != _said(name, claim.value):
        what = name if not language else f"{name} ({language})"
        where = f"{draft.clip_id}: {_short(old.value)}; {origin}: {_short(claim.value)}"
        problems.add(f"two files disagree about {what} (the first counts)", where)


def _joined(one: Json, two: Json) -> Json:
    return {**two, **one} if isinstance(one, dict) and isinstance(two, dict) else one


def _said(name: str, value: Json) -> Json:
    """What two files may not disagree about: of a label the word, of a subtitle the text."""
    if name == "subtitle":
        return " ".join((text_of(value) or "").split())
    return part(value, "label") if name == "label" else value


def _short(value: Json) -> str:
    text = part(value, "label") or text_of(value) or value
    return repr(text)[:40]
