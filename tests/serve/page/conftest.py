"""A browser, a whole server, and a stand-in for the server whose answers a test decides."""

from __future__ import annotations

import asyncio
import copy
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest
import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse
from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright
from playwright.sync_api import Request as PageRequest

from emotion_llama.serve.middleware import Edge
from emotion_llama.serve.routes import page as page_routes
from emotion_llama.serve.settings import ServeSettings

WEB = Path(__file__).parents[3] / "src" / "emotion_llama" / "serve" / "web"
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
# A camera and a microphone that Chromium draws and beeps itself, and no question whether they may be used.
ARGUMENTS = ["--no-sandbox", "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
DESKTOP = {"width": 1280, "height": 860}
PHONE = {"width": 390, "height": 844}


@pytest.fixture(scope="module")  # Playwright keeps an event loop in this thread, which later modules' tests need free
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        missing = "no Chromium here (apt-get install chromium): the page's tests in a browser did not run"
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)
    expect.set_options(timeout=120_000)  # 5 s otherwise, which a busy machine needs
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield started
        started.close()


@dataclass
class Watched:
    """A page under watch: `mistakes` is what its console and its requests did wrong."""

    page: Page
    mistakes: list[str] = field(default_factory=list)
    forgiven: list[str] = field(default_factory=list)  # what a test provokes on purpose, as patterns

    @property
    def unforgiven(self) -> list[str]:
        return [told for told in self.mistakes if not any(re.search(pattern, told) for pattern in self.forgiven)]


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Callable[..., Watched]]:
    """Opens the page of a server; afterwards no page may have called another host, or made an error in the console."""
    opened: list[Watched] = []

    def start(url: str, *, viewport: Any = None, forgiven: tuple[str, ...] = (), **options: Any) -> Watched:
        options.setdefault("locale", "en-US")
        context = browser.new_context(viewport=viewport or DESKTOP, accept_downloads=True, **options)
        watched = Watched(context.new_page(), forgiven=list(forgiven))
        host = urlsplit(url).netloc

        def console(message: ConsoleMessage) -> None:
            if message.type in ("error", "warning"):
                watched.mistakes.append(f"console: {message.text}")

        def request(asked: PageRequest) -> None:
            parts = urlsplit(asked.url)
            if parts.scheme not in ("blob", "data") and parts.netloc != host:
                watched.mistakes.append(f"request to another host: {asked.url}")

        watched.page.on("console", console)
        watched.page.on("request", request)
        watched.page.on("pageerror", lambda error: watched.mistakes.append(f"error: {error}"))
        watched.page.set_default_timeout(120_000)  # on a busy machine too; a test ends after 300 s
        watched.page.goto(url)
        watched.page.wait_for_selector("html[data-ready]")
        opened.append(watched)
        return watched

    yield start
    for watched in opened:
        watched.page.context.close()
    for watched in opened:
        assert watched.unforgiven == []


