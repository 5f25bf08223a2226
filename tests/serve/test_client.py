"""The Python client against a live server: what it sends, what it gives, how it waits, and what it says of errors."""

import builtins
import json
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from emotion_llama.errors import InputError, MissingDependency
from emotion_llama.schema import AnalysisDocument
from emotion_llama.serve import client_http
from emotion_llama.serve.busy import Busy
from emotion_llama.serve.client import Client, ServerError
from emotion_llama.serve.client_http import events_of
from emotion_llama.serve.isolation.limits import ClipRefused

KEY = "0123456789abcdef-key"
EVENTS = "text/event-stream"


@pytest.fixture
def server(live: Callable[..., Any]) -> Any:
    return live()


@pytest.fixture
def client(server: Any) -> Iterator[Client]:
    with Client(server.url, timeout_seconds=20) as client:
        yield client


@pytest.fixture
def clip(tone: bytes, tmp_path: Path) -> Path:
    path = tmp_path / "a talk.wav"
    path.write_bytes(tone)
    return path


@pytest.fixture
def said(pool: Any) -> Any:
    """The pool's document says that the rules found somebody sad."""
    document = json.loads(pool.document)
    chances = {"sad": 0.75, "happy": 0.25}
    document["people"][0]["segments"][0]["prediction"].update(
        label="sad", probabilities=chances, reasoning="The voice is low.", problem=None
    )
    pool.document = json.dumps(document)
    return pool


def test_models(client: Client) -> None:
    assert [(model.id, model.reads, model.is_default) for model in client.models()] == [("rules", "measurements", True)]


def test_analyze(client: Client, pool: Any, clip: Path, tmp_path: Path) -> None:
    words = tmp_path / "words.srt"
    words.write_text("1\n00:00:00,000 --> 00:00:01,000\nHi\n")
    found = client.analyze(clip, transcript=words, people="all", segment=2.5, curves=False, model=None)
    assert isinstance(found, AnalysisDocument)
    assert found.clip.path == "a talk.wav"
    call = pool.calls[0]
    assert (call["content"], call["words"]) == (clip.read_bytes(), words.read_bytes())
    assert (call["options"].people, call["options"].segment, call["curves"]) == ("all", 2.5, False)
    assert client.analyze_html(clip, subtitle="Hi") == "<!doctype html>\n<p>the page</p>"
    assert (pool.calls[1]["html"], pool.calls[1]["options"].subtitle) == (True, "Hi")


def test_progress(client: Client, pool: Any, clip: Path) -> None:
    passed: list[tuple[str, float]] = []
    found = client.analyze(clip, progress=lambda stage, share: passed.append((stage, share)))
    assert (passed, found.clip.path) == ([("voice", 0.5)], "a talk.wav")
    pool.error = ClipRefused("the recording is too long", status=413, code="too_long")
    with pytest.raises(ServerError, match="the recording is too long") as caught:
        client.analyze(clip, progress=lambda stage, share: None)
    assert caught.value.code == "too_long"


def test_questions_upload_once(said: Any, server: Any, client: Client, clip: Path) -> None:
    label = client.ask(clip, "[emotion]")
    assert (label.text, label.label, label.person_id, label.finish_reason) == ("sad", "sad", 1, "stop")
    assert label.probabilities == {"sad": 0.75, "happy": 0.25}
    assert (label.prompt_tokens, label.completion_tokens) == (0, 0)
    assert client.ask(str(clip), "[reason]", history=[("[emotion]", "sad")]).text == "The voice is low."
    assert "".join(client.stream(clip, "[reason]", model="rules")) == "The voice is low."
    assert len(said.calls) == 1
    assert len(server.client.get("/v1/files").json()["data"]) == 1
    client.ask(clip, "[emotion]", subtitle="Hi", temperature=0.5, seed=1)
    assert said.calls[1]["options"].subtitle == "Hi"
    with pytest.raises(ServerError, match="there is no person 9 in the clip; there are: 1"):
        client.ask(clip, "[emotion]", person_id=9)
    with pytest.raises(ServerError, match="not a free question") as caught:
        list(client.stream(clip, "Why?"))
    assert (caught.value.status, caught.value.code, caught.value.param) == (400, "task_not_supported", "messages")
    client.close()
    assert server.client.get("/v1/files").json()["data"] == []  # it takes away what it has uploaded


