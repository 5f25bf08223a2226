"""Engines: workers that die, hang or go wrong cost their own clip only; back-pressure; Ray gives what local gives."""

import multiprocessing
import os
import pickle
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from toy_stages import Toy, ToySet, facts, write_clips

from emotion_llama.errors import BackendError, InputError, MissingDependency
from emotion_llama.merr import engine as local
from emotion_llama.merr import ray_engine as ray_module
from emotion_llama.merr.build import build, load_engine
from emotion_llama.merr.engine import EngineOptions, LocalEngine
from emotion_llama.merr.ray_engine import RayEngine
from emotion_llama.merr.recipe import Recipe
from emotion_llama.merr.records import ClipRow
from emotion_llama.merr.stage import Done, Stage, StageInput, StageOutput, run_guarded

IDS = [f"c{i:02}" for i in range(8)]


# A clip may take as long as it lasts: one without length counts as hanging at once, the others never.
LIMITS = {"limit_seconds": 0.5, "limit_factor": 1.0}


def inputs(*clip_ids: str, short: str = "") -> list[StageInput]:
    return [
        StageInput(ClipRow(c, f"/{c}.mp4", "5a" * 32, duration_seconds=0.0 if c == short else 600.0))
        for c in clip_ids or IDS
    ]


def results(engine: LocalEngine, stage: Stage, items: list[StageInput] | None = None) -> dict[str, Done]:
    done = [one for some in engine.run(stage, iter(inputs() if items is None else items)) for one in some]
    assert len({one.clip_id for one in done}) == len(done)  # each clip once
    return {one.clip_id: one for one in done}


def reason(done: Done) -> str:
    assert isinstance(done.result, str)
    return done.result


@pytest.fixture
def engine() -> Iterator[LocalEngine]:
    with LocalEngine(EngineOptions(workers=2, in_flight=3, **LIMITS)) as engine:
        yield engine


@pytest.mark.parametrize("pool", ["inline", "thread", "main", "process"])
def test_every_pool_gives_the_same(engine: LocalEngine, pool: str) -> None:
    done = results(engine, Toy("a", pool=pool, word="!", bad={"c02": "media"}))  # type: ignore[arg-type]
    assert sorted(done) == IDS
    assert reason(done["c02"]) == "the video stream is damaged; repair it"
    for clip_id in IDS[3:]:
        result = done[clip_id].result
        assert isinstance(result, StageOutput)
        assert [(f.name, f.value) for f in result.fields] == [("a", "()!")]


def test_a_worker_that_dies_costs_the_clip_that_it_held(engine: LocalEngine) -> None:
    done = results(engine, Toy("a", pool="process", bad={"c01": "exit", "c04": "kill"}))
    assert reason(done["c01"]) == "died: its worker process ended (exit code 3)"
    assert reason(done["c04"]) == "died: its worker process ended (SIGKILL); the machine may be short of memory"
    assert sorted(clip_id for clip_id, one in done.items() if isinstance(one.result, str)) == ["c01", "c04"]
    again = results(engine, Toy("b", pool="process"))  # the pool is whole again
    assert not any(isinstance(one.result, str) for one in again.values())


def test_a_worker_that_dies_with_several_clips_is_given_them_one_by_one(engine: LocalEngine) -> None:
    done = results(engine, Toy("a", pool="process", batch_size=4, bad={"c01": "exit"}))
    assert sorted(done) == IDS
    assert [clip_id for clip_id, one in done.items() if isinstance(one.result, str)] == ["c01"]


@pytest.mark.parametrize(
    ("pool", "said"),
    [("process", "timeout: not done after 0 s, its worker was ended"), ("thread", "timeout: no answer after 0 s")],
)
def test_a_clip_that_hangs_has_a_time_limit(engine: LocalEngine, pool: str, said: str) -> None:
    done = results(engine, Toy("a", pool=pool, bad={"c01": "hang"}), inputs(short="c01"))  # type: ignore[arg-type]
    assert reason(done["c01"]) == said
    assert done["c01"].seconds >= 0.5
    assert sum(isinstance(one.result, str) for one in done.values()) == 1


def test_longer_clips_may_take_longer() -> None:
    options = EngineOptions(limit_seconds=100.0, limit_factor=20.0)
    item = StageInput(ClipRow("a", None, None, duration_seconds=3.0))
    assert options.limit_for([item]) == 160.0
    assert options.limit_for([item, StageInput(ClipRow("b", None, None))]) == 260.0


