"""Emotion wheels from the files their owners distribute: words to the groups of five wheels, at level 1 or 2.

The files (`wheel_mapping.npz` of MER2026, or `format.csv`, `synonym.xlsx` and `wheel1.xlsx` to `wheel5.xlsx` of
AffectGPT and MER2025) are for non-commercial use and are not part of this package: the user names their folder. Two
versions of the word forms exist; in that of 2025 "fear" reaches "happy" on wheels 2 to 5, through "fearless".
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path

from emotion_llama.errors import InputError, MissingDependency
from emotion_llama.evaluation.metrics.words import Grouping, parse_word_list
from emotion_llama.evaluation.tasks.readers import read_npz, read_rows

NUM_WHEELS = 5
VERSIONS = ("2025", "2026")


Levels = tuple[Mapping[str, str], Mapping[str, str]]  # of one wheel: word -> its group at level 1, and at level 2
Wheels = Mapping[int, tuple[Grouping, ...]]  # level 1 or 2 -> of each wheel, from a word to its group


def wheel_groupings(
    bases: Mapping[str, Sequence[str]], wheel_words: Mapping[str, Sequence[str]], wheels: Sequence[Levels]
) -> Wheels:
    """The groupings of both levels: the first wheel word, alphabetically, that a word leads to and the wheel holds.

    Args:
        bases: word form -> base words it may be a form of.
        wheel_words: base word -> words of wheels that it is a synonym of.
        wheels: in order.
    """

    @cache
    def reachable(key: str) -> list[str]:
        return sorted({target for base in bases.get(key, ()) for target in wheel_words.get(base, ())})

    def grouping(groups: Mapping[str, str]) -> Grouping:
        return lambda word: next((groups[w] for w in reachable(word.strip().lower()) if w in groups), None)

    return {level: tuple(grouping(levels[level - 1]) for levels in wheels) for level in (1, 2)}


def wheel_from_rows(rows: Sequence[tuple[str, str, str]]) -> Levels:
    """A wheel from its rows of level 1, 2 and 3 words, blanks filled from above.

    Every word of a row belongs to the row's level-1 word and to its level-2 word; a level-1 word belongs, at level 2,
    to the alphabetically first of its level-2 words. A word that stands in several places keeps the last.

    Raises:
        InputError: the first row leaves level 1 or 2 open.
    """
    filled: list[tuple[str, str, str]] = []
    above = ("", "", "")
    for number, row in enumerate(rows):
        one, two, three = (cell.strip().lower() for cell in row)
        above = (one or above[0], two or above[1], three)
        if not above[0] or not above[1]:
            raise InputError(f"row {number + 1} of a wheel has no word at level 1 or 2, and none above to fill it from")
        filled.append(above)
    level1 = {word: one for one, two, three in filled for word in (one, two, three) if word}
    level2 = {word: two for _, two, three in filled for word in (two, three) if word}
    for one in {one for one, _, _ in filled}:
        level2[one] = min(two for first, two, _ in filled if first == one)
    return level1, level2


def load_wheels(folder: str | Path) -> tuple[Wheels, str]:
    """The wheels of a folder's files, and the version of their word forms, "2025" or "2026".

    Raises:
        InputError: neither form of the files is there, or one cannot be understood; says which file.
        MissingDependency: spreadsheets are to be read and openpyxl is not installed.
    """
    folder = Path(folder)
    if (folder / "wheel_mapping.npz").is_file():
        return read_mapping(folder / "wheel_mapping.npz")
    if (folder / "format.csv").is_file():
        return read_spreadsheets(folder)
    raise InputError(
        f"{folder} holds no wheel files; expected wheel_mapping.npz (MER2026), or format.csv, synonym.xlsx and "
        "wheel1.xlsx to wheel5.xlsx (AffectGPT, MER2025)"
    )


def chosen_wheels(folder: Path, wheels: Path | None, mapping: str | int | None) -> tuple[Wheels, str]:
    """The wheels that two options of a benchmark name, and their version.

    Args:
        folder: of the benchmark.
        wheels: folder of the wheel files; `folder`/emotion_wheel by default.
        mapping: "2025" or "2026", the version of the word forms that the wheel files must be of; None takes what they
            are. The version is part of the benchmark's: "fear" is another group in each.

    Raises:
        InputError: as `load_wheels`, or the mapping is unknown or another.
    """
    if mapping is not None and str(mapping) not in VERSIONS:
        raise InputError(f"mapping is {mapping!r}, expected one of: {', '.join(VERSIONS)}")
    place = wheels or folder / "emotion_wheel"
    found, version = load_wheels(place)
    if mapping is not None and version != str(mapping):
        raise InputError(f"{place} holds the word forms of {version}, not those of {mapping}")
    return found, version


def read_mapping(path: Path) -> tuple[Wheels, str]:
    """`wheel_mapping.npz` of MER2026: `format_mapping`, `raw_mapping` and `wheel_map_whole`.

    Raises:
        InputError: the file is damaged, holds something else, or something that would be run.
    """
    names = ("format_mapping", "raw_mapping", "wheel_map_whole")
    forms, raw, whole = read_npz(path, names, "the wheel_mapping.npz of MER2026")
    try:
        wheels = tuple(
            (_words(whole[f"wheel{k}"]["level1"]), _words(whole[f"wheel{k}"]["level2"]))
            for k in range(1, NUM_WHEELS + 1)
        )
        return wheel_groupings(_lists(forms), _lists(raw), wheels), "2026"
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise InputError(f"{path} is not the wheel_mapping.npz of MER2026 ({error!r})") from error


def read_spreadsheets(folder: Path) -> tuple[Wheels, str]:
    """`format.csv`, `synonym.xlsx` and `wheel1.xlsx` to `wheel5.xlsx` of AffectGPT and MER2025.

    Raises:
        InputError: a file is missing or has other columns.
        MissingDependency: openpyxl is not installed.
    """
    bases = _word_forms(folder / "format.csv")
    wheel_words: dict[str, list[str]] = {}
    for word, synonyms in _synonym_rows(folder / "synonym.xlsx"):
        for base in synonyms:
            if word not in wheel_words.setdefault(base, []):
                wheel_words[base].append(word)
    wheels = tuple(wheel_from_rows(_wheel_rows(folder / f"wheel{k}.xlsx")) for k in range(1, NUM_WHEELS + 1))
    # The forms of 2026 lack 64 of 2025, "fearless" among those of "fear".
    version = "2025" if "fearless" in bases.get("fear", ()) else "2026"
    return wheel_groupings(bases, wheel_words, wheels), version


def _word_forms(path: Path) -> dict[str, list[str]]:
    """Word form -> base words it is a form of.

    A base word is a form of itself, also where its own row does not list it: the official mapping of 2025 has 7,386
    forms, one more than the rows name.
    """
    bases: dict[str, list[str]] = {}
    for base, forms in read_rows(path, ["name", "format"]):
        base = base.lower()
        for form in (base, *(part.strip().lower() for part in forms.split(","))):
            if form and base not in bases.setdefault(form, []):
                bases[form].append(base)
    return bases


def _words(table: Mapping[str, str]) -> dict[str, str]:
    return {str(word).strip().lower(): str(group).strip().lower() for word, group in table.items()}


def _lists(table: Mapping[str, Iterable[str]]) -> dict[str, list[str]]:
    return {
        str(word): [values] if isinstance(values, str) else [str(v) for v in values] for word, values in table.items()
    }


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
                yield word, [word, *(part.strip().lower() for part in parse_word_list(row[synonym_column]))]


def _wheel_rows(path: Path) -> list[tuple[str, str, str]]:
    header, *rows = _sheet(path)
    try:
        columns = [header.index(f"level{k}") for k in (1, 2, 3)]
    except ValueError:
        raise InputError(f"{path} has the columns {', '.join(header)}; expected level1, level2 and level3") from None
    return [(row[columns[0]], row[columns[1]], row[columns[2]]) for row in rows if any(row)]


def _sheet(path: Path) -> list[list[str]]:
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
