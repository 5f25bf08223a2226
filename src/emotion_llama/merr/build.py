"""A build: inputs and a recipe become a folder with a data set in it; run again, it does what is left."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from emotion_llama.errors import InputError
from emotion_llama.merr.claims import building
from emotion_llama.merr.engines import Engine, EngineOptions, load_engine
from emotion_llama.merr.ingest_phase import run_ingest
from emotion_llama.merr.interrupt import Interrupt
from emotion_llama.merr.phases import Phases
from emotion_llama.merr.plan import INGEST, canonical, is_clip_stage
from emotion_llama.merr.progress import Progress, Silent
from emotion_llama.merr.spending import ready_to_ask
from emotion_llama.merr.store import StageRow, Store
from emotion_llama.merr.tally import BuildTally, PhaseTally

if TYPE_CHECKING:
    from emotion_llama.merr.recipe import Recipe
    from emotion_llama.merr.stage import Stage


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

    What is recorded there and still holds is not done again. Ctrl-C (or SIGTERM) ends the build between two results:
    the tally then says so. A clip whose file is no longer among the inputs is set aside, with what was made of it.
    Artifacts that nothing refers to any more are taken away at the end. A script that builds needs
    `if __name__ == "__main__":` around the call, as everything that starts processes.

    Args:
        inputs: media files, folders and manifests.
        out: the build's folder.
        recipe: every choice.
        engine: "local" or "ray".
        options: workers and time limits; by default a worker a core.
        limit: take the first so many clips only; the others are set aside.
        progress: told how far it is.
        stages: what to do, instead of the recipe's stages.

    Raises:
        InputError: inputs, folder or recipe cannot be used, or another build with other choices is running there.
        MissingDependency: a package that the engine or an annotator needs.
        BackendError: the folder cannot be written, or no worker can be started.
    """
    begun = time.perf_counter()
    if limit is not None and limit < 1:
        raise InputError(f"the limit must be 1 clip or more, got {limit}")
    options = options or EngineOptions(workers=os.cpu_count() or 1)
    progress = progress or Silent()
    if stages is None:
        from emotion_llama.merr.stages import build_stages

        stages = build_stages(recipe)
    running = load_engine(engine, options)
    plan, plan_sha256 = _plan_of(inputs, recipe, limit, stages)
    with (
        Interrupt() as interrupt,
        Store.create(Path(out)) as store,
        building(store, plan, plan_sha256, engine=engine, workers=options.workers) as claims,
    ):
        store.put_recipe(recipe)
        store.put_stages([StageRow(INGEST, (), "inline", 1), *map(_stage_row, stages)])
        for line in ready_to_ask(stages, Path(out)):
            progress.say(line)
        ingested = run_ingest(
            store, claims, inputs, recipe,
            workers=options.workers, limit=limit, progress=progress, interrupt=interrupt,
        )  # fmt: skip
        phases = Phases(store, claims, running, progress, interrupt, {clip.clip_id: clip for clip in store.clips()})
        tallies = [ingested, *_run_all(phases, running, stages)]
        claims.was_interrupted = interrupt.asked()
        pruned = store.prune().num_files if claims.is_alone() and not interrupt.asked() else 0
        totals = store.totals()
    return BuildTally(
        Path(out),
        tuple(tallies),
        totals.clips,
        totals.coarse,
        totals.fine,
        totals.set_aside,
        was_interrupted=interrupt.asked(),
        store_seconds=phases.store_seconds,
        wall_seconds=time.perf_counter() - begun,
        pruned_files=pruned,
    )


def _run_all(phases: Phases, engine: Engine, stages: Sequence[Stage]) -> list[PhaseTally]:
    tallies: list[PhaseTally] = []
    if phases.interrupt.asked():
        return tallies
    phases.look_ahead(stages)
    with engine:
        for stage in stages:
            if phases.interrupt.asked():
                break
            tallies.append(phases.run(stage))
    return tallies


def _stage_row(stage: Stage) -> StageRow:
    return StageRow(stage.name, stage.needs, stage.pool if is_clip_stage(stage) else "set", stage.version)


def _plan_of(
    inputs: Sequence[str | os.PathLike[str]], recipe: Recipe, limit: int | None, stages: Sequence[Stage]
) -> tuple[str, str]:
    """What this build makes, in words and as a hash: builds that differ in it do not run at once."""
    paths = [os.path.abspath(path) for path in inputs]  # noqa: PTH100  (links stay as named)
    choices = recipe.model_dump(mode="json")
    recipe_sha256 = hashlib.sha256(canonical(choices).encode("utf-8", "surrogatepass")).hexdigest()
    named = ", ".join(Path(path).name for path in paths[:3]) + (", ..." if len(paths) > 3 else "")
    words = f"recipe {recipe_sha256[:8]} of {named}" + ("" if limit is None else f", limit {limit}")
    whole = canonical([choices, paths, limit, [[stage.name, stage.version] for stage in stages]])
    return words, hashlib.sha256(whole.encode("utf-8", "surrogatepass")).hexdigest()
