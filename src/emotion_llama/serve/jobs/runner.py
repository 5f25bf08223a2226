"""Works on jobs while the server runs: takes them in order, records progress, requeues them when the server ends."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from emotion_llama.errors import EmotionLlamaError
from emotion_llama.serve.analysis import AnalyzeForm, analyze_clip
from emotion_llama.serve.errors import Busy, ChildDied, JobLost, Problem, Stopping
from emotion_llama.serve.jobs.database import Job, ResultKind
from emotion_llama.serve.jobs.store import JobStore
from emotion_llama.serve.problems import problem_of
from emotion_llama.serve.state import ServeState
from emotion_llama.serve.workers.worker import Analyzed

log = logging.getLogger(__name__)
T = TypeVar("T")

POLL_SECONDS = 2.0  # another server that shares the folder may have left a job
REPORT_SECONDS = 1.0
HOUSEKEEPING_SECONDS = 30.0
_DAY_SECONDS = 86_400.0


class JobSpec(BaseModel):
    """What a job asks for, as the store keeps it: the form, and the files in the job's folder."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    form: AnalyzeForm
    shown_name: str
    clip: str
    transcript: str | None


def spec_of(job: Job) -> JobSpec | None:
    """What a job asks for; None where another version of the server wrote it, and this one cannot read it."""
    try:
        return JobSpec.model_validate_json(job.spec)
    except ValidationError:
        return None


class JobRunner:
    """The jobs of one server.

    Args:
        state: of the server, whose pool and engine do the work.
        store: where jobs are kept; closed with the runner.
        at_once: how many are worked on at a time.
    """

    def __init__(self, state: ServeState, store: JobStore, *, at_once: int) -> None:
        self.store = store
        self._state = state
        self._at_once = at_once
        self._wake = asyncio.Event()
        self._is_closing = False
        self._loops: list[asyncio.Task[None]] = []
        self._working: dict[str, asyncio.Task[Analyzed]] = {}
        self._progress: dict[str, tuple[str, float]] = {}  # of the jobs in work: stage and share

    async def start(self) -> None:
        """Take over what servers that have ended left behind, and begin."""
        await asyncio.to_thread(self._clean_up)
        self._loops = [asyncio.create_task(self._work_for_ever()) for _ in range(self._at_once)]
        self._loops.append(asyncio.create_task(self._clean_up_for_ever()))

    async def close(self, grace_seconds: float = 10.0) -> None:
        """Begin nothing new, let what runs finish within the grace, and return the rest to the queue."""
        self._is_closing = True
        self._wake.set()
        workers, cleaners = self._loops[:-1], self._loops[-1:]
        for task in cleaners:
            task.cancel()
        if workers:
            await asyncio.wait(workers, timeout=grace_seconds)
        for task in workers:
            task.cancel()
        await asyncio.gather(*self._loops, return_exceptions=True)
        self._loops = []
        await asyncio.to_thread(self.store.close)

    def wake(self) -> None:
        """There is a new job."""
        self._wake.set()

    def stop(self, job_id: str) -> None:
        """End the work on a job now, if it is worked on here; the store already says that it is not wanted."""
        task = self._working.get(job_id)
        if task is not None:
            task.cancel()

    # --- loops

    async def _work_for_ever(self) -> None:
        while not self._is_closing and self._state.stops_at is None:
            self._wake.clear()
            job = await self._claimed()
            if job is None:
                with suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(self._wake.wait(), POLL_SECONDS)
            elif not await self._work(job):
                await asyncio.sleep(POLL_SECONDS)

    async def _claimed(self) -> Job | None:
        try:
            return await _finished(asyncio.to_thread(self.store.claim))
        except EmotionLlamaError as error:
            log.warning("%s", error)
            return None

    async def _clean_up_for_ever(self) -> None:
        while True:
            await asyncio.sleep(HOUSEKEEPING_SECONDS)
            try:
                await asyncio.to_thread(self._clean_up)
            except (EmotionLlamaError, OSError) as error:
                log.warning("%s", error)

    def _clean_up(self) -> None:
        self.store.expire(self._state.settings.job_days * _DAY_SECONDS)
        if self.store.recover():
            log.warning("jobs that another server left unfinished are queued again")

    # --- one job

    async def _work(self, job: Job) -> bool:
        """Whether it came to an end; False where it went back into the queue and something has to pass first."""
        task = asyncio.ensure_future(self._analyze(job))
        self._working[job.id] = task
        self._progress[job.id] = ("", 0.0)
        reporter = asyncio.create_task(self._report(job.id, task))
        try:
            analyzed = await task
        except asyncio.CancelledError:
            if self._is_closing:
                await self._end(asyncio.to_thread(self.store.give_back, job.id))
                return False
            await self._end(asyncio.to_thread(self.store.cancelled, job.id))
        except (Busy, Stopping):
            await self._end(asyncio.to_thread(self.store.give_back, job.id))
            return False
        except Exception as error:
            problem = problem_of(error)
            if problem.status >= 500:
                log.error("job %s failed", job.id, exc_info=error)
            await self._end(asyncio.to_thread(self.store.failed, job.id, problem.code or "failed", problem.message))
        else:
            results: dict[ResultKind, str] = {"json": analyzed.document_json, "html": analyzed.html or ""}
            await self._end(asyncio.to_thread(self.store.done, job.id, results))
        finally:
            del self._working[job.id], self._progress[job.id]
            reporter.cancel()
            await asyncio.gather(reporter, return_exceptions=True)
        return True

    async def _analyze(self, job: Job) -> Analyzed:
        spec = spec_of(job)
        if spec is None:
            raise Problem(422, "this server's version cannot read the job; submit it again", code="version")
        folder = self.store.clip_folder(job.id)

        def note(stage: str, share: float) -> None:
            self._progress[job.id] = (stage, share)

        async def analyze() -> Analyzed:
            return await analyze_clip(
                self._state,
                folder / Path(spec.clip).name,
                spec.form.model_copy(update={"format": "html"}),  # the document comes with it
                shown_name=spec.shown_name,
                transcript=None if spec.transcript is None else folder / Path(spec.transcript).name,
                as_job=True,
                progress=note,
            )

        try:
            return await analyze()
        except ChildDied as error:  # once more: the cause may not have been in the file
            log.warning("job %s: %s", job.id, error)
            return await analyze()

    async def _report(self, job_id: str, task: asyncio.Task[Analyzed]) -> None:
        """Record how far the job is, and end it where nobody wants it any more."""
        while True:
            await asyncio.sleep(REPORT_SECONDS)
            try:
                is_wanted = await asyncio.to_thread(self.store.report, job_id, *self._progress[job_id])
            except EmotionLlamaError as error:
                log.warning("%s", error)
                continue
            if not is_wanted:
                task.cancel()
                return

    async def _end(self, writing: Awaitable[None]) -> None:
        """Record how a job ended; nothing where it was deleted meanwhile."""
        try:
            await _finished(writing)
        except JobLost:
            log.info("a job was deleted while it was worked on")
        except EmotionLlamaError as error:
            log.error("%s", error)  # the row still says that it runs here: the next server takes it over


async def _finished(writing: Awaitable[T]) -> T:
    """The result of work in a thread, which cannot be cancelled: a claim or an end that is half known would be lost."""
    task = asyncio.ensure_future(writing)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        return await task
