"""Worker threads for stages that wait for servers, and the one thread that holds a model."""

from __future__ import annotations

import itertools
import queue
import threading
import time
from dataclasses import dataclass, field

from emotion_llama.merr.engines import Done, EngineOptions, Failed
from emotion_llama.merr.engines.guarded import run_guarded
from emotion_llama.merr.records import StageInput
from emotion_llama.merr.stage import ClipStage


@dataclass
class _Task:
    number: int
    stage: ClipStage
    batch: list[StageInput]
    limit_seconds: float
    begun: float = field(default_factory=time.monotonic)
    is_abandoned: bool = False


class ThreadPool:
    """Up to `size` threads. A thread cannot be ended: one that hangs is left behind, and another takes its place.

    Threads are daemons, so that a server that never answers does not keep the program from ending.
    """

    def __init__(self, size: int, options: EngineOptions, *, limited: bool = True) -> None:
        self._size = size
        self._options = options
        self._limited = limited
        self._tasks: queue.SimpleQueue[_Task | None] = queue.SimpleQueue()
        self._results: queue.SimpleQueue[tuple[int, list[Done]]] = queue.SimpleQueue()
        self._flying: dict[int, _Task] = {}
        self._numbers = itertools.count()
        self._num_threads = 0

    @property
    def is_busy(self) -> bool:
        """Some work is not through."""
        return bool(self._flying)

    def room(self) -> bool:
        """Whether a batch can be handed over."""
        return len(self._flying) < self._size

    def give(self, stage: ClipStage, batch: list[StageInput]) -> None:
        """Hand a batch over."""
        limit = self._options.limit_for(batch) if self._limited else float("inf")
        task = _Task(next(self._numbers), stage, batch, limit)
        self._flying[task.number] = task
        if self._num_threads < len(self._flying):
            threading.Thread(target=self._work, name="merr-thread", daemon=True).start()
            self._num_threads += 1
        self._tasks.put(task)

    def collect(self, timeout_seconds: float) -> list[Done]:
        """Results that are there by then; clips that hang among them."""
        done: list[Done] = []
        try:
            number, results = self._results.get(timeout=timeout_seconds)
            while True:
                # What comes late from a thread that was left behind is nobody's any more.
                if self._flying.pop(number, None) is not None:
                    done += results
                number, results = self._results.get_nowait()
        except queue.Empty:
            pass
        for task in [t for t in self._flying.values() if time.monotonic() - t.begun > t.limit_seconds]:
            self._leave_behind(task)
            failed = Failed(f"timeout: no answer after {task.limit_seconds:.0f} s")
            done += [Done(item.clip.clip_id, failed, task.limit_seconds / len(task.batch)) for item in task.batch]
        return done

    def take_back(self) -> StageInput | None:
        """Nothing has to be run again here."""
        return None

    def abandon(self) -> None:
        """Forget what is being done; its threads are left behind."""
        for task in list(self._flying.values()):
            self._leave_behind(task)

    def close(self) -> None:
        """Let idle threads end."""
        for _ in range(self._num_threads):
            self._tasks.put(None)
        self._num_threads = 0

    def _leave_behind(self, task: _Task) -> None:
        task.is_abandoned = True
        del self._flying[task.number]
        self._num_threads -= 1

    def _work(self) -> None:
        while (task := self._tasks.get()) is not None:
            task.begun = time.monotonic()
            self._results.put((task.number, run_guarded(task.stage, task.batch)))
            if task.is_abandoned:
                return  # it was replaced
