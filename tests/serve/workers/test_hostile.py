"""Hostile files through real children: each ends in a refusal, and the next good clip is measured."""

import asyncio
import json
import os
import struct
from pathlib import Path

import av
import numpy as np
import pytest

from emotion_llama.analysis.options import Options
from emotion_llama.serve.errors import ChildDied, ClipRefused
from emotion_llama.serve.workers.clip_check import ClipLimits
from emotion_llama.serve.workers.pool import MeasuringPool

from .conftest import run, write_clip, write_wave

MIB = 1 << 20


def _refusals(cases: list[tuple[Path, ClipLimits]], **options: object) -> list[tuple[int, str, str]]:
    async def work():
        found = []
        async with MeasuringPool(1, seconds=600.0, memory_bytes=512 * MIB) as pool:
            for path, limits in cases:
                try:
                    analyzed = await pool.analyze(path, Options(**options), limits=limits)
                    found.append((200, "", analyzed.document_json))
                except ClipRefused as error:
                    found.append((error.status, error.code, error.message))
                assert str(path.parent) not in found[-1][2]
            good = await pool.analyze(write_clip(cases[0][0].parent / "good.mp4"), Options())
            assert json.loads(good.document_json)["clip"]["duration_seconds"] == pytest.approx(2.0, abs=0.1)
        return found

    return run(work)


def _written(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def test_files_that_are_none(tmp_path: Path) -> None:
    whole = write_clip(tmp_path / "whole.mp4").read_bytes()
    sample_bytes = b"\x00" * 4000
    files = [
        _written(tmp_path / "empty.mp4", b""),
        _written(tmp_path / "text.mp4", b"Hello, this is not a video.\n" * 50),
        _written(tmp_path / "list.mp4", b"ffconcat version 1.0\nfile /etc/passwd\n"),
        _written(tmp_path / "playlist.mp4", b"#EXTM3U\nfile:///etc/passwd\n"),
        _written(tmp_path / "program.mp4", b"\x7fELF" + sample_bytes),
        _written(tmp_path / "head.mp4", whole[:300]),  # the index of this file is at its end
        _written(tmp_path / "cut.mp4", whole[: len(whole) // 2]),
        _written(tmp_path / "frame.webm", b"\x1a\x45\xdf\xa3\x93\x42\x82\x84webm" + sample_bytes),
        _written(tmp_path / "noise.mp4", b"\0\0\0\x18ftypisom" + os.urandom(5000)),
        tmp_path / "missing.mp4",
    ]
    got = _refusals([(file, ClipLimits()) for file in files])
    assert [(status, code) for status, code, _ in got] == [
        (422, "damaged"), (415, "no_media"), (415, "no_media"), (415, "no_media"), (415, "no_media"),
        (422, "damaged"), (422, "damaged"), (422, "damaged"), (422, "damaged"), (422, "damaged"),
    ]  # fmt: skip
    assert got[0][2].startswith("the file is empty (0 bytes)")
    assert "passwd" not in str(got)


def _avi_of_size(path: Path, width: int, height: int) -> Path:
    """A raw AVI whose header claims other sizes than its pictures have."""
    with av.open(str(path), "w") as out:
        stream = out.add_stream("rawvideo", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "bgr24"
        frame = av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8), format="bgr24")
        out.mux([*stream.encode(frame), *stream.encode(None)])
    data = bytearray(path.read_bytes())
    at = data.index(b"strf") + 8
    assert struct.unpack_from("<Iii", data, at)[:2] == (40, 64)
    struct.pack_into("<ii", data, at + 4, width, height)
    return _written(path, bytes(data))


def _flac(path: Path) -> Path:
    with av.open(str(path), "w") as out:
        stream = out.add_stream("flac", rate=16000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 16000), np.int16), format="s16", layout="mono")
        frame.rate = 16000
        out.mux([*stream.encode(frame), *stream.encode(None)])
    return path


