"""The executor: what is done, what is done again after a change and what is not, failures, drops, interruption."""

import shutil
import signal
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from toy_stages import ImportsNothing, Toy, ToySet, calls, facts, write_clips, write_one

from emotion_llama.errors import InputError
from emotion_llama.merr import build as building
from emotion_llama.merr import ingest
from emotion_llama.merr.build import build, interruptible
from emotion_llama.merr.engine import EngineOptions
from emotion_llama.merr.recipe import Recipe
from emotion_llama.merr.records import ClipRow, Field, Provenance, StageRun
from emotion_llama.merr.stage import Stage, StageOutput
from emotion_llama.merr.status import BuildTally, Progress
from emotion_llama.merr.store import Store

RECIPE = Recipe()


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    return write_clips(tmp_path / "clips", 5)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log"


class Builds:
    """Builds of one folder, with the calls that each of them made."""

    def __init__(self, clips: Path, out: Path, log: Path) -> None:
        self.clips, self.out, self.log = clips, out, log

    def __call__(self, *stages: Stage, limit: int | None = None) -> tuple[BuildTally, list[str]]:
        self.log.unlink(missing_ok=True)
        logged = [replace(stage, log=self.log) for stage in stages]  # type: ignore[type-var]
        tally = build([self.clips], self.out, RECIPE, stages=logged, limit=limit, options=EngineOptions(workers=1))
        return tally, calls(self.log)

    def values(self, name: str) -> dict[str, object]:
        with Store.open(self.out, read_only=True) as store:
            return {s.clip.clip_id: s.value(name) for s in store.samples() if (name, "") in s.fields}


@pytest.fixture
def builds(tmp_path: Path, clips: Path, log: Path) -> Builds:
    return Builds(clips, tmp_path / "out", log)


IDS = [f"c{i:02}" for i in range(5)]
CHAIN = (Toy("a", word="A"), Toy("b", ("a",), word="B"), Toy("c", ("b",), word="C"), Toy("d", ("a",), word="D"))


def of(phase: str, tally: BuildTally) -> tuple[int, int, int, int]:
    """Done, skipped, dropped, failed."""
    (found,) = [p for p in tally.phases if p.name == phase]
    return (
        found.done, found.skipped, sum([*found.dropped.values(), *found.dropped_fine.values()]),
        sum(found.failed.values()),
    )  # fmt: skip


def test_every_stage_sees_every_clip_once_with_what_it_needs(builds: Builds) -> None:
    tally, made = builds(*CHAIN)
    assert made == [f"{stage} {clip_id}" for stage in "abcd" for clip_id in IDS]
    assert builds.values("c") == dict.fromkeys(IDS, "(b=(a=()A)B)C")
    assert builds.values("d") == dict.fromkeys(IDS, "(a=()A)D")
    assert [of(name, tally) for name in ("ingest", "a", "d")] == [(5, 0, 0, 0)] * 3
    assert (tally.clips, tally.failed, tally.was_interrupted) == (5, 0, False)
    assert tally.wall_seconds > 0


def test_a_second_build_does_nothing(builds: Builds) -> None:
    builds(*CHAIN)
    before = facts(builds.out)
    tally, made = builds(*CHAIN)
    assert made == []
    assert [of(name, tally) for name in ("ingest", "a", "d")] == [(0, 5, 0, 0)] * 3
    assert facts(builds.out) == before


def test_a_change_does_again_what_depends_on_it_and_nothing_else(builds: Builds) -> None:
    builds(*CHAIN)
    _, made = builds(CHAIN[0], replace(CHAIN[1], word="X"), *CHAIN[2:])
    assert made == [f"{stage} {clip_id}" for stage in "bc" for clip_id in IDS]
    assert builds.values("c")["c03"] == "(b=(a=()A)X)C"
    _, made = builds(CHAIN[0], replace(CHAIN[1], word="X"), CHAIN[2], replace(CHAIN[3], version=2))
    assert made == [f"d {clip_id}" for clip_id in IDS]


def test_a_change_without_effect_goes_no_further(builds: Builds) -> None:
    """Early cut-off: b looks at a and puts out the same again, so that c, which looks at b, is not run."""
    stages = (Toy("a", word="1"), Toy("b", ("a",), ignores=("a",)), Toy("c", ("b",)))
    builds(*stages)
    _, made = builds(replace(stages[0], word="2"), *stages[1:])
    assert made == [f"{stage} {clip_id}" for stage in "ab" for clip_id in IDS]
    assert builds.values("c") == dict.fromkeys(IDS, "(b=())")  # still there, and seen


