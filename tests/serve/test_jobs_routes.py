"""/v1/jobs over a real socket: from handing in to result, cancelling, failing, giving back, owners."""

import time
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import SecretStr

from emotion_llama.errors import BackendError
from emotion_llama.serve.errors import Busy, ChildDied, ClipRefused
from emotion_llama.serve.jobs import runner as job_runner
from emotion_llama.serve.jobs.store import JobStore

KEYS = ("0123456789abcdef-mine", "0123456789abcdef-yours")


def hand_in(server: Any, tone: bytes, headers: Any = None, **fields: str) -> Any:
    answer = server.client.post("/v1/jobs", files={"file": ("a.wav", tone)}, data=fields, headers=headers)
    assert answer.status_code == 202, answer.text
    return answer.json()


def ended(server: Any, job_id: str) -> Any:
    while True:
        job = server.client.get(f"/v1/jobs/{job_id}").json()
        if job["status"] in ("done", "failed", "cancelled"):
            return job
        time.sleep(0.01)


def test_from_handing_in_to_result(live: Callable[..., Any], pool: Any, tone: bytes, wait_until: Any) -> None:
    server = live(max_job_seconds=9000.0)
    files = {"file": ("../talk.mp4", tone), "transcript": ("a.srt", b"1\n00:00:00,000 --> 00:00:01,000\nHi\n")}
    fields = {"people": "all", "segment": "auto", "format": "html"}
    handed = server.client.post("/v1/jobs", files=files, data=fields)
    assert handed.status_code == 202
    job = handed.json()
    assert handed.headers["location"] == f"/v1/jobs/{job['id']}"
    assert (job["object"], job["status"], job["filename"], job["attempts"]) == ("job", "queued", "talk.mp4", 0)
    assert (job["waiting_before"], job["error"], job["finished_at"]) == (0, None, None)
    assert (job["request"]["model"], job["request"]["people"], job["request"]["segment"]) == ("rules", "all", "auto")
    done = ended(server, job["id"])
    assert (done["status"], done["share"], done["waiting_before"], done["attempts"]) == ("done", 1.0, None, 1)
    assert done["created_at"] <= done["started_at"] <= done["finished_at"]
    call = pool.calls[0]
    assert (call["content"], call["words"][-3:], call["shown_name"], call["mode"]) == (tone, b"Hi\n", "talk.mp4", 0o700)
    assert (call["limits"].max_duration_seconds, call["options"].people) == (9000.0, "all")
    url = f"/v1/jobs/{job['id']}/result"
    page = server.client.get(url)  # as asked for: html
    assert page.text == "<!doctype html>\n<p>the page</p>"
    assert "sandbox" in page.headers["content-security-policy"]
    assert server.client.get(f"{url}?format=json").json()["clip"]["path"] == "talk.mp4"
    assert server.client.get(f"{url}?format=xml").status_code == 422
    wait_until(lambda: not list((server.state.data_dir / "jobs" / "clips").iterdir()))
    assert server.client.get("/metrics").text.count("emotion_llama_jobs_done 1.0") == 1


def test_wrong_requests_make_no_job(live: Callable[..., Any], tone: bytes) -> None:
    server = live()
    for files, fields, status in (
        ({"file": ("a.wav", tone)}, {"model": "other"}, 404),
        ({"file": ("a.wav", tone)}, {"people": "some"}, 422),
        ({"file": ("a.wav", b"%PDF-1.7")}, {}, 415),
        ({"transcript": ("a.srt", b"x")}, {}, 422),
    ):
        answer = server.client.post("/v1/jobs", files=files, data=fields)
        assert answer.status_code == status, answer.text
    assert server.client.get("/v1/jobs").json() == {"object": "list", "data": [], "has_more": False}
    assert list((server.state.data_dir / "jobs" / "clips").iterdir()) == []
    assert server.client.get("/v1/jobs/job-1").status_code == 422
    assert server.client.get(f"/v1/jobs/job-{'0' * 32}").json()["error"]["code"] == "job_not_found"
    assert server.client.get(f"/v1/jobs?after=job-{'0' * 32}").status_code == 404


def test_list_in_pages(live: Callable[..., Any], tone: bytes) -> None:
    server = live()
    ids = [hand_in(server, tone)["id"] for _ in range(3)][::-1]
    first = server.client.get("/v1/jobs?limit=2").json()
    assert ([job["id"] for job in first["data"]], first["has_more"]) == (ids[:2], True)
    second = server.client.get(f"/v1/jobs?limit=2&after={ids[1]}").json()
    assert ([job["id"] for job in second["data"]], second["has_more"]) == (ids[2:], False)


