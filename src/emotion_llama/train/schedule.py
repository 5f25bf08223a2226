"""The learning rate of a step: linear warm-up from a small rate, then cosine, as the published code has it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from emotion_llama.errors import InputError


@dataclass(frozen=True)
class Schedule:
    """Linear warm-up and cosine.

    Source: `LinearWarmupCosineLRScheduler` of MiniGPT-4, which Emotion-LLaMA trains with: the cosine runs over all
    steps from the first, so that it is already a little below `peak_rate` when the warm-up ends.

    Attributes:
        peak_rate: reached at the end of the warm-up.
        least_rate: where the cosine ends.
        first_rate: where the warm-up starts.
        warmup_steps: 0 leaves the warm-up out.
        num_steps: of the whole training.
    """

    peak_rate: float
    least_rate: float
    first_rate: float
    warmup_steps: int
    num_steps: int

    def __post_init__(self) -> None:
        if not 0 <= self.least_rate <= self.peak_rate or not 0 <= self.first_rate <= self.peak_rate:
            raise InputError(
                f"learning rates must be 0 and more, none above the peak: peak {self.peak_rate:g}, "
                f"least {self.least_rate:g}, first {self.first_rate:g}"
            )
        if self.num_steps < 1 or not 0 <= self.warmup_steps <= self.num_steps:
            raise InputError(
                f"the warm-up is 0 to all of the steps, got {self.warmup_steps} of {self.num_steps}; shorten it"
            )

    def rate(self, step: int) -> float:
        """The learning rate of a step, counted from 0."""
        if step < self.warmup_steps:
            return self.first_rate + (self.peak_rate - self.first_rate) * step / self.warmup_steps
        share = min(step / self.num_steps, 1.0)
        return self.least_rate + (self.peak_rate - self.least_rate) * 0.5 * (1.0 + math.cos(math.pi * share))
