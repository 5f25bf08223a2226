"""The analyze route and what surrounds it, over a real socket and around a stand-in for the children."""

import asyncio
import contextlib
import json
import re
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from emotion_llama.errors import AnnotationError, BackendError, InputError, MediaError
from emotion_llama.serve.analysis import seconds_by_stage
from emotion_llama.serve.errors import Busy, ChildDied, ClipRefused


def _events(text: str) -> list[tuple[str, Any]]:
    found = []
    for block in text.strip().split("\n\n"):
        if not block.startswith(":"):
            name, data = re.fullmatch(r"event: (\w+)\ndata: (.*)", block).groups()  # type: ignore[union-attr]
            found.append((name, json.loads(data)))
    return found


def test_a_clip_comes_back_as_the_published_document_under_its_clients_name(live, pool, tone, document) -> None:
    server = live()
    answer = server.post(tone, name="C:\\clips\\Grüße.wav", subtitle="Hello", people="all", segment="auto")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    expected = json.loads(document)
    expected["clip"]["path"] = "Grüße.wav"
    assert answer.json() == expected
    (call,) = pool.calls
    assert call["content"] == tone
    assert call["mode"] == 0o700
    assert re.fullmatch(r"[0-9a-f]{16}\.wav", call["path"].name)
    assert (call["options"].subtitle, call["options"].people, call["options"].segment) == ("Hello", "all", "auto")
    assert (call["model"], call["html"], call["curves"]) == (None, False, True)
    assert call["limits"].max_duration_seconds == 600.0
    assert not list(server.state.uploads_dir.iterdir())


def test_seconds_page_and_transcript(live, pool, tone) -> None:
    server = live()
    files = {"file": ("a.wav", tone), "transcript": ("words.SRT", b"1\n00:00:00,000 --> 00:00:00,400\nHi\n")}
    fields = {"segment": "0.5", "format": "html", "curves": "false", "peak_rule": "label"}
    answer = server.client.post("/v1/analyze", files=files, data=fields)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "sandbox" in answer.headers["content-security-policy"]
    assert "the page" in answer.text
    (call,) = pool.calls
    assert call["options"].segment == 0.5
    assert call["options"].peak_rule == "label"
    assert call["options"].transcript.suffix == ".srt"
    assert call["words"].endswith(b"Hi\n")
    assert not call["curves"]


def test_stages_come_as_events_and_the_document_last(live, tone) -> None:
    answer = live().post(tone, headers={"Accept": "text/event-stream"}, format="html")
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    events = _events(answer.text)
    assert [name for name, _ in events] == ["progress", "page", "result"]
    assert events[0][1] == {"stage": "voice", "share": 0.5}
    assert "the page" in events[1][1]["html"]
    assert events[2][1]["clip"]["path"] == "talk.wav"


def test_an_error_after_the_answer_began_is_an_event(live, pool, tone) -> None:
    pool.error = ClipRefused("the recording has 700 s, at most 600 are taken", 413, "too_long")
    server = live()
    answer = server.post(tone, headers={"Accept": "text/event-stream"})
    assert answer.status_code == 200
    name, data = _events(answer.text)[-1]
    assert name == "error"
    assert data["error"]["code"] == "too_long"
    assert not list(server.state.uploads_dir.iterdir())