def test_progress_and_results_before_the_end(live: Callable[..., Any], pool: Any, tone: bytes, wait_until: Any) -> None:
    server = live()
    pool.hold = True
    running, waiting = hand_in(server, tone), hand_in(server, tone)
    wait_until(lambda: server.client.get(f"/v1/jobs/{running['id']}").json()["stage"] == "voice")
    job = server.client.get(f"/v1/jobs/{running['id']}").json()
    assert (job["status"], job["share"]) == ("running", 0.5)
    second = server.client.get(f"/v1/jobs/{waiting['id']}").json()
    assert (second["status"], second["waiting_before"]) == ("queued", 0)  # one at a time: half of two children
    early = server.client.get(f"/v1/jobs/{running['id']}/result")
    assert (early.status_code, early.json()["error"]["code"]) == (409, "not_finished")
    assert early.headers["retry-after"] == "2"
    pool.hold = False
    assert ended(server, waiting["id"])["status"] == "done"


def test_cancelled_at_once(live: Callable[..., Any], pool: Any, tone: bytes, wait_until: Any) -> None:
    server = live()
    pool.hold = True
    running, waiting = hand_in(server, tone), hand_in(server, tone)
    wait_until(lambda: pool.calls)
    for job in (waiting, running):
        server.client.post(f"/v1/jobs/{job['id']}/cancel").raise_for_status()
        assert ended(server, job["id"])["status"] == "cancelled"
    assert (pool.cancelled, pool.finished) == (1, 0)
    answer = server.client.get(f"/v1/jobs/{running['id']}/result")
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "cancelled")
    wait_until(lambda: not list((server.state.data_dir / "jobs" / "clips").iterdir()))


def test_deleted_while_it_runs(live: Callable[..., Any], pool: Any, tone: bytes, wait_until: Any) -> None:
    server = live()
    pool.hold = True
    job = hand_in(server, tone)
    wait_until(lambda: pool.calls)
    assert server.client.delete(f"/v1/jobs/{job['id']}").json() == {"id": job["id"], "object": "job", "deleted": True}
    wait_until(lambda: pool.cancelled == 1)
    assert server.client.get(f"/v1/jobs/{job['id']}").status_code == 404
    pool.hold = False
    assert ended(server, hand_in(server, tone)["id"])["status"] == "done"  # the runner goes on


def test_ended_by_another_server(live: Callable[..., Any], pool: Any, tone: bytes, wait_until: Any) -> None:
    """A wish that reaches another server of the same folder is found within a second."""
    server = live()
    pool.hold = True
    job = hand_in(server, tone)
    wait_until(lambda: pool.calls)
    other = JobStore(server.state.data_dir / "jobs")
    other.cancel("local", job["id"])
    other.close()
    assert ended(server, job["id"])["status"] == "cancelled"
    assert pool.cancelled == 1


def test_failures_are_told(live: Callable[..., Any], pool: Any, tone: bytes) -> None:
    server = live()
    pool.error = ClipRefused("the recording is longer than 4 hours", status=413, code="too_long")
    job = ended(server, hand_in(server, tone)["id"])
    assert (job["status"], job["error"]) == (
        "failed", {"message": "the recording is longer than 4 hours", "code": "too_long"},
    )  # fmt: skip
    answer = server.client.get(f"/v1/jobs/{job['id']}/result")
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "too_long")
    assert "failed: the recording is longer" in answer.json()["error"]["message"]
    pool.error = RuntimeError("secret /path of the server")
    job = ended(server, hand_in(server, tone)["id"])
    assert "secret" not in job["error"]["message"]


def test_a_child_that_dies_is_tried_twice(live: Callable[..., Any], pool: Any, tone: bytes) -> None:
    server = live()
    pool.error = ChildDied("ended by signal SIGSEGV")
    job = ended(server, hand_in(server, tone)["id"])
    assert (job["status"], job["error"]["code"], len(pool.calls)) == ("failed", "decoder_died", 2)


def test_a_busy_server_tries_again_later(
    live: Callable[..., Any], pool: Any, tone: bytes, wait_until: Any, monkeypatch: Any
) -> None:
    monkeypatch.setattr(job_runner, "POLL_SECONDS", 0.05)
    server = live()
    pool.error = Busy("clips", 64, 5.0)
    job = hand_in(server, tone)
    wait_until(lambda: len(pool.calls) > 1)
    assert server.client.get(f"/v1/jobs/{job['id']}").json()["status"] in ("queued", "running")
    pool.error = None
    done = ended(server, job["id"])
    assert (done["status"], done["attempts"]) == ("done", 1)


