"""Where a stage's work is done on this machine: worker processes, threads for servers, one thread for a model.

An engine is given clips as it asks for them and gives results back as they come, in any order. It never writes to the
store, and nothing that happens to one clip (an error, a fault of the program, a dead or hanging worker) costs another:
each worker process holds one batch at a time, so that it is known which clip a dead or hanging one held.
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
from multiprocessing import connection, resource_tracker
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
        self._processes = ProcessPool(options)
        self._threads = ThreadPool(options.in_flight, options.limit_for)
        # Loading a model and answering a batch may take any time: this thread has no limit.
        self._main = ThreadPool(1, lambda batch: float("inf"))

    def run(self, stage: Stage, items: Iterator[StageInput]) -> Generator[list[Done], None, None]:
        """What became of each of `items`, as it is there; an empty list now and then, so that the caller can act.

        `items` is asked for the next clip only when there is room for it. Leaving the iteration ends what is being
        done without waiting for it.
        """
        if stage.pool == "inline":
            return _inline(stage, items)
        if stage.pool == "process":
            return _through(self._processes, stage, items)
        return _through(self._threads if stage.pool == "thread" else self._main, stage, items)

    def __enter__(self) -> LocalEngine:
        return self

    def __exit__(self, *exc: object) -> None:
        for pool in (self._processes, self._threads, self._main):
            pool.close()


def _inline(stage: Stage, items: Iterator[StageInput]) -> Generator[list[Done], None, None]:
    size = max(1, stage.batch_size)
    while block := list(islice(items, max(size, INLINE_CLIPS))):
        yield [done for at in range(0, len(block), size) for done in run_guarded(stage, block[at : at + size])]


def _through(
    pool: ProcessPool | ThreadPool, stage: Stage, items: Iterator[StageInput]
) -> Generator[list[Done], None, None]:
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


class ThreadPool:
    """Up to `size` threads. A thread cannot be ended: one that hangs is left behind, and another takes its place.

    Threads are daemons, so that a server that never answers does not keep the program from ending.
    """

    def __init__(self, size: int, limit_for: Callable[[list[StageInput]], float]) -> None:
        self._size = size
        self._limit_for = limit_for
        self._tasks: queue.SimpleQueue[tuple[int, Stage, list[StageInput]] | None] = queue.SimpleQueue()
        self._results: queue.SimpleQueue[tuple[int, list[Done]]] = queue.SimpleQueue()
        self._flying: dict[int, tuple[list[StageInput], float]] = {}  # number -> batch, when it was begun
        self._numbers = itertools.count()
        self._num_threads = 0

    @property
    def is_busy(self) -> bool:
        """Some work is not through."""
        return bool(self._flying)

    def room(self) -> bool:
        """Whether a batch can be handed over."""
        return len(self._flying) < self._size

    def give(self, stage: Stage, batch: list[StageInput]) -> None:
        """Hand a batch over."""
        number = next(self._numbers)
        self._flying[number] = (batch, time.monotonic())
        if self._num_threads < len(self._flying):
            threading.Thread(target=self._work, name="merr-thread", daemon=True).start()
            self._num_threads += 1
        self._tasks.put((number, stage, batch))

    def collect(self, timeout_seconds: float) -> list[Done]:
        """Results that are there by then; clips that hang among them."""
        done: list[Done] = []
        with suppress(queue.Empty):
            number, results = self._results.get(timeout=timeout_seconds)
            while True:
                # What comes late from a thread that was left behind is dropped.
                if self._flying.pop(number, None) is not None:
                    done += results
                number, results = self._results.get_nowait()
        for number, (batch, begun) in list(self._flying.items()):
            limit = self._limit_for(batch)
            if time.monotonic() - begun > limit:
                self._leave_behind(number)
                reason = f"timeout: no answer after {limit:.0f} s"
                done += [Done(item.clip.clip_id, reason, limit / len(batch)) for item in batch]
        return done

    def take_back(self) -> None:
        """Nothing has to be run again here."""

    def abandon(self) -> None:
        """Forget what is being done; its threads are left behind."""
        for number in list(self._flying):
            self._leave_behind(number)

    def close(self) -> None:
        """Let idle threads end."""
        for _ in range(self._num_threads):
            self._tasks.put(None)
        self._num_threads = 0

    def _leave_behind(self, number: int) -> None:
        del self._flying[number]
        self._num_threads -= 1

    def _work(self) -> None:
        while (task := self._tasks.get()) is not None:
            number, stage, batch = task
            results = run_guarded(stage, batch)
            if number not in self._flying:
                return  # it was left behind, and another thread has its place
            self._results.put((number, results))


class Worker:
    """One process, and what it is doing."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")  # nothing of the parent's threads, locks and files goes along
        self.pipe, theirs = context.Pipe()
        self._process = context.Process(target=_work, args=(theirs,), daemon=True, name="merr-worker")
        with _quietly_started():
            self._process.start()
        theirs.close()
        self.is_ready = False
        self._stage: bytes | None = None
        self.batch: list[StageInput] = []
        self.begun = time.monotonic()
        self.deadline = self.begun + READY_SECONDS

    def give(self, stage: bytes, batch: list[StageInput], limit_seconds: float) -> None:
        """Hand over a batch; `stage` is pickled."""
        with suppress(OSError):  # it died meanwhile: `receive` finds that out
            if self._stage is not stage:
                self.pipe.send_bytes(stage)
                self._stage = stage
            self.pipe.send(batch)
        self.batch, self.begun = batch, time.monotonic()
        self.deadline = self.begun + limit_seconds

    def receive(self) -> list[Done] | None:
        """What it has sent: results, or nothing when it has just said that it is ready; None when it died."""
        try:
            message = self.pipe.recv()
        except (EOFError, OSError, pickle.UnpicklingError):
            return None
        self.deadline = float("inf")
        if not self.is_ready:
            self.is_ready = True
            return []
        self.batch = []
        results: list[Done] = message
        return results

    def end(self, wait_seconds: float = 0.0) -> str:
        """End it, at once or after a while in which it may end by itself; returns how it ended."""
        self._process.join(wait_seconds)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()
        self.pipe.close()
        code = self._process.exitcode or 0
        if code >= 0:
            return f"exit code {code}"
        with suppress(ValueError):
            return signal.Signals(-code).name
        return f"signal {-code}"


