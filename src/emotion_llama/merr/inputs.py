"""What a build is made of: files, folders and manifests become named clips; no media file is opened.

Manifests (.csv, .jsonl) are tables of clips with what is known of each: strict, every mistake with its row.

A clip's name is its file's stem, blanks and slashes replaced: what published label files and feature folders use. Where
several files of one build have the same stem, all of them get as many of their folders in front as it takes
(`train-clip1`, `test-clip1`); files of one folder that differ in their suffix only get it behind (`clip1-mp4`), except
that a sound file beside one video of its stem leaves the bare name to the video. The names of a first build therefore
do not depend on the order of files. In a build that is continued, a clip keeps the name it has; only what is new is
named, around the names that are taken. A manifest's names always count.
"""

from __future__ import annotations

import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from emotion_llama.errors import InputError
from emotion_llama.labels import LabelSpace
from emotion_llama.merr.records import ClipRow
from emotion_llama.tables import read_records

if TYPE_CHECKING:
    from emotion_llama.merr.recipe import Recipe

SUFFIXES = (".csv", ".jsonl")  # of manifests
SOUND_SUFFIXES = frozenset(
    {".wav", ".mp3", ".m4a", ".aac", ".flac", ".ogg", ".oga", ".opus", ".wma", ".aif", ".aiff", ".amr"}
)
_MAX_MISTAKES = 10  # named; a table with a wrong column has one in each row
_UNFIT = re.compile(r"[\s/\\]+")
# What other data sets call the splits.
_SPLITS = {"val": "validation", "valid": "validation", "dev": "validation"}


class ManifestRow(BaseModel):
    """What a manifest says of a clip; what is None is not given."""

    model_config = ConfigDict(extra="forbid", strict=True, str_strip_whitespace=True)

    path: str = Field(min_length=1)
    name: str | None = None
    label: str | None = None
    subtitle: str | None = None
    person: str | None = None
    source: str | None = None
    split: Literal["train", "validation", "test"] | None = None


# A file: what a manifest says of it, where it does so, and its path below the folder named, without its suffix.
_Listed = tuple[ManifestRow | None, str, str]


def find_clips(
    inputs: Sequence[str | os.PathLike[str]],
    recipe: Recipe,
    *,
    known: Mapping[str, str],
    limit: int | None = None,
) -> list[tuple[ClipRow, str | None]]:
    """The files that will be clips, named, in the order of `inputs`, and why one is no clip: the sound of a video.

    A row holds what is known before the file is opened. Arguments and errors as `ingest.ingest`.
    """
    pattern = _pattern(recipe.ingest.name_pattern)
    listed = dict(list(_listed(inputs, recipe.space).items())[:limit])
    stated = {path: row.name for path, (row, _, _) in listed.items() if row is not None and row.name}
    names = name_clips(list(listed), stated, {Path(path): name for path, name in known.items()})
    out = []
    for path, (row, _, below) in listed.items():
        match = pattern.search(below) if pattern is not None else None
        parts = {} if match is None else match.groupdict()
        said = row or ManifestRow(path="-")  # of which nothing is known
        clip = ClipRow(
            names[path],
            str(path),
            None,
            source=said.source or parts.get("source") or None,
            person=said.person or parts.get("person") or None,
            given_label=said.label,
            given_subtitle=said.subtitle,
            given_split=said.split,
            subtitle_source="given" if said.subtitle else None,
        )
        video = None if row is not None else _beside_video(path, listed)
        out.append((clip, None if video is None else f"sound beside a video of its name: {video.name}"))
    return out


def _listed(inputs: Sequence[str | os.PathLike[str]], space: LabelSpace) -> dict[Path, _Listed]:
    """By absolute path, each file once; what a manifest says of it counts."""
    from emotion_llama.media.discover import find_media

    found: dict[Path, _Listed] = {}
    for given in map(Path, inputs):
        if given.suffix.lower() in SUFFIXES:
            for path, row, number in read_manifest(given, space):
                where, earlier = f"{given.name}, line {number}", found.get(path)
                if earlier is not None and earlier[0] is not None:
                    raise InputError(f"{where}: {path} stands in {earlier[1]} already")
                found[path] = row, where, _below(path, given.absolute().parent)
            continue
        _must_be_there(given)
        root = given if given.is_dir() else given.parent
        for path in find_media([given]):
            if path == given and given.is_dir():
                continue  # a folder without media is no clip
            found.setdefault(_absolute(path), (None, "", _below(path, root)))
    if not found:
        empty = f" ({', '.join(map(str, inputs))}: no media files)" if inputs else ""
        raise InputError(f"no clips given{empty}: expected files, folders or manifests (.csv, .jsonl)")
    return found


def _absolute(path: Path) -> Path:
    return Path(os.path.abspath(path))  # noqa: PTH100  (links stay as named)


def _must_be_there(given: Path) -> None:
    """A name that can only be a folder's and is nowhere is a slip: all clips that a build has would be set aside."""
    from emotion_llama.media.kinds import MEDIA_SUFFIXES

    if given.suffix.lower() not in MEDIA_SUFFIXES and not given.exists():
        raise InputError(f"{given}: no such file or folder; check the path")


