"""How far a build is: what it tells while it runs, and the line that shows it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

SHOWN_AFTER = 3  # clips; a rate over fewer says nothing


class Progress(Protocol):
    """What a build tells while it runs."""

    def begin(self, phase: str, total: int, already: int) -> None:
        """A phase begins: `already` of its `total` clips are done since earlier."""

    def advance(self, done: int, failed: int) -> None:
        """So many clips of the phase are through by now, those done earlier included; so many of them failed."""

    def end(self) -> None:
        """The phase is through, or was interrupted."""

    def say(self, text: str) -> None:
        """Something that a person should know: one line."""


class Silent:
    """Tells nobody."""

    def begin(self, phase: str, total: int, already: int) -> None:
        """See `Progress`."""

    def advance(self, done: int, failed: int) -> None:
        """See `Progress`."""

    def end(self) -> None:
        """See `Progress`."""

    def say(self, text: str) -> None:
        """See `Progress`."""


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
