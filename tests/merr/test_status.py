"""Status and progress: every clip counted once in every phase, also while a build runs; rate and time left."""

from pathlib import Path

import pytest
from toy_stages import Toy, ToySet, write_clips

from emotion_llama.cli.progress import PhaseClock, clock_time
from emotion_llama.merr.build import build
from emotion_llama.merr.engine import EngineOptions
from emotion_llama.merr.recipe import Recipe
from emotion_llama.merr.records import StageRun
from emotion_llama.merr.status import BuildStatus, Progress, build_status, reason_group, tally_phase
from emotion_llama.merr.store import Store

STAGES = [
    Toy("a", bad={"c00": "media", "c01": "drop", "c02": "drop fine"}),
    ToySet("s", ("a",), keep=4),
    Toy("b", ("s",)),
]


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    return write_clips(tmp_path / "clips", 8)


def status_of(out: Path) -> BuildStatus:
    with Store.open(out, read_only=True) as store:
        return build_status(store)


def counts(status: BuildStatus) -> dict[str, tuple[int, ...]]:
    """Done, dropped, dropped from the fine part, failed, running, waiting, elsewhere."""
    return {
        p.name: (p.done, sum(p.dropped.values()), sum(p.dropped_fine.values()), sum(p.failed.values()), p.running,
                 p.waiting, p.elsewhere)
        for p in status.phases
    }  # fmt: skip


def test_every_clip_is_counted_once_in_every_phase(clips: Path, tmp_path: Path) -> None:
    build([clips], tmp_path / "out", Recipe(), stages=STAGES)
    status = status_of(tmp_path / "out")
    assert counts(status) == {
        "ingest": (8, 0, 0, 0, 0, 0, 0),
        "a": (5, 1, 1, 1, 0, 0, 0),
        "s": (4, 2, 0, 0, 0, 0, 2),
        "b": (4, 0, 0, 0, 0, 0, 4),
    }
    assert status.phases[1].failed == {"the video stream is damaged": 1}
    assert (status.clips, status.failures, status.running) == (8, 1, ())
    assert status.last is not None
    assert status.last.how_ended == "done"
    assert not status.is_complete  # a clip failed


def test_a_build_without_failures_is_complete(clips: Path, tmp_path: Path) -> None:
    build([clips], tmp_path / "out", Recipe(), stages=[Toy("a", bad={"c01": "drop"})])
    assert status_of(tmp_path / "out").is_complete


def test_status_is_right_while_a_build_runs(clips: Path, tmp_path: Path) -> None:
    out, seen = tmp_path / "out", []

    class Asking(Progress):
        def advance(self, done: int, failed: int) -> None:
            seen.append(status_of(out))

    stages = [Toy("a", bad={"c01": "drop"}), Toy("b", ("a",), pool="thread", seconds=0.02), ToySet("s", ("b",))]
    build([clips], out, Recipe(), stages=stages, options=EngineOptions(in_flight=2), progress=Asking())
    assert seen[0].running[0].phase == "ingest"
    busy = [counts(status) for status in seen if status.running and status.running[0].phase == "b"]
    assert len(busy) >= 4
    for phase in busy:
        assert phase["a"] == (7, 1, 0, 0, 0, 0, 0)
        done, running, waiting = phase["b"][0], phase["b"][4], phase["b"][5]
        assert done + waiting == 7
        assert running <= 2
        assert phase["b"][6] == 1  # the dropped one never comes
        assert phase["s"][5:] == (7, 1)
    assert max(phase["b"][4] for phase in busy) == 2
    assert status_of(out).running == ()


def test_before_the_first_build_there_is_nothing(tmp_path: Path) -> None:
    Store.create(tmp_path / "out").close()
    status = status_of(tmp_path / "out")
    assert (status.clips, status.phases, status.last, status.failures) == (0, (), None, 0)


