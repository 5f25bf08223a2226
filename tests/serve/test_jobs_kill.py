"""kill -9 of real processes at random moments: no job that was promised is lost, none is finished twice."""

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

from emotion_llama.serve.jobs.store import JobStore

PROGRAM = Path(__file__).with_name("job_killer.py")
KILLS = 8


def told(log: Path) -> list[tuple[str, str]]:
    lines = log.read_text().split("\n")[:-1] if log.exists() else []
    return [(line.split()[0], line.split()[1]) for line in lines]


def wait_for_lines(log: Path, number: int, processes: list[subprocess.Popen[bytes]]) -> None:
    while len(told(log)) < number:
        assert all(process.poll() is None for process in processes), "a process ended by itself"
        time.sleep(0.003)


def test_kill_9_at_random_moments(tmp_path: Path) -> None:
    folder, log = tmp_path / "data", tmp_path / "log"
    chance = random.Random(9)
    for kill in range(KILLS):
        # Two servers share the folder; in every other round only one of them is killed while the other goes on.
        command = [sys.executable, str(PROGRAM), str(folder), str(log)]
        processes = [subprocess.Popen(command) for _ in range(2)]
        wait_for_lines(log, len(told(log)) + chance.randint(5, 40), processes)
        time.sleep(chance.uniform(0, 0.02))
        os.kill(processes[0].pid, signal.SIGKILL)
        processes[0].wait()
        if kill % 2:
            wait_for_lines(log, len(told(log)) + 10, processes[1:])
        os.kill(processes[1].pid, signal.SIGKILL)
        processes[1].wait()

    lines = told(log)
    count = Counter(lines)
    added = {job for word, job in lines if word == "added"}
    done = {job for word, job in lines if word == "done"}
    assert len(added) > KILLS
    assert done
    assert all(number == 1 for (word, _), number in count.items() if word in ("added", "done"))
    assert sum(word == "claimed" for word, _ in lines) > len(done)  # some were interrupted
    assert not any(word == "stolen" for word, _ in lines)  # nobody took over what a living process had

    store = JobStore(folder)
    store.recover()
    jobs = {job.id: job for job in store.of_owner("me", limit=1_000_000)}
    assert added <= jobs.keys()
    assert all(jobs[job].status == "done" for job in done)
    assert {job.status for job in jobs.values()} <= {"queued", "done"}  # nothing hangs in "running"
    for job in jobs.values():
        clip = store.clip_folder(job.id) / "clip.mp4"
        if job.status == "done":
            assert store.result("me", job.id, "json") == f'"{job.id}"'.encode()
            assert not clip.exists()
        else:
            assert clip.stat().st_size == 256 * 40
    # What was begun and interrupted is done by whoever comes next, each exactly once more.
    left = sum(job.status == "queued" for job in jobs.values())
    for _ in range(left):
        job = store.claim()
        assert job is not None
        store.done(job.id, {"json": "{}"})
    assert store.claim() is None
    assert store.counts() == {"queued": 0, "running": 0, "done": len(jobs), "failed": 0, "cancelled": 0}
    store.close()
