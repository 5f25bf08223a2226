"""The model that training starts from, and the model that it ends in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from emotion_llama.errors import InputError
from emotion_llama.train.recipe import TrainRecipe
from emotion_llama.train.weights import choose_trained, load_trained

_UTTERANCE_TOWERS = ("face_tower", "temporal_tower", "audio_tower")


def load_start(recipe: TrainRecipe) -> tuple[Any, Any]:
    """The recipe's model, ready to learn, and its processor.

    Encoders whose features are stored are left out of memory. A new adapter starts as nothing: its B matrices are 0.

    Raises:
        InputError: the folder holds no model, or the recipe's parts are not there.
        MissingDependency: the extra `model`, or what quantises, is not installed.
    """
    from emotion_llama import models

    build: Any = models.EmotionLlamaForConditionalGeneration
    prepare: Any = models.EmotionLlamaProcessor
    place = _model_folder(recipe.model.start)
    options: dict[str, Any] = {"dtype": recipe.model.dtype}
    if recipe.data.features is not None and "encoders" not in recipe.model.train:
        options["absent_towers"] = list(_UTTERANCE_TOWERS)
    if recipe.model.quantization != "none":
        options["quantization_config"] = models.quantization_config(8 if recipe.model.quantization == "int8" else 4)
    model = build.from_pretrained(place, **options)
    model.config.use_cache = False  # a cache is of no use in training, and is in the way of checkpointing
    _adapt(model, recipe)
    choose_trained(model, recipe.model.train)
    if recipe.model.quantization != "none":
        # Layers after a quantised one must see gradients although its weights have none.
        model.enable_input_require_grads()
    processor = prepare.from_pretrained(
        place, prompt_layout=recipe.data.layout, target_rule=recipe.data.target_rule
    )  # fmt: skip
    return model, processor


def save_result(recipe: TrainRecipe, checkpoint: Path, folder: Path) -> None:
    """Write the whole model: where training started from, with what it learnt.

    The start is loaded anew, with all its encoders and unquantised, so that the folder answers from raw video whatever
    was left out of memory in training.

    Raises:
        InputError: the checkpoint does not fit.
    """
    from emotion_llama import models

    build: Any = models.EmotionLlamaForConditionalGeneration
    prepare: Any = models.EmotionLlamaProcessor
    place = _model_folder(recipe.model.start)
    model = build.from_pretrained(place, dtype=recipe.model.dtype)
    _adapt(model, recipe)
    choose_trained(model, recipe.model.train)
    load_trained(model, checkpoint)
    model.config.prompt_layout = recipe.data.layout
    model.eval()
    with_cache(model)
    model.save_pretrained(folder)
    processor = prepare.from_pretrained(place, prompt_layout=recipe.data.layout, target_rule=recipe.data.target_rule)
    processor.save_pretrained(folder)


def with_cache(model: Any) -> None:
    """Training goes without a cache and writes that into configs; who generates with the folder wants one."""
    model.config.get_text_config().use_cache = True
    model.generation_config.use_cache = True


def _adapt(model: Any, recipe: TrainRecipe) -> None:
    """Give the model a LoRA adapter where the recipe wants one; one that it has goes on learning.

    Raises:
        InputError: the start has an adapter of another rank, scale or place than the recipe's.
    """
    import torch

    from emotion_llama.models import adapters

    lora = recipe.model.lora
    if lora is None or "lora" not in recipe.model.train:
        return
    layers = adapters.adapted_layers(model)
    if not layers:
        torch.manual_seed(recipe.run.seed)  # of the A matrices
        adapters.add_lora(model, lora.rank, lora.alpha, lora.dropout, lora.targets)
        return
    config = next(iter(model.peft_config.values()))
    targets = tuple(sorted({name.rpartition(".")[2] for name in layers}))
    found, wanted = (config.r, config.lora_alpha, targets), (lora.rank, lora.alpha, tuple(sorted(lora.targets)))
    if found != wanted:
        raise InputError(
            f"{recipe.model.start} has an adapter of rank {found[0]}, alpha {found[1]} on {', '.join(found[2])}, and "
            f"the recipe asks for rank {wanted[0]}, alpha {wanted[1]} on {', '.join(wanted[2])}; set model.lora to the "
            "former to go on with it, or merge it first (emotion-llama convert --merge)"
        )
    config.lora_dropout = lora.dropout
    for layer in layers.values():
        for name in layer.lora_dropout:
            layer.lora_dropout[name] = torch.nn.Dropout(lora.dropout) if lora.dropout else torch.nn.Identity()


def _model_folder(path: Path) -> Path:
    if not (path / "config.json").is_file():
        raise InputError(
            f"{path} holds no model: config.json is missing; `emotion-llama convert` makes one of published files"
        )
    return path