@pytest.mark.parametrize(
    ("error", "status", "code", "told"),
    [
        (ClipRefused("the recording has 700 s", 413, "too_long"), 413, "too_long", "700 s"),
        (ChildDied("ended by signal SIGSEGV"), 422, "decoder_died", "SIGSEGV"),
        (Busy("clips", 64, 7.2), 429, "busy", "64 clips"),
        (MediaError("/srv/x", "no stream in it"), 422, "damaged", "no stream in it"),
        (InputError("words come from one place"), 422, "option", "one place"),
        (AnnotationError("refused", "the model will not say"), 502, "refused", "will not say"),
        (BackendError("/secret/folder is gone"), 503, "unavailable", "does not work at the moment"),
        (RuntimeError("/secret/folder"), 500, None, "X-Request-ID"),
    ],
)
def test_each_error_has_its_status_and_tells_nothing_of_the_inside(
    live, pool, tone, caplog, error, status, code, told
) -> None:
    pool.error = error
    server = live()
    answer = server.post(tone, headers={"X-Request-ID": "abc-12345"})
    assert answer.status_code == status
    body = answer.json()
    assert set(body) == {"error"}
    assert set(body["error"]) == {"message", "type", "code", "param"}
    assert body["error"]["code"] == code
    assert told in body["error"]["message"]
    assert "/secret" not in answer.text
    assert "/srv" not in answer.text
    assert "Traceback" not in answer.text
    assert answer.headers["x-request-id"] == "abc-12345"
    if status == 429:
        assert answer.headers["retry-after"] == "8"  # 7.2 s, in whole seconds
    if status == 500:
        assert "abc-12345" in caplog.text
    assert not list(server.state.uploads_dir.iterdir())


def test_unknown_things_are_told_in_the_same_form(live, tone) -> None:
    server = live()
    for answer, status, type_ in (
        (server.client.get("/v1/nothing"), 404, "not_found_error"),
        (server.client.put("/v1/analyze"), 405, "invalid_request_error"),
        (server.client.get("/v1/models/gpt"), 404, "not_found_error"),
        (server.post(tone, model="gpt"), 404, "not_found_error"),
    ):
        assert answer.status_code == status
        assert answer.json()["error"]["type"] == type_
    assert server.post(tone, model="gpt").json()["error"]["code"] == "model_not_found"
    assert "GET /openapi.json" in server.client.get("/v1/nothing").json()["error"]["message"]
    refused = server.client.put("/v1/analyze")
    assert "the header Allow" in refused.json()["error"]["message"]
    assert refused.headers["allow"] == "POST"
    # It was the first route's method alone: GET, or POST.
    file, files = (server.client.put(path) for path in (f"/v1/files/file-{'0' * 32}", "/v1/files"))
    assert (file.headers["allow"], files.headers["allow"]) == ("GET, DELETE", "GET, POST")


def test_a_field_of_several_kinds_names_all_that_would_be_taken(live, tone) -> None:
    # A segment of 0.2 s was told to be 'none' or 'auto', though numbers are taken as well.
    message = live().post(tone, segment="0.2").json()["error"]["message"]
    assert message == ("segment: Input should be 'none' or 'auto', or: Input should be greater than or equal to 0.5")


@pytest.mark.parametrize(
    ("content", "param", "told"),
    [
        # It was "messages.0.content.constrained-str: Input should be a valid string" for each of these.
        ([{"type": "text", "text": "x" * 16_001}], "messages.0.content.0.text", "at most 16000 characters"),
        ([{"type": "text"}], "messages.0.content.0.text", "Field required"),
        ([{"type": "file", "file": {"path": "/x"}}], "messages.0.content.0.file.path", "not permitted"),
        ([{"type": "picture"}], "messages.0.content.0", "'text', 'video_url', 'file', 'input_audio'"),
        (5, "messages.0.content", "valid string"),
    ],
)
def test_a_wrong_message_is_told_by_the_names_that_were_sent(live, content, param, told) -> None:
    body = {"messages": [{"role": "user", "content": content}]}
    answer = live().client.post("/v1/chat/completions", json=body)
    assert answer.status_code == 422
    assert answer.json()["error"]["param"] == param
    assert answer.json()["error"]["message"].startswith(f"{param}: ")
    assert told in answer.json()["error"]["message"]


def test_a_body_that_is_no_json_is_told_with_its_place(live) -> None:
    headers = {"Content-Type": "application/json"}
    error = live().client.post("/v1/chat/completions", content=b'{"n":2,', headers=headers).json()["error"]
    assert error["message"].startswith("the body is not JSON: ")
    assert error["message"].endswith("(character 7)")
    assert error["param"] is None


