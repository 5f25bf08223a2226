"""Drafts into the store: new clips, and fields as runs that no build made; what a build made stays unless asked."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from emotion_llama.merr.imports.merge import Draft
from emotion_llama.merr.plan import IMPORTED, output_sha256
from emotion_llama.merr.problems import Problems
from emotion_llama.merr.records import FIELDS, ClipRow, Drop, Field, FieldKey, Sample, StageOutput, StageRun
from emotion_llama.merr.store import Store

_AT_ONCE = 2000  # clips of one transaction
_NOT_FINE_STAGE = "consistency"  # where a build drops clips from the fine set
_OTHER_STAGE = "import"  # of fields that no phase makes


@dataclass
class Applied:
    """What an import changed.

    Attributes:
        new_clips, known_clips: clips that were made, and that the build had.
        fields: field ("fine_caption (en)") -> clips it was written for.
        unchanged: clips of which every field was there already.
        kept: field -> clips whose own value, made by a build or imported before, was kept.
        clips: every clip of the import, as it is now.
    """

    new_clips: int = 0
    known_clips: int = 0
    fields: Counter[str] = field(default_factory=Counter)
    unchanged: int = 0
    kept: Counter[str] = field(default_factory=Counter)
    clips: dict[str, ClipRow] = field(default_factory=dict)


def apply_drafts(
    store: Store, drafts: Mapping[str, Draft], *, replace_made: bool, origin: str, made_at: str, problems: Problems
) -> Applied:
    """Write drafts into the store.

    Each field becomes part of a run of its stage whose fingerprint says that it was imported; a later build leaves such
    runs as they are and goes on from them.

    Args:
        store: open for writing.
        drafts: of `merge`, sorted by clip.
        replace_made: also where the build made the field, or another import brought it, with another value.
        origin: goes into the runs' fingerprints.
        made_at: UTC time of the import.
        problems: filled with clips that cannot be changed.
    """
    applied = Applied()
    aside = {row.clip_id for row in store.all_clips()} - {row.clip_id for row in store.clips()}
    rows: list[ClipRow] = []
    runs: list[tuple[StageRun, StageOutput]] = []
    for draft, sample in _beside(drafts, store):
        if draft.clip_id in aside:
            problems.add("the build has set this clip aside: not changed", draft.clip_id)
            continue
        row = _row(draft, None if sample is None else sample.clip, problems)
        applied.clips[draft.clip_id] = row
        if sample is None or row != sample.clip:
            rows.append(row)
        applied.new_clips += sample is None
        applied.known_clips += sample is not None
        new = list(_runs(draft, sample, replace_made, f"{IMPORTED}{origin}", made_at, applied))
        applied.unchanged += not new and sample is not None
        runs += new
        if len(rows) + len(runs) >= _AT_ONCE:
            _write(store, rows, runs)
    _write(store, rows, runs)
    return applied


def _write(store: Store, rows: list[ClipRow], runs: list[tuple[StageRun, StageOutput]]) -> None:
    with store.transaction():
        if rows:
            store.put_clips(rows)
        if runs:
            store.record_many(runs)
    rows.clear()
    runs.clear()


def _beside(drafts: Mapping[str, Draft], store: Store) -> Iterator[tuple[Draft, Sample | None]]:
    """Each draft with the sample that the build has of its clip; both come sorted by id."""
    left = dict(drafts)
    for sample in store.samples("all"):
        draft = left.pop(sample.clip.clip_id, None)
        if draft is not None:
            yield draft, sample
    for draft in left.values():
        yield draft, None


def _row(draft: Draft, known: ClipRow | None, problems: Problems) -> ClipRow:
    has_media = draft.clip is not None and draft.clip.path is not None
    row = draft.clip if draft.clip is not None and (known is None or (known.path is None and has_media)) else known
    row = row or ClipRow(draft.clip_id, None, None)
    if draft.stated_frame_count is None:
        return row
    if row.stated_frame_count not in (None, draft.stated_frame_count):
        where = f"{draft.clip_id}: {row.stated_frame_count} before, {draft.stated_frame_count} now"
        problems.add("an earlier import stated another frame count (the new one counts)", where)
    return replace(row, stated_frame_count=draft.stated_frame_count)


def _runs(
    draft: Draft, sample: Sample | None, replace_made: bool, fingerprint: str, made_at: str, applied: Applied
) -> Iterator[tuple[StageRun, StageOutput]]:
    by_stage: dict[str, dict[FieldKey, Field]] = defaultdict(dict)
    for key, new in draft.fields.items():
        by_stage[_stage_of(key)][key] = new
    if draft.not_fine is not None:
        by_stage.setdefault(_NOT_FINE_STAGE, {})
    for stage, wanted in by_stage.items():
        old = _fields_of(stage, sample)
        run = None if sample is None else sample.runs.get(stage)
        is_made = run is not None and not run.fingerprint.startswith(IMPORTED) and run.status != "failed"
        changed = _changed(wanted, old, is_made, replace_made, applied)
        drop = None
        if stage == _NOT_FINE_STAGE and draft.not_fine is not None and not (is_made and not replace_made):
            drop = Drop(draft.not_fine, "fine")
        if not changed and (drop is None or (run is not None and run.reason == drop.reason)):
            continue
        for name, language in changed:
            applied.fields[name if not language else f"{name} ({language})"] += 1
        output = StageOutput(tuple({**old, **changed}.values()), (), drop)
        yield _run(draft.clip_id, stage, output, fingerprint, made_at), output


def _changed(
    wanted: Mapping[FieldKey, Field], old: Mapping[FieldKey, Field], is_made: bool, replace_made: bool, applied: Applied
) -> dict[FieldKey, Field]:
    changed: dict[FieldKey, Field] = {}
    for key, new in wanted.items():
        there = old.get(key)
        if there is not None and _same(there, new):
            continue
        if not replace_made and (is_made or (there is not None and there.value is not None)):
            applied.kept[key[0] if not key[1] else f"{key[0]} ({key[1]})"] += 1
        else:
            changed[key] = new
    return changed


def _same(one: Field, two: Field) -> bool:
    return one.value == two.value and one.why_missing == two.why_missing


def _fields_of(stage: str, sample: Sample | None) -> dict[FieldKey, Field]:
    if sample is None:
        return {}
    return {key: found for key, found in sample.fields.items() if _stage_of(key) == stage}


def _stage_of(key: FieldKey) -> str:
    return FIELDS.get(key[0], _OTHER_STAGE)


def _run(clip_id: str, stage: str, output: StageOutput, fingerprint: str, made_at: str) -> StageRun:
    return StageRun(
        clip_id,
        stage,
        "done" if output.drop is None else "dropped",
        fingerprint,
        output_sha256(output),
        None if output.drop is None else output.drop.reason,
        None if output.drop is None else output.drop.scope,
        finished_at=made_at,
    )
