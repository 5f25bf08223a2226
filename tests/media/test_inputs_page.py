"""Every row of every table of docs/inputs.md is proven: by a test that carries its words, or by one that reads the row.

A test carries a row as `@pytest.mark.inputs(TABLE, CELL, ...)`; when it fails, the report names the row. Rows of the
tables `kinds`, `codecs`, `channels`, `names` and `cues` are read from the page and tried.
"""

import ast
from collections import Counter
from fractions import Fraction
from functools import cache
from pathlib import Path

import av
import numpy as np
import pytest
from inputs_page import PAGE, ROOT, table
from marked import number_of, pictures, tone

from emotion_llama.media.audio import read_audio
from emotion_llama.media.channels import layout_weights
from emotion_llama.media.frames import iter_frames
from emotion_llama.media.kinds import KINDS, sniff
from emotion_llama.media.probe import open_clip

CARRIED = ("pictures", "sound", "parts", "refused", "sources", "forms", "webvtt", "encodings", "languages", "units")
TRIED = ("kinds", "codecs", "channels", "names", "cues")


@cache
def carried() -> Counter[tuple[str, ...]]:
    """How many tests carry each row: (table, cells)."""
    found: Counter[tuple[str, ...]] = Counter()
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        text = path.read_text(encoding="utf-8")
        if "mark.inputs(" not in text or path == Path(__file__):
            continue
        for node in ast.walk(ast.parse(text)):
            for mark in node.decorator_list if isinstance(node, ast.FunctionDef) else ():
                if isinstance(mark, ast.Call) and ast.unparse(mark.func) == "pytest.mark.inputs":
                    found[tuple(ast.literal_eval(one) for one in mark.args)] += 1
    return found


@pytest.mark.parametrize("name", CARRIED)
def test_the_rows_of_the_page_are_those_that_tests_carry(name):
    proven = {row[1:] for row in carried() if row[0] == name}
    on_the_page = table(name)
    assert len(set(on_the_page)) == len(on_the_page)
    assert [row for row in on_the_page if row not in proven] == [], "no test carries these rows"
    assert [row for row in sorted(proven) if row not in on_the_page] == [], "the page lacks these rows"


def test_there_is_no_other_table():
    names = [line.split(": ")[1].removesuffix(" -->") for line in PAGE.split("\n") if line.startswith("<!-- begin")]
    assert sorted(names) == sorted((*CARRIED, *TRIED))
    assert {row[0] for row in carried()} == set(CARRIED)
    inside = False
    for line in PAGE.split("\n"):
        inside = line.startswith("<!-- begin") or (inside and not line.startswith("<!-- end"))
        assert inside or not line.startswith("|"), f"a table without a name: {line}"


def test_the_page_names_every_kind_that_is_known():
    named = [kind for _, kinds in table("kinds") for kind in kinds.split(", ")]
    assert sorted(named) == sorted(KINDS)


def test_the_page_states_the_weights_of_the_channels():
    for places, weight in table("channels"):
        names = [*places.split(", "), "FL", "FR", "FC"]
        assert [f"{value:.3f}" for value in layout_weights(names)][:-3] == [weight] * (len(names) - 3)


# --- containers and codecs ------------------------------------------------------------------------------------------

VIDEO = {
    "H.264": "libx264", "H.265": "libx265", "AV1": "libsvtav1", "VP8": "libvpx", "VP9": "libvpx-vp9",
    "MPEG-1": "mpeg1video", "MPEG-2": "mpeg2video", "MPEG-4": "mpeg4", "MS MPEG-4": "msmpeg4v2", "Motion JPEG": "mjpeg",
    "ProRes": "prores_ks",
    "DV": "dvvideo", "FFV1": "ffv1", "HuffYUV": "huffyuv", "Animation": "qtrle", "raw": "rawvideo", "H.263": "h263",
    "Sorenson": "flv", "WMV 7": "wmv1", "WMV 8": "wmv2",
}  # fmt: skip
AUDIO = {
    "AAC": "aac", "AC-3": "ac3", "E-AC-3": "eac3", "MP2": "mp2", "MP3": "libmp3lame", "Opus": "libopus", "FLAC": "flac",
    "ALAC": "alac", "AMR": "libopencore_amrnb", "WavPack": "wavpack", "TTA": "tta", "8 bit": "pcm_u8",
    "16 bit": "pcm_s16le", "24 bit": "pcm_s24le", "float": "pcm_f32le", "16 bit (big-endian)": "pcm_s16be",
    "A-law": "pcm_alaw", "mu-law": "pcm_mulaw", "ADPCM": "adpcm_ms",
}  # fmt: skip
SIZES = {"dvvideo": (720, 576), "h263": (176, 144)}
OPTIONS = {"libx264": {"preset": "ultrafast"}, "libx265": {"x265-params": "log-level=none", "preset": "ultrafast"}}
CASES = [
    (suffix, kind, codec)
    for suffix, *cells in table("codecs")
    for kind, cell in zip(("video", "audio"), cells)
    for codec in cell.split(", ")
    if codec
]


def _write_video(path, codec):
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25, options=OPTIONS.get(codec, {}))
        stream.width, stream.height = SIZES.get(codec, (128, 96))
        known = [pixels.name for pixels in stream.codec_context.codec.video_formats or ()]
        stream.pix_fmt = "yuv420p" if "yuv420p" in known or not known else known[0]
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else stream.pix_fmt
        if not codec.startswith("lib"):
            stream.bit_rate = 4_000_000
        for number, image in enumerate(pictures(10, stream.height, stream.width)):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def _write_audio(path, codec):
    rate = 8000 if codec == "libopencore_amrnb" else 48_000
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, layout="mono")
        samples = tone(1, rate)
        for begin in range(0, rate, rate // 50):
            part = av.AudioFrame.from_ndarray(samples[None, begin : begin + rate // 50].copy(), "flt", "mono")
            part.sample_rate, part.pts, part.time_base = rate, begin, Fraction(1, rate)
            container.mux(stream.encode(part))
        container.mux(stream.encode(None))


@pytest.mark.parametrize(("suffix", "kind", "codec"), CASES, ids=[f"{s} with {c}" for s, _, c in CASES])
def test_a_codec_in_a_container(tmp_path, suffix, kind, codec):
    path = tmp_path / f"a.{suffix}"
    (_write_video if kind == "video" else _write_audio)(path, {**VIDEO, **AUDIO}[codec])
    assert sniff(path.read_bytes()[:4096]) is not None
    with open_clip(path, warn=pytest.fail) as file:
        if kind == "video":
            chunks = list(iter_frames(file, warn=pytest.fail))
            assert [number_of(image) for chunk in chunks for image in chunk.images] == list(range(10))
            np.testing.assert_allclose(np.diff([t for c in chunks for t in c.pts_seconds]), 0.04, atol=0.002)
        else:
            sound = read_audio(file, warn=lambda line: None).samples
            assert len(sound) == pytest.approx(16_000, abs=1300)
            level = 20 * np.log10(np.sqrt(np.mean(sound[4000:12_000].astype(float) ** 2)))
            assert level == pytest.approx(-9, abs=1.5)
