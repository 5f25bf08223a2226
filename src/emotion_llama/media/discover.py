"""Find media files in what a user names: files as given, folders searched."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from emotion_llama.media.kinds import MEDIA_SUFFIXES


def find_media(paths: Iterable[str | os.PathLike[str]]) -> list[Path]:
    """The media files that `paths` mean, in the order given.

    A file stays as it is, whatever its suffix. A folder gives the files under it whose suffix (in any case) is one of
    `MEDIA_SUFFIXES`, sorted; hidden files and folders are passed over, and links to folders are not followed. A path
    named twice, directly or through its folder, is given once. What gives nothing is kept as it is, so that it fails
    by itself with a clear line when it is opened, and the others are still done: a path that does not exist, a folder
    without media files, and a folder below that cannot be listed.
    """
    found: dict[Path, None] = {}
    for path in map(Path, paths):
        below = _search(path) if path.is_dir() else []
        found.update(dict.fromkeys(below or [path]))
    return list(found)


def _search(folder: Path) -> list[Path]:
    found: list[Path] = []
    unlisted: list[Path] = []
    for name, folders, files in os.walk(folder, onerror=lambda error: unlisted.append(Path(error.filename))):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [Path(name, file) for file in files if _is_media(file)]
    return sorted(found + unlisted)


def _is_media(name: str) -> bool:
    return not name.startswith(".") and Path(name).suffix.lower() in MEDIA_SUFFIXES
