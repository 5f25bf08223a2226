"""Find a clip's sentence in a table of many clips, such as the published label files (.csv, .tsv)."""

from __future__ import annotations

import csv
import difflib
import functools
import heapq
import io
import time
from collections.abc import Iterable
from pathlib import Path

from emotion_llama.errors import InputError
from emotion_llama.media.text_file import read_text, unreadable

# Text columns of the published tables and of plainly named others, best first, with their language: MER2023
# `name,sentence`; MER2024 `name,sentence_en`; EMER `name,chinese,english`, `names,...,subtitles`.
TEXT_COLUMNS: dict[str, str | None] = {
    "sentence_en": "en",
    "english": "en",
    "sentence": None,
    "subtitle": None,
    "subtitles": None,
    "text": None,
    "transcript": None,
    "transcription": None,
    "utterance": None,
    "sentence_zh": "zh",
    "sentence_chi": "zh",
    "chinese": "zh",
}
NAME_COLUMNS = ("name", "names", "video_name", "video", "file", "filename", "clip", "id")

_NEAREST_NAMES = 3
_COMPARED_NAMES = 50  # careful comparison with all of 80,000 names takes 2 s
# A file that was changed this short a time ago may change again within one tick of its clock (FAT: 2 s).
_SETTLED_NANOSECONDS = 2_000_000_000


# Name -> sentence; stem -> names; the language of the sentences; notes.
_Table = tuple[dict[str, str], dict[str, list[str]], "str | None", tuple[str, ...]]


def find_sentence(path: Path, clip_name: str | None, encoding: str | None) -> tuple[str, str | None, tuple[str, ...]]:
    """The sentence of `clip_name`, with or without the clip's suffix; of the only row where no name is given.

    "" where nothing was said; with its language, where the table states one, and notes for the user.

    The last table is kept, so that it is parsed once for all clips of a run; a file that changed is read again.

    Raises:
        InputError: the file cannot be read as a table, or has no such row or columns.
    """
    texts, names_by_stem, language, notes = _table(path, encoding)
    return texts[_name_of(path, texts, names_by_stem, clip_name)], language, notes


def _table(path: Path, encoding: str | None) -> _Table:
    try:
        status = path.stat()
    except OSError as error:
        raise unreadable(path, error) from None
    if time.time_ns() - status.st_mtime_ns < _SETTLED_NANOSECONDS:
        return _parse(path, encoding)
    return _kept(path, path.absolute(), status.st_mtime_ns, status.st_size, encoding)


@functools.lru_cache(maxsize=1)
def _kept(path: Path, absolute: Path, mtime_ns: int, size: int, encoding: str | None) -> _Table:
    return _parse(path, encoding)


def _parse(path: Path, encoding: str | None) -> _Table:
    delimiter = "\t" if path.suffix.lower() == ".tsv" else ","
    notes: list[str] = []
    rows = csv.reader(io.StringIO(read_text(path, encoding, notes.append), newline=""), delimiter=delimiter)
    texts: dict[str, str] = {}
    names_by_stem: dict[str, list[str]] = {}
    try:
        header = next(rows, [])
        name_column, text_column, language = _columns(path, header)
        wide = max(name_column, text_column)
        for row in rows:
            if not any(cell.strip() for cell in row):
                continue
            if len(row) <= wide:
                raise InputError(f"{path}, line {rows.line_num}: {len(row)} cells came, {len(header)} were expected")
            name, text = row[name_column].strip(), " ".join(row[text_column].split())
            if texts.setdefault(name, text) != text:
                raise InputError(f"{path}, line {rows.line_num}: a second, different sentence for {name!r}")
    except csv.Error as error:
        raise InputError(
            f"{path}, line {rows.line_num}: the table cannot be read ({error}); look for a quotation mark without its "
            "partner before this line"
        ) from None
    for name in texts:
        names_by_stem.setdefault(Path(name).stem, []).append(name)
    return texts, names_by_stem, language, tuple(notes)


def _columns(path: Path, header: list[str]) -> tuple[int, int, str | None]:
    """Where names and sentences stand, and the sentences' language."""
    columns = [column.strip().lower() for column in header]
    name_column = next((columns.index(name) for name in NAME_COLUMNS if name in columns), None)
    text_name = next((name for name in TEXT_COLUMNS if name in columns), None)
    if name_column is None or text_name is None:
        raise InputError(
            f"{path}: the table has the columns {', '.join(columns) or '(none)'}; expected a column name and a column "
            f"{' or '.join(TEXT_COLUMNS)}"
        )
    return name_column, columns.index(text_name), TEXT_COLUMNS[text_name]


def _name_of(path: Path, texts: dict[str, str], by_stem: dict[str, list[str]], clip_name: str | None) -> str:
    """The clip's name as the table spells it."""
    if clip_name is None:
        if len(texts) == 1:
            return next(iter(texts))
        raise InputError(f"{path}: the table has {len(texts)} rows; say which clip's (clip_name)")
    stem = Path(clip_name).stem
    for wanted in (clip_name, stem):
        if wanted in texts:
            return wanted
    same_stem = by_stem.get(stem, [])
    if len(same_stem) == 1:
        return same_stem[0]
    near = ", ".join(by_stem[known][0] for known in _nearest(stem, by_stem))
    raise InputError(f"{path}: no row named {stem!r} among {len(texts)}; the nearest are {near}")


def _nearest(stem: str, stems: Iterable[str]) -> list[str]:
    """The most similar stems, best first: by what agrees from the front and from the back, then carefully."""

    def agreement(known: str) -> int:
        from_back = zip(reversed(stem), reversed(known))
        return sum(a == b for a, b in zip(stem, known)) + sum(a == b for a, b in from_back)

    likely = heapq.nlargest(_COMPARED_NAMES, stems, key=agreement)
    return difflib.get_close_matches(stem, likely, n=_NEAREST_NAMES, cutoff=0.0)
