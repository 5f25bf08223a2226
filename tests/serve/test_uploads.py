"""Hostile and broken bodies: each ends in 4xx, leaves nothing behind, and the server answers the next one."""

import asyncio
import base64
import contextlib
import gzip
import json
import socket
import threading
from typing import Any

import httpx2
import pytest

from emotion_llama.serve.errors import Problem
from emotion_llama.serve.middleware import BodyGuard
from emotion_llama.serve.settings import ServeSettings
from emotion_llama.serve.uploads import LARGE_BODIES_OF_A_CALLER, MAX_FIELD_BYTES

from .conftest import read_all

JPEG = b"\xff\xd8\xff\xe0\x00\x10JFIF\x00" + bytes(100)
PDF = b"%PDF-1.7\n" + bytes(100)
ZIP = b"PK\x03\x04" + bytes(100)
ELF = b"\x7fELF\x02\x01\x01" + bytes(100)
SCRIPT = b"#!/bin/sh\nrm -rf /\n"
PLAYLIST = b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n"
CONCAT = b"ffconcat version 1.0\nfile /etc/passwd\n"
SVG = b"<svg xmlns='http://www.w3.org/2000/svg'/>"
FILE_BEGUN = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nRIFF'
HEIC = b"\x00\x00\x00\x18ftypheic" + bytes(100)


@pytest.fixture
def clean(live, pool, tone):
    """A server that is looked at afterwards: nothing is left, and a good clip is answered."""
    server = live(max_upload_bytes=100_000, body_timeout_seconds=600.0, max_json_bytes=2048)
    yield server
    before = len(pool.calls)
    assert server.post(tone).status_code == 200
    assert len(pool.calls) == before + 1
    assert not list(server.state.uploads_dir.iterdir())
    assert server.state.uploads == 0


@pytest.mark.parametrize(
    "content",
    [JPEG, PDF, ZIP, ELF, SCRIPT, PLAYLIST, CONCAT, SVG, HEIC, gzip.compress(bytes(1000)), bytes(5000), b"x"],
    ids=["jpeg", "pdf", "zip", "elf", "script", "m3u8", "ffconcat", "svg", "heic", "gzip", "zeros", "one byte"],
)
@pytest.mark.parametrize("name", ["talk.mp4", "talk.wav"])
def test_what_is_no_recording_is_refused_whatever_it_is_called(clean, pool, content, name) -> None:
    answer = clean.post(content, name=name)
    assert answer.status_code == 415
    assert answer.json()["error"]["code"] == "no_media"
    assert pool.calls == []


def test_an_empty_file(clean) -> None:
    answer = clean.post(b"")
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "empty")


def test_a_path_as_name_leads_nowhere(clean, pool, tone) -> None:
    for name in ("../../../tmp/evil.wav", "/tmp/evil.wav", ".." + "/" * 50 + "x"):
        assert clean.post(tone, name=name).status_code == 200
        path = pool.calls[-1]["path"]
        assert path.parent.parent == clean.state.uploads_dir
        assert path.suffix == ".wav"


def test_too_large_while_it_comes_and_when_it_says_so(clean, pool, tone) -> None:
    answer = clean.post(tone + bytes(100_001))
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "too_large")
    assert answer.json()["error"]["param"] == "file"
    declared = clean.post(tone + bytes(6 << 20))  # above the limit of the whole body
    assert (declared.status_code, declared.json()["error"]["code"]) == (413, "too_large")

    def chunks():
        yield b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n' + tone
        for _ in range(100):
            yield bytes(65536)

    headers = {"Content-Type": "multipart/form-data; boundary=x"}  # no Content-Length: chunked
    answer = clean.client.post("/v1/analyze", content=chunks(), headers=headers)
    assert answer.status_code == 413
    assert pool.calls == []


def test_a_body_that_is_no_file_is_bounded_as_well(clean) -> None:
    answer = clean.client.post("/v1/analyze", content=bytes(3000), headers={"Content-Type": "application/json"})
    assert answer.status_code == 413


