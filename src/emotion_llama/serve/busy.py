"""The one error that says "later": a bounded queue is full."""

from __future__ import annotations

from emotion_llama.errors import EmotionLlamaError


class Busy(EmotionLlamaError):
    """Too much is waiting already; an HTTP server answers 429 with Retry-After.

    Args:
        what: what is waiting, such as "clips to be measured".
        waiting: how many are.
        retry_after_seconds: when it is worth to ask again.
    """

    def __init__(self, what: str, waiting: int, retry_after_seconds: float) -> None:
        self.waiting = waiting
        self.retry_after_seconds = retry_after_seconds
        super().__init__(
            f"{waiting} {what} are waiting already, no more are taken; try again in {retry_after_seconds:.0f} s"
        )
