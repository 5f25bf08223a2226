"""Clips measured in child processes: a hostile file costs a child and its own request, and nothing else."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import shutil
import tempfile
import time
import wave
from collections import deque
from collections.abc import Coroutine, Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emotion_llama.errors import BackendError, EmotionLlamaError, InputError
from emotion_llama.predictors.base import Sample
from emotion_llama.results import Prediction
from emotion_llama.serve.errors import Busy, Stopping
from emotion_llama.serve.workers.clip_check import GIB, ClipLimits
from emotion_llama.serve.workers.protocol import options_message
from emotion_llama.serve.workers.worker import Analyzed, Answer, Progress, Worker

if TYPE_CHECKING:
    from emotion_llama.analysis.options import Options
    from emotion_llama.predictors import Predictor

MIN_MEMORY_BYTES = 512 << 20  # a warm child has 250 MB resident
_MAX_RETRY_SECONDS = 120.0
_MAX_NAME = 120
_CHECK_SECONDS = 0.5  # between checks of idle children
_MAX_PAUSE_SECONDS = 30.0  # between attempts to start one that does not come up
_WARM_RATE_HZ, _WARM_SECONDS = 16_000, 0.5

logger = logging.getLogger("emotion_llama.serve")


class MeasuringPool:
    """Child processes, each with an Analyzer, that measure one clip at a time.

    Used from one event loop. `await start()` before, `await close()` after, or `async with`.

    A child that dies, takes too much, or whose clip is given up is replaced; the others go on. Nothing of a clip stays
    in the server but what it was asked for. What a child sends is checked, but document and page are passed on as they
    are: a page must be served so that no script in it can run (Content-Security-Policy: sandbox).

    Args:
        count: children.
        memory_bytes: resident memory of a child at most. On Linux the server checks every 50 ms and the kernel bounds
            the address space besides; elsewhere the child watches itself.
        seconds: longest work on a clip, waiting for the model not counted ...
        seconds_per_clip_second: ... and so much more for each second that the clip lasts.
        max_waiting: clips that may wait for a child; more are turned away.
        max_clips_per_child: then it is replaced, so that what a library leaks does not add up.
        niceness: of children, so that decoding yields to answering.
        folder: where the pool makes a small folder of its own, which goes when it is closed; by default where temporary
            files go.
        asr_model: folder of the Whisper model that each child loads, for options that name it.
        clips: the folder in which all clips lie: children can open nothing else of the user's. By default they can open
            all that the user can, but for other processes' entries under /proc.

    Raises:
        InputError: a number is out of range.
    """

    def __init__(
        self,
        count: int = 2,
        *,
        memory_bytes: int = 2 * GIB,
        seconds: float = 120.0,
        seconds_per_clip_second: float = 2.0,
        max_waiting: int = 16,
        max_clips_per_child: int = 200,
        niceness: int = 5,
        folder: Path | None = None,
        asr_model: Path | None = None,
        clips: Path | None = None,
    ) -> None:
        if count < 1 or max_waiting < 0 or max_clips_per_child < 1 or not seconds > 0 or seconds_per_clip_second < 0:
            raise InputError(
                f"a pool has a child or more and time to work, got {count = }, {max_waiting = }, "
                f"{max_clips_per_child = }, {seconds = }, {seconds_per_clip_second = }"
            )
        if memory_bytes < MIN_MEMORY_BYTES:
            raise InputError(f"memory_bytes is {memory_bytes}, a warm child alone takes {MIN_MEMORY_BYTES}")
        self.count, self.folder, self.clips = count, folder, clips
        self.seconds, self.seconds_per_clip_second = seconds, seconds_per_clip_second
        self._memory_bytes, self._niceness, self._asr_model = memory_bytes, niceness, asr_model
        self._max_waiting, self._max_clips = max_waiting, max_clips_per_child
        self._own_folder: Path | None = None
        self._idle: deque[Worker] = deque()
        self._acquired: set[Worker] = set()
        self._changed = asyncio.Condition()
        self._tasks: set[asyncio.Task[None]] = set()  # starts and checks, which may be cancelled
        self._ends: set[asyncio.Task[None]] = set()  # which may not
        self._is_closed = self._is_confined = False
        self._waiting = self._clips = self._replaced = 0
        self._mean_seconds = 5.0  # a clip's, moving average; before the first a guess

    async def start(self) -> None:
        """Start the children and wait until all are warm (modules imported, face mesh loaded).

        Raises:
            BackendError: a child does not come up; none is left then.
        """
        self._own_folder = Path(tempfile.mkdtemp(prefix="pool-", dir=self.folder))
        _write_warm_clip(self._own_folder / "warm.wav")
        starts = [asyncio.create_task(self._new_worker()) for _ in range(self.count)]
        try:
            await asyncio.gather(*starts)
        except BaseException:
            for start in starts:
                start.cancel()
            for end in await asyncio.gather(*starts, return_exceptions=True):
                if isinstance(end, Worker):
                    await end.end()
            shutil.rmtree(self._own_folder, ignore_errors=True)
            raise
        self._idle.extend(start.result() for start in starts)
        self._is_confined = all(worker.is_confined for worker in self._idle)
        if not self._is_confined:
            logger.warning("this kernel does not confine the processes that decode uploads: use a container")
        self._spawn(self._check_idle(), self._tasks)

    async def close(self, grace_seconds: float = 10.0) -> None:
        """Take no more clips, let those that are worked on finish within `grace_seconds`, end all children."""
        if self._is_closed or self._own_folder is None:
            return
        self._is_closed = True
        await self._notify()
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._all_released(), grace_seconds)
        for worker in self._acquired:
            worker.kill(Stopping())
        await self._all_released()  # each by the call that has it, as soon as it notices the end
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*self._ends, *(worker.end() for worker in self._idle))
        self._idle.clear()
        shutil.rmtree(self._own_folder, ignore_errors=True)

    async def __aenter__(self) -> MeasuringPool:
        await self.start()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close(0.0)

    @property
    def counts(self) -> dict[str, int]:
        """Children (all, alive and warm, at work), clips (that wait, that were taken), children that were replaced.

        `confined` is 1 where the kernel limits what children read (Landlock) and which calls they make (seccomp).
        """
        working = len(self._acquired)
        return {
            "children": self.count,
            "ready": working + sum(worker.process.is_alive for worker in self._idle),
            "working": working,
            "waiting": self._waiting,
            "confined": int(self._is_confined),
            "replaced": self._replaced,
            "clips": self._clips,
        }

    async def analyze(
        self,
        path: Path,
        options: Options,
        *,
        shown_name: str = "",
        model: Predictor | None = None,
        answer: Answer | None = None,
        progress: Progress | None = None,
        html: bool = False,
        curves: bool = True,
        limits: ClipLimits | None = None,
    ) -> Analyzed:
        """Analyse one clip in a child.

        Args:
            path: the clip, a file of the server's own; its folder holds nothing that is not of this request.
            options: as `emotion-llama analyze`'s.
            shown_name: what document, page and messages call the clip; "" is the path's own name.
            model: the predictor that `answer` asks; None is the rules, which work in the child.
            answer: returns the model's prediction for one person in one segment. What it raises comes out of this
                call.
            progress: called with the stages "words", "voice", "faces", "reading", "report" and the share done 0..1.
            html: make the page as well.
            curves: the document holds frame-by-frame values.
            limits: what the clip may be.

        Raises:
            ClipRefused: the clip or an option cannot be worked on, or takes too long or too much memory.
            ChildDied: the child ended unasked.
            Busy: too many clips are waiting.
            Stopping: the pool was closed meanwhile.
            BackendError: the pool is not started, or the child failed in a way that says nothing of the clip.
            asyncio.CancelledError: the call was cancelled; the child's work has ended with it.
        """
        about = None
        if model is not None:
            about = {"name": model.name, "frame_policy": model.frame_policy, "settings": dict(model.settings)}
        limits = limits or ClipLimits()
        # So much that the wall clock ends the work first, unless the server itself hangs.
        longest = self.seconds + self.seconds_per_clip_second * limits.max_duration_seconds
        request = {
            "type": "analyze",
            "path": str(path.absolute()),
            "shown_name": name_to_show(shown_name or path.name),
            "options": options_message(options),
            "model": about,
            "html": html,
            "curves": curves,
            "limits": asdict(limits),
            "cpu_seconds": longest * (os.cpu_count() or 1),
        }
        return await self._run(request, answer, progress or (lambda stage, share: None))

    async def measure(
        self, path: Path, options: Options, *, model: Predictor, shown_name: str = "", limits: ClipLimits | None = None
    ) -> tuple[list[tuple[int, float, float, Sample]], str]:
        """What `model` would be shown of each part of a clip, and the document, whose predictions are still empty.

        For questions later; a part is person id, start and end in seconds. Otherwise as `analyze`.
        """
        kept: list[Sample] = []

        async def keep(sample: Sample) -> Prediction:
            kept.append(sample)
            return Prediction(None, None, "", "", "measured", problem="nothing was asked yet")

        analyzed = await self.analyze(
            path, options, shown_name=shown_name, model=model, answer=keep, curves=False, limits=limits
        )
        return [(*part, sample) for part, sample in zip(analyzed.parts, kept, strict=True)], analyzed.document_json

    async def _run(self, request: Mapping[str, Any], answer: Answer | None, progress: Progress) -> Analyzed:
        if self._own_folder is None:
            raise BackendError("the measuring pool is not started")
        if self._waiting >= self._max_waiting and not self._idle:
            seconds = self._mean_seconds * (self._waiting + 1) / self.count
            raise Busy("clips", self._waiting, min(max(seconds, 1.0), _MAX_RETRY_SECONDS))
        self._waiting += 1
        try:
            worker = await self._acquire()
        finally:
            self._waiting -= 1
        began = time.monotonic()
        try:
            return await worker.run(request, answer, progress, self.seconds, self.seconds_per_clip_second)
        finally:
            self._clips += 1
            self._mean_seconds += 0.2 * (time.monotonic() - began - self._mean_seconds)
            self._release(worker)

    # --- children ---------------------------------------------------------------------------------------------------

    async def _acquire(self) -> Worker:
        """A child that is alive, once one is free; first come, first served."""
        async with self._changed:
            while True:
                if self._is_closed:
                    raise Stopping
                while self._idle:
                    worker = self._idle.popleft()
                    if worker.process.is_alive:
                        self._acquired.add(worker)
                        return worker
                    self._replace(worker)
                await self._changed.wait()

    def _release(self, worker: Worker) -> None:
        """Take a child back; one that is not fit for another clip is replaced."""
        self._acquired.discard(worker)
        if worker.is_fit and worker.clips < self._max_clips and worker.process.is_alive and not self._is_closed:
            self._idle.append(worker)
        else:
            self._replace(worker)
        self._spawn(self._notify(), self._tasks)

    async def _all_released(self) -> None:
        async with self._changed:
            await self._changed.wait_for(lambda: not self._acquired)

    def _new_worker(self) -> Coroutine[Any, Any, Worker]:
        assert self._own_folder is not None
        return Worker.start(self._own_folder, self._memory_bytes, self._niceness, self._asr_model, self.clips)

    def _replace(self, worker: Worker) -> None:
        worker.kill()  # now, not when the task comes to run
        self._spawn(worker.end(), self._ends)
        if not self._is_closed:
            self._replaced += 1
            self._spawn(self._start_another(), self._tasks)

    async def _start_another(self) -> None:
        """A new child, however long that takes, unless the pool is closed meanwhile."""
        pause = 1.0
        while not self._is_closed:
            try:
                self._idle.append(await self._new_worker())
            except (EmotionLlamaError, OSError) as error:  # noqa: PERF203  a loop of seconds
                logger.error("%s; the next attempt is in %.0f s", error, pause)
                await asyncio.sleep(pause)
                pause = min(2 * pause, _MAX_PAUSE_SECONDS)
            else:
                await self._notify()
                return

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


def _write_warm_clip(path: Path) -> None:
    """Half a second of silence: enough to load what decodes and measures sound."""
    with wave.open(str(path), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(_WARM_RATE_HZ)
        out.writeframes(bytes(2 * round(_WARM_RATE_HZ * _WARM_SECONDS)))


def name_to_show(name: str) -> str:
    """A client's name for a file as harmless text: no folders, no control characters, of bearable length."""
    last = re.split(r"[/\\]", name)[-1]
    plain = "".join(letter if letter.isprintable() else "_" for letter in last).strip(" .")
    stem, dot, suffix = plain.rpartition(".")
    if len(plain) > _MAX_NAME:
        plain = f"{stem[:_MAX_NAME]}{dot}{suffix[:10]}" if stem else plain[:_MAX_NAME]
    return plain or "clip"
