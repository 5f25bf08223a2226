"""A live server around a stand-in for the children: the pool's contract, without its processes."""

import asyncio
import io
import json
import socket
import threading
import time
import wave
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest

from emotion_llama.analysis import Analyzer
from emotion_llama.document import analysis_document
from emotion_llama.predictors import load_predictor
from emotion_llama.serve.errors import Stopping
from emotion_llama.serve.settings import ServeSettings
from emotion_llama.serve.start import Server, address_of, assemble, listening_socket
from emotion_llama.serve.workers.clip_check import ClipLimits
from emotion_llama.serve.workers.worker import Analyzed

KEY = "0123456789abcdef-key"


class StandInPool:
    """Answers every clip with one document; `hold` keeps it working, `error` makes it fail, `close` ends what it holds.

    One that `is_stubborn` goes on after `close`.
    """

    def __init__(self, document: str) -> None:
        self.document = document
        self.calls: list[dict[str, Any]] = []
        self.finished = 0
        self.cancelled = 0
        self.shown: Any = None  # what a model is asked about
        self.hold = False
        self.is_stubborn = False
        self.error: Exception | None = None
        self.folder: Path | None = None
        self.closed: list[float] = []

    async def start(self) -> None: ...

    async def close(self, grace_seconds: float = 10.0) -> None:
        self.closed.append(grace_seconds)

    @property
    def counts(self) -> dict[str, int]:
        clips = len(self.calls)
        return {"children": 2, "ready": 2, "working": 0, "waiting": 0, "replaced": 3, "clips": clips, "confined": 0}

    async def analyze(
        self, path: Path, options: Any, *, shown_name: str = "", model: Any = None, answer: Any = None,
        progress: Any = None, html: bool = False, curves: bool = True, limits: ClipLimits | None = None,
    ) -> Analyzed:  # fmt: skip
        self.calls.append(
            {"path": path, "content": path.read_bytes(), "mode": path.parent.stat().st_mode & 0o777, "options": options,
             "words": None if options.transcript is None else options.transcript.read_bytes(),
             "shown_name": shown_name, "model": model, "html": html, "curves": curves, "limits": limits}
        )  # fmt: skip
        try:
            if progress is not None:
                progress("voice", 0.5)
            while self.hold:
                await asyncio.sleep(0.001)
                if self.closed and not self.is_stubborn:
                    raise Stopping
            if self.error is not None:
                raise self.error
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if answer is not None:
            await answer(self.shown)
        self.finished += 1
        document = json.loads(self.document)
        document["clip"]["path"] = shown_name
        page = "<!doctype html>\n<p>the page</p>" if html else None
        return Analyzed(json.dumps(document), page, ((0, 0.0, 0.5),))


class Live:
    """A running server and a client of it."""

    def __init__(self, state: Any) -> None:
        self.state = state
        listener = listening_socket("127.0.0.1", 0)
        self.url = address_of(listener)
        self.port: int = listener.getsockname()[1]
        self.server = Server(state, lambda: None)
        self._thread = threading.Thread(target=self.server.run, kwargs={"sockets": [listener]}, daemon=True)
        self._thread.start()
        _wait_until(lambda: self.server.started or not self._thread.is_alive())
        self.client = httpx2.Client(base_url=self.url, timeout=None, trust_env=False)

    def post(self, clip: bytes, *, name: str = "talk.wav", headers: Any = None, **fields: str) -> httpx2.Response:
        """POST /v1/analyze."""
        files = {"file": (name, clip, "application/octet-stream")}
        return self.client.post("/v1/analyze", files=files, data=fields, headers=headers)

    def raw(self, head: str, body: bytes = b"", *, timeout: float | None = None) -> bytes:
        """What the server answers to these very bytes."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=timeout) as connection:
            connection.sendall(head.replace("\n", "\r\n").encode() + b"\r\n" + body)
            return read_all(connection)

    def leave(self, path: str, began: Callable[[], object], **request: Any) -> None:
        """POST, and go away without the answer once `began` says that it is being worked on."""
        message = self.client.build_request("POST", path, **request)
        head = f"POST {path} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in message.headers.items())
        with socket.create_connection(("127.0.0.1", self.port)) as connection:
            connection.sendall(head.encode() + b"\r\n" + message.read())
            _wait_until(began)

    def close(self) -> None:
        """Stop as SIGTERM would."""
        self.client.close()
        self.server.should_exit = True
        self._thread.join()


def read_all(connection: socket.socket) -> bytes:
    """All bytes until the other side closes."""
    found = b""
    while piece := connection.recv(65536):
        found += piece
    return found


def _wait_until(condition: Callable[[], object]) -> None:
    """Wait for something that happens in another thread; the time limit of the whole test ends what waits in vain."""
    while not condition():
        time.sleep(0.005)


@pytest.fixture(scope="session")
def wait_until() -> Callable[..., None]:
    return _wait_until


@pytest.fixture(scope="session")
def tone() -> bytes:
    """Half a second of a falling tone, as WAV."""
    times = np.arange(8000) / 16_000
    samples = (0.4 * 32767 * np.sin(2 * np.pi * (220 - 40 * times) * times)).astype("<i2")
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(16_000)
        out.writeframes(samples.tobytes())
    return file.getvalue()


@pytest.fixture(scope="session")
def document(tone: bytes, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The published document of the tone."""
    path = tmp_path_factory.mktemp("tone") / "tone.wav"
    path.write_bytes(tone)
    return analysis_document(Analyzer.load("rules").analyze(path)).model_dump_json()


@pytest.fixture
def pool(document: str) -> StandInPool:
    return StandInPool(document)


@pytest.fixture
def live(pool: StandInPool, tmp_path: Path) -> Iterator[Callable[..., Live]]:
    """Starts a server with these settings around the stand-in."""
    servers: list[Live] = []

    def start(*, predictors: Any = None, engine: Any = None, **settings: Any) -> Live:
        settings.setdefault("data_dir", tmp_path / "data")
        checked = ServeSettings(**settings)
        predictors = predictors or {name: load_predictor("rules") for name in checked.models}
        servers.append(Live(assemble(checked, predictors, pool, engine)))  # type: ignore[arg-type]
        return servers[-1]

    yield start
    pool.hold = False
    for server in servers:
        server.close()