@pytest.mark.parametrize("pool", ["inline", "thread", "process"])
def test_a_fault_of_the_program_is_told_of_its_clip_with_its_place(engine: LocalEngine, pool: str) -> None:
    done = results(engine, Toy("a", pool=pool, batch_size=4, bad={"c01": "bug"}))  # type: ignore[arg-type]
    text = reason(done["c01"])
    assert text.startswith("unexpected KeyError: 'missing_key' (toy_stages.py:")
    assert text.endswith("please report it")
    assert sum(isinstance(one.result, str) for one in done.values()) == 1


def test_a_stage_that_gives_too_few_results() -> None:
    done = run_guarded(Toy("a", bad={"x": "short"}), inputs("c00", "c01"))
    assert [reason(one).partition(" (")[0] for one in done] == [
        "unexpected RuntimeError: the stage gave 0 results for 1 clips"
    ] * 2


class _Wrong(Toy):
    def run(self, items: object) -> list[object]:  # type: ignore[override]
        return ["a text"]


def test_a_stage_that_gives_something_else() -> None:
    (done,) = run_guarded(_Wrong("a"), inputs("c00"))
    assert reason(done) == "unexpected result: the stage gave a str; this is a fault of the program"


def test_an_output_that_cannot_travel_is_a_failure(engine: LocalEngine) -> None:
    done = results(engine, Toy("a", pool="process", bad={"c01": "lambda"}))
    assert "pickle" in reason(done["c01"])
    assert sum(isinstance(one.result, str) for one in done.values()) == 1


def test_a_stage_that_cannot_travel_is_an_error_of_the_build(engine: LocalEngine) -> None:
    stage = Toy("a", pool="process", bad=threading.local())  # type: ignore[arg-type]
    with pytest.raises(BackendError, match="stage a "):
        results(engine, stage)


@pytest.mark.parametrize(("pool", "most"), [("thread", 3), ("process", 2), ("main", 1)])
def test_clips_are_asked_for_only_when_there_is_room(engine: LocalEngine, pool: str, most: int) -> None:
    given, seen = [], 0

    def items() -> Iterator[StageInput]:
        for item in inputs():
            given.append(item.clip.clip_id)
            # Those in work, and those that are through and about to be handed on.
            assert len(given) - seen <= 2 * most < len(IDS)
            yield item

    for done in engine.run(Toy("a", pool=pool, seconds=0.02), items()):  # type: ignore[arg-type]
        seen += len(done)
        assert len(given) - seen <= most
    assert seen == len(IDS)


def test_work_in_threads_goes_on_side_by_side(engine: LocalEngine) -> None:
    met = threading.Barrier(3, timeout=60)

    class Meeting(Toy):
        def _one(self, item: StageInput) -> StageOutput:
            met.wait()  # until all three are there
            return StageOutput()

    done = results(engine, Meeting("a", pool="thread"), inputs("c00", "c01", "c02"))
    assert not any(isinstance(one.result, str) for one in done.values())


def test_the_model_is_held_by_one_thread_for_all_stages(engine: LocalEngine) -> None:
    threads: set[int] = set()

    class Holding(Toy):
        def _one(self, item: StageInput) -> StageOutput:
            threads.add(threading.get_ident())
            return StageOutput()

    for name in ("a", "b"):
        results(engine, Holding(name, pool="main"))
    assert len(threads) == 1
    assert threads != {threading.get_ident()}


@pytest.mark.parametrize("pool", ["thread", "process"])
def test_leaving_does_not_wait_for_what_hangs(engine: LocalEngine, pool: str) -> None:
    slow = Toy("a", pool=pool, bad=dict.fromkeys(IDS, "hang"))  # type: ignore[arg-type]
    running = engine.run(slow, iter(inputs()))
    for _ in range(3):
        next(running)
    running.close()  # and not 1,000 s later
    done = results(engine, Toy("b", pool=pool))  # type: ignore[arg-type]
    assert sorted(done) == IDS


def test_workers_have_one_thread_for_arithmetic_and_the_parent_keeps_its_own(engine: LocalEngine) -> None:
    before = dict(os.environ)
    results(engine, Toy("a", pool="process"))
    assert dict(os.environ) == before
    workers = [child for child in multiprocessing.active_children() if child.name == "merr-worker"]
    pids = {worker.pid for worker in workers}
    assert len(pids) == 2
    results(engine, Toy("a", pool="process"))
    again = [child for child in multiprocessing.active_children() if child.name == "merr-worker"]
    assert {worker.pid for worker in again} == pids  # they live on: they import once
    for pid in pids:
        environment = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        assert b"OMP_NUM_THREADS=1" in environment
        assert b"OPENCV_FOR_THREADS_NUM=1" in environment


def test_workers_that_never_begin_are_an_error_not_a_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "_work", os._exit)  # TypeError in the child: it ends before it says that it is there
    with (
        LocalEngine(EngineOptions(workers=1)) as engine,
        pytest.raises(
            BackendError, match=r"worker processes end before they begin \(exit code 1\); a script that builds"
        ),
    ):
        results(engine, Toy("a", pool="process"))


