"""How far a build is, on one line of stderr; where stderr is no terminal, one line a phase."""

from __future__ import annotations

import sys
import time
from types import TracebackType

from emotion_llama.cli.common import shown
from emotion_llama.merr.progress import PhaseClock
from emotion_llama.report.sheet import Sheet

WIDTH = 79
REDRAW_SECONDS = 0.1


class BuildLine:
    """A `Progress` for people; a context manager that leaves a clean line behind."""

    def __init__(self, *, enabled: bool) -> None:
        self._enabled = enabled
        self._live = enabled and sys.stderr.isatty()
        self._clock: PhaseClock | None = None
        self._last = ""
        self._next_draw = 0.0

    def __enter__(self) -> BuildLine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._clear()

    def begin(self, phase: str, total: int, already: int) -> None:
        """See `Progress`."""
        self._clock = PhaseClock(phase, total, already)
        self._next_draw = 0.0
        self.advance(already, 0)

    def advance(self, done: int, failed: int) -> None:
        """See `Progress`."""
        if not self._enabled or self._clock is None:
            return
        self._last = self._clock.line(done, failed)
        if self._live and time.monotonic() >= self._next_draw:
            self._next_draw = time.monotonic() + REDRAW_SECONDS
            sys.stderr.write("\r\x1b[K" + _fit(self._last))
            sys.stderr.flush()

    def end(self) -> None:
        """See `Progress`."""
        if self._enabled and not self._live and self._clock is not None:
            sys.stderr.write(_fit(self._last) + "\n")
        self._clock = None

    def say(self, text: str) -> None:
        """See `Progress`."""
        if self._enabled:
            self._clear()
            sys.stderr.write(f"{shown(text)}\n")

    def _clear(self) -> None:
        if self._live:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()


def _fit(text: str) -> str:
    sheet = Sheet(WIDTH, colour=False, encoding=sys.stderr.encoding)
    sheet.line(text)
    return sheet.text().rstrip("\n")
