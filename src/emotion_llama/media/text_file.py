"""Read a side file's text, whose encoding nobody states, or refuse it: wrong letters must not pass for words."""

from __future__ import annotations

import codecs
import re
from pathlib import Path

from emotion_llama.errors import InputError
from emotion_llama.media.container import Warn, log_warning
from emotion_llama.media.language import NAMES, language_of

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
# Polish and other languages of Windows-1250: a sign between letters ("z³y").
_SIGN_IN_WORD = re.compile(r"[^\W\d_]+[¡¢£¤¥¦§©®¯±²³¹¿¼½¾][^\W\d_]+")
_WESTERN = frozenset({"en", "de", "nl", "da", "no", "sv", "fr", "es", "it", "pt", "fi"})
_CHINESE = re.compile(r"[\u3000-\u303f\u4e00-\u9fff\uff01-\uff5e]+")
_SAMPLE = 12
_HEAD, _HEAD_NULS = 1024, 0.2  # bytes that are looked at, and the share of NUL that means UTF-16


def read_text(path: Path, encoding: str | None, warn: Warn = log_warning) -> str:
    """The text of a file, without its byte order mark; NUL and what cannot be decoded are U+FFFD.

    Args:
        path: the file.
        encoding: of the file; by default its byte order mark decides, then UTF-8, then Windows-1252 for a language of
            western Europe.
        warn: is given a line where letters could not be decoded, or Windows-1252 was assumed.

    Raises:
        InputError: the file cannot be read, most of it is not text in this encoding, or, where none is given, is no
            UTF-8 and makes no words in Windows-1252. It is not decoded as what it may be instead: GB18030, Big5 and
            EUC-KR accept each other's text and make other words of it.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise unreadable(path, error) from None
    named = encoding or _stated_encoding(data)
    try:
        text = data.decode(named or "utf-8", "replace").removeprefix("\ufeff").replace("\0", "\ufffd")
    except LookupError as error:
        raise InputError(f"{path}: the transcript is not {named} text ({error}); name its encoding") from None
    try:
        data.decode(named or "utf-8")
        return text
    except UnicodeDecodeError as error:
        bad = text.count("\ufffd")
        good = _beyond_ascii(text) - bad
        if bad <= max(good, 1 if named else 0):
            came = "1 character is" if bad == 1 else f"{bad} characters are"
            warn(f"{path.name}: {came} not {named or 'UTF-8'}; U+FFFD stands there")
            return text
        if named is not None:
            raise InputError(f"{path}: the transcript is not {named} text ({error}); name its encoding") from None
    return _western(path, data, warn)


def unreadable(path: Path, error: OSError) -> InputError:
    """What to raise for a transcript that the system does not give."""
    return InputError(f"{path}: the transcript cannot be read ({error.strerror}); check the path")


def _stated_encoding(data: bytes) -> str | None:
    for mark, encoding in _BYTE_ORDER_MARKS:
        if data.startswith(mark):
            return encoding
    even, odd = data[:_HEAD:2].count(0), data[1:_HEAD:2].count(0)
    if max(even, odd) > _HEAD_NULS * len(data[:_HEAD]):
        return "utf-16-le" if odd > even else "utf-16-be"
    return None


def _western(path: Path, data: bytes, warn: Warn) -> str:
    """The text as Windows-1252, with a warning; refused where it is no language that is written so."""
    text = data.decode("cp1252", "replace").replace("\0", "\ufffd")
    foreign = [run for run in _RUN.findall(text) if _is_foreign(run)]
    foreign += _PAIR.findall(_RUN.sub(lambda run: " " if _is_foreign(run[0]) else run[0], text))
    signs = _SIGN_IN_WORD.findall(text)
    accented = [word for word in re.findall(r"[^\W\d_]+", text) if not word.isascii()]
    alien = [word for word in accented if _beyond_ascii(word) == len(word) and _is_foreign(word)]
    signs += alien if 2 * len(alien) > len(accented) else []
    language = language_of(text)
    is_western = language is None or language in _WESTERN
    if is_western and not signs and 2 * _beyond_ascii("".join(foreign)) <= _beyond_ascii(text):
        warn(f"{path.name}: the text is not UTF-8 and was taken for Windows-1252 (--encoding names another one)")
        return text
    hint = ""
    try:
        chinese = _CHINESE.search(data.decode("gb18030")) if foreign else None
        hint = f" (as GB18030: {chinese[0][:_SAMPLE]!r})" if chinese else ""
    except UnicodeDecodeError:
        pass
    if not is_western:
        hint = f", and the words look {NAMES[language or '']}"
    shown = (foreign or signs or re.findall(r"\S*[^\x00-\x7f]\S*", text))[0][:_SAMPLE]
    raise InputError(
        f"{path}: the transcript is not UTF-8, and as Windows-1252 it reads {shown!r}{hint}; save it as UTF-8, or name "
        "its encoding (--encoding)"
    )


def _is_foreign(run: str) -> bool:
    return len({character.casefold() for character in run if character.isalpha()}) >= _RUN_LETTERS


def _beyond_ascii(text: str) -> int:
    return len(text) - len(text.encode("ascii", "ignore"))
