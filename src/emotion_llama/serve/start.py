"""A server from its settings: models loaded, parts put together, a socket, and uvicorn until it is told to stop."""

from __future__ import annotations

import shutil
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING

import uvicorn

from emotion_llama.errors import InputError
from emotion_llama.labels import label_space
from emotion_llama.predictors import load_predictor
from emotion_llama.serve.app import create_app
from emotion_llama.serve.connections import PatientConnection
from emotion_llama.serve.engine import Engine
from emotion_llama.serve.isolation.pool import MeasuringPool
from emotion_llama.serve.keeping import keep
from emotion_llama.serve.metrics import Metrics
from emotion_llama.serve.settings import ServeSettings
from emotion_llama.serve.state import ServeState, private_folder
from emotion_llama.serve.watched import watch

if TYPE_CHECKING:
    from emotion_llama.predictors import Predictor

# Open connections; systems give a process 1024 files unless told otherwise, and children and models need some.
MAX_CONNECTIONS = 800


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
    return {name: load_predictor(kind, **({} if kind == "rules" else given)) for name, kind in settings.models.items()}


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
    )
    data_dir, is_temporary = private_folder(settings.data_dir)
    state = ServeState(
        settings, data_dir, loaded, pool, engine if asked else None, Metrics(), is_temporary=is_temporary
    )
    keep(state)
    watch(state)
    return state


def serve(settings: ServeSettings, announce: Callable[[str], None]) -> None:
    """Serve until SIGINT or SIGTERM, then finish what runs within the grace.

    Args:
        settings: of the server.
        announce: is told the address when the server is warm and listens.

    Raises:
        InputError: the address cannot be had, or a setting cannot be used.
    """
    listener = listening_socket(settings.host, settings.port)
    with listener:
        state = build_state(settings)
        try:
            server = Server(state, lambda: announce(address_of(listener)))
            server.run(sockets=[listener])
        finally:
            if state.is_temporary:
                shutil.rmtree(state.data_dir, ignore_errors=True)
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
    """uvicorn with this project's limits: it says when it listens, and is not ready from the moment it is to stop."""

    def __init__(self, state: ServeState, announce: Callable[[], None]) -> None:
        config = uvicorn.Config(
            create_app(state.settings, state),
            http=PatientConnection,
            ws="none",
            lifespan="on",
            log_level="warning",
            access_log=False,
            server_header=False,
            limit_concurrency=MAX_CONNECTIONS,
            timeout_graceful_shutdown=max(1, round(state.settings.grace_seconds)),
        )
        super().__init__(config)
        self._state = state
        self._announce = announce

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start everything, and say where."""
        await super().startup(sockets)
        if self.started:
            self._announce()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop, once told to; at once, when told twice."""
        self._state.is_ready = False
        super().handle_exit(sig, frame)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """As uvicorn's, but a stop that was asked for ends with exit code 0: nothing is raised again."""
        import threading

        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {kind: signal.signal(kind, self.handle_exit) for kind in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for kind, handler in before.items():
                signal.signal(kind, handler)
