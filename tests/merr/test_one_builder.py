"""One build at a time in a folder: who holds the lock, who is refused, what is left of a build that was killed."""

import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from emotion_llama.errors import InputError
from emotion_llama.merr.records import ClipRow, StageRun
from emotion_llama.merr.stage import StageOutput
from emotion_llama.merr.store import Store
from emotion_llama.merr.store.builds import at_work, building, builds, is_building

# Holds the folder's lock until it is killed.
HOLD = """
import sys, time
from pathlib import Path
from emotion_llama.merr.store import Store
from emotion_llama.merr.store.builds import building
with Store.open(Path(sys.argv[1])) as store, building(store, "recipe x", engine="local", workers=1):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.create(tmp_path / "build") as store:
        store.put_clips([ClipRow("a", None, None)])
        yield store


@pytest.fixture
def holder(store: Store) -> Iterator[subprocess.Popen[str]]:
    """Another process that builds in the folder."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(store.folder)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_a_second_build_is_refused_and_says_who_builds(store: Store, holder: subprocess.Popen[str]) -> None:
    assert is_building(store.folder)
    expected = rf"another build is running there \(pid {holder.pid} on {platform.node()}, since .*: recipe x\)"
    with (
        pytest.raises(InputError, match=expected),
        Store.open(store.folder) as own,
        building(own, "recipe y", engine="local", workers=1),
    ):
        pass
    assert [build.plan for build in builds(store)] == ["recipe x"]


def test_a_build_that_was_killed_holds_up_nobody(store: Store, holder: subprocess.Popen[str]) -> None:
    holder.kill()
    holder.wait()
    assert not is_building(store.folder)
    assert builds(store)[-1].how_ended is None  # nobody could write it down
    with building(store, "recipe y", engine="local", workers=1):
        assert is_building(store.folder)
        assert [(build.how_ended, build.plan) for build in builds(store)] == [("died", "recipe x"), (None, "recipe y")]


def test_two_builds_of_one_process_are_kept_apart_too(store: Store) -> None:
    with (
        building(store, "p", engine="local", workers=1),
        Store.open(store.folder) as other,
        pytest.raises(InputError, match=rf"another build is running there \(pid {os.getpid()} on"),
        building(other, "p", engine="local", workers=1),
    ):
        pass


def test_the_log_of_builds(store: Store) -> None:
    with building(store, "p", engine="local", workers=3):
        at_work(store, "peak", 2)
        (build,) = builds(store)
        assert (build.id, build.pid, build.workers, build.phase, build.running) == (
            store.session, os.getpid(), 3, "peak", 2,
        )  # fmt: skip
    assert not is_building(store.folder)
    with building(store, "p", engine="local", workers=3, interrupted=lambda: True):
        pass
    for error in (KeyError, KeyboardInterrupt):
        with pytest.raises(error), building(store, "p", engine="ray", workers=1):
            raise error
    log = builds(store)
    assert [build.how_ended for build in log] == ["done", "interrupted", "failed", "interrupted"]
    assert all(build.phase is None and build.running == 0 and build.ended_at for build in log)


def test_runs_carry_the_build_that_made_them(store: Store) -> None:
    for number in (1, 2):
        with building(store, "p", engine="local", workers=1):
            store.record(StageRun("a", f"stage{number}", "done", "f", "0"), StageOutput())
    assert [run.session for run in store.runs()] == [1, 2]