def test_files(said: Any, client: Client, clip: Path) -> None:
    kept = client.upload(clip)
    assert (kept.name, kept.num_bytes) == ("a talk.wav", clip.stat().st_size)
    assert client.ask(kept, "[emotion]").label == client.ask(kept.id, "[emotion]").label == "sad"
    client.delete_file(kept)
    with pytest.raises(ServerError, match="there is no file") as caught:
        client.delete_file(kept.id)
    assert caught.value.status == 404


def test_a_changed_clip_is_uploaded_again(said: Any, client: Client, clip: Path) -> None:
    client.ask(clip, "[emotion]")
    clip.write_bytes(clip.read_bytes() + b"\0\0")
    client.ask(clip, "[emotion]")
    assert len(said.calls) == 2


def test_jobs(pool: Any, server: Any, client: Client, clip: Path, wait_until: Callable[..., None]) -> None:
    pool.hold = True
    job = client.submit(clip, people="all", subtitle="Hi")
    assert (job.status in ("queued", "running"), job.name, job.is_finished) == (True, "a talk.wav", False)
    seen: list[str] = []

    def note(info: Any) -> None:
        seen.append(info.status)
        pool.hold = info.stage is None  # let it end once it is under way

    done = client.wait(job, progress=note, every_seconds=0.05)
    assert (done.status, done.share, done.attempts, done.is_finished) == ("done", 1.0, 1, True)
    assert seen[-1] == "running"
    assert client.result(job).clip.path == "a talk.wav"
    assert client.result_html(job.id).startswith("<!doctype html>")
    pool.hold = True
    second = client.submit(clip)
    assert [one.id for one in client.jobs()] == [second.id, job.id]
    client.cancel(second)
    assert client.wait(second, every_seconds=0.05).status == "cancelled"
    with pytest.raises(ServerError, match="the job was cancelled") as caught:
        client.result(second)
    assert caught.value.status == 409
    client.delete_job(second)
    assert [one.id for one in client.jobs()] == [job.id]


def test_why_a_job_failed(pool: Any, client: Client, clip: Path) -> None:
    pool.error = ClipRefused("the recording is too long", status=413, code="too_long")
    failed = client.wait(client.submit(clip), every_seconds=0.05)
    assert (failed.status, failed.error_code, failed.error_message) == (
        "failed",
        "too_long",
        "the recording is too long",
    )


def test_many_jobs_are_listed_in_pages(pool: Any, server: Any, client: Client, clip: Path) -> None:
    store = server.state.jobs.store
    store._max_per_owner = store._max_queued = 1000
    pool.hold = True
    for _ in range(103):
        filled = store.new_folder()
        (filled / "clip.wav").write_bytes(b"")
        store.add("local", '{"form": {}, "shown_name": "a", "clip": "clip.wav", "transcript": null}', filled)
    assert len({job.id for job in client.jobs()}) == 103


