"""Readers of the files that benchmarks are distributed in: label lists, tables, label archives, folders of clips."""

from __future__ import annotations

import io
import pickle  # only through `_PlainOnly`, which builds arrays and plain values and nothing else
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from emotion_llama.errors import InputError
from emotion_llama.evaluation.metrics.words import parse_word_list
from emotion_llama.evaluation.records import EvalSample, Truth
from emotion_llama.labels import LabelSpace
from emotion_llama.media.kinds import MEDIA_SUFFIXES
from emotion_llama.media.text_file import read_text
from emotion_llama.media.transcript_table import NAME_COLUMNS, TEXT_COLUMNS
from emotion_llama.tables import csv_rows

Reader = Callable[[Path], Iterator[EvalSample]]
Convert = Callable[[Any], Truth]  # from a file's value; ValueError says what is wrong with it
Column = str | tuple[str, ...]
NO_COUNT = -1
VIDEO_FOLDERS = ("video", "videos", "test3", "train", ".")
# Tables of what is said, as the owners and the published code name them; the first one found counts.
TRANSCRIPTS = (
    "transcription_en_all.csv",  # MER2023, Emotion-LLaMA: name, sentence
    "transcription_all_new.csv",  # MER2024, Emotion-LLaMA: name, sentence_en
    "transcription-engchi-polish.csv",  # MERBench and AffectGPT: name, chinese, english
    "transcription_merge.csv",  # MER2024 in AffectGPT: the same columns
    "subtitle_chieng.csv",  # MER2025, MER2026: name, chinese, english
    "subtitle_eng.csv",  # OV-MERD+: name, sentence
)


# --- tables ---------------------------------------------------------------------------------------------------------


