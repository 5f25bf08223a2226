"""What a file is, by the names and shapes of its tensors: said by `doctor`, and checked by `convert`."""

from __future__ import annotations

from collections.abc import Mapping

from emotion_llama.errors import InputError
from emotion_llama.models.checkpoints.keys import block_count
from emotion_llama.models.checkpoints.pickles import TensorInfo, TensorSource
from emotion_llama.models.known_files import Role

TITLES: dict[Role, str] = {
    "weights": "trained part of Emotion-LLaMA",
    "base": "MiniGPT-v2 start weights",
    "eva": "EVA vision transformer (global encoder)",
    "mae": "MAE vision transformer (face encoder)",
    "videomae": "VideoMAE vision transformer (temporal encoder)",
    "hubert": "HuBERT (audio encoder)",
    "llama": "language model",
}
_TRAINED = ("weights", "base")  # either may be given as the other: both hold projections and LoRA


def recognise(infos: Mapping[str, TensorInfo]) -> Role | None:
    """The part that these tensors are, by their names and shapes; None for something else."""
    names = set(infos)
    if "llama_proj.weight" in names or any(".lora_A." in name and "llama_model" in name for name in names):
        return "weights" if any(name.startswith("feats_llama_proj") for name in names) else "base"
    if any(name.endswith("embed_tokens.weight") for name in names):
        return "llama"
    if any("feature_extractor.conv_layers.0.conv" in name for name in names):
        return "hubert"
    embed = next((info for name, info in infos.items() if name.endswith("patch_embed.proj.weight")), None)
    if embed is None or not block_count(names):
        return None
    if len(embed.shape) == 5:
        return "videomae"
    # EVA has a bias for queries and values alone, MAE one for all three.
    has_all, has_two = (any(name.endswith(f"attn.{bias}") for name in names) for bias in ("qkv.bias", "q_bias"))
    return "eva" if has_two and not has_all else "mae"


def check_roles(opened: Mapping[Role, TensorSource]) -> None:
    """Refuse files that were given in each other's place, before anything is made of their sizes.

    Raises:
        InputError: the tensors of a file are those of another part.
    """
    for role, source in opened.items():
        found = recognise(source.infos)
        if found is None or found == role or {found, role} <= set(_TRAINED):
            continue
        raise InputError(
            f"{source.path}: given as --{role}, but its tensors are those of another part: {TITLES[found]}; "
            f"give it as --{found}, and the {TITLES[role]} as --{role}"
        )
