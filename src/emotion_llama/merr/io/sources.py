"""What a path holds, by looking inside, and its content: the edge between files and the readers beside it."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Literal, TypeAlias

from emotion_llama.errors import InputError
from emotion_llama.labels import LabelSpace
from emotion_llama.merr.io.content import FileContent
from emotion_llama.merr.io.csv_table import is_own_csv, read_own_csv
from emotion_llama.merr.io.measured_files import (
    is_feature_root,
    is_openface_table,
    read_features,
    read_openface_table,
)
from emotion_llama.merr.io.published import is_table, read_list, read_published, read_rows, read_table, split_of_name

Kind = Literal["own", "list", "json", "table", "openface", "features"]
# Which is believed first where two files disagree: our own export, then the lists (training takes labels from them).
ORDER: tuple[Kind, ...] = ("own", "list", "json", "table", "openface", "features")
Source: TypeAlias = tuple[Path, Kind]  # a file or folder to import, and what it is
_FIRST_BYTES = 1 << 16


def find_sources(paths: Iterable[Path]) -> list[Source]:
    """What the paths hold: files as they are; of folders the MERR files, tables, OpenFace tables or features in them.

    Raises:
        InputError: a path does not exist, or holds nothing that can be imported.
    """
    found: dict[Path, Source] = {}
    for path in paths:
        for source in _in_folder(path) if path.is_dir() else [_named(path)]:
            found.setdefault(source[0].absolute(), source)
    # The coarse file before the fine one: both may hold coarse captions.
    return sorted(found.values(), key=lambda source: (ORDER.index(source[1]), source[0].name))


def read_source(
    source: Source, space: LabelSpace, language: str, known: Collection[str] | None, made_at: str
) -> FileContent:
    """The content of one source.

    Args:
        source: of `find_sources`.
        space: the labels it may have.
        language: of the descriptions in MERR's JSON files.
        known: the clips of the build, for feature folders; None takes all that have features.
        made_at: UTC time of the import.

    Raises:
        InputError: it cannot be read, or is not what it looked like.
    """
    path, kind = source
    if kind == "features":
        names = "\n".join(sorted(p.name for p in path.iterdir()))
        content = FileContent(path.name, hashlib.sha256(names.encode("utf-8", "surrogateescape")).hexdigest(), made_at)
        read_features(path, content, known)
        return content
    data = _bytes(path)
    content = FileContent(path.name, hashlib.sha256(data).hexdigest(), made_at)
    if kind == "openface":
        read_openface_table(path, content)
    elif kind == "own":
        read_own_csv(_text(path, data), content, space)
    elif kind == "list":
        read_list(_text(path, data).splitlines(), content, space, split_of_name(path.stem))
    elif kind == "json":
        read_published(_text(path, data), content, space, language)
    else:
        read_table(_text(path, data), content, space, _delimiter(path))
    return content


def _named(path: Path) -> Source:
    if not path.is_file():
        raise InputError(f"{path} does not exist; give the files or folders to import")
    kind = _kind(path)
    if kind is None:
        raise InputError(
            f"{path} is nothing that can be imported; expected MERR_*.json or .txt, a list of labels (.txt), a table "
            "of sentences or labels (.csv), an OpenFace table (.csv), a folder of these or of features, or samples.csv"
        )
    return path, kind


def _in_folder(folder: Path) -> list[Source]:
    sources: list[Source] = [(folder, "features")] if is_feature_root(folder) else []
    for path in sorted(folder.iterdir()):
        if path.is_file() and not path.name.startswith("."):
            kind = _kind(path) if _is_likely(path) else None
            if kind is not None:
                sources.append((path, kind))
    if not sources:
        raise InputError(f"{folder} holds nothing that can be imported; see docs/merr-files.md for what can be")
    return sources


def _is_likely(path: Path) -> bool:
    """Whether a file that nobody named is one of ours: folders hold other texts and JSON files as well.

    OpenFace, for one, leaves a text of its settings beside each table.
    """
    suffix = path.suffix.lower()
    if suffix not in (".txt", ".json"):
        return True
    with path.open("rb") as file:
        first = file.read(_FIRST_BYTES)
    if suffix == ".json":
        return b'"caption"' in first or b'"smp_reason_caption"' in first
    cells = next((line.split() for line in first.decode("utf-8-sig", "replace").splitlines() if line.strip()), [])
    return len(cells) > 1 and (cells[1].isalpha() if len(cells) == 2 else cells[1].lstrip("-").isdecimal())


def _kind(path: Path) -> Kind | None:
    suffix = path.suffix.lower()
    if suffix in (".json", ".txt"):
        return "json" if suffix == ".json" else "list"
    if suffix not in (".csv", ".tsv"):
        return None
    if is_openface_table(path):
        return "openface"
    _, header = next(read_rows(_text(path, _bytes(path)), path.name, _delimiter(path)), (0, []))
    return "own" if is_own_csv(header) else "table" if is_table(header) else None


def _delimiter(path: Path) -> str:
    return "\t" if path.suffix.lower() == ".tsv" else ","


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); check the path and its rights") from error


def _text(path: Path, data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text ({error.reason} at byte {error.start}); save it as UTF-8") from None
