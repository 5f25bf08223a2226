"""Headers of every answer, and calls by wrong names and from wrong pages."""

import re

import pytest
from pydantic import SecretStr

from emotion_llama.serve.middleware import host_name

KEY = "0123456789abcdef-key"


def test_every_answer_carries_them_errors_too(live, pool, tone) -> None:
    pool.error = RuntimeError("broken")
    server = live()
    answers = [
        server.client.get("/healthz"),
        server.client.get("/nowhere"),
        server.post(tone),
        server.client.get("/", headers={"Host": "evil.example"}),
    ]
    assert [answer.status_code for answer in answers] == [200, 404, 500, 421]
    for answer in answers:
        assert re.fullmatch(r"[0-9a-f]{16}", answer.headers["x-request-id"])
        assert "default-src 'self'" in answer.headers["content-security-policy"]
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["permissions-policy"].startswith("camera=(self), microphone=(self)")
        assert "server" not in answer.headers
    assert server.client.get("/v1/models").headers["cache-control"] == "no-store"


def test_a_request_id_of_strange_characters_is_replaced(live) -> None:
    server = live()
    for given in ("short", "x" * 65, "with space and more"):
        assert server.client.get("/healthz", headers={"X-Request-ID": given}).headers["x-request-id"] != given


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil", "", "127.0.0.1:80:80"])
def test_names_that_are_not_ours_are_refused(live, host) -> None:
    """DNS rebinding: a page of evil.example calls 127.0.0.1 under its own name and would read the answer."""
    answer = live().client.get("/v1/models", headers={"Host": host})
    assert answer.status_code in (400, 421)
    if answer.status_code == 421:
        assert answer.json()["error"]["code"] == "host"


def test_loopbacks_names_are_ours_and_others_when_allowed(live) -> None:
    server = live()
    for host in ("127.0.0.1", "localhost:8000", "LOCALHOST", "[::1]:8000", f"127.0.0.1:{server.port}"):
        assert server.client.get("/healthz", headers={"Host": host}).status_code == 200
    public = live(allowed_hosts=("emotion.example",), api_keys=(SecretStr(KEY),))
    assert public.client.get("/healthz", headers={"Host": "emotion.example"}).status_code == 200
    assert public.client.get("/page/settings.json", headers={"Host": "evil.example"}).status_code == 421
    anywhere = live(host="0.0.0.0", api_keys=(SecretStr(KEY),))
    assert anywhere.client.get("/healthz", headers={"Host": "whatever.example"}).status_code == 200


def test_a_name_that_is_allowed_shuts_out_neither_this_machine_nor_probes(live) -> None:
    """`--allow-host NAME` made 127.0.0.1 and the health probes of an orchestrator, which call by address, a 421."""
    server = live(allowed_hosts=("emotion.example",), api_keys=(SecretStr(KEY),))
    key = {"Authorization": f"Bearer {KEY}"}
    for host in ("emotion.example", f"127.0.0.1:{server.port}", "localhost"):
        assert server.client.get("/v1/models", headers={"Host": host, **key}).status_code == 200
    for path in ("/healthz", "/readyz"):
        assert server.client.get(path, headers={"Host": "10.1.2.3:8000"}).status_code == 200
    assert server.client.get("/v1/models", headers={"Host": "10.1.2.3:8000", **key}).status_code == 421


def test_pages_of_other_origins_cannot_make_the_reader_work(live, pool, tone) -> None:
    server = live()
    own = f"http://127.0.0.1:{server.port}"
    assert server.post(tone, headers={"Origin": own}).status_code == 200
    for origin in ("https://evil.example", "null", f"http://127.0.0.1:{server.port + 1}"):
        answer = server.post(tone, headers={"Origin": origin})
        assert answer.status_code == 403
        assert answer.json()["error"] == {
            "message": "pages of other origins may not call this server; its owner can allow one",
            "type": "permission_error",
            "code": "origin",
            "param": None,
        }
    assert len(pool.calls) == 1
    assert "access-control-allow-origin" not in server.client.get("/healthz", headers={"Origin": own}).headers


def test_an_allowed_origin_may_call_and_read(live, tone) -> None:
    server = live(cors_origins=("https://app.example",))
    preflight = server.client.options(
        "/v1/analyze",
        headers={
            "Origin": "https://app.example",
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "Authorization",
        },
    )
    assert preflight.status_code == 200
    assert preflight.headers["access-control-allow-origin"] == "https://app.example"
    answer = server.post(tone, headers={"Origin": "https://app.example"})
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == "https://app.example"
    assert "access-control-allow-credentials" not in answer.headers
    assert server.post(tone, headers={"Origin": "https://evil.example"}).status_code == 403


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("a.example", "a.example"),
        ("A.example:80", "a.example"),
        ("[::1]", "[::1]"),
        ("[::1]:8000", "[::1]"),
        ("a.example:", "a.example"),
        (":80", ":80"),
        ("", ""),
    ],
)
def test_name_in_a_host_header(header: str, name: str) -> None:
    assert host_name(header) == name
