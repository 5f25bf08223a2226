"""Text files of published data sets, read into fields: lists of labels, MERR's JSON, and tables by their columns.

Sources: the keys and columns that the published training code and other public readers of the files use.
"""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from emotion_llama.errors import InputError
from emotion_llama.labels import LabelSpace
from emotion_llama.media.transcript_table import NAME_COLUMNS, TEXT_COLUMNS
from emotion_llama.merr.io.content import FileContent, given_label, given_words, is_name
from emotion_llama.merr.json_text import parse_json
from emotion_llama.merr.quality.texts import ideograph_share
from emotion_llama.merr.records import FieldKey

NO_VALENCE = -10.0  # the published placeholder
NO_COUNT = -1  # ours: nobody has counted
_OWN_SPLIT = re.compile(r"MERR_(?:coarse|fine)_grained_(train|validation|test)")
# Key of MERR's JSON whose value is a text -> the field it becomes.
_TEXTS = {"caption": "coarse_caption", "smp_reason_caption": "fine_caption", "audio_prior_list": "audio_tone"}
_KEPT = ("AU_list", "peak_index", "peak_AU_list")  # no field of their own here: kept in the field `published`
_KNOWN = frozenset((*_TEXTS, *_KEPT, "visual_prior_list", "text", "pseu_emotion"))
LABEL_COLUMNS = ("label", "emotion", "discrete", "emotions")
_EMER_2 = ("chinese", "english")
_REASONS = "reasons"
_MOSTLY = 0.5  # share of ideographs from which a text is Chinese

# How such texts begin. Only beginnings: a description may well say "the man is sorry" later on. The forms are those of
# HTTP clients and Python, of the published factory's messages ("Error ...", "An error occurred ..."), and of models
# that refuse; the list is ours.
_ERROR_BEGINNINGS = re.compile(
    r"""\s*["'`*\[(]*(?:
        (?:an?\s+)?(?:unexpected\s+|internal\s+)?(?:server\s+)?error\b
        | traceback\s+\(most
        | exception\b\s*[:(]
        | (?:\w+\.)*\w+(?:Error|Exception)\s*[:(]
        | (?:http\s*)?[45]\d\d\b\s*(?:error|bad|unauthori[sz]ed|forbidden|not\s+found|too\s+many|internal|service)
        | (?:too\s+many\s+requests|rate\s+limit|quota\s+exceeded|connection\s+(?:refused|reset|error))
        | (?:the\s+)?(?:request\s+)?(?:timed\s+out|time-?out)\b
        | (?:none|null|nan|n/a|undefined)\s*[.]?\s*$
        | <(?:!doctype|html|\?xml)\b
        | (?:i['’]?m|i\s+am|we['’]?re)\s+(?:very\s+|so\s+)?sorry,?\s+(?:but\s+)?(?:i|we|as)\b
        | sorry,?\s+(?:but\s+)?i\s+(?:can|am|do|cannot)
        | i\s+(?:cannot|can['’]?t|am\s+unable\s+to|['’]?m\s+unable\s+to|am\s+not\s+able\s+to)\s+
            (?:help|assist|provide|view|see|process|analy[sz]e|access|watch|listen|determine|identify|comply|fulfill?)
        | as\s+an?\s+(?:ai|large\s+language|language)\b
        | (?:抱歉|对不起)[,，]?\s*(?:我|作为)
        | 作为一?个?(?:AI|人工智能|语言模型)
    )""",
    re.VERBOSE | re.IGNORECASE,
)


def error_like(text: str) -> bool:
    """Whether a text is an error message or a refusal that a program stored in the place of a description."""
    return _ERROR_BEGINNINGS.match(text) is not None


def split_of_name(stem: str) -> str | None:
    """The split in the name of a list that our export wrote (`MERR_fine_grained_train`); None of any other."""
    found = _OWN_SPLIT.fullmatch(stem)
    return found[1] if found else None


def read_list(lines: Iterable[str], content: FileContent, space: LabelSpace, split: str | None = None) -> None:
    """Add the rows of a list to `content`: labels, frame counts and valences; what is wrong is counted by kind.

    Lists without header: `*_NCEV.txt` and `MERR_*.txt` (name, frame count, emotion, valence; blanks between),
    `*_NCE.txt` (without valence) and pairs of name and label. From three columns on the label is the third, as the
    published training code reads it. A name that stands twice with the same label counts once; with two labels,
    neither is taken.

    Args:
        lines: of the file.
        content: filled.
        space: labels that may stand there.
        split: of all its clips, where the file's name says it.
    """
    rows: dict[str, tuple[int | None, str, float | None]] = {}  # name -> frame count, label, valence
    refused: set[str] = set()
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        content.rows += 1
        where = f"{content.origin}, line {number}"
        row = _list_row(line, where, content, space)
        if row is None:
            continue
        name = line.split()[0]
        earlier = rows.setdefault(name, row)
        if earlier is not row and earlier[1] == row[1]:
            content.problems.add("a name stands twice (with the same label)", f"{where}: {name}")
        elif earlier is not row:
            content.problems.add("a name stands twice with different labels: neither is taken", f"{where}: {name}")
            refused.add(name)
    for name, (count, label, valence) in rows.items():
        if name not in refused:
            content.say(name, "label", given_label(label))
            content.clip(name).frame_count = count
            if valence is not None:
                content.say(name, "published", {"valence": valence})
            if split is not None:
                content.say(name, "split", split)


