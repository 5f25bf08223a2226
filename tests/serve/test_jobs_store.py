"""Jobs on disk: order, owners, ends of all kinds, what a new server finds, and what it refuses to open."""

import os
import sqlite3
import stat
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from emotion_llama.errors import BackendError, InputError
from emotion_llama.serve.errors import Busy, JobLost, NotFound
from emotion_llama.serve.jobs.database import Job
from emotion_llama.serve.jobs.store import MAX_ATTEMPTS, JobStore


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(tmp_path: Path, clock: Clock) -> Iterator[JobStore]:
    store = JobStore(tmp_path / "jobs", max_queued=4, max_queued_per_owner=3, clock=clock)
    yield store
    store.close()


def hand_in(store: JobStore, owner: str = "me", spec: str = "{}") -> Job:
    filled = store.new_folder()
    (filled / "clip.mp4").write_bytes(b"clip")
    return store.add(owner, spec, filled)


def test_life_of_a_job(store: JobStore, clock: Clock) -> None:
    job = hand_in(store, spec='{"model": "rules"}')
    assert (job.status, job.spec, job.created_at, job.attempts, job.share) == (
        "queued", '{"model": "rules"}', 1000.0, 0, 0.0,
    )  # fmt: skip
    assert (store.clip_folder(job.id) / "clip.mp4").read_bytes() == b"clip"
    clock.now = 1010.0
    claimed = store.claim()
    assert claimed is not None
    assert (claimed.id, claimed.status, claimed.started_at, claimed.worker) == (job.id, "running", 1010.0, store.worker)
    assert store.report(job.id, "faces", 0.25)
    assert (store.get("me", job.id).stage, store.get("me", job.id).share) == ("faces", 0.25)
    clock.now = 1030.0
    store.done(job.id, {"json": '{"a": "é"}', "html": "<p>"})
    done = store.get("me", job.id)
    assert (done.status, done.finished_at, done.share, done.worker) == ("done", 1030.0, 1.0, None)
    assert store.result("me", job.id, "json") == '{"a": "é"}'.encode()
    assert store.result("me", job.id, "html") == b"<p>"
    assert not store.clip_folder(job.id).exists()


def test_oldest_first_and_each_once(store: JobStore) -> None:
    ids = [hand_in(store).id for _ in range(3)]
    assert [store.waiting_before(job_id) for job_id in ids] == [0, 1, 2]
    claimed = [store.claim() for _ in range(4)]
    assert [job and job.id for job in claimed] == [*ids, None]
    assert store.counts() == {"queued": 0, "running": 3, "done": 0, "failed": 0, "cancelled": 0}


def test_owners_do_not_see_each_other(store: JobStore) -> None:
    mine, theirs = hand_in(store), hand_in(store, "you")
    assert [job.id for job in store.of_owner("me")] == [mine.id]
    for call in (
        lambda: store.get("me", theirs.id),
        lambda: store.result("me", theirs.id, "json"),
        lambda: store.cancel("me", theirs.id),
        lambda: store.delete("me", theirs.id),
        lambda: store.of_owner("me", after=theirs.id),
        lambda: store.get("me", "../../etc"),
    ):
        with pytest.raises(NotFound, match="there is no job"):
            call()
    with pytest.raises(NotFound, match="there is no job"):
        store.clip_folder("../../etc")
    assert store.get("you", theirs.id).status == "queued"


def test_list_in_pages(store: JobStore) -> None:
    ids = [hand_in(store).id for _ in range(3)][::-1]
    first = store.of_owner("me", limit=2)
    assert [job.id for job in first] == ids[:2]
    assert [job.id for job in store.of_owner("me", limit=2, after=first[-1].id)] == ids[2:]


def test_bounded(store: JobStore, tmp_path: Path) -> None:
    for _ in range(3):
        hand_in(store)
    with pytest.raises(Busy, match="3 jobs are waiting already"):
        hand_in(store)
    hand_in(store, "you")
    with pytest.raises(Busy, match="4 jobs are waiting already") as caught:
        hand_in(store, "third")
    assert caught.value.retry_after_seconds == 60
    assert len(list((tmp_path / "jobs" / "clips").iterdir())) == 4  # nothing is left of what was refused
    store.claim()
    hand_in(store, "you")  # one that runs does not wait


def test_cancel_waiting_and_running(store: JobStore, clock: Clock) -> None:
    waiting, running = hand_in(store), hand_in(store)
    assert store.claim().id == waiting.id  # type: ignore[union-attr]
    waiting, running = running, waiting
    clock.now = 1005.0
    ended = store.cancel("me", waiting.id)
    assert (ended.status, ended.finished_at) == ("cancelled", 1005.0)
    assert not store.clip_folder(waiting.id).exists()
    asked = store.cancel("me", running.id)
    assert (asked.status, asked.is_cancelling) == ("running", True)
    assert not store.report(running.id, "faces", 0.5)  # the worker hears of it here
    store.cancelled(running.id)
    assert store.get("me", running.id).status == "cancelled"
    assert store.cancel("me", running.id).status == "cancelled"  # a second time changes nothing
    assert store.claim() is None


def test_failed(store: JobStore) -> None:
    job = hand_in(store)
    store.claim()
    store.failed(job.id, "damaged", "the file is damaged")
    failed = store.get("me", job.id)
    assert (failed.status, failed.error_code, failed.error_message) == ("failed", "damaged", "the file is damaged")
    assert store.result("me", job.id, "json") is None
    assert not store.clip_folder(job.id).exists()