def test_what_a_change_made_stale_is_not_seen_before_it_is_made_again(builds: Builds) -> None:
    builds(*CHAIN)
    changed = (replace(CHAIN[0], word="X", bad=dict.fromkeys(IDS, "media")), *CHAIN[1:])
    tally, _ = builds(*changed)
    assert of("a", tally) == (0, 0, 0, 5)
    assert builds.values("b") == builds.values("c") == builds.values("d") == {}


def test_a_clip_that_comes_back_brings_its_work(builds: Builds) -> None:
    """A threshold raised and lowered again: what was made of the dropped clip is taken up, not made again."""
    builds(*CHAIN)
    tally, made = builds(replace(CHAIN[0], bad={"c01": "drop"}), *CHAIN[1:])
    assert made == [f"a {clip_id}" for clip_id in IDS]  # whose settings changed; the others' output did not
    assert of("a", tally) == (4, 0, 1, 0)
    assert of("b", tally) == (0, 4, 0, 0)
    assert sorted(builds.values("d")) == ["c00", "c02", "c03", "c04"]
    _, made = builds(*CHAIN)
    assert made == [f"a {clip_id}" for clip_id in IDS]
    assert sorted(builds.values("d")) == IDS


def test_a_dropped_clip_goes_no_further_but_one_dropped_from_the_fine_part_does(builds: Builds) -> None:
    tally, made = builds(Toy("a", bad={"c01": "drop", "c02": "drop fine"}), Toy("b", ("a",)))
    assert [call for call in made if call.startswith("b")] == ["b c00", "b c02", "b c03", "b c04"]
    phase = tally.phases[1]
    assert (phase.dropped, phase.dropped_fine, phase.done) == (
        {"no strong expression": 1}, {"no strong expression": 1}, 3,
    )  # fmt: skip
    _, made = builds(Toy("a", bad={"c01": "drop", "c02": "drop fine"}), Toy("b", ("a",)))
    assert made == []


def test_failures_are_counted_by_reason_and_tried_again_by_the_next_build(builds: Builds) -> None:
    bad = {"c00": "media", "c01": "media", "c02": "refused", "c03": "bug", "c04": "fail once"}
    stages = (Toy("a", bad=bad), Toy("b", ("a",)))
    tally, made = builds(*stages)
    assert {reason: n for reason, n in tally.phases[1].failed.items() if "Key" not in reason} == {
        "the video stream is damaged": 2,
        "not this time": 1,
        "refused": 1,
    }
    (fault,) = [reason for reason in tally.phases[1].failed if "Key" in reason]
    assert fault.startswith("unexpected KeyError: 'missing_key' (toy_stages.py:")
    assert tally.failed == 5
    assert made == [f"a {clip_id}" for clip_id in IDS]
    with Store.open(builds.out) as store:
        reasons = {run.clip_id: run.reason for run in store.runs("a")}
    assert reasons["c00"] == "the video stream is damaged; repair it"  # without the path
    assert reasons["c02"] == "refused: the server will not say"

    tally, made = builds(*stages)
    assert made == [*(f"a {clip_id}" for clip_id in IDS), "b c04"]
    assert of("a", tally) == (1, 0, 0, 4)
    with Store.open(builds.out) as store:
        assert {run.clip_id: run.attempts for run in store.runs("a")} == dict.fromkeys(IDS, 2)
        assert len(store.failures()) == 9  # five, and four again


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("nan", "unexpected output: Out of range float values are not JSON compliant"),
        ("lambda", "unexpected output: Object of type function is not JSON serializable"),
    ],
)
def test_an_output_that_cannot_be_stored_is_a_failure_of_its_clip(builds: Builds, how: str, reason: str) -> None:
    tally, _ = builds(Toy("a", bad={"c03": how}))
    assert of("a", tally) == (4, 0, 0, 1)
    (said,) = tally.phases[1].failed
    assert said.startswith(reason)


# --- stages over the whole set


def test_a_set_stage_sees_the_clips_that_came_through_in_order(builds: Builds) -> None:
    stages = (Toy("a", bad={"c01": "drop", "c03": "media"}), ToySet("s", ("a",), keep=2), Toy("b", ("s",)))
    tally, made = builds(*stages)
    assert builds.values("s") == {"c00": "0", "c02": "1"}
    assert of("s", tally) == (2, 0, 1, 0)
    assert made[5:] == ["s -", "b c00", "b c02"]
    _, made = builds(*stages)
    assert made == ["a c03"]  # which fails again