def test_what_a_changed_recipe_has_still_to_do_is_waiting(clips: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    build([clips], out, Recipe(), stages=[Toy("a"), Toy("b", ("a",))])
    build(
        [clips],
        out,
        Recipe(),
        stages=[Toy("a", word="x", bad=dict.fromkeys(("c00", "c01"), "media")), Toy("b", ("a",))],
    )
    assert counts(status_of(out))["b"] == (6, 0, 0, 0, 0, 0, 2)


# --- counting


def test_reasons_are_counted_by_what_they_have_in_common() -> None:
    assert reason_group("timeout: no answer after 3 s") == "timeout"
    # One line for each file's name, and one for each number, once hid what had happened.
    assert reason_group("/u/a.csv: no such file; expected a CSV") == "no such file"
    assert reason_group("C:\\u\\a.csv: no such file: x") == "no such file"
    assert reason_group("the file is empty (0 bytes); copy it again") == "the file is empty"
    assert reason_group("the video stream is damaged; repair it") == "the video stream is damaged"
    assert reason_group("unexpected KeyError: 'x' (y.py:3); please report it") == "unexpected KeyError: 'x' (y.py:3)"
    runs = [StageRun(f"c{i}", "a", "failed", "f", None, f"timeout: {i} s") for i in range(3)]
    runs += [
        StageRun("d", "a", "dropped", "f", "0", "same bytes as another clip: c0", "all"),
        StageRun("e", "a", "done", "f", "0"),
    ]
    tally = tally_phase("a", runs, frozenset())
    assert (tally.failed, tally.dropped, tally.skipped, tally.done) == (
        {"timeout": 3}, {"same bytes as another clip": 1}, 1, 0,
    )  # fmt: skip
    assert tally_phase("a", runs, frozenset("e")).done == 1


# --- progress


def test_rate_and_time_left() -> None:
    """10 of 40 clips were done before; 6 more in 12 s are one in 2 s, and 24 are left: 48 s."""
    moments = iter([100.0, 112.0, 160.0])
    clock = PhaseClock("evidence", 40, 10, lambda: next(moments))
    assert clock.line(16, 1) == "evidence 16/40 · 30.0 clips/min · 0:48 left · 1 failed"
    assert clock.line(40, 0) == "evidence 40/40 · 30.0 clips/min · in 1:00"


def test_a_rate_over_too_few_clips_is_not_told() -> None:
    moments = iter([0.0, 1.0, 0.5, 1.0])
    assert PhaseClock("evidence", 40, 10, lambda: next(moments)).line(12, 0) == "evidence 12/40"
    assert PhaseClock("subtitle", 6, 0, lambda: next(moments)).line(3, 0) == "subtitle 3/6 · 6.0 clips/s · 0:00 left"


@pytest.mark.parametrize(("seconds", "text"), [(0.4, "0:00"), (59.6, "1:00"), (3599.0, "59:59"), (3723.0, "1:02:03")])
def test_clock_times(seconds: float, text: str) -> None:
    assert clock_time(seconds) == text


def test_what_a_build_tells(clips: Path, tmp_path: Path) -> None:
    told: list[tuple[object, ...]] = []

    class Listening(Progress):
        def begin(self, phase: str, total: int, already: int) -> None:
            told.append((phase, total, already))

        def advance(self, done: int, failed: int) -> None:
            told.append((done, failed))

    build([clips], tmp_path / "out", Recipe(), stages=[Toy("a", bad={"c00": "media"})], progress=Listening())
    assert told[0] == ("ingest", 8, 0)
    assert told[1:9] == [(i, 0) for i in range(1, 9)]
    assert told[9] == ("a", 8, 0)
    assert told[10] == (8, 1)
    told.clear()
    build([clips], tmp_path / "out", Recipe(), stages=[Toy("a", bad={"c00": "media"})], progress=Listening())
    assert told[9:11] == [("a", 8, 7), (8, 1)]