def test_a_busy_server_is_asked_again(pool: Any, client: Client, clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 2:
            pool.error = None

    monkeypatch.setattr(client_http.time, "sleep", pause)
    pool.error = Busy("clips", 64, 7.0)
    assert client.analyze(clip).clip.path == "a talk.wav"
    assert pauses == [7.0, 7.0]
    assert [len(call["content"]) for call in pool.calls] == [clip.stat().st_size] * 3  # whole each time
    pool.error = Busy("clips", 64, 7.0)
    pauses[:] = [0.0, 0.0, 0.0]
    with pytest.raises(ServerError, match="64 clips are waiting already") as caught:
        client.analyze(clip)
    assert (caught.value.status, caught.value.retry_after_seconds, len(pauses)) == (429, 7.0, 6)
    pool.error = Busy("clips", 64, 600.0)
    with pytest.raises(ServerError, match="64 clips are waiting already"):  # ten minutes are not waited for silently
        client.analyze(clip)
    assert len(pauses) == 6


def test_keys(live: Callable[..., Any]) -> None:
    from pydantic import SecretStr

    server = live(api_keys=(SecretStr(KEY),))
    with Client(f"{server.url}/v1/", api_key=KEY) as client:  # the address as OpenAI's client takes it, too
        assert client.models()[0].id == "rules"
    with Client(server.url) as client, pytest.raises(ServerError, match="an API key is needed") as caught:
        client.models()
    assert (caught.value.status, caught.value.code) == (401, "invalid_api_key")
    assert caught.value.request_id


def test_files_that_are_not_there(client: Client, tmp_path: Path) -> None:
    for call in (client.analyze, client.submit, client.upload, lambda path: client.ask(path, "[emotion]")):
        with pytest.raises(InputError, match="is no file; give a recording of this machine"):
            call(tmp_path / "none.mp4")


def test_nobody_listens() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with Client(f"http://127.0.0.1:{port}", timeout_seconds=2) as client:
        with pytest.raises(ServerError, match="the server cannot be reached") as caught:
            client.models()
        assert caught.value.status is None
        with pytest.raises(ServerError, match="the server cannot be reached"):
            client.wait("job-1", every_seconds=0.01, patience_seconds=0.05)


class Scripted:
    """Answers each connection with the next of these texts, whatever was asked."""

    def __init__(self, *answers: str) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._answers = answers
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        for answer in self._answers:
            connection, _ = self._listener.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(answer.replace("\n", "\r\n").encode())

    def close(self) -> None:
        self._thread.join(5)
        self._listener.close()


def reply(status: str, body: str, kind: str = "application/json") -> str:
    num_bytes = len(body) + body.count("\n")  # each becomes two
    return f"HTTP/1.1 {status}\nContent-Type: {kind}\nContent-Length: {num_bytes}\nConnection: close\n\n{body}"


def test_a_restart_is_waited_for(client: Client) -> None:
    """Away for a moment, then starting (503), then there: a job that outlives the server is not given up."""
    job = {"id": "job-1", "status": "done", "stage": None, "share": 1, "waiting_before": None, "attempts": 2,
           "filename": "a", "error": None}  # fmt: skip
    server = Scripted("", reply("503 Service Unavailable", "{}"), reply("200 OK", json.dumps(job)))
    with Client(server.url, timeout_seconds=5) as other:
        assert other.wait("job-1", every_seconds=0.01).attempts == 2
    server.close()


def test_other_servers() -> None:
    first = '{"choices": [{"delta": {"content": "The "}}]}'
    server = Scripted(
        reply("502 Bad Gateway", "<html>", "text/html"), reply("200 OK", "<html>"), reply("200 OK", "[1]"),
        reply("200 OK", "{}"),
        reply("200 OK", '{"schema_version": 9}'),
        reply("200 OK", f"data: {first}\n\n" + 'data: {"error": {"message": "oh", "code": "x"}}\n', EVENTS),
        reply("200 OK", f"data: {first}\n\ndata: {{", EVENTS),
    )  # fmt: skip
    with Client(server.url, timeout_seconds=5) as client:
        with pytest.raises(ServerError, match="HTTP status 502: the answer says nothing of what went wrong"):
            client.models()
        for _ in range(2):
            with pytest.raises(ServerError, match="is no JSON object; is this server one of ours"):
                client.models()
        with pytest.raises(ServerError, match=r"lacks what is expected \('data'\)"):
            client.models()
        with pytest.raises(ServerError, match=r"no analysis of this version .*update the client"):
            client.result("job-1")
        pieces = client.stream("file-1", "[reason]")
        assert next(pieces) == "The "
        with pytest.raises(ServerError, match="oh") as caught:
            next(pieces)
        assert caught.value.code == "x"
        with pytest.raises(ServerError, match="an event of the server is no JSON"):
            list(client.stream("file-1", "[reason]"))
    server.close()


def test_an_answer_that_ends_early(clip: Path) -> None:
    body = 'event: progress\ndata: {"stage": "faces", "share": 1}\n\n'
    server = Scripted(reply("200 OK", body, "text/event-stream"))
    with Client(server.url) as client, pytest.raises(ServerError, match="ended before the result"):
        client.analyze(clip, progress=lambda stage, share: None)
    server.close()


def test_events() -> None:
    lines = [
        ": still at work",
        "",
        "event: progress",
        'data: {"a": 1}',
        "",
        'data: {"b": 2}',
        "",
        "data: [DONE]",
        "data: 3",
    ]
    assert list(events_of(iter(lines))) == [("progress", {"a": 1}), ("message", {"b": 2})]


def test_without_httpx2(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def refuse(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "httpx2":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(MissingDependency, match=r"pip install 'emotion-llama\[api\]'"):
        Client()


def test_the_client_needs_no_server_packages() -> None:
    import subprocess
    import sys

    code = (
        "import sys; import emotion_llama.serve.client; "
        "print([m for m in ('fastapi', 'starlette', 'uvicorn', 'torch', 'httpx2', 'av') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