def test_deleted_while_it_runs(store: JobStore) -> None:
    job = hand_in(store)
    store.claim()
    store.delete("me", job.id)
    assert not store.report(job.id, "faces", 0.5)
    for call in (
        lambda: store.done(job.id, {"json": "{}"}),
        lambda: store.failed(job.id, "x", "y"),
        lambda: store.cancelled(job.id),
        lambda: store.give_back(job.id),
    ):
        with pytest.raises(JobLost, match=job.id):
            call()
    assert store.counts()["done"] == 0
    with pytest.raises(NotFound, match="deleted"):
        store.get("me", job.id)


def test_given_back_is_first_again_and_no_attempt(store: JobStore) -> None:
    first, second = hand_in(store), hand_in(store)
    store.claim()
    store.give_back(first.id)
    again = store.claim()
    assert again is not None
    assert (again.id, again.attempts) == (first.id, 1)
    assert store.claim().id == second.id  # type: ignore[union-attr]


def test_given_back_after_a_wish_to_end(store: JobStore) -> None:
    job = hand_in(store)
    store.claim()
    store.cancel("me", job.id)
    store.give_back(job.id)
    assert store.get("me", job.id).status == "cancelled"
    assert store.claim() is None


def test_expires(store: JobStore, clock: Clock) -> None:
    old, new, waiting = hand_in(store), hand_in(store), hand_in(store)
    for job in (old, new):
        store.claim()
        store.done(job.id, {"json": "{}"})
        clock.now += 100.0
    assert store.expire(150.0) == 1  # done at 1000 and 1100, now 1200
    with pytest.raises(NotFound, match="expired"):
        store.result("me", old.id, "json")
    assert {job.id for job in store.of_owner("me")} == {new.id, waiting.id}


def test_next_server_takes_over(tmp_path: Path, clock: Clock) -> None:
    first = JobStore(tmp_path, clock=clock)
    running, cancelling, waiting = (hand_in(first) for _ in range(3))
    first.claim()
    first.claim()
    first.cancel("me", cancelling.id)
    second = JobStore(tmp_path, clock=clock)
    assert second.recover() == 0  # the first one lives
    assert second.get("me", running.id).worker == first.worker
    first.close()  # what it had was neither finished nor given back
    assert second.recover() == 1
    assert second.get("me", running.id).status == "queued"
    assert second.get("me", cancelling.id).status == "cancelled"
    assert not second.clip_folder(cancelling.id).exists()
    assert [second.claim().id, second.claim().id] == [running.id, waiting.id]  # type: ignore[union-attr]
    assert second.get("me", running.id).attempts == 2
    second.close()


def test_what_brings_servers_down_is_not_tried_for_ever(tmp_path: Path) -> None:
    first = JobStore(tmp_path)
    job = hand_in(first)
    first.close()
    for attempt in range(1, MAX_ATTEMPTS + 1):
        store = JobStore(tmp_path)
        assert store.recover() == (1 if attempt > 1 else 0)
        assert store.claim().attempts == attempt  # type: ignore[union-attr]
        store.close()
    store = JobStore(tmp_path)
    assert store.recover() == 0
    failed = store.get("me", job.id)
    assert (failed.status, failed.error_code) == ("failed", "interrupted")
    assert failed.error_message == "the server ended 10 times while it worked on this; submit it again"
    store.close()


def test_strays_go_when_they_are_old(tmp_path: Path) -> None:
    store = JobStore(tmp_path)
    job = hand_in(store)
    fresh, old, orphan = store.new_folder(), store.new_folder(), store.clip_folder("job-" + "0" * 32)
    orphan.mkdir()
    finished = hand_in(store)
    store.cancel("me", finished.id)
    store.clip_folder(finished.id).mkdir()  # as if the server had ended between the row and the clip
    for path in (old, orphan, store.clip_folder(job.id)):
        os.utime(path, (time.time() - 7200,) * 2)
    store.recover()
    left = {path.name for path in (tmp_path / "clips").iterdir()}
    assert left == {job.id, fresh.name}
    store.close()


def test_private(tmp_path: Path) -> None:
    store = JobStore(tmp_path / "jobs")
    job = hand_in(store)
    folders = [tmp_path / "jobs", tmp_path / "jobs" / "clips", tmp_path / "jobs" / "workers", store.clip_folder(job.id)]
    assert {stat.S_IMODE(path.stat().st_mode) for path in folders} == {0o700}
    assert stat.S_IMODE((tmp_path / "jobs" / "jobs.sqlite").stat().st_mode) == 0o600
    store.close()


def test_other_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "jobs.sqlite").write_text("this is no database, whatever its name says " * 9)
    with pytest.raises(InputError, match="cannot hold jobs"):
        JobStore(tmp_path / "text")
    (tmp_path / "other").mkdir()
    other = sqlite3.connect(tmp_path / "other" / "jobs.sqlite")
    other.execute("CREATE TABLE t (x)")
    other.commit()
    other.close()
    with pytest.raises(InputError, match="not a job file of this version"):
        JobStore(tmp_path / "other")
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot hold jobs"):
        JobStore(tmp_path / "file")


def test_a_lost_file_is_told(tmp_path: Path) -> None:
    store = JobStore(tmp_path)
    hand_in(store)
    other = sqlite3.connect(tmp_path / "jobs.sqlite")
    other.execute("DROP TABLE results")
    other.execute("DROP TABLE jobs")
    other.commit()
    other.close()
    with pytest.raises(BackendError, match="the jobs cannot be read or written"):
        store.claim()
    with pytest.raises(BackendError, match="the jobs cannot be read or written"):
        store.of_owner("me")
    filled = store.new_folder()
    filled.rmdir()
    with pytest.raises(BackendError, match="the job cannot be kept"):
        store.add("me", "{}", filled)
    store.close()