def _part(name: str, content: bytes, filename: str | None = None) -> bytes:
    file = "" if filename is None else f'; filename="{filename}"'
    head = f'--x\r\nContent-Disposition: form-data; name="{name}"{file}\r\n\r\n'
    return head.encode() + content + b"\r\n"


@pytest.mark.parametrize(
    ("parts", "status", "told"),
    [
        ([("people", b"all", None)], 422, "the part 'file' is missing"),
        ([("file", b"TONE", "a.wav"), ("file", b"TONE", "b.wav")], 422, "came twice"),
        ([("file", b"TONE", None)], 422, "came as a text, expected a file"),
        ([("people", b"all", "x.txt"), ("file", b"TONE", "a.wav")], 422, "came as a file, expected a text"),
        ([("path", b"/etc/passwd", None), ("file", b"TONE", "a.wav")], 422, "there is no part 'path'"),
        ([("url", b"http://x/", None), ("file", b"TONE", "a.wav")], 422, "there is no part 'url'"),
        ([("subtitle", b"\xff\xfe", None), ("file", b"TONE", "a.wav")], 422, "is not UTF-8"),
        ([("subtitle", b"x" * (MAX_FIELD_BYTES + 1), None)], 413, "has more than 65536 bytes"),
        ([("", b"x", None)], 400, "has no name"),
        ([("file", b"TONE", "a.wav"), ("transcript", b"hi", "words.exe")], 415, "a transcript is a file called"),
        ([("file", b"TONE", "a.wav"), ("transcript", b"hi", "words.csv")], 415, "a transcript is a file called"),
        ([("file", b"TONE", "a.wav"), ("transcript", b"", "words.srt")], 422, "is an empty file"),
        ([("model", b"rules", None), ("model", b"rules", None)], 422, "came twice"),
    ],
)
def test_parts_that_do_not_fit(clean, pool, tone, parts, status, told) -> None:
    body = b"".join(_part(name, tone if text == b"TONE" else text, file) for name, text, file in parts) + b"--x--\r\n"
    answer = clean.client.post("/v1/analyze", content=body, headers={"Content-Type": "multipart/form-data; boundary=x"})
    assert answer.status_code == status
    assert told in answer.json()["error"]["message"]
    assert pool.calls == []


@pytest.mark.parametrize(
    ("content_type", "body", "status", "told"),
    [
        ("application/json", b"{}", 415, "expected a body of multipart/form-data"),
        ("", b"x", 415, "expected a body of multipart/form-data"),
        ("multipart/form-data", b"x", 415, "expected a body of multipart/form-data"),
        ("multipart/form-data; boundary=", b"x", 415, "expected a body of multipart/form-data"),
        ("multipart/form-data; boundary=x", b"", 400, "ends in the middle"),
        ("multipart/form-data; boundary=x", b"nothing of this", 400, "broken"),
        ("multipart/form-data; boundary=x", FILE_BEGUN, 400, "ends in the middle"),
        ("multipart/form-data; boundary=x", b"--x\r\nNo Header\r\n\r\n", 400, "broken"),
        ("multipart/form-data; boundary=x", b"--x\r\n" + b"A" * 20_000 + b": b\r\n\r\n", 400, "broken"),
        ("multipart/form-data; boundary=" + "y" * 300, b"--y", 400, "broken"),
    ],
)  # fmt: skip
def test_bodies_that_are_broken(clean, content_type, body, status, told) -> None:
    answer = clean.client.post("/v1/analyze", content=body, headers={"Content-Type": content_type})
    assert answer.status_code == status
    assert told in answer.json()["error"]["message"]


def test_so_many_parts_are_refused(clean) -> None:
    # Repeated names are refused at the second; a body of endless parts is one of many names.
    body = b"".join(_part(f"n{i}", b"", "x") for i in range(50)) + b"--x--\r\n"
    answer = clean.client.post("/v1/analyze", content=body, headers={"Content-Type": "multipart/form-data; boundary=x"})
    assert answer.status_code == 422


