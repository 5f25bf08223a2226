"""Lines of text that never exceed a width in terminal cells, with or without colour, in UTF-8 or plain ASCII."""

from __future__ import annotations

import codecs
import unicodedata
from typing import Literal, NamedTuple

from emotion_llama.report.wording import NBSP, printable

Style = Literal["plain", "bold", "dim", "accent", "warning"]

# ANSI "select graphic rendition" codes (ECMA-48, 8.3.117).
CODES: dict[Style, str] = {"plain": "", "bold": "1", "dim": "2", "accent": "36", "warning": "33"}
EIGHTHS = " ▏▎▍▌▋▊▉█"
ASCII = str.maketrans(
    {
        "·": "-", "–": "-", "—": "-", "−": "-", "‐": "-", "“": '"', "”": '"', "„": '"', "‘": "'", "’": "'",
        "…": "...", "×": "x", "≥": ">=", "≤": "<=", "°": " deg", "█": "#", "─": "-", "→": "->", "ß": "ss",
    }
)  # fmt: skip


class Part(NamedTuple):
    """Text in one style."""

    text: str
    style: Style = "plain"


def is_unicode(encoding: str | None) -> bool:
    """Whether text of this encoding can hold every character; an unknown or missing name counts as not."""
    try:
        return codecs.lookup(encoding or "ascii").name.startswith("utf-")
    except LookupError:
        return False


def cells(text: str) -> int:
    """Columns that `text` takes in a terminal: two for a wide character."""
    from rich.cells import cell_len

    return cell_len(text)


def crop(text: str, width: int, ellipsis: str = "…") -> str:
    """`text`, cut to `width` columns with an ellipsis at its end when it is longer."""
    if cells(text) <= width:
        return text
    room = width - cells(ellipsis)
    if room <= 0:
        return ellipsis[:width]
    return _head(text, room) + ellipsis


def crop_middle(text: str, width: int, ellipsis: str = "…") -> str:
    """The same, cut in the middle: of a file's name, start and ending tell most."""
    if cells(text) <= width:
        return text
    room = width - cells(ellipsis)
    if room < 2:
        return crop(text, width, ellipsis)
    tail = _head(text[::-1], room // 2)[::-1]
    return _head(text, room - cells(tail)) + ellipsis + tail


def _head(text: str, width: int) -> str:
    """The longest beginning of at most `width` columns."""
    end = min(len(text), width)
    while end and cells(text[:end]) > width:
        end -= 1
    # Characters without a width (combining marks) belong to the one before them.
    while end < len(text) and cells(text[: end + 1]) <= width:
        end += 1
    return text[:end]


def wrap(text: str, width: int) -> list[str]:
    """Lines of at most `width` columns, broken at spaces; a longer word is broken where it must."""
    lines, line = [], ""
    for word in text.split(" "):
        joined = f"{line} {word}" if line else word
        if cells(joined) <= width:
            line = joined
            continue
        if line:
            lines.append(line)
        while cells(word) > width:
            head = _head(word, width) or word[:1]
            lines.append(head)
            word = word[len(head) :]
        line = word
    return [*lines, line] if line or not lines else lines


class Sheet:
    """Collects lines of at most `width` columns."""

    def __init__(self, width: int, *, colour: bool, encoding: str | None) -> None:
        self.width = width
        self._colour = colour
        self._unicode = is_unicode(encoding)
        self._lines: list[str] = []
        self.ellipsis = "…" if self._unicode else "..."

    def clean(self, text: str) -> str:
        """`text` as this sheet can show it: one line, no control characters, ASCII where it must be."""
        text = printable(text).replace(NBSP, " ").replace("\u202f", " ")
        if self._unicode:
            return text
        plain = unicodedata.normalize("NFKD", text.translate(ASCII))
        kept = "".join(character for character in plain if not unicodedata.combining(character))
        return kept.encode("ascii", "replace").decode("ascii")

    def line(self, *parts: Part | str) -> None:
        """One line; what does not fit is cut off."""
        left, drawn = self.width, []
        for part in parts:
            text, style = part if isinstance(part, Part) else Part(part)
            text = crop(self.clean(text), left, self.ellipsis)
            left -= cells(text)
            drawn.append(self._styled(text, style))
        self._lines.append("".join(drawn) if any(drawn) else "")

    def paragraph(self, text: str, *, first: str = "", indent: str | None = None, style: Style = "plain") -> None:
        """Wrapped text; `first` stands before the first line, `indent` (as wide) before the others."""
        first = self.clean(first)
        indent = " " * cells(first) if indent is None else indent
        for number, line in enumerate(wrap(self.clean(text), self.width - max(cells(first), cells(indent)))):
            before = indent if number else first
            self._lines.append(before + self._styled(line, style))

    def bar(self, share: float, width: int) -> str:
        """A bar of `width` columns, filled up to `share` 0..1, by eighths of a column where Unicode has them."""
        if not self._unicode:
            return ("#" * round(share * width)).ljust(width)
        whole, eighth = divmod(round(share * width * 8), 8)
        return ("█" * whole + (EIGHTHS[eighth] if eighth else "")).ljust(width)

    def pad(self, text: str, width: int) -> str:
        """`text` cut or filled to exactly `width` columns."""
        text = crop(self.clean(text), width, self.ellipsis)
        return text + " " * (width - cells(text))

    def text(self) -> str:
        """All lines, without spaces at their ends."""
        return "\n".join(line.rstrip() for line in self._lines) + "\n"

    def _styled(self, text: str, style: Style) -> str:
        return f"\x1b[{CODES[style]}m{text}\x1b[0m" if self._colour and CODES[style] and text else text
