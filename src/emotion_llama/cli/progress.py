"""How far a run is, on one line of stderr that is drawn over; and runs over clips with their outcomes."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from emotion_llama.cli.common import complain, shown

if TYPE_CHECKING:
    from typing_extensions import Self

    from emotion_llama.analysis.batch import Outcome

WIDTH = 79
REDRAW_SECONDS = 0.1
SHOWN_AFTER = 3  # clips; a rate over fewer says nothing


class StatusLine:
    """One line on stderr; a context manager that takes it away at the end. Silent where stderr is no terminal."""

    def __init__(self, *, enabled: bool = True) -> None:
        self._live = enabled and sys.stderr.isatty()

    def draw(self, text: str) -> None:
        """Show `text` in place of what was there."""
        if self._live:
            sys.stderr.write(f"\r\x1b[K{text}")
            sys.stderr.flush()

    def clear(self) -> None:
        """Take the line away."""
        self.draw("")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.clear()


class ProgressLine(StatusLine):
    """The progress of a run over `total` clips."""

    def __init__(self, total: int, *, enabled: bool) -> None:
        super().__init__(enabled=enabled)
        self._total = total

    def __call__(self, position: int, name: str, stage: str, share: float) -> None:
        """Show: clip `position` (from 0) is at `share` (0..1) of `stage`."""
        count = f"[{position + 1}/{self._total}] " if self._total > 1 else ""
        self.draw(f"{count}{shown(name)[:40]}  {stage} {100 * share:3.0f} %"[:WIDTH])


def run_clips(
    total: int,
    outcomes: Callable[[ProgressLine], Iterable[Outcome]],
    report: Callable[[Outcome], None],
    *,
    quiet: bool,
) -> int:
    """Take the outcomes of a run as they come: complain of errors, `report` each one, count all of several.

    Returns:
        The exit code: 1 when a clip failed, else 0.
    """
    from emotion_llama.analysis.batch import Tally

    tally = Tally()
    try:
        with ProgressLine(total, enabled=not quiet) as progress:
            for outcome in outcomes(progress):
                tally.add(outcome)
                progress.clear()
                if outcome.error is not None:
                    complain(outcome.error)
                report(outcome)
    finally:
        if total > 1 and not quiet:
            left = total - tally.total
            sys.stderr.write(tally.text() + (f", {left} left" if left else "") + "\n")
    return 1 if tally.failed else 0


class BuildLine(StatusLine):
    """A `merr.status.Progress` for people; where stderr is no terminal, one line a phase."""

    def __init__(self, *, enabled: bool) -> None:
        super().__init__(enabled=enabled)
        self._enabled = enabled
        self._clock: PhaseClock | None = None
        self._last = ""
        self._next_draw = 0.0

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
            self.draw(_fit(self._last))

    def end(self) -> None:
        """See `Progress`."""
        if self._enabled and not self._live and self._clock is not None:
            sys.stderr.write(_fit(self._last) + "\n")
        self._clock = None

    def say(self, text: str) -> None:
        """See `Progress`."""
        if self._enabled:
            self.clear()
            sys.stderr.write(f"{shown(text)}\n")


def _fit(text: str) -> str:
    from emotion_llama.report.console import Printout

    return Printout(WIDTH, colour=False, encoding=sys.stderr.encoding).crop(text, WIDTH)


class PhaseClock:
    """One phase's rate and time left.

    The rate is of the whole phase so far: clips differ too much for the last few to foretell anything.
    """

    def __init__(self, phase: str, total: int, already: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._phase, self._total, self._already = phase, total, already
        self._clock, self._begun = clock, clock()

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
