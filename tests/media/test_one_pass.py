"""One open file: its record, its pictures and its sound in one pass, and its pictures again from any time."""

import av
import numpy as np
import pytest
from marked import pictures, tone

from emotion_llama.media.audio import iter_audio, read_audio
from emotion_llama.media.frames import frame_at, iter_frames
from emotion_llama.media.probe import open_clip, probe
from emotion_llama.media.writing import ClipFormat, write_clip

B_FRAMES = {"bf": "2", "preset": "medium", "g": "25", "crf": "16"}
FORMATS = {
    "plain.mp4": ClipFormat(),
    "b_frames.mp4": ClipFormat(video_options=B_FRAMES),
    "fragmented.mp4": ClipFormat(video_options=B_FRAMES, container_options={"movflags": "frag_keyframe+empty_moov"}),
    "b_frames.mov": ClipFormat(video_options=B_FRAMES),
    "b_frames.mkv": ClipFormat(video_options=B_FRAMES),
    "live.mkv": ClipFormat(container_options={"live": "1"}),
    "vp9.webm": ClipFormat(),
    "b_frames.ts": ClipFormat(video_options=B_FRAMES),
    "mjpeg.avi": ClipFormat(),
    "b_frames.avi": ClipFormat(video_codec="libx264", video_options=B_FRAMES),
    "b_frames.flv": ClipFormat(video_codec="libx264", audio_codec="aac", video_options=B_FRAMES),
    "mpeg4.nut": ClipFormat(video_codec="mpeg4", audio_codec="mp3"),
    "mpeg2.mpg": ClipFormat(video_codec="mpeg2video", audio_codec="mp2"),
}


@pytest.fixture
def opens(monkeypatch):
    """Files that were opened by FFmpeg so far."""
    opened, original = [], av.open
    monkeypatch.setattr(av, "open", lambda *args, **options: opened.append(args[0]) or original(*args, **options))
    return opened


def _joined(chunks):
    chunks = list(chunks)
    return [np.concatenate([getattr(chunk, name) for chunk in chunks]) for name in ("images", "pts_seconds", "index")]


def _same(one, other):
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("late_seconds", [0.0, 0.5])
@pytest.mark.parametrize("name", FORMATS)
def test_pictures_and_sound_in_turn_are_those_of_each_alone(tmp_path, opens, name, late_seconds):
    path = write_clip(
        tmp_path / name, pictures(150), 25, tone(6), audio_start_seconds=late_seconds, stored=FORMATS[name]
    )
    clip = probe(path)
    alone, sound = _joined(iter_frames(clip, chunk_size=20)), read_audio(clip).samples
    opens.clear()
    with open_clip(path) as file:
        assert file.clip == clip
        frames, chunks = iter_frames(file, chunk_size=20), iter_audio(file, chunk_seconds=1.0)
        seen, heard, seconds = [], [], 0.0
        for chunk in frames:
            seen.append(chunk)
            while seconds < chunk.pts_seconds[-1] and (part := next(chunks, None)) is not None:
                heard.append(part.samples)
                seconds += part.duration_seconds
        heard += [part.samples for part in chunks]
        assert len(opens) == 1
        assert _same(_joined(seen), alone)
        assert np.array_equal(np.concatenate(heard), sound)
        # The pictures once more, from the beginning and from later, in the same open file.
        assert _same(_joined(iter_frames(file)), alone)
        count = len(opens)
        later = _joined(iter_frames(file, start_seconds=3.0, end_seconds=4.0))
        assert len(opens) == count
        assert _same(later, _joined(iter_frames(clip, start_seconds=3.0, end_seconds=4.0)))
        for pts_seconds in (4.5, 0.3, 5.9, 0.0):
            assert _same(_joined([frame_at(file, pts_seconds)]), _joined([frame_at(clip, pts_seconds)]))


def test_what_cannot_go_back_is_opened_again(tmp_path, opens):
    path = write_clip(tmp_path / "a.mp4", pictures(50), 25, tone(2))
    clip = probe(path)
    sound = read_audio(clip).samples
    opens.clear()
    with open_clip(path) as file:
        assert np.array_equal(read_audio(file).samples, sound)
        assert np.array_equal(read_audio(file).samples, sound)
        assert len(opens) == 2
        whole = _joined(iter_frames(file))
        assert len(opens) == 2
    bare = probe(write_clip(tmp_path / "a.h264", pictures(50), 25, stored=ClipFormat(video_codec="libx264")))
    with open_clip(bare.path) as file:
        assert np.array_equal(_joined(iter_frames(file))[0], _joined(iter_frames(file))[0])
        assert len(whole[0]) == 50


def test_an_earlier_reader_ends_where_the_file_is_read_from_another_place(tmp_path):
    path = write_clip(tmp_path / "a.mp4", pictures(200), 25, tone(8))
    with open_clip(path) as file:
        frames, chunks = iter_frames(file, chunk_size=8), iter_audio(file, chunk_seconds=0.1)
        next(frames)
        next(chunks)
        assert len(frame_at(file, 6.0)) == 1
        with pytest.raises(RuntimeError, match="another place"):
            list(frames)
        with pytest.raises(RuntimeError, match="another place"):
            list(chunks)


def test_a_header_is_looked_at_before_anything_is_decoded(tmp_path):
    path = write_clip(tmp_path / "a.mp4", pictures(10), 25)

    def refuse(media):
        assert (media.video.codec_context.width, media.audio) == (128, None)
        raise ValueError("too large")

    with pytest.raises(ValueError, match="too large"), open_clip(path, check=refuse):
        raise AssertionError("it was opened")
