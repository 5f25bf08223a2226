"""The media of imported clips: found by name below a folder, probed, hashed and counted."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from emotion_llama.errors import EmotionLlamaError, InputError
from emotion_llama.media.discover import find_media
from emotion_llama.merr.ingest import Found, count_pictures, take_in
from emotion_llama.merr.problems import Problems
from emotion_llama.merr.records import ClipRow

MediaProgress = Callable[[int, int], None]  # files done, of how many


def media_by_name(folder: Path, problems: Problems) -> dict[str, Path]:
    """Media files below a folder by their stem, which is the clip's name in the published lists.

    Two files of one stem are both left out and counted: nothing says which of them is meant.

    Raises:
        InputError: it is no folder, or holds no media.
    """
    if not folder.is_dir():
        raise InputError(f"{folder} is no folder; give the folder that holds the videos")
    found: dict[str, Path] = {}
    doubles: set[str] = set()
    for path in find_media([folder]):
        if path.is_dir():
            raise InputError(f"{folder} holds no media files")
        if path.stem in found:
            problems.add("two media files of one name: neither is taken", f"{found[path.stem]} and {path}")
            doubles.add(path.stem)
        found.setdefault(path.stem, path)
    return {name: path for name, path in found.items() if name not in doubles}


def take_in_media(
    wanted: Iterable[str],
    files: Mapping[str, Path],
    problems: Problems,
    *,
    workers: int,
    progress: MediaProgress | None,
) -> dict[str, ClipRow]:
    """A row for each wanted clip that has a readable file: path, hash, frame count, length. Others are counted."""
    clips = [Found(clip_id, files[clip_id].absolute()) for clip_id in wanted if clip_id in files]
    rows: dict[str, ClipRow] = {}

    with ThreadPoolExecutor(max(1, workers)) as pool:  # hashing and reading leave Python's lock
        for done, taken in enumerate(pool.map(lambda clip: take_in(clip, sidecars=False), clips), 1):
            if taken.error is None:
                rows[taken.row.clip_id] = taken.row
            else:
                problems.add("a media file cannot be read", str(taken.error))
            if progress is not None:
                progress(done, len(clips))
    return rows


def count_frames(files: Mapping[str, Path], wanted: Iterable[str], problems: Problems) -> dict[str, int]:
    """Pictures in the media of the wanted clips; packets are counted, none is decoded."""
    counts: dict[str, int] = {}
    for clip_id in sorted(wanted):
        if clip_id in files:
            try:
                counts[clip_id] = count_pictures(files[clip_id])
            except EmotionLlamaError as error:
                problems.add("a media file cannot be read", str(error))
    return counts
