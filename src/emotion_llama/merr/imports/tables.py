"""Tables (.csv, .tsv) of other data sets: sentences, labels, and EMER's descriptions, by the columns they have.

Source: MER2023's `name,sentence` and MER2024's `name,sentence_en`; MER2023's label files `name,discrete,valence`;
EMER's `names,emotions,subtitles,reasons` and `name,chinese,english`, whose texts are descriptions, not sentences.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence

from emotion_llama.errors import InputError
from emotion_llama.labels import LabelSpace
from emotion_llama.media.transcript_table import NAME_COLUMNS, TEXT_COLUMNS
from emotion_llama.merr.error_texts import error_like
from emotion_llama.merr.imports.claims import Claim, FileContent, given_label, given_words, is_name
from emotion_llama.merr.imports.label_lists import known_label
from emotion_llama.merr.quality.texts import ideograph_share
from emotion_llama.merr.records import FieldKey

LABEL_COLUMNS = ("label", "emotion", "discrete", "emotions")
_EMER_2 = ("chinese", "english")
_REASONS = "reasons"
_MOSTLY = 0.5


def read_rows(text: str, origin: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Rows with the number of their last line; blank ones are left out.

    Raises:
        InputError: a quotation mark has no partner, or a cell is too long.
    """
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        for row in rows:
            if any(cell.strip() for cell in row):
                yield rows.line_num, row
    except csv.Error as error:
        raise InputError(
            f"{origin}, line {rows.line_num}: the table cannot be read ({error}); look for a quotation mark without "
            "its partner before this line"
        ) from None


def is_table(header: Sequence[str]) -> bool:
    """Whether a table with this header is one that `read_table` takes."""
    columns = [column.strip().lower() for column in header]
    known = {*TEXT_COLUMNS, *LABEL_COLUMNS, _REASONS}
    return bool(known & set(columns)) and any(name in columns for name in NAME_COLUMNS)


def read_table(text: str, content: FileContent, space: LabelSpace, delimiter: str = ",") -> None:
    """Add what a table says of clips to `content`: sentences, labels, descriptions.

    Raises:
        InputError: it has no column of names, or none of what can be taken.
    """
    rows = read_rows(text, content.origin, delimiter)
    _, header = next(rows, (0, []))
    columns = [column.strip().lower() for column in header]
    name_at = next((columns.index(name) for name in NAME_COLUMNS if name in columns), None)
    texts = _text_columns(columns)
    label_at = next((columns.index(name) for name in LABEL_COLUMNS if name in columns), None)
    if name_at is None or not (texts or label_at is not None):
        raise InputError(
            f"{content.origin}: the table has the columns {', '.join(columns) or '(none)'}; expected `name` and one of "
            f"{', '.join((*TEXT_COLUMNS, *LABEL_COLUMNS))}"
        )
    seen: dict[str, list[str]] = {}
    for line, row in rows:
        content.rows += 1
        where = f"{content.origin}, line {line}"
        name = row[name_at].strip() if len(row) > name_at else ""
        if len(row) != len(columns) or not is_name(name):
            content.problems.add(
                f"malformed row (expected {len(columns)} cells and a name)", f"{where}: {len(row)} cells"
            )
            continue
        if name in seen:
            same = "again" if seen[name] == row else "with another text: the first counts"
            content.problems.add(f"a name stands twice ({same})", f"{where}: {name}")
            continue
        seen[name] = row
        for at, key in texts:
            _take_text(name, key, row[at], columns[at], where, content)
        if label_at is not None and row[label_at].strip():
            label = known_label(row[label_at].strip(), where, content, space)
            if label is not None:
                content.claims.append(Claim(name, ("label", ""), given_label(label)))


def _text_columns(columns: Sequence[str]) -> list[tuple[int, FieldKey]]:
    """Where texts stand, and the fields they become."""
    if all(name in columns for name in _EMER_2):
        return [
            (columns.index("english"), ("fine_caption", "en")),
            (columns.index("chinese"), ("fine_caption", "zh")),
        ]
    found: list[tuple[int, FieldKey]] = []
    words = next((name for name in TEXT_COLUMNS if name in columns), None)
    if words is not None:
        found.append((columns.index(words), ("subtitle", "")))
    if _REASONS in columns:
        found.append((columns.index(_REASONS), ("fine_caption", "")))
    return found


def _take_text(name: str, key: FieldKey, cell: str, column: str, where: str, content: FileContent) -> None:
    text = " ".join(cell.split())
    if key[0] == "subtitle":
        if text:
            language = TEXT_COLUMNS[column] or _language_of(text)
            content.claims.append(Claim(name, key, given_words(text, language)))
        else:
            content.claims.append(Claim(name, key, None, f"no words in {content.origin}"))
        return
    if not text:
        content.problems.add(f"{column} is empty", f"{where}: {name}")
    elif error_like(text):
        content.problems.add(f"{column} is the text of an error, not a description", f"{where}: {text[:60]!r}")
    else:
        content.claims.append(Claim(name, (key[0], key[1] or _language_of(text)), text))


def _language_of(text: str) -> str:
    """Chinese or English, by the letters; the tables of these data sets hold no others."""
    if text.isascii():
        return "en"
    return "zh" if (ideograph_share(text) or 0) > _MOSTLY else "en"