def read_csv(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Line number and cells without blanks around them, the header (in lower case) first; empty rows are left out.

    Raises:
        InputError: the file cannot be read.
    """
    rows = csv_rows(read_text(path, None), path)
    yield 1, [cell.strip().lower() for cell in next(rows, (0, []))[1]]
    yield from ((number, [cell.strip() for cell in row]) for number, row in rows)


def read_rows(path: Path, columns: Sequence[Column]) -> Iterator[list[str]]:
    """The cells of some columns, row by row.

    Args:
        path: a table in CSV with a header.
        columns: wanted, each by its name or by several names of which the first that is there counts. A name that
            begins with "?" may be missing; its cells are then empty.

    Raises:
        InputError: the file cannot be read, a column is missing, or a row is too short.
    """
    rows = read_csv(path)
    _, header = next(rows)
    places = [_place(path, header, (column,) if isinstance(column, str) else column) for column in columns]
    width = max((place for place in places if place is not None), default=0) + 1
    for number, row in rows:
        if len(row) < width:
            raise InputError(f"{path}, line {number}: {len(row)} cells came, {len(header)} were expected")
        yield ["" if place is None else row[place] for place in places]


def _place(path: Path, header: list[str], names: tuple[str, ...]) -> int | None:
    found = next((name.removeprefix("?") for name in names if name.removeprefix("?") in header), None)
    if found is None and not names[0].startswith("?"):
        raise InputError(f"{path} has the columns {', '.join(header) or '(none)'}; expected {' or '.join(names)}")
    return None if found is None else header.index(found)


# --- tables that lie as pickled dictionaries in .npz files ---------------------------------------------------------

# numpy's own constructors of an array, under the names of numpy 1 and 2; everything else in a file is refused.
_ALLOWED = {
    *(("numpy.core.multiarray", name) for name in ("_reconstruct", "scalar")),
    *(("numpy._core.multiarray", name) for name in ("_reconstruct", "scalar")),
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
}


class _PlainOnly(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in _ALLOWED:
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"it asks for {module}.{name}")


def read_npz(path: Path, names: tuple[str, ...], what: str) -> list[Any]:
    """The objects of that name, each an array of one plain object (a dictionary, a list, a figure or a text).

    Args:
        path: the file.
        names: of the tables wanted.
        what: the file should be, for the message.

    Raises:
        InputError: the file is damaged, lacks a name, holds something else, or something that would be run.
    """
    try:
        return [_object(path, name) for name in names]
    except (OSError, KeyError, TypeError, AttributeError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"{path} is not {what} ({error!r})") from error
    except pickle.UnpicklingError as error:
        raise InputError(f"{path} holds more than tables ({error}), and was not read") from error


def _object(path: Path, name: str) -> Any:
    with zipfile.ZipFile(path) as archive, archive.open(f"{name}.npy") as file:
        # Typed as Any: numpy publishes no types for its own file format.
        layout: Any = np.lib.format
        read_header = (
            layout.read_array_header_1_0 if layout.read_magic(file) == (1, 0) else layout.read_array_header_2_0
        )
        shape, _, dtype = read_header(file)
        if not dtype.hasobject or shape != ():
            raise ValueError(f"{name} is an array {list(shape)} of {dtype}, expected one table")
        return _PlainOnly(io.BytesIO(file.read())).load().item()


# --- truths ---------------------------------------------------------------------------------------------------------


def one_of(labels: LabelSpace | Mapping[str, str]) -> Convert:
    """A label in any of its forms ("anger" is "angry"), or, by a mapping, a number of it."""

    def convert(value: Any) -> Truth:
        text = str(value).lower().removesuffix(".0")
        label = labels.find(text) if isinstance(labels, LabelSpace) else labels.get(text)
        if label is None:
            known = labels.labels if isinstance(labels, LabelSpace) else labels
            raise ValueError(f"the label {value!r}, expected {', '.join(known)}")
        return Truth(label=label)

    return convert


def any_label(value: Any) -> Truth:
    """Whatever label stands there."""
    return Truth(label=str(value))


def word_list(value: Any) -> Truth:
    """Emotion words, by the published rule; there may be none."""
    return Truth(words=tuple(parse_word_list(value)))


def sentiment(value: Any) -> Truth:
    """A finite number."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = float("nan")
    if number - number != 0:
        raise ValueError(f"the sentiment {value!r}, expected a number")
    return Truth(sentiment=number)


def description(value: Any) -> Truth:
    """A text."""
    if not value:
        raise ValueError("no description")
    return Truth(description=str(value))


# --- readers --------------------------------------------------------------------------------------------------------


def label_list(convert: Convert) -> Reader:
    """`name label`, or `name frame_count label ...`, blank separated, without header (`*_NCE.txt`, `*_NCEV.txt`)."""

    def read(path: Path) -> Iterator[EvalSample]:
        for number, line in enumerate(read_text(path, None).splitlines(), 1):
            cells = line.split()
            if not cells:
                continue
            try:
                count, label = (NO_COUNT, cells[1]) if len(cells) == 2 else (int(cells[1]), cells[2])
            except (IndexError, ValueError):
                raise InputError(
                    f"{path}, line {number}: expected `name label` or `name frame_count label ...`, got {line[:60]!r}"
                ) from None
            found = _sample(path, clip_name(cells[0]), label, convert)
            yield replace(found, frame_count=None if count == NO_COUNT else count)

    return read


def csv_columns(truth: Column, convert: Convert, name: Column = ("name", "names"), transcript: str = "?") -> Reader:
    """A table with a column of names, one of truths, and perhaps one of what is said."""

    def read(path: Path) -> Iterator[EvalSample]:
        for given, value, said in read_rows(path, [name, truth, transcript]):
            yield replace(_sample(path, clip_name(given), value, convert), transcript=said or None)

    return read


def archive(table: str, key: str, convert: Convert, prefix: str = "") -> Reader:
    """A table `name -> {"emo": ..., "val": ...}` of a label archive (.npz) of MERTools; names with a prefix only."""

    def read(path: Path) -> Iterator[EvalSample]:
        (corpus,) = read_npz(path, (table,), f"a label archive with the table {table}")
        if not isinstance(corpus, dict) or not all(isinstance(labels, dict) for labels in corpus.values()):
            raise InputError(f"{path}: {table} is no table of names and labels")
        for name, labels in corpus.items():
            if str(name).startswith(prefix):
                if key not in labels:
                    raise InputError(f"{path}: {name} has {', '.join(map(str, labels)) or 'nothing'}, expected {key}")
                yield _sample(path, str(name), labels[key], convert)

    return read


def _sample(path: Path, name: str, value: Any, convert: Convert) -> EvalSample:
    try:
        return EvalSample(name, convert(value))
    except ValueError as error:
        raise InputError(f"{path}: {name} has {error}") from None


# --- paths, clips and transcripts -----------------------------------------------------------------------------------


def clip_name(text: str) -> str:
    """A name as tables have it, without a media file's suffix; a full stop inside a name is kept."""
    name = Path(text.strip()).name
    return Path(name).stem if Path(name).suffix.lower() in MEDIA_SUFFIXES else name


def find_clips(folders: Iterable[Path], sample_id: Callable[[str], str] = str) -> dict[str, Path]:
    """Sample -> media file, of all files right inside the folders that are there; earlier folders win."""
    found: dict[str, Path] = {}
    for folder in folders:
        for path in sorted(folder.iterdir()) if folder.is_dir() else ():
            if path.suffix.lower() in MEDIA_SUFFIXES and not path.name.startswith("."):
                found.setdefault(sample_id(path.stem), path)
    return found


def transcripts_of(folder: Path, given: Path | None = None) -> dict[str, str]:
    """Name -> what is said, from the given table or the first of `TRANSCRIPTS` in the folder, if any.

    Of a table with several languages, English is taken.

    Raises:
        InputError: the table has no column of names or of texts.
    """
    path = given or next((folder / name for name in TRANSCRIPTS if (folder / name).is_file()), None)
    if path is None:
        return {}
    texts = tuple(sorted(TEXT_COLUMNS, key=lambda name: TEXT_COLUMNS[name] not in ("en", None)))
    return {clip_name(name): text for name, text in read_rows(path, [NAME_COLUMNS, texts]) if name}
