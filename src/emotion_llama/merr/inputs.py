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

import csv
import io
import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from emotion_llama.errors import InputError
from emotion_llama.labels import LabelSpace
from emotion_llama.merr.json_text import parse_json

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


@dataclass(frozen=True)
class Found:
    """A file that will be a clip, and what is known of it before it is opened; None is not given.

    Attributes:
        path: absolute.
        clip_id: unique; empty before all clips are named.
        where: file and row of the manifest that names it.
        name, label, subtitle, person, source, split: what the manifest says; person and source also by `name_pattern`.
        below: path below the folder that was named, without its suffix, with slashes.
        sound_of: the video beside it whose sound it presumably is.
    """

    path: Path
    clip_id: str = ""
    where: str | None = None
    name: str | None = None
    label: str | None = None
    subtitle: str | None = None
    person: str | None = None
    source: str | None = None
    split: str | None = None
    below: str = ""
    sound_of: Path | None = None


def find_clips(
    inputs: Sequence[str | os.PathLike[str]],
    recipe: Recipe,
    *,
    known: Mapping[str, str],
    limit: int | None = None,
) -> list[Found]:
    """The files that will be clips, named, in the order of `inputs`. Arguments and errors as `ingest.ingest`."""
    pattern = _pattern(recipe.ingest.name_pattern)
    listed = list(_listed(inputs, recipe.space).values())[:limit]
    everything = {one.path for one in listed}
    stated = {one.path: one.name for one in listed if one.name}
    names = name_clips([one.path for one in listed], stated, {Path(path): name for path, name in known.items()})
    out = []
    for one in listed:
        match = pattern.search(one.below) if pattern is not None else None
        parts = {} if match is None else match.groupdict()
        out.append(
            replace(
                one,
                clip_id=names[one.path],
                source=one.source or parts.get("source") or None,
                person=one.person or parts.get("person") or None,
                sound_of=None if one.where else _beside_video(one.path, everything),
            )
        )
    return out


def _listed(inputs: Sequence[str | os.PathLike[str]], space: LabelSpace) -> dict[Path, Found]:
    """Absolute path -> where it comes from, each file once; what a manifest says of it counts."""
    from emotion_llama.media.discover import find_media

    found: dict[Path, Found] = {}
    for given in map(Path, inputs):
        if given.suffix.lower() in SUFFIXES:
            for entry in read_manifest(given, space):
                earlier = found.get(entry.path)
                if earlier is not None and earlier.where is not None:
                    raise InputError(f"{entry.where}: {entry.path} stands in {earlier.where} already")
                found[entry.path] = replace(entry, below=_below(entry.path, given.absolute().parent))
            continue
        _must_be_there(given)
        root = given if given.is_dir() else given.parent
        for path in find_media([given]):
            if path == given and given.is_dir():
                continue  # a folder without media is no clip
            absolute = Path(os.path.abspath(path))  # noqa: PTH100  (links stay as named)
            found.setdefault(absolute, Found(absolute, below=_below(path, root)))
    if not found:
        empty = f" ({', '.join(map(str, inputs))}: no media files)" if inputs else ""
        raise InputError(f"no clips given{empty}: expected files, folders or manifests (.csv, .jsonl)")
    return found


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


class _Row(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, str_strip_whitespace=True)

    path: str = Field(min_length=1)
    name: str | None = None
    label: str | None = None
    subtitle: str | None = None
    person: str | None = None
    source: str | None = None
    split: Literal["train", "validation", "test"] | None = None


