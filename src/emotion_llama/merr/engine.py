"""Where a stage's work is done on this machine: worker processes, threads for servers, one thread for a model.

An engine is given clips as it asks for them and gives results back as they come, in any order. It never writes to the
store, and nothing that happens to one clip (an error, a fault of the program, a dead or hanging worker) costs another:
each worker process holds one batch at a time, and a thread that watches it knows which.
"""

from __future__ import annotations

import itertools
import multiprocessing
import os
import pickle
import queue
import signal
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from multiprocessing import resource_tracker
from typing import TYPE_CHECKING

from emotion_llama.errors import BackendError, InputError
from emotion_llama.merr.stage import Done, Stage, StageInput, run_guarded, unexpected

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

POLL_SECONDS = 0.2  # the caller can act at least so often
INLINE_CLIPS = 50  # quick work is handed back in lists of so many, which are recorded together
# One thread a process: workers are as many as there are cores, and small arrays only get slower with more.
ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OPENCV_FOR_THREADS_NUM"), "1"
)
READY_SECONDS = 120.0  # a new worker has said that it is there; a loaded machine is slow to start one
DEATH_SECONDS = 5.0  # between the end of a process's pipe and its own, at most


@dataclass(frozen=True)
class EngineOptions:
    """How an engine works."""

    workers: int = 1  # processes for stages of the pool "process"
    in_flight: int = 8  # requests at a time for stages of the pool "thread"
    # time after which a clip in a process or thread counts as hanging, for a clip without length
    limit_seconds: float = 600.0
    limit_factor: float = 20.0  # seconds more for each second of the clip

    def __post_init__(self) -> None:
        if self.workers < 1 or self.in_flight < 1:
            raise InputError(f"expected 1 worker or more, got {self.workers} processes, {self.in_flight} in flight")
        if not (self.limit_seconds > 0 and self.limit_factor >= 0):
            raise InputError(f"expected a time limit above 0 s, got {self.limit_seconds}")

    def limit_for(self, items: list[StageInput]) -> float:
        """Time that these clips may take together, in seconds."""
        return sum(self.limit_seconds + self.limit_factor * (i.clip.duration_seconds or 0.0) for i in items)


class LocalEngine:
    """Runs stages in processes and threads of this machine; a context manager that ends its workers.

    Processes live as long as the engine, so that they import once.
    """

    def __init__(self, options: EngineOptions) -> None:
        # Loading a model and answering a batch may take any time: the one thread of "main" has no limit.
        self._pools = {
            "process": ProcessPool(options),
            "thread": ThreadPool(options.in_flight, options.limit_for),
            "main": ThreadPool(1, lambda batch: float("inf")),
        }

    def run(self, stage: Stage, items: Iterator[StageInput]) -> Generator[list[Done], None, None]:
        """What became of each of `items`, as it is there; an empty list now and then, so that the caller can act.

        `items` is asked for the next clip only when there is room; leaving the iteration ends what is being done.
        BackendError where the stage cannot be sent to worker processes, or none of them comes up.
        """
        return _inline(stage, items) if stage.pool == "inline" else _through(self._pools[stage.pool], stage, items)

    def __enter__(self) -> LocalEngine:
        return self

    def __exit__(self, *exc: object) -> None:
        for pool in self._pools.values():
            pool.close()


def _inline(stage: Stage, items: Iterator[StageInput]) -> Generator[list[Done], None, None]:
    size = max(1, stage.batch_size)
    while block := list(islice(items, max(size, INLINE_CLIPS))):
        yield [done for at in range(0, len(block), size) for done in run_guarded(stage, block[at : at + size])]


def _through(pool: ThreadPool, stage: Stage, items: Iterator[StageInput]) -> Generator[list[Done], None, None]:
    more = True
    try:
        while more or pool.flying:
            done = pool.collect(POLL_SECONDS) if pool.flying else []
            while more and len(pool.flying) < pool.size:  # before the results are handed on: no worker waits for it
                batch = list(islice(items, max(1, stage.batch_size)))
                if more := bool(batch):
                    pool.give(stage, batch)
            yield done
    finally:
        pool.abandon()  # where the caller left


