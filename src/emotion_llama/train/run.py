"""One training run: recipe in, a model's folder out; killed at any point, it goes on from its last checkpoint."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emotion_llama import __version__
from emotion_llama.errors import BackendError, InputError
from emotion_llama.evaluation.cache import hash_of
from emotion_llama.evaluation.run_folder import installed, machine
from emotion_llama.files import make_folder, write_whole
from emotion_llama.train.dataset import (
    MediaSource,
    PromptConfig,
    TrainingDataset,
    collate,
    sample_draws,
    stored_media,
    usable,
    validation_draws,
)
from emotion_llama.train.examples import Example, read_examples
from emotion_llama.train.recipe import TrainRecipe

if TYPE_CHECKING:
    from emotion_llama.face.backends import MeshBackend

CHECKPOINTS, RESULT, FEATURES = "checkpoints", "model", "features"
CARD_FILE = "run_card.json"
_PACKAGES = ("torch", "transformers", "accelerate", "peft", "safetensors", "numpy", "bitsandbytes")
Say = Callable[[str], None]
# Examples to learn from and to validate on, where their media come from, and names left out by reason.
Data = tuple[list[Example], list[Example], MediaSource, dict[str, list[str]]]


@dataclass(frozen=True)
class TrainResult:
    """What came out of a run."""

    model: Path  # the folder of the result, the best checkpoint's weights
    best_metric: float | None  # by the recipe's `best_by`; None without validation
    best_step: int | None  # the checkpoint it was; None likewise
    steps: int  # that were done in all
    left_out: Mapping[str, int]  # examples that could not be learnt from, by reason


def train(recipe: TrainRecipe, out: Path, *, resume: bool = False, say: Say = lambda line: None) -> TrainResult:
    """Train a model by a recipe.

    Args:
        recipe: the whole recipe.
        out: folder of the run: checkpoints, logs, run card, the resulting model.
        resume: go on from the last checkpoint in `out`, if there is one.
        say: called with a line for each thing that happens.

    Raises:
        InputError: the recipe asks for what its data or model cannot give, or `out` holds a run and `resume` is off.
        MissingDependency: the extras `model` or `train` are not installed.
    """
    from transformers import PrinterCallback

    from emotion_llama.models.folders import check_model_folder
    from emotion_llama.train.trainer import EpochLines
    from emotion_llama.train.weights import count_parts, load_start, save_result

    if not resume and (out / CHECKPOINTS).is_dir() and any((out / CHECKPOINTS).iterdir()):
        raise InputError(f"{out} holds a run already; resume it (--resume), or give another folder")
    make_folder(out)
    check_model_folder(recipe.model.start)
    learnt, held_out = examples_of(recipe)
    features = recipe.data.features or make_features(recipe, [*learnt, *held_out], out / FEATURES, say)
    model, processor = load_start(recipe)
    data = with_features(recipe, learnt, held_out, features)
    parts = count_parts(model)
    say(_parameter_table(parts))
    for reason, names in data[3].items():
        say(f"{len(names)} examples left out: {reason} ({', '.join(names[:3])}{', ...' if len(names) > 3 else ''})")
    left_out = {reason: len(names) for reason, names in data[3].items()}
    card = _card(recipe, data[0], data[1], left_out, parts)
    _write_card(out, card)
    trainer = build_trainer(recipe, out, model, processor, data)
    trainer.remove_callback(PrinterCallback)
    trainer.add_callback(EpochLines(say, recipe.run.steps_per_epoch, recipe.run.best_by))
    began = time.perf_counter()
    trainer.train(resume_from_checkpoint=last_checkpoint(out) if resume else None)
    state = trainer.state
    best = {"by": recipe.run.best_by, "metric": state.best_metric, "step": state.best_global_step}
    if trainer.args.should_save:
        chosen = state.best_model_checkpoint or last_checkpoint(out)
        if chosen is None:
            raise BackendError(f"the training ended without a checkpoint in {out / CHECKPOINTS}")
        save_result(recipe, Path(chosen), out / RESULT)
        seconds = round(time.perf_counter() - began, 1)
        _write_card(out, {**card, "history": state.log_history, "best": best, "seconds": seconds})
    return TrainResult(out / RESULT, state.best_metric, state.best_global_step, state.global_step, left_out)


def examples_of(recipe: TrainRecipe) -> tuple[list[Example], list[Example]]:
    """The examples to learn from and to validate on; of MERR folders with splits, each its own split.

    Raises:
        InputError: a file cannot be used, or an example stands in training and validation.
    """
    given = (list(recipe.tasks), recipe.data.space, recipe.data.videos)
    learnt = read_examples(recipe.data.train, *given, split="train")
    held_out = read_examples(recipe.data.validation, *given, split="validation") if recipe.data.validation else []
    if shared := sorted({e.name for e in learnt} & {e.name for e in held_out}):
        raise InputError(
            f"{len(shared)} clips are in training and in validation ({', '.join(shared[:3])}); divide them first"
        )
    return learnt, held_out


def with_features(
    recipe: TrainRecipe, examples: Sequence[Example], held_out: Sequence[Example], features: Path
) -> Data:
    """The examples that have features, and where these come from.

    Raises:
        InputError: `features` holds none, or none of an example to learn from.
    """
    from emotion_llama.models.features.published_folders import open_features

    media = partial(stored_media, open_features(features), frozenset(recipe.data.without))
    text_alone = bool(recipe.data.dropout)
    learnt, left_out = usable(examples, media, text_alone=text_alone)
    validated, more = usable(held_out, media, text_alone=text_alone)
    if not learnt:
        raise InputError(f"none of the {len(examples)} examples has features in {features}")
    for reason, names in more.items():
        left_out.setdefault(reason, []).extend(names)
    return learnt, validated, media, left_out


def make_features(recipe: TrainRecipe, examples: Sequence[Example], folder: Path, say: Say) -> Path:
    """A store of the examples' features, by the starting model's own encoders; clips that it holds are not made again.

    Raises:
        InputError: no example names a clip, or several processes would write the store.
    """
    import torch

    from emotion_llama.analysis.features import extract_clips, run_recipe
    from emotion_llama.analysis.inputs import CropOptions
    from emotion_llama.face.backends import load_backend
    from emotion_llama.models.features.extractor import FeatureExtractor, TorchEncoders
    from emotion_llama.models.features.feature_store import FeatureStore
    from emotion_llama.models.inputs import sound_recipe

    clips = [(example.name, example.media) for example in examples if example.media is not None]
    if not clips or _num_processes() > 1:
        why = "no example names a clip" if not clips else "several processes would write one store"
        raise InputError(
            f"data.features is null, and {why}; make them with `emotion-llama features` and name the folder, or give "
            "the clips (data.videos, or the column video) to one process"
        )
    encoders = TorchEncoders.load(recipe.model.start, device="cuda" if torch.cuda.is_available() else "cpu")
    extractor = FeatureExtractor(encoders, sound=sound_recipe(encoders.audio_recipe))
    options = CropOptions(encoders.frame_policy)
    made_by = run_recipe(extractor, options, encoders.fingerprint(), {"model": recipe.model.start.name})
    say(f"features of {len(clips)} clips are made in {folder}")
    with ExitStack() as stack:
        store = stack.enter_context(FeatureStore(folder, writable=True, recipe=made_by))

        @cache
        def backend() -> MeshBackend:
            mesh = load_backend()
            stack.callback(mesh.close)
            return mesh

        for outcome in extract_clips(clips, extractor, backend, options, [store], resume=True):
            if outcome.error is not None:
                say(f"no features: {outcome.error}")
    return folder


def build_trainer(recipe: TrainRecipe, out: Path, model: Any, processor: Any, data: Data) -> Any:
    """The Trainer of a run, ready to start."""
    from transformers import EarlyStoppingCallback

    from emotion_llama.train.trainer import LENGTH_POWERS, EmotionLlamaTrainer, warmup_cosine

    train_examples, held_out, media, _ = data
    run, optim, tasks = recipe.run, recipe.optim, recipe.tasks
    config = PromptConfig(
        recipe.data.layout, recipe.data.dropout, recipe.data.pools, recipe.data.layouts, recipe.data.grounded
    )
    undropped = PromptConfig(config.layout, pools=config.pools)
    # The order is one of whole steps: however a step is divided into passes and processes, it holds the same examples.
    step_size = run.batch_size * _num_processes() * run.gradient_accumulation_steps
    draws = sample_draws(
        train_examples,
        tasks,
        recipe.num_steps * step_size,
        seed=run.seed,
        batch_size=step_size,
        lengths=_lengths(train_examples) if run.group_lengths and step_size > 1 else None,
        balance=recipe.data.balance,
    )
    labelled = [example for example in held_out if "label" in example.truths] if not run.fsdp else []
    schedule = partial(
        warmup_cosine,
        learning_rate=optim.learning_rate,
        min_lr=optim.min_lr,
        warmup_start_lr=optim.warmup_start_lr,
        warmup_steps=min(optim.warmup_steps, recipe.num_steps),
        num_steps=recipe.num_steps,
    )
    return EmotionLlamaTrainer(
        model=model,
        args=_arguments(recipe, out, bool(held_out)),
        data_collator=partial(collate, processor, recipe.data.layout),
        train_dataset=TrainingDataset(train_examples, draws, media, config),
        eval_dataset=TrainingDataset(held_out, validation_draws(held_out, tasks), media, undropped)
        if held_out
        else None,
        length_power=LENGTH_POWERS[run.loss],
        callbacks=[EarlyStoppingCallback(run.patience)] if run.patience and held_out else [],
        schedule=schedule,
        predict_labels=_label_predictor(recipe, model, processor, labelled, media) if labelled else None,
    )


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
    return TrainingArguments(
        output_dir=str(out / CHECKPOINTS),
        max_steps=recipe.num_steps,
        per_device_train_batch_size=run.batch_size,
        per_device_eval_batch_size=max(run.batch_size, 4),
        gradient_accumulation_steps=run.gradient_accumulation_steps,
        learning_rate=optim.learning_rate,
        weight_decay=optim.weight_decay,
        adam_beta1=optim.beta1,
        adam_beta2=optim.beta2,
        max_grad_norm=optim.max_grad_norm,
        bf16=run.precision == "bfloat16",
        fp16=run.precision == "float16",
        torch_compile=run.compile,
        logging_steps=min(run.log_every, run.steps_per_epoch),  # every epoch has a loss to print
        report_to=["tensorboard"] if find_spec("tensorboard") is not None else "none",
        disable_tqdm=True,
        eval_strategy="steps" if has_validation else "no",
        eval_steps=run.steps_per_epoch,
        save_strategy="steps",
        save_steps=run.steps_per_epoch,
        save_total_limit=run.keep + has_validation,
        load_best_model_at_end=has_validation,
        metric_for_best_model=f"eval_{run.best_by}" if has_validation else None,
        greater_is_better=run.best_by != "loss" if has_validation else None,
        seed=run.seed,
        dataloader_num_workers=run.workers,
        dataloader_pin_memory=False,
        remove_unused_columns=False,
        label_names=["labels"],
        ddp_find_unused_parameters=True,  # a batch without sound gives the audio projection no gradient
        **optional,
    )


def _num_processes() -> int:
    return int(os.environ.get("WORLD_SIZE", "1"))


def _label_predictor(
    recipe: TrainRecipe, model: Any, processor: Any, labelled: Sequence[Example], media: MediaSource
) -> Callable[[int, int], list[Any]]:
    """(rank, processes) -> label predictions of this process's share of the validation clips."""
    from emotion_llama.labels import MERR9
    from emotion_llama.prompts.tasks import emotion_instruction, pick_instruction
    from emotion_llama.train.trainer import predict_labels

    space, pool = recipe.data.space, recipe.data.pools.get("emotion")
    fits = set(space.labels) <= set(MERR9.labels) or pool is not None
    instruction = pick_instruction("emotion", pool=pool) if fits else emotion_instruction(space.labels)
    about = {"instruction": instruction, "space": space, "layout": recipe.data.layout}
    return lambda rank, processes: list(
        predict_labels(model, processor, labelled[rank::processes], media, **about)  # type: ignore[arg-type]
    )


