"""Phrases of your own for the face: a YAML or CSV file, checked, with its hash."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from emotion_llama.chat.questions import LANGUAGES
from emotion_llama.config import read_yaml
from emotion_llama.errors import InputError
from emotion_llama.rules.phrases import Phrases, expression_phrases, own_phrases
from emotion_llama.rules.wording import pick, wording

_COLUMNS = ("language", "units", "phrase")


@dataclass(frozen=True, repr=False)
class OwnPhrases:
    """The file's name and hash, and its phrases by language."""

    name: str
    sha256: str
    by_language: Mapping[str, Phrases]

    def describe(self, units: Mapping[str, float], language: str, variant: int) -> list[str]:
        """Phrases for the present units, those of the file first in rank; the package's for what it leaves out."""
        found = expression_phrases(units, variant=variant, language=language, own=self.by_language.get(language))
        return found or [pick(wording(language).at_rest, variant)]

    def __repr__(self) -> str:
        return f"OwnPhrases({self.name}, {', '.join(self.by_language)})"


def load_own_phrases(path: Path, languages: Sequence[str]) -> OwnPhrases:
    """Read a table of phrases.

    YAML: language -> unit or units ("AU12", "AU06+AU12") -> list of phrases. CSV: columns language, units, phrase, one
    phrase a row.

    Args:
        path: .yaml, .yml or .csv.
        languages: of the build; the table need not have all of them.

    Raises:
        InputError: the file cannot be read, or a row does not fit; it is named.
    """
    rows = _csv(path) if path.suffix.lower() == ".csv" else _yaml(path)
    unknown = sorted(set(rows) - set(LANGUAGES))
    if unknown:
        raise InputError(f"{path}: no language {unknown[0]!r}; expected any of {', '.join(LANGUAGES)}")
    if not set(rows) & set(languages):
        raise InputError(f"{path}: no phrases in the build's languages ({', '.join(languages)})")
    try:
        checked = {language: own_phrases(table, language) for language, table in rows.items()}
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    return OwnPhrases(path.name, hashlib.sha256(path.read_bytes()).hexdigest(), checked)


def _yaml(path: Path) -> dict[str, dict[str, list[str]]]:
    tree = read_yaml(path)
    good = isinstance(tree, dict) and all(
        isinstance(table, dict)
        and all(
            isinstance(k, str) and isinstance(v, list) and all(isinstance(p, str) for p in v) for k, v in table.items()
        )
        for table in tree.values()
    )
    if not good:
        raise InputError(f"{path}: expected language -> units -> list of phrases, such as en: {{AU12: [a smile]}}")
    return dict(tree)


def _csv(path: Path) -> dict[str, dict[str, list[str]]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = ([cell.strip() for cell in line] for line in csv.reader(file, strict=True))
            lines = [row for row in rows if any(row)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: the file cannot be read ({error}); expected a CSV in UTF-8") from None
    if not lines or sorted(lines[0]) != sorted(_COLUMNS):
        raise InputError(f"{path}: expected the columns {', '.join(_COLUMNS)}")
    out: dict[str, dict[str, list[str]]] = {}
    for number, line in enumerate(lines[1:], 2):
        if len(line) != len(_COLUMNS):
            raise InputError(f"{path}, row {number}: {len(line)} cells came, {len(_COLUMNS)} were expected")
        row = dict(zip(lines[0], line))
        out.setdefault(row["language"], {}).setdefault(row["units"], []).append(row["phrase"])
    return out
