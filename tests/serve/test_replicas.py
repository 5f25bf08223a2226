"""Two servers behind one address, sharing a data folder: either answers for what the other was given.

A round-robin proxy of the test's own stands for nginx. Starts two servers with children: about 10 s on one core.
"""

import asyncio
import itertools
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

ROOT = Path(__file__).parents[2]
CLIP = (ROOT / "examples" / "synth" / "clips" / "test-00001.mp4").read_bytes()


class Replica:
    """One server process."""

    def __init__(self, data: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "emotion_llama", "serve", "--port", "0", "--workers", "1", "--data", str(data),
             "--model", "rules", "--no-token", "--grace", "5"],
            stdout=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1", "EMOTION_LLAMA_API_KEYS": ""},
        )  # fmt: skip
        assert self.process.stdout is not None
        match = re.search(r"127\.0\.0\.1:(\d+)", self.process.stdout.readline())
        assert match
        self.port = int(match[1])

    def end(self, with_signal: signal.Signals) -> int:
        assert self.process.stdout is not None
        self.process.send_signal(with_signal)
        code = self.process.wait()
        self.process.stdout.close()
        return code


class RoundRobin:
    """Connections in turn to each port that takes them, in a thread of its own."""

    def __init__(self, ports: list[int]) -> None:
        self._ports = itertools.cycle(ports)
        self._count = len(ports)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        started = asyncio.run_coroutine_threadsafe(asyncio.start_server(self._serve, "127.0.0.1", 0), self._loop)
        self._server = started.result(5)
        self.port: int = self._server.sockets[0].getsockname()[1]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(self._count):
            try:
                far_reader, far_writer = await asyncio.open_connection("127.0.0.1", next(self._ports))
                break
            except OSError:
                continue
        else:
            writer.close()
            return
        await asyncio.gather(self._copy(reader, far_writer), self._copy(far_reader, writer), return_exceptions=True)

    @staticmethod
    async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        finally:
            writer.close()

    def close(self) -> None:
        async def end() -> None:
            self._server.close()
            await asyncio.sleep(0)
            others = asyncio.all_tasks() - {asyncio.current_task()}
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)

        asyncio.run_coroutine_threadsafe(end(), self._loop).result(5)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


@pytest.fixture
def replicas(tmp_path: Path) -> Iterator[list[Replica]]:
    started = [Replica(tmp_path / "data"), Replica(tmp_path / "data")]
    yield started
    for replica in started:
        if replica.process.poll() is None:
            assert replica.end(signal.SIGTERM) == 0


def test_either_answers_for_the_other_and_a_killed_one_loses_nothing(replicas: list[Replica]) -> None:
    proxy = RoundRobin([replica.port for replica in replicas])
    address = f"http://127.0.0.1:{proxy.port}"

    def ask(method: str, path: str, **body: object) -> httpx2.Response:
        # A connection for each request, so that they go to both in turn.
        with httpx2.Client(base_url=address, timeout=None, trust_env=False) as client:
            return client.request(method, path, headers={"Host": "127.0.0.1"}, **body)

    try:
        analyses = [ask("POST", "/v1/analyze", files={"file": ("a.mp4", CLIP)}) for _ in range(4)]
        assert [answer.status_code for answer in analyses] == [200] * 4
        served = [_clips(replica) for replica in replicas]
        assert served == [2, 2]

        # A file that one took, both know.
        file_id = ask("POST", "/v1/files", files={"file": ("a.mp4", CLIP)}).json()["id"]
        assert {ask("GET", f"/v1/files/{file_id}").status_code for _ in range(2)} == {200}

        jobs = [ask("POST", "/v1/jobs", files={"file": (f"{i}.mp4", CLIP)}).json()["id"] for i in range(6)]
        replicas[0].end(signal.SIGKILL)
        for job in jobs:
            while (status := ask("GET", f"/v1/jobs/{job}").json()["status"]) in ("queued", "running"):
                time.sleep(0.05)
            assert status == "done"
        for job in jobs:
            document = ask("GET", f"/v1/jobs/{job}/result").json()
            assert document["people"] == analyses[0].json()["people"]
    finally:
        proxy.close()


def _clips(replica: Replica) -> int:
    text = httpx2.get(f"http://127.0.0.1:{replica.port}/metrics", trust_env=False).text
    found = re.search(r"^emotion_llama_pool_clips_total (\d+)", text, re.MULTILINE)
    assert found
    return int(found[1])
