"""Where every tensor of the published files belongs, and which are left behind and why.

Pure tables over names: nothing here reads a file. Published names follow UPSTREAM 1.3 E and `keys_7b.json`; the timm
names of the three vision encoders are the names of our modules too, so that conversion only changes prefixes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from emotion_llama.models.known_files import Role

# Prefix of each encoder's parameters in EmotionLlamaForConditionalGeneration.
TOWER_OF_ROLE = {"eva": "vision_tower", "mae": "face_tower", "videomae": "temporal_tower", "hubert": "audio_tower"}
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


class Placement(NamedTuple):
    """Where one published tensor goes.

    Attributes:
        target: our parameter's name (an adapter name for LoRA); None when the tensor is left behind.
        reason: why it is left behind; "" when it is placed.
    """

    target: str | None
    reason: str


class _Rename(NamedTuple):
    pattern: str
    target: str


class _Ignore(NamedTuple):
    pattern: str
    reason: str


_ROTARY = _Ignore(r".*rotary_emb\.inv_freq", "rotary frequencies are computed from the configuration")
_HEAD = _Ignore(r"head\..*", "classification head, not on the path of the features")

_LORA = r"llama_model\.base_model\.model\.(model\.layers\.\d+\.[a-z_]+\.[a-z_]+)\.lora_([AB])(?:\.default)?\.weight"
_VIT = (
    r"(cls_token|pos_embed|patch_embed\.proj\.(?:weight|bias)"
    r"|blocks\.\d+\.(?:norm[12]|attn\.(?:qkv|proj)|mlp\.fc[12])\.(?:weight|bias)|blocks\.\d+\.attn\.[qv]_bias)"
)

_TRAINED = (
    *(_Rename(rf"{name}\.(weight|bias)", rf"{ours}.\1") for name, ours in PROJECTIONS.items()),
    # peft 0.2 wrote `lora_A.weight`; later releases write `lora_A.default.weight`.
    _Rename(_LORA, rf"{ADAPTER_PREFIX}{LANGUAGE_MODEL}.\1.lora_\2.weight"),
)
_TRAINED_IGNORED = (
    _ROTARY,
    _Ignore(r"attention\..*", "head of an earlier fusion model that the published forward pass never calls"),
)

_RENAMES: dict[Role, tuple[_Rename, ...]] = {
    "weights": _TRAINED,
    "base": _TRAINED,
    "eva": (_Rename(_VIT, r"vision_tower.\1"),),
    "mae": (
        _Rename(r"(?:module\.)?" + _VIT, r"face_tower.\1"),
        _Rename(r"(?:module\.)?norm\.(weight|bias)", r"face_tower.norm.\1"),
    ),
    "videomae": (_Rename(r"(?:module\.)?(?:backbone\.)?(?:encoder\.)?" + _VIT, r"temporal_tower.\1"),),
    "hubert": (
        # torch's weight normalisation spelled before 2.0, and since.
        _Rename(
            r"(?:hubert\.)?encoder\.pos_conv_embed\.conv\.weight_g",
            "audio_tower.encoder.pos_conv_embed.conv.parametrizations.weight.original0",
        ),
        _Rename(
            r"(?:hubert\.)?encoder\.pos_conv_embed\.conv\.weight_v",
            "audio_tower.encoder.pos_conv_embed.conv.parametrizations.weight.original1",
        ),
        _Rename(
            r"(?:hubert\.)?((?:feature_extractor|feature_projection|encoder)\..*|masked_spec_embed)", r"audio_tower.\1"
        ),
    ),
    "llama": (_Rename(r"(.+)", rf"{LANGUAGE_MODEL}.\1"),),  # any causal language model: the model's own names decide
}

_IGNORED: dict[Role, tuple[_Ignore, ...]] = {
    "weights": _TRAINED_IGNORED,
    "base": _TRAINED_IGNORED,
    "eva": (
        _Ignore(r"(norm|fc_norm)\..*", "the reference takes the last block's output; `ln_vision` follows instead"),
        _HEAD,
        _Ignore(r"mask_token|lm_head\..*", "only used by masked pre-training"),
    ),
    "mae": (
        _Ignore(r"(module\.)?(decoder_.*|mask_token)", "decoder of the masked pre-training"),
        _Ignore(r"(module\.)?fc_norm\..*", "the feature is the class token after `norm`, before any `fc_norm`"),
        _Ignore(r"(module\.)?head\..*", _HEAD.reason),
    ),
    "videomae": (
        _Ignore(
            r"(module\.)?(decoder\..*|encoder_to_decoder\..*|(encoder\.)?mask_token)",
            "decoder of the masked pre-training",
        ),
        _Ignore(
            r"(module\.)?(backbone\.)?(encoder\.)?(norm|fc_norm)\..*",
            "the feature is the mean over the last block's raw tokens, without a norm",
        ),
        _Ignore(r"(module\.)?(backbone\.)?(encoder\.)?head\..*", _HEAD.reason),
        _Ignore(r"(module\.)?(encoder\.)?pos_embed", "positions are the fixed sine-cosine table, computed"),
    ),
    "hubert": (
        _Ignore(r"(lm_head|quantizer|project_hid|project_q|final_proj|projector|classifier)\..*", "pre-training head"),
        _Ignore(r"label_embs_concat", "pre-training targets"),
    ),
    "llama": (_ROTARY,),
}


def place(role: Role, name: str) -> Placement | None:
    """Where the tensor `name` of a published file goes; None when no rule knows the name."""
    for ignore in _IGNORED[role]:
        if re.fullmatch(ignore.pattern, name):
            return Placement(None, ignore.reason)
    for rename in _RENAMES[role]:
        match = re.fullmatch(rename.pattern, name)
        if match:
            return Placement(match.expand(rename.target), "")
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
            return role, f"encoder.{name}" if role == "videomae" else name  # type: ignore[return-value]
    raise KeyError(ours)


def block_count(names: Iterable[str]) -> int:
    """Number of transformer blocks among timm names: the highest `blocks.N.` plus one; 0 without any."""
    indices = (re.search(r"(?:^|\.)blocks\.(\d+)\.", name) for name in names)
    return max((int(match[1]) + 1 for match in indices if match), default=0)