def read_manifest(path: Path, space: LabelSpace) -> list[Found]:
    """The clips of a manifest, in its order.

    Columns (or keys): path (relative to the manifest), name, label, subtitle, person, source, split; only path is
    needed. An empty cell is not given. Labels may be synonyms (`labels.SYNONYMS`), splits may be called val or dev.

    Raises:
        InputError: the file cannot be read, has other columns, a name twice, or values that do not fit; mistakes are
            named together with their rows.
    """
    rows = list(_csv_rows(path) if path.suffix.lower() == ".csv" else _json_rows(path))
    mistakes: list[str] = []
    entries = [e for e in (_entry(path, where, row, space, mistakes) for where, row in rows) if e is not None]
    names = Counter(entry.name for entry in entries if entry.name is not None)
    mistakes += [
        f"the name {name!r} stands in {count} rows; names are unique" for name, count in names.items() if count > 1
    ]
    if mistakes:
        shown = "; ".join(mistakes[:_MAX_MISTAKES])
        more = f"; and {len(mistakes) - _MAX_MISTAKES} more" if len(mistakes) > _MAX_MISTAKES else ""
        raise InputError(f"{path}: {shown}{more}")
    if not entries:
        raise InputError(f"{path}: the manifest has no clip; expected a header with the column path, and rows")
    return entries


def _csv_rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    reader = csv.reader(io.StringIO(_text(path), newline=""), strict=True)
    try:
        header = [column.strip().lower() for column in next(reader, [])]
        _check_columns(path, header)
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            where = f"row {reader.line_num}"
            if len(cells) != len(header):
                raise InputError(f"{path}, {where}: {len(cells)} cells came, {len(header)} were expected")
            yield where, {name: cell for name, cell in zip(header, cells) if cell.strip()}
    except csv.Error as error:
        raise InputError(f"{path}, row {reader.line_num}: the table cannot be read ({error})") from None


def _check_columns(path: Path, header: list[str]) -> None:
    unknown = sorted(set(header) - set(_Row.model_fields))
    if unknown or "path" not in header:
        what = f"unknown columns {', '.join(map(repr, unknown))}" if unknown else "no column 'path'"
        if len(header) == 1 and (mark := next((m for m in ";\t" if m in header[0]), "")):
            what = f"cells are divided by {'tabs' if mark.isspace() else 'semicolons'}; divide them by commas"
        raise InputError(f"{path}: {what}; expected path and any of {', '.join(list(_Row.model_fields)[1:])}")
    if twice := [name for name, count in Counter(header).items() if count > 1]:
        raise InputError(f"{path}: the column {twice[0]!r} is there twice")


def _json_rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    for number, line in enumerate(_text(path).splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = parse_json(line, _once)
        except ValueError as error:
            raise InputError(f"{path}, row {number}: no JSON object ({error})") from None
        if not isinstance(row, dict):
            raise InputError(f"{path}, row {number}: expected a JSON object, got {line[:40]!r}")
        yield f"row {number}", row


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key stands twice")
    return found


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: the manifest cannot be read ({error}); expected UTF-8 text") from None


def _entry(path: Path, where: str, row: Mapping[str, Any], space: LabelSpace, mistakes: list[str]) -> Found | None:
    row = dict(row)
    if isinstance(row.get("split"), str):
        word = row["split"].strip().lower()
        row["split"] = _SPLITS.get(word, word) or None
    try:
        checked = _Row.model_validate(row)
    except ValidationError as error:
        for mistake in error.errors():
            what = {"extra_forbidden": "no such column", "missing": "needed, and not given"}.get(
                mistake["type"], f"{mistake['msg']}, got {mistake['input']!r}"
            )
            mistakes.append(f"{where}, {'.'.join(map(str, mistake['loc']))}: {what}")
        return None
    label = space.find(checked.label) if checked.label else None
    if checked.label and label is None:
        mistakes.append(f"{where}, label: {checked.label!r} is none of {space.name} ({', '.join(space.labels)})")
        return None
    return Found(
        Path(os.path.abspath(path.parent / checked.path)),  # noqa: PTH100  (links stay as named)
        where=f"{path.name}, {where}",
        name=checked.name or None,
        label=label,
        subtitle=" ".join(checked.subtitle.split()) or None if checked.subtitle else None,
        person=checked.person or None,
        source=checked.source or None,
        split=checked.split,
    )


# --- names ------------------------------------------------------------------------------------------------------------


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


def _beside_video(path: Path, paths: set[Path]) -> Path | None:
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
