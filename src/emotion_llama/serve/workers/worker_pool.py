"""The children of a pool: kept warm, acquired one at a time, replaced when they end."""

from __future__ import annotations

import asyncio
import logging
import shutil
import tempfile
import wave
from collections import deque
from collections.abc import Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any

from emotion_llama.errors import BackendError, EmotionLlamaError
from emotion_llama.serve.workers.process import Setup
from emotion_llama.serve.workers.worker import Worker

_CHECK_SECONDS = 0.5  # between checks of idle children
_MAX_PAUSE_SECONDS = 30.0  # between attempts to start one that does not come up
_WARM_RATE_HZ, _WARM_SECONDS = 16_000, 0.5

logger = logging.getLogger("emotion_llama.serve")


class WorkerPool:
    """`count` children; used from one event loop."""

    def __init__(
        self, count: int, memory_bytes: int, niceness: int, max_clips_per_child: int, folder: Path | None
    ) -> None:
        self.working = 0
        self.replaced = 0
        self.is_confined = False
        self._count = count
        self._max_clips = max_clips_per_child
        self._folder = Path(tempfile.mkdtemp(prefix="emotion-llama-pool-", dir=folder))
        self._setup = Setup(self._folder, _warm_clip(self._folder), memory_bytes, niceness)
        self._idle: deque[Worker] = deque()
        self._acquired: set[Worker] = set()
        self._changed = asyncio.Condition()
        self._tasks: set[asyncio.Task[None]] = set()  # starts and checks, which may be cancelled
        self._ends: set[asyncio.Task[None]] = set()  # which may not
        self._is_closed = False

    @property
    def ready(self) -> int:
        """Children that are alive and warm, working or not."""
        return self.working + sum(worker.process.is_alive for worker in self._idle)

    @property
    def has_free(self) -> bool:
        """Whether a child waits for a clip."""
        return bool(self._idle)

    async def start(self) -> None:
        """Start all children at once and wait until they are warm.

        Raises:
            BackendError: one does not come up; none is left then.
        """
        starts = [asyncio.create_task(Worker.start(self._setup)) for _ in range(self._count)]
        try:
            await asyncio.gather(*starts)
        except BaseException:
            for start in starts:
                start.cancel()
            for end in await asyncio.gather(*starts, return_exceptions=True):
                if isinstance(end, Worker):
                    await end.end()
            shutil.rmtree(self._folder, ignore_errors=True)
            raise
        self._idle.extend(start.result() for start in starts)
        self.is_confined = all(worker.is_confined for worker in self._idle)
        if not self.is_confined:
            logger.warning("this system does not confine the processes that decode uploads; use limits of its own")
        self._spawn(self._check_idle(), self._tasks)

    async def acquire(self) -> Worker:
        """A child that is alive, once one is free; first come, first served.

        Raises:
            BackendError: the pool has been closed.
        """
        async with self._changed:
            while True:
                if self._is_closed:
                    raise BackendError("the server is stopping and takes no more clips")
                worker = self._alive()
                if worker is not None:
                    break
                await self._changed.wait()
        self._acquired.add(worker)
        self.working = len(self._acquired)
        return worker

    def release(self, worker: Worker) -> None:
        """Take a child back; one that is not fit for another clip is replaced."""
        self._acquired.discard(worker)
        self.working = len(self._acquired)
        if worker.is_fit and worker.clips < self._max_clips and worker.process.is_alive and not self._is_closed:
            self._idle.append(worker)
        else:
            self._replace(worker)
        self._spawn(self._notify(), self._tasks)

    async def close(self, grace_seconds: float) -> None:
        """Give out no more, wait so long for those that work, end all."""
        self._is_closed = True
        await self._notify()
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._all_released(), grace_seconds)
        for worker in self._acquired:
            worker.kill(BackendError("the server stopped before the clip was measured"))
        await self._all_released()  # each by the call that has it, as soon as it notices the end
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*self._ends, *(worker.end() for worker in self._idle))
        self._idle.clear()
        shutil.rmtree(self._folder, ignore_errors=True)

    async def _all_released(self) -> None:
        async with self._changed:
            await self._changed.wait_for(lambda: not self._acquired)

    def _alive(self) -> Worker | None:
        while self._idle:
            worker = self._idle.popleft()
            if worker.process.is_alive:
                return worker
            self._replace(worker)
        return None

    # --- replacing --------------------------------------------------------------------------------------------------

    def _replace(self, worker: Worker) -> None:
        worker.kill()  # now, not when the task comes to run
        self._spawn(worker.end(), self._ends)
        if not self._is_closed:
            self.replaced += 1
            self._spawn(self._start_another(), self._tasks)

    async def _start_another(self) -> None:
        new = await self._started()
        if new is not None:
            self._idle.append(new)
            await self._notify()

    async def _started(self) -> Worker | None:
        """A new child, however long that takes; None when the pool is closed meanwhile."""
        pause = 1.0
        while not self._is_closed:
            try:
                return await Worker.start(self._setup)
            except (EmotionLlamaError, OSError) as error:  # noqa: PERF203  a loop of seconds
                logger.error("%s; the next attempt is in %.0f s", error, pause)
                await asyncio.sleep(pause)
                pause = min(2 * pause, _MAX_PAUSE_SECONDS)
        return None

    async def _check_idle(self) -> None:
        """Replace children that end while they have no clip (somebody kills them, the system runs out of memory)."""
        while True:
            await asyncio.sleep(_CHECK_SECONDS)
            for worker in [worker for worker in self._idle if not worker.process.is_alive]:
                self._idle.remove(worker)
                self._replace(worker)

    async def _notify(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    def _spawn(self, work: Coroutine[Any, Any, None], among: set[asyncio.Task[None]]) -> None:
        task = asyncio.create_task(work)
        among.add(task)
        task.add_done_callback(among.discard)


def _warm_clip(folder: Path) -> Path:
    """Half a second of silence: enough to load what decodes and measures sound."""
    path = folder / "warm.wav"
    with wave.open(str(path), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(_WARM_RATE_HZ)
        out.writeframes(bytes(2 * round(_WARM_RATE_HZ * _WARM_SECONDS)))
    return path
