"""How far a build is, reported while it runs; and Ctrl-C or SIGTERM, asked for between two results."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any, Protocol


class Progress(Protocol):
    """What a build reports while it runs."""

    def begin(self, phase: str, total: int, already: int) -> None:
        """A phase begins: `already` of its `total` clips are done since earlier."""

    def advance(self, done: int, failed: int) -> None:
        """Clips of the phase that are through by now, those done earlier included; `failed` of them failed."""

    def end(self) -> None:
        """The phase is through, or was interrupted."""

    def say(self, text: str) -> None:
        """One line that a person should read."""


class Silent:
    """Reports nothing."""

    def begin(self, phase: str, total: int, already: int) -> None:
        """See `Progress`."""

    def advance(self, done: int, failed: int) -> None:
        """See `Progress`."""

    def end(self) -> None:
        """See `Progress`."""

    def say(self, text: str) -> None:
        """See `Progress`."""


class Interrupt:
    """A context manager in which the first SIGINT or SIGTERM sets `asked`; a second one ends the program as usual.

    Outside the main thread, where Python hands out no signals, it is never asked.
    """

    def __init__(self) -> None:
        self._asked = False
        self._before: dict[signal.Signals, Any] = {}  # handlers, as signal.signal has them

    def asked(self) -> bool:
        """Whether the build is to stop."""
        return self._asked

    def __enter__(self) -> Interrupt:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._ask)
        return self

    def __exit__(self, *exc: object) -> None:
        self._restore()

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self._asked = True
        self._restore()

    def _restore(self) -> None:
        while self._before:
            number, handler = self._before.popitem()
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)
