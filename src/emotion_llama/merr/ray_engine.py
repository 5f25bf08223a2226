"""Many machines: stages of the pool "process" go over a Ray cluster, as a Ray Data pipeline; the rest stays here.

Threads, models and quick stages stay in the building process: there is one pace and one budget for a server, whatever
the number of machines. Inputs and artifacts travel with the clips; the machines must see the media files under the
same paths. With RAY_ADDRESS set that cluster is used, otherwise one is started on this machine for the build.
"""

from __future__ import annotations

import logging
import os
import pickle
import queue
import threading
from collections.abc import Generator, Iterator, Mapping
from contextlib import suppress
from itertools import islice
from types import ModuleType
from typing import TYPE_CHECKING, Any

from emotion_llama.errors import BackendError, MissingDependency
from emotion_llama.merr.engine import POLL_SECONDS, EngineOptions, LocalEngine
from emotion_llama.merr.stage import Done, Stage, StageInput

if TYPE_CHECKING:
    from ray.data import Dataset

# Clips of one pipeline. Its actors start anew with each, which takes seconds; its inputs are held in memory.
CLIPS_PER_WORKER = 64


class RayEngine(LocalEngine):
    """Ray Data for stages of the pool "process", on this machine or a cluster; the others run as `LocalEngine` runs."""

    def __init__(self, options: EngineOptions) -> None:
        super().__init__(options)
        self._options = options
        self._ray = _import_ray()
        self._is_ours = False

    def run(self, stage: Stage, items: Iterator[StageInput]) -> Generator[list[Done], None, None]:
        """See `LocalEngine.run`."""
        return self._over_cluster(stage, items) if stage.pool == "process" else super().run(stage, items)

    def __enter__(self) -> RayEngine:
        return self

    def __exit__(self, *exc: object) -> None:
        super().__exit__(*exc)
        if self._is_ours:
            self._ray.shutdown()
            self._is_ours = False

    def _over_cluster(self, stage: Stage, items: Iterator[StageInput]) -> Generator[list[Done], None, None]:
        size = max(1, stage.batch_size)
        while wave := list(islice(items, CLIPS_PER_WORKER * self._options.workers)):
            self._start()
            batches = [wave[at : at + size] for at in range(0, len(wave), size)]
            yield from self._wave(stage, batches)

    def _wave(self, stage: Stage, batches: list[list[StageInput]]) -> Generator[list[Done], None, None]:
        waiting = {item.clip.clip_id for batch in batches for item in batch}
        results: queue.SimpleQueue[list[Done] | BaseException | None] = queue.SimpleQueue()
        stop = threading.Event()
        data = self._pipeline(stage, batches)
        # Ray Data blocks while it waits: from a thread of its own, so that the caller can act meanwhile.
        pump = threading.Thread(target=_pump, args=(data, results, stop), name="merr-ray", daemon=True)
        pump.start()
        try:
            while True:
                try:
                    got = results.get(timeout=POLL_SECONDS)
                except queue.Empty:
                    got = []
                if got is None:
                    break
                if isinstance(got, BaseException):
                    raise BackendError(f"Ray stopped: {' '.join(str(got).split())[:500]}") from got
                waiting -= {done.clip_id for done in got}
                yield got
        finally:
            stop.set()
            pump.join(timeout=POLL_SECONDS)
        yield [Done(clip_id, "died: the machine that worked on it was lost", 0.0) for clip_id in sorted(waiting)]

    def _pipeline(self, stage: Stage, batches: list[list[StageInput]]) -> Dataset:
        rows = [{"batch": pickle.dumps(batch)} for batch in batches]
        data = self._ray.data.from_items(rows, override_num_blocks=len(rows))
        data.context.enable_progress_bars = False
        data.context.max_errored_blocks = -1  # what is lost with a machine is reported clip by clip
        limits = EngineOptions(1, 1, self._options.limit_seconds, self._options.limit_factor)
        mapped: Dataset = data.map(
            RayWorker, fn_constructor_args=(pickle.dumps(stage), limits), concurrency=self._options.workers, num_cpus=1
        )
        return mapped

    def _start(self) -> None:
        if self._ray.is_initialized():
            return
        address = os.environ.get("RAY_ADDRESS")
        where: dict[str, Any] = {"address": address} if address else {
            "address": "local", "num_cpus": self._options.workers, "include_dashboard": False
        }  # fmt: skip
        try:
            self._ray.init(**where, logging_level="ERROR", log_to_driver=False, configure_logging=False)
        except (ConnectionError, RuntimeError, ValueError, OSError) as error:
            raise BackendError(f"Ray cannot be started or reached at {address or 'this machine'}: {error}") from error
        self._is_ours = True


class RayWorker:
    """An actor of the cluster: clips through one worker process of its own.

    A clip that ends or hangs its process ends no actor of Ray, and fails with the same reason as elsewhere.
    """

    def __init__(self, stage: bytes, options: EngineOptions) -> None:
        self._stage: Stage = pickle.loads(stage)  # noqa: S301  (from the driver, through Ray)
        self._engine = LocalEngine(options)

    def __call__(self, row: Mapping[str, bytes]) -> dict[str, bytes]:
        """The results of a row's clips."""
        batch: list[StageInput] = pickle.loads(row["batch"])  # noqa: S301  (likewise)
        done = [one for some in self._engine.run(self._stage, iter(batch)) for one in some]
        return {"done": pickle.dumps(done)}


def _pump(data: Dataset, results: queue.SimpleQueue[Any], stop: threading.Event) -> None:
    rows = iter(data.iter_rows())
    try:
        for row in rows:
            results.put(pickle.loads(row["done"]))  # noqa: S301  (from our own workers, through Ray)
            if stop.is_set():
                break
    except Exception as error:  # noqa: BLE001  (handed to the thread that asked)
        results.put(error)
    else:
        results.put(None)
    finally:
        with suppress(AttributeError):
            rows.close()  # type: ignore[attr-defined]  # a generator: its pipeline ends with it


def _import_ray() -> ModuleType:
    # Read when Ray is imported: no usage report, and no bars over the progress line.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # A pipeline that is left when the build is interrupted must not start another cluster by itself.
    os.environ["RAY_ENABLE_AUTO_CONNECT"] = "0"
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise MissingDependency("ray[data]", "the engine ray", "pip install 'emotion-llama[cluster]'") from error
    logging.getLogger("ray").setLevel(logging.ERROR)
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)  # what is lost is reported by us, clip by clip
    module: ModuleType = ray
    return module
