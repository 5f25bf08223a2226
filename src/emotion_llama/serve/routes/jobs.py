"""/v1/jobs: long recordings, submitted and asked after; their results are kept for days."""

from __future__ import annotations

import asyncio
import shutil
from contextlib import AsyncExitStack
from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import Field

from emotion_llama.schema import AnalysisDocument
from emotion_llama.serve.analysis import AnalyzeForm
from emotion_llama.serve.auth import Owner
from emotion_llama.serve.errors import Problem, no_room
from emotion_llama.serve.jobs.database import Job, JobStatus
from emotion_llama.serve.jobs.runner import JobRunner, JobSpec, spec_of
from emotion_llama.serve.problems import Schema, error_responses
from emotion_llama.serve.routes.analyze import PAGE_EXAMPLE, PAGE_POLICY, multipart_body, receive_clip
from emotion_llama.serve.state import State
from emotion_llama.serve.uploads import ReceivedFile

router = APIRouter(tags=["jobs"])

JobId = Annotated[str, Path(pattern="^job-[0-9a-f]{32}$", examples=["job-" + "0" * 32])]
_ERRORS = (401, 404, 421, 422, 429, 503)


class JobError(Schema):
    """Why a job failed."""

    message: str
    code: str


class JobObject(Schema):
    """A job; times in seconds since 1970, UTC."""

    id: str
    object: Literal["job"] = "job"
    status: JobStatus
    stage: str | None = Field(description="the current stage: words, voice, faces, reading, report")
    share: float = Field(ge=0, le=1, description="how much of the stage is done")
    waiting_before: int | None = Field(description="jobs that come first, while it is queued")
    created_at: float
    started_at: float | None
    finished_at: float | None
    attempts: int = Field(description="more than 1 where a server was ended in the middle")
    filename: str
    request: AnalyzeForm | None = Field(description="null where another version of the server took it in")
    error: JobError | None


class JobList(Schema):
    """The caller's jobs, the newest first."""

    object: Literal["list"] = "list"
    data: list[JobObject]
    has_more: bool


class JobDeleted(Schema):
    """The job is gone, with its clip and its result."""

    id: str
    object: Literal["job"] = "job"
    deleted: Literal[True] = True


@router.post(
    "/v1/jobs",
    summary="Submit a long recording",
    operation_id="create_job",
    status_code=202,
    openapi_extra=multipart_body(),
    responses={
        202: {"headers": {"Location": {"description": "the job", "schema": {"type": "string"}}}},
        **error_responses(400, 401, 403, 404, 408, 413, 415, 421, 422, 429, 500, 503),
    },
)
async def create(request: Request, response: Response, state: State, owner: Owner) -> JobObject:
    """As /v1/analyze, for recordings of hours: the answer is a job, which outlives the server's restarts."""
    runner: JobRunner = state.jobs
    async with AsyncExitStack() as stack:
        asked = await receive_clip(request, state, owner, stack)
        form = asked.form.model_copy(update={"model": state.model_name(asked.form.model)})
        job = await asyncio.to_thread(_submit, runner, owner, asked.files, form)
    runner.wake()
    response.headers["Location"] = f"/v1/jobs/{job.id}"
    return await _shown(runner, job)


def _submit(runner: JobRunner, owner: str, files: dict[str, ReceivedFile], form: AnalyzeForm) -> Job:
    folder = runner.store.new_folder()
    clip, transcript = files["file"], files.get("transcript")
    try:
        for file in files.values():
            shutil.move(file.path, folder / file.path.name)
    except OSError as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise no_room() from error
    spec = JobSpec(
        form=form,
        shown_name=clip.name,
        clip=clip.path.name,
        transcript=None if transcript is None else transcript.path.name,
    )
    return runner.store.add(owner, spec.model_dump_json(), folder)


@router.get("/v1/jobs", summary="My jobs", operation_id="jobs", responses=error_responses(*_ERRORS))
async def jobs(
    state: State,
    owner: Owner,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    after: Annotated[str | None, Query(max_length=64, description="the list goes on after this job")] = None,
) -> JobList:
    """The caller's jobs."""
    found = await asyncio.to_thread(state.jobs.store.of_owner, owner, limit=limit + 1, after=after)
    return JobList(data=[await _shown(state.jobs, job) for job in found[:limit]], has_more=len(found) > limit)


@router.get("/v1/jobs/{job_id}", summary="One job", operation_id="job", responses=error_responses(*_ERRORS))
async def job(job_id: JobId, state: State, owner: Owner) -> JobObject:
    """How far a job is."""
    return await _shown(state.jobs, await asyncio.to_thread(state.jobs.store.get, owner, job_id))


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
    owner: Owner,
    format: Annotated[Literal["json", "html"] | None, Query(description="as asked for if not given")] = None,  # noqa: A002  the API's word
) -> Response:
    """The document or the page; 409 until the job is done, and for one that failed or was cancelled."""
    store = state.jobs.store
    found = await asyncio.to_thread(store.get, owner, job_id)
    if found.status != "done":
        raise _no_result(found)
    spec = spec_of(found)
    kind = format or ("json" if spec is None else spec.form.format)
    data = await asyncio.to_thread(store.result, owner, job_id, kind)
    if kind == "json":
        return Response(data, media_type="application/json")
    return Response(data, media_type="text/html; charset=utf-8", headers={"Content-Security-Policy": PAGE_POLICY})


def _no_result(job: Job) -> Problem:
    if job.status == "failed":
        return Problem(409, f"the job failed: {job.error_message}", code=job.error_code, param="job_id")
    if job.status == "cancelled":
        return Problem(409, "the job was cancelled", code="cancelled", param="job_id")
    message = f"the job is {job.status}; ask again later"
    return Problem(409, message, code="not_finished", param="job_id", retry_after_seconds=2.0)


@router.post(
    "/v1/jobs/{job_id}/cancel",
    summary="Cancel a job",
    operation_id="cancel_job",
    responses=error_responses(403, *_ERRORS),
)
async def cancel(job_id: JobId, state: State, owner: Owner) -> JobObject:
    """End a job; one that is worked on ends within a moment. A finished one stays as it is."""
    found = await asyncio.to_thread(state.jobs.store.cancel, owner, job_id)
    state.jobs.stop(job_id)
    return await _shown(state.jobs, found)


@router.delete(
    "/v1/jobs/{job_id}", summary="Delete a job", operation_id="delete_job", responses=error_responses(403, *_ERRORS)
)
async def delete(job_id: JobId, state: State, owner: Owner) -> JobDeleted:
    """Delete a job with its clip and its result, whatever its status."""
    await asyncio.to_thread(state.jobs.store.delete, owner, job_id)
    state.jobs.stop(job_id)
    return JobDeleted(id=job_id)


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