SLOW_HEAD = (
    b"POST /v1/analyze HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: multipart/form-data; boundary=x\r\n"
    b"Content-Length: 50000\r\n\r\n"
)


def test_a_body_that_stops_is_given_up(live, monkeypatch: pytest.MonkeyPatch) -> None:
    """It said 50,000 bytes, sent 9, and waits; nothing more is waited for before it is answered."""
    monkeypatch.setattr("emotion_llama.serve.middleware.DRAIN_SECONDS", 1e6)
    server = live(body_timeout_seconds=0.3)
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.sendall(SLOW_HEAD + b"--x\r\nConte")
        answer = read_all(connection)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b'"slow_body"' in answer


def test_a_body_that_trickles_is_given_up() -> None:
    """A byte now and then is never silent for long, and would hold its place for hours."""
    seconds, problems = iter(range(100)), []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        try:
            while (await receive()).get("more_body"):
                pass
        except Problem as problem:
            problems.append(problem)

    async def a_byte() -> Any:
        return {"type": "http.request", "body": b"-", "more_body": True}

    async def scene() -> None:
        settings = ServeSettings(body_timeout_seconds=10.0, min_body_bytes_per_second=10_000)
        scope = {"type": "http", "headers": [(b"content-length", b"50000")], "method": "POST", "path": "/v1/analyze"}
        await BodyGuard(app, settings, lambda: float(next(seconds)))(scope, a_byte, a_byte)

    asyncio.run(scene())
    assert [(problem.status, problem.code) for problem in problems] == [(408, "slow_body")]
    assert "slower than 10000 bytes a second" in problems[0].message
    assert next(seconds) == 12  # one look at the clock for each byte: given up with the first beyond ten seconds


def test_a_client_that_goes_away_in_the_middle_leaves_nothing(clean, tone, wait_until) -> None:
    with socket.create_connection(("127.0.0.1", clean.port), timeout=None) as connection:
        connection.sendall(
            b"POST /v1/analyze HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: multipart/form-data; boundary=x\r\n"
            b"Content-Length: 50000\r\n\r\n" + _part("file", tone, "a.wav")[:5000]
        )
        wait_until(lambda: clean.state.uploads == 1)
    wait_until(lambda: clean.state.uploads == 0)
    assert not list(clean.state.uploads_dir.iterdir())


def test_more_bodies_than_are_taken_at_a_time_are_told_to_come_later(live, pool, tone, wait_until) -> None:
    pool.hold = True
    server = live(max_uploads=2)
    statuses: list[int] = []
    threads = [threading.Thread(target=lambda: statuses.append(server.post(tone).status_code)) for _ in range(2)]
    for thread in threads:
        thread.start()
    wait_until(lambda: len(pool.calls) == 2)
    refused = server.post(tone)
    assert refused.status_code == 429
    assert int(refused.headers["retry-after"]) >= 1
    pool.hold = False
    for thread in threads:
        thread.join()
    assert statuses == [200, 200]


