"""Tables of published data sets (.csv, .tsv), read into fields by the columns they have.

Sources: the columns of MER2023's and MER2024's sentences and labels, and of EMER's descriptions.
"""

from __future__ import annotations

from collections.abc import Sequence

from emotion_llama.errors import InputError
from emotion_llama.labels import LabelSpace
from emotion_llama.media.transcript_table import NAME_COLUMNS, TEXT_COLUMNS
from emotion_llama.merr.io.content import FileContent, given_words, is_name
from emotion_llama.merr.quality.texts import error_like, ideograph_share
from emotion_llama.merr.records import FieldKey
from emotion_llama.tables import csv_rows

LABEL_COLUMNS = ("label", "emotion", "discrete", "emotions")
_EMER_2 = ("chinese", "english")
_REASONS = "reasons"
_MOSTLY = 0.5  # share of ideographs from which a text is Chinese


def is_table(header: Sequence[str]) -> bool:
    """Whether a table with this header is one that `read_table` takes."""
    columns = {column.strip().lower() for column in header}
    known = {*TEXT_COLUMNS, *LABEL_COLUMNS, _REASONS}
    return bool(known & columns) and not columns.isdisjoint(NAME_COLUMNS)


def read_table(text: str, content: FileContent, space: LabelSpace, delimiter: str = ",") -> None:
    """Add what a table says of clips to `content`: sentences, labels, descriptions, by the columns it has.

    MER2023's `name,sentence` and MER2024's `name,sentence_en`; MER2023's labels `name,discrete,valence`; EMER's
    `names,emotions,subtitles,reasons` and `name,chinese,english`, whose texts are descriptions, not sentences.

    Raises:
        InputError: it has no column of names, or none of what can be taken.
    """
    rows = csv_rows(text, content.origin, delimiter)
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
            kind = f"malformed row (expected {len(columns)} cells and a name)"
            content.problems.add(kind, f"{where}: {len(row)} cells")
        elif name in seen:
            same = "again" if seen[name] == row else "with another text: the first counts"
            content.problems.add(f"a name stands twice ({same})", f"{where}: {name}")
        else:
            seen[name] = row
            for at, key in texts:
                _take_text(name, key, row[at], columns[at], where, content)
            if label_at is not None and row[label_at].strip():
                content.say_label(name, row[label_at].strip(), where, space)


def _text_columns(columns: Sequence[str]) -> list[tuple[int, FieldKey]]:
    """Where texts stand, and the fields they become."""
    if all(name in columns for name in _EMER_2):
        chinese, english = (columns.index(name) for name in _EMER_2)
        return [(english, ("fine_caption", "en")), (chinese, ("fine_caption", "zh"))]
    words = next((name for name in TEXT_COLUMNS if name in columns), None)
    found: list[tuple[int, FieldKey]] = [] if words is None else [(columns.index(words), ("subtitle", ""))]
    return [*found, (columns.index(_REASONS), ("fine_caption", ""))] if _REASONS in columns else found


def _take_text(name: str, key: FieldKey, cell: str, column: str, where: str, content: FileContent) -> None:
    text = " ".join(cell.split())
    if key[0] == "subtitle" and text:
        content.say(name, "subtitle", given_words(text, TEXT_COLUMNS[column] or _language_of(text)))
    elif key[0] == "subtitle":
        content.say(name, "subtitle", None, why_missing=f"no words in {content.origin}")
    elif not text:
        content.problems.add(f"{column} is empty", f"{where}: {name}")
    elif error_like(text):
        content.problems.add(f"{column} is the text of an error, not a description", f"{where}: {text[:60]!r}")
    else:
        content.say(name, key[0], text, key[1] or _language_of(text))


def _language_of(text: str) -> str:
    """Chinese or English, by the letters; the tables of these data sets hold no others."""
    return "zh" if not text.isascii() and (ideograph_share(text) or 0) > _MOSTLY else "en"
