"""Starts a server from its settings: loads models, assembles the parts, binds a socket, and runs uvicorn."""

from __future__ import annotations

import asyncio
import math
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from types import FrameType
from typing import TYPE_CHECKING, Any

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from emotion_llama.errors import InputError
from emotion_llama.labels import label_space
from emotion_llama.predictors import load_predictor
from emotion_llama.serve.app import create_app
from emotion_llama.serve.clips import ClipMemory
from emotion_llama.serve.engine import Engine
from emotion_llama.serve.files import FileStore
from emotion_llama.serve.jobs.database import JOB_STATUSES, JobStatus
from emotion_llama.serve.jobs.runner import JobRunner
from emotion_llama.serve.jobs.store import JobStore
from emotion_llama.serve.metrics import Metrics
from emotion_llama.serve.settings import ServeSettings
from emotion_llama.serve.state import ServeState, data_folder
from emotion_llama.serve.workers.pool import MeasuringPool

if TYPE_CHECKING:
    from emotion_llama.predictors import Predictor

# A head has a few kilobytes; browsers open connections ahead of need, and cope when these are closed.
HEAD_SECONDS = 15.0


def load_predictors(settings: ServeSettings) -> dict[str, Predictor]:
    """The settings' models by the names that clients use.

    Raises:
        InputError: there is no such model, or it does not take an option.
        MissingDependency: what runs it is not installed.
    """
    options: dict[str, object] = {"layout": settings.layout, "device": settings.device}
    if settings.labels is not None:
        options["label_space"] = label_space(settings.labels)
    given = {name: value for name, value in options.items() if value is not None}
    found = {}
    for name, kind in settings.models.items():
        is_chat = kind.startswith(("openai:", "transformers:"))
        found[name] = load_predictor(
            kind, **({} if kind == "rules" else {**given, **(settings.model_options if is_chat else {})})
        )
    return found


def build_state(settings: ServeSettings, predictors: dict[str, Predictor] | None = None) -> ServeState:
    """The parts of a server, not yet started; `predictors` in place of those that the settings name."""
    loaded = load_predictors(settings) if predictors is None else predictors
    asked = {name: predictor for name, predictor in loaded.items() if predictor.frame_policy is not None}
    engine = Engine(
        asked,
        max_batch=settings.max_batch,
        max_wait_ms=settings.max_wait_ms,
        max_queue=settings.max_queue,
        cache_clips=settings.cache_clips,
    )
    pool = MeasuringPool(
        settings.workers,
        memory_bytes=settings.child_memory_bytes,
        seconds=settings.clip_seconds,
        seconds_per_clip_second=settings.clip_seconds_per_second,
        max_waiting=settings.max_queue,
        asr_model=settings.asr,
    )
    return assemble(settings, loaded, pool, engine if asked else None)


def assemble(
    settings: ServeSettings, predictors: dict[str, Predictor], pool: MeasuringPool, engine: Engine | None
) -> ServeState:
    """These parts with those that keep something between requests (files, jobs, measured clips), and the metrics."""
    data_dir, temporary = data_folder(settings.data_dir)
    state = ServeState(settings, data_dir, predictors, pool, engine, Metrics(), temporary)
    seconds = settings.file_minutes * 60.0
    state.files = FileStore(data_dir / "files", seconds=None if settings.keep_uploads else seconds)
    state.clips = ClipMemory(seconds=seconds)
    # Jobs take half of the children at most, so that whoever waits at a page does not wait for hours of them.
    store = JobStore(data_dir / "jobs")
    state.jobs = JobRunner(state, store, at_once=max(1, settings.workers // 2))

    def count(status: JobStatus) -> float:
        return store.counts()[status]

    for status in JOB_STATUSES:
        state.metrics.watch(f"jobs_{status}", f"jobs that are {status}", partial(count, status))
    state.metrics.watch("uploads", "bodies in work", lambda: state.uploads)
    state.metrics.watch_models(lambda: pool.counts, lambda: {} if engine is None else engine.counts)
    return state


def serve(
    settings: ServeSettings, announce: Callable[[str], None], check: Callable[[Predictor], None] = lambda one: None
) -> None:
    """Serve until SIGINT or SIGTERM, then finish what runs within the grace.

    Args:
        settings: of the server.
        announce: called with the address when the server is warm and listens.
        check: called with each predictor before; may raise.

    Raises:
        InputError: the address cannot be had, or a setting cannot be used.
    """
    listener = listening_socket(settings.host, settings.port)
    with listener:
        state = build_state(settings)
        try:
            for predictor in state.predictors.values():
                check(predictor)
            server = Server(state, lambda: announce(address_of(listener)))
            server.run(sockets=[listener])
        finally:
            if state.temporary is not None:
                state.temporary.release()
    if not server.started:
        raise InputError("the server did not start; the lines above say why")


def listening_socket(host: str, port: int) -> socket.socket:
    """A socket bound to the address, before models are loaded: a port that is taken is found at once.

    Raises:
        InputError: it cannot be had.
    """
    try:
        family, kind, protocol, _, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        bound = socket.socket(family, kind, protocol)
    except OSError as error:
        raise InputError(
            f"the host {host!r} is not known here ({error.strerror}); give an address of this machine"
        ) from None
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind(place)
    except OSError as error:
        bound.close()
        raise InputError(f"{host} port {port} cannot be had ({error.strerror}); give another --port") from None
    return bound


def address_of(listener: socket.socket) -> str:
    """The address to open in a browser."""
    host, port = listener.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


class Server(uvicorn.Server):
    """uvicorn with this project's limits; it announces when it listens, and stops within the grace.

    At the end of the grace, what models and children still do is given up, so that their clients get an answer; a
    second later whatever else still runs is cancelled.
    """

    def __init__(self, state: ServeState, announce: Callable[[], None]) -> None:
        config = uvicorn.Config(
            create_app(state.settings, state),
            http=TimedConnection,
            ws="none",
            lifespan="on",
            log_level="warning",
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=math.ceil(state.settings.grace_seconds) + 1,
        )
        super().__init__(config)
        self._state = state
        self._announce = announce

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start everything, and announce it."""
        await super().startup(sockets)
        if self.started:
            self._announce()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop at the first signal; at once at the second."""
        self._state.stop()
        super().handle_exit(sig, frame)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Let what runs finish within the grace, then end it."""
        self._state.stop()
        giving_up = asyncio.create_task(self._state.give_up())
        try:
            await super().shutdown(sockets)
        finally:
            giving_up.cancel()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """As uvicorn's, but a stop that was asked for ends with exit code 0: nothing is raised again."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {kind: signal.signal(kind, self.handle_exit) for kind in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for kind, handler in before.items():
                signal.signal(kind, handler)


class TimedConnection(H11Protocol):
    """uvicorn's connection with a time limit for the head of each request, for which uvicorn itself waits for ever."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.app_state = {**self.app_state, "connections": self.connections}  # counted by the middleware `Edge`
        self._head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for the first head."""
        super().connection_made(transport)
        self._wait_for_head()

    def data_received(self, data: bytes) -> None:
        """Keep the timer while the head is not complete; the pace of bodies is the middleware's to watch."""
        super().data_received(data)
        if self.conn.their_state is h11.IDLE:
            self._wait_for_head()
        else:
            self._stop_waiting()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is waited for any more."""
        self._stop_waiting()
        super().connection_lost(exc)

    def _wait_for_head(self) -> None:
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(HEAD_SECONDS, self.transport.close)

    def _stop_waiting(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
