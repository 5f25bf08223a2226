"""kill -9 of a real server with jobs in work: the next one finishes them all, each as if nothing had happened."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import httpx2

CLIP = Path(__file__).parents[2] / "examples" / "clips" / "astronaut.mp4"


class Process:
    """`emotion-llama serve` as its own process."""

    def __init__(self, data: Path, log: Path) -> None:
        self._log = log.open("wb")
        command = [
            sys.executable,
            "-m",
            "emotion_llama",
            "serve",
            "--port",
            "0",
            "--workers",
            "1",
            "--no-token",
            "--model",
            "rules",
        ]
        command += ["--data", str(data)]
        self.process = subprocess.Popen(
            command, stdout=self._log, stderr=subprocess.STDOUT, env={**os.environ, "EMOTION_LLAMA_API_KEYS": ""}
        )
        while (found := re.search(rb"http://[\d.:]+", log.read_bytes())) is None:
            assert self.process.poll() is None, log.read_text()
            time.sleep(0.05)
        self.client = httpx2.Client(base_url=found[0].decode(), timeout=None, trust_env=False)

    def end(self, kind: signal.Signals) -> int:
        self.client.close()
        self.process.send_signal(kind)
        code = self.process.wait()
        self._log.close()
        return code


def wait_for(client: httpx2.Client, job_id: str, condition: Callable[[dict[str, object]], bool]) -> dict[str, object]:
    while True:
        job: dict[str, object] = client.get(f"/v1/jobs/{job_id}").raise_for_status().json()
        if condition(job):
            return job
        time.sleep(0.02)


def test_kill_9_of_the_server_loses_no_job(tmp_path: Path) -> None:
    data = tmp_path / "data"
    first = Process(data, tmp_path / "first.log")
    ids = []
    for number in range(3):
        with CLIP.open("rb") as file:
            fields = {"subtitle": f"take {number}", "curves": "false"}
            answer = first.client.post("/v1/jobs", files={"file": ("../a b.mp4", file)}, data=fields)
        assert answer.status_code == 202, answer.text
        assert answer.headers["location"] == f"/v1/jobs/{answer.json()['id']}"
        ids.append(answer.json()["id"])
    wait_for(first.client, ids[0], lambda job: job["status"] == "running")
    assert first.end(signal.SIGKILL) == -signal.SIGKILL

    second = Process(data, tmp_path / "second.log")
    done = [wait_for(second.client, job_id, lambda job: job["status"] not in ("queued", "running")) for job_id in ids]
    assert [job["status"] for job in done] == ["done"] * 3
    assert [job["attempts"] for job in done] == [2, 1, 1]
    assert {job["filename"] for job in done} == {"a b.mp4"}
    for number, job_id in enumerate(ids):
        document = second.client.get(f"/v1/jobs/{job_id}/result").raise_for_status().json()
        segment = document["people"][0]["segments"][0]
        assert document["clip"]["path"] == "a b.mp4"
        assert segment["prediction"]["label"] == "happy"
        assert segment["evidence"]["transcript"]["lines"][0]["text"] == f"take {number}"
        page = second.client.get(f"/v1/jobs/{job_id}/result?format=html").raise_for_status()
        assert page.text.lower().startswith("<!doctype html>")
    while list((data / "jobs" / "clips").iterdir()):  # taken away right after the last "done"
        time.sleep(0.02)

    # Told to stop, the server gives what it works on back, and the third takes it up.
    with CLIP.open("rb") as file:
        last = second.client.post("/v1/jobs", files={"file": file}).json()["id"]
    assert second.end(signal.SIGTERM) == 0
    third = Process(data, tmp_path / "third.log")
    job = wait_for(third.client, last, lambda job: job["status"] not in ("queued", "running"))
    assert (job["status"], job["attempts"]) == ("done", 1)
    assert json.loads(third.client.get(f"/v1/jobs/{last}/result").text)["schema_version"] == 1
    assert third.end(signal.SIGTERM) == 0
    assert b"Traceback" not in b"".join(path.read_bytes() for path in tmp_path.glob("*.log"))
