"""Tables and JSON that others wrote: rows of CSV and JSON lines with the line they stand in, every mistake named."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from emotion_llama.errors import InputError

Pairs = Callable[[list[tuple[str, Any]]], dict[str, Any]]


def read_utf8(path: Path) -> str:
    """The text of a file, without its byte order mark.

    Raises:
        InputError: it cannot be read, or is no UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read ({error}); expected UTF-8 text") from None


def csv_rows(
    text: str, origin: object, delimiter: str = ",", *, strict: bool = False
) -> Iterator[tuple[int, list[str]]]:
    """Rows as they stand, each with the number of its last line; blank ones are left out.

    Args:
        text: of the table.
        origin: its file, for messages.
        delimiter: between cells.
        strict: a quotation mark inside a cell is an error, as in tables of one's own; published tables hold some.

    Raises:
        InputError: a quotation mark has no partner, or a cell is too long.
    """
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=strict)
    try:
        for row in rows:
            if any(cell.strip() for cell in row):
                yield rows.line_num, row
    except csv.Error as error:
        raise InputError(
            f"{origin}, line {rows.line_num}: the table cannot be read ({error}); look for a quotation mark without "
            "its partner before this line"
        ) from None


def read_records(
    path: Path,
    is_known: Callable[[str], bool],
    expected: str,
    *,
    needed: Sequence[str] = (),
    text: str | None = None,
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Line and cells by column, of a CSV table with a header or of JSON lines (`.jsonl`).

    Columns of a CSV table are found in any case, their cells are texts, the empty ones among them; values of JSON are
    as they are.

    Args:
        path: the file.
        is_known: whether there may be a column of that name.
        expected: the columns, for messages.
        needed: columns that a CSV table must have.
        text: what the file holds; None reads it as UTF-8.

    Raises:
        InputError: the file cannot be read; a column is unknown, missing or there twice; a row is of another length,
            or no JSON object.
    """
    text = read_utf8(path) if text is None else text
    is_json = path.suffix.lower() == ".jsonl"
    lines = _jsonl(path, text) if is_json else _csv(path, text, is_known, expected, needed)
    for number, row in lines:
        if unknown := [name for name in row if not is_known(name)]:
            raise InputError(f"{path}, line {number}: unknown key {unknown[0]!r}; expected {expected}")
        yield number, row


def _csv(
    path: Path, text: str, is_known: Callable[[str], bool], expected: str, needed: Sequence[str]
) -> Iterator[tuple[int, dict[str, Any]]]:
    rows = csv_rows(text, path, strict=True)
    names = (name.strip() for name in next(rows, (0, []))[1])
    header = [name if is_known(name) else name.lower() for name in names]
    unknown = sorted({name for name in header if not is_known(name)})
    missing = [name for name in needed if name not in header]
    if unknown or missing:
        what = f"unknown columns {', '.join(map(repr, unknown))}" if unknown else f"no column {missing[0]!r}"
        if len(header) == 1 and (mark := next((m for m in ";\t" if m in header[0]), "")):
            what = f"cells are divided by {'tabs' if mark.isspace() else 'semicolons'}; divide them by commas"
        raise InputError(f"{path}: {what}; expected {expected}")
    if twice := [name for name, count in Counter(header).items() if count > 1]:
        raise InputError(f"{path}: the column {twice[0]!r} is there twice")
    for number, cells in rows:
        if len(cells) != len(header):
            raise InputError(f"{path}, line {number}: {len(cells)} cells came, {len(header)} were expected")
        yield number, dict(zip(header, cells))


def _jsonl(path: Path, text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = parse_json(line, _once)
        except ValueError as error:
            raise InputError(f"{path}, line {number}: no JSON ({error})") from None
        if not isinstance(row, dict):
            raise InputError(f"{path}, line {number}: expected a JSON object, got {line[:40]!r}")
        yield number, row


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key stands twice")
    return found


def parse_json(text: str, pairs: Pairs | None = None) -> Any:  # whatever JSON holds
    """The value of a JSON text.

    Args:
        text: whole.
        pairs: makes an object of its keys and values, such as to find keys that stand twice.

    Raises:
        ValueError: it is no JSON; it holds NaN or an infinity, which JSON does not have, or half a character (a lone
            surrogate), which no file can; or it is nested without end.
    """
    try:
        found = json.loads(text, object_pairs_hook=pairs, parse_constant=_no_number)
    except RecursionError:
        raise ValueError("parts stand in parts without end") from None
    if "\\ud" in text or "\\uD" in text:  # only an escape can bring in half a character
        try:
            json.dumps(found, ensure_ascii=False).encode("utf-8")
        except UnicodeEncodeError:
            raise ValueError("a text holds half a character (\\ud800 to \\udfff without its other half)") from None
    return found


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is no JSON")
