"""The executor: one stage after the other, over the clips that still need it, each result recorded as it comes."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from itertools import islice

from emotion_llama.merr.engines import Done, run_guarded
from emotion_llama.merr.engines.local import LocalEngine
from emotion_llama.merr.plan import INGEST, PhasePlan, Standing, needed, output_sha256, plan_phase
from emotion_llama.merr.progress import Interrupt, Progress
from emotion_llama.merr.records import ClipRow, StageInput, StageOutput, StageRun, now
from emotion_llama.merr.stage import Stage
from emotion_llama.merr.status import PhaseTally, tally_phase
from emotion_llama.merr.store import LostArtifact, Store
from emotion_llama.merr.store.builds import at_work

INLINE_CLIPS = 50  # clips of quick stages that are read together
# After an interrupt no clip is begun; what is in work may end for so long, so that answers already asked for are kept.
GRACE_SECONDS = 3.0


class Phases:
    """Runs the phases of one build.

    Attributes:
        store_seconds: time spent on the ledger and the artifacts so far.
    """

    def __init__(self, store: Store, engine: LocalEngine, progress: Progress, interrupt: Interrupt) -> None:
        self.store_seconds = 0.0
        self._store = store
        self._engine = engine
        self._progress = progress
        self._interrupt = interrupt
        self._clips: Mapping[str, ClipRow] = {clip.clip_id: clip for clip in store.clips()}
        self._standings: dict[str, Mapping[str, Standing]] = {}  # stage -> clip -> where it stands behind that stage
        self._storing_since: float | None = None
        self._in_work = 0

    def set_stale_runs_aside(self, stages: Sequence[Stage]) -> None:
        """Set runs aside that do not hold for this recipe and these clips, so that readers see only what does."""
        with self._storing(), self._store.transaction():
            for lost in self._store.lost_artifacts():
                self._store.forget(lost, now())
            ingested = self._store.run_states(INGEST)
            self._standings[INGEST] = {
                clip_id: "out" if clip_id in ingested and ingested[clip_id].is_out else "ok" for clip_id in self._clips
            }
            for stage in stages:
                self._plan(stage)

    def run(self, stage: Stage) -> PhaseTally:
        """One phase, until nothing of it is left to do."""
        begun, seconds = time.perf_counter(), 0.0
        done_now: set[str] = set()
        plan = self._plan(stage)
        self._progress.begin(stage.name, len(plan.pending) + len(plan.finished), len(plan.finished))
        failed = 0
        with closing(self._results(stage, plan.pending)) as work:
            leave_at: float | None = None
            for results in work:
                recorded = self._record(stage, plan.pending, results)
                done_now.update(run.clip_id for run in recorded)
                failed += sum(run.status == "failed" for run in recorded)
                seconds += sum(run.seconds for run in recorded)
                self._progress.advance(len(plan.finished) + len(done_now), failed)
                if self._interrupt.asked():
                    leave_at = leave_at or time.monotonic() + GRACE_SECONDS
                    if not self._in_work or time.monotonic() >= leave_at:
                        break
        plan = self._plan(stage)
        self._progress.end()
        return tally_phase(
            stage.name,
            [run for run in self._store.runs(stage.name) if run.clip_id in plan.finished],
            done_now,
            waiting=len(plan.pending),
            seconds=seconds,
            wall_seconds=time.perf_counter() - begun,
        )

    def _plan(self, stage: Stage) -> PhasePlan:
        with self._storing(), self._store.transaction():
            runs = {name: self._store.run_states(name) for name in {stage.name, *needed(stage)}}
            plan = plan_phase(stage, self._clips, runs, self._standings, self._store.session)
            self._store.mark(stage.name, plan.revived, current=True)
            self._store.mark(stage.name, plan.stale, current=False)
        self._standings[stage.name] = plan.standing
        return plan

    def _results(self, stage: Stage, pending: Mapping[str, str]) -> Generator[list[Done], None, None]:
        """What became of the pending clips, as it comes; those whose input is lost among them."""
        lost: list[Done] = []
        self._in_work = 0
        inputs = self._inputs(stage, list(pending), lost)
        if stage.sees_all:
            # In its fingerprint are all clips that come; they share it, so all of them are pending, or none is.
            items = list(inputs)
            if items and not self._interrupt.asked():
                yield run_guarded(stage, items)
        else:
            with closing(self._engine.run(stage, inputs)) as running:
                for results in running:
                    self._in_work -= len(results)
                    yield results + lost
                    lost.clear()
        yield lost

    def _inputs(self, stage: Stage, clip_ids: Sequence[str], lost: list[Done]) -> Iterator[StageInput]:
        """Clips as the stage is given them; those whose input is lost go to `lost`."""
        size = INLINE_CLIPS if stage.pool == "inline" else max(1, stage.batch_size)
        ids = iter(clip_ids)
        while (block := list(islice(ids, size))) and not self._interrupt.asked():
            with self._storing():
                items = [self._input(stage, clip_id) for clip_id in block]
                lost += [item for item in items if isinstance(item, Done)]
                inputs = [item for item in items if isinstance(item, StageInput)]
                self._in_work += len(inputs)
                at_work(self._store, stage.name, self._in_work)
            yield from inputs

    def _input(self, stage: Stage, clip_id: str) -> StageInput | Done:
        try:
            return self._store.input_of(self._clips[clip_id], stage.needs, stage.reads_artifacts)
        except LostArtifact as error:
            # A damaged file is of no use to anybody; the next build sees that it is gone, and makes it again.
            self._store.artifacts.discard(error.sha256, error.suffix)
            return Done(clip_id, f"lost artifact: {error.name} of the stage {error.stage}", 0.0)

    def _record(self, stage: Stage, fingerprints: Mapping[str, str], results: Sequence[Done]) -> list[StageRun]:
        """Record what came; returns the runs."""
        at = now()
        rows = [_run_of(stage.name, fingerprints[done.clip_id], done, at) for done in results]
        if rows:
            with self._storing():
                self._store.record_many(rows)
                at_work(self._store, stage.name, self._in_work)
        return [run for run, _ in rows]

    @contextmanager
    def _storing(self) -> Iterator[None]:
        if self._storing_since is not None:
            yield
            return
        self._storing_since = time.perf_counter()
        try:
            yield
        finally:
            self.store_seconds += time.perf_counter() - self._storing_since
            self._storing_since = None


def _run_of(stage: str, fingerprint: str, done: Done, at: str) -> tuple[StageRun, StageOutput | None]:
    result = done.result
    sha256: str | None = None
    try:
        sha256 = None if isinstance(result, str) else output_sha256(result)
    except (TypeError, ValueError) as error:
        result = f"unexpected output: {error}; this is a fault of the program, please report it"
    if isinstance(result, str):
        failed = StageRun(done.clip_id, stage, "failed", fingerprint, None, result, None, done.seconds, at)
        return failed, None
    drop = result.drop
    if drop is None:
        return StageRun(done.clip_id, stage, "done", fingerprint, sha256, None, None, done.seconds, at), result
    run = StageRun(done.clip_id, stage, "dropped", fingerprint, sha256, drop.reason, drop.scope, done.seconds, at)
    return run, result
