"""`emotion-llama analyze` on what people really have, one small file for each kind, and what is right of it.

The portrait is that of `examples/clips` (its smile has AU12 of 3 or more); voices are rendered, sentences invented.
"""

import json
import math
from collections.abc import Sequence
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from emotion_llama.cli.main import main
from emotion_llama.face.backends import load_backend
from emotion_llama.media.frames import frame_at
from emotion_llama.media.probe import probe
from emotion_llama.media.writing import ClipFormat, write_clip
from emotion_llama.records import AU_NAMES
from merr_synth.render.face import ANNA, DrawnFace, Placement, render
from merr_synth.render.voice import VoiceSpec, render_voice

CLIP = Path(__file__).parents[2] / "examples" / "clips" / "astronaut.mp4"
FPS, RATE = 10, 16_000
GREY = np.full((240, 320, 3), 128, np.uint8)
Captured = pytest.CaptureFixture[str]


@cache
def portrait(roll_degrees: float = 0.0) -> np.ndarray:
    """[240, 320, 3] the smiling face, turned by so much about its middle."""
    image = frame_at(probe(CLIP), 4.0, max_side=320).images[0]
    turn = cv2.getRotationMatrix2D((160, 120), roll_degrees, 1.0)
    return np.asarray(cv2.warpAffine(image, turn, (320, 240), borderMode=cv2.BORDER_REPLICATE), np.uint8)


@cache
def voice(seconds: float = 2.0, hz: float = 110.0) -> np.ndarray:
    """[S] float32 at 16 kHz: speech of a steady pitch."""
    return np.asarray(render_voice(VoiceSpec(duration_seconds=seconds, pitch_points=((0.0, hz),))).samples, np.float32)


def analyze(capsys: Captured, path: Path, *options: str) -> dict[str, Any]:
    """The document that `analyze PATH --json -` prints."""
    assert main(["analyze", str(path), *options, "--json", "-"]) == 0
    return json.loads(capsys.readouterr().out)


def evidence(document: dict[str, Any]) -> dict[str, Any]:
    (segment,) = document["people"][0]["segments"]
    return segment["evidence"]


def unit(document: dict[str, Any], name: str = "AU12") -> float:
    return evidence(document)["action_units"]["mean"][name]


def write_timed(
    path: Path, images: Sequence[np.ndarray], seconds: Sequence[float], matrix: list[int] | None = None
) -> Path:
    """Pictures that are shown for so long each, with a display matrix."""
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=50)
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 50)
        if matrix is not None:
            stream.set_display_matrix(matrix)
        at = 0.0
        for image, length in zip(images, seconds):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
            frame.pts, frame.time_base = round(at * 50), Fraction(1, 50)
            at += length
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


def with_stills(path: Path, images: Sequence[np.ndarray]) -> Path:
    """A one-picture stream before the video."""
    with av.open(str(path), "w") as out:
        still, video = out.add_stream("mjpeg", rate=1), out.add_stream("libx264", rate=FPS)
        still.width, still.height, still.pix_fmt = 64, 48, "yuvj420p"
        video.width, video.height, video.pix_fmt = 320, 240, "yuv420p"
        for stream, pictures, rate in ((still, [GREY[:48, :64]], 1), (video, images, FPS)):
            for number, image in enumerate(pictures):
                frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
                frame.pts, frame.time_base = number, Fraction(1, rate)
                out.mux(stream.encode(frame))
            out.mux(stream.encode(None))
    return path


def with_tracks(path: Path, tracks: Sequence[np.ndarray]) -> Path:
    """Sound tracks, of which the first is marked as default."""
    with av.open(str(path), "w") as out:
        streams = [out.add_stream("aac", rate=RATE, layout="mono") for _ in tracks]
        for number, (stream, samples) in enumerate(zip(streams, tracks)):
            stream.disposition = av.stream.Disposition.default if number == 0 else av.stream.Disposition(0)
            for begin in range(0, len(samples), 1024):
                part = av.AudioFrame.from_ndarray(samples[None, begin : begin + 1024].copy(), "flt", "mono")
                part.sample_rate, part.pts, part.time_base = RATE, begin, Fraction(1, RATE)
                out.mux(stream.encode(part))
            out.mux(stream.encode(None))
    return path


# --- pictures -------------------------------------------------------------------------------------------------------