def test_of_200_requests_at_once_every_good_one_is_answered(live, pool, tone) -> None:
    """A fifth of them is bad, in five ways."""
    server = live(max_queue=256, max_upload_bytes=50_000)
    bad = [b"", JPEG, tone + bytes(60_000), PLAYLIST, bytes(10)]

    async def one(client, i: int) -> tuple[bool, int, str]:
        is_good = i % 5 != 0
        content = tone if is_good else bad[i // 5 % len(bad)]
        answer = await client.post("/v1/analyze", files={"file": (f"clip-{i}.wav", content)})
        return is_good, answer.status_code, answer.json()["clip"]["path"] if answer.status_code == 200 else ""

    async def all_of_them() -> list[tuple[bool, int, str]]:
        import httpx2

        limits = httpx2.Limits(max_connections=200)
        async with httpx2.AsyncClient(base_url=server.url, timeout=None, limits=limits, trust_env=False) as client:
            return list(await asyncio.gather(*(one(client, i) for i in range(200))))

    answers = asyncio.run(all_of_them())
    assert [(good, status) for good, status, _ in answers if good] == [(True, 200)] * 160
    assert all(400 <= status < 500 for good, status, _ in answers if not good)
    assert [name for good, _, name in answers if good] == [f"clip-{i}.wav" for i in range(200) if i % 5]
    assert pool.finished == 160


LARGE = 100_000  # bytes of a body in JSON that is not kept in memory


def _begin_chat(server: Any, address: str = "127.0.0.1") -> socket.socket:
    """A large chat that is never finished."""
    connection = socket.create_connection(("127.0.0.1", server.port), source_address=(address, 0))
    head = "POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    connection.sendall(f"{head}Content-Length: {4 * LARGE}\r\n\r\n".encode() + b" " * LARGE)
    return connection


def _chat(client: Any, clip: bytes, filling: int = 0) -> Any:
    uri = "data:audio/wav;base64," + base64.b64encode(clip).decode()
    content = [{"type": "video_url", "video_url": {"url": uri}}, {"type": "text", "text": "[emotion]"}]
    body = json.dumps({"messages": [{"role": "user", "content": content}]}) + " " * filling
    return client.post("/v1/chat/completions", content=body, headers={"Content-Type": "application/json"})


def test_unfinished_large_chats_of_one_client_lock_nobody_out(live, pool, tone, wait_until) -> None:
    """Eight unfinished bodies of 32 MiB were held in memory, and every other chat got a 429."""
    document = json.loads(pool.document)
    document["people"][0]["segments"][0]["prediction"].update(label="sad", problem=None)
    pool.document = json.dumps(document)
    server = live(body_timeout_seconds=600.0)
    state = server.state
    with contextlib.ExitStack() as stack:
        for _ in range(LARGE_BODIES_OF_A_CALLER):
            stack.enter_context(_begin_chat(server))
        wait_until(lambda: state.large_bodies["127.0.0.1"] == LARGE_BODIES_OF_A_CALLER)
        on_disk = list(state.uploads_dir.glob("chat-*/body.json"))
        assert len(on_disk) == LARGE_BODIES_OF_A_CALLER
        refused = _chat(server.client, tone, LARGE)
        assert (refused.status_code, refused.json()["error"]["code"]) == (429, "busy")
        assert int(refused.headers["retry-after"]) >= 1
        assert _chat(server.client, tone).status_code == 200  # a small one always gets through
        with httpx2.Client(
            base_url=server.url,
            transport=httpx2.HTTPTransport(local_address="127.0.0.2"),
            timeout=None,
            trust_env=False,
        ) as other:
            assert _chat(other, tone, LARGE).status_code == 200  # a large one of another client as well
    wait_until(lambda: not state.large_bodies)
    wait_until(lambda: not list(state.uploads_dir.iterdir()))
    assert _chat(server.client, tone, LARGE).status_code == 200
    assert not list(state.uploads_dir.iterdir())


def test_json_of_other_routes_is_small(live) -> None:
    """Nothing but a chat has a reason to be large: only there a body goes to disk."""
    answer = live().client.post("/v1/jobs", content=bytes((1 << 20) + 1), headers={"Content-Type": "application/json"})
    assert answer.status_code == 413


def test_no_room_on_the_disk_is_told(live, tone, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk is the server's trouble, and passes."""
    server = live()

    class Full:
        def write(self, data: object) -> int:
            raise OSError(28, "No space left on device")

        def fileno(self) -> int:
            return 0

        def close(self) -> None: ...

    monkeypatch.setattr("emotion_llama.serve.uploads.Path.open", lambda *args, **kwargs: Full())
    monkeypatch.setattr("emotion_llama.serve.uploads.os.fchmod", lambda *args: None)
    answer = server.post(tone)
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "no_room")
