"""What a run says while it goes: a line at the end of each round, at most 80 columns."""

# mypy: disable-error-code="misc"
# (transformers is only partly typed.)

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from transformers import TrainerCallback


class RoundLines(TrainerCallback):
    """Says loss, metrics and time left at the end of each round, from the first process alone."""

    def __init__(self, say: Callable[[str], None], steps_per_round: int, best_by: str) -> None:
        self._say = say
        self._steps_per_round = steps_per_round
        self._best_by = best_by
        self._losses: list[float] = []
        self._began = 0.0
        self._first_step = 0

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Start the clock."""
        self._began, self._first_step = time.perf_counter(), state.global_step
        if state.is_world_process_zero and state.global_step:
            self._say(f"going on from step {state.global_step} of {state.max_steps}")

    def on_log(
        self, args: Any, state: Any, control: Any, logs: Mapping[str, float] | None = None, **kwargs: Any
    ) -> None:
        """Keep the losses of the round; say how labels are told, which is logged last."""
        values = logs or {}
        if "loss" in values:
            self._losses.append(values["loss"])
        if not state.is_world_process_zero or state.global_step % self._steps_per_round:
            return
        # Validation logs its loss first and label metrics in a line of their own.
        if "eval_loss" in values:
            self._say(f"{self._head(state)}, validation {values['eval_loss']:.4f}{self._left(state)}")
        elif f"eval_{self._best_by}" in values:
            self._say(f"  {self._best_by.replace('_', ' ')} {values[f'eval_{self._best_by}']:.3f}")

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """A run without validation says its line when it saves."""
        if state.is_world_process_zero and args.eval_strategy == "no":
            self._say(f"{self._head(state)}{self._left(state)}")

    def _head(self, state: Any) -> str:
        number, rounds = state.global_step // self._steps_per_round, state.max_steps // self._steps_per_round
        mean = sum(self._losses) / len(self._losses) if self._losses else float("nan")
        self._losses = []
        return f"round {number}/{rounds}: loss {mean:.4f}"

    def _left(self, state: Any) -> str:
        done = state.global_step - self._first_step
        left = (time.perf_counter() - self._began) / max(done, 1) * (state.max_steps - state.global_step)
        return f", {left / 60:.0f} min left" if left >= 60 else f", {left:.0f} s left"
