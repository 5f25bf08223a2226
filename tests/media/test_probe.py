"""What probing says of good files."""

import hashlib
from fractions import Fraction

import av
import numpy as np
import pytest
from marked import picture, pictures, tone

from emotion_llama.media.probe import probe
from emotion_llama.media.writing import ClipFormat, write_clip
from emotion_llama.records import AudioInfo, VideoInfo


def test_everything_of_an_ordinary_clip(tmp_path):
    path = write_clip(tmp_path / "a.mp4", pictures(50), 25, np.stack([tone(2), tone(2)]), sample_rate_hz=44_100)
    clip = probe(str(path))
    assert clip.path == path
    assert clip.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert clip.duration_seconds == pytest.approx(2.0, abs=1e-3)
    assert clip.video == VideoInfo(128, 96, 25.0, False, 0, "h264", "yuv420p")
    assert clip.audio == AudioInfo(44_100, 2, "aac")


@pytest.mark.parametrize(
    ("suffix", "video_codec", "audio_codec"),
    [(".mkv", "h264", "flac"), (".webm", "vp9", "opus"), (".avi", "mjpeg", "pcm_s16le"), (".ts", "h264", "aac")],
)
def test_other_containers(tmp_path, suffix, video_codec, audio_codec):
    clip = probe(write_clip(tmp_path / f"a{suffix}", pictures(50), 25, tone(2)))
    assert (clip.video.codec, clip.audio.codec) == (video_codec, audio_codec)
    assert clip.video.fps == 25.0
    assert not clip.video.is_variable_frame_rate
    assert clip.duration_seconds == pytest.approx(2.0, abs=0.05)  # of these, TS and Opus pad the sound


@pytest.mark.parametrize("suffix", [".wav", ".mp3", ".flac", ".m4a"])
def test_sound_only(tmp_path, suffix):
    clip = probe(write_clip(tmp_path / f"a{suffix}", audio=tone(2)))
    assert clip.video is None
    assert (clip.audio.sample_rate_hz, clip.audio.channels) == (44_100, 1)
    assert clip.duration_seconds == pytest.approx(2.0, abs=0.03)  # MP3 comes in frames of 26 ms


def test_silent_video(tmp_path):
    clip = probe(write_clip(tmp_path / "a.mp4", pictures(10), 25))
    assert clip.audio is None
    assert clip.duration_seconds == pytest.approx(0.4)


def test_sound_longer_than_video_counts(tmp_path):
    clip = probe(write_clip(tmp_path / "a.mp4", pictures(10), 25, tone(3)))
    assert clip.duration_seconds == pytest.approx(3.0, abs=1e-3)


@pytest.mark.parametrize("turn", [0, 90, 180, 270])
def test_size_is_upright(tmp_path, turn):
    path = write_clip(tmp_path / "a.mp4", pictures(3), 25, stored=ClipFormat(rotation_degrees=turn))
    clip = probe(path)
    assert (clip.video.width, clip.video.height, clip.video.rotation_degrees) == (128, 96, turn)
    with av.open(str(path)) as container:  # what is stored really lies on its side
        assert container.streams.video[0].width == (96 if turn in (90, 270) else 128)


def test_pixels_that_are_not_square_widen_the_picture(tmp_path):
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 128, 96, "yuv420p"
        stream.codec_context.sample_aspect_ratio = Fraction(3, 2)
        for number in range(3):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture(number), format="rgb24")))
        container.mux(stream.encode(None))
    assert (probe(path).video.width, probe(path).video.height) == (192, 96)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_variable_frame_rate(tmp_path, suffix):
    times = [0, 0.04, 0.08, 0.3, 0.34, 0.9]
    clip = probe(write_clip(tmp_path / f"a{suffix}", pictures(6), 25, pts_seconds=times))
    assert clip.video.is_variable_frame_rate


def test_ntsc_rate_in_milliseconds_is_constant(tmp_path):
    clip = probe(write_clip(tmp_path / "a.mkv", pictures(60), 30000 / 1001))
    assert not clip.video.is_variable_frame_rate
    assert clip.video.fps == pytest.approx(29.97, rel=1e-3)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".avi", ".webm"])
def test_one_frame(tmp_path, suffix):
    clip = probe(write_clip(tmp_path / f"a{suffix}", pictures(1), 25))
    assert clip.duration_seconds == pytest.approx(0.04)
    assert clip.video.fps == 25.0


def test_cover_picture_is_not_video(tmp_path):
    path = tmp_path / "a.mp3"
    with av.open(str(path), "w") as container:
        sound = container.add_stream("libmp3lame", rate=44_100, layout="mono")
        cover = container.add_stream("png", rate=1)
        cover.width, cover.height, cover.pix_fmt = 128, 96, "rgb24"
        cover.disposition = av.stream.Disposition.attached_pic
        frame = av.VideoFrame.from_ndarray(picture(0), format="rgb24")
        frame.pts = 0
        container.mux(cover.encode(frame))
        for begin in range(0, 44_100, 1152):
            part = av.AudioFrame.from_ndarray(tone(1)[None, begin : begin + 1152].copy(), "fltp", "mono")
            part.sample_rate, part.pts = 44_100, begin
            container.mux(sound.encode(part))
        container.mux(sound.encode(None))
    with av.open(str(path)) as container:
        assert len(container.streams.video) == 1
    clip = probe(path)
    assert clip.video is None
    assert clip.audio.codec.startswith("mp3")


def test_length_is_measured_where_the_header_states_none(tmp_path):
    path = tmp_path / "a.mkv"
    live = {"live": "1"}  # as a browser's recorder writes: no length, no index
    write_clip(path, pictures(50), 25, tone(2), stored=ClipFormat(container_options=live))
    with av.open(str(path)) as container:
        assert container.duration is None
    assert probe(path).duration_seconds == pytest.approx(2.0, abs=2e-3)


def test_length_and_pace_of_a_bare_stream(tmp_path):
    path = tmp_path / "a.h264"
    write_clip(path, pictures(50), 25, stored=ClipFormat(video_codec="libx264"))
    clip = probe(path)
    assert clip.duration_seconds == pytest.approx(2.0)
    assert clip.video.fps == 25.0


def test_length_of_an_mp3_without_a_length_header(tmp_path):
    # Its bit rate tells FFmpeg a length that is wrong as soon as the rate varies; the packets tell the true one.
    path = tmp_path / "a.mp3"
    loud_then_silent = np.concatenate([tone(1, amplitude=0.9), np.zeros(4 * 44_100, np.float32)])
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, 44_100).astype(np.float32)
    loud_then_silent[:44_100] += 0.1 * noise
    write_clip(path, audio=loud_then_silent, stored=ClipFormat(container_options={"write_xing": "0"}))
    assert probe(path).duration_seconds == pytest.approx(5.0, abs=0.06)


def test_odd_size(tmp_path):
    clip = probe(write_clip(tmp_path / "a.avi", pictures(3, 131, 97), 25))
    assert (clip.video.width, clip.video.height) == (97, 131)


def test_a_title_in_an_old_encoding_does_no_harm(tmp_path):
    path = write_clip(tmp_path / "a.mp4", pictures(3), 25)
    data = path.read_bytes()
    assert b"Lavf" in data
    path.write_bytes(data.replace(b"Lavf", b"L\xe9vf"))  # the writer's name, now no UTF-8
    assert probe(path).video is not None
