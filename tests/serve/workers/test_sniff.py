"""Kinds of files by their first bytes, against files that FFmpeg writes."""

import wave
from pathlib import Path

import av
import numpy as np
import pytest

from emotion_llama.media.kinds import KINDS, SNIFF_BYTES, sniff


def _written(path: Path, container: str, codec: str) -> bytes:
    with av.open(str(path), "w", format=container) as out:
        if codec in ("mpeg4", "vp8", "gif", "flv"):
            stream = out.add_stream(codec, rate=10)
            stream.width, stream.height = 64, 48
            stream.pix_fmt = "rgb8" if codec == "gif" else "yuv420p"
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 90, np.uint8), format="rgb24")
        else:
            stream = out.add_stream(codec, rate=16000, layout="mono")
            frame = av.AudioFrame(format="s16", layout="mono", samples=1600)
            frame.planes[0].update(bytes(3200))
            frame.rate = 16000
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            out.mux(packet)
    return path.read_bytes()[:SNIFF_BYTES]


@pytest.mark.parametrize(
    ("kind", "container", "codec"),
    [
        ("mp4", "mp4", "mpeg4"), ("mov", "mov", "mpeg4"), ("m4a", "ipod", "aac"), ("webm", "webm", "vp8"),
        ("mkv", "matroska", "mpeg4"), ("avi", "avi", "mpeg4"), ("wav", "wav", "pcm_s16le"), ("flac", "flac", "flac"),
        ("ogg", "ogg", "libopus"), ("ts", "mpegts", "mpeg4"), ("mpg", "vob", "mp2"), ("flv", "flv", "flv"),
        ("wmv", "asf", "mpeg4"), ("nut", "nut", "mpeg4"), ("aiff", "aiff", "pcm_s16be"), ("au", "au", "pcm_s16be"),
        ("caf", "caf", "pcm_s16le"), ("w64", "w64", "pcm_s16le"), ("aac", "adts", "aac"), ("mp3", "mp3", "libmp3lame"),
        ("wv", "wv", "wavpack"), ("tta", "tta", "tta"), ("ivf", "ivf", "vp8"),
        ("gif", "gif", "gif"),
    ],
)  # fmt: skip
def test_what_ffmpeg_writes(tmp_path: Path, kind: str, container: str, codec: str) -> None:
    assert sniff(_written(tmp_path / "clip", container, codec)) == kind
    assert kind in KINDS


def test_wave_of_the_standard_library(tmp_path: Path) -> None:
    with wave.open(str(tmp_path / "a"), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(8000)
        out.writeframes(b"\0\0")
    assert sniff((tmp_path / "a").read_bytes()) == "wav"


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"ID3\x04\0\0\0\0\0\0", "mp3"),
        (b"\xff\xfb\x90\x64", "mp3"),  # MPEG 1 layer III, 128 kbit/s, 44.1 kHz
        (b"\xff\xf1\x50\x80", "aac"),  # AAC in ADTS: layer 0
        (b"\xff\xf1\xf4\x80", None),  # sample rate 13 does not exist
        (b"\xff\xfb\xf0\x64", None),  # bit rate 15 does not exist
        (b"\xff\xfb\x9c\x64", None),  # sample rate 3 does not exist
        (b"\0\0\0\x08wide\0\0\0\0mdat", "mov"),
        (b"\x0b\x77\x00\x00", "ac3"),
        (b"\x1f\x07\x00\x3f", "dv"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(17) + b"\0\0\0\x08acTL", "apng"),
        (b"RF64\xff\xff\xff\xffWAVE", "wav"),
        (b"\0\0\0\x2cftypavis", "avifs"),
        (b"\0\0\0\x2cftypmsf1", "heics"),
    ],
)
def test_headers_written_by_hand(head: bytes, kind: str | None) -> None:
    assert sniff(head) == kind


@pytest.mark.parametrize(
    "head",
    [
        b"", b"\0", b"\xff", b"RIFF", b"RIFF\0\0\0\0WEBP", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0", b"MZ\x90\0",
        b"\0\0\0\x18ftypheic", b"\0\0\0\x18ftypavif", b"#EXTM3U\n/etc/passwd", b"#!/bin/sh\n", b"PK\x03\x04",
        b"ffconcat version 1.0\nfile /etc/passwd", b"v=0\r\n", b"<html>", b"\x1a\x45\xdf\xa3",
        b"\x1a\x45\xdf\xa3\x42\x82", b"\x1a\x45\xdf\xa3\x42\x82\x84evil", b"%PDF-1.7", b"\x7fELF",
    ],
)  # fmt: skip
def test_everything_else_is_none(head: bytes) -> None:
    assert sniff(head) is None
