"""The verb in a process of its own, real children, the reader of rules, a committed clip, and hostile files.

Starts children with a face mesh: about 10 s on one core.
"""

import asyncio
import hashlib
import io
import json
import os
import re
import signal
import subprocess
import sys
import threading
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import httpx2
import jsonschema
import numpy as np
import pytest

from emotion_llama.analysis import Analyzer
from emotion_llama.document import analysis_document

ROOT = Path(__file__).parents[2]
CLIP = ROOT / "examples" / "synth" / "clips" / "test-00001.mp4"
SCHEMA = json.loads((ROOT / "docs" / "schema" / "analysis-1.schema.json").read_text())


class Process:
    """`emotion-llama serve` with one child."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.data = folder / "data"
        command = [
            sys.executable,
            "-m",
            "emotion_llama",
            "serve",
            "--model",
            "rules",
            "--port",
            "0",
            "--workers",
            "1",
            "--no-token",
        ]
        self.log = folder / "log"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [*command, "--grace", "5", "--data", str(self.data), *options],
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env={**os.environ, "OMP_NUM_THREADS": "1", "EMOTION_LLAMA_API_KEYS": ""},
            )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        match = re.search(r"http://127\.0\.0\.1:\d+", line)
        assert match, (line, self.log.read_text())
        self.url = match[0]
        self.client = httpx2.Client(base_url=self.url, timeout=None, trust_env=False)

    def analyze(self, content: bytes, name: str = "talk.mp4", **fields: str) -> httpx2.Response:
        return self.client.post("/v1/analyze", files={"file": (name, content)}, data=fields)

    def stop(self) -> int:
        self.client.close()
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()
        return code


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    limits = ("--max-seconds", "30", "--max-upload-mib", "5", "--max-queue", "256")
    process = Process(tmp_path_factory.mktemp("server"), *limits)
    yield process
    assert process.stop() == 0
    assert not list(process.data.glob("server-*"))
    assert "Traceback" not in process.log.read_text()


def _without_times(document: dict[str, Any]) -> dict[str, Any]:
    kept = {name: value for name, value in document.items() if name != "seconds_by_stage"}
    kept["clip"] = {**document["clip"], "path": ""}
    return kept


def test_the_answer_is_the_librarys(server: Process) -> None:
    answer = server.analyze(CLIP.read_bytes(), subtitle="How nice to see you!", people="all")
    assert answer.status_code == 200
    document = answer.json()
    jsonschema.validate(document, SCHEMA)
    assert document["people"][0]["segments"][0]["prediction"]["probabilities"] is not None
    assert document["clip"]["path"] == "talk.mp4"
    analysis = Analyzer.load("rules").analyze(CLIP, subtitle="How nice to see you!", people="all")
    assert _without_times(document) == _without_times(json.loads(analysis_document(analysis).model_dump_json()))


def test_page_and_stages(server: Process) -> None:
    files = {"file": ("<b>talk</b>.mp4", CLIP.read_bytes())}
    answer = server.client.post(
        "/v1/analyze", files=files, data={"format": "html"}, headers={"Accept": "text/event-stream"}
    )
    names = re.findall(r"^event: (\w+)$", answer.text, re.MULTILINE)
    assert names[0] == "progress"
    assert names[-2:] == ["page", "result"]
    stages = [json.loads(d)["stage"] for d in re.findall(r"event: progress\ndata: (.*)", answer.text)]
    assert list(dict.fromkeys(stages)) == ["words", "voice", "faces", "reading", "report"]
    page = json.loads(re.findall(r"event: page\ndata: (.*)", answer.text)[0])["html"]
    assert "&lt;b&gt;talk&lt;/b&gt;.mp4" in page or "<b>talk</b>" not in page
    assert str(server.data) not in page


def test_hostile_files_among_good_ones(server: Process) -> None:
    """Each hostile one ends in 4xx with a reason, while a good one beside it is answered."""
    clip = CLIP.read_bytes()
    hostile = {
        "truncated": clip[: len(clip) // 3],
        "head alone": clip[:64],
        "zeros in the middle": clip[:2000] + bytes(len(clip) - 2000),
        "noise": clip[:32] + os.urandom(20_000),
        "no media": b"PK\x03\x04" + bytes(1000),
        "empty": b"",
        "too large": clip[:100] + bytes(6 << 20),
        "playlist": b"#EXTM3U\nfile:///etc/passwd\n",
    }
    good: list[int] = []
    thread = threading.Thread(target=lambda: good.append(server.analyze(clip).status_code))
    thread.start()
    for name, content in hostile.items():
        answer = server.analyze(content, name="../../x.mp4")
        assert 400 <= answer.status_code < 500, (name, answer.text)
        message = answer.json()["error"]["message"]
        assert str(server.data) not in message, name
        assert "/tmp" not in message, name
    thread.join()
    assert good == [200]
    assert server.client.get("/readyz").status_code == 200
    uploads = next(server.data.glob("server-*/uploads"))
    assert not list(uploads.iterdir())


def test_of_200_at_once_each_good_one_gets_its_own_answer(server: Process) -> None:
    """160 tones of different pitch and 40 that are none; the hash in each answer is that of the clip that was sent."""
    times = np.arange(4000) / 8000
    clips = [_wav(np.round(9000 * np.sin(2 * np.pi * (100 + i) * times)).astype("<i2"), 8000) for i in range(200)]
    bad = (b"", b"\x89PNG\r\n\x1a\n" + bytes(500), clips[0][:30], bytes(6 << 20), b"RIFF....WAVE" + bytes(99))

    async def one(client: httpx2.AsyncClient, i: int) -> httpx2.Response:
        content = clips[i] if i % 5 else bad[i // 5 % len(bad)]
        return await client.post("/v1/analyze", files={"file": (f"{i}.wav", content)}, data={"curves": "false"})

    async def everything() -> list[httpx2.Response]:
        limits = httpx2.Limits(max_connections=200)
        async with httpx2.AsyncClient(base_url=server.url, timeout=None, limits=limits, trust_env=False) as client:
            return list(await asyncio.gather(*(one(client, i) for i in range(200))))

    for i, answer in enumerate(asyncio.run(everything())):
        if i % 5:
            assert answer.status_code == 200, answer.text
            clip = answer.json()["clip"]
            assert (clip["path"], clip["sha256"]) == (f"{i}.wav", hashlib.sha256(clips[i]).hexdigest())
        else:
            assert 400 <= answer.status_code < 500, answer.text
    assert "emotion_llama_pool_replaced_total 0.0" in server.client.get("/metrics").text


def test_a_picture_of_huge_size_is_refused_before_it_is_decoded(server: Process, tmp_path: Path) -> None:
    """33 million pixels in some hundred kilobytes; 8.3 million are taken."""
    path = tmp_path / "huge.avi"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("mjpeg", rate=5)
        stream.width, stream.height, stream.pix_fmt = 8192, 4096, "yuvj420p"
        frame = av.VideoFrame.from_ndarray(np.full((4096 * 3 // 2, 8192), 128, np.uint8), format="yuvj420p")
        for packet in (*stream.encode(frame), *stream.encode()):
            out.mux(packet)
    assert path.stat().st_size < 2_000_000
    answer = server.analyze(path.read_bytes(), name="x.avi")
    assert answer.status_code == 413
    assert answer.json()["error"]["code"] == "too_large"


def test_a_long_recording_is_refused(server: Process) -> None:
    """31 seconds where 30 are taken."""
    answer = server.analyze(_wav(np.zeros(8000 * 31, "<i2"), 8000), name="long.wav")
    assert answer.status_code == 413
    assert answer.json()["error"]["code"] == "too_long"


def _wav(samples: np.ndarray[Any, Any], rate: int) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(rate)
        out.writeframes(samples.tobytes())
    return file.getvalue()


def test_a_second_server_sweeps_what_a_killed_one_left_and_not_what_a_living_one_has(
    server: Process, tmp_path: Path
) -> None:
    """kill -9 while a body is received: nobody's half a body is found and taken away by the next server."""
    killed = Process(tmp_path)
    (left,) = killed.data.glob("server-*")
    (left / "uploads" / "body-half").mkdir()
    os.kill(killed.process.pid, signal.SIGKILL)
    killed.process.wait()
    assert killed.process.stdout is not None
    killed.process.stdout.close()
    killed.client.close()
    assert left.is_dir()
    after = Process(tmp_path)
    try:
        assert not left.exists()
        assert len(list(after.data.glob("server-*"))) == 1
        assert next(server.data.glob("server-*")).is_dir()
    finally:
        assert after.stop() == 0
