"""Every broken file ends in one clear MediaError, or in what could be read and a warning."""

import dataclasses
import itertools
import logging
import os
import re
import struct
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from marked import number_of, picture, pictures, tone

from emotion_llama.errors import MediaError
from emotion_llama.media import reader as reader_module
from emotion_llama.media.audio import iter_audio, read_audio
from emotion_llama.media.container import read_packets
from emotion_llama.media.frames import frame_at, iter_frames
from emotion_llama.media.probe import probe
from emotion_llama.media.writing import ClipFormat, write_clip

INDEX_FIRST = ClipFormat(container_options={"movflags": "faststart"})


def _noise(count, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.integers(0, 255, (96, 128, 3)).astype(np.uint8) for _ in range(count)]


def _one_line(error):
    assert "\n" not in str(error.value)
    return str(error.value)


# --- nothing can be read --------------------------------------------------------------------------------------------


def _empty(path):
    path.write_bytes(b"")


def _text(path):
    path.write_text("I am a list of clips, and somebody renamed me.\n" * 20)


def _random(path):
    path.write_bytes(np.random.default_rng(0).integers(0, 255, 20_000).astype(np.uint8).tobytes())


def _truncated(path):
    write_clip(path, _noise(25), 25, tone(1))
    path.write_bytes(path.read_bytes()[:-3000])  # the index of a plain MP4 is at its end


def _header_only(path):
    write_clip(path, pictures(25), 25, tone(1), stored=INDEX_FIRST)
    data = path.read_bytes()
    path.write_bytes(data[: data.index(b"mdat") + 4])


def _header_only_matroska(path):
    write_clip(path, pictures(25), 25)
    path.write_bytes(path.read_bytes()[:500])


def _no_streams(path):
    write_clip(path, pictures(25), 25)
    data = path.read_bytes()
    path.write_bytes(data.replace(b"trak", b"free"))


def _still(path):
    cv2.imwrite(str(path.with_suffix(path.suffix + ".png")), picture(1))
    path.with_suffix(path.suffix + ".png").rename(path)


def _still_jpeg(path):
    cv2.imwrite(str(path.with_suffix(path.suffix + ".jpg")), picture(1))
    path.with_suffix(path.suffix + ".jpg").rename(path)


def _still_webp(path):
    cv2.imwrite(str(path), picture(1))


def _still_of_old(path):
    cv2.imwrite(str(path), picture(1))


def _no_times(path):
    write_clip(path, pictures(10), 25)
    data = bytearray(path.read_bytes())
    table = data.index(b"stts")  # entries of (count, duration)
    for entry in range(struct.unpack(">I", data[table + 8 : table + 12])[0]):
        data[table + 16 + 8 * entry : table + 20 + 8 * entry] = bytes(4)
    path.write_bytes(data)


BROKEN = [
    ("a.mp4", _empty, r"the file is empty \(0 bytes\); copy or download it again"),
    ("a.mp4", _text, "a text file came; a video or sound file was expected; give the recording itself"),
    ("a.mp4", _random, "this is no video or sound file, or one that was cut short or damaged; copy or download"),
    ("a.mp4", _truncated, "an MP4 file whose index is missing or damaged: it was cut short, or is still being"),
    ("a.mp4", _header_only, r"its video \(h264\) cannot be decoded; its sound \(aac\) cannot be decoded; "),
    ("a.mkv", _header_only_matroska, "cut short or damaged|cannot be decoded"),
    ("a.mp4", _no_streams, "it holds neither video nor sound"),
    ("a.png", _still, "a still picture came; a video or sound file was expected"),
    ("a.mp4", _still, "a still picture came; a video or sound file was expected"),
    ("a.jpg", _still_jpeg, "a still picture came"),
    ("a.webp", _still_webp, "a still picture came"),
    ("a.bmp", _still_of_old, "a still picture came"),
    ("a.tiff", _still_of_old, "a still picture came"),
    ("a.mp4", _no_times, r"0 frames per second: 10 pictures share the time 0\.00 s; write it again at a known rate"),
]


@pytest.mark.inputs("refused", "PNG, JPEG, WebP, BMP, TIFF with one picture", "a still picture")
@pytest.mark.parametrize(("name", "make", "message"), BROKEN, ids=[make.__name__ for _, make, _ in BROKEN])
def test_one_clear_line(tmp_path, name, make, message):
    path = tmp_path / name
    make(path)
    with pytest.raises(MediaError, match=message) as error:
        probe(path)
    assert _one_line(error).startswith(f"{path}: ")


