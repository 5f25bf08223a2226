"""Which weights of a model learn, and those weights alone in a file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emotion_llama.errors import InputError

if TYPE_CHECKING:
    import torch

TRAINED_FILE = "trained.safetensors"
PARTS: Mapping[str, tuple[str, ...]] = {
    "projector": ("multi_modal_projector.",),
    "lora": ("language_model.",),  # of these, the adapter's own weights
    "language_model": ("language_model.",),
    "encoders": ("vision_tower.", "vision_layernorm.", "face_tower.", "temporal_tower.", "audio_tower."),
}


@dataclass(frozen=True)
class PartCount:
    """Parameters of a part: all of them, and those that learn."""

    part: str
    total: int
    trained: int


def choose_trained(model: Any, parts: Iterable[str]) -> None:
    """Let the weights of `parts` learn and freeze all others.

    The published training lets the projections and the LoRA learn and freezes encoders and language model.

    Args:
        model: an EmotionLlamaForConditionalGeneration, with its adapter where "lora" is among the parts.
        parts: names of `PARTS`.

    Raises:
        InputError: a part is unknown, nothing learns, or "lora" is asked for and there is none.
    """
    wanted = set(parts)
    if unknown := sorted(wanted - set(PARTS)):
        raise InputError(f"no part {unknown[0]!r} of the model can learn (there are: {', '.join(PARTS)})")
    if not wanted:
        raise InputError(f"nothing of the model is to learn; name some of: {', '.join(PARTS)}")
    adapter = _adapter_names(model)
    if "lora" in wanted and not adapter:
        raise InputError("the model has no LoRA adapter to train; give the recipe a `lora` section")
    prefixes = tuple(prefix for part in wanted - {"lora"} for prefix in PARTS[part])
    for name, parameter in model.named_parameters():
        is_lora = name in adapter
        parameter.requires_grad_((is_lora and "lora" in wanted) or (not is_lora and name.startswith(prefixes)))


def count_parts(model: Any) -> list[PartCount]:
    """Parameters of encoders, projections, language model and adapter, in this order."""
    adapter = _adapter_names(model)
    rows: dict[str, list[int]] = {}
    for name, parameter in model.named_parameters():
        part = "lora" if name in adapter else name.partition(".")[0]
        row = rows.setdefault(part, [0, 0])
        row[0] += parameter.numel()
        row[1] += parameter.numel() if parameter.requires_grad else 0
    order = ("vision_tower", "vision_layernorm", "face_tower", "temporal_tower", "audio_tower",
             "multi_modal_projector", "language_model", "lora")  # fmt: skip
    return [PartCount(part, *rows[part]) for part in order if part in rows]


def trained_state(model: Any) -> dict[str, torch.Tensor]:
    """The weights that learn, by name, on the CPU; tied weights once."""
    own = model.named_parameters()  # names tied weights once
    return {name: p.detach().cpu().contiguous() for name, p in own if p.requires_grad}


def save_trained(state: Mapping[str, torch.Tensor], folder: Path) -> Path:
    """Write weights into a folder, whole or not at all."""
    from safetensors.torch import save_file

    path = folder / TRAINED_FILE
    half = path.with_suffix(".tmp")
    save_file(dict(state), str(half), metadata={"format": "pt"})
    half.replace(path)
    return path


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
    """Names of the adapter's own weights."""
    return {name for name, _ in model.named_parameters() if ".lora_" in name}