class ThreadPool:
    """Up to `size` threads. A thread cannot be ended: one that hangs is left behind, and another takes its place.

    Threads are daemons, so that a server that never answers does not keep the program from ending.
    """

    def __init__(self, size: int, limit_for: Callable[[list[StageInput]], float]) -> None:
        self.size = size
        self.flying: dict[int, tuple[list[StageInput], float]] = {}  # number -> batch, when it was begun
        self._limit_for = limit_for
        self._tasks: queue.SimpleQueue[tuple[int, Stage, list[StageInput]] | None] = queue.SimpleQueue()
        self._results: queue.SimpleQueue[tuple[int, list[Done] | BackendError]] = queue.SimpleQueue()
        self._numbers = itertools.count()
        self._threads: list[threading.Thread] = []

    def give(self, stage: Stage, batch: list[StageInput]) -> None:
        """Hand over a batch; there must be room for it."""
        number = next(self._numbers)
        self.flying[number] = (batch, time.monotonic())
        if len(self._threads) < len(self.flying):
            self._threads.append(threading.Thread(target=self._live, name="merr-thread", daemon=True))
            self._threads[-1].start()
        self._tasks.put((number, stage, batch))

    def collect(self, timeout_seconds: float) -> list[Done]:
        """Results that are there by then; clips that hang among them.

        Raises:
            BackendError: a thread cannot work at all.
        """
        done: list[Done] = []
        with suppress(queue.Empty):
            number, results = self._results.get(timeout=timeout_seconds)
            while True:
                # What comes late from a thread that was left behind is dropped.
                if self.flying.pop(number, None) is not None:
                    if isinstance(results, BackendError):
                        raise results
                    done += results
                number, results = self._results.get_nowait()
        for number, (batch, begun) in list(self.flying.items()):
            limit = self._limit_for(batch)
            if time.monotonic() - begun > limit:
                self._leave_behind(number)
                reason = f"timeout: no answer after {limit:.0f} s"
                done += [Done(item.clip.clip_id, reason, limit / len(batch)) for item in batch]
        return done

    def abandon(self) -> None:
        """Forget what is being done; its threads are left behind."""
        for number in list(self.flying):
            self._leave_behind(number)

    def close(self) -> None:
        """Let idle threads end."""
        for _ in self._threads:
            self._tasks.put(None)
        self._threads.clear()

    def _leave_behind(self, number: int) -> None:
        del self.flying[number]
        self._threads.pop()  # whichever: only their number counts

    def _live(self) -> None:
        """A thread's life, until it is told to end or has been left behind."""
        while (task := self._tasks.get()) is not None:
            number, stage, batch = task
            try:
                results: list[Done] | BackendError = self._work(number, stage, batch)
            except BackendError as error:
                results = error
            if number not in self.flying:
                return
            self._results.put((number, results))

    def _work(self, number: int, stage: Stage, batch: list[StageInput]) -> list[Done]:
        return run_guarded(stage, batch)


class ProcessPool(ThreadPool):
    """Threads that each hand their batches to a worker process of their own, and watch it: it may die or hang."""

    def __init__(self, options: EngineOptions) -> None:
        super().__init__(options.workers, lambda batch: float("inf"))  # the limit is held by the thread itself
        self._limit = options.limit_for
        self._own = threading.local()  # of each thread: its worker
        self._workers: dict[int, Worker] = {}  # by the number of the batch that each one has
        self._pickled: tuple[Stage, bytes] | None = None
        self._failed_starts = 0
        self._starting = threading.Lock()  # a start changes the environment for a moment

    def give(self, stage: Stage, batch: list[StageInput]) -> None:
        """See `ThreadPool`; BackendError where the stage cannot be pickled."""
        if self._pickled is None or self._pickled[0] is not stage:
            try:
                self._pickled = (stage, pickle.dumps(stage))
            except Exception as error:
                raise BackendError(f"the stage {stage.name} cannot be sent to worker processes: {error}") from error
        super().give(stage, batch)

    def close(self) -> None:
        """End all workers."""
        threads = list(self._threads)
        self.abandon()
        super().close()
        for _ in threads:
            self._tasks.put(None)
        for thread in threads:
            thread.join(DEATH_SECONDS)

    def _leave_behind(self, number: int) -> None:
        super()._leave_behind(number)
        if (worker := self._workers.get(number)) is not None:
            worker.process.kill()

    def _live(self) -> None:
        try:
            super()._live()
        finally:
            if (worker := getattr(self._own, "worker", None)) is not None:
                worker.end(1.0)

    def _work(self, number: int, stage: Stage, batch: list[StageInput]) -> list[Done]:
        """Results of a batch; where its worker ends over it, each clip alone, to find which one does that."""
        assert self._pickled is not None
        begun, stage_bytes = time.monotonic(), self._pickled[1]
        if getattr(self._own, "worker", None) is None:
            self._own.worker = self._started()
        worker: Worker = self._own.worker
        self._workers[number] = worker
        results = worker.run(stage_bytes, batch, self._limit(batch)) if number in self.flying else "left behind"
        del self._workers[number]
        if not isinstance(results, str):
            return results
        worker.end()
        self._own.worker = None
        if len(batch) > 1:
            return [done for one in batch if number in self.flying for done in self._work(number, stage, [one])]
        return [Done(one.clip.clip_id, results, time.monotonic() - begun) for one in batch]

    def _started(self) -> Worker:
        while True:
            with self._starting:
                worker = Worker()
            if worker.is_ready():
                self._failed_starts = 0
                return worker
            self._failed_starts += 1
            how = worker.end(DEATH_SECONDS)
            if self._failed_starts >= 3:
                raise BackendError(
                    f"worker processes end before they begin ({how}); a script that builds needs "
                    "`if __name__ == '__main__':` around it, and memory for its workers"
                )