@pytest.mark.inputs("refused", "an MP4 without its index", "that it was cut short, or is still being written")
def test_an_mp4_without_its_index_is_named(tmp_path):
    _truncated(tmp_path / "a.mp4")
    with pytest.raises(MediaError, match=r"index .* cut short, or is still being written"):
        probe(tmp_path / "a.mp4")


def test_ffmpeg_does_not_write_to_stderr(tmp_path):
    path = tmp_path / "a.mp4"
    _truncated(path)
    code = (
        "import sys\nfrom emotion_llama.media.probe import probe\nfrom emotion_llama.errors import MediaError\n"
        "try:\n    probe(sys.argv[1])\nexcept MediaError:\n    sys.exit(7)"
    )
    done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (7, "", "")


def test_missing(tmp_path):
    with pytest.raises(MediaError, match=r"nowhere\.mp4"):
        probe(tmp_path / "nowhere.mp4")


def test_folder(tmp_path):
    with pytest.raises(MediaError, match="this is a folder without media files; a media file was expected"):
        probe(tmp_path)


@pytest.mark.inputs("refused", "a pipe or a device", "to save its content to a file")
def test_pipe_does_not_hang(tmp_path):
    os.mkfifo(tmp_path / "a.mp4")
    with pytest.raises(MediaError, match="regular"):
        probe(tmp_path / "a.mp4")


@pytest.mark.inputs("refused", "a pipe or a device", "to save its content to a file")
def test_device():
    with pytest.raises(MediaError, match="this is a pipe or device"):
        probe("/dev/zero")


def test_a_name_that_cannot_be_used():
    with pytest.raises(MediaError, match="embedded"):
        probe("a\0b.mp4")


def test_a_name_that_is_no_utf_8_works(tmp_path):
    path = write_clip(tmp_path / "a.mp4", pictures(3), 25).rename(tmp_path / os.fsdecode(b"caf\xe9.mp4"))
    assert probe(path).video is not None


def test_no_permission(tmp_path, monkeypatch):
    # The suite may run as root, whom no file mode stops.
    path = write_clip(tmp_path / "a.mp4", pictures(3), 25)

    def refuse(*_args, **_kwargs):
        raise PermissionError(13, "Permission denied")

    for where, what, asked in ((Path, "open", path), (av, "open", path), (Path, "iterdir", tmp_path)):
        with monkeypatch.context() as patch:
            patch.setattr(where, what, refuse)
            with pytest.raises(MediaError, match="permission"):
                probe(asked)


def test_other_system_errors_are_told_in_their_words(tmp_path, monkeypatch):
    path = write_clip(tmp_path / "a.mp4", pictures(3), 25)

    def fail(*_args, **_kwargs):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(Path, "open", fail)
    with pytest.raises(MediaError, match="Input/output"):
        probe(path)


def test_a_file_that_changed_since_it_was_probed(tmp_path):
    path = write_clip(tmp_path / "a.mkv", pictures(5), 25, tone(1))
    clip = probe(path)
    write_clip(path, audio=tone(1))
    with pytest.raises(MediaError, match="it had video when it was probed, and has none now"):
        list(iter_frames(clip))
    write_clip(path, pictures(5), 25)
    with pytest.raises(MediaError, match="it had sound when it was probed, and has none now"):
        list(iter_audio(clip))
    path.unlink()
    with pytest.raises(MediaError, match="no such file"):
        list(iter_frames(clip))


# --- one of the two streams -----------------------------------------------------------------------------------------


def _without_video_data(path, seconds=1):
    """An MP4 whose pictures are overwritten with zeros, and whose sound is whole."""
    write_clip(path, _noise(25), 25, tone(seconds))
    with av.open(str(path)) as container:
        places = [(p.pos, p.size) for p in container.demux(video=0) if p.size]
    data = bytearray(path.read_bytes())
    for place, size in places:
        data[place : place + size] = bytes(size)
    path.write_bytes(data)
    return path


@pytest.mark.inputs("parts", "a stream that cannot be decoded at all", "the other one is read", "which")
def test_a_broken_video_leaves_the_sound_and_a_warning(tmp_path):
    warnings = []
    clip = probe(_without_video_data(tmp_path / "a.mp4"), warn=warnings.append)
    assert clip.video is None
    assert clip.audio is not None
    assert warnings == ["its video (h264) cannot be decoded"]
    assert len(read_audio(clip).samples) == 16_000