def test_a_set_stage_runs_again_when_any_of_its_clips_changes(builds: Builds) -> None:
    stages = (Toy("a", bad={"c03": "fail once"}), ToySet("s", ("a",)), Toy("b", ("s",)))
    builds(*stages)
    _, made = builds(*stages)
    assert made == ["a c03", "s -", "b c03", "b c04"]  # c04 has another number now; the first three have theirs
    assert builds.values("s") == {clip_id: str(place) for place, clip_id in enumerate(IDS)}


def test_a_fault_in_a_set_stage_is_told_of_its_clips(builds: Builds) -> None:
    tally, _ = builds(ToySet("s", bug=True), Toy("b", ("s",)))
    (reason,) = tally.phases[1].failed
    assert reason.startswith("unexpected ZeroDivisionError: nothing to divide (toy_stages.py:")
    assert of("s", tally) == (0, 0, 0, 5)
    assert of("b", tally) == (0, 0, 0, 0)


# --- inputs that change


def test_a_file_that_changed_is_done_again_and_no_other(builds: Builds) -> None:
    builds(*CHAIN)
    write_one(builds.clips / "c02.mp4", 200)
    tally, made = builds(*CHAIN)
    assert made == [f"{stage} c02" for stage in "abcd"]
    assert of("ingest", tally) == (1, 4, 0, 0)


def test_a_file_that_is_gone_leaves_the_totals_and_is_told_of(builds: Builds, tmp_path: Path) -> None:
    builds(*CHAIN)
    (builds.clips / "c02.mp4").rename(tmp_path / "kept.mp4")
    tally, made = builds(*CHAIN)
    assert made == []
    assert tally.clips == 4
    assert tally.set_aside == {"no longer among the inputs": 1}
    assert sorted(builds.values("d")) == ["c00", "c01", "c03", "c04"]
    (tmp_path / "kept.mp4").rename(builds.clips / "c02.mp4")
    tally, made = builds(*CHAIN)
    assert made == []  # back with all that was made of it
    assert (tally.clips, tally.set_aside) == (5, {})
    assert sorted(builds.values("d")) == IDS


def test_a_folder_that_was_moved_is_not_done_again(builds: Builds, tmp_path: Path) -> None:
    builds(*CHAIN)
    builds.clips = builds.clips.rename(tmp_path / "moved")
    tally, made = builds(*CHAIN)
    assert made == []
    assert (tally.clips, tally.set_aside) == (5, {})
    with Store.open(builds.out) as store:
        assert store.clip("c00").path == str(tmp_path / "moved" / "c00.mp4")


def test_new_files_join(builds: Builds) -> None:
    builds(*CHAIN)
    write_clips(builds.clips, 2, first=5)
    tally, made = builds(*CHAIN)
    assert made == [f"{stage} {clip_id}" for stage in "abcd" for clip_id in ("c05", "c06")]
    assert tally.clips == 7


def test_the_limit_takes_the_first_and_sets_the_others_aside(builds: Builds) -> None:
    tally, made = builds(CHAIN[0], limit=2)
    assert made == ["a c00", "a c01"]
    assert (tally.clips, tally.set_aside) == (2, {})
    tally, made = builds(CHAIN[0])
    assert made == ["a c02", "a c03", "a c04"]
    (builds.clips / "c04.mp4").unlink()
    tally, made = builds(CHAIN[0], limit=2)
    assert made == []
    assert tally.set_aside == {"beyond the limit": 2, "no longer among the inputs": 1}
    with pytest.raises(InputError, match="the limit must be 1 clip or more, got 0"):
        builds(CHAIN[0], limit=0)


def test_duplicates_and_unreadable_files_are_counted_and_go_no_further(builds: Builds) -> None:
    shutil.copy(builds.clips / "c00.mp4", builds.clips / "x.mp4")
    (builds.clips / "broken.mp4").write_bytes(b"no video")
    tally, made = builds(CHAIN[0])
    ingest = tally.phases[0]
    assert (ingest.done, ingest.dropped) == (5, {"same bytes as another clip": 1})
    assert sum(ingest.failed.values()) == 1
    assert made == [f"a {clip_id}" for clip_id in IDS]
    assert tally.clips == 7


