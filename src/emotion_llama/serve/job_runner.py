"""Works on jobs while the server runs: takes them in order, says how far they are, and gives them back when it ends."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from emotion_llama.errors import EmotionLlamaError
from emotion_llama.serve.analysis import AnalyzeForm, analyze_clip
from emotion_llama.serve.busy import Busy
from emotion_llama.serve.isolation.limits import ChildDied
from emotion_llama.serve.isolation.pool import Analyzed
from emotion_llama.serve.job_records import Job, NotYours, ResultKind
from emotion_llama.serve.job_store import JobStore
from emotion_llama.serve.problems import Problem, problem_of
from emotion_llama.serve.state import ServeState

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


@dataclass
class _Progress:
    """How far a job is; written by the pool's callback, read by the reporter."""

    stage: str = ""
    share: float = 0.0


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

    async def start(self) -> None:
        """Take up what servers that have ended left behind, and begin."""
        await asyncio.to_thread(self._keep_house)
        self._loops = [asyncio.create_task(self._work_for_ever()) for _ in range(self._at_once)]
        self._loops.append(asyncio.create_task(self._keep_house_for_ever()))

    async def close(self, grace_seconds: float = 10.0) -> None:
        """Begin nothing new, let what runs finish within the grace, and give the rest back to the queue."""
        self._is_closing = True
        self._wake.set()
        *workers, keeper = self._loops or [asyncio.create_task(asyncio.sleep(0))]
        keeper.cancel()
        if workers:
            await asyncio.wait(workers, timeout=grace_seconds)
        for task in workers:
            task.cancel()
        await asyncio.gather(*workers, keeper, return_exceptions=True)
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
        while not self._is_closing:
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

    async def _keep_house_for_ever(self) -> None:
        while True:
            await asyncio.sleep(HOUSEKEEPING_SECONDS)
            try:
                await asyncio.to_thread(self._keep_house)
            except (EmotionLlamaError, OSError) as error:
                log.warning("%s", error)

    def _keep_house(self) -> None:
        self.store.expire(self._state.settings.job_days * _DAY_SECONDS)
        if self.store.recover():
            log.warning("jobs that another server left unfinished are queued again")

    # --- one job

    async def _work(self, job: Job) -> bool:
        """Whether it came to an end; False where it went back into the queue and something has to pass first."""
        progress = _Progress()
        task = asyncio.ensure_future(self._analyze(job, progress))
        self._working[job.id] = task
        reporter = asyncio.create_task(self._report(job.id, progress, task))
        try:
            analyzed = await task
        except asyncio.CancelledError:
            if self._is_closing:
                await self._end(asyncio.to_thread(self.store.give_back, job.id))
                return False
            await self._end(asyncio.to_thread(self.store.cancelled, job.id))
        except Busy:
            await self._end(asyncio.to_thread(self.store.give_back, job.id))
            return False
        except Exception as error:  # noqa: BLE001  the edge of the job: its mistake is its own, and is told to its owner
            await self._tell_failure(job, error)
        else:
            results: dict[ResultKind, str] = {"json": analyzed.document_json, "html": analyzed.html or ""}
            await self._end(asyncio.to_thread(self.store.done, job.id, results))
        finally:
            del self._working[job.id]
            reporter.cancel()
            await asyncio.gather(reporter, return_exceptions=True)
        return True

    async def _analyze(self, job: Job, progress: _Progress) -> Analyzed:
        folder = self.store.clip_folder(job.id)
        spec = spec_of(job)
        if spec is None:
            raise Problem(422, "this server's version cannot read the job; hand it in again", code="version")
        clip = _inside(folder, spec.clip)
        transcript = None if spec.transcript is None else _inside(folder, spec.transcript)

        def note(stage: str, share: float) -> None:
            progress.stage, progress.share = stage, share

        async def analyze() -> Analyzed:
            return await analyze_clip(
                self._state,
                clip,
                spec.form.model_copy(update={"format": "html"}),  # the document comes with it
                shown_name=spec.shown_name,
                transcript=transcript,
                as_job=True,
                progress=note,
            )

        try:
            return await analyze()
        except ChildDied as error:  # once more: it may have died of something that was not in the file
            log.warning("job %s: %s", job.id, error)
            return await analyze()

    async def _report(self, job_id: str, progress: _Progress, task: asyncio.Task[Analyzed]) -> None:
        """Write how far the job is, and end it where nobody wants it any more."""
        while True:
            await asyncio.sleep(REPORT_SECONDS)
            try:
                is_wanted = await asyncio.to_thread(self.store.report, job_id, progress.stage, progress.share)
            except EmotionLlamaError as error:
                log.warning("%s", error)
                continue
            if not is_wanted:
                task.cancel()
                return

    async def _tell_failure(self, job: Job, error: Exception) -> None:
        problem = problem_of(error)
        if problem.status_code >= 500:
            log.error("job %s failed", job.id, exc_info=error)
        await self._end(asyncio.to_thread(self.store.failed, job.id, problem.code or "failed", problem.message))

    async def _end(self, writing: Awaitable[None]) -> None:
        """Record how a job ended; nothing where it was deleted meanwhile."""
        try:
            await _finished(writing)
        except NotYours:
            log.info("a job was deleted while it was worked on")
        except EmotionLlamaError as error:
            # The row still says that it runs here: whoever comes after this server takes it up.
            log.error("%s", error)


async def _finished(writing: Awaitable[T]) -> T:
    """The result of work in a thread, which cannot be cancelled: a claim or an end that is half known would be lost."""
    task = asyncio.ensure_future(writing)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        return await task


def _inside(folder: Path, name: str) -> Path:
    """A file of a job's folder, by its bare name."""
    return folder / Path(name).name
