"""Read a side file's text, whose encoding nobody states, or refuse it: wrong letters must not pass for words."""

from __future__ import annotations

import codecs
import re
from pathlib import Path

from emotion_llama.errors import InputError

_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# How another encoding's letters look in Windows-1252. Runs without ASCII, quotes, dashes and dots: a language that is
# written in Windows-1252 has four in a row only when one letter is drawn out ("Nééééé!").
_RUN = re.compile(r"[^\x00-\x7f\xa0‘’“”–—…]{4,}")
_RUN_LETTERS = 2
# Big5, Shift-JIS: a control character or a rare sign, and a letter right behind it.
_PAIR = re.compile(r"[\x80-\x9f¤¥¦§¨¬¯±²³´µ¸¹×÷†‡ˆ‰‹›˜][@-~¡-ÿ]")
_CHINESE = re.compile(r"[\u3000-\u303f\u4e00-\u9fff\uff01-\uff5e]+")
_SAMPLE = 12


def read_text(path: Path, encoding: str | None) -> str:
    """The text of a file, without its byte order mark.

    Args:
        path: the file.
        encoding: of the file; by default its byte order mark decides, then UTF-8, then Windows-1252.

    Raises:
        InputError: the file cannot be read, is not text in this encoding, or, where none is given, is no UTF-8 and
            makes no words in Windows-1252. It is not decoded as what it may be instead: GB18030, Big5 and EUC-KR
            accept each other's text and make other words of it.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise unreadable(path, error) from None
    named = encoding or _stated_encoding(data)
    try:
        return data.decode(named or "utf-8").removeprefix("\ufeff")
    except (UnicodeDecodeError, LookupError) as error:
        if named is not None:
            raise InputError(f"{path}: the transcript is not {named} text ({error}); name its encoding") from None
    return _western(path, data)


def unreadable(path: Path, error: OSError) -> InputError:
    """What to raise for a transcript that the system does not give."""
    return InputError(f"{path}: the transcript cannot be read ({error.strerror}); check the path")


def _stated_encoding(data: bytes) -> str | None:
    for mark, encoding in _BYTE_ORDER_MARKS:
        if data.startswith(mark):
            return encoding
    if data[1:2] == b"\0":
        return "utf-16-le"
    return "utf-16-be" if data[:1] == b"\0" else None


def _western(path: Path, data: bytes) -> str:
    """The text as Windows-1252, or as Latin-1, which gives every byte a character."""
    try:
        text = data.decode("cp1252")
    except UnicodeDecodeError:
        text = data.decode("latin-1")
    foreign = [run for run in _RUN.findall(text) if _is_foreign(run)]
    foreign += _PAIR.findall(_RUN.sub(lambda run: " " if _is_foreign(run[0]) else run[0], text))
    if 2 * _beyond_ascii("".join(foreign)) <= _beyond_ascii(text):
        return text
    hint = ""
    try:
        chinese = _CHINESE.search(data.decode("gb18030"))
        hint = f" (as GB18030: {chinese[0][:_SAMPLE]!r})" if chinese else ""
    except UnicodeDecodeError:
        pass
    raise InputError(
        f"{path}: the transcript is not UTF-8, and as Windows-1252 it reads {foreign[0][:_SAMPLE]!r}{hint}; save it as "
        "UTF-8, or name its encoding"
    )


def _is_foreign(run: str) -> bool:
    return len({character.casefold() for character in run if character.isalpha()}) >= _RUN_LETTERS


def _beyond_ascii(text: str) -> int:
    return len(text) - len(text.encode("ascii", "ignore"))
