"""What people really have: one small file for each kind, and the value that is right."""

import io
from fractions import Fraction

import av
import numpy as np
import pytest
from marked import number_of, picture, pictures, red_corner, tone
from PIL import Image

from emotion_llama.errors import MediaError
from emotion_llama.media.audio import iter_audio, read_audio
from emotion_llama.media.frames import iter_frames
from emotion_llama.media.probe import open_clip, probe
from emotion_llama.media.writing import ClipFormat, write_clip

B_FRAMES = {"bf": "2", "preset": "medium", "g": "25", "crf": "16"}
FLV = ClipFormat("libx264", "aac")
MPG = ClipFormat("mpeg2video", "mp2")


def read(path, **options):
    """(clip, pictures, their times, sound, all lines, coverage) of one pass over a file."""
    lines, images, times, sound = [], [], [], [np.empty(0, np.float32)]
    with open_clip(path, warn=lines.append, **options) as file:
        frames = iter_frames(file, warn=lines.append) if file.clip.video else ()
        chunks = iter_audio(file, warn=lines.append) if file.clip.audio else ()
        for chunk in frames:
            images += list(chunk.images)
            times += chunk.pts_seconds.tolist()
        sound += [chunk.samples for chunk in chunks]
        return file.clip, images, times, np.concatenate(sound), lines, file.coverage


def level_db(samples):
    return 20 * np.log10(np.sqrt(np.mean(samples.astype(float) ** 2)) + 1e-12)


# --- pictures -------------------------------------------------------------------------------------------------------


def _with_matrix(path, a, b, c, d, count=3):
    """Pictures with a display matrix: x' = a x + c y, y' = b x + d y."""
    write_clip(path, pictures(count), 25, stored=ClipFormat(rotation_degrees=90))
    data = bytearray(path.read_bytes())
    # The track header's matrix: a b u c d v x y w, 16.16 and 2.30; the writer's own for 90 degrees.
    known = np.array([0, 1 << 16, 0, -(1 << 16), 0, 0], ">i4").tobytes()
    place = data.index(known)
    data[place : place + 24] = np.array([a << 16, b << 16, 0, c << 16, d << 16, 0], ">i4").tobytes()
    path.write_bytes(data)
    return path


@pytest.mark.inputs(
    "pictures", "a display matrix (MP4, MOV)", "applied whole: turned and mirrored; `clip.video.is_mirrored`", ""
)
@pytest.mark.parametrize(
    ("matrix", "turn", "is_mirrored"),
    [
        ((1, 0, 0, 1), 0, False), ((-1, 0, 0, 1), 0, True), ((1, 0, 0, -1), 180, True), ((-1, 0, 0, -1), 180, False),
        ((0, 1, -1, 0), 90, False), ((0, -1, 1, 0), 270, False), ((0, 1, 1, 0), 270, True), ((0, -1, -1, 0), 90, True),
    ],
)  # fmt: skip
def test_the_whole_display_matrix_is_applied(tmp_path, matrix, turn, is_mirrored):
    path = _with_matrix(tmp_path / "a.mp4", *matrix)
    with av.open(str(path)) as container:
        stored = next(container.decode(video=0)).to_ndarray(format="rgb24")
    clip, images, *_ = read(path)
    assert (clip.video.rotation_degrees, clip.video.is_mirrored) == (turn, is_mirrored)
    a, b, c, d = matrix
    height, width = stored.shape[:2]
    ys, xs = np.mgrid[:height, :width]
    to_x, to_y = a * xs + c * ys, b * xs + d * ys  # by the definition of the matrix, moved to begin at 0
    expected = np.empty((clip.video.height, clip.video.width, 3), np.uint8)
    expected[to_y - to_y.min(), to_x - to_x.min()] = stored
    np.testing.assert_allclose(images[0].astype(int), expected.astype(int), atol=3)