def test_warnings_are_logged_where_nobody_asks(tmp_path, caplog):
    with caplog.at_level(logging.WARNING, logger="emotion_llama.media"):
        probe(_without_video_data(tmp_path / "a.mp4"))
    assert [record.getMessage() for record in caplog.records] == ["its video (h264) cannot be decoded"]


def test_pictures_that_stopped_being_decodable_are_an_error(tmp_path):
    path = write_clip(tmp_path / "a.mp4", _noise(25), 25, tone(2))
    clip = probe(path)
    _without_video_data(path, seconds=2)
    with pytest.raises(MediaError, match="no picture can be decoded"):
        list(iter_frames(clip))
    for seconds in (0.5, 1.5):
        with pytest.raises(MediaError, match="no picture can be decoded"):
            frame_at(clip, seconds)


def test_sound_that_stopped_being_decodable_is_an_error(tmp_path):
    path = write_clip(tmp_path / "a.mp4", _noise(25), 25, tone(1), stored=INDEX_FIRST)
    clip = probe(path)
    data = path.read_bytes()
    path.write_bytes(data[: data.index(b"mdat") + 4])
    with pytest.raises(MediaError, match="nothing"):
        read_audio(clip)


# --- damage on the way ----------------------------------------------------------------------------------------------


@pytest.mark.inputs(
    "parts",
    "data that ends before the length that the header states (0.1 s or more)",
    "what is there is read",
    "the seconds",
)
def test_a_file_cut_short_gives_what_is_there_and_tells(tmp_path):
    path = write_clip(tmp_path / "a.mp4", _noise(100), 25, tone(4), stored=INDEX_FIRST)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * 0.6)])
    clip = probe(path)
    warnings = []
    frames = sum(len(chunk) for chunk in iter_frames(clip, warn=warnings.append))
    assert 50 <= frames <= 62
    assert len(warnings) == 1
    assert warnings[0].startswith(f"video damaged after {frames / 25 + 0.04:.1f} s (")
    assert "before the length that the file states" in warnings[0]
    assert f"; {frames} frames were read" in warnings[0]
    wave = read_audio(clip, warn=warnings.append)
    assert 2.0 < wave.duration_seconds < 2.6
    assert warnings[1].startswith("sound damaged after 2.")


@pytest.mark.parametrize("name", ["a.mkv", "a.webm"])
def test_matroska_cut_short_tells_by_the_length_of_the_file(tmp_path, name):
    path = write_clip(tmp_path / name, _noise(50), 25, tone(2))
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * 0.5)])
    warnings = []
    frames = sum(len(chunk) for chunk in iter_frames(probe(path), warn=warnings.append))
    assert 20 <= frames <= 28
    assert len(warnings) == 1
    assert f"{frames} frames were read" in warnings[0]


def test_video_shorter_than_sound_is_no_damage(tmp_path):
    for name in ("a.mp4", "a.mkv"):
        clip = probe(write_clip(tmp_path / name, pictures(25), 25, tone(4)))
        warnings = []
        assert sum(len(chunk) for chunk in iter_frames(clip, warn=warnings.append)) == 25
        assert len(read_audio(clip, warn=warnings.append).samples) == pytest.approx(64_000, abs=2)
        assert warnings == []


@pytest.mark.inputs("parts", "damaged packets", "the rest is read", "how many, from when, how many seconds were not")
def test_a_damaged_packet_is_passed_over_and_told(tmp_path):
    path = write_clip(tmp_path / "a.mp4", _noise(50), 25, tone(2))
    with av.open(str(path)) as container:
        place = [(p.pos, p.size) for p in container.demux(video=0) if p.size][30]
    data = bytearray(path.read_bytes())
    data[place[0] : place[0] + place[1]] = bytes(place[1])
    path.write_bytes(data)
    warnings = []
    chunks = list(iter_frames(probe(path), warn=warnings.append))
    times = np.concatenate([chunk.pts_seconds for chunk in chunks])
    np.testing.assert_allclose(times, np.delete(np.arange(50), 30) / 25, atol=1e-9)
    assert len(warnings) == 1
    assert warnings[0].startswith("video damaged after 1.2 s (1 packet could not be decoded")
    assert warnings[0].endswith("; 49 frames were read, 0.04 s were not")


