"""One training run: recipe in, a model's folder out; killed at any point, it goes on from its last checkpoint."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emotion_llama.errors import BackendError, InputError
from emotion_llama.train.dataset import Asking, Collator, Lessons
from emotion_llama.train.draws import TaskShare, plan_draws
from emotion_llama.train.examples import Wanted, read_examples
from emotion_llama.train.loss import LENGTH_POWERS
from emotion_llama.train.media import MediaSource, StoredMedia, usable
from emotion_llama.train.recipe import LABEL_METRICS, TrainRecipe
from emotion_llama.train.records import Example
from emotion_llama.train.schedule import Schedule

if TYPE_CHECKING:
    from emotion_llama.train.validation import LabelQuestion

CHECKPOINTS, RESULT = "checkpoints", "model"
Say = Callable[[str], None]


@dataclass(frozen=True)
class TrainResult:
    """What came out of a run.

    Attributes:
        model: the folder of the result, the best checkpoint's weights.
        best_metric: by the recipe's `best_by`; None without validation.
        best_step: the checkpoint it was; None likewise.
        steps: that were done in all.
        left_out: examples that could not be learnt from, by reason.
    """

    model: Path
    best_metric: float | None
    best_step: int | None
    steps: int
    left_out: Mapping[str, int]


@dataclass(frozen=True)
class Data:
    """Examples of a run, and where their media come from."""

    train: tuple[Example, ...]
    validation: tuple[Example, ...]
    media: MediaSource
    left_out: Mapping[str, tuple[str, ...]]


def train(recipe: TrainRecipe, out: Path, *, resume: bool = False, say: Say = lambda line: None) -> TrainResult:
    """Train a model by a recipe.

    Args:
        recipe: the whole recipe.
        out: folder of the run: checkpoints, logs, run card, the resulting model.
        resume: go on from the last checkpoint in `out`, if there is one.
        say: told what happens, a line each.

    Raises:
        InputError: the recipe asks for what its data or model cannot give, or `out` holds a run and `resume` is off.
        MissingDependency: the extras `model` or `train` are not installed.
    """
    from transformers import PrinterCallback

    from emotion_llama.train.prepared import load_start, save_result
    from emotion_llama.train.progress import RoundLines
    from emotion_llama.train.run_card import finish_card, start_card, write_card
    from emotion_llama.train.weights import count_parts

    _check_folder(out, resume)
    model, processor = load_start(recipe)
    data = gather_data(recipe)
    parts = count_parts(model)
    say(_parameter_table(parts))
    for reason, names in data.left_out.items():
        say(f"{len(names)} examples left out: {reason} ({', '.join(names[:3])}{', ...' if len(names) > 3 else ''})")
    card = start_card(recipe, data.train, data.validation, data.left_out, parts)
    write_card(out, card)
    trainer = build_trainer(recipe, out, model, processor, data)
    trainer.remove_callback(PrinterCallback)
    trainer.add_callback(RoundLines(say, recipe.run.steps_per_round, recipe.run.best_by))
    began = time.perf_counter()
    trainer.train(resume_from_checkpoint=last_checkpoint(out) if resume else None)
    state = trainer.state
    best = {"by": recipe.run.best_by, "metric": state.best_metric, "step": state.best_global_step}
    if trainer.args.should_save:
        chosen = state.best_model_checkpoint or last_checkpoint(out)
        if chosen is None:
            raise BackendError(f"the training ended without a checkpoint in {out / CHECKPOINTS}")
        save_result(recipe, Path(chosen), out / RESULT)
        write_card(out, finish_card(card, state.log_history, best, time.perf_counter() - began))
    left_out = {reason: len(names) for reason, names in data.left_out.items()}
    return TrainResult(out / RESULT, state.best_metric, state.best_global_step, state.global_step, left_out)


def gather_data(recipe: TrainRecipe) -> Data:
    """Read examples and open their features.

    Raises:
        InputError: a file cannot be used, an example stands in training and validation, or no example is left.
    """
    from emotion_llama.models.features.sources import open_features

    wanted = Wanted(frozenset(recipe.tasks), recipe.data.space, recipe.data.videos)
    train_examples = read_examples(recipe.data.train, wanted)
    held_out = read_examples(recipe.data.validation, wanted) if recipe.data.validation else []
    if shared := sorted({e.name for e in train_examples} & {e.name for e in held_out}):
        raise InputError(
            f"{len(shared)} clips are in training and in validation ({', '.join(shared[:3])}); divide them first"
        )
    if recipe.data.features is None:
        raise InputError("data.features is missing: make them with `emotion-llama features` and name the folder")
    media = StoredMedia(open_features(recipe.data.features), frozenset(recipe.data.without))
    text_alone = bool(recipe.data.dropout)
    learnt, validated = (usable(some, media, text_alone=text_alone) for some in (train_examples, held_out))
    if not learnt.examples:
        raise InputError(f"none of the {len(train_examples)} examples has features in {recipe.data.features}")
    left_out = {
        reason: (*learnt.left_out.get(reason, ()), *validated.left_out.get(reason, ()))
        for reason in {**learnt.left_out, **validated.left_out}
    }
    return Data(learnt.examples, validated.examples, media, left_out)


def build_trainer(recipe: TrainRecipe, out: Path, model: Any, processor: Any, data: Data) -> Any:
    """The Trainer of a run, ready to start."""
    from transformers import EarlyStoppingCallback

    from emotion_llama.train.trainer import EmotionLlamaTrainer

    asking = Asking(
        recipe.data.layout,
        recipe.data.dropout,
        recipe.data.pools,
        layouts=recipe.data.layouts,
        grounded=recipe.data.grounded,
    )
    shares = [TaskShare(task, weight) for task, weight in recipe.tasks.items()]
    step_size = recipe.run.batch_size * _num_processes()
    draws = plan_draws(
        data.train,
        shares,
        recipe.num_steps * step_size * recipe.run.accumulate,
        seed=recipe.run.seed,
        batch_size=step_size,
        lengths=_lengths(data.train) if recipe.run.group_lengths and step_size > 1 else None,
        balance=recipe.data.balance,
    )
    held_out = _validation_draws(data.validation, shares)
    question = _label_question(recipe, asking)
    labelled = [example for example in data.validation if "label" in example.truths]
    optim = recipe.optim
    return EmotionLlamaTrainer(
        model=model,
        args=_arguments(recipe, out, bool(data.validation)),
        data_collator=Collator(processor, recipe.data.layout),
        train_dataset=Lessons(data.train, draws, data.media, asking),
        eval_dataset=Lessons(data.validation, held_out, data.media, Asking(asking.layout, {}, asking.pools))
        if data.validation
        else None,
        length_power=LENGTH_POWERS[recipe.run.loss],
        callbacks=[EarlyStoppingCallback(recipe.run.patience)] if recipe.run.patience and data.validation else [],
        schedule=Schedule(
            optim.peak_rate, optim.least_rate, optim.first_rate, min(optim.warmup_steps, recipe.num_steps),
            recipe.num_steps,
        ),
        tell=_teller(model, processor, labelled, data.media, question) if labelled and not recipe.run.fsdp else None,
    )  # fmt: skip


def _arguments(recipe: TrainRecipe, out: Path, has_validation: bool) -> Any:
    from dataclasses import fields
    from importlib.util import find_spec

    import torch
    from transformers import TrainingArguments

    run, optim = recipe.run, recipe.optim
    names = {field.name for field in fields(TrainingArguments)}
    checkpointing = "activation_checkpointing" if "activation_checkpointing" in names else "gradient_checkpointing"
    optional: dict[str, Any] = {checkpointing: run.activation_checkpointing}
    if run.fsdp:
        optional |= {"fsdp": "full_shard", "fsdp_config": {"fsdp_version": 2, "reshard_after_forward": True}}
    if not torch.cuda.is_available():
        optional["use_cpu"] = True
        if _num_processes() > 1:  # named, or processes without GPUs would each train a whole run of their own
            optional["ddp_backend"] = "gloo"
    keeps_best = has_validation
    return TrainingArguments(
        output_dir=str(out / CHECKPOINTS),
        max_steps=recipe.num_steps,
        per_device_train_batch_size=run.batch_size,
        per_device_eval_batch_size=max(run.batch_size, 4),
        gradient_accumulation_steps=run.accumulate,
        learning_rate=optim.peak_rate,
        weight_decay=optim.weight_decay,
        adam_beta1=optim.beta1,
        adam_beta2=optim.beta2,
        max_grad_norm=optim.max_grad_norm,
        bf16=run.precision == "bfloat16",
        fp16=run.precision == "float16",
        torch_compile=run.compile,
        logging_steps=run.log_every,
        report_to=["tensorboard"] if find_spec("tensorboard") is not None else "none",
        disable_tqdm=True,
        eval_strategy="steps" if has_validation else "no",
        eval_steps=run.steps_per_round,
        save_strategy="steps",
        save_steps=run.steps_per_round,
        save_total_limit=run.keep + keeps_best,
        load_best_model_at_end=keeps_best,
        metric_for_best_model=f"eval_{run.best_by}" if keeps_best else None,
        greater_is_better=run.best_by in LABEL_METRICS if keeps_best else None,
        seed=run.seed,
        dataloader_num_workers=run.workers,
        dataloader_pin_memory=False,
        remove_unused_columns=False,
        label_names=["labels"],
        ddp_find_unused_parameters=True,  # a batch without sound gives the audio projection no gradient
        **optional,
    )


def _num_processes() -> int:
    """Processes of the run, as torchrun says."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def _validation_draws(examples: Sequence[Example], shares: Sequence[TaskShare]) -> list[Any]:
    """Every example of validation with each of its tasks once."""
    from emotion_llama.train.draws import Draw

    pairs = [(i, share.task) for i, e in enumerate(examples) for share in shares if share.task in e.answers]
    return [Draw(position, i, task, f"validation:{examples[i].name}") for position, (i, task) in enumerate(pairs)]


