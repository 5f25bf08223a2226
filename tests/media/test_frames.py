"""Which pictures come out, upright, at which times, at which size, and how many are in memory."""

import subprocess
import sys
from fractions import Fraction

import av
import numpy as np
import pytest
from marked import RED, number_of, picture, pictures, red_corner, tone

from emotion_llama.errors import InputError, MediaError
from emotion_llama.media.frames import frame_at, iter_frames
from emotion_llama.media.probe import probe
from emotion_llama.media.streams import StreamReader
from emotion_llama.media.writing import ClipFormat, write_clip

B_FRAMES = {"bf": "2", "preset": "medium", "g": "25", "crf": "16"}


def _read(clip, **options):
    """(numbers drawn, times, indices) of all frames."""
    chunks = list(iter_frames(clip, **options))
    numbers = [number_of(image) for chunk in chunks for image in chunk.images]
    times = [float(t) for chunk in chunks for t in chunk.pts_seconds]
    return numbers, times, [int(i) for chunk in chunks for i in chunk.index]


@pytest.fixture(scope="module")
def long_clip(tmp_path_factory):
    """20 s, a key frame each second, B-frames."""
    path = tmp_path_factory.mktemp("long") / "a.mp4"
    return probe(write_clip(path, pictures(500), 25, tone(20), stored=ClipFormat(video_options=B_FRAMES)))


@pytest.mark.parametrize(
    ("name", "stored"),
    [
        ("h264.mp4", ClipFormat()),
        ("b_frames.mp4", ClipFormat(video_options=B_FRAMES)),
        ("h264.mkv", ClipFormat(video_options=B_FRAMES)),
        ("h264.ts", ClipFormat(video_options=B_FRAMES)),
        ("vp9.webm", ClipFormat()),
        ("mjpeg.avi", ClipFormat()),
        ("b_frames.avi", ClipFormat(video_codec="libx264", video_options=B_FRAMES)),
        ("xvid.avi", ClipFormat(video_codec="mpeg4", video_options={"bf": "2", "b": "2000000"})),
        ("ten_bit.mp4", ClipFormat(pixel_format="yuv420p10le")),
        ("ten_bit_hevc.mp4", ClipFormat(video_codec="libx265", pixel_format="yuv420p10le")),
        ("full_colour.mkv", ClipFormat(video_codec="ffv1", pixel_format="yuv444p")),
        ("bare.h264", ClipFormat(video_codec="libx264")),
    ],
)
def test_every_frame_at_its_time(tmp_path, name, stored):
    clip = probe(write_clip(tmp_path / name, pictures(60), 25, stored=stored))
    numbers, times, indices = _read(clip)
    assert numbers == list(range(60))
    assert indices == list(range(60))
    np.testing.assert_allclose(times, np.arange(60) / 25, atol=1e-9)


@pytest.mark.parametrize("stored", [ClipFormat(), ClipFormat(pixel_format="yuv420p10le"), ClipFormat("mjpeg")])
def test_colours_survive(tmp_path, stored):
    clip = probe(write_clip(tmp_path / "a.mkv", pictures(2), 25, stored=stored))
    image = next(iter_frames(clip)).images[0]
    assert np.abs(image[4, 4].astype(int) - RED).max() <= 6
    assert np.abs(image[-4, -4].astype(int) - 60).max() <= 3


@pytest.mark.parametrize("max_side", [None, 64])
@pytest.mark.parametrize("turn", [0, 90, 180, 270])
def test_turned_upright(tmp_path, turn, max_side):
    clip = probe(write_clip(tmp_path / "a.mp4", pictures(3), 25, stored=ClipFormat(rotation_degrees=turn)))
    images = next(iter_frames(clip, max_side=max_side)).images
    assert images.shape == ((3, 96, 128, 3) if max_side is None else (3, 48, 64, 3))
    assert [red_corner(image) for image in images] == ["upper left"] * 3
    if max_side is None:
        assert [number_of(image) for image in images] == [0, 1, 2]


def test_odd_size_is_kept_and_scaled(tmp_path):
    clip = probe(write_clip(tmp_path / "a.avi", pictures(3, 131, 97), 25))
    assert next(iter_frames(clip)).images.shape == (3, 131, 97, 3)
    scaled = next(iter_frames(clip, max_side=50)).images
    assert scaled.shape == (3, 50, 37, 3)
    assert red_corner(scaled[0]) == "upper left"


