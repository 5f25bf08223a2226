"""Files as named, folders searched."""

import os
from pathlib import Path

from emotion_llama.media.discover import find_media


def _touch(*paths):
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def test_folders_are_searched_by_suffix_sorted_without_hidden_ones(tmp_path):
    wanted = [tmp_path / "b.MP4", tmp_path / "c.wav", tmp_path / "deep" / "er" / "a.mkv"]
    _touch(*wanted, tmp_path / "a.txt", tmp_path / ".hidden.mp4", tmp_path / ".git" / "d.mp4", tmp_path / "mp4")
    assert find_media([tmp_path]) == wanted
    assert find_media([str(tmp_path)]) == wanted


def test_files_are_taken_whatever_their_suffix_in_the_order_given(tmp_path):
    _touch(tmp_path / "z.bin", tmp_path / ".a.mp4")
    assert find_media([tmp_path / "z.bin", tmp_path / ".a.mp4"]) == [tmp_path / "z.bin", tmp_path / ".a.mp4"]


def test_a_missing_path_is_kept_to_fail_by_itself(tmp_path):
    _touch(tmp_path / "a.mp4")
    missing = tmp_path / "nowhere.mp4"
    assert find_media([missing, tmp_path / "a.mp4"]) == [missing, tmp_path / "a.mp4"]


def test_a_folder_without_media_is_kept_to_fail_by_itself(tmp_path):
    (tmp_path / "empty").mkdir()
    assert find_media([tmp_path / "empty"]) == [tmp_path / "empty"]


def test_a_folder_that_cannot_be_listed_is_kept_to_fail_by_itself(tmp_path, monkeypatch):
    _touch(tmp_path / "a.mp4", tmp_path / "locked" / "b.mp4")
    scan = os.scandir

    def refuse(path):
        if Path(path).name == "locked":
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    assert find_media([tmp_path]) == [tmp_path / "a.mp4", tmp_path / "locked"]


def test_nothing_is_given_twice(tmp_path):
    _touch(tmp_path / "a.mp4")
    assert find_media([tmp_path / "a.mp4", tmp_path]) == [tmp_path / "a.mp4"]


def test_a_link_in_a_circle_ends(tmp_path):
    _touch(tmp_path / "a.mp4")
    (tmp_path / "round").symlink_to(tmp_path)
    assert find_media([tmp_path]) == [tmp_path / "a.mp4"]