@pytest.fixture(scope="session")
def whole_server() -> Iterator[str]:
    """The address of `emotion-llama serve --model rules`, one child."""
    command = [
        sys.executable,
        "-m",
        "emotion_llama",
        "serve",
        "--model",
        "rules",
        "--port",
        "0",
        "--workers",
        "1",
        "--no-token",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        told = ""
        address = None
        for line in process.stdout:
            told += line
            if found := re.search(r"http://\S+", line):
                address = found[0]
                break
        assert address is not None, told
        drain = threading.Thread(target=process.stdout.read, daemon=True)  # or a full pipe would hold the server
        drain.start()
        yield address
        process.terminate()
        assert process.wait() == 0
        drain.join()


@dataclass(frozen=True)
class Known:
    """What the whole server said of an example."""

    document: dict[str, Any]
    html: str


@pytest.fixture(scope="session")
def known(whole_server: str) -> Callable[[str], Known]:
    """The real answer to an example, asked for once."""
    answers: dict[str, Known] = {}

    def get(name: str) -> Known:
        if name not in answers:
            clip = (WEB / "examples" / f"{name}.mp4").read_bytes()
            words = WEB / "examples" / f"{name}.srt"
            files = {"file": (f"{name}.mp4", clip)}
            if words.is_file():
                files["transcript"] = (words.name, words.read_bytes())
            told = httpx2.post(
                f"{whole_server}/v1/analyze", files=files, timeout=None, trust_env=False,
                data={"people": "all", "segment": "auto", "format": "html"}, headers={"Accept": "text/event-stream"},
            )  # fmt: skip
            events = dict(re.findall(r"^event: (\w+)\ndata: (.*)$", told.text, flags=re.MULTILINE))
            answers[name] = Known(json.loads(events["result"]), json.loads(events["page"])["html"])
        return answers[name]

    return get


def labelled(document: dict[str, Any], label: str) -> dict[str, Any]:
    """The same with a label for the main person, at a half: the rules leave a drawn face uncertain."""
    made = copy.deepcopy(document)
    for segment in made["people"][0]["segments"]:
        found = segment["prediction"]
        others = sum(share for name, share in found["probabilities"].items() if name != label)
        shares = {name: 0.5 * share / others for name, share in found["probabilities"].items()}
        found |= {"label": label, "is_uncertain": False, "probabilities": {**shares, label: 0.5}}
    return made


class StandIn:
    """A server that answers what a test tells it, and remembers what it was asked."""

    def __init__(self) -> None:
        self.settings = ServeSettings(models={"first": "rules", "second": "folder"})
        self.documents: dict[str, Known] = {}  # by the model's name
        self.refusals: list[tuple[int, dict[str, str], str]] = []  # status, headers, message; each is used once
        self.key: str | None = None
        self.hold = threading.Event()  # clips are answered once it is set
        self.hold.set()
        self.forms: list[dict[str, str]] = []
        self.chats: list[dict[str, Any]] = []
        self.reply = ["The ", "lips ", "part."]
        self.uploads: list[str] = []  # name and size
        self.is_full = self.is_forgetful = False  # no room for files; the next question finds its file gone
        self.calls: list[str] = []  # "DELETE v1/files/file-1"
        self.job: dict[str, Any] = {}
        self.cancelled = 0
        self.url = ""

    def answer(self, model: str) -> Known:
        return self.documents[model]

    def events(self, model: str) -> Iterator[bytes]:
        known = self.answer(model)

        def event(name: str, data: object) -> bytes:
            return f"event: {name}\ndata: {json.dumps(data)}\n\n".encode()

        yield event("progress", {"stage": "voice", "share": 0.5})
        yield event("progress", {"stage": "faces", "share": 0.25})
        while not self.hold.wait(0.05):
            yield b": still at work\n\n"
        yield event("page", {"html": known.html})
        yield event("result", known.document)

    def spoken(self) -> Iterator[bytes]:
        for text in self.reply:
            yield f"data: {json.dumps({'choices': [{'index': 0, 'delta': {'content': text}}]})}\n\n".encode()
        yield b"data: [DONE]\n\n"


def _app(stand_in: StandIn) -> FastAPI:
    app = FastAPI()
    app.state.serve = SimpleNamespace()
    app.include_router(page_routes.router)

    def error(status: int, message: str, headers: dict[str, str] | None = None) -> Response:
        body = {"error": {"message": message, "type": "x", "code": None, "param": None}}
        return JSONResponse(body, status_code=status, headers=headers)

    @app.middleware("http")
    async def watch(request: Request, call_next: Any) -> Response:
        app.state.serve.settings = stand_in.settings
        path = request.url.path
        if path.startswith("/v1/"):
            stand_in.calls.append(f"{request.method} {path.removeprefix('/')}")
            if stand_in.key is not None and request.headers.get("authorization") != f"Bearer {stand_in.key}":
                return error(401, "a key is needed")
            if stand_in.refusals and path != "/v1/files":
                status, headers, message = stand_in.refusals.pop(0)
                return error(status, message, headers)
        response: Response = await call_next(request)
        return response

    @app.post("/v1/analyze")
    async def analyze(request: Request) -> Response:
        form = await request.form()
        stand_in.forms.append({k: v if isinstance(v, str) else f"{v.filename}:{v.size}" for k, v in form.items()})
        await form.close()
        return StreamingResponse(stand_in.events(stand_in.forms[-1]["model"]), media_type="text/event-stream")

    @app.post("/v1/jobs", status_code=202)
    async def create_job(request: Request) -> dict[str, Any]:
        form = await request.form()
        stand_in.forms.append({k: v if isinstance(v, str) else f"{v.filename}:{v.size}" for k, v in form.items()})
        await form.close()
        return {"id": "job-1", **stand_in.job}

    @app.get("/v1/jobs/job-1")
    async def job() -> dict[str, Any]:
        return {"id": "job-1", **stand_in.job}

    @app.post("/v1/jobs/job-1/cancel")
    async def cancel() -> dict[str, Any]:
        stand_in.job["status"] = "cancelled"
        stand_in.cancelled += 1
        return {"id": "job-1", **stand_in.job}

    @app.get("/v1/jobs/job-1/result")
    async def result(format: str) -> Response:  # noqa: A002  the API's word
        known = stand_in.answer(stand_in.forms[-1]["model"])
        return Response(known.html) if format == "html" else JSONResponse(known.document)

    @app.post("/v1/files")
    async def upload(request: Request) -> Response:
        form = await request.form()
        stand_in.uploads.append(f"{form['file'].filename}:{form['file'].size}")  # type: ignore[union-attr]
        await form.close()
        if stand_in.is_full:
            body = {"message": "there is no room", "type": "x", "code": "store_full", "param": None}
            return JSONResponse({"error": body}, status_code=429)
        return JSONResponse({"id": f"file-{len(stand_in.uploads)}"})

    @app.delete("/v1/files/{file_id}")
    async def forget(file_id: str) -> dict[str, bool]:
        return {"deleted": True}

    @app.post("/v1/chat/completions")
    async def chat(request: Request) -> Response:
        stand_in.chats.append(await request.json())
        if stand_in.is_forgetful:
            stand_in.is_forgetful = False
            body = {"message": "there is no file", "type": "x", "code": "file_not_found", "param": None}
            return JSONResponse({"error": body}, status_code=404)
        return StreamingResponse(stand_in.spoken(), media_type="text/event-stream")

    app.add_middleware(Edge)
    return app


@pytest.fixture
def stand_in(known: Callable[[str], Known]) -> Iterator[StandIn]:
    """A stand-in on a port of its own; both of its models know the surprise."""
    made = StandIn()
    surprise = known("surprise")
    document = labelled(surprise.document, "surprise")
    made.documents = {
        name: Known({**copy.deepcopy(document), "model": name}, surprise.html) for name in ("first", "second")
    }
    config = uvicorn.Config(_app(made), port=0, ws="none", lifespan="off", log_level="warning", access_log=False)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve()), daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive(), "the stand-in did not start"
        time.sleep(0.01)
    made.url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    yield made
    made.hold.set()
    server.should_exit = True
    server.force_exit = True
    thread.join()