def test_a_mirrored_picture(tmp_path: Path, capsys: Captured) -> None:
    mirror = [-1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30]
    path = write_timed(tmp_path / "a.mp4", [portrait()[:, ::-1]] * 12, [0.1] * 12, mirror)
    found = analyze(capsys, path)
    assert found["clip"]["video"]["is_mirrored"]
    assert found["people"][0]["face"]["num_frames_seen"] == 12
    assert unit(found) > 3


def test_a_thumbnail_before_the_video(tmp_path: Path, capsys: Captured) -> None:
    found = analyze(capsys, with_stills(tmp_path / "a.mp4", [portrait()] * 12))
    assert found["clip"]["video"]["width"] == 320
    assert unit(found) > 3
    assert any("one picture" in line for line in found["warnings"])


def test_two_recordings_joined_by_cat(tmp_path: Path, capsys: Captured) -> None:
    empty = write_clip(tmp_path / "one.ts", [GREY] * 30, FPS, voice(3.0), sample_rate_hz=RATE)
    face = write_clip(tmp_path / "two.ts", [portrait()] * 30, FPS, voice(3.0), sample_rate_hz=RATE)
    (tmp_path / "a.ts").write_bytes(empty.read_bytes() + face.read_bytes())
    found = analyze(capsys, tmp_path / "a.ts")
    assert found["coverage"]["video"] == {"read_seconds": pytest.approx(6.0, abs=0.1), "unread_seconds": 0}
    assert found["coverage"]["sound"]["read_seconds"] == pytest.approx(6.0, abs=0.2)
    assert evidence(found)["action_units"]["num_frames_measured"] >= 28
    assert unit(found) > 3
    assert any("restart" in line for line in found["warnings"])


def test_b_frames_of_one_distance(tmp_path: Path, capsys: Captured) -> None:
    stored = ClipFormat(video_options={"bf": "2", "preset": "medium"})
    path = write_clip(tmp_path / "a.mp4", [portrait()] * 30, 25, stored=stored)
    video = analyze(capsys, path)["clip"]["video"]
    assert (video["fps"], video["is_variable_frame_rate"]) == (25.0, False)


@pytest.mark.inputs(
    "pictures", "pictures of unequal length", '"in view", "held" are shares of the time, not of the pictures', ""
)
def test_a_face_for_forty_percent_of_the_time_in_a_tenth_of_the_pictures(tmp_path: Path, capsys: Captured) -> None:
    images, lengths = [GREY] * 45 + [portrait()] * 5, [1 / 15] * 45 + [0.4] * 5
    path = write_timed(tmp_path / "a.mp4", images, lengths)
    found = analyze(capsys, path)
    assert found["clip"]["video"]["is_variable_frame_rate"]
    assert (found["people"][0]["face"]["num_frames_seen"], len(images)) == (5, 50)
    assert "40 %" in found["people"][0]["why"]


def test_two_people_by_seconds(tmp_path: Path, capsys: Captured) -> None:
    """Each alone in view: the one of fewer pictures for 73 % of the time."""
    drawn = render((320, 240), [DrawnFace(ANNA, Placement((240.0, 110.0), 100.0))]).image
    path = write_timed(tmp_path / "a.mp4", [portrait()] * 10 + [drawn] * 20, [0.4] * 10 + [0.074] * 20)
    found = analyze(capsys, path, "--people", "all")
    assert [(one["is_main"], one["face"]["num_frames_seen"]) for one in found["people"]] == [(True, 10), (False, 20)]
    assert ["73 %" in found["people"][0]["why"], "27 %" in found["people"][1]["why"]] == [True, True]


@pytest.mark.inputs(
    "pictures",
    "a head that is turned by 60 or 180 degrees",
    "the units of the upright head, or none with the reason",
    "",
)
@pytest.mark.parametrize("roll", [60.0, -60.0, 180.0])
@pytest.mark.parametrize("count", [1, 12])
def test_a_head_that_is_turned_gives_the_same_units_or_none(
    tmp_path: Path, capsys: Captured, roll: float, count: int
) -> None:
    upright = analyze(capsys, write_clip(tmp_path / "a.mp4", [portrait()] * count, FPS))
    turned = analyze(capsys, write_clip(tmp_path / "b.mp4", [portrait(roll)] * count, FPS))
    units = evidence(turned)["action_units"]
    if units is None or not units["num_frames_measured"]:
        assert evidence(turned)["missing"][0]["reason"]
        return
    assert unit(turned) == pytest.approx(unit(upright), abs=1.2)
    for name in AU_NAMES:
        assert unit(turned, name) == pytest.approx(unit(upright, name), abs=1.6), name


