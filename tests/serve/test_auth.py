"""Keys, owners, rates: who may call, checked before the body is read."""

import asyncio
import hashlib
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from pydantic import SecretStr

from emotion_llama.errors import InputError
from emotion_llama.serve.auth import is_guarded, owner_of, read_keys
from emotion_llama.serve.start import HEAD_SECONDS, TimedConnection

KEY = "0123456789abcdef-key"
OTHER = "fedcba9876543210-key"


def _with(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def test_without_a_key_only_pages_and_health_answer(live, pool, tone) -> None:
    server = live(api_keys=(SecretStr(KEY), SecretStr(OTHER)))
    for path in ("/v1/models", "/metrics", "/v1/analyze", "/v1/anything"):
        answer = server.client.get(path)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == "Bearer"
        assert answer.json()["error"]["code"] == "invalid_api_key"
    assert server.post(tone).status_code == 401
    assert server.client.get("/healthz").status_code == 200
    assert server.client.get("/readyz").status_code == 200
    assert server.client.get("/openapi.json").status_code == 200
    for headers in (
        _with("wrong-key-of-length"),
        _with(KEY + "x"),
        {"Authorization": f"Basic {KEY}"},
        {"Authorization": "Bearer"},
    ):
        assert server.client.get("/v1/models", headers=headers).status_code == 401
    for key in (KEY, OTHER):
        assert server.client.get("/v1/models", headers=_with(key)).status_code == 200
    assert server.post(tone, headers=_with(KEY)).status_code == 200
    assert len(pool.calls) == 1


def test_a_wrong_key_is_told_before_the_body_is_sent(live) -> None:
    """curl asks leave for a large body (Expect: 100-continue): nothing of it is asked for."""
    server = live(api_keys=(SecretStr(KEY),))
    head = "POST /v1/analyze HTTP/1.1\nHost: 127.0.0.1\nContent-Type: multipart/form-data; boundary=x\n"
    answer = server.raw(f"{head}Content-Length: 100000000\nExpect: 100-continue\nConnection: close\n", timeout=None)
    assert answer.startswith(b"HTTP/1.1 401 ")
    assert b"100 Continue" not in answer


def test_guessing_keys_is_slowed_down(live) -> None:
    server = live(api_keys=(SecretStr(KEY),))
    statuses = [server.client.get("/v1/models", headers=_with(f"{i:020d}")).status_code for i in range(40)]
    # 30 a minute, and the bucket fills by one in two seconds.
    assert statuses[:30] == [401] * 30
    assert statuses.count(429) >= 8
    assert server.client.get("/v1/models", headers=_with(KEY)).status_code == 200


def test_a_rate_is_each_keys_own(live) -> None:
    server = live(api_keys=(SecretStr(KEY), SecretStr(OTHER)), rate_per_minute=3)
    statuses = [server.client.get("/v1/models", headers=_with(KEY)).status_code for _ in range(4)]
    assert statuses == [200, 200, 200, 429]
    refused = server.client.get("/v1/models", headers=_with(KEY))
    assert 1 <= int(refused.headers["retry-after"]) <= 20  # one token in 20 s
    assert refused.json()["error"]["type"] == "rate_limit_error"
    assert server.client.get("/v1/models", headers=_with(OTHER)).status_code == 200
    assert server.client.get("/healthz").status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "guarded"),
    [
        ("GET", "/", False),
        ("GET", "/page/app.js", False),
        ("HEAD", "/healthz", False),
        ("POST", "/anything", True),
        ("DELETE", "/page/app.js", True),
        ("GET", "/v1/jobs", True),
        ("GET", "/v1", True),
        ("GET", "/metrics", True),
        ("GET", "/metrics/", True),
        ("OPTIONS", "/v1/analyze", False),
    ],
)
def test_what_needs_a_key(method: str, path: str, guarded: bool) -> None:
    assert is_guarded(method, path) is guarded


def test_a_token_keeps_other_accounts_out_and_owns_nothing(live, tone) -> None:
    """Any account of the machine could call a server on loopback. Files are there after a start with another token."""
    server = live(token=SecretStr(KEY))
    assert server.client.get("/v1/models").status_code == server.client.get("/metrics").status_code == 401
    assert server.client.get("/v1/models", headers=_with(OTHER)).status_code == 401
    assert server.client.get("/").status_code == 200
    assert server.client.get("/page/settings.json").json()["needs_key"] is False  # the link holds it
    assert server.post(tone, headers=_with(KEY)).status_code == 200
    assert server.state.settings.token is not None
    assert KEY not in repr(server.state.settings)


def test_owner_is_a_hash() -> None:
    assert owner_of(SecretStr(KEY)) == hashlib.sha256(KEY.encode()).hexdigest()[:16]


def test_keys_come_from_file_and_environment(tmp_path: Path) -> None:
    file = tmp_path / "keys.txt"
    file.write_text(f"# ours\n{KEY}\n\n  {OTHER}  \n")
    assert [k.get_secret_value() for k in read_keys(file, f"{KEY}, third-key-of-length ,")] == [
        KEY,
        "third-key-of-length",
        OTHER,
    ]
    assert read_keys(None, None) == ()
    file.write_text("# none\n")
    with pytest.raises(InputError, match="holds none; give one a line"):
        read_keys(file, None)
    with pytest.raises(InputError, match="cannot be read"):
        read_keys(tmp_path / "missing", None)


class StubTransport(asyncio.Transport):
    """A connection without a network."""

    def __init__(self) -> None:
        super().__init__()
        self.sent = b""
        self.is_closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.sent += bytes(data)

    def close(self) -> None:
        self.is_closed = True

    def is_closing(self) -> bool:
        return self.is_closed

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


def test_head_of_a_request_that_never_ends_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """A timer runs exactly while a head is awaited: before the first byte, within it, and before the next request."""

    async def scene() -> None:
        loop = asyncio.get_running_loop()
        timers: list[asyncio.TimerHandle] = []

        def call_later(seconds: float, action: Any, *args: Any) -> asyncio.TimerHandle:
            handle = asyncio.TimerHandle(loop.time() + seconds, action, args, loop)
            if seconds == HEAD_SECONDS:
                timers.append(handle)
            return handle

        monkeypatch.setattr(loop, "call_later", call_later)
        config = uvicorn.Config(_answer_alive, http=TimedConnection, lifespan="off", log_level="error")
        config.load()
        server_state = uvicorn.server.ServerState()
        for begun in (b"", b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-A: b"):
            connection, transport = TimedConnection(config, server_state, {}), StubTransport()
            connection.connection_made(transport)
            if begun:
                connection.data_received(begun)
            assert not timers[-1].cancelled()
            timers[-1]._run()
            assert transport.is_closed
            connection.connection_lost(None)
        count = len(timers)
        connection, transport = TimedConnection(config, server_state, {}), StubTransport()
        connection.connection_made(transport)
        for number in (1, 2):
            connection.data_received(b"GET /healthz")
            assert len(timers) == count + number
            assert not timers[-1].cancelled()
            connection.data_received(b" HTTP/1.1\r\nHost: a\r\n\r\n")
            assert timers[-1].cancelled()  # the head is complete: its answer may take as long as it wants
            await asyncio.gather(*server_state.tasks)
            assert transport.sent.count(b"alive") == number
        connection.data_received(b"GE")
        assert not timers[-1].cancelled()
        connection.connection_lost(None)
        assert timers[-1].cancelled()

    asyncio.run(scene())


async def _answer_alive(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"5")]})
    await send({"type": "http.response.body", "body": b"alive"})
