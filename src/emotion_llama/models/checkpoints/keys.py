"""Where every tensor of the published files belongs, which are left behind and why, and which part a file is.

Pure tables over names: nothing here reads a file. Published names follow UPSTREAM 1.3 E and `keys_7b.json`; the timm
names of the three vision encoders are the names of our modules too, so that conversion only changes prefixes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from emotion_llama.errors import InputError
from emotion_llama.models.checkpoints.published import Role
from emotion_llama.models.checkpoints.tensor_files import TensorInfo, TensorSource

TITLES: dict[Role, str] = {
    "weights": "trained part of Emotion-LLaMA",
    "base": "MiniGPT-v2 start weights",
    "eva": "EVA vision transformer (global encoder)",
    "mae": "MAE vision transformer (face encoder)",
    "videomae": "VideoMAE vision transformer (temporal encoder)",
    "hubert": "HuBERT (audio encoder)",
    "llama": "language model",
}
# Prefix of each encoder's parameters in EmotionLlamaForConditionalGeneration.
TOWER_OF_ROLE: dict[Role, str] = {
    "eva": "vision_tower",
    "mae": "face_tower",
    "videomae": "temporal_tower",
    "hubert": "audio_tower",
}
LANGUAGE_MODEL = "language_model"
# Published linear layer -> our layer; the order is that of the soft tokens except that `llama_proj` comes first.
PROJECTIONS = {
    "llama_proj": "multi_modal_projector.patches",
    "feats_llama_proj1": "multi_modal_projector.face",
    "feats_llama_proj2": "multi_modal_projector.temporal",
    "feats_llama_proj3": "multi_modal_projector.audio",
    "cls_tk_llama_proj": "multi_modal_projector.global_view",
    "ln_vision": "vision_layernorm",
}
# What peft puts before our parameter names in an adapter file.
ADAPTER_PREFIX = "base_model.model."

_LORA = r"llama_model\.base_model\.model\.(model\.layers\.\d+\.[a-z_]+\.[a-z_]+)\.lora_([AB])(?:\.default)?\.weight"
_VIT = (
    r"(cls_token|pos_embed|patch_embed\.proj\.(?:weight|bias)"
    r"|blocks\.\d+\.(?:norm[12]|attn\.(?:qkv|proj)|mlp\.fc[12])\.(?:weight|bias)|blocks\.\d+\.attn\.[qv]_bias)"
)

_ROTARY = {r".*rotary_emb\.inv_freq": "rotary frequencies are computed from the configuration"}
_HEAD = "classification head, not on the path of the features"
_DECODER = "decoder of the masked pre-training"
_TRAINED = {
    **{rf"{name}\.(weight|bias)": rf"{ours}.\1" for name, ours in PROJECTIONS.items()},
    # peft 0.2 wrote `lora_A.weight`; later releases write `lora_A.default.weight`.
    _LORA: rf"{ADAPTER_PREFIX}{LANGUAGE_MODEL}.\1.lora_\2.weight",
}
_TRAINED_IGNORED = {
    **_ROTARY,
    r"attention\..*": "head of an earlier fusion model that the published forward pass never calls",
}
_POSITIONS_OF_CONV = "audio_tower.encoder.pos_conv_embed.conv.parametrizations.weight.original"

# Role -> pattern of a published name -> our name.
_RENAMES: dict[Role, dict[str, str]] = {
    "weights": _TRAINED,
    "base": _TRAINED,
    "eva": {_VIT: r"vision_tower.\1"},
    "mae": {
        r"(?:module\.)?" + _VIT: r"face_tower.\1",
        r"(?:module\.)?norm\.(weight|bias)": r"face_tower.norm.\1",
    },
    "videomae": {r"(?:module\.)?(?:backbone\.)?(?:encoder\.)?" + _VIT: r"temporal_tower.\1"},
    "hubert": {
        # torch's weight normalisation spelled before 2.0, and since.
        r"(?:hubert\.)?encoder\.pos_conv_embed\.conv\.weight_g": f"{_POSITIONS_OF_CONV}0",
        r"(?:hubert\.)?encoder\.pos_conv_embed\.conv\.weight_v": f"{_POSITIONS_OF_CONV}1",
        r"(?:hubert\.)?((?:feature_extractor|feature_projection|encoder)\..*|masked_spec_embed)": r"audio_tower.\1",
    },
    "llama": {r"(.+)": rf"{LANGUAGE_MODEL}.\1"},  # any causal language model: the model's own names decide
}

# Role -> pattern of a published name -> why such a tensor is left behind.
_IGNORED: dict[Role, dict[str, str]] = {
    "weights": _TRAINED_IGNORED,
    "base": _TRAINED_IGNORED,
    "eva": {
        r"(norm|fc_norm)\..*": "the reference takes the last block's output; `ln_vision` follows instead",
        r"head\..*": _HEAD,
        r"mask_token|lm_head\..*": "only used by masked pre-training",
    },
    "mae": {
        r"(module\.)?(decoder_.*|mask_token)": _DECODER,
        r"(module\.)?fc_norm\..*": "the feature is the class token after `norm`, before any `fc_norm`",
        r"(module\.)?head\..*": _HEAD,
    },
    "videomae": {
        r"(module\.)?(decoder\..*|encoder_to_decoder\..*|(encoder\.)?mask_token)": _DECODER,
        r"(module\.)?(backbone\.)?(encoder\.)?(norm|fc_norm)\..*": (
            "the feature is the mean over the last block's raw tokens, without a norm"
        ),
        r"(module\.)?(backbone\.)?(encoder\.)?head\..*": _HEAD,
        r"(module\.)?(encoder\.)?pos_embed": "positions are the fixed sine-cosine table, computed",
    },
    "hubert": {
        r"(lm_head|quantizer|project_hid|project_q|final_proj|projector|classifier)\..*": "pre-training head",
        r"label_embs_concat": "pre-training targets",
    },
    "llama": _ROTARY,
}


def place(role: Role, name: str) -> tuple[str | None, str] | None:
    """Where the tensor `name` of a published file goes; None when no rule knows the name.

    Returns:
        our parameter's name (an adapter name for LoRA) and "", or None and why the tensor is left behind.
    """
    for pattern, reason in _IGNORED[role].items():
        if re.fullmatch(pattern, name):
            return None, reason
    for pattern, target in _RENAMES[role].items():
        if match := re.fullmatch(pattern, name):
            return match.expand(target), ""
    return None


def published_name(ours: str) -> tuple[Role, str]:
    """The published file and name of one of our parameters or adapter tensors: the inverse of `place`.

    Spellings are those of the reference: peft 0.2 for LoRA, `encoder.` before VideoMAE's names.

    Raises:
        KeyError: when the name is none of the model's.
    """
    lora = re.fullmatch(rf"{re.escape(ADAPTER_PREFIX + LANGUAGE_MODEL)}\.(.*)\.lora_([AB])(?:\.default)?\.weight", ours)
    if lora:
        return "weights", f"llama_model.base_model.model.{lora[1]}.lora_{lora[2]}.weight"
    for published, module in PROJECTIONS.items():
        if ours.startswith(f"{module}."):
            return "weights", published + ours[len(module) :]
    if ours.startswith(f"{LANGUAGE_MODEL}."):
        return "llama", ours[len(LANGUAGE_MODEL) + 1 :]
    for role, tower in TOWER_OF_ROLE.items():
        if ours.startswith(f"{tower}."):
            name = ours[len(tower) + 1 :]
            return role, f"encoder.{name}" if role == "videomae" else name
    raise KeyError(ours)


def block_count(names: Iterable[str]) -> int:
    """Number of transformer blocks among timm names: the highest `blocks.N.` plus one; 0 without any."""
    indices = (re.search(r"(?:^|\.)blocks\.(\d+)\.", name) for name in names)
    return max((int(match[1]) + 1 for match in indices if match), default=0)


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
        # Start weights may be given as trained ones and the other way round: both hold projections and LoRA.
        if found is None or found == role or {found, role} == {"weights", "base"}:
            continue
        raise InputError(
            f"{source.path}: given as --{role}, but its tensors are those of another part: {TITLES[found]}; "
            f"give it as --{found}, and the {TITLES[role]} as --{role}"
        )
