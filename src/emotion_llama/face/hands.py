"""Hands in a picture: the protocol, and who implements it."""

from __future__ import annotations

from typing import Protocol

from emotion_llama.records import Float, UInt8


class HandFinder(Protocol):
    """Finds hands in single pictures. One object belongs to one thread."""

    def find(self, image: UInt8) -> tuple[Float, ...]:
        """[21, 2] pixels of each hand in `image` [H, W, 3] RGB, in MediaPipe's order, from the left of the picture."""
        ...

    def close(self) -> None:
        """Releases the models; the object is not usable afterwards."""
        ...


def load_hand_finder(max_hands: int = 4) -> HandFinder:
    """MediaPipe's palm and hand networks, which its package carries (about 50 ms a picture on one core).

    Raises:
        MissingDependency: MediaPipe 0.10.21 is not installed.
    """
    from emotion_llama.face.backends.mediapipe_hands import MediapipeHands

    return MediapipeHands(max_hands)