def _with_thumbnail(path, before, disposition=None, codec="mjpeg"):
    """A video with a one-picture stream before or behind it."""
    with av.open(str(path), "w") as container:

        def still():
            stream = container.add_stream(codec, rate=1)
            stream.width, stream.height, stream.pix_fmt = 64, 48, "yuvj420p" if codec == "mjpeg" else "rgb24"
            if disposition is not None:
                stream.disposition = disposition
            return stream

        thumbnail = still() if before else None
        video = container.add_stream("libx264", rate=25)
        video.width, video.height, video.pix_fmt = 128, 96, "yuv420p"
        thumbnail = thumbnail or still()
        frame = av.VideoFrame.from_ndarray(picture(200, 48, 64), format="rgb24")
        frame.pts, frame.time_base = 0, Fraction(1)
        container.mux(thumbnail.encode(frame))
        container.mux(thumbnail.encode(None))
        for number, image in enumerate(pictures(10)):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 25)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
    return path


@pytest.mark.inputs(
    "pictures",
    "a stream of one picture beside a video, a cover, a thumbnail",
    "never the video",
    "where it is not marked as a cover",
)
@pytest.mark.parametrize("name", ["a.mp4", "a.mov", "a.mkv"])
@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("disposition", [None, av.stream.Disposition.attached_pic])
def test_one_picture_beside_a_video_is_not_the_video(tmp_path, name, before, disposition):
    path = _with_thumbnail(tmp_path / name, before, disposition)
    clip, images, _, _, lines, _ = read(path)
    assert clip.video.width == 128
    assert [number_of(image) for image in images] == list(range(10))
    assert clip.duration_seconds == pytest.approx(0.4)
    assert all("one picture" in line for line in lines)


@pytest.mark.inputs(
    "pictures", "several videos", "the one marked as default, else the first; `clip.video.track`", "which one"
)
@pytest.mark.parametrize(("default", "read_track"), [(0, 1), (1, 2), (None, 1)])
@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_of_several_videos_the_default_one_is_read_and_said(tmp_path, name, default, read_track):
    with av.open(str(tmp_path / name), "w") as container:
        streams = [container.add_stream("libx264", rate=25) for _ in range(2)]
        for number, stream in enumerate(streams):
            stream.width, stream.height, stream.pix_fmt = 128, 96, "yuv420p"
            stream.disposition = av.stream.Disposition.default if number == default else av.stream.Disposition(0)
        for number in range(5):
            for stream, first in zip(streams, (0, 100)):
                frame = av.VideoFrame.from_ndarray(picture(first + number), format="rgb24")
                frame.pts, frame.time_base = number, Fraction(1, 25)
                container.mux(stream.encode(frame))
        for stream in streams:
            container.mux(stream.encode(None))
    clip, images, _, _, lines, _ = read(tmp_path / name)
    assert clip.video.track == read_track
    assert [number_of(image) for image in images] == [100 * (read_track - 1) + number for number in range(5)]
    assert [f"2 video streams; number {read_track} is read" in line for line in lines] == [True]


@pytest.mark.inputs("pictures", "B-frames", "rate, and whether it varies, from the times of all pictures, sorted", "")
@pytest.mark.parametrize("count", [30, 100, 300, 600])
def test_b_frames_of_one_distance_are_a_constant_rate(tmp_path, count, monkeypatch):
    path = write_clip(tmp_path / "a.mp4", pictures(count, 24, 32), 25, stored=ClipFormat(video_options=B_FRAMES))
    for surveyed in (32 << 20, 0):  # by all packets, and by the index of a large file
        monkeypatch.setattr("emotion_llama.media.reader._SURVEYED_BYTES", surveyed)
        clip = probe(path)
        assert (clip.video.fps, clip.video.is_variable_frame_rate) == (25.0, False)
        assert clip.duration_seconds == pytest.approx(count / 25)


@pytest.mark.parametrize("name", ["a.mkv", "a.ts", "a.avi", "a.webm", "a.mp4"])
def test_a_large_file_gives_the_same_as_a_small_one(tmp_path, name, monkeypatch):
    path = write_clip(tmp_path / name, pictures(60), 25, tone(3))
    small = read(path)
    monkeypatch.setattr("emotion_llama.media.reader._SURVEYED_BYTES", 0)
    large = read(path)
    assert large[0] == small[0]
    assert large[2] == small[2]
    np.testing.assert_array_equal(large[3], small[3])
    assert large[4:] == small[4:]


