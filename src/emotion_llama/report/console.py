"""Text for a terminal, laid out by rich: at most a given width, with or without colour, in UTF-8 or plain ASCII."""

from __future__ import annotations

import codecs
import unicodedata
from collections.abc import Iterable, Sequence
from io import StringIO

from rich.cells import cell_len, set_cell_size
from rich.console import Console, OverflowMethod
from rich.table import Table
from rich.text import Text

from emotion_llama.errors import InputError
from emotion_llama.report.wording import NBSP, printable

MIN_WIDTH = 40
EIGHTHS = " ▏▎▍▌▋▊▉█"
ASCII = str.maketrans(
    {
        "·": "-", "–": "-", "—": "-", "−": "-", "‐": "-", "“": '"', "”": '"', "„": '"', "‘": "'", "’": "'",
        "…": "...", "×": "x", "≥": ">=", "≤": "<=", "°": " deg", "█": "#", "─": "-", "→": "->", "ß": "ss", "✓": "y",
    }
)  # fmt: skip

Part = str | tuple[str, str]  # text, or text and its style


def is_unicode(encoding: str | None) -> bool:
    """Whether text of this encoding can hold every character; an unknown or missing name counts as not."""
    try:
        return codecs.lookup(encoding or "ascii").name.startswith("utf-")
    except LookupError:
        return False


class Printout:
    """Lines of at most `width` columns, collected.

    Args:
        width: columns of the terminal, at least 40.
        colour: whether ANSI codes for bold, dim and colour are written.
        encoding: of the stream that the text is written to; anything but UTF-8 and its like gets plain ASCII.

    Raises:
        InputError: fewer than 40 columns.
    """

    def __init__(self, width: int, *, colour: bool, encoding: str | None) -> None:
        if width < MIN_WIDTH:
            raise InputError(f"the table needs at least {MIN_WIDTH} columns, got {width}; widen the terminal")
        self.width = width
        self._unicode = is_unicode(encoding)
        self._file = StringIO()
        self._console = Console(
            file=self._file, width=width, height=25, force_terminal=colour, legacy_windows=False, highlight=False,
            markup=False, emoji=False, color_system="standard" if colour else None,
        )  # fmt: skip

    def clean(self, text: str) -> str:
        """`text` as this terminal can show it: one line, no control characters, ASCII where it must be."""
        text = printable(text).replace(NBSP, " ").replace("\u202f", " ")
        if self._unicode:
            return text
        plain = unicodedata.normalize("NFKD", text.translate(ASCII))
        kept = "".join(character for character in plain if not unicodedata.combining(character))
        return kept.encode("ascii", "replace").decode("ascii")

    def line(self, *parts: Part) -> None:
        """One line; what does not fit is cut off."""
        self._console.print(self._joined(parts, crop=True))

    def paragraph(self, text: str, label: Part = "", *, style: str = "", indent: int | None = None) -> None:
        """Wrapped text behind a label; the lines after the first are indented by as much as the label, or `indent`."""
        first = self._joined([label])
        following = first.cell_len if indent is None else indent
        wrapped = Text(self.clean(text), style).wrap(self._console, self.width - max(first.cell_len, following))
        for number, line in enumerate(wrapped or [Text()]):
            line.rstrip()
            self._console.print(Text.assemble(Text(" " * following) if number else first, line), crop=True)

    def numbers(
        self, title: str, header: Sequence[str], rows: Iterable[Sequence[Part]], *, name_width: int = 30
    ) -> None:
        """A table of numbers: rows of a name and its numbers, which are aligned to the right below `header`."""
        name_width = max(12, min(name_width, self.width - 10 * len(header)))
        made = self._table((title, "bold"), name_width)
        for name in header:
            made.add_column(self._joined([(name, "dim")]), justify="right", no_wrap=True, min_width=8, overflow="crop")
        for first, *others in rows:
            name, style = (first, "") if isinstance(first, str) else first
            shown = Text(f"  {self.crop(name, name_width - 2)}")
            made.add_row(shown, *(self._joined([cell]) for cell in others), style=style)
        self._console.print(made)

    def columns(self, title: str, header: Sequence[str], rows: Iterable[Sequence[Part]]) -> None:
        """A table of text: the last column takes the room that is left and is cut off where it is too long."""
        made = self._table((title, "dim"), None)
        for number, name in enumerate(header, 1):
            ratio = 1 if number == len(header) else None
            made.add_column(self._joined([(name, "dim")]), no_wrap=True, ratio=ratio, overflow=self._overflow)
        made.expand = True
        for first, *others in rows:
            made.add_row(self._joined(["  ", first]), *(self._joined([cell]) for cell in others))
        self._console.print(made)

    def details(self, rows: Iterable[tuple[str, Part, Part]], *, label_width: int) -> None:
        """Rows of a label, a text that is wrapped, and at their right end a value."""
        made = self._table("", label_width)
        made.show_header = False
        made.expand = True
        made.add_column(ratio=1)
        made.add_column(justify="right", no_wrap=True)
        for label, text, value in rows:
            made.add_row(self._joined(["    ", label]), self._joined([text]), self._joined([value]))
        self._console.print(made)

    def _table(self, title: Part, width: int | None) -> Table:
        made = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="", collapse_padding=True)
        made.add_column(self._joined([title]), no_wrap=True, width=width, overflow="crop")
        return made

    def bar(self, share: float, width: int) -> str:
        """A bar of `width` columns, filled up to `share` 0..1, by eighths of a column where Unicode has them."""
        if not self._unicode:
            return ("#" * round(share * width)).ljust(width)
        whole, eighth = divmod(round(share * width * 8), 8)
        return ("█" * whole + (EIGHTHS[eighth] if eighth else "")).ljust(width)

    def crop(self, text: str, width: int) -> str:
        """`text`, cut to `width` columns with an ellipsis at its end when it is longer."""
        text = self.clean(text)
        if cell_len(text) <= width:
            return text
        dots = self.clean("…")[: max(width, 0)]
        return set_cell_size(text, max(width - cell_len(dots), 0)).rstrip() + dots

    def crop_middle(self, text: str, width: int) -> str:
        """The same, cut in the middle: the start and the end of a file's name matter most."""
        text, dots = self.clean(text), self.clean("…")
        room = width - cell_len(dots)
        if cell_len(text) <= width or room < 2:
            return self.crop(text, width)
        tail = set_cell_size(text[::-1], room // 2).strip()[::-1]
        return set_cell_size(text, room - cell_len(tail)).rstrip() + dots + tail

    def text(self) -> str:
        """All lines, without spaces at their ends."""
        return "".join(f"{line.rstrip()}\n" for line in self._file.getvalue().splitlines())

    @property
    def _overflow(self) -> OverflowMethod:
        return "ellipsis" if self._unicode else "crop"

    def _joined(self, parts: Sequence[Part], *, crop: bool = False) -> Text:
        pairs = [(part, "") if isinstance(part, str) else part for part in parts]
        text = Text.assemble(*((self.clean(content), style) for content, style in pairs))
        if crop and text.cell_len > self.width:
            text.truncate(self.width, overflow=self._overflow)
        return text
