"""Reads the two forms in which emotion wheels are distributed, without running what a pickle may hold."""

from __future__ import annotations

import csv
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from emotion_llama.errors import InputError, MissingDependency
from emotion_llama.evaluation.npz_tables import read_tables

if TYPE_CHECKING:
    from emotion_llama.evaluation.wheels import WheelFiles

NUM_WHEELS = 5


def read_mapping(path: Path) -> WheelFiles:
    """`wheel_mapping.npz` of MER2026: `format_mapping`, `raw_mapping` and `wheel_map_whole`.

    Raises:
        InputError: the file is damaged, holds something else, or something that would be run.
    """
    from emotion_llama.evaluation.wheels import Wheel, WheelFiles

    names = ("format_mapping", "raw_mapping", "wheel_map_whole")
    forms, raw, whole = read_tables(path, names, "the wheel_mapping.npz of MER2026")
    try:
        wheels = tuple(
            Wheel(_words(whole[f"wheel{k}"]["level1"]), _words(whole[f"wheel{k}"]["level2"]))
            for k in range(1, NUM_WHEELS + 1)
        )
        return WheelFiles(_lists(forms), _lists(raw), wheels, "2026")
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise InputError(f"{path} is not the wheel_mapping.npz of MER2026 ({error!r})") from error


def read_spreadsheets(folder: Path) -> WheelFiles:
    """`format.csv`, `synonym.xlsx` and `wheel1.xlsx` to `wheel5.xlsx` of AffectGPT and MER2025.

    Raises:
        InputError: a file is missing or has other columns.
        MissingDependency: openpyxl is not installed.
    """
    from emotion_llama.evaluation.wheels import WheelFiles, wheel_from_rows

    bases: dict[str, list[str]] = {}
    for base, forms in _format_rows(folder / "format.csv"):
        for form in (part.strip().lower() for part in forms.split(",")):
            if form and base not in bases.setdefault(form, []):
                bases[form].append(base)
    wheel_words: dict[str, list[str]] = {}
    for word, synonyms in _synonym_rows(folder / "synonym.xlsx"):
        for base in synonyms:
            if word not in wheel_words.setdefault(base, []):
                wheel_words[base].append(word)
    wheels = tuple(wheel_from_rows(_wheel_rows(folder / f"wheel{k}.xlsx")) for k in range(1, NUM_WHEELS + 1))
    # The forms of 2026 lack 64 of 2025, "fearless" among those of "fear".
    version = "2025" if "fearless" in bases.get("fear", ()) else "2026"
    return WheelFiles(bases, wheel_words, wheels, version)


def _words(table: Mapping[str, str]) -> dict[str, str]:
    return {str(word).strip().lower(): str(group).strip().lower() for word, group in table.items()}


def _lists(table: Mapping[str, Iterable[str]]) -> dict[str, list[str]]:
    return {
        str(word): [values] if isinstance(values, str) else [str(v) for v in values] for word, values in table.items()
    }


def _format_rows(path: Path) -> Iterator[tuple[str, str]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file)
            if not {"name", "format"} <= set(rows.fieldnames or ()):
                raise InputError(f"{path} has the columns {', '.join(rows.fieldnames or ())}; expected name and format")
            for row in rows:
                yield row["name"].strip().lower(), row["format"]
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read ({error})") from error


def _synonym_rows(path: Path) -> Iterator[tuple[str, list[str]]]:
    """Wheel word and its synonyms, itself among them, of every run of the table."""
    header, *rows = _sheet(path)
    runs = [
        (header.index(name), header.index(name.replace("word", "synonym"))) for name in header if name[:8] == "word_run"
    ]
    if not runs:
        raise InputError(f"{path} has the columns {', '.join(header)}; expected word_run1, synonym_run1 and so on")
    for row in rows:
        for word_column, synonym_column in runs:
            word = row[word_column].strip().lower()
            if word:
                yield word, [word, *(part.strip().lower() for part in _pieces(row[synonym_column]))]


def _pieces(text: str) -> list[str]:
    from emotion_llama.evaluation.open_vocabulary import parse_word_list

    return parse_word_list(text)


def _wheel_rows(path: Path) -> list[tuple[str, str, str]]:
    header, *rows = _sheet(path)
    try:
        columns = [header.index(f"level{k}") for k in (1, 2, 3)]
    except ValueError:
        raise InputError(f"{path} has the columns {', '.join(header)}; expected level1, level2 and level3") from None
    return [(row[columns[0]], row[columns[1]], row[columns[2]]) for row in rows if any(row)]


def _sheet(path: Path) -> list[list[str]]:
    """All cells of a workbook's first sheet, as text."""
    try:
        from openpyxl import load_workbook
        from openpyxl.utils.exceptions import InvalidFileException
    except ImportError as error:
        raise MissingDependency(
            "openpyxl", f"reading {path.name}", "pip install 'emotion-llama[evaluation]' -c constraints.txt"
        ) from error
    try:
        book = load_workbook(path, read_only=True, data_only=True)
        cells = book.worksheets[0].iter_rows(values_only=True)
        rows = [["" if cell is None else str(cell) for cell in row] for row in cells]
        book.close()
    except (OSError, InvalidFileException, zipfile.BadZipFile, KeyError, IndexError) as error:
        raise InputError(f"{path} cannot be read as a workbook ({error})") from error
    if not rows:
        raise InputError(f"{path} is empty")
    width = len(rows[0])
    return [row + [""] * (width - len(row)) for row in rows]