def test_scaling_averages_instead_of_dropping_pixels(tmp_path):
    stripes = np.zeros((96, 128, 3), np.uint8)
    stripes[:, ::4], stripes[:, 1::4] = 200, 200
    path = write_clip(tmp_path / "a.mkv", [stripes], 25, stored=ClipFormat(video_codec="ffv1", pixel_format="yuv444p"))
    image = next(iter_frames(probe(path), max_side=32)).images[0]
    assert image.shape == (24, 32, 3)
    assert np.abs(image.astype(int) - 100).max() <= 3


def test_small_pictures_are_not_enlarged(tmp_path):
    clip = probe(write_clip(tmp_path / "a.mp4", pictures(2), 25))
    assert next(iter_frames(clip, max_side=4000)).images.shape == (2, 96, 128, 3)


@pytest.mark.inputs("pictures", "pixels that are not square", "shown wide", "")
def test_wide_pixels_are_shown_wide(tmp_path):
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 128, 96, "yuv420p"
        stream.codec_context.sample_aspect_ratio = Fraction(3, 2)
        container.mux(stream.encode(av.VideoFrame.from_ndarray(picture(7), format="rgb24")))
        container.mux(stream.encode(None))
    image = next(iter_frames(probe(path))).images[0]
    assert image.shape == (96, 192, 3)
    assert number_of(image) == 7


def test_chunks_are_full_but_the_last(tmp_path):
    clip = probe(write_clip(tmp_path / "a.mp4", pictures(20), 25))
    assert [len(chunk) for chunk in iter_frames(clip, chunk_size=8)] == [8, 8, 4]


def test_chunks_of_large_pictures_hold_fewer(tmp_path, monkeypatch):
    monkeypatch.setattr("emotion_llama.media.frames._CHUNK_BYTES", 3 * 96 * 128 * 3)
    clip = probe(write_clip(tmp_path / "a.mp4", pictures(7), 25))
    assert [len(chunk) for chunk in iter_frames(clip)] == [3, 3, 1]


def test_chunks_do_not_share_memory(tmp_path):
    clip = probe(write_clip(tmp_path / "a.mp4", pictures(20), 25))
    chunks = list(iter_frames(clip, chunk_size=8))
    assert [number_of(image) for chunk in chunks for image in chunk.images] == list(range(20))


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_variable_times_are_exact_and_count_from_the_first_frame(tmp_path, suffix):
    stored = [0.5, 0.54, 0.7, 1.2]
    clip = probe(write_clip(tmp_path / f"a{suffix}", pictures(4), 25, pts_seconds=stored))
    numbers, times, _ = _read(clip)
    assert numbers == [0, 1, 2, 3]
    np.testing.assert_allclose(times, [0, 0.04, 0.2, 0.7], atol=1e-9)


def test_video_that_begins_after_the_sound_keeps_its_delay(tmp_path):
    clip = probe(write_clip(tmp_path / "a.mkv", pictures(5), 25, tone(2), audio_start_seconds=-0.5))
    _, times, indices = _read(clip)
    np.testing.assert_allclose(times, 0.5 + np.arange(5) / 25, atol=1e-9)
    assert indices == [0, 1, 2, 3, 4]


def test_a_stream_that_starts_at_ten_seconds_counts_from_its_start(tmp_path):
    times = 10 + np.arange(25) / 25
    clip = probe(write_clip(tmp_path / "a.ts", pictures(25), 25, pts_seconds=times.tolist()))
    with av.open(str(clip.path)) as container:
        assert container.start_time > 9_000_000
    assert clip.duration_seconds == pytest.approx(1.0, abs=0.01)
    np.testing.assert_allclose(_read(clip)[1], np.arange(25) / 25, atol=2e-5)


@pytest.mark.inputs("pictures", "an edit list", "what it cuts is left out", "")
def test_an_edit_list_hides_what_it_cuts(tmp_path):
    # Sound that begins before time 0 makes the muxer write an edit list that starts the clip at 0.
    clip = probe(write_clip(tmp_path / "a.mp4", pictures(25), 25, tone(2), audio_start_seconds=-0.5))
    numbers, times, _ = _read(clip)
    assert numbers == list(range(25))
    np.testing.assert_allclose(times, np.arange(25) / 25, atol=1e-9)


