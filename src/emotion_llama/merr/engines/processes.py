"""Worker processes, each holding one batch at a time, so that it is known which clip a dead or hanging one held."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing import connection, resource_tracker
from typing import TYPE_CHECKING

from emotion_llama.errors import BackendError
from emotion_llama.merr.engines import Done, EngineOptions, Failed
from emotion_llama.merr.records import StageInput
from emotion_llama.merr.stage import ClipStage

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

# One thread a process: workers are as many as there are cores, and small arrays only get slower with more.
ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OPENCV_FOR_THREADS_NUM"), "1"
)
READY_SECONDS = 120.0  # a new worker has said that it is there; a loaded machine is slow to start one
DEATH_SECONDS = 5.0  # between the end of a process's pipe and its own, at most


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
        self._begun = time.monotonic()
        self.deadline = self._begun + READY_SECONDS

    def give(self, stage: bytes, batch: list[StageInput], limit_seconds: float) -> None:
        """Hand over a batch; `stage` is pickled."""
        with suppress(OSError):  # it died meanwhile: what it held is told by `receive`
            if self._stage is not stage:
                self.pipe.send_bytes(stage)
                self._stage = stage
            self.pipe.send(batch)
        self.batch, self._begun = batch, time.monotonic()
        self.deadline = self._begun + limit_seconds

    def receive(self) -> list[Done] | None:
        """What it has sent: results, or nothing when it has just said that it is ready; None when it died."""
        try:
            message = self.pipe.recv()
        except (EOFError, OSError, pickle.UnpicklingError):
            return None
        if not self.is_ready:
            self.is_ready, self.deadline = True, float("inf")
            return []
        self.batch, self.deadline = [], float("inf")
        results: list[Done] = message
        return results

    @property
    def seconds(self) -> float:
        """Time since it was given its batch."""
        return time.monotonic() - self._begun

    def end(self, wait_seconds: float = 0.0) -> str:
        """End it, at once or after a while in which it may end by itself; returns how it ended, in words."""
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
        self._stage: tuple[ClipStage, bytes] | None = None

    @property
    def is_busy(self) -> bool:
        """Some work is not through."""
        return bool(self._again) or any(worker.batch for worker in self._workers)

    def room(self) -> bool:
        """Whether a batch can be handed over; starts the workers at the first call."""
        while len(self._workers) < self._options.workers:
            self._workers.append(Worker())
        return any(worker.is_ready and not worker.batch for worker in self._workers)

    def give(self, stage: ClipStage, batch: list[StageInput]) -> None:
        """Hand a batch to a worker that has nothing to do.

        Raises:
            BackendError: the stage cannot be pickled.
        """
        worker = next(worker for worker in self._workers if worker.is_ready and not worker.batch)
        worker.give(self._pickled(stage), batch, self._options.limit_for(batch))

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

    def _pickled(self, stage: ClipStage) -> bytes:
        if self._stage is None or self._stage[0] is not stage:
            try:
                self._stage = (stage, pickle.dumps(stage))
            except Exception as error:
                raise BackendError(f"the stage {stage.name} cannot be sent to worker processes: {error}") from error
        return self._stage[1]

    def _bury(self, worker: Worker, limit_seconds: float | None) -> list[Done]:
        seconds, batch = worker.seconds, worker.batch
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
            reason = f"died: its worker process ended ({how})" + (
                "; the machine may be short of memory" if how == "SIGKILL" else ""
            )
        return [Done(item.clip.clip_id, Failed(reason), seconds) for item in batch]


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
    from emotion_llama.merr.engines.guarded import run_guarded, unexpected

    stage: ClipStage | None = None
    problem = Failed("the worker was given no stage")
    with suppress(EOFError, OSError):
        pipe.send(None)
        while data := pipe.recv_bytes():
            try:
                message = pickle.loads(data)  # noqa: S301  (from the parent process, through a pipe of our own)
            except Exception as error:  # noqa: BLE001  (a stage that cannot be read is a failure of its clips)
                stage, problem = None, unexpected(error)
                continue
            if not isinstance(message, list):
                stage = message
                continue
            failed = [Done(item.clip.clip_id, problem, 0.0) for item in message]
            _send(pipe, failed if stage is None else run_guarded(stage, message))


def _send(pipe: Connection, results: list[Done]) -> None:
    from emotion_llama.merr.engines.guarded import unexpected

    try:
        data = pickle.dumps(results)
    except Exception as error:  # noqa: BLE001  (whatever a stage has put into its output)
        data = pickle.dumps([Done(done.clip_id, unexpected(error), done.seconds) for done in results])
    pipe.send_bytes(data)