def test_what_is_wrong_with_a_query_keeps_its_name(live) -> None:
    error = live().client.get("/v1/jobs", params={"limit": "many"}).json()["error"]
    assert error["param"] == "limit"
    assert error["message"].startswith("limit: ")


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"people": "nobody"}, "people"),
        ({"segment": "0.2"}, "segment"),
        ({"segment": "nan"}, "segment"),
        ({"curves": "perhaps"}, "curves"),
        ({"format": "xml"}, "format"),
        ({"subtitle": "x" * 20_001}, "subtitle"),
    ],
)
def test_options_that_do_not_fit_are_named(live, pool, tone, fields, param) -> None:
    answer = live().post(tone, **fields)
    assert answer.status_code == 422
    assert answer.json()["error"]["param"] == param
    assert pool.calls == []


def test_a_client_that_goes_away_ends_the_work(live, pool, tone, wait_until) -> None:
    pool.hold = True
    server = live()
    for headers in ({}, {"Accept": "text/event-stream"}):
        calls, before = len(pool.calls), pool.cancelled
        files = {"file": ("a.wav", tone)}
        server.leave("/v1/analyze", lambda calls=calls: len(pool.calls) > calls, files=files, headers=headers)
        wait_until(lambda before=before: pool.cancelled == before + 1)
        wait_until(lambda: not list(server.state.uploads_dir.iterdir()))
        wait_until(lambda: server.state.uploads == 0)
    pool.hold = False
    assert server.post(tone).status_code == 200


def test_stages_are_read_from_the_front_of_a_document(document) -> None:
    expected = json.loads(document)
    assert seconds_by_stage(document) == expected["seconds_by_stage"]
    assert seconds_by_stage(json.dumps(expected, indent=1)) == expected["seconds_by_stage"]
    # A client's file name cannot pass for them.
    expected["clip"]["path"] = '","seconds_by_stage":{"evil":1.0},"x":"'
    assert seconds_by_stage(json.dumps(expected, separators=(",", ":"))) == expected["seconds_by_stage"]
    assert seconds_by_stage('{"seconds_by_stage": {"faces": 1, "x": 2, "voice": "a"}}') == {"faces": 1.0}
    for broken in ("{}", '{"seconds_by_stage": nonsense', '{"seconds_by_stage": 3}'):
        with pytest.raises(ChildDied, match="sent no document"):
            seconds_by_stage(broken)


def test_models_health_and_figures(live, pool, tone) -> None:
    server = live(models={"rules": "rules", "other": "rules"}, default_model="other")
    assert server.client.get("/healthz").json() == {"status": "alive"}
    assert server.client.get("/readyz").json() == {"status": "ready", "children": 2, "waiting": 0}
    listed = server.client.get("/v1/models").json()
    assert [(card["id"], card["is_default"], card["reads"]) for card in listed["data"]] == [
        ("rules", False, "measurements"),
        ("other", True, "measurements"),
    ]
    assert server.client.get("/v1/models/rules").json() == listed["data"][0]
    server.post(tone)
    server.post(b"no media", name="x.mp4")
    server.client.get("/some/path/4711")
    text = server.client.get("/metrics").text
    assert 'emotion_llama_requests_total{method="POST",route="/v1/analyze",status="200"} 1.0' in text
    assert 'emotion_llama_requests_total{method="POST",route="/v1/analyze",status="415"} 1.0' in text
    assert 'emotion_llama_requests_total{method="GET",route="none",status="404"} 1.0' in text
    assert 'emotion_llama_stage_seconds_count{stage="voice"} 1.0' in text
    assert "emotion_llama_pool_replaced_total 3.0" in text
    assert "4711" not in text


def test_a_server_that_is_to_stop_is_not_ready_and_finishes_what_runs(live, pool, tone, wait_until) -> None:
    pool.hold = True
    server = live(grace_seconds=10.0)
    answers: list[int] = []
    thread = threading.Thread(target=lambda: answers.append(server.post(tone).status_code))
    thread.start()
    wait_until(lambda: pool.calls)
    server.server.handle_exit(15, None)
    assert server.state.is_ready is False
    wait_until(lambda: not _accepts(server))
    pool.hold = False
    thread.join()
    assert answers == [200]


