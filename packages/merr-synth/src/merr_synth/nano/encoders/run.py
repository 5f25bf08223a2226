"""One encoder training: recipe in, a folder of towers out that a whole model is assembled from.

recipe.json                 what it was trained by; a run goes on only with the same
<tower>/checkpoints/        while the tower learns, and afterwards the best of them
<tower>/tower.safetensors   its weights alone, under the model's names: the tower is done
<tower>/report.json         probes on validation clips, losses, seconds
config.json, encoders.safetensors      all of them, for `assemble_nano`
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from emotion_llama.errors import InputError, MediaError
from emotion_llama.models.configuration_emotion_llama import EmotionLlamaConfig
from merr_synth.nano.encoders.clips import ClipCache, Sizes, fill_cache
from merr_synth.nano.encoders.lessons import TOWERS, Choice, Lessons, TowerName, can_teach
from merr_synth.nano.encoders.recipe import EncodersRecipe, TowerPart
from merr_synth.nano.encoders.targets import ClipTruth, read_truths, spread_of

RECIPE_FILE, TOWER_FILE, REPORT_FILE, ENCODERS_FILE = (
    "recipe.json", "tower.safetensors", "report.json", "encoders.safetensors",
)  # fmt: skip
PROBED_TRAIN_CLIPS = 1500  # that a probe is fitted on; it has 129 weights a figure
VALIDATION_CROPS = 8  # of each clip, after every round
PROBED_CROPS = 16  # evenly spaced, of each clip
Say = Callable[[str], None]


@dataclass(frozen=True)
class Split:
    """Clips to learn from and clips to ask about, of one tower."""

    train: tuple[ClipTruth, ...]
    validation: tuple[ClipTruth, ...]


def train_encoders(
    recipe: EncodersRecipe, out: Path, *, resume: bool = False, only: Sequence[TowerName] = TOWERS,
    say: Say = lambda line: None,
) -> Path:  # fmt: skip
    """Decode what is not decoded, train every tower that is not done, and put all into one folder.

    Args:
        recipe: the whole recipe.
        out: folder of the run.
        resume: go on with what is in `out`.
        only: train these alone, and put nothing together: towers may be trained side by side, a process each.
        say: told what happens, a line each.

    Returns:
        `out`, as `train.assemble.assemble_nano` takes it.

    Raises:
        InputError: the data cannot be used, or `out` holds another run.
        MediaError: a rendered clip cannot be read.
    """
    _claim(out, recipe, resume)
    config = EmotionLlamaConfig.preset(recipe.preset)
    truths, cache = decoded(recipe, config, say)
    for tower in only:
        part: TowerPart | None = getattr(recipe.towers, tower)
        if part is None or (out / tower / TOWER_FILE).is_file():
            continue
        train_tower(tower, part, recipe, config, split_of(tower, truths, cache), cache, out / tower, say)
    if set(only) == set(TOWERS):
        save_encoders(recipe, config, out)
    return out


def decoded(recipe: EncodersRecipe, config: EmotionLlamaConfig, say: Say) -> tuple[list[ClipTruth], ClipCache]:
    """The truth of the clips to learn from and for validation, and the cache that holds all clips.

    Test clips are decoded, for their features are wanted later, and nothing of their truth is used.

    Raises:
        InputError, MediaError: as `train_encoders`.
    """
    truths = read_truths(recipe.data.clips)
    names = [truth.name for truth in truths]
    learnt = [truth for truth in truths if truth.split == "train"]
    # Not the first so many: plans begin with the conflicts, then come the gaps.
    kept = np.random.default_rng([recipe.seed, 3]).permutation(len(learnt))[: recipe.data.most_train_clips]
    learnt = [learnt[i] for i in sorted(kept)]
    truths = learnt + [truth for truth in truths if truth.split == "validation"]
    cache = ClipCache(recipe.data.cache)
    # The temporal encoder takes crops of the face encoder's size.
    sizes = Sizes(config.vision_config.image_size, config.face_config.image_size)
    began, done = time.perf_counter(), 0
    for done, (name, problem) in enumerate(
        fill_cache(recipe.data.clips, names, cache, sizes, workers=recipe.data.workers), 1
    ):
        if problem is not None:
            raise MediaError(recipe.data.clips / "clips" / f"{name}.mp4", problem, "render the data set again")
        if done % 500 == 0:
            say(f"{done} clips decoded, {time.perf_counter() - began:.0f} s")
    say(f"{len(names)} clips of {recipe.data.clips}, {done} of them decoded now")
    return truths, cache


def split_of(tower: TowerName, truths: Sequence[ClipTruth], cache: ClipCache) -> Split:
    """The clips that have what the tower takes.

    Raises:
        InputError: none is left on one side.
    """
    usable = [truth for truth in truths if can_teach(tower, truth, cache)]
    split = Split(*(tuple(t for t in usable if t.split == name) for name in ("train", "validation")))
    if not split.train or not split.validation:
        raise InputError(
            f"{tower}: {len(split.train)} clips to learn from and {len(split.validation)} for validation; render more"
        )
    return split


def train_tower(
    tower: TowerName, part: TowerPart, recipe: EncodersRecipe, config: EmotionLlamaConfig, split: Split,
    cache: ClipCache, out: Path, say: Say,
) -> None:  # fmt: skip
    """Train one tower, probe it, and write its weights last."""
    from safetensors.torch import save_file

    from emotion_llama.train.run import last_checkpoint
    from merr_synth.nano.encoders.probe import probe, probe_lines, vectors_of

    began = time.perf_counter()
    model = new_tower(tower, recipe, config, split, cache)
    size = sum(p.numel() for name, p in model.named_parameters() if name.startswith(model.parts))
    say(f"{tower}: {size:,} parameters, {len(split.train)} clips, {part.epochs} epochs")
    trainer = _trainer(model, part, recipe, config, split, cache, out, say)
    trainer.train(resume_from_checkpoint=last_checkpoint(out))
    seconds = time.perf_counter() - began
    probed = _choice(tower, PROBED_CROPS, config, vary=False)
    learnt, asked = (
        vectors_of(model, Lessons(truths, cache, probed)) for truths in (_some(split.train), split.validation)
    )
    scores = probe(tower, learnt, asked)
    for line in (*probe_lines(tower, scores), f"  {seconds:.0f} s"):
        say(line)
    history = [dict(row) for row in trainer.state.log_history if "eval_loss" in row]
    told = {
        "tower": tower, "parameters": size, "train_clips": len(split.train), "scores": asdict(scores),
        "seconds": round(seconds, 1), "best_step": trainer.state.best_global_step, "history": history,
    }  # fmt: skip
    (out / REPORT_FILE).write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    state = {
        n: v.contiguous() for n, v in model.state_dict().items() if n.startswith(tuple(f"{p}." for p in model.parts))
    }
    half = out / f".{TOWER_FILE}.tmp"
    save_file(state, str(half), metadata={"format": "pt"})
    half.replace(out / TOWER_FILE)


def _some(truths: Sequence[ClipTruth]) -> Sequence[ClipTruth]:
    """Evenly spaced ones, as many as a probe is fitted on."""
    return truths[:: -(-len(truths) // PROBED_TRAIN_CLIPS)]


def new_tower(
    tower: TowerName, recipe: EncodersRecipe, config: EmotionLlamaConfig, split: Split, cache: ClipCache
) -> Any:
    """The tower as it starts: weights drawn from the recipe's seed."""
    import torch

    from merr_synth.nano.encoders.heads import TowerWithHeads

    told = Lessons(split.train, cache, _choice(tower, PROBED_CROPS, config, vary=False))
    mean, deviation = spread_of([told[i].figures for i in range(len(told))])
    torch.manual_seed(recipe.seed + TOWERS.index(tower))
    return TowerWithHeads(tower, config, torch.from_numpy(mean), torch.from_numpy(deviation))


