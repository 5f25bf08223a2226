"""Folders of a process: there while it lives, swept by the next one after it was killed."""

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from emotion_llama.serve.folders import HeldFolder, is_held, sweep


def test_folders_of_the_living_stay_and_those_of_the_killed_go(tmp_path: Path) -> None:
    living, ended = HeldFolder(tmp_path, "x-"), HeldFolder(tmp_path, "x-")
    (tmp_path / "x-killed" / "inside").mkdir(parents=True)
    (tmp_path / "other").mkdir()
    (tmp_path / "x-link").symlink_to(tmp_path / "other")
    ended.release()
    ended.release()
    assert is_held(living.path)
    assert not is_held(ended.path)
    sweep(tmp_path, "x-")
    assert {path.name for path in tmp_path.iterdir()} == {living.path.name, "other", "x-link"}
    living.release()
    assert not living.path.exists()


def test_a_folder_that_is_swept_before_it_is_locked_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Path] = []

    def mkdtemp(**options: Any) -> str:
        made.append(tmp_path / f"x-{len(made)}")
        made[-1].mkdir()
        return str(made[-1])

    def open_swept(path: Path, flags: int) -> int:
        opened = real_open(path, flags)
        if path == tmp_path / "x-0":
            path.rmdir()
        return opened

    real_open = os.open
    monkeypatch.setattr(tempfile, "mkdtemp", mkdtemp)
    monkeypatch.setattr(os, "open", open_swept)
    held = HeldFolder(tmp_path, "x-")
    assert held.path == tmp_path / "x-1"
    held.release()


def test_where_no_folder_can_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        HeldFolder(tmp_path / "file", "x-")


def test_the_next_server_removes_the_temporary_folder_of_a_killed_one(
    live: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each `kill -9` left a folder of clips and results in /tmp for ever."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    code = (
        "import sys, tempfile; tempfile.tempdir = sys.argv[1]\n"
        "from emotion_llama.serve.state import data_folder\n"
        "print(data_folder(None)[0], flush=True); sys.stdin.read()"
    )
    killed = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert killed.stdout is not None
    left = Path(killed.stdout.readline().strip())
    first = live(data_dir=None)
    assert left.is_dir()  # it lives
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert left.is_dir()
    second = live(data_dir=None)
    assert not left.exists()
    assert first.state.data_dir.is_dir()
    assert second.state.data_dir.parent == tmp_path
