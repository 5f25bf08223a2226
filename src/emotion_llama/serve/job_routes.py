"""/v1/jobs: recordings that take long; handed in, asked after, cancelled, their results kept for days."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path as FilePath
from typing import Annotated, Literal, TypeVar

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from emotion_llama.schema import AnalysisDocument
from emotion_llama.serve.analysis import FIELDS, AnalyzeForm, parse_form
from emotion_llama.serve.analyze_routes import PAGE_EXAMPLE, PAGE_POLICY, multipart_body
from emotion_llama.serve.auth import Caller
from emotion_llama.serve.job_records import Job, JobStatus, NoSuchJob
from emotion_llama.serve.job_runner import JobRunner, JobSpec, spec_of
from emotion_llama.serve.problems import Problem, error_responses
from emotion_llama.serve.state import ServeState, State
from emotion_llama.serve.uploads import Upload, receive_upload

router = APIRouter(tags=["jobs"])
T = TypeVar("T")

JobId = Annotated[str, Path(pattern="^job-[0-9a-f]{32}$", examples=["job-" + "0" * 32])]
_ASKED = (401, 404, 421, 422, 429, 503)


class JobError(BaseModel):
    """Why a job failed."""

    model_config = ConfigDict(extra="forbid")

    message: str
    code: str


class JobObject(BaseModel):
    """A job; times in seconds since 1970, UTC."""

    model_config = ConfigDict(extra="forbid")

    id: str
    object: Literal["job"] = "job"
    status: JobStatus
    stage: str | None = Field(description="what it is at: words, voice, faces, reading, report")
    share: float = Field(ge=0, le=1, description="how much of the stage is done")
    waiting_before: int | None = Field(description="jobs that come first, while it is queued")
    created_at: float
    started_at: float | None
    finished_at: float | None
    attempts: int = Field(description="more than 1 where a server was ended in the middle")
    filename: str
    request: AnalyzeForm | None = Field(description="null where another version of the server took it in")
    error: JobError | None


class JobList(BaseModel):
    """The caller's jobs, the newest first."""

    model_config = ConfigDict(extra="forbid")

    object: Literal["list"] = "list"
    data: list[JobObject]
    has_more: bool


class JobDeleted(BaseModel):
    """The job is gone, with its clip and its result."""

    model_config = ConfigDict(extra="forbid")

    id: str
    object: Literal["job"] = "job"
    deleted: Literal[True] = True


@router.post(
    "/v1/jobs",
    summary="Hand in a long recording",
    operation_id="create_job",
    status_code=202,
    openapi_extra=multipart_body(),
    responses={
        202: {"headers": {"Location": {"description": "the job", "schema": {"type": "string"}}}},
        **error_responses(400, 401, 403, 404, 408, 413, 415, 421, 422, 429, 500, 503),
    },
)
async def create(request: Request, response: Response, state: State, caller: Caller) -> JobObject:
    """As /v1/analyze, for recordings of hours: the answer is a job, which outlives the server's restarts."""
    runner = runner_of(state)
    async with receive_upload(request, state, fields=FIELDS) as upload:
        form = parse_form(upload.fields)
        form = form.model_copy(update={"model": state.model_name(form.model)})
        job = await asyncio.to_thread(_hand_in, runner, caller.owner, upload, form)
    runner.wake()
    response.headers["Location"] = f"/v1/jobs/{job.id}"
    return await _shown(runner, job)


def _hand_in(runner: JobRunner, owner: str, upload: Upload, form: AnalyzeForm) -> Job:
    folder = runner.store.new_folder()
    clip, words = upload.files["file"], upload.files.get("transcript")
    try:
        for file in upload.files.values():
            _move(file.path, folder)
        spec = JobSpec(
            form=form,
            shown_name=clip.name,
            clip=clip.path.name,
            transcript=None if words is None else words.path.name,
        )
    except OSError as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise Problem(503, "the server has no room for the file; try again later", code="no_room") from error
    return runner.store.add(owner, spec.model_dump_json(), folder)


def _move(path: FilePath, folder: FilePath) -> None:
    shutil.move(path, folder / path.name)


@router.get("/v1/jobs", summary="My jobs", operation_id="jobs", responses=error_responses(*_ASKED))
async def jobs(
    state: State,
    caller: Caller,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    after: Annotated[str | None, Query(max_length=64, description="the list goes on after this job")] = None,
) -> JobList:
    """The caller's jobs."""
    runner = runner_of(state)
    found = await _asked(lambda: runner.store.of_owner(caller.owner, limit=limit + 1, after=after))
    return JobList(data=[await _shown(runner, job) for job in found[:limit]], has_more=len(found) > limit)