@pytest.mark.inputs("pictures", "dropped pictures, a wrong rate in the header (AVI)", "the measured rate", "")
def test_avi_with_dropped_pictures_has_the_measured_rate(tmp_path):
    """Recorders note dropped pictures as empty chunks: the header says 25 a second, of which every third is there."""
    path = tmp_path / "a.avi"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mjpeg", rate=25)
        stream.width, stream.height, stream.pix_fmt = 128, 96, "yuvj420p"
        for number in range(20):
            frame = av.VideoFrame.from_ndarray(picture(number), format="rgb24")
            frame.pts, frame.time_base = 3 * number, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with av.open(str(path)) as container:
        assert container.streams.video[0].average_rate == 25
    clip, images, times, *_ = read(path)
    assert (len(images), clip.video.is_variable_frame_rate) == (20, False)
    assert clip.video.fps == pytest.approx(25 / 3)
    np.testing.assert_allclose(times, np.arange(20) * 0.12, atol=1e-6)


def test_length_is_of_the_streams_that_are_read(tmp_path):
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=25)
        video.width, video.height, video.pix_fmt = 128, 96, "yuv420p"
        sounds = [container.add_stream("flac", rate=16_000, layout="mono") for _ in range(2)]
        for number, image in enumerate(pictures(25)):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 25)
            container.mux(video.encode(frame))
        for stream, seconds in zip(sounds, (1, 4)):
            for begin in range(0, seconds * 16_000, 1600):
                part = av.AudioFrame.from_ndarray(tone(1, 16_000)[None, :1600].copy(), "flt", "mono")
                part.sample_rate, part.pts, part.time_base = 16_000, begin, Fraction(1, 16_000)
                container.mux(stream.encode(part))
        for stream in (video, *sounds):
            container.mux(stream.encode(None))
    assert probe(path, warn=lambda line: None).duration_seconds == pytest.approx(1.0, abs=0.05)
    clip, _, _, sound, lines, _ = read(path, audio_track=2)
    assert clip.duration_seconds == pytest.approx(4.0, abs=0.05)
    assert len(sound) == 64_000
    assert lines == []


