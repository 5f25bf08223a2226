"""LoRA beside the language model: attach, list, take apart for saving, merge. peft does the work."""

# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel

from emotion_llama.errors import InputError, MissingDependency

_INSTALL = "pip install 'emotion-llama[model]'"
# Figures of the published weights: eval_configs/eval_emotion.yaml and minigpt_v2.py of Emotion-LLaMA.
PUBLISHED_RANK, PUBLISHED_ALPHA, PUBLISHED_DROPOUT = 64, 16, 0.05
PUBLISHED_TARGETS = ("q_proj", "v_proj")


def require_peft() -> None:
    """Raise MissingDependency where peft cannot be imported."""
    try:
        import peft  # noqa: F401
    except ImportError as error:
        raise MissingDependency("peft", "a model with a LoRA adapter", _INSTALL) from error


def add_lora(
    model: PreTrainedModel,
    rank: int = PUBLISHED_RANK,
    alpha: int = PUBLISHED_ALPHA,
    dropout: float = PUBLISHED_DROPOUT,
    targets: Sequence[str] = PUBLISHED_TARGETS,
    name: str = "default",
) -> None:
    """Attach a new adapter to those linear layers of the language model, in no other part (HuBERT has q_proj, too).

    Raises:
        InputError: the language model has no layer of that name.
        MissingDependency: peft is not installed.
    """
    require_peft()
    from peft import LoraConfig

    paths = (path for path, _ in model.named_modules() if path.startswith("language_model."))
    found = {path.rpartition(".")[2] for path in paths}
    if missing := sorted(set(targets) - found):
        raise InputError(f"the language model has no layer named {', '.join(missing)}; name others as targets")
    pattern = rf"language_model\..*\.({'|'.join(targets)})"
    config = LoraConfig(r=rank, lora_alpha=alpha, lora_dropout=dropout, target_modules=pattern, bias="none")
    model.add_adapter(config, adapter_name=name)


def adapted_layers(model: nn.Module) -> dict[str, Any]:
    """Name -> layer, of every layer that an adapter wraps."""
    require_peft()
    from peft.tuners.tuners_utils import BaseTunerLayer

    return {name: layer for name, layer in model.named_modules() if isinstance(layer, BaseTunerLayer)}


def base_state_dict(model: PreTrainedModel, state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """`state` of a model with adapters as it would be without them, tensors shared."""
    layers = tuple(adapted_layers(model))
    base: dict[str, torch.Tensor] = {}
    for name, tensor in state.items():
        layer = next((layer for layer in layers if name.startswith(f"{layer}.")), None)
        if layer is None:
            base[name] = tensor
        elif name.startswith(f"{layer}.base_layer."):
            base[f"{layer}.{name.removeprefix(f'{layer}.base_layer.')}"] = tensor
    return base


def merge(model: PreTrainedModel) -> None:
    """Add the active adapters into the weights they adapt and remove every trace of them.

    Raises:
        InputError: there is no adapter.
        MissingDependency: peft is not installed.
    """
    layers = adapted_layers(model)
    if not layers:
        raise InputError("there is no adapter to merge; load one or call add_lora first")
    for name, layer in layers.items():
        layer.merge(safe_merge=True)
        parent, _, child = name.rpartition(".")
        setattr(model.get_submodule(parent), child, layer.get_base_layer())
    del model.peft_config
    model._hf_peft_config_loaded = False
    # What loading an adapter left: a rule that puts peft's prefix before every name at saving.
    if hasattr(model, "_weight_conversions"):
        del model._weight_conversions


def refuse_stale_adapter(folder: Path) -> None:
    """Raise InputError where a folder holds an adapter that loading would add to other weights saved there."""
    if (folder / "adapter_config.json").exists():
        raise InputError(
            f"{folder} holds an adapter of an earlier save, which loading would add to these weights; "
            "save to another folder, or delete adapter_config.json and adapter_model.safetensors there"
        )
