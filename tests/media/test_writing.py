"""The clip writer refuses what it cannot write; that it writes what it says, the media tests prove."""

import av
import numpy as np
import pytest

from emotion_llama.errors import InputError
from emotion_llama.media.writing import ClipFormat, write_clip

IMAGE = np.zeros((32, 48, 3), np.uint8)


def test_streams_rates_and_codecs_are_as_asked(tmp_path):
    stored = ClipFormat(video_codec="ffv1", audio_codec="pcm_s16le", pixel_format="yuv444p")
    path = write_clip(
        tmp_path / "a.mkv", [IMAGE] * 3, 12.5, np.zeros((2, 8_000), np.float32), sample_rate_hz=8_000, stored=stored
    )
    with av.open(str(path)) as container:
        video, sound = container.streams.video[0], container.streams.audio[0]
        assert (video.codec_context.name, video.pix_fmt, float(video.average_rate)) == ("ffv1", "yuv444p", 12.5)
        assert (video.width, video.height) == (48, 32)
        assert (sound.codec_context.name, sound.rate, sound.channels) == ("pcm_s16le", 8_000, 2)


def test_pictures_are_read_one_at_a_time(tmp_path):
    alive = []

    def images():
        for _ in range(5):
            alive.append(1)
            yield IMAGE

    path = write_clip(tmp_path / "a.mkv", images(), 25)
    assert len(alive) == 5
    with av.open(str(path)) as container:
        assert sum(1 for _ in container.decode(video=0)) == 5


def test_nothing_to_write(tmp_path):
    with pytest.raises(InputError, match="a clip needs pictures or sound"):
        write_clip(tmp_path / "a.mp4")
    with pytest.raises(InputError, match="picture"):
        write_clip(tmp_path / "a.mp4", [])


def test_unknown_suffix(tmp_path):
    with pytest.raises(InputError, match=r"\.mp4"):
        write_clip(tmp_path / "a.xyz", [IMAGE])
    with pytest.raises(InputError, match=r"no codec is known for a\.wav"):
        write_clip(tmp_path / "a.wav", [IMAGE])


def test_rotation_by_right_angles_only():
    with pytest.raises(InputError, match="270"):
        ClipFormat(rotation_degrees=45)


def test_a_layout_must_be_named_for_an_unusual_number_of_channels(tmp_path):
    with pytest.raises(InputError, match=r"ClipFormat\.audio_layout"):
        write_clip(tmp_path / "a.wav", audio=np.zeros((3, 100), np.float32))
