"""What all routes of one server share, how it is started and stopped."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import Depends, Request

from emotion_llama.serve.errors import Problem
from emotion_llama.serve.folders import HeldFolder, sweep
from emotion_llama.serve.metrics import Metrics
from emotion_llama.serve.settings import ServeSettings

if TYPE_CHECKING:
    from emotion_llama.predictors import Predictor
    from emotion_llama.serve.clips import ClipMemory
    from emotion_llama.serve.engine import Engine
    from emotion_llama.serve.files import FileStore
    from emotion_llama.serve.workers.pool import MeasuringPool

TEMPORARY_PREFIX = "emotion-llama-serve-"  # of data folders that go with their server
SERVER_PREFIX = "server-"  # of a server's own folder in the data folder


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
        temporary: the data folder, where it is deleted with the server.
        files, jobs, clips: uploaded files, the runner of jobs, what is remembered of measured clips.
        is_ready: whether everything is warm, and the server is not about to stop.
        stops_at: when all work ends (`time.monotonic`), once the server is to stop.
        uploads: how many bodies are in work.
        large_bodies: large bodies in JSON that are received now, by caller.
        parsing: held while a large body in JSON is in memory: one at a time.
        uploads_dir: where bodies are received, a folder each; of this process alone, and there while it runs.
    """

    settings: ServeSettings
    data_dir: Path
    predictors: dict[str, Predictor]
    pool: MeasuringPool
    engine: Engine | None
    metrics: Metrics
    temporary: HeldFolder | None = None
    files: FileStore = field(init=False)
    jobs: Any = field(init=False)  # a JobRunner, which holds this state in turn
    clips: ClipMemory = field(init=False)
    is_ready: bool = False
    stops_at: float | None = None
    uploads: int = 0
    large_bodies: Counter[str] = field(default_factory=Counter)
    parsing: asyncio.Lock = field(default_factory=asyncio.Lock)
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

    def stop(self) -> None:
        """The server is to stop: from now on it is not ready, and all work has the grace together to finish."""
        self.is_ready = False
        if self.stops_at is None:
            self.stops_at = time.monotonic() + self.settings.grace_seconds

    @property
    def seconds_left(self) -> float:
        """How long work may still take to finish."""
        return self.settings.grace_seconds if self.stops_at is None else max(0.0, self.stops_at - time.monotonic())

    async def give_up(self) -> None:
        """At the end of the grace, give up what models and children still do: their clients are answered with 503."""
        await asyncio.sleep(self.seconds_left)
        await asyncio.gather(*(one.close(0.0) for one in (self.engine, self.pool) if one is not None))


def state_of(request: Request) -> ServeState:
    """The server's shared parts, as a dependency."""
    state: ServeState = request.app.state.serve
    return state


State = Annotated[ServeState, Depends(state_of)]


def data_folder(path: Path | None) -> tuple[Path, HeldFolder | None]:
    """The folder for data, of mode 0700: the given one, or a temporary one, which is returned as such.

    Temporary folders that killed servers left behind are deleted.
    """
    if path is None:
        sweep(Path(tempfile.gettempdir()), TEMPORARY_PREFIX)
        temporary = HeldFolder(Path(tempfile.gettempdir()), TEMPORARY_PREFIX)
        return temporary.path, temporary
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    path.chmod(0o700)
    return path, None


@asynccontextmanager
async def running(state: ServeState) -> AsyncIterator[None]:
    """Everything started and warm inside, finished and closed outside, within what is left of the grace."""

    async def close(service: Any) -> None:
        await service.close(state.seconds_left)

    async with AsyncExitStack() as stack:
        if state.temporary is not None:
            stack.callback(state.temporary.release)
        sweep(state.data_dir, SERVER_PREFIX)
        own = HeldFolder(state.data_dir, SERVER_PREFIX)
        stack.callback(own.release)
        state.uploads_dir = own.path / "uploads"
        state.uploads_dir.mkdir(mode=0o700)
        state.pool.folder, state.pool.clips = own.path, state.data_dir
        for service in (state.engine, state.pool, state.files, state.clips, state.jobs):
            if service is not None:
                # Before the start: what fails half started is closed as well.
                stack.push_async_callback(close, service)
                await service.start()
        state.is_ready = True
        try:
            yield
        finally:
            state.stop()