def test_beyond_limits_by_the_header(tmp_path: Path) -> None:
    # A WAV that claims 4 GB of sound: FFmpeg believes the file's size instead.
    claims = bytearray(write_wave(tmp_path / "a.wav", 1.0).read_bytes())
    claims[40:44] = struct.pack("<I", 0xFFFF0000)
    flac = bytearray(_flac(tmp_path / "a.flac").read_bytes())
    flac[21:26] = bytes([flac[21] | 0x0F]) + b"\xff" * 4  # RFC 9639, 8.2: the 36 bits of how many samples there are
    small = write_clip(tmp_path / "b.mp4", size=(128, 96))
    got = _refusals(
        [
            (_avi_of_size(tmp_path / "large.avi", 20_000, 10_000), ClipLimits()),
            (_avi_of_size(tmp_path / "absurd.avi", 2_000_000_000, 2_000_000_000), ClipLimits()),
            (_written(tmp_path / "claims.wav", bytes(claims)), ClipLimits()),
            (_written(tmp_path / "long.flac", bytes(flac)), ClipLimits()),
            (small, ClipLimits(max_pixels=128 * 96 - 1)),
            (small, ClipLimits(max_pixels=128 * 96)),
            (small, ClipLimits(max_fps=9.0)),
            (small, ClipLimits(max_duration_seconds=1.5)),
            (small, ClipLimits(max_sample_rate_hz=15_999)),
            (write_wave(tmp_path / "c.wav", 2.0), ClipLimits(max_duration_seconds=1.9)),
        ]
    )
    assert [(status, code) for status, code, _ in got] == [
        (413, "too_large"), (422, "damaged"), (200, ""), (413, "too_long"), (413, "too_large"), (200, ""),
        (413, "too_large"), (413, "too_long"), (413, "too_large"), (413, "too_long"),
    ]  # fmt: skip
    assert "20000x10000 pixels" in got[0][2]
    assert "10 frames a second, at most 9" in got[6][2]


def test_memory_bomb(tmp_path: Path) -> None:
    # Two megabytes that unfold to pictures of 144 megapixels, where the limit on pixels is lifted.
    path = tmp_path / "bomb.avi"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("mjpeg", rate=10)
        stream.width, stream.height, stream.pix_fmt = 12_000, 12_000, "yuvj444p"
        frame = av.VideoFrame(12_000, 12_000, "yuvj444p")
        for plane in frame.planes:
            plane.update(bytes(plane.buffer_size))
        out.mux([*stream.encode(frame), *stream.encode(None)])
    assert path.stat().st_size < 4 * MIB
    got = _refusals([(path, ClipLimits()), (path, ClipLimits(max_pixels=10**9))])
    assert [(status, code) for status, code, _ in got] == [(413, "too_large"), (413, "too_much_memory")]


def test_option_that_cannot_be_used(tmp_path: Path, clip: Path) -> None:
    words = _written(clip.parent / "words.srt", b"no times in here")
    ((status, code, reason),) = _refusals([(clip, ClipLimits())], transcript=words)
    assert (status, code) == (422, "option")
    assert reason.startswith("words.srt: no line with '-->' came")


def test_endless_work_is_ended(tmp_path: Path) -> None:
    """Nine minutes of silence are no crime, but here a clip gets half a second."""
    path = write_wave(tmp_path / "long.wav", 540.0, rate_hz=16_000)

    async def work() -> None:
        async with MeasuringPool(1, seconds=0.5, seconds_per_clip_second=0.0) as pool:
            with pytest.raises(ClipRefused, match="takes longer to measure than a clip may") as caught:
                await pool.analyze(path, Options())
            assert (caught.value.status, caught.value.code) == (422, "too_slow")

    run(work)


def _damaged(whole: bytes, random: np.random.Generator) -> bytes:
    """A file with some bytes changed, often where the headers are, and sometimes cut off."""
    data = bytearray(whole)
    for _ in range(int(random.choice([1, 3, 10, 40]))):
        from_ends = int(random.integers(0, 1500))
        anywhere = int(random.integers(0, len(data)))
        at = [anywhere, min(from_ends, len(data) - 1), max(len(data) - 1 - from_ends, 0)][int(random.integers(0, 3))]
        data[at] = int(random.choice([0, 127, 128, 255, int(random.integers(0, 256))]))
    return bytes(data[: int(random.integers(0, len(data)))] if random.random() < 0.2 else data)


def test_damaged_files_are_answered_or_refused(tmp_path: Path) -> None:
    wholes = [
        write_clip(tmp_path / "a.mp4", seconds=1.0).read_bytes(),
        write_clip(tmp_path / "a.mkv", seconds=1.0).read_bytes(),
        write_clip(tmp_path / "a.avi", seconds=1.0).read_bytes(),
        write_wave(tmp_path / "a.wav", 1.0).read_bytes(),
        _flac(tmp_path / "a.flac").read_bytes(),
    ]
    random = np.random.default_rng(0)

    async def work() -> dict[str, int]:
        counts = {"answered": 0, "refused": 0}
        async with MeasuringPool(2, seconds=600.0) as pool:

            async def one(number: int) -> None:
                path = tmp_path / f"{number}.bin"
                path.write_bytes(_damaged(wholes[number % len(wholes)], random))
                try:
                    await pool.analyze(path, Options(), html=True)
                    counts["answered"] += 1
                except (ClipRefused, ChildDied):  # all else would be an answer of 5xx
                    counts["refused"] += 1

            for start in range(0, 100, 10):
                await asyncio.gather(*(one(number) for number in range(start, start + 10)))
            assert pool.counts["clips"] == 100
        return counts

    counts = run(work)
    assert counts["answered"] + counts["refused"] == 100
    assert min(counts.values()) >= 10  # files that are all broken, or all whole, would show nothing