@pytest.mark.inputs(
    "pictures", "a covered mouth", "its units are not measured; the brows' are", "as the reason, in `missing`"
)
def test_a_mask_over_the_mouth(tmp_path: Path, capsys: Captured) -> None:
    """What it hides is not measured, and that is said; the brows are."""
    covered = analyze(capsys, write_clip(tmp_path / "a.mp4", [masked(portrait())] * 12, FPS))
    units = evidence(covered)["action_units"]
    assert {"AU01", "AU04"} <= units["mean"].keys()
    assert not {"AU12", "AU15", "AU25", "AU26"} & units["mean"].keys()
    assert ["mouth is covered" in one["reason"] for one in evidence(covered)["missing"]].count(True) == 1


def masked(image: np.ndarray) -> np.ndarray:
    """The face with a cloth from the nose to the chin."""
    mesh = load_backend("onnx_mesh").observe(image[None])[0][0].landmarks[:, :2]
    low, high = mesh.min(axis=0), mesh.max(axis=0)
    width, height = high - low
    across, down = np.array([0.02, 0.98, 0.9, 0.5, 0.1]), np.array([0.55, 0.55, 0.9, 1.06, 0.9])
    corners = np.stack([low[0] + across * width, low[1] + down * height], axis=1)
    found = image.copy()
    cv2.fillPoly(found, [np.rint(corners).astype(np.int32)], (150, 190, 215))
    return found


# --- sound ----------------------------------------------------------------------------------------------------------


def prosody(document: dict[str, Any]) -> tuple[float, float]:
    """Pitch in Hz and level in dB."""
    found = evidence(document)["prosody"]
    return found["pitch_median_hz"], found["loudness_median_db"]


def test_a_right_channel_that_is_the_left_one_inverted(tmp_path: Path, capsys: Captured) -> None:
    mono = analyze(capsys, write_clip(tmp_path / "a.wav", audio=voice(), sample_rate_hz=RATE))
    stereo = np.stack([voice(), -voice()])
    found = analyze(capsys, write_clip(tmp_path / "b.wav", audio=stereo, sample_rate_hz=RATE))
    assert prosody(found) == (pytest.approx(prosody(mono)[0], rel=0.01), pytest.approx(prosody(mono)[1], abs=0.5))
    assert prosody(found)[0] == pytest.approx(110, rel=0.03)
    assert any("inverted" in line for line in found["warnings"])


def test_a_voice_in_the_centre_of_surround_sound(tmp_path: Path, capsys: Captured) -> None:
    channels = np.zeros((6, 2 * RATE), np.float32)
    channels[2] = voice()
    stored = ClipFormat(audio_codec="ac3")
    wide = np.repeat(channels, 3, axis=1)  # 48 kHz
    surround = write_clip(tmp_path / "a.mka", audio=wide, sample_rate_hz=48_000, stored=stored)
    stereo = np.stack([voice() * math.sqrt(0.5)] * 2)
    mixed = write_clip(tmp_path / "b.m4a", audio=stereo, sample_rate_hz=RATE)
    levels = [prosody(analyze(capsys, path))[1] for path in (surround, mixed)]
    assert abs(levels[0] - levels[1]) < 3


def test_a_silent_track_before_the_one_of_the_voice(tmp_path: Path, capsys: Captured) -> None:
    path = with_tracks(tmp_path / "a.mp4", [np.zeros(2 * RATE, np.float32), voice()])
    found = analyze(capsys, path)
    assert found["clip"]["audio"]["track"] == 2
    assert prosody(found)[0] == pytest.approx(110, rel=0.03)
    assert ["2 tracks; track 2 is read, for track 1 is silent" in line for line in found["warnings"]] == [True]
    chosen = analyze(capsys, path, "--audio-track", "1")
    assert (chosen["clip"]["audio"]["track"], evidence(chosen)["prosody"]) == (1, None)