def _label_question(recipe: TrainRecipe, asking: Asking) -> LabelQuestion:
    from emotion_llama.labels import MERR9
    from emotion_llama.prompts.tasks import emotion_instruction, pick_instruction
    from emotion_llama.train.validation import LabelQuestion

    space = recipe.data.space
    own = pick_instruction("emotion", pool=asking.pools.get("emotion"))
    fits = set(space.labels) <= set(MERR9.labels) or "emotion" in asking.pools
    return LabelQuestion(own if fits else emotion_instruction(space.labels), asking, space)


def _teller(
    model: Any, processor: Any, labelled: Sequence[Example], media: MediaSource, question: LabelQuestion
) -> Callable[[int, int], list[Any]]:
    from emotion_llama.train.validation import tell_labels

    return lambda rank, processes: list(tell_labels(model, processor, labelled[rank::processes], media, question))


def _lengths(examples: Sequence[Example]) -> dict[str, int]:
    """Characters of all that an example's prompt and answers hold: alike enough to tokens to order by."""
    return {
        e.name: len(e.words or "") + len(e.cues or "") + max(len(answer) for answer in e.answers.values())
        for e in examples
    }  # fmt: skip


def _parameter_table(parts: Sequence[Any]) -> str:
    rows = [f"  {p.part:<22}{p.total:>16,}{p.trained:>14,}" for p in parts]
    total, trained = sum(p.total for p in parts), sum(p.trained for p in parts)
    return "\n".join(
        [f"  {'part':<22}{'parameters':>16}{'learn':>14}", *rows, f"  {'all':<22}{total:>16,}{trained:>14,}"]
    )


def _check_folder(out: Path, resume: bool) -> None:
    if not resume and (out / CHECKPOINTS).is_dir() and any((out / CHECKPOINTS).iterdir()):
        raise InputError(f"{out} holds a run already; resume it (--resume), or give another folder")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{out} cannot be made ({error.strerror}); give another place") from error


def last_checkpoint(out: Path) -> str | None:
    """The newest checkpoint that was written to its end: its state is the last of its files."""
    steps = {
        int(path.parent.name.rpartition("-")[2]): path.parent
        for path in (out / CHECKPOINTS).glob("checkpoint-*/trainer_state.json")
    }
    return str(steps[max(steps)]) if steps else None