def _choice(tower: TowerName, crops: int, config: EmotionLlamaConfig, *, vary: bool) -> Choice:
    clip = config.temporal_config
    return Choice(tower, crops, clip.num_frames, vary, clip.tubelet_size)


def _trainer(
    model: Any, part: TowerPart, recipe: EncodersRecipe, config: EmotionLlamaConfig, split: Split, cache: ClipCache,
    out: Path, say: Say,
) -> Any:  # fmt: skip
    from transformers import PrinterCallback

    from emotion_llama.train.trainer import EmotionLlamaTrainer, EpochLines, warmup_cosine
    from merr_synth.nano.encoders.lessons import collate

    tower: TowerName = model.tower_name
    steps_per_epoch = -(-len(split.train) // part.batch_size)
    steps = steps_per_epoch * part.epochs
    lowest = min(part.min_lr, part.learning_rate)
    trainer = EmotionLlamaTrainer(
        model=model,
        args=_arguments(part, recipe, out, steps_per_epoch, steps),
        data_collator=collate,
        train_dataset=Lessons(
            split.train, cache, _choice(tower, part.crops, config, vary=True), epochs=part.epochs, seed=recipe.seed
        ),
        eval_dataset=Lessons(split.validation, cache, _choice(tower, VALIDATION_CROPS, config, vary=False)),
        schedule=partial(
            warmup_cosine, learning_rate=part.learning_rate, min_lr=lowest, warmup_start_lr=lowest,
            warmup_steps=round(part.warmup_share * steps), num_steps=steps,
        ),
    )  # fmt: skip
    trainer.remove_callback(PrinterCallback)
    trainer.add_callback(EpochLines(say, steps_per_epoch, "loss"))
    return trainer


def _arguments(part: TowerPart, recipe: EncodersRecipe, out: Path, steps_per_epoch: int, steps: int) -> Any:
    import torch
    from transformers import TrainingArguments

    from emotion_llama.train.run import CHECKPOINTS

    return TrainingArguments(
        output_dir=str(out / CHECKPOINTS),
        max_steps=steps,
        per_device_train_batch_size=part.batch_size,
        per_device_eval_batch_size=part.batch_size,
        learning_rate=part.learning_rate,
        weight_decay=part.weight_decay,
        max_grad_norm=part.max_grad_norm,
        logging_steps=max(1, steps_per_epoch // 4),
        report_to="none",
        disable_tqdm=True,
        eval_strategy="steps",
        eval_steps=steps_per_epoch,
        save_strategy="steps",
        save_steps=steps_per_epoch,
        save_total_limit=2,
        load_best_model_at_end=True,
        metric_for_best_model="eval_loss",
        greater_is_better=False,
        prediction_loss_only=True,
        seed=recipe.seed,
        dataloader_num_workers=recipe.loaders,
        dataloader_pin_memory=False,
        remove_unused_columns=False,
        label_names=["labels"],
        use_cpu=not torch.cuda.is_available(),
    )


def save_encoders(recipe: EncodersRecipe, config: EmotionLlamaConfig, out: Path) -> Path:
    """All towers in one file under the model's names, and the config that says their sizes.

    A tower that the recipe leaves out is drawn from the seed: random, as an ablation wants it.
    """
    import torch
    from safetensors.torch import load_file, save_file

    from merr_synth.nano.encoders.heads import TowerWithHeads
    from merr_synth.nano.encoders.lessons import FIGURES

    state: dict[str, torch.Tensor] = {}
    for tower in TOWERS:
        path = out / tower / TOWER_FILE
        if path.is_file():
            state |= load_file(str(path))
            continue
        torch.manual_seed(recipe.seed + TOWERS.index(tower))
        one = torch.ones(len(FIGURES[tower]))
        model = TowerWithHeads(tower, config, one, one)
        state |= {n: v for n, v in model.state_dict().items() if n.startswith(tuple(f"{p}." for p in model.parts))}
    config.save_pretrained(out)
    half = out / f".{ENCODERS_FILE}.tmp"
    save_file({name: value.contiguous() for name, value in state.items()}, str(half), metadata={"format": "pt"})
    half.replace(out / ENCODERS_FILE)
    return out / ENCODERS_FILE


def read_reports(out: Path) -> Mapping[str, Any]:
    """Each finished tower's report, a JSON object."""
    paths = {tower: out / tower / REPORT_FILE for tower in TOWERS}
    return {tower: json.loads(path.read_text(encoding="utf-8")) for tower, path in paths.items() if path.is_file()}


def _claim(out: Path, recipe: EncodersRecipe, resume: bool) -> None:
    """Write the recipe into the folder, or make sure that it is the one already there."""
    path, text = out / RECIPE_FILE, json.dumps(recipe.model_dump(mode="json"), indent=1, sort_keys=True) + "\n"
    if path.is_file():
        if not resume:
            raise InputError(f"{out} holds a run already; resume it, or give another folder")
        if path.read_text(encoding="utf-8") != text:
            raise InputError(f"{out} holds a run of another recipe; resume it with its own, {path}")
        return
    try:
        out.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(f"{out} cannot be written ({error.strerror}); give another place") from error
