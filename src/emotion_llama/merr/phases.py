"""The executor: one stage after the other, over the clips that still need it, each result recorded as it comes."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from itertools import islice

from emotion_llama.errors import EmotionLlamaError
from emotion_llama.merr.claims import Claims, now
from emotion_llama.merr.engines import Done, Engine, Failed
from emotion_llama.merr.engines.guarded import reason_of, unexpected
from emotion_llama.merr.interrupt import Interrupt
from emotion_llama.merr.plan import INGEST, PhasePlan, Standing, is_clip_stage, needed, output_sha256, plan_phase
from emotion_llama.merr.progress import Progress
from emotion_llama.merr.records import ClipRow, StageInput, StageOutput, StageRun
from emotion_llama.merr.stage import ClipStage, SetStage, Stage
from emotion_llama.merr.store import LostArtifact, Store
from emotion_llama.merr.tally import PhaseTally, tally_phase

WAIT_SECONDS = 0.25  # between two looks at what another build does
INLINE_CLAIMS = 50  # clips of quick stages that are claimed together
SET_CLAIM = ""  # a stage over all clips is claimed under this name


@dataclass
class Phases:
    """What the phases of one build share.

    Attributes:
        store, claims, engine, progress, interrupt: of the build.
        clips: of the build, by id.
        store_seconds: time spent on the ledger and the artifacts so far.
        standings: stage -> clip -> where it stands behind that stage.
    """

    store: Store
    claims: Claims
    engine: Engine
    progress: Progress
    interrupt: Interrupt
    clips: Mapping[str, ClipRow]
    store_seconds: float = 0.0
    standings: dict[str, Mapping[str, Standing]] = field(default_factory=dict)
    _storing_since: float | None = None

    def look_ahead(self, stages: Sequence[Stage]) -> None:
        """Set runs aside that do not hold for this recipe and these clips, so that every reader sees what does."""
        with self._storing(), self.store.transaction():
            for lost in self.store.lost_artifacts():
                self.store.forget(lost, now())
            ingested = self.store.run_states([INGEST])[INGEST]
            self.standings[INGEST] = {
                clip_id: "out" if clip_id in ingested and ingested[clip_id].is_out else "ok" for clip_id in self.clips
            }
            for stage in stages:
                self._plan(stage)

    def run(self, stage: Stage) -> PhaseTally:
        """One phase, until nothing of it is left to do here or in another build of this session."""
        begun, total_seconds = time.perf_counter(), 0.0
        done_now: set[str] = set()
        self.claims.enter_phase(stage.name)
        plan = self._plan(stage)
        total = len(plan.pending) + len(plan.finished)
        self.progress.begin(stage.name, total, len(plan.finished))
        failed = 0
        while plan.pending and not self.interrupt.asked():
            work = self._run_clips(stage, plan) if is_clip_stage(stage) else self._run_set(stage, plan)  # type: ignore[arg-type]
            with closing(work):
                for results in work:
                    recorded = self._record(stage, plan.pending, results)
                    done_now.update(run.clip_id for run in recorded)
                    failed += sum(run.status == "failed" for run in recorded)
                    total_seconds += sum(run.seconds for run in recorded)
                    self.progress.advance(len(plan.finished) + len(done_now), failed)
                    if self.interrupt.asked():
                        break
            plan = self._plan(stage)
            self.progress.advance(total - len(plan.pending), failed)
        self.progress.end()
        return tally_phase(
            stage.name,
            [run for run in self.store.runs(stage.name) if run.clip_id in plan.finished],
            frozenset(done_now),
            left=len(plan.pending),
            work_seconds=total_seconds,
            wall_seconds=time.perf_counter() - begun,
        )

    def _plan(self, stage: Stage) -> PhasePlan:
        with self._storing(), self.store.transaction():
            runs = self.store.run_states({stage.name, *needed(stage)})
            plan = plan_phase(stage, self.clips, runs, self.standings, self.claims.session)
            self.store.mark(stage.name, plan.revived, current=True)
            self.store.mark(stage.name, plan.stale, current=False)
        self.standings[stage.name] = plan.standing
        return plan

    def _run_clips(self, stage: ClipStage, plan: PhasePlan) -> Generator[list[Done], None, None]:
        taken = self.claims.taken_by_others(stage.name)
        free = [clip_id for clip_id in plan.pending if clip_id not in taken]
        if not free:
            yield from self._wait()
            return
        lost: list[Done] = []
        with closing(self.engine.run(stage, self._inputs(stage, free, plan.pending, lost))) as running:
            for results in running:
                yield results + lost
                lost.clear()
        yield lost

    def _inputs(
        self, stage: ClipStage, clip_ids: Sequence[str], pending: Mapping[str, str], lost: list[Done]
    ) -> Iterator[StageInput]:
        """Clips as the stage sees them, claimed just before; those whose input is lost go to `lost`."""
        size = INLINE_CLAIMS if stage.pool == "inline" else max(1, stage.batch_size)
        ids = iter(clip_ids)
        while block := list(islice(ids, size)):
            if self.interrupt.asked():
                return
            with self._storing():
                taken = self.claims.take(stage.name, {clip_id: pending[clip_id] for clip_id in block})
            for clip_id in taken:
                with self._storing():
                    item = self._input(stage, clip_id, stage.reads_artifacts)
                if isinstance(item, Done):
                    lost.append(item)
                else:
                    yield item

    def _input(self, stage: Stage, clip_id: str, reads_artifacts: Sequence[str] = ()) -> StageInput | Done:
        try:
            return self.store.input_of(self.clips[clip_id], stage.needs, reads_artifacts)
        except LostArtifact as error:
            # A damaged file is of no use to anybody; the next build sees that it is gone, and makes it again.
            self.store.artifacts.discard(error.sha256, error.suffix)
            return Done(clip_id, Failed(f"lost artifact: {error.name} of the stage {error.stage}"), 0.0)

    def _run_set(self, stage: SetStage, plan: PhasePlan) -> Generator[list[Done], None, None]:
        fingerprint = next(iter(plan.pending.values()))
        if not self.claims.take(stage.name, {SET_CLAIM: fingerprint}):
            yield from self._wait()
            return
        # In the fingerprint are all clips that come; they share it, so all of them are pending, or none is.
        with self._storing():
            items = [self._input(stage, clip_id) for clip_id in plan.pending]
        inputs = [item for item in items if isinstance(item, StageInput)]
        begun = time.perf_counter()
        try:
            outputs = stage.run_all(inputs)
            if len(outputs) != len(inputs):
                raise RuntimeError(f"the stage gave {len(outputs)} results for {len(inputs)} clips")
        except EmotionLlamaError as error:
            results: list[StageOutput | Failed] = [Failed(reason_of(error))] * len(inputs)
        except Exception as error:  # noqa: BLE001  (a fault of one phase is told of its clips, as with the others)
            results = [unexpected(error)] * len(inputs)
        else:
            results = list(outputs)
        seconds = (time.perf_counter() - begun) / max(1, len(inputs))
        yield [Done(item.clip.clip_id, result, seconds) for item, result in zip(inputs, results, strict=True)]

    def _record(self, stage: Stage, fingerprints: Mapping[str, str], results: Sequence[Done]) -> list[StageRun]:
        """Record what came; returns the runs that were."""
        at = now()
        rows = [_run_of(stage.name, fingerprints[done.clip_id], done, at) for done in results]
        if not rows:
            return []
        with self._storing():
            if is_clip_stage(stage):
                kept = self.store.record_many(rows, builder=self.claims.builder)
            else:
                with self.store.transaction():
                    kept = self.store.record_many(rows)
                    self.claims.release()
        return [run for (run, _), was_kept in zip(rows, kept, strict=True) if was_kept]

    def _wait(self) -> Generator[list[Done], None, None]:
        """Another build works on what is left."""
        time.sleep(WAIT_SECONDS)
        yield []

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
    try:
        sha256 = None if isinstance(result, Failed) else output_sha256(result)
    except (TypeError, ValueError) as error:
        result, sha256 = Failed(f"unexpected output: {error}; this is a fault of the program, please report it"), None
    if isinstance(result, Failed):
        failed = StageRun(done.clip_id, stage, "failed", fingerprint, None, result.reason, None, done.seconds, at)
        return failed, None
    drop = result.drop
    if drop is None:
        return StageRun(done.clip_id, stage, "done", fingerprint, sha256, None, None, done.seconds, at), result
    run = StageRun(done.clip_id, stage, "dropped", fingerprint, sha256, drop.reason, drop.scope, done.seconds, at)
    return run, result