@pytest.mark.parametrize("is_stubborn", [False, True])
def test_clients_that_still_wait_at_the_end_of_the_grace_are_told_so(
    live, pool, tone, wait_until, caplog, is_stubborn: bool
) -> None:
    """They got a plain "Internal Server Error", and the log a traceback."""
    pool.hold, pool.is_stubborn = True, is_stubborn
    server = live(grace_seconds=0.0)
    answers: list[Any] = []
    threads = [threading.Thread(target=lambda: answers.append(server.post(tone))) for _ in range(2)]
    stream = {"Accept": "text/event-stream"}
    threads.append(threading.Thread(target=lambda: answers.append(_streamed(server, tone, stream))))
    for thread in threads[: 2 if is_stubborn else 3]:
        thread.start()
    wait_until(lambda: len(pool.calls) == (2 if is_stubborn else 3))
    server.server.handle_exit(15, None)
    for thread in threads[: 2 if is_stubborn else 3]:
        thread.join()
    for answer in answers:
        if isinstance(answer, str):
            assert _events(answer)[-1][1]["error"]["code"] == "stopping"
            continue
        assert answer.status_code == 503
        assert answer.json()["error"]["code"] == "stopping"
        assert int(answer.headers["retry-after"]) >= 1
        assert "x-request-id" in answer.headers
    assert "Traceback" not in caplog.text
    assert pool.closed[-1] == 0.0


def _streamed(server: Any, tone: bytes, headers: dict[str, str]) -> str:
    text: str = server.post(tone, headers=headers).text
    return text


def test_all_that_is_closed_has_one_grace_together(live) -> None:
    """Requests, jobs, children and models had 20 s each: `--grace 20` took 44 s."""
    server = live(grace_seconds=1000.0)
    state, given = server.state, []

    class Service:
        async def close(self, grace_seconds: float) -> None:
            given.append(grace_seconds)

    assert state.seconds_left == 1000.0
    state.stop()
    first = state.stops_at
    state.stop()
    assert state.stops_at == first
    assert state.seconds_left <= 1000.0
    state.stops_at = 0.0
    assert state.seconds_left == 0.0
    state.engine = Service()
    asyncio.run(state.give_up())
    assert given == [0.0]
    state.engine = None


def test_too_many_connections_are_told_in_json(live, monkeypatch: pytest.MonkeyPatch, wait_until) -> None:
    """It was uvicorn's "Service Unavailable", without a form and without the headers of all other answers."""
    server = live()
    assert server.client.get("/healthz").status_code == 200
    monkeypatch.setattr("emotion_llama.serve.middleware.MAX_CONNECTIONS", 2)
    with contextlib.ExitStack() as stack:
        for _ in range(2):
            stack.enter_context(socket.create_connection(("127.0.0.1", server.port)))
        wait_until(lambda: len(server.server.server_state.connections) == 3)
        refused = server.client.get("/v1/models")
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "busy")
    assert refused.headers["retry-after"] == "2"
    assert "x-request-id" in refused.headers
    wait_until(lambda: len(server.server.server_state.connections) == 1)
    assert server.client.get("/v1/models").status_code == 200


def _accepts(server: Any) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", server.port), timeout=1):
            return True
    except OSError:
        return False


def test_a_temporary_folder_goes_with_the_server_and_a_given_one_stays(
    live: Callable[..., Any], tmp_path: Path
) -> None:
    temporary, given = live(data_dir=None), live(data_dir=tmp_path / "kept")
    folder = temporary.state.data_dir
    assert folder.stat().st_mode & 0o777 == 0o700
    assert given.state.data_dir.stat().st_mode & 0o777 == 0o700
    temporary.close()
    given.close()
    assert not folder.exists()
    assert (tmp_path / "kept").is_dir()
    assert not list((tmp_path / "kept").glob("server-*"))