def _below(path: Path, root: Path) -> str:
    inside = path.is_relative_to(root)
    return (path.relative_to(root) if inside else path).with_suffix("").as_posix()


def _pattern(text: str | None) -> re.Pattern[str] | None:
    if text is None:
        return None
    try:
        pattern = re.compile(text)
    except re.error as error:
        raise InputError(f"ingest.name_pattern: {text!r} is no regular expression ({error})") from None
    groups = set(pattern.groupindex)
    if not groups or not groups <= {"source", "person"}:
        came = ", ".join(sorted(groups)) or "none"
        raise InputError(f"ingest.name_pattern: expected the named groups source and/or person, got {came}")
    return pattern


# --- manifests --------------------------------------------------------------------------------------------------------


def read_manifest(path: Path, space: LabelSpace) -> list[tuple[Path, ManifestRow, int]]:
    """The clips of a manifest in its order: absolute path, what is known, line.

    Columns (or keys): path (relative to the manifest), name, label, subtitle, person, source, split; only path is
    needed. An empty cell is not given. Labels may be synonyms (`labels.SYNONYMS`), splits may be called val or dev.

    Raises:
        InputError: the file cannot be read, has other columns, a name twice, or values that do not fit; mistakes are
            named together with their lines.
    """
    columns = list(ManifestRow.model_fields)
    expected = f"path and any of {', '.join(columns[1:])}"
    mistakes: list[str] = []
    rows = [
        (_absolute(path.parent / row.path), row, number)
        for number, cells in read_records(path, columns.__contains__, expected, needed=["path"])
        if (row := _checked(number, cells, space, mistakes)) is not None
    ]
    names = Counter(row.name for _, row, _ in rows if row.name is not None)
    mistakes += [
        f"the name {name!r} stands in {count} rows; names are unique" for name, count in names.items() if count > 1
    ]
    if mistakes:
        shown = "; ".join(mistakes[:_MAX_MISTAKES])
        more = f"; and {len(mistakes) - _MAX_MISTAKES} more" if len(mistakes) > _MAX_MISTAKES else ""
        raise InputError(f"{path}: {shown}{more}")
    if not rows:
        raise InputError(f"{path}: the manifest has no clip; expected a header with the column path, and rows")
    return rows


def _checked(number: int, cells: Mapping[str, Any], space: LabelSpace, mistakes: list[str]) -> ManifestRow | None:
    given = {k: v for k, v in cells.items() if v is not None and (not isinstance(v, str) or v.strip())}
    for name, tidy in (("split", _split), ("subtitle", lambda text: " ".join(text.split()))):
        if isinstance(given.get(name), str):
            given[name] = tidy(given[name])
    try:
        row = ManifestRow.model_validate(given)
    except ValidationError as error:
        for mistake in error.errors():
            known = {"missing": "needed, and not given"}
            what = known.get(mistake["type"], f"{mistake['msg']}, got {mistake['input']!r}")
            mistakes.append(f"line {number}, {'.'.join(map(str, mistake['loc']))}: {what}")
        return None
    label = None if row.label is None else space.find(row.label)
    if row.label is not None and label is None:
        mistakes.append(f"line {number}, label: {row.label!r} is none of {space.name} ({', '.join(space.labels)})")
        return None
    return row.model_copy(update={"label": label})


def _split(word: str) -> str:
    name = word.strip().lower()
    return _SPLITS.get(name, name)


# --- names ------------------------------------------------------------------------------------------------------------


def name_clips(paths: Sequence[Path], stated: Mapping[Path, str], known: Mapping[Path, str]) -> dict[Path, str]:
    """A name for each path; InputError where a stated name is another clip's already, or is none."""
    for path, name in stated.items():
        if fit(name) != name:
            raise InputError(f"the name {name!r} of {path} has blanks or slashes; such as {fit(name)!r} will do")
    names = dict(stated)
    names |= {path: known[path] for path in paths if path in known and path not in names}
    owners: dict[str, Path] = {name: path for path, name in known.items()}
    for path, name in names.items():
        if owners.setdefault(name, path) != path and path in stated:
            raise InputError(f"the name {name!r} of {path} is that of {owners[name]} already; names are unique")
    open_paths = [path for path in paths if path not in names]
    return names | _named_anew(open_paths, set(owners))


def _beside_video(path: Path, paths: Iterable[Path]) -> Path | None:
    """The video of the same folder and stem whose sound a sound file presumably is; None where there is none."""
    if path.suffix.lower() not in SOUND_SUFFIXES:
        return None
    same = [p for p in paths if p.parent == path.parent and p.stem == path.stem and not _is_sound(p)]
    return min(same, default=None)


def fit(name: str) -> str:
    """`name` without blanks and slashes; bytes that are no text are written as hexadecimal digits."""
    readable = "".join(f"x{ord(c) & 0xFF:02x}" if 0xDC80 <= ord(c) <= 0xDCFF else c for c in name)
    return _UNFIT.sub("_", readable.strip()) or "clip"


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
