"""Children that die, hang, grow or lie: each costs its own clip, and the next clip is measured by another."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest

from emotion_llama.analysis.options import Options
from emotion_llama.errors import BackendError, InputError
from emotion_llama.predictors.base import Sample
from emotion_llama.results import Prediction
from emotion_llama.serve.errors import Busy, ChildDied, ClipRefused, Stopping
from emotion_llama.serve.workers import process, worker
from emotion_llama.serve.workers.clip_check import ClipLimits
from emotion_llama.serve.workers.pool import MeasuringPool

from .conftest import asked_model, run

MIB = 1 << 20
MODEL = asked_model()
HAPPY = Prediction("happy", {"happy": 1.0}, "", "", "m")

pytestmark = pytest.mark.usefixtures("bad_child")


async def _pid(pool: MeasuringPool, path: Path = Path("/x/fine")) -> int:
    analyzed = await pool.analyze(path, Options())
    return int(json.loads(analyzed.document_json)["pid"])


def _let_go(path: Path) -> None:
    """Let a child that holds this clip finish it."""
    path.with_name(f"{path.name}.go").touch()


async def happy(seen: Sample) -> Prediction:
    return HAPPY


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def _until(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    ("how", "error", "match"),
    [
        ("segv", ChildDied, "ended by signal SIGSEGV; another has taken its place"),
        ("exit", ChildDied, "ended with exit code 3"),
        ("memory-exit", ClipRefused, "more memory than a clip may"),
        ("garbage", ChildDied, "sent what it should not"),
        ("long-length", ChildDied, "sent what it should not"),
        ("no-message", ChildDied, "sent what it should not"),
        ("unknown-type", ChildDied, "sent what it should not"),
        ("bad-progress", ChildDied, "sent what it should not"),
        ("ready-again", ChildDied, "sent what it should not"),
        ("asks-nobody", ChildDied, "sent what it should not"),
        ("not-text", ChildDied, "sent what it should not"),
        ("failed", BackendError, "could not be measured: KeyError"),
        ("hang", ClipRefused, "takes longer"),
        ("long-then-slow", ClipRefused, "takes longer"),
        ("spin", ClipRefused, "takes longer"),
        ("bomb", ClipRefused, "more memory than a clip may"),
    ],
)
def test_a_bad_child_is_replaced(how: str, error: type[Exception], match: str) -> None:
    async def work() -> None:
        # Time runs out only where the test is of that: on a busy machine anything else may take long, too.
        seconds = 0.5 if match == "takes longer" else 600.0
        async with MeasuringPool(1, seconds=600.0, seconds_per_clip_second=0.5, memory_bytes=512 * MIB) as pool:
            before = await _pid(pool)
            pool.seconds = seconds
            # A clip that claims to last 30,000 years gets no more time than the longest that is taken.
            limits = ClipLimits(max_duration_seconds=1.0)
            with pytest.raises(error, match=match):
                await pool.analyze(Path("/x") / how, Options(), limits=limits)
            pool.seconds = 600.0
            after = await _pid(pool)
            assert after != before
            await _until(lambda: not _is_alive(before))  # it was killed; it is reaped in a thread
            assert (pool.counts["replaced"], pool.counts["ready"], pool.counts["clips"]) == (1, 1, 3)

    run(work)


@pytest.mark.parametrize("how", ["bad-seen", "parts-without-questions"])
def test_lies_about_what_was_seen(how: str) -> None:
    async def work() -> None:
        async with MeasuringPool(1) as pool:
            with pytest.raises(ChildDied, match="sent what it should not"):
                await pool.analyze(Path("/x") / how, Options(), model=MODEL, answer=happy)

    run(work)


def test_others_go_on_while_one_dies(tmp_path: Path) -> None:
    async def work() -> None:
        async with MeasuringPool(2) as pool:
            held = tmp_path / "held"
            first = asyncio.create_task(_pid(pool, held))
            await _until(lambda: pool.counts["working"] == 1)
            with pytest.raises(ChildDied):
                await _pid(pool, Path("/x/segv"))
            dying = asyncio.create_task(_pid(pool, Path("/x/hang")))
            await _until(lambda: pool.counts["working"] == 2)
            dying.cancel()
            assert isinstance(await _pid(pool), int)
            _let_go(held)
            assert isinstance(await first, int)

    run(work)


def test_what_the_model_raises_comes_out_and_the_child_stays() -> None:
    async def busy(seen: Sample) -> Prediction:
        raise Busy("questions", 64, 2.0)

    async def work() -> None:
        async with MeasuringPool(1) as pool:
            before = await _pid(pool)
            with pytest.raises(Busy, match="64 questions"):
                await pool.analyze(Path("/x/question"), Options(), model=MODEL, answer=busy)
            assert await _pid(pool) == before
            assert pool.counts["replaced"] == 0

    run(work)


def test_time_of_the_model_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    passed = [0.0]
    monkeypatch.setattr(worker, "clock", lambda: passed[0])

    shown: list[Sample] = []

    async def slow(seen: Sample) -> Prediction:
        shown.append(seen)
        passed[0] += 1000.0
        return HAPPY

    async def work() -> None:
        async with MeasuringPool(1, seconds=600.0) as pool:
            await pool.analyze(Path("/x/question"), Options(), model=MODEL, answer=slow)
            # No frame, no crops, no sound: the id that all such samples share.
            assert [seen.sample_id for seen in shown] == [sha256(b"none;none;none;").hexdigest()]

    run(work)


@pytest.mark.parametrize("how", ["hang", "question"])
def test_cancelling_ends_the_work(how: str) -> None:
    was_asked = asyncio.Event()

    async def never(seen: Sample) -> Prediction:
        was_asked.set()
        await asyncio.Event().wait()
        return HAPPY

    async def work() -> None:
        async with MeasuringPool(1) as pool:
            before = await _pid(pool)
            call = asyncio.create_task(pool.analyze(Path("/x") / how, Options(), model=MODEL, answer=never))
            await _until(lambda: pool.counts["working"] == 1)
            if how == "question":
                await was_asked.wait()
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            await _until(lambda: not _is_alive(before))
            assert await _pid(pool) != before

    run(work)


def test_cancelled_while_waiting_takes_no_child(tmp_path: Path) -> None:
    async def work() -> None:
        async with MeasuringPool(1) as pool:
            first = asyncio.create_task(_pid(pool, tmp_path / "held"))
            await _until(lambda: pool.counts["working"] == 1)
            second = asyncio.create_task(_pid(pool, Path("/x/hang")))
            await _until(lambda: pool.counts["waiting"] == 1)
            second.cancel()
            _let_go(tmp_path / "held")
            assert await first == await _pid(pool)
            assert pool.counts["waiting"] == 0

    run(work)


def test_queue_is_bounded(tmp_path: Path) -> None:
    async def work() -> None:
        async with MeasuringPool(1, max_waiting=2) as pool:
            calls = [asyncio.create_task(_pid(pool, tmp_path / "held")) for _ in range(3)]
            await _until(lambda: (pool.counts["working"], pool.counts["waiting"]) == (1, 2))
            with pytest.raises(Busy, match="2 clips are waiting already") as caught:
                await _pid(pool)
            assert 1.0 <= caught.value.retry_after_seconds <= 120.0
            _let_go(tmp_path / "held")
            assert len(set(await asyncio.gather(*calls))) == 1

    run(work)


def test_child_killed_while_idle_is_replaced_unasked() -> None:
    async def work() -> None:
        async with MeasuringPool(1) as pool:
            before = await _pid(pool)
            os.kill(before, signal.SIGKILL)
            await _until(lambda: pool.counts["replaced"] == 1)
            await _until(lambda: pool.counts["ready"] == 1)
            assert await _pid(pool) != before

    run(work)


def test_the_folder_goes_when_the_pool_closes(tmp_path: Path) -> None:
    (tmp_path / "pool").mkdir()

    async def work() -> None:
        async with MeasuringPool(1, folder=tmp_path / "pool"):
            assert len(list((tmp_path / "pool").glob("*/warm.wav"))) == 1

    run(work)
    assert list((tmp_path / "pool").iterdir()) == []


def test_a_child_retires_after_its_clips() -> None:
    async def work() -> None:
        async with MeasuringPool(1, max_clips_per_child=2) as pool:
            pids = [await _pid(pool) for _ in range(4)]
            assert pids[0] == pids[1] != pids[2] == pids[3]

    run(work)


def test_close_lets_work_finish_within_grace(tmp_path: Path) -> None:
    async def work() -> None:
        pool = MeasuringPool(1)
        await pool.start()
        pid = await _pid(pool)
        held = asyncio.create_task(_pid(pool, tmp_path / "held"))
        await _until(lambda: pool.counts["working"] == 1)
        late = asyncio.create_task(_pid(pool))
        await _until(lambda: pool.counts["waiting"] == 1)
        closing = asyncio.create_task(pool.close(grace_seconds=600.0))
        with pytest.raises(Stopping):
            await late
        _let_go(tmp_path / "held")
        assert await held == pid
        await closing
        with pytest.raises(Stopping):
            await _pid(pool)
        assert not _is_alive(pid)

    run(work)


def test_close_ends_work_after_the_grace() -> None:
    async def work() -> None:
        pool = MeasuringPool(1)
        await pool.start()
        pid = await _pid(pool)
        endless = asyncio.create_task(_pid(pool, Path("/x/hang")))
        await _until(lambda: pool.counts["working"] == 1)
        await pool.close(grace_seconds=0.1)
        with pytest.raises(Stopping):
            await endless
        assert not _is_alive(pid)

    run(work)


def test_a_child_that_does_not_come_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "dies.py"
    script.write_text("import sys; sys.exit('no such luck')")
    monkeypatch.setattr(process, "CHILD", (str(script),))

    async def work() -> None:
        with pytest.raises(BackendError, match="does not start; it said: no such luck"):
            await MeasuringPool(2).start()

    run(work)


def test_a_child_that_begins_wrongly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "wrong.py"
    text = (tmp_path / "bad_child.py").read_text()
    script.write_text(text.replace('{"type": "ready", "confined": False}', '{"type": "aborted"}', 1))
    monkeypatch.setattr(process, "CHILD", (str(script),))

    async def work() -> None:
        with pytest.raises(BackendError, match="began with an unexpected message"):
            await MeasuringPool(1).start()

    run(work)


def test_arguments_are_checked() -> None:
    with pytest.raises(InputError, match="a pool has a child or more"):
        MeasuringPool(0)
    with pytest.raises(InputError, match="a warm child alone takes"):
        MeasuringPool(1, memory_bytes=100 * MIB)
    with pytest.raises(InputError, match="max_pixels is 0, expected a number above 0"):
        ClipLimits(max_pixels=0)

    async def work() -> None:
        with pytest.raises(BackendError, match="not started"):
            await MeasuringPool(1).analyze(Path("x"), Options())

    run(work)


@pytest.mark.parametrize("how", ["idle", "hang"])
def test_children_die_with_a_killed_parent(tmp_path: Path, how: str) -> None:
    script = tmp_path / "server.py"
    script.write_text(
        textwrap.dedent(
            f"""
            import asyncio
            from pathlib import Path
            from emotion_llama.analysis.options import Options
            from emotion_llama.serve.workers import process
            from emotion_llama.serve.workers.pool import MeasuringPool

            process.CHILD = ({str(tmp_path / "bad_child.py")!r},)

            async def main():
                async with MeasuringPool(2, folder=Path({str(tmp_path)!r})) as pool:
                    pids = [w.process.pid for w in pool._idle]
                    calls = [asyncio.create_task(pool.analyze(Path("/x/hang"), Options())) for _ in range(2)]
                    if {how!r} == "idle":
                        [call.cancel() for call in calls]
                    while pool.counts["working"] != (0 if {how!r} == "idle" else 2):
                        await asyncio.sleep(0.01)
                    print(*pids, flush=True)
                    await asyncio.Event().wait()

            asyncio.run(main())
            """
        )
    )
    with subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        pids = [int(text) for text in server.stdout.readline().split()]
        assert len(pids) == 2
        assert all(_is_alive(pid) for pid in pids)
        server.kill()
    while any(_is_alive(pid) for pid in pids):
        time.sleep(0.01)


def test_environment_of_a_child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMOTION_LLAMA_API_KEYS", "secret")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(["src", "/other"]))
    environment = process._environment(tmp_path)
    assert "secret" not in environment.values()
    assert environment["PYTHONPATH"] == os.pathsep.join([str(Path.cwd() / "src"), "/other"])
    assert environment["PATH"] == os.environ["PATH"]


def test_a_process_that_cannot_be_started_leaves_nothing_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "no-python"))
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    with pytest.raises(FileNotFoundError, match="no-python"):
        process.Process(tmp_path, 1, 0)
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (-11, "was ended by signal SIGSEGV"),
        (-40, "was ended by signal 40"),
        (3, "ended with exit code 3"),
        (71, "ran out of memory"),
    ],
)
def test_exit_codes_in_words(code: int, words: str) -> None:
    assert process.described(code) == words


def test_queue_is_bounded_while_children_are_away() -> None:
    """With every child being replaced, nobody works; the queue must not grow without end for that."""

    async def work() -> None:
        async with MeasuringPool(1, max_waiting=1) as pool:
            with pytest.raises(ChildDied):
                await _pid(pool, Path("/x/exit"))
            assert (pool.counts["working"], pool.counts["ready"]) == (0, 0)
            first = asyncio.create_task(_pid(pool))
            await asyncio.sleep(0)
            with pytest.raises(Busy, match="1 clips are waiting"):
                await _pid(pool)
            await first

    run(work)