class Worker:
    """One process, that a thread gives one batch after the other."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")  # nothing of the parent's threads, locks and files goes along
        self._pipe, theirs = context.Pipe()
        self.process = context.Process(target=_work, args=(theirs,), daemon=True, name="merr-worker")
        with _quietly_started():
            self.process.start()
        theirs.close()
        self._stage: bytes | None = None

    def is_ready(self) -> bool:
        """Wait until it has begun; False where it ends before, or takes too long."""
        with suppress(EOFError, OSError):
            if self._pipe.poll(READY_SECONDS):
                self._pipe.recv()
                return True
        return False

    def run(self, stage: bytes, batch: list[StageInput], limit_seconds: float) -> list[Done] | str:
        """The results of a batch, `stage` being pickled; why there are none where it dies over it, or hangs."""
        with suppress(EOFError, OSError, pickle.UnpicklingError):
            if self._stage is not stage:
                self._pipe.send_bytes(stage)
                self._stage = stage
            self._pipe.send(batch)
            if not self._pipe.poll(limit_seconds):
                return f"timeout: not done after {limit_seconds:.0f} s, its worker was ended"
            results: list[Done] = self._pipe.recv()
            return results
        how = self.end(DEATH_SECONDS)
        memory = "; the machine may be short of memory" if how == "SIGKILL" else ""
        return f"died: its worker process ended ({how}){memory}"

    def end(self, wait_seconds: float = 0.0) -> str:
        """End it, at once or after a while in which it may end by itself; returns how it ended."""
        with suppress(OSError, ValueError):
            self._pipe.send_bytes(b"")  # an idle worker ends by this
        self.process.join(wait_seconds)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()
        self._pipe.close()
        code = self.process.exitcode or 0
        if code >= 0:
            return f"exit code {code}"
        with suppress(ValueError):
            return signal.Signals(-code).name
        return f"signal {-code}"


@contextmanager
def _quietly_started() -> Iterator[None]:
    """A process started within has one thread for arithmetic, and leaves Ctrl-C to its parent."""
    resource_tracker.ensure_running()  # else starting it would undo the mask
    before = {name: os.environ.get(name) for name in ONE_THREAD}
    os.environ.update(ONE_THREAD)
    # A mask is inherited and keeps what comes meanwhile, so that no Ctrl-C of the parent is lost.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT}) if hasattr(signal, "pthread_sigmask") else None
    try:
        yield
    finally:
        if mask is not None:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _work(pipe: Connection) -> None:
    """A worker's life: a stage, then batches of it; it ends with its parent."""
    stage: Stage | None = None
    problem = "the worker was given no stage"
    with suppress(EOFError, OSError):
        pipe.send(None)
        while data := pipe.recv_bytes():
            try:
                message = pickle.loads(data)  # noqa: S301  (from the parent process, through a pipe of our own)
            except Exception as error:  # noqa: BLE001  (a stage that cannot be read is a failure of its clips)
                stage, problem = None, unexpected(error)
                continue
            if isinstance(message, Stage):
                stage = message
                continue
            failed = [Done(item.clip.clip_id, problem, 0.0) for item in message]
            results = failed if stage is None else run_guarded(stage, message)
            try:
                answer = pickle.dumps(results)
            except Exception as error:  # noqa: BLE001  (whatever a stage has put into its output)
                answer = pickle.dumps([Done(done.clip_id, unexpected(error), done.seconds) for done in results])
            pipe.send_bytes(answer)