def _list_row(
    line: str, where: str, content: FileContent, space: LabelSpace
) -> tuple[int | None, str, float | None] | None:
    """Frame count, label and valence of a row, None for those that it does not have; None when it is malformed."""
    cells = line.split()
    if len(cells) < 2 or not is_name(cells[0]):
        kind = "malformed row (expected: name [frame_count] label [valence])"
        content.problems.add(kind, f"{where}: {line.strip()[:60]}")
        return None
    count = _whole_number(cells[1]) if len(cells) > 2 else None
    if len(cells) > 2 and count is None:
        content.problems.add("malformed row: the frame count is no whole number", f"{where}: {cells[1][:40]!r}")
        return None
    valence = _number(cells[3]) if len(cells) > 3 else None
    if len(cells) > 3 and valence is None:
        content.problems.add("the valence is no number: left out", f"{where}: {cells[3][:40]!r}")
    label = content.known_label(cells[1] if len(cells) == 2 else cells[2], where, space)
    if label is None:
        return None
    return None if count == NO_COUNT else count, label, None if valence == NO_VALENCE else valence


def _whole_number(text: str) -> int | None:
    try:
        count = int(text)
    except ValueError:
        return None
    return count if count >= NO_COUNT else None


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if value == value and abs(value) != float("inf") else None


def read_published(text: str, content: FileContent, space: LabelSpace, language: str = "en") -> None:
    """Add what MERR_coarse_grained.json or MERR_fine_grained.json says, an object by clip name, to `content`.

    Args:
        text: of the file.
        content: filled.
        space: labels that `pseu_emotion` may have.
        language: of the descriptions; the published ones are English.

    Raises:
        InputError: it is no JSON object of objects.
    """
    doubles: Counter[str] = Counter()

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:  # whatever JSON holds
        doubles.update({k: n - 1 for k, n in Counter(k for k, _ in items).items() if n > 1})
        return dict(items)

    try:
        entries = parse_json(text, pairs)
    except ValueError as error:
        raise InputError(f"{content.origin} is no JSON ({error}); expected an object by clip name") from None
    if not isinstance(entries, dict):
        raise InputError(f"{content.origin}: expected a JSON object by clip name, got {type(entries).__name__}")
    for name, count in doubles.items():
        content.problems.add("a name stands twice (the last one counts)", name, count)
    for name, entry in entries.items():
        content.rows += 1
        if not is_name(name) or not isinstance(entry, dict):
            content.problems.add("malformed entry (expected a name and an object)", f"{content.origin}: {name!r:.60}")
        else:
            _take_entry(name, entry, content, space, language)


def _take_entry(name: str, entry: dict[str, Any], content: FileContent, space: LabelSpace, language: str) -> None:
    where = f"{content.origin}: {name}"
    for key, field in _TEXTS.items():
        value = entry.get(key)
        if value is None or value == "":
            continue
        if not isinstance(value, str):
            content.problems.add(f"{key} is no text", where)
        elif not value.strip():
            content.problems.add(f"{key} is blank", where)
        elif error_like(value):
            content.problems.add(f"{key} is the text of an error, not a description", f"{where}: {value[:60]!r}")
        else:
            content.say(name, field, value, language)
    phrases = entry.get("visual_prior_list")
    if isinstance(phrases, list) and phrases and all(isinstance(p, str) for p in phrases):
        content.say(name, "visual_expression", list(phrases), language)
    elif phrases not in (None, []):
        content.problems.add("visual_prior_list is no list of texts", where)
    words, label = entry.get("text"), entry.get("pseu_emotion")
    if isinstance(words, str) and words.strip():
        content.say(name, "subtitle", given_words(words.strip(), language))
    if isinstance(label, str) and label.strip():
        content.say_label(name, label.strip(), where, space)
    kept = {key: entry[key] for key in _KEPT if entry.get(key) not in (None, "", [])}
    if kept:
        content.say(name, "published", kept)
    for key in sorted(entry.keys() - _KNOWN):
        content.problems.add(f"key {key!r} is not one of MERR's: left out", where)


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
    """Add what a table says of clips to `content`: sentences, labels, descriptions, by the columns it has.

    MER2023's `name,sentence` and MER2024's `name,sentence_en`; MER2023's labels `name,discrete,valence`; EMER's
    `names,emotions,subtitles,reasons` and `name,chinese,english`, whose texts are descriptions, not sentences.

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