@pytest.mark.inputs("pictures", "pictures with the time of another", "left out", "how many")
def test_frames_with_the_time_of_another_are_left_out_and_told(tmp_path):
    stored = [0, 0.04, 0.04, 0.08, 0.08, 0.2]
    clip = probe(write_clip(tmp_path / "a.mkv", pictures(6), 25, pts_seconds=stored))
    warnings = []
    numbers, times, indices = _read(clip, warn=warnings.append)
    assert numbers == [0, 1, 3, 5]
    assert indices == [0, 1, 3, 5]
    np.testing.assert_allclose(times, [0, 0.04, 0.08, 0.2], atol=1e-9)
    assert warnings == ["video: 2 frames have the time of another frame, or an earlier one, and were left out"]


def test_chosen_rate(long_clip):
    numbers, times, indices = _read(long_clip, fps=5.0)
    assert numbers == indices == list(range(0, 500, 5))
    np.testing.assert_allclose(times, np.arange(100) / 5, atol=1e-9)


@pytest.mark.parametrize("start", [0.3, 1.5, 7.96, 13.0])
@pytest.mark.parametrize("fps", [None, 7.0])
def test_a_part_equals_that_part_of_the_whole(long_clip, start, fps):
    whole = list(zip(*_read(long_clip, fps=fps)))
    part = list(zip(*_read(long_clip, fps=fps, start_seconds=start, end_seconds=start + 3)))
    assert part == [row for row in whole if start - 1e-6 <= row[1] < start + 3 - 1e-6]
    assert len(part) in ((75,) if fps is None else (21, 22))


@pytest.mark.parametrize("name", ["a.mkv", "a.ts", "a.avi", "a.webm"])
def test_a_late_part_in_other_containers(tmp_path, name):
    clip = probe(write_clip(tmp_path / name, pictures(150), 25, tone(6)))
    offset = _read(clip, end_seconds=0.2)[1][0]
    numbers, times, indices = _read(clip, start_seconds=4.5, end_seconds=5.0)
    first = round((4.5 - offset) * 25 + 0.499)
    assert numbers == indices == list(range(first, first + len(numbers)))
    assert len(numbers) in (12, 13)
    np.testing.assert_allclose(times, offset + np.array(numbers) / 25, atol=1e-3)


def test_a_part_after_the_end_is_empty(long_clip):
    assert _read(long_clip, start_seconds=30.0) == ([], [], [])


def test_a_start_before_a_late_video_begins(tmp_path):
    clip = probe(write_clip(tmp_path / "a.mkv", pictures(5), 25, tone(5), audio_start_seconds=-3.0))
    numbers, times, indices = _read(clip, start_seconds=2.0)
    assert numbers == indices == [0, 1, 2, 3, 4]
    np.testing.assert_allclose(times, 3 + np.arange(5) / 25, atol=1e-9)


@pytest.mark.parametrize(
    ("seconds", "number"), [(0, 0), (0.039, 0), (0.04, 1), (7.3, 182), (12.0, 300), (19.97, 499), (20.0, 499)]
)
def test_frame_at_is_the_frame_that_is_shown(long_clip, seconds, number):
    frame = frame_at(long_clip, seconds)
    assert number_of(frame.images[0]) == number
    assert frame.index.tolist() == [number]
    assert frame.pts_seconds[0] == pytest.approx(number / 25)
    assert frame.images.shape == (1, 96, 128, 3)


X265 = "log-level=none:keyint=25:open-gop=1:bframes=4"
OPEN_GOP = {"preset": "medium", "g": "25", "x264-params": "open-gop=1:bframes=3:b-adapt=0"}
HIDDEN_FRAMES = {"auto-alt-ref": "1", "lag-in-frames": "16", "g": "25", "deadline": "good", "cpu-used": "4", "b": "1M"}