def test_sound_that_is_longer_than_the_picture(tmp_path: Path, capsys: Captured) -> None:
    path = write_clip(tmp_path / "a.avi", [portrait()] * 10, FPS, voice(3.67), sample_rate_hz=RATE)
    found = analyze(capsys, path)
    assert found["clip"]["duration_seconds"] == pytest.approx(3.67, abs=0.02)
    assert found["coverage"]["sound"]["read_seconds"] == pytest.approx(3.67, abs=0.02)
    assert found["coverage"]["video"]["read_seconds"] == pytest.approx(1.0, abs=0.02)


# --- words ----------------------------------------------------------------------------------------------------------


def srt(*cues: str, start: float = 0.2, seconds: float = 0.8) -> str:
    times = [start + seconds * i for i in range(len(cues) + 1)]
    stamps = [f"{int(t) // 3600:02}:{int(t) // 60 % 60:02}:{t % 60:06.3f}".replace(".", ",") for t in times]
    return "\n".join(f"{i + 1}\n{stamps[i]} --> {stamps[i + 1]}\n{cue}\n" for i, cue in enumerate(cues))


@pytest.fixture(scope="module")
def spoken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clip(tmp_path_factory.mktemp("words") / "talk.wav", audio=voice(), sample_rate_hz=RATE)


ROLLING = """WEBVTT
Language: en

00:00:00.100 --> 00:00:00.700
\x20
I<00:00:00.300><c> was</c><00:00:00.500><c> so</c>

00:00:00.700 --> 00:00:00.710
I was so
\x20

00:00:00.710 --> 00:00:01.500
I was so
happy<00:00:01.000><c> here</c>
"""
ASS = (
    "[Events]\nFormat: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text\n"
    "Dialogue: 0,0:00:00.20,0:00:01.50,Default,,0,0,0,,I am so angry\n"
)
ANGRY = "I am so angry with you"
# Name of the file beside the clip, its content, the lines that are read (None: refused), what is said.
WORDS: list[tuple[str, str | bytes, list[str] | None, str]] = [
    (".srt", srt("Hello there", "I am so angry", start=600.2), None, "an offset is likely"),
    (".en.vtt", ROLLING, ["I was so", "happy here"], ""),
    (".srt", srt("I am\n\nvery angry", "with you"), ["I am very angry", "with you"], ""),
    (".srt", srt("[door slams, angry crowd]", "♪ so happy ♪", "Hi."), ["Hi."], "1 song, 1 sound"),
    (".srt", srt("(sobbing) NARRATOR: The train.", "- JOHN: Two.\n- MARY: [laughing] Seven."),
     ["NARRATOR: The train.", "JOHN: Two.", "MARY: Seven."], "2 sounds"),
    (".srt", srt(r"{\an8}{\i1}The train{\i0} leaves\Nat nine", r"{\p1}m 0 0 l 100 0{\p0}"),
     ["The train leaves at nine"], ""),
    (".srt", srt(ANGRY, "Hello").replace("00:00:00,200", "-00:00:01,000", 1), ["Hello"], "1 cue could not be read"),
    (".srt", srt(ANGRY, "Hello").replace("00:00:00,200", "00:00:00, 200", 1), ["Hello"], "1 cue could not be read"),
    (".srt", srt("Dlaczego jesteś taki zły").encode("cp1250"), None, "--encoding"),
    (".srt", srt("Neden bu kadar kızgınsın").encode("cp1254"), None, "--encoding"),
    (".srt", srt("Как ты мог").encode("cp1251"), None, "--encoding"),
    (".srt", srt(ANGRY, "café").encode().replace(b"\xa9", b"\xa9 \xe4"), [ANGRY, "café \ufffd"], "not UTF-8"),
    (".srt", srt("Ich will nicht, dass du lange alleine bist.", "Die sind noch so klein, und die Katze ist krank."),
     ["Ich will nicht, dass du lange alleine bist.", "Die sind noch so klein, und die Katze ist krank."], "German"),
    (".srt", srt("To jest moja mama.", "Nie mam na to czasu, to nie jest fair."),
     ["To jest moja mama.", "Nie mam na to czasu, to nie jest fair."], "Polish"),
    (".srt", srt("Barnen fick en fin gift, det var glad och bra."), ["Barnen fick en fin gift, det var glad och bra."],
     "Swedish"),
    (".sdh.srt", srt(ANGRY), [ANGRY], ""), (".forced.srt", srt(ANGRY), [ANGRY], ""),
    ("_en.srt", srt(ANGRY), [ANGRY], ""), (".english.srt", srt(ANGRY), [ANGRY], ""),
    (".ass", ASS, ["I am so angry"], ""),
]  # fmt: skip


