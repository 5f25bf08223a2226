"""Unique, lasting names for clips. Pure.

A clip's name is its file's stem, blanks and slashes replaced: what published label files and feature folders use. Where
several files of one build have the same stem, all of them get as many of their folders in front as it takes
(`train-clip1`, `test-clip1`); files of one folder that differ in their suffix only get it behind (`clip1-mp4`), except
that a sound file beside one video of its stem leaves the bare name to the video. The names of a first build therefore
do not depend on the order of files. In a build that is continued, a clip keeps the name it has; only what is new is
named, around the names that are taken. A manifest's names always count.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from emotion_llama.errors import InputError

SOUND_SUFFIXES = frozenset(
    {".wav", ".mp3", ".m4a", ".aac", ".flac", ".ogg", ".oga", ".opus", ".wma", ".aif", ".aiff", ".amr"}
)
_UNFIT = re.compile(r"[\s/\\]+")


def name_clips(paths: Sequence[Path], stated: Mapping[Path, str], known: Mapping[Path, str]) -> dict[Path, str]:
    """A name for each path.

    Args:
        paths: absolute, each once.
        stated: names that a manifest gives.
        known: names of an earlier run of the same build, of these and other paths.

    Raises:
        InputError: a stated name is another clip's already, or is none.
    """
    names = {path: _stated(path, name) for path, name in stated.items()}
    names |= {path: known[path] for path in paths if path in known and path not in names}
    owners: dict[str, Path] = {name: path for path, name in known.items()}
    for path, name in names.items():
        if owners.setdefault(name, path) != path and path in stated:
            raise InputError(f"the name {name!r} of {path} is that of {owners[name]} already; names are unique")
    open_paths = [path for path in paths if path not in names]
    return names | _named_anew(open_paths, set(owners))


def beside_video(path: Path, paths: set[Path]) -> Path | None:
    """The video of the same folder and stem whose sound a sound file presumably is; None where there is none."""
    if path.suffix.lower() not in SOUND_SUFFIXES:
        return None
    same = [p for p in paths if p.parent == path.parent and p.stem == path.stem and not _is_sound(p)]
    return min(same, default=None)


def fit(name: str) -> str:
    """`name` without blanks and slashes; bytes that are no text are written as hexadecimal digits."""
    readable = "".join(f"x{ord(c) & 0xFF:02x}" if 0xDC80 <= ord(c) <= 0xDCFF else c for c in name)
    return _UNFIT.sub("_", readable.strip()) or "clip"


def _stated(path: Path, name: str) -> str:
    if fit(name) != name:
        raise InputError(f"the name {name!r} of {path} has blanks or slashes; such as {fit(name)!r} will do")
    return name


def _named_anew(paths: Sequence[Path], taken: set[str]) -> dict[Path, str]:
    videos = {(p.parent, p.stem) for p in paths if not _is_sound(p)}
    # Files of one folder and stem: the suffix behind, unless one of them is the only video.
    alike = Counter((p.parent, p.stem, _is_sound(p)) for p in paths)
    stems = {
        p: fit(p.stem)
        + (
            f"-{p.suffix.lstrip('.').lower()}"
            if alike[p.parent, p.stem, _is_sound(p)] > 1 or (_is_sound(p) and (p.parent, p.stem) in videos)
            else ""
        )
        for p in paths
    }
    depth = dict.fromkeys(paths, 0)
    while True:
        names = {p: _with_folders(p, stems[p], depth[p]) for p in paths}
        owners: dict[str, list[Path]] = defaultdict(list)
        for path, name in names.items():
            owners[name].append(path)
        clashing = [p for name, of in owners.items() if len(of) > 1 or name in taken for p in of]
        growing = [p for p in clashing if depth[p] < len(p.parent.parts)]
        if not growing:
            return _numbered(names, clashing, taken)
        for path in growing:
            depth[path] += 1


def _with_folders(path: Path, stem: str, depth: int) -> str:
    folders = path.parent.parts[-depth:] if depth else ()
    return "-".join([*(fit(folder) for folder in folders), stem])


def _numbered(names: dict[Path, str], clashing: Sequence[Path], taken: set[str]) -> dict[Path, str]:
    """What even the whole path does not tell apart ("a b.mp4" and "a_b.mp4"): a number behind, by path."""
    used = taken | {name for path, name in names.items() if path not in clashing}
    for path in sorted(clashing):
        number = 2
        name = names[path]
        while name in used:
            name, number = f"{names[path]}-{number}", number + 1
        names[path] = name
        used.add(name)
    return names


def _is_sound(path: Path) -> bool:
    return path.suffix.lower() in SOUND_SUFFIXES
