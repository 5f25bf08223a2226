"""Hands in a picture, by the two networks that MediaPipe's package carries."""

from __future__ import annotations

from typing import Protocol

from emotion_llama.records import Float, UInt8


class HandFinder(Protocol):
    """Finds hands in one picture. One object belongs to one thread."""

    def find(self, image: UInt8) -> tuple[Float, ...]:
        """[21, 2] pixels of each hand found in `image` [H, W, 3] RGB."""
        ...
