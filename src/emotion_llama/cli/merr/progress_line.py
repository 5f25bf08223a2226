"""How far a build is, on one line of stderr; where stderr is no terminal, one line a phase."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from types import TracebackType

from emotion_llama.cli.common import shown
from emotion_llama.report.console import Printout

WIDTH = 79
REDRAW_SECONDS = 0.1
SHOWN_AFTER = 3  # clips; a rate over fewer says nothing


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
    return Printout(WIDTH, colour=False, encoding=sys.stderr.encoding).crop(text, WIDTH)


class PhaseClock:
    """One phase's rate and time left.

    The rate is of the whole phase so far: clips differ too much for the last few to foretell anything.
    """

    def __init__(self, phase: str, total: int, already: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._phase = phase
        self._total = total
        self._already = already
        self._clock = clock
        self._begun = clock()

    def line(self, done: int, failed: int) -> str:
        """`evidence 12/60 · 1.9 clips/s · 0:25 left · 1 failed`."""
        parts = [f"{self._phase} {done}/{self._total}"]
        fresh, seconds = done - self._already, self._clock() - self._begun
        if fresh >= SHOWN_AFTER and seconds > 0:
            rate = fresh / seconds
            parts.append(f"{rate:.1f} clips/s" if rate >= 1 else f"{60 * rate:.1f} clips/min")
            left = self._total - done
            parts.append(f"{clock_time(left / rate)} left" if left else f"in {clock_time(seconds)}")
        if failed:
            parts.append(f"{failed} failed")
        return " · ".join(parts)


def clock_time(seconds: float) -> str:
    """`0:25`, `1:02:03`."""
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"
