"""transformers' Trainer with what this model's training needs: its schedule and loss, small checkpoints, label metrics.

Legend: B examples, L positions, T answer tokens of a batch, V tokens of the vocabulary.
"""

# mypy: disable-error-code="misc, no-untyped-call, override"
# (transformers is only partly typed.)

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from torch.nn.functional import cross_entropy, pad
from torch.utils.data import Sampler, SequentialSampler
from transformers import Trainer, TrainerCallback

from emotion_llama.evaluation.metrics.classification import LABEL_METRICS, calibration, score_labels
from emotion_llama.labels import LabelSpace
from emotion_llama.models.clips import ClipFeatures
from emotion_llama.predictors import Sample, Task
from emotion_llama.predictors.emotion_llama import EmotionLlamaPredictor
from emotion_llama.prompts.tokenise import IGNORED
from emotion_llama.train.dataset import NO_CUES, MediaSource
from emotion_llama.train.examples import Example
from emotion_llama.train.weights import load_trained, save_trained, trained_state

# The true label of an example, and the model's probabilities over the label space. Plain types: processes exchange
# them, and a read-only view cannot be pickled.
LabelPrediction = tuple[str, dict[str, float]]


def predict_labels(
    model: Any,
    processor: Any,
    examples: Sequence[Example],
    media: MediaSource,
    *,
    instruction: str,
    space: LabelSpace,
    layout: str,
    batch_size: int = 8,
) -> Iterator[LabelPrediction]:
    """A prediction for each example that has a true label, in order; the model's mode is put back afterwards."""
    labelled = [example for example in examples if "label" in example.truths]
    predictor = EmotionLlamaPredictor(model, processor, label_space=space, layout=layout)
    task = Task("emotion", space.labels, instruction, 0)
    was_training = model.training
    model.eval()
    try:
        for begin in range(0, len(labelled), batch_size):
            batch = labelled[begin : begin + batch_size]
            samples = [
                Sample(None, None, media(one) or ClipFeatures(), one.words, one.cues or NO_CUES, one.name)
                for one in batch
            ]
            for example, made in zip(batch, predictor.answer(samples, task), strict=True):
                assert made.probabilities is not None
                yield example.truths["label"], dict(made.probabilities)
    finally:
        model.train(was_training)


def label_metrics(predicted: Sequence[tuple[str, Mapping[str, float]]]) -> dict[str, float]:
    """`uar`, `accuracy`, `weighted_f1`, `macro_f1` and `ece` of `predict_labels`' predictions."""
    truth, probabilities = [label for label, _ in predicted], [shares for _, shares in predicted]
    scores = score_labels(truth, [max(shares, key=lambda name: shares[name]) for shares in probabilities])
    fit = calibration(truth, probabilities)
    return {name: float(scores[name]) for name in LABEL_METRICS} | ({} if fit is None else {"ece": fit["ece"]})


# (rank, processes) -> the model's predictions for this process's share of the validation clips.
PredictLabels = Callable[[int, int], Sequence[LabelPrediction]]
# Of the recipe's `run.loss`; None leaves the loss to the model: a mean over all answer tokens of a step.
LENGTH_POWERS: Mapping[str, float | None] = MappingProxyType({"tokens": None, "roots": 0.5, "examples": 0.0})


def warmup_cosine(
    step: int, *, learning_rate: float, min_lr: float, warmup_start_lr: float, warmup_steps: int, num_steps: int
) -> float:
    """The learning rate of a step, counted from 0: linear warm-up (none with `warmup_steps` 0), then cosine.

    Source: `LinearWarmupCosineLRScheduler` of MiniGPT-4, which Emotion-LLaMA trains with: the cosine runs over all
    steps from the first, so that it is already a little below `learning_rate` when the warm-up ends.
    """
    if step < warmup_steps:
        return warmup_start_lr + (learning_rate - warmup_start_lr) * step / warmup_steps
    share = min(step / num_steps, 1.0)
    return min_lr + (learning_rate - min_lr) * 0.5 * (1.0 + math.cos(math.pi * share))


def mean_of_examples(logits: torch.Tensor, labels: torch.Tensor, length_power: float = 0.0) -> torch.Tensor:
    """The mean over examples of the mean over answer tokens of the cross entropy, weighted by length ** `length_power`.

    Power 0 is the published weighting: its code takes the mean over the answer tokens of a pass, sees one example a
    pass, and averages passes over the GPUs, so that every example counts alike. In a mean over all tokens of a step
    (power 1), reasons of a hundred tokens leave nothing for labels of one or two. A power of 0.5, between the two, is
    our own; its weights sum to 1 within a pass.

    Args:
        logits: [T, V] of the positions whose next token is an answer's, example by example.
        labels: [B, L], -100 outside the answers; T of them, the first column left out, are no -100.
        length_power: how an example counts by the length of its answer.
    """
    following = labels[:, 1:]
    is_answer = following != IGNORED
    losses = cross_entropy(logits.float(), following[is_answer], reduction="none")
    counts = is_answer.sum(dim=1)
    rows = torch.repeat_interleave(torch.arange(len(labels), device=labels.device), counts)
    sums = torch.zeros(len(labels), device=losses.device).index_add(0, rows, losses)
    has_answer = counts > 0
    weights = counts[has_answer].float() ** length_power
    return (weights * sums[has_answer] / counts[has_answer]).sum() / weights.sum()


