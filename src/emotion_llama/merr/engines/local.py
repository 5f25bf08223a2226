"""This machine: worker processes for media, threads for servers, one thread for a model, and the caller's own."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from itertools import islice
from types import TracebackType
from typing import TypeAlias

from emotion_llama.merr.engines import Done, EngineOptions
from emotion_llama.merr.engines.guarded import run_guarded
from emotion_llama.merr.engines.processes import ProcessPool
from emotion_llama.merr.engines.threads import ThreadPool
from emotion_llama.merr.records import StageInput
from emotion_llama.merr.stage import ClipStage

POLL_SECONDS = 0.2  # the caller can act at least so often
INLINE_CLIPS = 50  # quick work is handed back in lists of so many, which are recorded together

Pools: TypeAlias = "ProcessPool | ThreadPool"


class LocalEngine:
    """Processes and threads of this machine; processes live as long as the engine, so that they import once."""

    def __init__(self, options: EngineOptions) -> None:
        self._processes = ProcessPool(options)
        self._threads = ThreadPool(options.in_flight, options)
        # Loading a model and answering a batch may take any time: this thread has no limit.
        self._main = ThreadPool(1, options, limited=False)

    def run(self, stage: ClipStage, items: Iterator[StageInput]) -> Generator[list[Done], None, None]:
        """See `Engine.run`."""
        if stage.pool == "inline":
            return _inline(stage, items)
        pools: Mapping[str, Pools] = {"process": self._processes, "thread": self._threads, "main": self._main}
        return _through(pools[stage.pool], stage, items)

    def __enter__(self) -> LocalEngine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for pool in (self._processes, self._threads, self._main):
            pool.close()


def _inline(stage: ClipStage, items: Iterator[StageInput]) -> Generator[list[Done], None, None]:
    size = max(1, stage.batch_size)
    while block := list(islice(items, max(size, INLINE_CLIPS))):
        yield [done for at in range(0, len(block), size) for done in run_guarded(stage, block[at : at + size])]


def _through(pool: Pools, stage: ClipStage, items: Iterator[StageInput]) -> Generator[list[Done], None, None]:
    more = True
    try:
        while more or pool.is_busy:
            done = pool.collect(POLL_SECONDS) if pool.is_busy or not pool.room() else []
            while pool.room():  # before the results are handed on: no worker waits for their being recorded
                again = pool.take_back()
                batch = [again] if again is not None else list(islice(items, max(1, stage.batch_size)))
                if not batch:
                    more = False
                    break
                pool.give(stage, batch)
            yield done
    finally:
        if pool.is_busy:  # the caller left
            pool.abandon()