@pytest.mark.inputs("parts", "damaged packets", "the rest is read", "how many, from when, how many seconds were not")
def test_damaged_sound_stays_in_time(tmp_path):
    path = write_clip(tmp_path / "a.mp4", _noise(100), 25, tone(4))
    with av.open(str(path)) as container:
        places = [(p.pos, p.size) for p in container.demux(audio=0) if p.size][60:70]
    data = bytearray(path.read_bytes())
    for begin, size in places:
        data[begin : begin + size] = bytes(size)
    path.write_bytes(data)
    warnings = []
    wave = read_audio(probe(path), warn=warnings.append)
    assert len(wave.samples) == 64_000
    np.testing.assert_allclose(wave.samples[40_000:60_000], tone(4, 16_000)[40_000:60_000], atol=0.02)
    assert len(warnings) == 2
    assert "10 packets could not be decoded" in warnings[0]
    assert "0.23 s were not" in warnings[0]
    assert "0.23 s" in warnings[1]
    assert "silence" in warnings[1]


@pytest.mark.inputs("parts", "pictures of which parts are guessed", "kept", "how many, from when")
def test_a_half_damaged_picture_is_kept_and_told(tmp_path):
    path = write_clip(tmp_path / "a.mp4", _noise(50), 25)
    with av.open(str(path)) as container:
        begin, size = [(p.pos, p.size) for p in container.demux(video=0) if p.size][30]
    data = bytearray(path.read_bytes())
    half = size // 2
    data[begin + half : begin + size] = (
        np.random.default_rng(1).integers(0, 255, size - half).astype(np.uint8).tobytes()
    )
    path.write_bytes(data)
    warnings = []
    assert sum(len(chunk) for chunk in iter_frames(probe(path), warn=warnings.append)) == 50
    assert warnings == ["video damaged after 1.2 s (the decoder guessed parts of 1 frame); 50 frames were read"]


def test_a_damaged_avi_goes_on(tmp_path):
    path = write_clip(tmp_path / "a.avi", pictures(50), 25)
    with av.open(str(path)) as container:
        begin, size = [(p.pos, p.size) for p in container.demux(video=0) if p.size][20]
    data = bytearray(path.read_bytes())
    data[begin + 8 : begin + 8 + size] = bytes(size)  # AVI gives the place of the chunk's 8-byte head
    path.write_bytes(data)
    warnings = []
    chunks = list(iter_frames(probe(path), warn=warnings.append))
    numbers = [number_of(image) for chunk in chunks for image in chunk.images]
    times = np.concatenate([chunk.pts_seconds for chunk in chunks])
    assert numbers[:20] == list(range(20))
    assert 47 <= len(numbers) <= 49
    np.testing.assert_allclose(times, np.array(numbers) / 25, atol=0.041)  # a lost chunk moves the rest by its length
    assert len(warnings) == 1
    assert f"{len(numbers)} frames were read, 0.04 s were not" in warnings[0]


class _FailingContainer:
    """A container whose data cannot be read after so many packets, as on a failing disk."""

    def __init__(self, container, packets):
        self._container, self._packets = container, packets

    def __getattr__(self, name):
        return getattr(self._container, name)

    def demux(self, *streams):
        yield from itertools.islice(self._container.demux(*streams), self._packets)
        raise av.error.InvalidDataError(5, "Input/output error")


def _fail_after(monkeypatch, packets, *modules):
    for module in modules:
        original = module.open_media

        @contextmanager
        def failing(path, tracks=(None, None), original=original):
            with original(path, tracks) as media:
                yield dataclasses.replace(media, container=_FailingContainer(media.container, packets))

        monkeypatch.setattr(module, "open_media", failing)


def test_a_container_that_cannot_be_read_on_gives_what_was_read(tmp_path, monkeypatch):
    clip = probe(write_clip(tmp_path / "a.ts", pictures(100), 25, stored=ClipFormat(video_options={"bf": "2"})))
    _fail_after(monkeypatch, 81, reader_module)
    warnings = []
    frames = sum(len(chunk) for chunk in iter_frames(clip, warn=warnings.append))
    assert frames == 81
    assert warnings == ["video damaged after 3.2 s (the rest cannot be read); 81 frames were read"]