def test_workers_end_with_the_engine() -> None:
    with LocalEngine(EngineOptions(workers=2)) as engine:
        results(engine, Toy("a", pool="process"))
        workers = [child for child in multiprocessing.active_children() if child.name == "merr-worker"]
        assert workers
        assert all(worker.is_alive() for worker in workers)
    assert not any(worker.is_alive() for worker in workers)


def test_unknown_engines_and_options_are_refused() -> None:
    with pytest.raises(InputError, match="engine must be one of local, ray, got 'dask'"):
        load_engine("dask", EngineOptions())
    with pytest.raises(InputError, match="expected 1 worker or more, got 0 processes"):
        EngineOptions(workers=0)
    with pytest.raises(InputError, match="expected a time limit above 0 s, got 0"):
        EngineOptions(limit_seconds=0)


# --- Ray


@pytest.fixture
def toys_for_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    # Where Ray's workers find these stages.
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]))


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::ResourceWarning")
@pytest.mark.usefixtures("toys_for_ray")
def test_ray_builds_what_local_builds(tmp_path: Path) -> None:
    clips = write_clips(tmp_path / "clips", 6)
    bad = {"c01": "kill", "c02": "hang", "c03": "bug", "c04": "drop"}
    stages = [
        Toy("a", pool="process", bad=bad, artifact_bytes=1000),
        Toy("b", ("a",), pool="thread", batch_size=2),
        ToySet("s", ("a",)),
        Toy("m", ("s", "b", "a"), pool="process", reads_artifacts=("a_file",)),
    ]
    options = EngineOptions(workers=2, limit_seconds=10.0, limit_factor=0.0)
    tallies = {
        name: build([clips], tmp_path / name, Recipe(), stages=stages, engine=name, options=options)
        for name in ("local", "ray")
    }
    local, ray = (tallies[name].phases for name in ("local", "ray"))
    assert [(p.name, p.done, p.dropped, p.failed) for p in ray] == [
        (p.name, p.done, p.dropped, p.failed) for p in local
    ]
    assert sorted(local[1].failed) == sorted(["died", "timeout", *(r for r in local[1].failed if "KeyError" in r)])
    assert facts(tmp_path / "ray") == facts(tmp_path / "local")
    assert len(facts(tmp_path / "ray")) == 6


class _Pipeline:
    """In place of a Ray Data pipeline: gives rows, then ends or fails."""

    def __init__(self, rows: list[dict[str, bytes]], error: Exception | None = None) -> None:
        self._rows, self._error = rows, error

    def iter_rows(self) -> Iterator[dict[str, bytes]]:
        yield from self._rows
        if self._error is not None:
            raise self._error


@pytest.fixture
def ray_engine(monkeypatch: pytest.MonkeyPatch) -> RayEngine:
    monkeypatch.setattr(ray_module, "_import_ray", lambda: SimpleNamespace(is_initialized=lambda: True))
    return RayEngine(EngineOptions(workers=2))


def test_clips_that_are_lost_with_a_machine_fail_one_by_one(
    ray_engine: RayEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [{"done": pickle.dumps([Done("c01", StageOutput(), 0.5)])}]
    monkeypatch.setattr(ray_engine, "_pipeline", lambda stage, batches: _Pipeline(rows))
    done = results(ray_engine, Toy("a", pool="process"), inputs("c00", "c01", "c02"))
    assert done["c01"].result == StageOutput()
    assert reason(done["c00"]) == reason(done["c02"]) == "died: the machine that worked on it was lost"


def test_a_pipeline_that_stops_ends_the_build(ray_engine: RayEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = _Pipeline([], RuntimeError("the head node\nis gone"))
    monkeypatch.setattr(ray_engine, "_pipeline", lambda stage, batches: broken)
    with pytest.raises(BackendError, match="Ray stopped: the head node is gone"):
        results(ray_engine, Toy("a", pool="process"))


def test_a_cluster_that_cannot_be_reached(ray_engine: RayEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    def init(**options: object) -> None:
        assert options["address"] == "ray://nowhere:1"
        assert "num_cpus" not in options  # a cluster has its own
        raise ConnectionError("no answer")

    monkeypatch.setenv("RAY_ADDRESS", "ray://nowhere:1")
    monkeypatch.setattr(ray_engine, "_ray", SimpleNamespace(is_initialized=lambda: False, init=init))
    with pytest.raises(BackendError, match="ray://nowhere:1"):
        results(ray_engine, Toy("a", pool="process"))


def test_without_ray_its_engine_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingDependency, match=r"the engine ray needs ray\[data\].*emotion-llama\[cluster\]"):
        load_engine("ray", EngineOptions())
