"""What several verbs share: the clips on the command line, and one line that says how far a run is."""

from __future__ import annotations

import sys
from collections.abc import Iterable


def input_paths(inputs: Iterable[str]) -> list[str]:
    """Inputs with - replaced by the lines of standard input."""
    paths: list[str] = []
    for item in inputs:
        paths += [line.strip() for line in sys.stdin if line.strip()] if item == "-" else [item]
    return paths


class ProgressLine:
    """One line on stderr that says how far the run is; a context manager, silent when stderr is no terminal."""

    def __init__(self, total: int, *, enabled: bool) -> None:
        self._total = total
        self._enabled = enabled
        self._shown = False

    def __enter__(self) -> ProgressLine:
        return self

    def __exit__(self, *exc: object) -> None:
        self.clear()

    def __call__(self, position: int, name: str, stage: str, share: float) -> None:
        """Show: clip `position` (from 0) is at `share` (0..1) of `stage`."""
        if not self._enabled:
            return
        count = f"[{position + 1}/{self._total}] " if self._total > 1 else ""
        line = f"{count}{name[:40]}  {stage} {100 * share:3.0f} %"
        sys.stderr.write(f"\r\x1b[K{line[:79]}")
        sys.stderr.flush()
        self._shown = True

    def clear(self) -> None:
        """Take the line away."""
        if self._shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
            self._shown = False
