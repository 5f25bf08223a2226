"""Small clips, and children that misbehave on demand."""

import asyncio
import textwrap
import wave
from collections.abc import Callable, Coroutine
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeVar

import av
import numpy as np
import pytest

from emotion_llama.serve.workers import process

T = TypeVar("T")

# Stands in for serve.workers.child: what it does with a clip is said by the clip's name.
BAD_CHILD = """
import os, signal, socket, sys, threading, time
import numpy as np
from emotion_llama.serve.workers import confine
from emotion_llama.serve.workers.child import Channel

descriptor, parent, memory, nice = (int(text) for text in sys.argv[1:5])
confine.at_start(parent, nice)
connection = socket.socket(fileno=descriptor)
channel = Channel(connection)
channel.send({"type": "ready", "confined": False})
seen = {"sample_id": "", "transcript": None, "cues": "", "has_evidence": False,
        "missing": [["frame", "none"], ["faces", "none"], ["sound", "none"]]}
faces = {}

def done(parts=0):
    part = [1, 0.0, 1.0]
    text = np.frombuffer(b'{"pid": %d}' % os.getpid(), np.uint8)
    channel.send({"type": "done", "parts": [part] * parts}, {"document": text})

while True:
    asked = channel.receive()
    if asked["type"] == "abort":
        channel.send({"type": "aborted"})
        continue
    how = os.path.basename(asked["path"])
    if how == "hang":
        time.sleep(3600)
    elif how == "spin":
        confine.for_clip(0)
        while True:
            pass
    elif how == "segv":
        os.kill(os.getpid(), signal.SIGSEGV)
    elif how == "exit":
        os._exit(3)
    elif how == "memory-exit":
        os._exit(confine.EXIT_MEMORY)
    elif how == "bomb":
        kept = []
        while True:
            kept.append(np.ones(20 << 20, np.uint8))
            time.sleep(0.005)
    elif how == "garbage":
        connection.sendall(bytes(range(256)) * 10)
    elif how == "long-length":
        connection.sendall((1 << 40).to_bytes(8, "big"))
    elif how == "no-message":
        connection.sendall((4).to_bytes(8, "big") + b"abcd")
    elif how == "unknown-type":
        channel.send({"type": "run", "code": "1"})
    elif how == "bad-progress":
        channel.send({"type": "progress", "stage": "<script>", "share": 0.5})
    elif how == "ready-again":
        channel.send({"type": "ready", "confined": False})
    elif how == "asks-nobody":
        channel.send({"type": "seen", "seen": seen}, faces)
    elif how == "bad-seen":
        channel.send({"type": "seen", "seen": {"sample_id": 1}}, faces)
    elif how == "parts-without-questions":
        done(parts=2)
    elif how == "not-text":
        channel.send({"type": "done", "parts": []}, {"document": np.array([255, 254], np.uint8)})
    elif how == "long-then-slow":
        channel.send({"type": "clip", "duration_seconds": 1e12})
        time.sleep(3600)
    elif how == "failed":
        channel.send({"type": "failed", "problem": "KeyError", "trace": "where it was"})
    elif how == "question":
        channel.send({"type": "seen", "seen": seen}, faces)
        if channel.receive()["type"] == "abort":
            channel.send({"type": "aborted"})
        else:
            done(parts=1)
    elif how.startswith("held"):  # until the test makes a file
        while not os.path.exists(asked["path"] + ".go"):
            time.sleep(0.01)
        done()
    else:
        done()
"""


def asked_model(name: str = "m", policy: str = "first", settings: Any = None) -> Any:
    """What the pool has to know of a predictor that is asked in the server."""
    return SimpleNamespace(name=name, frame_policy=policy, settings=settings or {})


def run(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run a test's coroutine."""
    return asyncio.run(work())


@pytest.fixture
def bad_child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pools start children that do what the clip's name says."""
    script = tmp_path / "bad_child.py"
    script.write_text(textwrap.dedent(BAD_CHILD))
    monkeypatch.setattr(process, "CHILD", (str(script),))


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """Two seconds of a noisy picture without a face, 64x48, and a tone."""
    return write_clip(tmp_path / "in" / "clip.mp4")


def write_clip(path: Path, *, seconds: float = 2.0, size: tuple[int, int] = (64, 48), codec: str = "mpeg4") -> Path:
    """A clip of `size` (width, height) at 10 pictures a second, with a tone of 220 Hz."""
    path.parent.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(0)
    picture = random.integers(0, 255, (size[1], size[0], 3)).astype(np.uint8)
    with av.open(str(path), "w") as out:
        video = out.add_stream(codec, rate=10)
        video.width, video.height, video.pix_fmt = *size, "yuv420p"
        sound = out.add_stream("aac", rate=16000, layout="mono")
        for _ in range(round(10 * seconds)):
            out.mux(video.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        out.mux(video.encode(None))
        times = np.arange(round(16000 * seconds)) / 16000
        tone = (0.3 * np.sin(2 * np.pi * 220 * times)).astype(np.float32)
        frame = av.AudioFrame.from_ndarray(tone[None], format="fltp", layout="mono")
        frame.rate = 16000
        out.mux(sound.encode(frame))
        out.mux(sound.encode(None))
    return path


def write_wave(path: Path, seconds: float, rate_hz: int = 8000) -> Path:
    """Silence."""
    with wave.open(str(path), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(rate_hz)
        out.writeframes(bytes(2 * round(rate_hz * seconds)))
    return path
