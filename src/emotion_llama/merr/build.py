"""A build: inputs and a recipe become a folder with a data set in it; run again, it does what is left.

One stage after the other goes over the clips that still need it, and each result is recorded as it comes.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from itertools import islice
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from emotion_llama.errors import InputError
from emotion_llama.merr.annotators import ready_to_ask, unreachable
from emotion_llama.merr.engine import INLINE_CLIPS, EngineOptions, LocalEngine
from emotion_llama.merr.ingest import ingest_phase
from emotion_llama.merr.records import ClipRow, StageRun, now
from emotion_llama.merr.stage import (
    INGEST,
    Done,
    Stage,
    StageInput,
    StageOutput,
    Standing,
    canonical,
    needed,
    output_sha256,
    plan_phase,
    run_guarded,
    sha256_of,
    stale_runs,
)
from emotion_llama.merr.stages import build_stages
from emotion_llama.merr.status import BuildTally, PhaseTally, Progress, Silent, tally_phase
from emotion_llama.merr.store import LostArtifact, Store
from emotion_llama.merr.store.builds import at_work, building

if TYPE_CHECKING:
    from emotion_llama.merr.recipe import Recipe

ENGINES = ("local", "ray")
# After an interrupt no clip is begun; what is in work may end for so long, so that answers already asked for are kept.
GRACE_SECONDS = 3.0


def build(
    inputs: Sequence[str | os.PathLike[str]],
    out: Path,
    recipe: Recipe,
    *,
    engine: str = "local",
    options: EngineOptions | None = None,
    limit: int | None = None,
    progress: Progress | None = None,
    stages: Sequence[Stage] | None = None,
) -> BuildTally:
    """Build the data set of `inputs` in the folder `out`, or go on with it.

    What is recorded there and still holds is not done again. Ctrl-C (or SIGTERM) ends the build within seconds, with
    every result and answer that is there by then recorded; the tally says so. A clip whose file is no longer among the
    inputs is set aside, with what was made of it. Artifacts that nothing refers to any more are taken away at the end.
    A script that builds needs `if __name__ == "__main__":` around the call, as everything that starts processes.

    Args:
        inputs: media files, folders and manifests.
        out: the build's folder.
        recipe: every choice.
        engine: "local" or "ray".
        options: workers and time limits; by default a worker a core.
        limit: take the first so many clips only; the others are set aside.
        progress: where to report how far it is.
        stages: what to do, instead of the recipe's stages.

    Raises:
        InputError: inputs, folder or recipe cannot be used, or another build is running in the folder.
        MissingDependency: a package that the engine or an annotator needs.
        BackendError: the folder cannot be written, or no worker can be started.
    """
    begun = time.perf_counter()
    if limit is not None and limit < 1:
        raise InputError(f"the limit must be 1 clip or more, got {limit}")
    options = options or EngineOptions(workers=os.cpu_count() or 1)
    progress = progress or Silent()
    stages = build_stages(recipe) if stages is None else stages
    runner = load_engine(engine, options)
    plan = _plan_in_words(inputs, recipe, limit)
    with (
        interruptible() as interrupted,
        Store.create(Path(out)) as store,
        building(store, plan, engine=engine, workers=options.workers, interrupted=interrupted),
    ):
        store.put_recipe(recipe)
        rows = [(one.name, tuple(one.needs), "set" if one.sees_all else one.pool, one.version) for one in stages]
        store.put_stages([(INGEST, (), "inline", 1), *rows])
        annotators = [s.annotator for s in stages if s.annotator]
        for line in (*ready_to_ask(annotators, store.folder, interrupted), *unreachable(annotators)):
            progress.say(line)
        tallies = [ingest_phase(store, inputs, recipe, options.workers, limit, progress, interrupted)]
        phases = _Phases(store, runner, progress, interrupted)
        tallies += phases.run_all(stages)
        if not interrupted():
            store.prune()
        counts = (store.count(), store.count("coarse"), store.count("fine"), store.count_set_aside())
    return BuildTally(Path(out), tuple(tallies), *counts, interrupted(), time.perf_counter() - begun)


def load_engine(name: str, options: EngineOptions) -> LocalEngine:
    """The engine of this name.

    Raises:
        InputError: there is none.
        MissingDependency: its package is not installed.
    """
    if name not in ENGINES:
        raise InputError(f"engine must be one of {', '.join(ENGINES)}, got {name!r}")
    if name == "local":
        return LocalEngine(options)
    from emotion_llama.merr.ray_engine import RayEngine

    return RayEngine(options)


def _plan_in_words(inputs: Sequence[str | os.PathLike[str]], recipe: Recipe, limit: int | None) -> str:
    recipe_sha256 = sha256_of(canonical(recipe.model_dump(mode="json")))
    named = ", ".join(Path(path).name for path in inputs[:3]) + (", ..." if len(inputs) > 3 else "")
    words = f"recipe {recipe_sha256[:8]} of {named}" + ("" if limit is None else f", limit {limit}")
    return words.encode("utf-8", "backslashreplace").decode("utf-8")


@contextmanager
def interruptible() -> Iterator[Callable[[], bool]]:
    """Gives a function that says whether SIGINT or SIGTERM has come; a second one ends the program as usual.

    Outside the main thread, where Python hands out no signals, none ever comes.
    """
    came = False
    before: dict[signal.Signals, Any] = {}  # handlers, as signal.signal has them

    def restore() -> None:
        while before:
            number, handler = before.popitem()
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)

    def note(number: int, frame: FrameType | None) -> None:
        nonlocal came
        came = True
        restore()

    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            before[number] = signal.signal(number, note)
    try:
        yield lambda: came
    finally:
        restore()


# --- phases -----------------------------------------------------------------------------------------------------------


class _Phases:
    """Runs the stages of one build."""

    def __init__(self, store: Store, engine: LocalEngine, progress: Progress, interrupted: Callable[[], bool]) -> None:
        self._store = store
        self._engine = engine
        self._progress = progress
        self._interrupted = interrupted
        self._clips: Mapping[str, ClipRow] = {clip.clip_id: clip for clip in store.clips()}
        self._standings: dict[str, Mapping[str, Standing]] = {}  # stage -> clip -> where it stands behind that stage
        self._in_work = 0

    def run_all(self, stages: Sequence[Stage]) -> Iterator[PhaseTally]:
        """One stage after the other, until an interrupt."""
        if self._interrupted():
            return
        self._set_stale_runs_aside(stages)
        with self._engine:
            for stage in stages:
                if self._interrupted():
                    break
                yield self._run(stage)
                if stage.annotator is not None and stage.annotator.kept is not None:
                    stage.annotator.kept.keep()  # what was answered for clips that are not through

    def _set_stale_runs_aside(self, stages: Sequence[Stage]) -> None:
        """Set runs aside that do not hold for this recipe and these clips, so that readers see only what does."""
        with self._store.transaction():
            for lost in self._store.lost_artifacts():
                self._store.forget(lost, now())
            ingested = self._store.run_states(INGEST)
            self._standings[INGEST] = {
                clip_id: "out" if clip_id in ingested and ingested[clip_id].is_out else "ok" for clip_id in self._clips
            }
            for stage in stages:
                self._plan(stage)

    def _run(self, stage: Stage) -> PhaseTally:
        begun, seconds = time.perf_counter(), 0.0
        done_now: set[str] = set()
        pending, finished = self._plan(stage)
        self._progress.begin(stage.name, len(pending) + len(finished), len(finished))
        failed = 0
        with closing(self._results(stage, pending)) as work:
            leave_at: float | None = None
            for results in work:
                recorded = self._record(stage, pending, results)
                done_now.update(run.clip_id for run in recorded)
                failed += sum(run.status == "failed" for run in recorded)
                seconds += sum(run.seconds for run in recorded)
                self._progress.advance(len(finished) + len(done_now), failed)
                if self._interrupted():
                    leave_at = leave_at or time.monotonic() + GRACE_SECONDS
                    if not self._in_work or time.monotonic() >= leave_at:
                        break
        pending, finished = self._plan(stage)
        self._progress.end()
        return tally_phase(
            stage.name,
            [run for run in self._store.runs(stage.name) if run.clip_id in finished],
            done_now,
            waiting=len(pending),
            seconds=seconds,
            wall_seconds=time.perf_counter() - begun,
        )

    def _plan(self, stage: Stage) -> tuple[Mapping[str, str], frozenset[str]]:
        """The clips that are to be run, with their fingerprints, and those whose run holds, as the ledger now says."""
        with self._store.transaction():
            runs = {name: self._store.run_states(name) for name in {stage.name, *needed(stage)}}
            own = runs[stage.name]
            pending, finished, standing = plan_phase(stage, self._clips, runs, self._standings, self._store.session)
            self._store.mark(stage.name, [c for c in finished if not own[c].current], current=True)
            self._store.mark(stage.name, stale_runs(own, pending, finished), current=False)
        self._standings[stage.name] = standing
        return pending, finished

    def _results(self, stage: Stage, pending: Mapping[str, str]) -> Generator[list[Done], None, None]:
        lost: list[Done] = []
        self._in_work = 0
        inputs = self._inputs(stage, list(pending), lost)
        if stage.sees_all:
            # In its fingerprint are all clips that come; they share it, so all of them are pending, or none is.
            items = list(inputs)
            if items and not self._interrupted():
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
        while (block := list(islice(ids, size))) and not self._interrupted():
            inputs: list[StageInput] = []
            for clip_id in block:
                try:
                    clip = self._clips[clip_id]
                    inputs.append(self._store.input_of(clip, stage.needs, stage.reads_artifacts))
                except LostArtifact as error:  # noqa: PERF203  (one clip's input is its own)
                    # A damaged file is of no use; the next build sees that it is gone, and makes it again.
                    self._store.artifacts.discard(error.sha256, error.suffix)
                    lost.append(Done(clip_id, f"lost artifact: {error.name} of the stage {error.stage}", 0.0))
            self._in_work += len(inputs)
            at_work(self._store, stage.name, self._in_work)
            yield from inputs

    def _record(self, stage: Stage, fingerprints: Mapping[str, str], results: Sequence[Done]) -> list[StageRun]:
        at = now()
        rows = [
            _run_of(stage.name, fingerprints[done.clip_id], done, at) for done in results if done.result is not None
        ]
        if rows:
            self._store.record_many(rows)
            at_work(self._store, stage.name, self._in_work)
        return [run for run, _ in rows]


def _run_of(stage: str, fingerprint: str, done: Done, at: str) -> tuple[StageRun, StageOutput | None]:
    clip_id, result, seconds = done
    sha256 = None
    if isinstance(result, StageOutput):
        try:
            sha256 = output_sha256(result)
        except (TypeError, ValueError) as error:
            result = f"unexpected output: {error}; this is a fault of the program, please report it"
    if not isinstance(result, StageOutput):
        return StageRun(clip_id, stage, "failed", fingerprint, None, result, None, seconds, at), None
    reason, scope = result.drop or (None, None)
    run = StageRun(clip_id, stage, "dropped" if reason else "done", fingerprint, sha256, reason, scope, seconds, at)
    return run, result
