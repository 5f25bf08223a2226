"""Claims: who is alive, whose work is free, what is refused."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from emotion_llama.errors import InputError
from emotion_llama.merr import claims as module
from emotion_llama.merr.claims import Claims, builders, building, host_name, live_builders, process_start
from emotion_llama.merr.records import ClipRow, StageOutput, StageRun
from emotion_llama.merr.store import Store

TWO = {"a": "1" * 64, "b": "2" * 64}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.create(tmp_path / "build") as store:
        store.put_clips([ClipRow("a", None, None), ClipRow("b", None, None)])
        yield store


@pytest.fixture
def begin(store: Store) -> Iterator[object]:
    """Registers builders, each with a connection of its own."""
    with ExitStack() as stack:

        def one(plan: str = "recipe x") -> Claims:
            own = stack.enter_context(Store.open(store.folder))
            return stack.enter_context(building(own, plan, plan, engine="local", workers=1))

        yield one


def make_dead(store: Store, builder: int) -> None:
    """As if its process had been killed: another one with its number has begun since."""
    with store.transaction() as db:
        db.execute("UPDATE builders SET process_start = 'long ago' WHERE id = ?", (builder,))


def make_foreign(store: Store, builder: int, seconds_ago: float) -> None:
    """As if it ran on another machine and had given its last sign of life a while ago."""
    with store.transaction() as db:
        values = ("elsewhere/boot/pid", time.time() - seconds_ago, builder)
        db.execute("UPDATE builders SET host = ?, heartbeat = ? WHERE id = ?", values)


def test_a_clip_is_claimed_once(begin) -> None:  # type: ignore[no-untyped-def]
    first, second = begin(), begin()
    assert first.session == second.session
    assert first.take("peak", TWO) == ["a", "b"]
    assert second.take("peak", TWO) == []
    assert second.take("evidence", TWO) == ["a", "b"]
    assert second.taken_by_others("peak") == {"a", "b"}
    assert first.taken_by_others("peak") == set()
    first.release()
    assert second.take("peak", TWO) == ["a", "b"]


def test_what_is_done_meanwhile_cannot_be_claimed(store: Store, begin) -> None:  # type: ignore[no-untyped-def]
    """Between planning and claiming, another build may have done it."""
    first = begin()
    store.record(StageRun("a", "peak", "done", "1" * 64, "0" * 64), StageOutput())
    store.record(StageRun("b", "peak", "done", "9" * 64, "0" * 64), StageOutput())  # of other inputs
    assert first.take("peak", TWO) == ["b"]


def test_what_failed_is_claimed_by_the_next_session_only(store: Store, begin) -> None:  # type: ignore[no-untyped-def]
    first = begin()
    store.session = first.session
    store.record(StageRun("a", "peak", "failed", "1" * 64, None, "r"), None)
    store.session = first.session - 1
    store.record(StageRun("b", "peak", "failed", "2" * 64, None, "r"), None)
    assert first.take("peak", TWO) == ["b"]


def test_claims_of_a_process_that_died_are_free_at_once(store: Store, begin) -> None:  # type: ignore[no-untyped-def]
    first = begin()
    first.take("peak", TWO)
    make_dead(store, first.builder)
    assert begin().take("peak", TWO) == ["a", "b"]


@pytest.mark.parametrize(("seconds_ago", "taken"), [(50.0, []), (70.0, ["a", "b"])])
def test_claims_of_another_machine_are_free_when_their_lease_is_over(
    store: Store, begin, seconds_ago: float, taken: list[str]  # type: ignore[no-untyped-def]
) -> None:  # fmt: skip
    first = begin()
    first.take("peak", TWO)
    make_foreign(store, first.builder, seconds_ago)
    assert begin().take("peak", TWO) == taken


def test_a_result_whose_claim_was_taken_over_is_left_out(store: Store, begin) -> None:  # type: ignore[no-untyped-def]
    """A build that was stopped for longer than its lease wakes up: its work is somebody else's by now."""
    first = begin()
    first.take("peak", TWO)
    make_dead(store, first.builder)
    begin().take("peak", {"a": "1" * 64})
    rows = [(StageRun(c, "peak", "done", TWO[c], "0" * 64), StageOutput()) for c in TWO]
    assert store.record_many(rows, builder=first.builder) == [False, False]
    assert store.runs() == []


def test_another_plan_is_refused_while_a_build_is_alive(store: Store, begin) -> None:  # type: ignore[no-untyped-def]
    first = begin()
    expected = (
        rf"another build is running \(pid {os.getpid()} on this machine, since .*: recipe x\); this one is: recipe y"
    )
    with pytest.raises(InputError, match=expected):
        begin("recipe y")
    make_dead(store, first.builder)
    assert begin("recipe y").session != first.session


def test_the_log_of_builds(store: Store) -> None:
    with building(store, "p", "p", engine="local", workers=3) as claims:
        (alive,) = live_builders(store)
        assert (alive.id, alive.pid, alive.workers, alive.ended_at) == (claims.builder, os.getpid(), 3, None)
        claims.enter_phase("peak")
        assert live_builders(store)[0].phase == "peak"
    assert live_builders(store) == []
    with building(store, "p", "p", engine="local", workers=3) as claims:
        claims.was_interrupted = True
    for error, how in ((KeyError, "failed"), (KeyboardInterrupt, "interrupted")):
        with pytest.raises(error), building(store, "p", "p", engine="ray", workers=1):
            raise error
        assert builders(store)[-1].how_ended == how
    make_alive_again(store, builders(store)[-1].id)
    with building(store, "p", "p", engine="local", workers=3):
        pass
    assert [b.how_ended for b in builders(store)] == ["done", "interrupted", "failed", "died", "done"]


def make_alive_again(store: Store, builder: int) -> None:
    with store.transaction() as db:
        db.execute("UPDATE builders SET ended_at = NULL, how_ended = NULL WHERE id = ?", (builder,))
    make_dead(store, builder)


def test_a_builder_gives_signs_of_life(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "HEARTBEAT_SECONDS", 0.02)
    with building(store, "p", "p", engine="local", workers=1) as claims:
        begun = builders(store)[-1].heartbeat
        for _ in range(200):
            time.sleep(0.01)
            if builders(store)[-1].heartbeat > begun:
                break
        assert builders(store)[-1].heartbeat > begun
        assert claims.is_alone()


def test_a_process_is_told_from_another_with_its_number() -> None:
    own = process_start(os.getpid())
    assert own is not None
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        assert process_start(process.pid) not in (None, own)
        process.kill()
        for _ in range(200):  # dead, and not yet waited for: a zombie works no more
            if process_start(process.pid) is None:
                break
            time.sleep(0.01)
        assert process_start(process.pid) is None
    finally:
        process.wait()
    assert process_start(process.pid) is None


def test_a_builder_without_a_process_is_dead(store: Store) -> None:
    with building(store, "p", "p", engine="local", workers=1):
        (alive,) = live_builders(store)
    assert alive.is_alive
    assert not replace(alive, process_start="another").is_alive
    assert not replace(alive, ended_at="now").is_alive
    assert replace(alive, host="elsewhere/x", heartbeat=time.time() - 1).is_alive
    assert replace(alive, host="elsewhere/x").name == f"pid {os.getpid()} on elsewhere"
    assert host_name() == alive.host
