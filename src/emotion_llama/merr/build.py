"""A build: inputs and a recipe become a folder with a data set in it; run again, it does what is left."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from emotion_llama.errors import InputError
from emotion_llama.merr.engines import EngineOptions
from emotion_llama.merr.engines.local import LocalEngine
from emotion_llama.merr.ingest import ingest_phase
from emotion_llama.merr.phases import Phases
from emotion_llama.merr.plan import INGEST, canonical
from emotion_llama.merr.progress import Interrupt, Progress, Silent
from emotion_llama.merr.spending import ready_to_ask
from emotion_llama.merr.status import BuildTally, PhaseTally
from emotion_llama.merr.store import Store
from emotion_llama.merr.store.builds import building

if TYPE_CHECKING:
    from emotion_llama.merr.recipe import Recipe
    from emotion_llama.merr.stage import Stage

ENGINES = ("local", "ray")


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
    every result that is there by then recorded; the tally says so. A clip whose file is no longer among the inputs is
    set aside, with what was made of it. Artifacts that nothing refers to any more are taken away at the end. A script
    that builds needs `if __name__ == "__main__":` around the call, as everything that starts processes.

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
    if stages is None:
        from emotion_llama.merr.stages import build_stages

        stages = build_stages(recipe)
    runner = load_engine(engine, options)
    plan = _plan_in_words(inputs, recipe, limit)
    with (
        Interrupt() as interrupt,
        Store.create(Path(out)) as store,
        building(store, plan, engine=engine, workers=options.workers, interrupted=interrupt.asked),
    ):
        store.put_recipe(recipe)
        store.put_stages([(INGEST, (), "inline", 1), *map(_row, stages)])
        for line in ready_to_ask(stages, Path(out)):
            progress.say(line)
        tallies = [ingest_phase(store, inputs, recipe, options.workers, limit, progress, interrupt)]
        phases = Phases(store, runner, progress, interrupt)
        tallies += _run_all(phases, runner, stages, interrupt)
        pruned = 0 if interrupt.asked() else store.prune()[0]
        counts = (store.count(), store.count("coarse"), store.count("fine"), store.count_set_aside())
    return BuildTally(
        Path(out), tuple(tallies), *counts, interrupt.asked(), phases.store_seconds, time.perf_counter() - begun, pruned
    )


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
    from emotion_llama.merr.engines.ray_data import RayEngine

    return RayEngine(options)


def _run_all(phases: Phases, engine: LocalEngine, stages: Sequence[Stage], interrupt: Interrupt) -> list[PhaseTally]:
    tallies: list[PhaseTally] = []
    if interrupt.asked():
        return tallies
    phases.set_stale_runs_aside(stages)
    with engine:
        for stage in stages:
            if interrupt.asked():
                break
            tallies.append(phases.run(stage))
    return tallies


def _row(stage: Stage) -> tuple[str, tuple[str, ...], str, int]:
    return stage.name, tuple(stage.needs), "set" if stage.sees_all else stage.pool, stage.version


def _plan_in_words(inputs: Sequence[str | os.PathLike[str]], recipe: Recipe, limit: int | None) -> str:
    """What this build makes, for the log and for a second build that is refused."""
    recipe_sha256 = hashlib.sha256(canonical(recipe.model_dump(mode="json")).encode("utf-8", "surrogatepass"))
    named = ", ".join(Path(path).name for path in inputs[:3]) + (", ..." if len(inputs) > 3 else "")
    words = f"recipe {recipe_sha256.hexdigest()[:8]} of {named}" + ("" if limit is None else f", limit {limit}")
    return words.encode("utf-8", "backslashreplace").decode("utf-8")
