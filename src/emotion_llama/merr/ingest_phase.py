"""The first phase of a build: what ingest found becomes the ledger's clips; who is no longer there is set aside."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Sequence, Set
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

from emotion_llama.merr.claims import Claims, now
from emotion_llama.merr.engines.guarded import reason_of
from emotion_llama.merr.interrupt import Interrupt
from emotion_llama.merr.plan import IMPORTED, INGEST, RunState, canonical
from emotion_llama.merr.progress import Progress
from emotion_llama.merr.records import ClipRow, StageOutput, StageRun
from emotion_llama.merr.store import Store
from emotion_llama.merr.tally import PhaseTally, tally_phase

if TYPE_CHECKING:
    from emotion_llama.merr.ingest import Ingested
    from emotion_llama.merr.recipe import Recipe

GONE = "no longer among the inputs"
BEYOND_LIMIT = "beyond the limit"
_SESSION = "ingested_by_session"
_WARNINGS = 20  # that are told; a folder of broken sidecars need not fill the screen
_WAIT_SECONDS = 0.25


class _Stopped(Exception):
    """The build was told to stop while files were taken in."""


def run_ingest(
    store: Store,
    claims: Claims,
    inputs: Sequence[str | os.PathLike[str]],
    recipe: Recipe,
    *,
    workers: int,
    limit: int | None,
    progress: Progress,
    interrupt: Interrupt,
) -> PhaseTally:
    """Take the clips in, once a session.

    Raises:
        InputError: as `ingest`.
    """
    begun, done_now = time.perf_counter(), frozenset[str]()
    claims.enter_phase(INGEST)
    while not interrupt.asked() and store.meta(_SESSION) != str(claims.session):
        if not claims.take(INGEST, {"": ""}):
            time.sleep(_WAIT_SECONDS)  # another build of this session takes them in
            continue
        with suppress(_Stopped):
            found, beyond = _found(store, inputs, recipe, workers, limit, progress, interrupt)
            done_now = _put(store, claims, found, beyond)
            for warning in _some([f"{one.row.clip_id}: {text}" for one in found for text in one.warnings]):
                progress.say(warning)
        claims.release()
    progress.end()
    return tally_phase(INGEST, store.runs(INGEST), done_now, wall_seconds=time.perf_counter() - begun)


def _found(
    store: Store,
    inputs: Sequence[str | os.PathLike[str]],
    recipe: Recipe,
    workers: int,
    limit: int | None,
    progress: Progress,
    interrupt: Interrupt,
) -> tuple[list[Ingested], frozenset[str]]:
    """What became of the files, and the names of those beyond the limit."""
    from emotion_llama.merr.ingest import find_clips, ingest

    def tell(done: int, total: int) -> None:
        if done == 1:
            progress.begin(INGEST, total, 0)
        progress.advance(done, 0)
        if interrupt.asked():
            raise _Stopped

    # A name whose file is gone is free again: a folder that was moved keeps its clips' names, and thereby their work.
    known = {row.path: row.clip_id for row in store.all_clips() if row.path is not None and Path(row.path).exists()}
    found = ingest(inputs, recipe, known=known, workers=workers, limit=limit, progress=tell)
    beyond = frozenset[str]()
    if limit is not None:
        everything = {one.clip_id for one in find_clips(inputs, recipe, known=known)}
        beyond = frozenset(everything - {one.row.clip_id for one in found})
    return found, beyond


def _put(store: Store, claims: Claims, found: Sequence[Ingested], beyond: Set[str]) -> frozenset[str]:
    """Record what was found, all at once; returns the clips that are new or changed."""
    at, old = now(), {row.clip_id: row for row in store.all_clips()}
    with store.transaction():
        before = store.run_states([INGEST], set_aside=True)[INGEST]
        store.put_clips(_keeping_imports(one.row, old.get(one.row.clip_id)) for one in found)
        ids = {one.row.clip_id for one in found}
        left = [c for c, run in before.items() if c not in ids and not run.fingerprint.startswith(IMPORTED)]
        # What could not be read, and was perhaps only misspelt, never was a clip: nothing of it is worth keeping.
        store.remove([clip_id for clip_id in left if before[clip_id].status == "failed"])
        store.set_aside([clip_id for clip_id in left if clip_id in beyond], BEYOND_LIMIT)
        store.set_aside([clip_id for clip_id in left if clip_id not in beyond], GONE)
        runs = [_run_of(one, at) for one in found]
        fresh = [run for run in runs if run.status == "failed" or not _same(run, before.get(run.clip_id))]
        store.record_many([(run, None if run.status == "failed" else StageOutput()) for run in fresh])
        store.put_meta(_SESSION, str(claims.session))
    return frozenset(run.clip_id for run in fresh)


def _keeping_imports(row: ClipRow, old: ClipRow | None) -> ClipRow:
    """What an import stated of the clip is not in its file, and stays."""
    if old is None or row.stated_frame_count is not None:
        return row
    return replace(row, stated_frame_count=old.stated_frame_count)


def _run_of(one: Ingested, at: str) -> StageRun:
    facts = {name: value for name, value in asdict(one.row).items() if name != "path"}
    sha256 = hashlib.sha256(canonical([INGEST, facts]).encode("utf-8", "surrogatepass")).hexdigest()
    clip_id = one.row.clip_id
    if one.error is not None:
        return StageRun(clip_id, INGEST, "failed", sha256, None, reason_of(one.error, one.row.path), finished_at=at)
    if one.drop is not None:
        return StageRun(clip_id, INGEST, "dropped", sha256, sha256, one.drop.reason, one.drop.scope, finished_at=at)
    return StageRun(clip_id, INGEST, "done", sha256, sha256, finished_at=at)


def _same(run: StageRun, state: RunState | None) -> bool:
    return state is not None and (run.status, run.fingerprint, run.scope) == (
        state.status, state.fingerprint, state.scope,
    )  # fmt: skip


def _some(warnings: list[str]) -> list[str]:
    if len(warnings) <= _WARNINGS:
        return warnings
    return [*warnings[:_WARNINGS], f"... and {len(warnings) - _WARNINGS} more of this kind"]