@pytest.mark.parametrize(("name", "content", "lines", "said"), WORDS)
def test_the_words_beside_a_clip(
    spoken: Path, capsys: Captured, name: str, content: str | bytes, lines: list[str] | None, said: str
) -> None:
    path = spoken.with_name(f"talk{name}")
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    try:
        found = analyze(capsys, spoken, "--people", "all")  # of sound alone each speaker is somebody
    finally:
        path.unlink()
    words = evidence(found)["transcript"]
    about = [*found["warnings"], *(one["reason"] for one in evidence(found)["missing"])]
    assert said in "\n".join(about)
    if lines is None:
        assert words is None
        return
    everybody = [person["segments"][0]["evidence"]["transcript"] for person in found["people"]]
    said_by_all = sorted(
        (line for one in everybody for line in one["lines"]), key=lambda line: line["start_seconds"] or 0
    )
    named = [f"{line['speaker']}: {line['text']}" if line["speaker"] else line["text"] for line in said_by_all]
    assert named == lines
    assert words["source"].startswith(f"talk{name}")
    cues = [cue for sources in _cues(found) for cue in sources]
    assert not (said in ("German", "Polish", "Swedish") and any(cue["source"] == "words" for cue in cues))


def _cues(document: dict[str, Any]) -> list[list[dict[str, Any]]]:
    prediction = document["people"][0]["segments"][0]["prediction"] or {}
    return [value for key, value in prediction.items() if key == "cues"]


@pytest.mark.parametrize(("encoding", "words"), [("cp1250", "Dlaczego jesteś taki zły"), ("cp1251", "Как ты мог")])
def test_an_encoding_that_is_named(spoken: Path, capsys: Captured, encoding: str, words: str) -> None:
    path = spoken.with_name("talk.srt")
    path.write_bytes(srt(words).encode(encoding))
    try:
        found = analyze(capsys, spoken, "--encoding", encoding)
    finally:
        path.unlink()
    assert [line["text"] for line in evidence(found)["transcript"]["lines"]] == [words]


# --- tables of units ------------------------------------------------------------------------------------------------


def units_csv(path: Path, count: int, step: float = 0.1, smile: str = "4.0") -> Path:
    """A table of OpenFace: `smile` in AU12 of the last row."""
    names = [f"{name}_r" for name in AU_NAMES]
    rows = ["frame, face_id, timestamp, confidence, success, " + ", ".join(names)]
    for i in range(count):
        values = [smile if name == "AU12_r" and i == count - 1 else "0.1" for name in names]
        rows.append(",".join([str(i + 1), "0", f"{i * step:g}", "0.98", "1", *values]))
    path.write_text("\n".join(rows) + "\n")
    return path


@pytest.mark.inputs("units", "rows of less than 90 % of the pictures", "taken; the seconds that are covered are said")
@pytest.mark.parametrize(
    ("count", "step", "smile", "measured", "said"),
    [
        (20, 0.1, "4.0", 20, ""), (20, 100.0, "4.0", 20, "milliseconds"), (20, 0.1, "-nan(ind)", 19, ""),
        (5, 0.1, "4.0", 5, "0.5"),
    ],
)  # fmt: skip
def test_tables_of_units(
    tmp_path: Path, capsys: Captured, count: int, step: float, smile: str, measured: int, said: str
) -> None:
    path = write_clip(tmp_path / "a.mp4", [GREY] * 20, FPS, voice(3.0), sample_rate_hz=RATE)  # a table is of pictures
    found = analyze(capsys, path, "--units", str(units_csv(tmp_path / "a.csv", count, step, smile)))
    units = evidence(found)["action_units"]
    assert units["num_frames_measured"] == measured
    assert said in "\n".join(found["warnings"])
    assert bool(said) == bool(found["warnings"])
    if smile == "4.0":
        assert units["max"]["AU12"] == 4.0


def test_a_table_of_units_of_another_clip_is_refused(tmp_path: Path, capsys: Captured) -> None:
    path = write_clip(tmp_path / "a.mp4", [GREY] * 20, FPS)
    table = units_csv(tmp_path / "a.csv", 60)
    assert main(["analyze", str(path), "--units", str(table)]) == 1
    error = capsys.readouterr().err
    assert "a.csv" in error
    assert len(error.splitlines()) == 1
