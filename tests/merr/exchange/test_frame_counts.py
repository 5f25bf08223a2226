"""Stated frame counts beside real ones: labels of another release are found."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest

from emotion_llama.errors import InputError
from emotion_llama.merr.io.frame_counts import compare_frame_counts
from emotion_llama.merr.io.imports import import_files
from emotion_llama.merr.io.validate import validate
from emotion_llama.merr.store import Store

Make = Callable[..., Store]


def counts(numbers: list[int]) -> dict[str, int]:
    return {f"clip_{i:03d}": n for i, n in enumerate(numbers)}


def test_same_release() -> None:
    found = compare_frame_counts(counts([25 * i for i in range(1, 21)]), counts([25 * i + 1 for i in range(1, 21)]))
    assert (found.compared, found.fitting, found.verdict) == (20, 20, "same release")
    # Of 400 pairs only the 20 of one clip lie within 2 frames.
    assert found.by_chance == pytest.approx(20 / 400)


def test_a_file_that_differs() -> None:
    stated, real = counts([30 * i for i in range(1, 21)]), counts([30 * i for i in range(1, 21)])
    real["clip_003"] += 3
    real["clip_005"] += 40
    found = compare_frame_counts(stated, {**real, "stranger": 9})
    assert (found.verdict, found.fitting) == ("some differ", 18)
    assert found.mismatches == (("clip_005", 180, 220), ("clip_003", 120, 123))


def test_ids_of_another_release_are_found() -> None:
    """Lengths of the same kind of clips, but of other ones: a few fit by chance, and that is allowed for."""
    draw = random.Random(1)
    stated = counts([draw.randint(20, 120) for _ in range(200)])
    real = counts([draw.randint(20, 120) for _ in range(200)])
    found = compare_frame_counts(stated, real)
    assert found.verdict == "another release"
    assert found.by_chance == pytest.approx(5 / 101, abs=0.01)
    assert found.fitting / 200 == pytest.approx(5 / 101, abs=0.04)
    assert any("ANOTHER RELEASE" in line for line in found.lines())


def test_clips_of_one_length_tell_nothing() -> None:
    found = compare_frame_counts(counts([75] * 30), counts([75] * 30))
    assert (found.by_chance, found.verdict) == (1.0, "cannot tell")
    assert "tells nothing" in found.lines()[1]
    assert compare_frame_counts(counts([75] * 30), counts([99] * 30)).verdict == "another release"


def test_too_few_to_tell() -> None:
    found = compare_frame_counts(counts([75] * 4), counts([10] * 4))
    assert found.verdict == "too few"
    assert found.lines()[0] == "frame counts: 0 of 4 clips fit (0.0 %; by chance 0.0 %)"


def test_nothing_to_compare() -> None:
    assert compare_frame_counts({}, {}).lines() == []
    found = compare_frame_counts({"a": 3}, {})
    assert (found.not_compared, found.document()["verdict"]) == (1, "too few")
    assert found.lines() == ["frame counts: none to compare (the media are not known)"]


def write_video(path: Path, num_frames: int) -> None:
    with av.open(str(path), "w") as out:
        stream = out.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
        for i in range(num_frames):
            picture = np.full((32, 32, 3), (i * 16) % 256, np.uint8)
            out.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        out.mux(stream.encode())


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    folder = tmp_path / "videos"
    (folder / "sub").mkdir(parents=True)
    for i in range(10):
        write_video(folder / f"sample_{i}.mp4", 10 + 4 * i)
    return folder


def lists(tmp_path: Path, shift: int) -> Path:
    path = tmp_path / f"shift_{shift}_NCEV.txt"
    rows = [f"sample_{i} {10 + 4 * ((i + shift) % 10)} sad -10" for i in range(10)]
    path.write_text("\n".join([*rows, "sample_x 30 sad -10"]) + "\n")
    return path


def test_import_with_videos_takes_them_in_and_compares(make_build: Make, tmp_path: Path, videos: Path) -> None:
    store = make_build()
    told: list[tuple[int, int]] = []
    tally = import_files([lists(tmp_path, 0)], store, videos=videos, progress=lambda *at: told.append(at))
    assert (tally.media, tally.frame_counts.compared, tally.frame_counts.verdict) == (10, 10, "same release")
    row = store.clip("sample_3")
    assert (row.path, row.frame_count, row.stated_frame_count) == (str(videos / "sample_3.mp4"), 22, 22)
    assert row.sha256 is not None
    assert (row.width, row.fps, row.has_audio) == (32, 25.0, False)
    assert tally.problems.counts == {f"no media file of the clip's name in {videos}": 1}
    assert told[-1] == (10, 10)
    shifted = import_files([lists(tmp_path, 3)], store, replace_made=True)
    assert shifted.frame_counts.verdict == "another release"
    assert shifted.problems.counts["an earlier import stated another frame count (the new one counts)"] == 10


def test_media_that_cannot_be_used_are_counted(make_build: Make, tmp_path: Path, videos: Path) -> None:
    for i in (0, 1, 2, 3, 4):
        (videos / f"sample_{i}.mp4").write_bytes(b"no video")
    write_video(videos / "sub/sample_5.mp4", 3)
    tally = import_files([lists(tmp_path, 0)], make_build(), videos=videos)
    assert tally.media == 4
    assert tally.problems.counts["a media file cannot be read"] == 5
    assert tally.problems.counts["two media files of one name: neither is taken"] == 1
    assert tally.frame_counts.verdict == "too few"


def test_videos_that_are_no_folder(make_build: Make, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"shift_0_NCEV\.txt is no folder"):
        import_files([lists(tmp_path, 0)], make_build(), videos=lists(tmp_path, 0))
    (tmp_path / "none").mkdir()
    with pytest.raises(InputError, match="none holds no media files"):
        import_files([lists(tmp_path, 0)], make_build(), videos=tmp_path / "none")


def test_validate_compares_published_lists_with_videos(tmp_path: Path, videos: Path) -> None:
    (videos / "sample_9.mp4").write_bytes(b"no video")
    for shift, verdict in ((0, "same release"), (3, "another release")):
        folder = tmp_path / f"MERR_{shift}"
        folder.mkdir()
        lists(tmp_path, shift).rename(folder / "MERR_coarse_grained.txt")
        names = [f"sample_{i}" for i in range(10)] + ["sample_x"]
        (folder / "MERR_coarse_grained.json").write_text(json.dumps({name: {"caption": "A smile."} for name in names}))
        found = validate(folder, videos=videos)
        assert found.frame_counts is not None
        assert (found.frame_counts.verdict, found.frame_counts.compared) == (verdict, 9)
        assert found.problems.counts["a media file cannot be read"] == 1
        wrong = "the media have another number of frames than the label file states"
        assert found.problems.counts.get(wrong, 0) == (9 if shift else 0)