def test_given_back_when_the_server_stops(live: Callable[..., Any], pool: Any, tone: bytes, wait_until: Any) -> None:
    first = live(grace_seconds=0.2)
    pool.hold = True
    job = hand_in(first, tone)
    wait_until(lambda: pool.calls)
    first.client.close()
    first.server.should_exit = True
    first._thread.join()
    assert pool.cancelled == 1
    pool.hold = False
    second = live()
    done = ended(second, job["id"])
    assert (done["status"], done["attempts"]) == ("done", 1)


def test_owners_do_not_see_each_other(live: Callable[..., Any], tone: bytes) -> None:
    server = live(api_keys=tuple(SecretStr(key) for key in KEYS))
    mine, yours = ({"Authorization": f"Bearer {key}"} for key in KEYS)
    url = f"/v1/jobs/{hand_in(server, tone, mine)['id']}"
    assert server.client.get("/v1/jobs", headers=yours).json()["data"] == []
    for method, place in (("GET", ""), ("GET", "/result"), ("POST", "/cancel"), ("DELETE", "")):
        assert server.client.request(method, url + place, headers=yours).status_code == 404
    assert server.client.get(url).status_code == 401
    assert server.client.get(url, headers=mine).status_code == 200


def test_too_many_wait(live: Callable[..., Any], pool: Any, tone: bytes, wait_until: Any) -> None:
    server = live()
    server.state.jobs.store._max_per_owner = 1
    pool.hold = True
    hand_in(server, tone)
    wait_until(lambda: pool.calls)
    hand_in(server, tone)
    answer = server.client.post("/v1/jobs", files={"file": ("a.wav", tone)})
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "60")


def test_jobs_of_another_version_are_told(live: Callable[..., Any], tone: bytes) -> None:
    server = live()
    store = server.state.jobs.store
    filled = store.new_folder()
    (filled / "clip.wav").write_bytes(tone)
    spec = '{"form": {"model": "rules", "unheard_of": 1}, "shown_name": "a", "clip": "clip.wav", "transcript": null}'
    job = store.add("local", spec, filled)
    server.state.jobs.wake()
    while (found := store.get("local", job.id)).status != "failed":
        time.sleep(0.01)
    assert (found.error_code, "submit it again" in (found.error_message or "")) == ("version", True)
    shown = server.client.get(f"/v1/jobs/{job.id}").raise_for_status().json()
    assert (shown["status"], shown["filename"], shown["request"]) == ("failed", "", None)


def test_a_disk_that_fails_for_a_while(
    live: Callable[..., Any], pool: Any, tone: bytes, wait_until: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Claims, reports and house-keeping that cannot be written are tried again; the runner does not end of it."""
    for name in ("POLL_SECONDS", "REPORT_SECONDS", "HOUSEKEEPING_SECONDS"):
        monkeypatch.setattr(job_runner, name, 0.02)
    server = live()
    store = server.state.jobs.store
    failed: list[str] = []

    def failing(name: str) -> Callable[..., Any]:
        real = getattr(store, name)

        def call(*args: Any) -> Any:
            if failed.count(name) < 2:
                failed.append(name)
                raise BackendError("the disk is full")
            return real(*args)

        return call

    for name in ("claim", "report", "expire"):
        monkeypatch.setattr(store, name, failing(name))
    pool.hold = True
    job = hand_in(server, tone)
    wait_until(lambda: sorted(set(failed)) == ["claim", "expire", "report"] and len(failed) == 6)
    pool.hold = False
    assert ended(server, job["id"])["status"] == "done"


def test_an_end_that_cannot_be_written_is_left_to_the_next_server(
    live: Callable[..., Any], pool: Any, tone: bytes, wait_until: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = live()
    tried: list[str] = []

    def full(job_id: str, results: Any) -> None:
        tried.append(job_id)
        raise BackendError("the disk is full")

    monkeypatch.setattr(first.state.jobs.store, "done", full)
    job = hand_in(first, tone)
    wait_until(lambda: tried == [job["id"]])
    assert first.client.get(f"/v1/jobs/{job['id']}").json()["status"] == "running"
    first.client.close()
    first.server.should_exit = True
    first._thread.join()
    done = ended(live(), job["id"])
    assert (done["status"], done["attempts"]) == ("done", 2)