def answer_positions(labels: torch.Tensor) -> torch.Tensor:
    """[B, L] where the next token is an answer's: the positions of `mean_of_examples`' logits."""
    return pad(labels[:, 1:] != IGNORED, (0, 1))


class EmotionLlamaTrainer(Trainer):
    """A Trainer whose positions are drawn beforehand and whose checkpoints hold only what learns.

    Args:
        schedule: step -> learning rate; `args.learning_rate` is the highest of it.
        predict_labels: label probabilities of the validation clips; None leaves label metrics out.
        length_power: how an example counts by its answer's length (`mean_of_examples`); None: every token of
            the answers of a step alike, as the model computes it.
        **kwargs: as transformers'.
    """

    def __init__(
        self,
        *,
        schedule: Callable[[int], float],
        predict_labels: PredictLabels | None = None,
        length_power: float | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._length_power = length_power
        if length_power is not None:  # a mean of each pass, which transformers divides by the passes of a step
            self.model_accepts_loss_kwargs = False
        self._schedule = schedule
        self._predict_labels = predict_labels
        model: Any = self.model
        self._trained_names = {name for name, p in model.named_parameters() if p.requires_grad}

    # --- the run ----------------------------------------------------------------------------------------------------

    def _get_train_sampler(self, train_dataset: Any = None) -> Sampler[int]:
        """Positions in their order: `dataset.sample_draws` has shuffled them, for any number of processes alike."""
        positions: Any = train_dataset if train_dataset is not None else self.train_dataset
        return SequentialSampler(positions)

    def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
        """The schedule as a factor on the optimizer's learning rate."""
        if self.lr_scheduler is None:
            schedule, highest = self._schedule, self.args.learning_rate
            chosen: Any = optimizer or self.optimizer
            self.lr_scheduler = torch.optim.lr_scheduler.LambdaLR(
                chosen, lambda step: schedule(step) / highest if highest else 0.0
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
        """The loss and the label metrics; every process predicts its share of the clips."""
        metrics: dict[str, float] = super().evaluate(*args, metric_key_prefix=metric_key_prefix, **kwargs)
        if self._predict_labels is None:
            return metrics
        own = list(self._predict_labels(self.args.process_index, self.args.world_size))
        predicted = _gathered(own, self.args.world_size)
        labels = {f"{metric_key_prefix}_{name}": value for name, value in label_metrics(predicted).items()}
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


def _gathered(own: list[LabelPrediction], num_processes: int) -> list[LabelPrediction]:
    """All processes' predictions, in the order of the clips, each clip once."""
    if num_processes == 1:
        return own
    import torch.distributed as dist

    parts: list[list[LabelPrediction] | None] = [None] * num_processes
    dist.all_gather_object(parts, own)
    shares = [part or [] for part in parts]
    # Process r predicted clips r, r + n, r + 2n, ...
    return [shares[i % num_processes][i // num_processes] for i in range(sum(map(len, shares)))]


class EpochLines(TrainerCallback):
    """A line with loss, metrics and time left at the end of each epoch, from the first process alone."""

    def __init__(self, say: Callable[[str], None], steps_per_epoch: int, best_by: str) -> None:
        self._say = say
        self._steps_per_epoch = steps_per_epoch
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
        """Keep the losses of the epoch; say the label metrics, which are logged last."""
        values = logs or {}
        if "loss" in values:
            self._losses.append(values["loss"])
        if not state.is_world_process_zero or state.global_step % self._steps_per_epoch:
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
        number, epochs = state.global_step // self._steps_per_epoch, state.max_steps // self._steps_per_epoch
        # Where the log has fewer lines than there are epochs, some epochs have no loss to print.
        loss = f"loss {sum(self._losses) / len(self._losses):.4f}" if self._losses else "no loss logged"
        self._losses = []
        return f"epoch {number}/{epochs}: {loss}"

    def _left(self, state: Any) -> str:
        done = state.global_step - self._first_step
        left = (time.perf_counter() - self._began) / max(done, 1) * (state.max_steps - state.global_step)
        return f", {left / 60:.0f} min left" if left >= 60 else f", {left:.0f} s left"
