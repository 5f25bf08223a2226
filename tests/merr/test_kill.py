"""kill -9, twenty times, at any moment of a build with four workers: nothing is lost, nothing is done twice."""

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
import toy_build
from toy_stages import begun_at, calls, facts, write_clips

from emotion_llama.merr.build import build
from emotion_llama.merr.engine import EngineOptions
from emotion_llama.merr.recipe import Recipe
from emotion_llama.merr.stage import INGEST
from emotion_llama.merr.status import build_status
from emotion_llama.merr.store import Store
from emotion_llama.merr.store.builds import builds
from emotion_llama.merr.store.ledger import LEDGER_NAME

KILLS = 20
CLIPS = 50
AT_ONCE = 4 + 2  # clips that may be in work when the build is killed: four workers, two requests
INLINE = 50  # and quick ones, which are recorded together


def start(clips: Path, out: Path, log: Path, gate: Path) -> subprocess.Popen[bytes]:
    path = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    program = [sys.executable, str(Path(toy_build.__file__)), str(clips), str(out), str(log), str(gate), "4"]
    return subprocess.Popen(program, env={**os.environ, "PYTHONPATH": path}, start_new_session=True)


def recorded(out: Path) -> dict[tuple[str, str], tuple[object, ...]]:
    """Everything that a restart must find as it was: clip, stage -> the run."""
    if not (out / LEDGER_NAME).exists():
        return {}
    with Store.open(out, read_only=True) as store:
        return {(r.stage, r.clip_id): (r.output_sha256, r.finished_at, r.attempts, r.seconds) for r in store.runs()}


def let_through(number: int, gate: Path, process: subprocess.Popen[bytes]) -> None:
    """Let so many more calls of slow stages through, and wait until they have all begun."""
    goal = begun_at(gate).stat().st_size + number
    os.truncate(gate, goal)
    while process.poll() is None and begun_at(gate).stat().st_size < goal:
        time.sleep(0.003)


@pytest.mark.timeout(900)
def test_kill_9_at_twenty_random_moments(tmp_path: Path) -> None:
    clips, out, log = write_clips(tmp_path / "clips", CLIPS), tmp_path / "out", tmp_path / "log"
    gate = tmp_path / "gate"
    gate.touch()
    begun_at(gate).touch()
    chance = random.Random(20)
    seen: dict[tuple[str, str], tuple[object, ...]] = {}
    lines_then: Counter[str] = Counter()
    kills = 0
    for kill in range(KILLS):
        process = start(clips, out, log, gate)
        if kill % 4:  # most of them in the middle of the work, the others while it begins; none can end by itself
            let_through(chance.randint(3, 10), gate, process)
        else:
            time.sleep(chance.uniform(0.05, 0.6))
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            kills += 1
        process.wait()
        now, lines = recorded(out), Counter(calls(log))
        for key, run in seen.items():
            assert now[key] == run  # what was finished is there, untouched
            assert lines[f"{key[0]} {key[1]}"] == lines_then[f"{key[0]} {key[1]}"]  # and was not done again
        seen, lines_then = now, lines
    assert kills == KILLS  # the build was not through before
    with Store.open(out, read_only=True) as store:
        status = build_status(store)
    assert status.running == ()
    assert any(phase.waiting for phase in status.phases)

    os.truncate(gate, 1 << 40)
    assert start(clips, out, log, gate).wait() == 0
    now, lines = recorded(out), Counter(calls(log))
    assert {run[2] for run in now.values()} == {1}  # attempts: each recorded once
    for key, run in seen.items():
        assert now[key] == run
    # What was in work when the build was killed is done again, and nothing else.
    again = sum(lines.values()) - len(lines)
    assert 0 < again <= KILLS * AT_ONCE + INLINE
    assert Counter(stage for stage, _ in now) == {
        INGEST: CLIPS, "measure": CLIPS, "label": CLIPS, "select": CLIPS - 1, "crop": 44, "describe": 44, "split": 44,
    }  # fmt: skip

    alone = tmp_path / "alone"
    options = EngineOptions(workers=1)
    build([clips], alone, Recipe(), stages=toy_build.stages(None, None), options=options)
    assert facts(out) == facts(alone)
    assert files(out) == files(alone)  # nothing is left over of what was half written
    with Store.open(out) as store:
        assert store.failures() == []
        log = [build.how_ended for build in builds(store)]
        assert log == ["died"] * (len(log) - 1) + ["done"]  # those that came so far as to register


def files(out: Path) -> dict[str, bytes]:
    return {str(p.relative_to(out)): p.read_bytes() for p in (out / "artifacts").rglob("*") if p.is_file()}