@pytest.mark.parametrize("suffix", ["gif", "apng", "png"])
def test_animated_pictures_are_read(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    first, *rest = (Image.fromarray(picture(number)) for number in range(6))
    first.save(path, save_all=True, append_images=rest, duration=100)
    clip, images, times, _, lines, coverage = read(path)
    assert [number_of(image) for image in images] == list(range(6))
    np.testing.assert_allclose(times, np.arange(6) / 10, atol=1e-6)
    assert (clip.video.fps, clip.duration_seconds) == (pytest.approx(10), pytest.approx(0.6))
    assert (lines, coverage["video"]) == ([], (pytest.approx(0.6), 0))


@pytest.mark.inputs("refused", "animated WebP", "that FFmpeg does not decode it, and what to convert it to")
def test_animated_webp_is_named(tmp_path):
    images = [Image.fromarray(picture(number)) for number in range(3)]
    images[0].save(tmp_path / "a.webp", save_all=True, append_images=images[1:], duration=100)
    with pytest.raises(MediaError, match="animated WebP"):
        probe(tmp_path / "a.webp")
    images[0].save(tmp_path / "b.webp")
    with pytest.raises(MediaError, match="still picture"):
        probe(tmp_path / "b.webp")


@pytest.mark.inputs("refused", "AVIF or HEIC with one picture", "which still picture it is; moving ones are read")
@pytest.mark.parametrize(("suffix", "kind"), [("avif", "AVIF"), ("heic", "HEIC"), ("heif", "HEIF")])
def test_one_picture_in_avif_or_heic_is_a_still_picture(tmp_path, suffix, kind):
    """FFmpeg reads it as a video of one second, which nobody recorded."""
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(picture(1)).save(path, format="AVIF")
    brand = {"heif": b"mif1"}.get(suffix, suffix.encode())
    path.write_bytes(path.read_bytes().replace(b"ftypavif", b"ftyp" + brand, 1))
    with pytest.raises(MediaError, match=rf"a still picture \({kind}\)"):
        probe(path)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(MediaError, match=rf"a still picture \({kind}\)"):
        probe(path)


@pytest.mark.inputs("refused", "AVIF or HEIC with one picture", "which still picture it is; moving ones are read")
def test_moving_pictures_in_avif_and_heic_are_read(tmp_path):
    first, *rest = (Image.fromarray(picture(number)) for number in range(6))
    first.save(tmp_path / "a.avif", save_all=True, append_images=rest, duration=100)
    write_clip(tmp_path / "b.mp4", pictures(6), 10, stored=ClipFormat("libx265"))
    data = (tmp_path / "b.mp4").read_bytes()
    (tmp_path / "b.heic").write_bytes(data[:8] + b"hevc" + data[12:])
    for name in ("a.avif", "b.heic"):
        clip, images, times, _, lines, _ = read(tmp_path / name)
        assert [number_of(image) for image in images] == list(range(6))
        np.testing.assert_allclose(times, np.arange(6) / 10, atol=1e-6)
        assert clip.duration_seconds == pytest.approx(0.6)
        assert all("one picture" in line for line in lines)  # the cover that an animated AVIF has


def _code(nits, transfer):
    """Code value 0..1 of a grey of so many cd/m2 (ST 2084; BT.2100 HLG for 1000 cd/m2, whose grey has gamma 1.2)."""
    if transfer == 16:
        y = (nits / 10_000) ** 0.1593017578125
        return ((0.8359375 + 18.8515625 * y) / (1 + 18.6875 * y)) ** 78.84375
    scene = (nits / 1000) ** (1 / 1.2)
    return np.sqrt(3 * scene) if scene <= 1 / 12 else 0.17883277 * np.log(12 * scene - 0.28466892) + 0.55991073


@pytest.mark.inputs(
    "pictures", "PQ or HLG (HDR10, iPhone)", "mapped to the ordinary range before faces are looked for", "yes"
)
@pytest.mark.parametrize("transfer", [16, 18], ids=["PQ", "HLG"])
def test_hdr_is_mapped_to_what_the_scene_looks_like(tmp_path, transfer):
    path = tmp_path / "a.mp4"
    greys = [10, 60, 110, 160, 200, 235]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "4", "preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = 96 * len(greys), 64, "yuv420p10le"
        stream.codec_context.color_trc, stream.codec_context.color_primaries, stream.codec_context.colorspace = (
            transfer,
            9,
            9,
        )
        frame = av.VideoFrame(96 * len(greys), 64, "yuv420p10le")
        frame.color_trc, frame.color_primaries, frame.colorspace, frame.pts = transfer, 9, 9, 0
        codes = [_code(203 * (grey / 255) ** 2.2, transfer) for grey in greys]
        luma = np.repeat(np.rint(64 + 876 * np.array(codes)).astype("<u2"), 96)
        for plane, row in zip(frame.planes, (luma, *[np.full(48 * len(greys), 512, "<u2")] * 2)):
            rows = np.zeros((plane.height, plane.line_size // 2), "<u2")
            rows[:, : len(row)] = row
            plane.update(rows.tobytes())
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    _, images, _, _, lines, _ = read(path)
    found = images[0][32, 48::96].astype(int)
    np.testing.assert_allclose(found[:4], np.repeat(np.array(greys[:4])[:, None], 3, 1), atol=4)
    assert (np.diff(found[:, 0]) > 0).all()
    assert found[-1].max() <= 255
    assert [("PQ" if transfer == 16 else "HLG") in line for line in lines] == [True]


# --- times that restart ---------------------------------------------------------------------------------------------


@pytest.mark.inputs(
    "parts", "times that restart (joined `.ts`, `.mpg`, `.webm`, `.mkv`)", "the parts follow each other", "how often"
)
@pytest.mark.parametrize(
    ("name", "stored", "times"),
    [
        ("a.ts", None, 2), ("a.ts", ClipFormat(video_options=B_FRAMES), 3), ("a.mpg", MPG, 3), ("a.mkv", None, 2),
        ("a.webm", None, 2),
    ],
)  # fmt: skip
def test_joined_recordings_are_one(tmp_path, name, stored, times):
    one = write_clip(tmp_path / f"one{name}", pictures(50), 25, tone(2), stored=stored)
    both = tmp_path / name
    both.write_bytes(one.read_bytes() * times)
    clip, images, seen, sound, lines, coverage = read(both)
    assert [number_of(image) for image in images] == [*range(50)] * times
    assert (np.diff(seen) > 0.03).all()
    assert (clip.video.fps, clip.video.is_variable_frame_rate) == (pytest.approx(25, rel=0.01), False)
    length = probe(one).duration_seconds
    assert clip.duration_seconds == pytest.approx(times * length, abs=0.03)
    assert len(sound) / 16_000 == pytest.approx(times * length, abs=0.1)
    assert coverage["video"] == (pytest.approx(times * 2.0, abs=0.1), 0)
    for part in range(times):  # the second part's sound is where its pictures are
        at = int((seen[50 * part] + 1.0) * 16_000)
        assert level_db(sound[at : at + 1600]) == pytest.approx(-9, abs=1)
    assert len(lines) == 1
    assert "restart" in lines[0]


@pytest.mark.parametrize("surveyed", [32 << 20, 0])
@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.flv"])
@pytest.mark.inputs("parts", "times that leap ahead by an hour or more", "the parts follow each other", "how often")
def test_a_leap_of_hours_is_not_filled(tmp_path, name, surveyed, monkeypatch):
    monkeypatch.setattr("emotion_llama.media.reader._SURVEYED_BYTES", surveyed)
    with av.open(str(tmp_path / name), "w") as container:
        stream = container.add_stream("aac", rate=48_000, layout="mono")
        samples = tone(2, 48_000)
        for begin in range(0, len(samples), 1024):
            part = av.AudioFrame.from_ndarray(samples[None, begin : begin + 1024].copy(), "flt", "mono")
            part.sample_rate, part.time_base = 48_000, Fraction(1, 48_000)
            part.pts = begin + (begin >= 48_128) * 48_000 * 20_000
            container.mux(stream.encode(part))
        container.mux(stream.encode(None))
    clip, _, _, sound, lines, coverage = read(tmp_path / name)
    assert clip.duration_seconds == pytest.approx(2.0, abs=0.1)
    assert len(sound) / 16_000 == pytest.approx(2.0, abs=0.1)
    assert coverage["sound"] == (pytest.approx(2.0, abs=0.1), 0)
    assert ["restart once" in line for line in lines].count(True) == 1


@pytest.mark.inputs("parts", "chained Ogg; joined `.avi`, `.mp3`, `.aac`", "read on", "")
def test_chained_ogg_is_one(tmp_path):
    one = write_clip(tmp_path / "one.ogg", audio=tone(2), stored=ClipFormat(audio_codec="libopus"))
    (tmp_path / "a.ogg").write_bytes(one.read_bytes() * 3)
    clip, _, _, sound, *_ = read(tmp_path / "a.ogg")
    assert clip.duration_seconds == pytest.approx(6.0, abs=0.05)
    assert len(sound) / 16_000 == pytest.approx(6.0, abs=0.05)
    assert level_db(sound[-8000:]) == pytest.approx(-9, abs=1)


HIDING = [("a.mp4", None), ("a.mov", None), ("a.flv", FLV), ("a.wav", None)]


def _two(tmp_path, name, stored):
    """A recording of 2 s and one of 3 s, as bytes."""
    images = None if name == "a.wav" else list(pictures(50))
    parts = [write_clip(tmp_path / f"{n}{name}", images, 25, tone(n), stored=stored) for n in (2, 3)]
    return [part.read_bytes() for part in parts]


@pytest.mark.inputs(
    "parts",
    "another recording behind the end (joined `.mp4`, `.mov`, `.flv`, `.wav`)",
    "not read, as in nearly all players",
    "its seconds, and the byte where it begins",
)
@pytest.mark.parametrize(("name", "stored"), HIDING)
def test_joined_recordings_that_the_container_hides_are_said_with_their_seconds(tmp_path, name, stored):
    one, two = _two(tmp_path, name, stored)
    (tmp_path / name).write_bytes(one + two + two)
    *_, lines, coverage = read(tmp_path / name)
    assert coverage["rest"] == (0, pytest.approx(6.0, abs=0.1))
    said = [line for line in lines if "joined behind" in line]
    assert [f"byte {len(one) + n * len(two)} " in line for n, line in enumerate(said)] == [True, True]
    (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[len(one) :])  # cut where it is said, it is whole
    assert read(tmp_path / name)[0].duration_seconds == pytest.approx(3.0, abs=0.06)


@pytest.mark.inputs(
    "parts",
    "bytes behind the end that cannot be read (of a recording that is cut short; 8 KiB and more of anything)",
    "not read",
    "how many, and where they begin",
)
@pytest.mark.parametrize(("name", "stored"), HIDING)
@pytest.mark.parametrize("rest", ["cut short", "of no kind"])
def test_what_is_joined_and_cannot_be_read_is_said_with_its_bytes(tmp_path, name, stored, rest):
    one, two = _two(tmp_path, name, stored)
    behind = two[:60] if rest == "cut short" else np.random.default_rng(1).bytes(20_000)
    (tmp_path / name).write_bytes(one + behind)
    *_, lines, coverage = read(tmp_path / name)
    assert coverage["rest"] == (0, 0)
    assert [f"{len(behind)} bytes" in line and f"byte {len(one)}" in line for line in lines] == [True]


@pytest.mark.inputs("parts", "padding and tags behind the end", "left out", "")
@pytest.mark.parametrize(("name", "stored"), [*HIDING, ("a.mkv", None)])
@pytest.mark.parametrize("padding", [b"\0" * 100_000, b"\xff" * 100_000, b"TAG" + b" " * 125])
def test_padding_and_tags_behind_the_end_are_no_loss(tmp_path, name, stored, padding):
    one, _ = _two(tmp_path, name, stored)
    (tmp_path / name).write_bytes(one + padding)
    *_, lines, coverage = read(tmp_path / name)
    assert "rest" not in coverage
    assert not any("behind" in line for line in lines)


@pytest.mark.inputs(
    "parts",
    "a wild time of a packet (one damaged bit)",
    "what it holds follows what is before it",
    "which stream, how many, when",
)
def test_a_wild_time_of_one_packet_moves_nothing_else(tmp_path):
    """A bit in a time stamp made it a file of 12 days, of which all but two seconds were filled with silence."""
    path = write_clip(tmp_path / "a.flv", pictures(50), 25, tone(2), stored=FLV)
    whole = read(path)
    data = bytearray(path.read_bytes())
    for kind in ("video", "audio"):
        with av.open(str(path)) as container:
            place = [packet.pos for packet in container.demux(**{kind: 0}) if packet.size][30]
        data[place + 7] ^= 0x40  # the highest byte of the tag's time stamp
    path.write_bytes(data)
    clip, images, times, sound, lines, coverage = read(path)
    assert len(images) == 50
    np.testing.assert_allclose(times, whole[2], atol=0.005)
    assert len(sound) == pytest.approx(len(whole[3]), abs=400)
    np.testing.assert_allclose(sound[4000:8000], whole[3][4000:8000], atol=0.02)
    assert clip.duration_seconds == pytest.approx(whole[0].duration_seconds, abs=0.03)
    assert coverage["video"] == (pytest.approx(2.0, abs=0.05), 0)
    assert [line.split(":")[0] for line in lines if "1 packet has a wild time, first after 1." in line] == ["video"]
    assert [line.split(":")[0] for line in lines if "1 packet has a wild time" in line] == ["video", "sound"]


@pytest.mark.inputs("parts", "chained Ogg; joined `.avi`, `.mp3`, `.aac`", "read on", "")
def test_avi_and_mp3_go_on_natively(tmp_path):
    for name in ("a.avi", "a.mp3", "a.aac"):
        images = list(pictures(50)) if name == "a.avi" else None
        stored = ClipFormat(audio_codec="aac") if name == "a.aac" else None
        one = write_clip(tmp_path / f"one{name}", images, 25, tone(2), stored=stored)
        (tmp_path / name).write_bytes(one.read_bytes() * 2)
        clip, _, _, sound, *_ = read(tmp_path / name)
        assert clip.duration_seconds == pytest.approx(4.0, abs=0.1)
        assert len(sound) / 16_000 == pytest.approx(4.0, abs=0.1)


# --- sound ----------------------------------------------------------------------------------------------------------


def write_tracks(path, tracks, default=0, codec=None, images=10):
    """Sound tracks [S] beside a video; the track `default` is marked so."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=25)
        video.width, video.height, video.pix_fmt = 128, 96, "yuv420p"
        streams = []
        for number in range(len(tracks)):
            stream = container.add_stream(codec or "aac", rate=16_000, layout="mono")
            stream.disposition = av.stream.Disposition.default if number == default else av.stream.Disposition(0)
            streams.append(stream)
        for number, image in enumerate(pictures(images)):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 25)
            container.mux(video.encode(frame))
        for stream, samples in zip(streams, tracks):
            for begin in range(0, len(samples), 1024):
                part = av.AudioFrame.from_ndarray(samples[None, begin : begin + 1024].copy(), "flt", "mono")
                part.sample_rate, part.pts, part.time_base = 16_000, begin, Fraction(1, 16_000)
                container.mux(stream.encode(part))
        for stream in (video, *streams):
            container.mux(stream.encode(None))
    return path


SILENCE, LOW, HIGH = np.zeros(32_000, np.float32), tone(2, 16_000, 300), tone(2, 16_000, 700)


@pytest.mark.inputs(
    "sound",
    "several sound tracks",
    "`--audio-track N`; else the default one, unless it is silent and another is not",
    "which one, and why",
)
@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
@pytest.mark.parametrize(
    ("tracks", "default", "track", "hz"),
    [
        ((LOW, HIGH), 0, 1, 300), ((LOW, HIGH), 1, 2, 700), ((SILENCE, HIGH), 0, 2, 700), ((LOW, SILENCE), 1, 1, 300),
        ((SILENCE, SILENCE), 0, 1, None), ((SILENCE, LOW, HIGH), 2, 3, 700),
    ],
)  # fmt: skip
def test_of_several_tracks_the_default_one_that_sounds_is_read_and_said(tmp_path, name, tracks, default, track, hz):
    path = write_tracks(tmp_path / name, tracks, default)
    clip, _, _, sound, lines, _ = read(path)
    assert clip.audio.track == track
    assert [f"{len(tracks)} tracks; track {track}" in line for line in lines] == [True]
    assert ("silent" in lines[0]) == (tracks[default] is SILENCE)
    if hz is not None:
        spectrum = np.abs(np.fft.rfft(sound[4000:28_000]))
        assert spectrum.argmax() * 16_000 / 24_000 == pytest.approx(hz, abs=2)


@pytest.mark.inputs(
    "sound",
    "several sound tracks",
    "`--audio-track N`; else the default one, unless it is silent and another is not",
    "which one, and why",
)
def test_a_track_is_chosen_by_its_number(tmp_path):
    path = write_tracks(tmp_path / "a.mp4", (LOW, HIGH, SILENCE))
    for number, expected in ((1, -9), (2, -9), (3, -200)):
        clip, _, _, sound, lines, _ = read(path, audio_track=number)
        assert clip.audio.track == number
        assert lines == []
        assert level_db(sound[4000:28_000]) == pytest.approx(expected, abs=1) or level_db(sound) < -90
        assert level_db(read_audio(clip).samples) == level_db(sound)  # the same track when it is opened anew
    with pytest.raises(MediaError, match="no sound track 4, for it has 3"):
        read(path, audio_track=4)


@pytest.mark.inputs(
    "sound", "longer or shorter than the picture", "both whole; the length is that of the longer one", ""
)
@pytest.mark.parametrize("seconds", [0.4, 1.0, 3.67])
@pytest.mark.parametrize("name", ["a.avi", "a.mp4", "a.mkv", "a.ts", "a.webm", "a.mov"])
def test_sound_longer_or_shorter_than_the_picture_is_kept_whole(tmp_path, name, seconds):
    clip, images, _, sound, lines, coverage = read(write_clip(tmp_path / name, pictures(25), 25, tone(seconds)))
    assert len(images) == 25
    assert clip.duration_seconds == pytest.approx(max(1.0, seconds), abs=0.06)
    assert len(sound) / 16_000 == pytest.approx(seconds, abs=0.06)
    assert level_db(sound[-3200:-1600]) == pytest.approx(-9, abs=1)
    assert coverage["sound"] == (pytest.approx(seconds, abs=0.06), 0)
    assert lines == []


@pytest.mark.inputs("sound", "5.1, 7.1 and other layouts", "mixed by the channels' places (ITU-R BS.775), as below", "")
def test_surround_sound_is_as_loud_as_its_stereo_downmix(tmp_path):
    voice = tone(2, 48_000, amplitude=0.3)
    channels = np.zeros((6, len(voice)), np.float32)
    channels[2] = voice
    surround = write_clip(
        tmp_path / "a.mka", audio=channels, sample_rate_hz=48_000, stored=ClipFormat(audio_codec="ac3")
    )
    stereo = write_clip(tmp_path / "b.m4a", audio=np.stack([voice * 0.5**0.5] * 2), sample_rate_hz=48_000)
    difference = level_db(read(surround)[3]) - level_db(read(stereo)[3])
    assert abs(difference) < 1


# --- lengths that are stated ----------------------------------------------------------------------------------------


@pytest.mark.inputs(
    "parts",
    "data that ends before the length that the header states (0.1 s or more)",
    "what is there is read",
    "the seconds",
)
@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("a.wav", None),
        ("a.flac", None),
        ("a.mp3", None),
        ("a.aiff", "pcm_s16be"),
        ("a.avi", None),
    ],
)
def test_a_file_that_is_shorter_than_its_header_says_is_said(tmp_path, name, codec):
    images = list(pictures(100)) if name == "a.avi" else None
    path = write_clip(tmp_path / name, images, 25, tone(4), stored=ClipFormat(audio_codec=codec))
    assert read(path)[4] == []
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    lines = read(path)[4]
    assert any("before the length" in line for line in lines)


# --- names and heads ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("head", [b"fLaC", b"OggS", b"RIFF\0\0\0\0WAVE", b"FLV\x01", b"ID3", b"\x1a\x45\xdf\xa3"])
def test_rubbish_with_the_head_of_a_media_file_is_not_called_text(tmp_path, head):
    path = tmp_path / "a.bin"
    path.write_bytes(head + b" this is no recording at all\n" * 40)
    with pytest.raises(MediaError) as error:
        probe(path)
    assert "text file" not in str(error.value)
    assert str(error.value).startswith(f"{path}: ")


def test_a_name_as_long_as_the_file_system_takes(tmp_path):
    path = write_clip(tmp_path / "a.mp4", pictures(3), 25).rename(tmp_path / ("n" * 246 + ".mp4"))
    assert probe(path).path == path


def test_dv_is_read(tmp_path):
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="dv") as container:
        video = container.add_stream("dvvideo", rate=25)
        video.width, video.height, video.pix_fmt = 720, 576, "yuv420p"
        sound = container.add_stream("pcm_s16le", rate=48_000, layout="stereo")
        for number in range(5):
            frame = av.VideoFrame.from_ndarray(picture(number, 576, 720), format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 25)
            container.mux(video.encode(frame))
            part = av.AudioFrame.from_ndarray(np.full((1, 2 * 1920), 1000 * number, np.int16), "s16", "stereo")
            part.sample_rate, part.pts, part.time_base = 48_000, 1920 * number, Fraction(1, 48_000)
            container.mux(sound.encode(part))
        for stream in (video, sound):
            container.mux(stream.encode(None))
    path = tmp_path / "a.dv"
    path.write_bytes(buffer.getvalue())
    clip, images, *_ = read(path)
    assert len(images) == 5
    assert clip.duration_seconds == pytest.approx(0.2, abs=0.01)
    assert red_corner(images[0]) == "upper left"