@router.get("/v1/jobs/{job_id}", summary="One job", operation_id="job", responses=error_responses(*_ASKED))
async def job(job_id: JobId, state: State, caller: Caller) -> JobObject:
    """How far a job is."""
    runner = runner_of(state)
    return await _shown(runner, await _asked(lambda: runner.store.get(caller.owner, job_id)))


@router.get(
    "/v1/jobs/{job_id}/result",
    summary="A job's result",
    operation_id="job_result",
    response_class=Response,
    responses={
        200: {
            "description": "the analysis, as /v1/analyze gives it",
            "model": AnalysisDocument,
            "content": {"text/html": {"schema": {"type": "string"}, "example": PAGE_EXAMPLE}},
        },
        **error_responses(401, 404, 409, 421, 422, 429, 503),
    },
)
async def result(
    job_id: JobId,
    state: State,
    caller: Caller,
    format: Annotated[Literal["json", "html"] | None, Query(description="as asked for if not given")] = None,  # noqa: A002  the API's word
) -> Response:
    """The document or the page; 409 until the job is done, and for one that failed or was cancelled."""
    store = runner_of(state).store
    found = await _asked(lambda: store.get(caller.owner, job_id))
    if found.status != "done":
        raise _no_result(found)
    spec = spec_of(found)
    kind = format or ("json" if spec is None else spec.form.format)
    data = await _asked(lambda: store.result(caller.owner, job_id, kind))
    assert data is not None  # written with the status
    if kind == "json":
        return Response(data, media_type="application/json")
    return Response(data, media_type="text/html; charset=utf-8", headers={"Content-Security-Policy": PAGE_POLICY})


def _no_result(job: Job) -> Problem:
    if job.status == "failed":
        return Problem(409, f"the job failed: {job.error_message}", code=job.error_code, param="job_id")
    if job.status == "cancelled":
        return Problem(409, "the job was cancelled", code="cancelled", param="job_id")
    return Problem(
        409, f"the job is {job.status}; ask again later", code="not_finished", param="job_id",
        headers={"Retry-After": "2"},
    )  # fmt: skip


@router.post(
    "/v1/jobs/{job_id}/cancel", summary="Cancel a job", operation_id="cancel_job",
    responses=error_responses(403, *_ASKED),
)  # fmt: skip
async def cancel(job_id: JobId, state: State, caller: Caller) -> JobObject:
    """End a job; one that is worked on ends within a moment. A finished one stays as it is."""
    runner = runner_of(state)
    found = await _asked(lambda: runner.store.cancel(caller.owner, job_id))
    runner.stop(job_id)
    return await _shown(runner, found)


@router.delete(
    "/v1/jobs/{job_id}", summary="Delete a job", operation_id="delete_job", responses=error_responses(403, *_ASKED)
)
async def delete(job_id: JobId, state: State, caller: Caller) -> JobDeleted:
    """Take a job away with its clip and its result, whatever it is at."""
    runner = runner_of(state)
    await _asked(lambda: runner.store.delete(caller.owner, job_id))
    runner.stop(job_id)
    return JobDeleted(id=job_id)


def runner_of(state: ServeState) -> JobRunner:
    """The server's jobs.

    Raises:
        Problem: 503, it takes none.
    """
    if state.jobs is None:
        raise Problem(503, "this server takes no jobs", code="no_jobs")
    runner: JobRunner = state.jobs
    return runner


async def _asked(call: Callable[[], T]) -> T:
    """What the store answers; Problem 404 where there is no such job."""
    try:
        return await asyncio.to_thread(call)
    except NoSuchJob as error:
        raise Problem(404, str(error), code="job_not_found", param="job_id") from error


async def _shown(runner: JobRunner, job: Job) -> JobObject:
    waiting = await asyncio.to_thread(runner.store.waiting_before, job.id) if job.status == "queued" else None
    spec = spec_of(job)
    error = None if job.error_message is None else JobError(message=job.error_message, code=job.error_code or "failed")
    return JobObject(
        id=job.id,
        status=job.status,
        stage=job.stage or None,
        share=job.share,
        waiting_before=waiting,
        created_at=job.created_at,
        started_at=job.started_at,
        finished_at=job.finished_at,
        attempts=job.attempts,
        filename="" if spec is None else spec.shown_name,
        request=None if spec is None else spec.form,
        error=error,
    )
