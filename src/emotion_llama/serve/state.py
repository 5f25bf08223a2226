"""What all routes of one server share, how it is started and stopped."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import Depends, Request

from emotion_llama.serve.metrics import Metrics
from emotion_llama.serve.problems import Problem
from emotion_llama.serve.settings import ServeSettings

if TYPE_CHECKING:
    from emotion_llama.predictors import Predictor
    from emotion_llama.serve.clips import ClipMemory
    from emotion_llama.serve.engine import Engine
    from emotion_llama.serve.files import FileStore
    from emotion_llama.serve.workers.pool import AskedModel, MeasuringPool


@dataclass
class ServeState:
    """The shared parts of one server; `request.app.state.serve`.

    Attributes:
        settings: what it was started with.
        data_dir: a private folder (mode 0700) for jobs and files; several servers may share it.
        predictors: by the names that clients use.
        pool: measures clips in children.
        engine: asks the models, many requests together; None where every model predicts from measurements.
        metrics: for Prometheus.
        is_temporary: whether `data_dir` is deleted with the server.
        files, jobs, clips: uploaded files, the runner of jobs, what is remembered of measured clips.
        is_ready: whether everything is warm, and the server is not about to stop.
        uploads: how many bodies are in work.
        uploads_dir: where bodies are received, a folder each; of this process alone, and there while it runs.
    """

    settings: ServeSettings
    data_dir: Path
    predictors: dict[str, Predictor]
    pool: MeasuringPool
    engine: Engine | None
    metrics: Metrics
    is_temporary: bool = False
    files: FileStore = field(init=False)
    jobs: Any = field(init=False)  # a JobRunner, which holds this state in turn
    clips: ClipMemory = field(init=False)
    is_ready: bool = False
    uploads: int = 0
    uploads_dir: Path = field(init=False)

    def model_name(self, asked: str | None) -> str:
        """The name of the model that a request means.

        Raises:
            Problem: 404, there is none of that name.
        """
        name = asked or self.settings.model
        if name not in self.predictors:
            known = ", ".join(self.predictors)
            raise Problem(404, f"there is no model {name!r}; there are: {known}", code="model_not_found", param="model")
        return name

    def asked_model(self, name: str) -> AskedModel | str:
        """The model as the pool takes it: "rules" predicts in the child, any other is asked by the engine."""
        from emotion_llama.serve.workers.pool import AskedModel

        predictor = self.predictors[name]
        if predictor.frame_policy is None:
            return predictor.name
        return AskedModel(predictor.name, predictor.frame_policy, predictor.settings)


def state_of(request: Request) -> ServeState:
    """The server's shared parts, as a dependency."""
    state: ServeState = request.app.state.serve
    return state


State = Annotated[ServeState, Depends(state_of)]


def private_folder(path: Path | None) -> tuple[Path, bool]:
    """The folder for data, made with mode 0700, and whether it is a temporary one."""
    if path is None:
        return Path(tempfile.mkdtemp(prefix="emotion-llama-")), True
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    path.chmod(0o700)
    return path, False


@asynccontextmanager
async def running(state: ServeState) -> AsyncIterator[None]:
    """Everything started and warm inside, finished and closed outside."""
    grace = state.settings.grace_seconds
    async with AsyncExitStack() as stack:
        if state.is_temporary:
            stack.callback(shutil.rmtree, state.data_dir, ignore_errors=True)
        state.uploads_dir = stack.enter_context(_uploads_folder(state.data_dir))
        for service in (state.engine, state.pool, state.files, state.clips, state.jobs):
            if service is not None:
                # Before the start: what fails half started is closed as well.
                stack.push_async_callback(service.close, grace)
                await service.start()
        state.is_ready = True
        try:
            yield
        finally:
            state.is_ready = False


@contextmanager
def _uploads_folder(data_dir: Path) -> Iterator[Path]:
    """A folder of this process alone; those that killed servers left behind are deleted first.

    Each server holds a lock on its own, which the system releases when the process ends, however it ends.
    """
    for left in data_dir.glob("uploads-*"):
        with suppress(OSError), _opened(left) as folder:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(left)
    made = Path(tempfile.mkdtemp(prefix="uploads-", dir=data_dir))
    with _opened(made) as folder:
        fcntl.flock(folder, fcntl.LOCK_EX)
        try:
            yield made
        finally:
            shutil.rmtree(made, ignore_errors=True)


@contextmanager
def _opened(folder: Path) -> Iterator[int]:
    file = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield file
    finally:
        os.close(file)
