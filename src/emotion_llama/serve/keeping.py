"""The parts of a server that keep something between requests: files, jobs, what is known of clips."""

from __future__ import annotations

from functools import partial

from emotion_llama.serve.chat_clips import ClipMemory
from emotion_llama.serve.file_store import FileStore
from emotion_llama.serve.job_records import JOB_STATUSES, JobStatus
from emotion_llama.serve.job_runner import JobRunner
from emotion_llama.serve.job_store import JobStore
from emotion_llama.serve.state import ServeState


def keep(state: ServeState) -> None:
    """Give a server its files, jobs and memory of clips, in its data folder; they start and stop with it."""
    settings = state.settings
    seconds = settings.file_minutes * 60.0
    state.files = FileStore(state.data_dir / "files", seconds=None if settings.keep_uploads else seconds)
    state.clips = ClipMemory(seconds=seconds)
    # Half of the children at most are taken by jobs, so that whoever waits at a page is not behind hours of them.
    store = JobStore(state.data_dir / "jobs")
    state.jobs = JobRunner(state, store, at_once=max(1, settings.workers // 2))
    for status in JOB_STATUSES:
        state.metrics.watch(f"jobs_{status}", f"jobs that are {status}", partial(_count, store, status))


def _count(store: JobStore, status: JobStatus) -> float:
    return store.counts()[status]