def test_what_could_not_be_read_and_is_gone_is_forgotten(builds: Builds) -> None:
    """A path that was misspelt is not carried along for ever."""
    (builds.clips / "broken.mp4").write_bytes(b"no video")
    assert builds(CHAIN[0])[0].clips == 6
    (builds.clips / "broken.mp4").unlink()
    tally, _ = builds(CHAIN[0])
    assert (tally.clips, tally.set_aside) == (5, {})


def test_only_what_a_stage_reads_of_the_clip_makes_it_run_again(builds: Builds, tmp_path: Path) -> None:
    """Labels that are added later do not measure the clips again."""
    stages = (Toy("a"), Toy("b", ("a",), reads_clip=("given_label",)))
    table = tmp_path / "clips.csv"
    builds.clips = table.parent / "clips.csv"
    rows = [f"{tmp_path / 'clips' / clip_id}.mp4" for clip_id in IDS]
    table.write_text("path\n" + "\n".join(rows) + "\n")
    builds(*stages)
    table.write_text("path,label\n" + "\n".join(f"{row},{'happy' * (i == 1)}" for i, row in enumerate(rows)) + "\n")
    _, made = builds(*stages)
    assert made == ["b c01"]
    assert builds.values("b")["c01"] == "(a=() happy)"


def test_imported_runs_stay_as_they_are(builds: Builds) -> None:
    given = Provenance("imported", "MERR_fine_grained.json")
    with Store.create(builds.out) as store:
        store.put_clips([ClipRow("sample_1", None, None, stated_frame_count=35)])
        imported = StageRun("sample_1", "b", "done", "imported:x", "0" * 64)
        store.record(imported, StageOutput((Field("b", "as published", given),)))
    tally, made = builds(Toy("a", bad={"sample_1": "media"}), Toy("b", ("a",)), Toy("c", ("b",)))
    assert [call for call in made if "sample" in call] == ["a sample_1", "c sample_1"]
    assert builds.values("b")["sample_1"] == "as published"
    assert builds.values("c")["sample_1"] == "(b=as published)"
    assert tally.clips == 6


# --- artifacts


def test_artifacts_reach_the_stages_that_ask_and_old_ones_are_pruned(builds: Builds) -> None:
    stages = (Toy("a", artifact_bytes=100), Toy("b", ("a",), reads_artifacts=("a_file",)))
    builds(*stages)
    assert builds.values("b") == dict.fromkeys(IDS, "(a=() a_file:100)")
    builds(replace(stages[0], artifact_bytes=40, word="!"), stages[1])
    assert builds.values("b")["c00"] == "(a=()! a_file:40)"
    assert len(list((builds.out / "artifacts").rglob("*.bin"))) == 5


def test_an_artifact_that_is_lost_between_builds_is_made_again(builds: Builds) -> None:
    stages = (Toy("a", artifact_bytes=100), Toy("b", ("a",), reads_artifacts=("a_file",)))
    builds(*stages)
    before = facts(builds.out)
    with Store.open(builds.out) as store:
        (builds.out / store.sample("c03").artifacts["a_file"]).unlink()
    _, made = builds(*stages)
    assert made == ["a c03"]  # and no further: it came out the same
    assert facts(builds.out) == before


def test_an_artifact_with_other_bytes_is_noticed_when_it_is_read(builds: Builds) -> None:
    stages = (Toy("a", artifact_bytes=100), Toy("b", ("a",), reads_artifacts=("a_file",)))
    builds(*stages)
    before = facts(builds.out)
    with Store.open(builds.out) as store:
        (builds.out / store.sample("c03").artifacts["a_file"]).write_bytes(b"x" * 100)
    changed = replace(stages[1], version=2)
    tally, made = builds(stages[0], changed)
    assert "b c03" not in made
    assert tally.phases[2].failed == {"lost artifact": 1}
    _, made = builds(*stages)
    assert sorted(made) == ["a c03", *(f"b {clip_id}" for clip_id in IDS)]
    assert facts(builds.out) == before


# --- stopping


