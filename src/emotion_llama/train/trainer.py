"""transformers' Trainer with what this model's training needs: its schedule, small checkpoints, label metrics."""

# mypy: disable-error-code="misc, no-untyped-call, override"
# (transformers is only partly typed.)

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import Sampler, SequentialSampler
from transformers import Trainer

from emotion_llama.train.loss import answer_positions, mean_of_examples
from emotion_llama.train.schedule import Schedule
from emotion_llama.train.validation import Told, label_metrics
from emotion_llama.train.weights import load_trained, save_trained, trained_state

# From (share of the clips for this process: rank, processes) to what the model told of them.
Tell = Callable[[int, int], Sequence[Told]]


class EmotionLlamaTrainer(Trainer):
    """A Trainer whose positions are drawn beforehand and whose checkpoints hold only what learns.

    Args:
        schedule: learning rate by step.
        tell: gives label probabilities of the validation clips; None leaves label metrics out.
        length_power: how an example counts by its answer's length (`loss.mean_of_examples`); None: every token of
            the answers of a step alike, as the model computes it.
        **kwargs: as transformers'.
    """

    def __init__(
        self, *, schedule: Schedule, tell: Tell | None = None, length_power: float | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self._length_power = length_power
        if length_power is not None:  # a mean of each pass, which transformers divides by the passes of a step
            self.model_accepts_loss_kwargs = False
        self._schedule = schedule
        self._tell = tell
        model: Any = self.model
        self._trained_names = {name for name, p in model.named_parameters() if p.requires_grad}

    # --- the run ----------------------------------------------------------------------------------------------------

    def _get_train_sampler(self, train_dataset: Any = None) -> Sampler[int]:
        """Positions in their order: `draws.plan_draws` has shuffled them, for any number of processes alike."""
        lessons: Any = train_dataset if train_dataset is not None else self.train_dataset
        return SequentialSampler(lessons)

    def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
        """The schedule as a factor on the peak rate, which the optimizer's rate is."""
        if self.lr_scheduler is None:
            schedule = self._schedule
            chosen: Any = optimizer or self.optimizer
            self.lr_scheduler = torch.optim.lr_scheduler.LambdaLR(
                chosen,
                lambda step: schedule.rate(step) / schedule.peak_rate if schedule.peak_rate else 0.0,
            )
            self._created_lr_scheduler = True
        return self.lr_scheduler

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """The loss of one pass."""
        if self._length_power is None:
            return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        labels = inputs["labels"]
        outputs = model(**{name: value for name, value in inputs.items() if name != "labels"})
        loss = mean_of_examples(outputs.logits[answer_positions(labels)], labels, self._length_power)
        return (loss, {"loss": loss, "logits": outputs.logits}) if return_outputs else loss

    # --- validation -------------------------------------------------------------------------------------------------

    def evaluate(self, *args: Any, metric_key_prefix: str = "eval", **kwargs: Any) -> dict[str, float]:
        """The loss, and how well labels are told; every process asks about its share of the clips."""
        metrics: dict[str, float] = super().evaluate(*args, metric_key_prefix=metric_key_prefix, **kwargs)
        if self._tell is None:
            return metrics
        own = list(self._tell(self.args.process_index, self.args.world_size))
        told = _gathered(own, self.args.world_size)
        labels = {f"{metric_key_prefix}_{name}": value for name, value in label_metrics(told).items()}
        self.log(dict(labels))
        return metrics | labels

    # --- checkpoints ------------------------------------------------------------------------------------------------

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        """Write what learns; encoders and language model stay where they came from."""
        if not self.args.should_save:
            return
        folder = Path(output_dir or str(self.args.output_dir))
        folder.mkdir(parents=True, exist_ok=True)
        if state_dict is None:
            own = trained_state(self.accelerator.unwrap_model(self.model, keep_torch_compile=False))
        else:
            plain = {name.replace("_orig_mod.", ""): value for name, value in state_dict.items()}
            own = {name: plain[name].detach().cpu().contiguous() for name in self._trained_names if name in plain}
        save_trained(own, folder)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        """Put back what `_save` wrote; sharded models are put back by their own files."""
        if self.is_fsdp_enabled:
            super()._load_from_checkpoint(resume_from_checkpoint, model)
            return
        load_trained(model if model is not None else self.model, Path(resume_from_checkpoint))

    def _load_best_model(self) -> None:
        """The best checkpoint's weights; sharded models by their own files."""
        if self.is_fsdp_enabled:
            super()._load_best_model()
            return
        if self.state.best_model_checkpoint is not None:
            load_trained(self.model, Path(self.state.best_model_checkpoint))


def _gathered(own: list[Told], num_processes: int) -> list[Told]:
    """All processes' answers, in the order of the clips, each clip once."""
    if num_processes == 1:
        return own
    import torch.distributed as dist

    parts: list[list[Told] | None] = [None] * num_processes
    dist.all_gather_object(parts, own)
    shares = [part or [] for part in parts]
    # Process r asked about clips r, r + n, r + 2n, ...
    return [shares[i % num_processes][i // num_processes] for i in range(sum(map(len, shares)))]
