"""The model that training starts from, which of its weights learn, those alone in a file, and the resulting model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emotion_llama.errors import InputError
from emotion_llama.files import write_whole
from emotion_llama.train.recipe import TrainRecipe

if TYPE_CHECKING:
    import torch

TRAINED_FILE = "trained.safetensors"
_UTTERANCE_TOWERS = ("face_tower", "temporal_tower", "audio_tower")
# What of a model's parameters belongs to a part that learns; of "lora", the adapter's own weights alone.
_PREFIXES = {
    "projector": ("multi_modal_projector.",),
    "language_model": ("language_model.",),
    "encoders": ("vision_tower.", "vision_layernorm.", "face_tower.", "temporal_tower.", "audio_tower."),
}


def load_start(recipe: TrainRecipe) -> tuple[Any, Any]:
    """The recipe's model, ready to learn, and its processor.

    Encoders that do not learn are left out of memory, because their features are stored. A new adapter starts as
    nothing: its B matrices are 0.

    Raises:
        InputError: the folder holds no model, or the recipe's parts are not there.
        MissingDependency: the extra `model`, or what quantises, is not installed.
    """
    from emotion_llama import models

    build: Any = models.EmotionLlamaForConditionalGeneration
    place = recipe.model.start
    options: dict[str, Any] = {"dtype": recipe.model.dtype}
    if "encoders" not in recipe.model.train:
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
    return model, _processor(place, recipe)


def save_result(recipe: TrainRecipe, checkpoint: Path, folder: Path) -> None:
    """Write the whole model: where training started from, with what it learnt.

    The start is loaded anew, with all its encoders and unquantised, so that the folder answers from raw video whatever
    was left out of memory in training.

    Raises:
        InputError: the checkpoint does not fit.
    """
    from emotion_llama import models

    build: Any = models.EmotionLlamaForConditionalGeneration
    place = recipe.model.start
    model = build.from_pretrained(place, dtype=recipe.model.dtype)
    _adapt(model, recipe)
    choose_trained(model, recipe.model.train)
    load_trained(model, checkpoint)
    model.config.prompt_layout = recipe.data.layout
    # Weights that do not say what they learned may know more than this training: these go on saying nothing.
    if (known := getattr(model.config, "trained_tasks", None)) is not None:
        model.config.trained_tasks = sorted({*known, *recipe.tasks})
    model.eval()
    with_cache(model)
    model.save_pretrained(folder)
    _processor(place, recipe).save_pretrained(folder)


def _processor(place: Path, recipe: TrainRecipe) -> Any:
    from emotion_llama import models

    prepare: Any = models.EmotionLlamaProcessor
    return prepare.from_pretrained(place, prompt_layout=recipe.data.layout, target_rule=recipe.data.target_rule)


def with_cache(model: Any) -> None:
    """Training goes without a cache and writes that into configs; generation needs one."""
    model.config.get_text_config().use_cache = True
    model.generation_config.use_cache = True


def _adapt(model: Any, recipe: TrainRecipe) -> None:
    """Give the model a LoRA adapter where the recipe wants one; one that it has goes on learning."""
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


# --- weights that learn -----------------------------------------------------------------------------------------------


def choose_trained(model: Any, parts: Iterable[str]) -> None:
    """Let the weights of `parts` (of `recipe.PARTS`) learn and freeze all others; InputError where "lora" is not there.

    The published training lets the projections and the LoRA learn and freezes encoders and language model.
    """
    wanted = set(parts)
    adapter = _adapter_names(model)
    if "lora" in wanted and not adapter:
        raise InputError("the model has no LoRA adapter to train; give the recipe a `lora` section")
    prefixes = tuple(prefix for part in wanted - {"lora"} for prefix in _PREFIXES[part])
    for name, parameter in model.named_parameters():
        is_lora = name in adapter
        parameter.requires_grad_((is_lora and "lora" in wanted) or (not is_lora and name.startswith(prefixes)))


def count_parts(model: Any) -> dict[str, tuple[int, int]]:
    """Part -> its parameters and those that learn, of encoders, projections, language model and adapter."""
    adapter = _adapter_names(model)
    counts: dict[str, tuple[int, int]] = {}
    for name, parameter in model.named_parameters():
        part = "lora" if name in adapter else name.partition(".")[0]
        total, trained = counts.get(part, (0, 0))
        number = parameter.numel()
        counts[part] = (total + number, trained + number * parameter.requires_grad)
    order = ("vision_tower", "vision_layernorm", "face_tower", "temporal_tower", "audio_tower",
             "multi_modal_projector", "language_model", "lora")  # fmt: skip
    return {part: counts[part] for part in order if part in counts}


def trained_state(model: Any) -> dict[str, torch.Tensor]:
    """The weights that learn, by name, on the CPU; tied weights once."""
    own = model.named_parameters()  # names tied weights once
    return {name: p.detach().cpu().contiguous() for name, p in own if p.requires_grad}


def save_trained(state: Mapping[str, torch.Tensor], folder: Path) -> Path:
    """Write weights into a folder, whole or not at all."""
    from safetensors.torch import save_file

    return write_whole(folder / TRAINED_FILE, lambda half: save_file(dict(state), str(half), metadata={"format": "pt"}))


def load_trained(model: Any, folder: Path) -> None:
    """Put the weights of a checkpoint back where they were.

    Raises:
        InputError: the checkpoint lacks weights that learn, has others, or of another shape.
    """
    import torch
    from safetensors.torch import load_file

    path = folder / TRAINED_FILE
    if not path.is_file():
        raise InputError(f"{folder} is no checkpoint of this training: {TRAINED_FILE} is missing")
    stored = load_file(str(path))
    own = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    wrong = sorted(
        (set(stored) ^ set(own)) | {name for name in set(own) & set(stored) if own[name].shape != stored[name].shape}
    )
    if wrong:
        raise InputError(
            f"{path} does not fit the model: {len(wrong)} weights are missing, unknown or of another shape "
            f"({', '.join(wrong[:3])}); resume with the recipe that the checkpoint was made by"
        )
    with torch.no_grad():
        for name, value in stored.items():
            own[name].copy_(value)


def _adapter_names(model: Any) -> set[str]:
    return {name for name, _ in model.named_parameters() if ".lora_" in name}