class Stop(Progress):
    """Sends a signal when the first clip of a phase is through."""

    def __init__(self, phase: str, number: signal.Signals = signal.SIGTERM) -> None:
        self.at, self.number, self.phase = phase, number, ""

    def begin(self, phase: str, total: int, already: int) -> None:
        self.phase = phase

    def advance(self, done: int, failed: int) -> None:
        if self.phase == self.at and done == 1:
            self.phase = ""
            signal.raise_signal(self.number)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_begins_no_clip_and_keeps_what_is_done_and_in_work(builds: Builds, number: signal.Signals) -> None:
    slow = (Toy("a"), Toy("b", ("a",), pool="thread"), ToySet("s", ("b",)))
    tally = build(
        [builds.clips], builds.out, RECIPE, progress=Stop("b", number),
        stages=[replace(s, log=builds.log) for s in slow], options=EngineOptions(workers=1, in_flight=1),
    )  # fmt: skip
    assert tally.was_interrupted
    assert [phase.name for phase in tally.phases] == ["ingest", "a", "b"]  # and not s, which needs all
    phase = tally.phases[2]
    assert (phase.done, phase.waiting) == (2, 3)  # the second clip was in work
    assert sorted(builds.values("b")) == ["c00", "c01"]
    assert signal.getsignal(number) is not None  # handed back
    tally, made = builds(*slow)
    assert not tally.was_interrupted
    assert sorted(made) == ["b c02", "b c03", "b c04", "s -"]


@pytest.mark.parametrize("pool", ["thread", "process"])
def test_an_interrupt_does_not_wait_for_what_hangs(builds: Builds, pool: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(building, "GRACE_SECONDS", 0.1)
    stages = [Toy("b", pool=pool, bad=dict.fromkeys(IDS[1:], "hang"))]  # for 1,000 s
    options = EngineOptions(workers=2, in_flight=2)
    tally = build([builds.clips], builds.out, RECIPE, progress=Stop("b"), stages=stages, options=options)
    assert tally.was_interrupted
    assert (tally.phases[1].done, tally.phases[1].waiting) == (1, 4)
    assert sorted(builds.values("b")) == ["c00"]


def test_an_interrupt_while_files_are_taken_in_waits_for_none_of_the_others(
    builds: Builds, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = []

    def slow(row: Any, drop: Any, part: Any) -> Any:
        taken.append(row.clip_id)
        time.sleep(0.02)
        return take_in(row, drop, part)

    take_in = ingest.take_in
    monkeypatch.setattr(ingest, "take_in", slow)

    class Impatient(Progress):
        def advance(self, done: int, failed: int) -> None:
            if done == 1:
                signal.raise_signal(signal.SIGINT)

    write_clips(builds.clips, 45, first=5)
    tally = build(
        [builds.clips], builds.out, RECIPE, stages=CHAIN, progress=Impatient(), options=EngineOptions(workers=2)
    )
    assert tally.was_interrupted
    assert len(taken) < 10
    assert [(phase.name, phase.done) for phase in tally.phases] == [("ingest", 0)]
    monkeypatch.undo()
    assert builds(*CHAIN)[0].clips == 50


def test_a_second_interrupt_is_not_held_back() -> None:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with interruptible() as interrupted:
            # To this thread: a signal to the process may be taken by another thread, and this one notices later.
            signal.raise_signal(signal.SIGINT)
            assert interrupted()
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)


def test_in_another_thread_nothing_is_caught() -> None:
    before, seen = signal.getsignal(signal.SIGINT), []

    def work() -> None:
        with interruptible() as interrupted:
            seen.append((interrupted(), signal.getsignal(signal.SIGINT)))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [(False, before)]


# --- several at once


def test_a_second_build_waits_its_turn(builds: Builds) -> None:
    """Whatever it would build, also the same again."""
    refused: list[str] = []

    class Meanwhile(Progress):
        def advance(self, done: int, failed: int) -> None:
            if not refused:
                with pytest.raises(InputError, match=r"another build is running there \(pid \d+ on") as caught:
                    build([builds.clips], builds.out, RECIPE, stages=CHAIN)
                refused.append(str(caught.value))

    tally = build([builds.clips], builds.out, RECIPE, stages=CHAIN, limit=2, progress=Meanwhile())
    assert (tally.clips, tally.failed) == (2, 0)
    assert ": recipe " in refused[0]
    assert " of clips, limit 2); wait for it, stop it, or give another --out" in refused[0]
    assert builds(*CHAIN)[0].clips == 5


def test_a_stage_that_cannot_be_read_by_workers_fails_its_clips(builds: Builds) -> None:
    tally, _ = builds(ImportsNothing("a", pool="process"))
    (reason,) = tally.phases[1].failed
    assert reason.startswith("unexpected ModuleNotFoundError: No module named 'other_machine'")
    assert of("a", tally) == (0, 0, 0, 5)