def test_probing_a_container_that_cannot_be_read_on(tmp_path, monkeypatch):
    path = write_clip(tmp_path / "a.mkv", pictures(100), 25, stored=ClipFormat(container_options={"live": "1"}))
    _fail_after(monkeypatch, 50, reader_module)
    clip = probe(path)
    assert clip.video.fps == 25.0
    assert clip.duration_seconds == pytest.approx(2.0)


# --- no other file and no network -----------------------------------------------------------------------------------


@pytest.mark.inputs(
    "refused", "a playlist (M3U8, MPD, PLS, SDP, concat)", "that it only points to other files; none of them is opened"
)
@pytest.mark.parametrize("name", ["list.m3u8", "list.ffconcat", "list.mp4", "list.sdp", "list.mpd"])
@pytest.mark.parametrize("kind", ["m3u8", "ffconcat", "sdp", "mpd", "pls"])
def test_playlists_are_refused(tmp_path, kind, name):
    target = write_clip(tmp_path / "secret.ts", pictures(5), 25)
    text = {
        "m3u8": f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{target}\n#EXT-X-ENDLIST\n",
        "ffconcat": f"ffconcat version 1.0\nfile {target.name}\n",
        "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n",
        "mpd": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"><Period/></MPD>',
        "pls": f"[playlist]\nFile1={target}\n",
    }[kind]
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(MediaError, match="playlist"):
        probe(path)


def test_ffmpeg_itself_would_have_followed_the_playlist(tmp_path):
    """What the test above guards against: without the restriction the other file is opened."""
    write_clip(tmp_path / "secret.mp4", pictures(5), 25)
    path = tmp_path / "list.mp4"
    path.write_text("ffconcat version 1.0\nfile secret.mp4\n")
    with av.open(str(path)) as container:
        assert sum(1 for _ in container.decode(video=0)) == 5


@pytest.mark.inputs("refused", "an address", "to download it first")
@pytest.mark.parametrize("address", ["http://127.0.0.1:9/a.mp4", "rtsp://127.0.0.1/a", "concat:/a.ts|/b.ts"])
def test_addresses_are_refused(address):
    with pytest.raises(MediaError, match="download"):
        probe(address)


@pytest.mark.parametrize(
    "address", ["http://127.0.0.1:9/a.mp4", "RTSP://127.0.0.1/a", "concat:/a.ts|/b.ts", "file:/nowhere/a.mp4"]
)
def test_an_address_is_shown_as_it_was_typed(address):
    """A path turns "//" into "/": the message once named "http:/127.0.0.1:9/a.mp4"."""
    with pytest.raises(MediaError, match="^" + re.escape(f"{address}: this is an address;")):
        probe(Path(address))


def test_a_file_whose_name_looks_like_an_address_is_a_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("concat:a.mp4", "a%03d.mp4", "pipe:0.mp4"):
        write_clip(tmp_path / "a.mp4", pictures(3), 25).rename(tmp_path / name)
        assert probe(name).video is not None


def test_a_stream_that_appears_on_the_way_does_not_end_in_an_index_error():
    """A damaged transport stream once did: at its end PyAV asks for streams that it has no object for.

    Whether it does hangs on what lies behind a list in memory, so this is a container that always does.
    """

    class Container:
        def demux(self, *streams):
            yield from streams
            raise IndexError("list index out of range")

    assert list(read_packets(Container(), "first", "flush")) == ["first", "flush"]


@pytest.mark.inputs("parts", "a stream that begins in a later part (`.ts`)", "not read", "the seconds")
def test_a_recording_to_which_a_picture_is_added_later_keeps_its_sound(tmp_path):
    sound = write_clip(tmp_path / "sound.ts", audio=tone(8)).read_bytes()
    both = write_clip(tmp_path / "both.ts", pictures(50), 25, tone(2)).read_bytes()
    (tmp_path / "all.ts").write_bytes(4 * sound + both)
    lines = []
    clip = probe(tmp_path / "all.ts", warn=lines.append)
    assert clip.video is None
    assert clip.duration_seconds == pytest.approx(4 * 8.03 + 2.0, abs=0.1)
    assert read_audio(clip, warn=lines.append).duration_seconds == pytest.approx(4 * 8.03, abs=0.1)
    assert any("restart 4 times" in line for line in lines)
    assert lines[-1].endswith("2.00 s were not")  # the first stream's number is the picture's in the last part
