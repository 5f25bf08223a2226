"""The LoRA part of a published file: written beside the model as a peft adapter, or merged into its layers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from emotion_llama.models.checkpoints.keys import ADAPTER_PREFIX, LANGUAGE_MODEL

if TYPE_CHECKING:
    import torch

# Emotion-LLaMA's training configuration (UPSTREAM 1.3 E); alpha is also in the files of training runs.
PUBLISHED_ALPHA = 16.0
PUBLISHED_DROPOUT = 0.05


def adapter_config(rank: int, alpha: float, modules: list[str]) -> dict[str, Any]:
    """What peft's `adapter_config.json` holds; transformers loads an adapter that lies in the model's own folder.

    The modules are a pattern with the language model's prefix, because HuBERT has layers called `q_proj` as well.
    """
    return {
        "peft_type": "LORA",
        "task_type": None,
        "base_model_name_or_path": None,
        "r": rank,
        "lora_alpha": int(alpha) if float(alpha).is_integer() else alpha,
        "lora_dropout": PUBLISHED_DROPOUT,
        "target_modules": rf"{LANGUAGE_MODEL}\..*\.({'|'.join(modules)})",
        "bias": "none",
        "fan_in_fan_out": False,
        "inference_mode": True,
    }


def alpha_of(extras: Mapping[str, Any]) -> float | None:
    """LoRA's alpha in the configuration that a training run saved with its weights; None when it is not there."""
    config = extras.get("config")
    model = config.get("model") if isinstance(config, Mapping) else None
    alpha = model.get("lora_alpha") if isinstance(model, Mapping) else None
    return float(alpha) if isinstance(alpha, (int, float)) else None


def merged(
    name: str, weight: torch.Tensor, read: Callable[[str], torch.Tensor], scale: float, adapter_names: Mapping[str, Any]
) -> torch.Tensor:
    """[out, in] `weight` plus scale * B A in float32 where the layer `name` carries LoRA; `weight` itself elsewhere."""
    stem = ADAPTER_PREFIX + name.removesuffix(".weight")
    if f"{stem}.lora_A.weight" not in adapter_names:
        return weight
    down, up = (read(f"{stem}.lora_{half}.weight").float() for half in "AB")
    return weight.float() + scale * (up @ down)