@pytest.mark.parametrize(
    ("name", "stored"),
    [
        ("a.mp4", ClipFormat(video_options=OPEN_GOP)),
        ("a.mkv", ClipFormat(video_options=OPEN_GOP)),
        ("hevc.mkv", ClipFormat(video_codec="libx265", video_options={"x265-params": X265})),
        ("vp8.webm", ClipFormat(video_codec="libvpx", video_options=HIDDEN_FRAMES)),
        ("a.flv", ClipFormat("libx264", "aac", video_options=B_FRAMES)),
        ("parts.mp4", ClipFormat(container_options={"movflags": "frag_keyframe+empty_moov"})),
    ],
)
def test_every_frame_is_found_by_its_time_around_key_frames(tmp_path, name, stored):
    """Pictures that lean on the key frame after them, packets that show nothing, and Matroska's missing decoding times
    each once gave a wrong picture or a wrong index."""
    clip = probe(write_clip(tmp_path / name, pictures(120), 25, stored=stored))
    numbers, times, indices = _read(clip)
    assert numbers == indices == list(range(120))
    for number in (0, 20, 27, 48, 49, 50, 51, 73, 74, 75, 119):
        frame = frame_at(clip, times[number] + 1e-4)
        assert (number_of(frame.images[0]), frame.pts_seconds[0], frame.index[0]) == (number, times[number], number)


def test_a_last_group_shorter_than_the_decoders_delay_is_whole(tmp_path):
    """All its pictures come at once when the data ends; all but the first were once lost after a seek."""
    stored = ClipFormat(video_options={**B_FRAMES, "g": "50"})
    clip = probe(write_clip(tmp_path / "a.mp4", pictures(52), 25, stored=stored))
    assert _read(clip, start_seconds=2.0)[0] == [50, 51]
    assert number_of(frame_at(clip, 2.05).images[0]) == 51


def test_a_wrong_index_of_key_frames_only_costs_time(long_clip, monkeypatch):
    seek = StreamReader.seek
    # Five seconds too far, unless the beginning is asked for.
    monkeypatch.setattr(StreamReader, "seek", lambda reader, seconds: seek(reader, seconds + 5 if seconds else 0))
    frame = frame_at(long_clip, 7.3)
    assert (number_of(frame.images[0]), frame.index[0]) == (182, 182)


def test_frame_at_small(long_clip):
    assert frame_at(long_clip, 3.0, max_side=64).images.shape == (1, 48, 64, 3)


def test_frame_at_before_the_first_frame_is_the_first(tmp_path):
    clip = probe(write_clip(tmp_path / "a.mkv", pictures(5), 25, tone(2), audio_start_seconds=-0.5))
    assert number_of(frame_at(clip, 0.1).images[0]) == 0


def test_options_out_of_range(long_clip):
    with pytest.raises(InputError, match="fps must be above 0, got 0"):
        iter_frames(long_clip, fps=0)
    with pytest.raises(InputError, match="max_side must be 1 pixel or more, got 0"):
        iter_frames(long_clip, max_side=0)
    with pytest.raises(InputError, match="chunk_size must be 1 frame or more, got 0"):
        iter_frames(long_clip, chunk_size=0)
    with pytest.raises(InputError, match="start_seconds"):
        iter_frames(long_clip, start_seconds=-1)
    with pytest.raises(InputError, match="start_seconds"):
        iter_frames(long_clip, start_seconds=float("nan"))
    with pytest.raises(InputError, match="end_seconds"):
        iter_frames(long_clip, start_seconds=2, end_seconds=2)
    for outside in (-0.1, 20.5, float("nan")):
        with pytest.raises(InputError, match=r"20\.000"):
            frame_at(long_clip, outside)


def test_a_clip_without_video_says_so(tmp_path):
    clip = probe(write_clip(tmp_path / "a.wav", audio=tone(1)))
    for ask in (lambda: iter_frames(clip), lambda: frame_at(clip, 0.5)):
        with pytest.raises(MediaError, match="it has sound but no video"):
            ask()


MEASURE = """
import resource, sys
from emotion_llama.media.frames import iter_frames
from emotion_llama.media.probe import probe
from emotion_llama.media.streams import StreamReader
short, long = (probe(path) for path in sys.argv[1:])
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
count = sum(len(chunk) for chunk in iter_frames(short))
before = peak()
count += sum(len(chunk) for chunk in iter_frames(long))
print(count, (peak() - before) // 1024)
"""


def test_memory_does_not_grow_with_length(tmp_path):
    # All frames of the long clip are 316 MiB; a chunk is 7 MiB. What grows is the index that FFmpeg keeps.
    short = write_clip(tmp_path / "a.mp4", pictures(150, 240, 320), 25)
    long = write_clip(tmp_path / "b.mp4", pictures(1500, 240, 320), 25)
    done = subprocess.run([sys.executable, "-c", MEASURE, short, long], capture_output=True, text=True, check=True)
    count, growth_mib = map(int, done.stdout.split())
    assert count == 1650
    assert growth_mib < 40
