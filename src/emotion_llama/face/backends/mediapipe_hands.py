"""Hands by MediaPipe 0.10.21's palm detector and hand network; its package carries both models.

Every picture is searched by itself, so that the answer does not depend on what was asked before. The palm detector sees
the whole picture at 192 x 192: hands narrower than about a twentieth of the picture are missed.
"""

from __future__ import annotations

import numpy as np

from emotion_llama.errors import InputError, MissingDependency
from emotion_llama.face.backends.mediapipe_mesh import INSTALL, silent_stderr
from emotion_llama.records import Float, UInt8

# Palm detections and hands below these are refused; 0.5 each is MediaPipe's own value. The hand network has its say on
# every palm, so that a raised bound for palms alone would lose hands and gain nothing.
MIN_PALM, MIN_HAND = 0.5, 0.5


class MediapipeHands:
    """Finds hands (see the module).

    Args:
        max_hands: at most so many a picture.

    Raises:
        InputError: `max_hands` below 1.
        MissingDependency: MediaPipe 0.10.21 is not installed, or the version installed has no `solutions`.
    """

    def __init__(self, max_hands: int = 4) -> None:
        if max_hands < 1:
            raise InputError(f"max_hands must be at least 1, got {max_hands}")
        with silent_stderr():
            try:
                from mediapipe.python.solutions.hands import Hands
            except ImportError as error:
                raise MissingDependency("mediapipe 0.10.21", "finding hands", INSTALL) from error
            self._hands = Hands(
                static_image_mode=True,
                max_num_hands=max_hands,
                model_complexity=1,
                min_detection_confidence=MIN_PALM,
                min_tracking_confidence=MIN_HAND,
            )
            # The first run prints as well: let it happen while the terminal is shielded.
            self._hands.process(np.zeros((64, 64, 3), np.uint8))

    def find(self, image: UInt8) -> tuple[Float, ...]:
        """See `face.hands.HandFinder`."""
        height, width = image.shape[:2]
        found = self._hands.process(np.ascontiguousarray(image)).multi_hand_landmarks or []
        hands = [np.array([(p.x * width, p.y * height) for p in hand.landmark], np.float32) for hand in found]
        return tuple(sorted(hands, key=lambda hand: float(hand[:, 0].mean())))

    def close(self) -> None:
        """Releases the models."""
        self._hands.close()