def _lengths(examples: Sequence[Example]) -> dict[str, int]:
    """Characters of all that an example's prompt and answers hold: alike enough to tokens to order by."""
    return {
        e.name: len(e.words or "") + len(e.cues or "") + max(len(answer) for answer in e.answers.values())
        for e in examples
    }  # fmt: skip


def _parameter_table(parts: Mapping[str, tuple[int, int]]) -> str:
    total, trained = (sum(counts) for counts in zip(*parts.values()))
    rows = [*parts.items(), ("all", (total, trained))]
    lines = [f"  {part:<22}{total:>16,}{trained:>14,}" for part, (total, trained) in rows]
    return "\n".join([f"  {'part':<22}{'parameters':>16}{'learn':>14}", *lines])


def last_checkpoint(out: Path) -> str | None:
    """The newest checkpoint that was written to its end: its state is the last of its files."""
    steps = {
        int(path.parent.name.rpartition("-")[2]): path.parent
        for path in (out / CHECKPOINTS).glob("checkpoint-*/trainer_state.json")
    }
    return str(steps[max(steps)]) if steps else None


# --- the run card -----------------------------------------------------------------------------------------------------


def _card(
    recipe: TrainRecipe,
    train_examples: Sequence[Example],
    validation: Sequence[Example],
    left_out: Mapping[str, int],
    parts: Mapping[str, tuple[int, int]],
) -> dict[str, Any]:
    """What is known before the first step, as JSON: recipe, data, start, versions, machine, what learns."""
    import torch

    from emotion_llama.media.probe import file_sha256

    return {
        "emotion_llama": __version__,
        "recipe": recipe.model_dump(mode="json"),
        "start": {path.name: file_sha256(path) for path in sorted(recipe.model.start.iterdir()) if path.is_file()},
        "data": {
            "train": {"examples": len(train_examples), "sha256": _data_sha256(train_examples)},
            "validation": {"examples": len(validation), "sha256": _data_sha256(validation)},
            "left_out": dict(left_out),
        },
        "parameters": [{"part": part, "total": total, "trained": n} for part, (total, n) in parts.items()],
        "versions": installed(_PACKAGES),
        "machine": {**machine(), "threads": torch.get_num_threads(), "processes": _num_processes()},
    }


def _write_card(folder: Path, card: Mapping[str, Any]) -> None:
    write_whole(folder / CARD_FILE, json.dumps(card, indent=1, ensure_ascii=False, sort_keys=True) + "\n")


def _data_sha256(examples: Sequence[Example]) -> str:
    """A hash of all that examples hold: names, answers, words, cues and truths; not of where clips lie."""
    ordered = sorted(examples, key=lambda one: one.name)
    return hash_of(*([one.name, one.answers, one.words, one.cues, one.truths] for one in ordered))
