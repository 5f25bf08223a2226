"""Emotion wheels from the files their owners distribute: words to the groups of five wheels, at level 1 or 2.

The files (`wheel_mapping.npz` of MER2026, or `format.csv`, `synonym.xlsx` and `wheel1.xlsx` to `wheel5.xlsx` of
AffectGPT and MER2025) are for non-commercial use and are not part of this package: the user names their folder. Two
versions of the word forms exist; in that of 2025 "fear" reaches "happy" on wheels 2 to 5, through "fearless".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from emotion_llama.errors import InputError
from emotion_llama.evaluation.open_vocabulary import Grouping

NUM_WHEELS = 5


@dataclass(frozen=True)
class Wheel:
    """One wheel: its words, and the group of each at level 1 and at level 2."""

    level1: Mapping[str, str]
    level2: Mapping[str, str]

    def __post_init__(self) -> None:
        object.__setattr__(self, "level1", MappingProxyType(dict(self.level1)))
        object.__setattr__(self, "level2", MappingProxyType(dict(self.level2)))


@dataclass(frozen=True, repr=False)
class WheelFiles:
    """What the files say.

    Attributes:
        bases: word form -> base words it may be a form of.
        wheel_words: base word -> words of wheels that it is a synonym of.
        wheels: the wheels in order.
        version: "2025" or "2026", by name of the mapping, for the report.
    """

    bases: Mapping[str, Sequence[str]]
    wheel_words: Mapping[str, Sequence[str]]
    wheels: tuple[Wheel, ...]
    version: str
    _reachable: dict[str, tuple[str, ...]] = field(default_factory=dict, compare=False)

    def reachable(self, word: str) -> tuple[str, ...]:
        """All wheel words that a word leads to, in alphabetical order."""
        key = word.strip().lower()
        if key not in self._reachable:
            found = {target for base in self.bases.get(key, ()) for target in self.wheel_words.get(base, ())}
            self._reachable[key] = tuple(sorted(found))
        return self._reachable[key]

    def groupings(self, level: int) -> tuple[Grouping, ...]:
        """One grouping a wheel: the first reachable word, alphabetically, that the wheel holds decides.

        Raises:
            InputError: the level is not 1 or 2.
        """
        if level not in (1, 2):
            raise InputError(f"wheels are read at level 1 or 2, got {level}")
        return tuple(self._grouping(wheel.level1 if level == 1 else wheel.level2) for wheel in self.wheels)

    def _grouping(self, groups: Mapping[str, str]) -> Grouping:
        return lambda word: next((groups[target] for target in self.reachable(word) if target in groups), None)

    def __repr__(self) -> str:
        return f"WheelFiles({self.version}, {len(self.bases)} forms, {len(self.wheels)} wheels)"


def wheel_from_rows(rows: Sequence[tuple[str, str, str]]) -> Wheel:
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
    return Wheel(level1, level2)


def load_wheels(folder: str | Path) -> WheelFiles:
    """Read the wheel files of a folder.

    Raises:
        InputError: neither form of the files is there, or one cannot be understood; says which file.
        MissingDependency: spreadsheets are to be read and openpyxl is not installed.
    """
    from emotion_llama.evaluation.wheel_files import read_mapping, read_spreadsheets

    folder = Path(folder)
    if (folder / "wheel_mapping.npz").is_file():
        return read_mapping(folder / "wheel_mapping.npz")
    if (folder / "format.csv").is_file():
        return read_spreadsheets(folder)
    raise InputError(
        f"{folder} holds no wheel files; expected wheel_mapping.npz (MER2026), or format.csv, synonym.xlsx and "
        "wheel1.xlsx to wheel5.xlsx (AffectGPT, MER2025)"
    )
