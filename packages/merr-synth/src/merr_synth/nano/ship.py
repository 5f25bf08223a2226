"""A trained small model made ready to be shipped: the adapter merged, weights rounded to half precision, one folder.

The config goes on saying float32, so that whoever loads the folder computes in float32 with the rounded weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from emotion_llama.errors import InputError
from emotion_llama.train.weights import with_cache

MOST_BYTES = 40_000_000  # of the whole folder
WEIGHTS = "model.safetensors"


def ship(trained: Path, out: Path) -> int:
    """Write the folder; its size in bytes.

    Args:
        trained: a model with or without an adapter beside it, as training leaves it.
        out: folder of the shipped model; files of an earlier one are replaced, others are left.

    Raises:
        InputError: `trained` holds no model, a weight is too large for half precision, or the folder would be larger
            than `MOST_BYTES`.
    """
    import torch
    from safetensors.torch import save_file

    from emotion_llama import models
    from emotion_llama.models import adapters

    if not (trained / "config.json").is_file():
        raise InputError(f"{trained} holds no model: config.json is missing; give the folder that training wrote")
    build: Any = models.EmotionLlamaForConditionalGeneration
    prepare: Any = models.EmotionLlamaProcessor
    model = build.from_pretrained(trained, dtype=torch.float32)
    if adapters.adapted_layers(model):
        adapters.merge(model)
    with_cache(model)
    state = {name: half(name, value) for name, value in model.state_dict().items()}
    size = sum(value.numel() * value.element_size() for value in state.values())
    if size > MOST_BYTES:
        raise InputError(f"{trained}: {size / 1e6:.0f} MB of weights, at most {MOST_BYTES / 1e6:.0f} MB are shipped")
    out.mkdir(parents=True, exist_ok=True)
    save_file(state, str(out / WEIGHTS), metadata={"format": "pt"})
    (out / WEIGHTS).chmod(0o644)  # safetensors writes files that others cannot read, installed by root or not
    model.config.save_pretrained(out)
    model.generation_config.save_pretrained(out)
    prepare.from_pretrained(trained).save_pretrained(out)
    return sum(path.stat().st_size for path in out.iterdir() if path.is_file())


def add_familiar(features: Path, known: Sequence[str], others: Sequence[str], out: Path) -> dict[str, float]:
    """Write what of a shipped model's clips is familiar into its folder; the farthest familiar distance by encoder.

    Args:
        features: store of its own encoders.
        known: clips that it learned from.
        others: clips of other people, such as the validation clips.
        out: the folder that `ship` wrote.
    """
    import numpy as np

    from emotion_llama.models.features.feature_store import FeatureStore
    from emotion_llama.predictors.model_prompts import SUBJECTS, fit_domain, save_domains

    found = {}
    with FeatureStore(features) as store:
        for name in SUBJECTS:
            rows = [
                np.stack([value for clip in clips if (value := getattr(store[clip], name)) is not None])
                for clips in (known, others)
            ]
            found[name] = fit_domain(rows[0], rows[1])
    save_domains(found, out)
    return {name: farthest for name, (_, _, farthest) in found.items()}


def half(name: str, value: Any) -> Any:
    """A tensor in half precision, if it is one of real numbers.

    Raises:
        InputError: a value is beyond what half precision holds.
    """
    if not value.is_floating_point():
        return value.contiguous()
    rounded = value.half()
    if not rounded.isfinite().all():
        raise InputError(f"{name} holds values beyond half precision (largest {float(value.abs().max()):.3g})")
    return rounded.contiguous()
