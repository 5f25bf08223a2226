"""Texts that end an answer, found however they are spread over its pieces."""

from __future__ import annotations

from collections.abc import Sequence


class StopAt:
    """Cuts a text that comes in pieces before the first of some texts, however these are spread over pieces."""

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = tuple(stops)
        self._held = ""
        self.has_stopped = False

    def take(self, piece: str) -> str:
        """What may be sent now; `has_stopped` afterwards where the end was found."""
        if not self._stops or self.has_stopped:
            return "" if self.has_stopped else piece
        text = self._held + piece
        found = [at for stop in self._stops if (at := text.find(stop)) >= 0]
        if found:
            self.has_stopped, self._held = True, ""
            return text[: min(found)]
        # An end that may be the beginning of a stop is held back until it is known.
        keep = max(
            (n for stop in self._stops for n in range(1, min(len(stop), len(text) + 1)) if text.endswith(stop[:n])),
            default=0,
        )
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep]

    def rest(self) -> str:
        """What was held back, when nothing more comes."""
        rest, self._held = self._held, ""
        return rest