class ProcessPool:
    """Up to `options.workers` processes, started when they are needed and replaced when they die."""

    def __init__(self, options: EngineOptions) -> None:
        self._options = options
        self._workers: list[Worker] = []
        self._again: list[StageInput] = []  # of batches that ended a worker: each clip alone, to find which one does
        self._failed_starts = 0
        self._stage: tuple[Stage, bytes] | None = None

    @property
    def is_busy(self) -> bool:
        """Some work is not through."""
        return bool(self._again) or any(worker.batch for worker in self._workers)

    def room(self) -> bool:
        """Whether a batch can be handed over; starts the workers at the first call."""
        while len(self._workers) < self._options.workers:
            self._workers.append(Worker())
        return any(worker.is_ready and not worker.batch for worker in self._workers)

    def give(self, stage: Stage, batch: list[StageInput]) -> None:
        """Hand a batch to a worker that has nothing to do.

        Raises:
            BackendError: the stage cannot be pickled.
        """
        if self._stage is None or self._stage[0] is not stage:
            try:
                self._stage = (stage, pickle.dumps(stage))
            except Exception as error:
                raise BackendError(f"the stage {stage.name} cannot be sent to worker processes: {error}") from error
        worker = next(worker for worker in self._workers if worker.is_ready and not worker.batch)
        worker.give(self._stage[1], batch, self._options.limit_for(batch))

    def collect(self, timeout_seconds: float) -> list[Done]:
        """Results that are there by then; the clips of workers that died or hang among them.

        Raises:
            BackendError: no worker process comes up.
        """
        waiting = [worker for worker in self._workers if worker.batch or not worker.is_ready]
        ready = set(connection.wait([worker.pipe for worker in waiting], timeout_seconds)) if waiting else set()
        done: list[Done] = []
        for worker in waiting:
            if worker.pipe in ready:
                received = worker.receive()
                done += self._bury(worker, None) if received is None else received
            elif time.monotonic() > worker.deadline:
                done += self._bury(worker, self._options.limit_for(worker.batch))
        if any(worker.is_ready for worker in self._workers):
            self._failed_starts = 0
        return done

    def take_back(self) -> StageInput | None:
        """A clip that has to be run again, alone."""
        return self._again.pop() if self._again else None

    def abandon(self) -> None:
        """End what is being done, without waiting."""
        self._again.clear()
        for worker in [worker for worker in self._workers if worker.batch]:
            self._workers.remove(worker)
            worker.end()

    def close(self) -> None:
        """End all workers."""
        self._again.clear()
        while self._workers:
            worker = self._workers.pop()
            idle = worker.is_ready and not worker.batch
            with suppress(OSError):
                worker.pipe.send_bytes(b"")
            worker.end(1.0 if idle else 0.0)

    def _bury(self, worker: Worker, limit_seconds: float | None) -> list[Done]:
        seconds, batch = time.monotonic() - worker.begun, worker.batch
        how = worker.end(0.0 if limit_seconds else DEATH_SECONDS)
        self._workers.remove(worker)
        if not worker.is_ready:
            self._failed_starts += 1
            if self._failed_starts >= 3:
                raise BackendError(
                    f"worker processes end before they begin ({how}); a script that builds needs "
                    "`if __name__ == '__main__':` around it, and memory for its workers"
                )
            return []
        if len(batch) > 1:
            self._again += reversed(batch)
            return []
        if limit_seconds is not None:
            reason = f"timeout: not done after {limit_seconds:.0f} s, its worker was ended"
        else:
            reason = f"died: its worker process ended ({how})"
            reason += "; the machine may be short of memory" if how == "SIGKILL" else ""
        return [Done(item.clip.clip_id, reason, seconds) for item in batch]


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
