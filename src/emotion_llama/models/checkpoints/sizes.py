"""The configuration of a converted model: read off the tensors' shapes and the folders' own configurations.

Shapes tell everything of a vision transformer but its number of heads and, for VideoMAE, the picture size. The
published widths have one number of heads each (`HEADS_OF_WIDTH`); for any other width it has to be given, because a
wrong number of heads loads without an error and computes something else.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emotion_llama.errors import InputError
from emotion_llama.models.checkpoints.json_files import read_json_object
from emotion_llama.models.checkpoints.keys import block_count
from emotion_llama.models.checkpoints.pickles import TensorInfo
from emotion_llama.models.checkpoints.plan import Plan

if TYPE_CHECKING:
    from emotion_llama.models.configuration_emotion_llama import EmotionLlamaConfig

# Width -> heads. 1408: EVA-CLIP ViT-g (88 wide heads); the others: ViT S, B, L, H of MAE and VideoMAE.
HEADS_OF_WIDTH = {1408: 16, 384: 6, 768: 12, 1024: 16, 1280: 16}
# The published EVA file may hold a 40th block; create_eva_vit_g(depth=39) never runs it.
EVA_DEPTH_OF_WIDTH = {1408: 39}
# The biases that a whole file of each encoder has.
_QKV_BIAS = {"eva": "query_value", "mae": "full", "videomae": "query_value"}


@dataclass(frozen=True)
class SizeOptions:
    """What shapes cannot tell; `None` takes the rule of this module.

    Attributes:
        eva_heads, mae_heads, videomae_heads: attention heads.
        eva_depth: blocks of the EVA ViT to keep.
        image_size: side of the frame that EVA reads, pixels (MiniGPT-v2: 448).
        videomae_image_size: side of VideoMAE's frames, pixels.
        videomae_frames: frames that VideoMAE reads together, an even number: half as many moments of a clip, two
            frames of each.
        lora_alpha: scale of the adapter; `None`: what the file's own record says, else 16 (UPSTREAM 1.3 E).
    """

    eva_heads: int | None = None
    mae_heads: int | None = None
    videomae_heads: int | None = None
    eva_depth: int | None = None
    image_size: int = 448
    videomae_image_size: int = 224
    videomae_frames: int = 16
    lora_alpha: float | None = None

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if value is not None and not (value > 0 and math.isfinite(value)):
                raise InputError(f"--{name.replace('_', '-')} {value}: expected a number above 0")
        if self.videomae_frames % 2:
            raise InputError(
                f"--videomae-frames {self.videomae_frames}: expected an even number, 2 or more: VideoMAE reads pairs "
                "of consecutive frames"
            )


def model_config(plan: Plan, options: SizeOptions, *, llama: Path, hubert: Path) -> EmotionLlamaConfig:
    """The configuration that the placed tensors imply.

    Raises:
        InputError: a folder without `config.json`, shapes that contradict each other, or heads that must be given.
    """
    from emotion_llama.models import register_auto_classes

    register_auto_classes()  # names the extra where transformers is missing
    from emotion_llama.models.configuration_emotion_llama import EmotionLlamaConfig

    eva = _vision(plan.infos("vision_tower"), "eva", options.eva_heads)
    vision = {**eva, "image_size": options.image_size, "final_norm": False}
    table_size = _table_size(plan.infos("vision_tower"), vision["patch_size"], "eva")
    if table_size != options.image_size:
        vision["position_image_size"] = table_size
    face = _vision(plan.infos("face_tower"), "mae", options.mae_heads)
    face["image_size"] = _table_size(plan.infos("face_tower"), face["patch_size"], "mae")
    temporal = {
        **_vision(plan.infos("temporal_tower"), "videomae", options.videomae_heads),
        "use_class_token": False,
        "position_table": "sincos",
        "final_norm": False,
        "image_size": options.videomae_image_size,
        "num_frames": options.videomae_frames,
        "tubelet_size": _needed(plan.infos("temporal_tower"), "patch_embed.proj.weight", "videomae", 5).shape[2],
    }
    _check_front_end(hubert)
    return EmotionLlamaConfig(
        vision_config=vision,
        face_config=face,
        temporal_config=temporal,
        audio_config=_folder_config(hubert),
        text_config=_folder_config(llama),
        patches_per_token=_patches_per_token(plan, vision["hidden_size"]),
        prompt_layout="released",  # what the published evaluation feeds (UPSTREAM 1.3 F)
        frame_policy="first",  # UPSTREAM 1.3 D
    )


def eva_depth(plan: Plan, options: SizeOptions) -> int | None:
    """Blocks of the EVA ViT that are run; None for all of them."""
    infos = plan.infos("vision_tower")
    if options.eva_depth is None:
        embed = infos.get("patch_embed.proj.weight")
        return EVA_DEPTH_OF_WIDTH.get(embed.shape[0]) if embed and embed.shape else None
    if options.eva_depth > block_count(infos):
        raise InputError(f"--eva-depth {options.eva_depth}: the file of --eva has {block_count(infos)} blocks")
    return options.eva_depth


def _vision(infos: Mapping[str, TensorInfo], role: str, heads: int | None) -> dict[str, Any]:
    """Fields of EmotionLlamaVitConfig that are in the shapes."""
    embed = _needed(infos, "patch_embed.proj.weight", role, 5 if role == "videomae" else 4)
    width = embed.shape[0]
    hidden = _needed(infos, "blocks.0.mlp.fc1.weight", role, 2).shape[0]
    if heads is None:
        heads = HEADS_OF_WIDTH.get(width)
    if heads is None:
        known = ", ".join(str(w) for w in sorted(HEADS_OF_WIDTH))
        raise InputError(
            f"the number of attention heads of a {role} encoder {width} wide is not in its file (known widths: "
            f"{known}); give --{role}-heads"
        )
    if width % heads:
        raise InputError(f"--{role}-heads {heads} does not divide the encoder's width {width}")
    return {
        "hidden_size": width,
        "num_channels": embed.shape[1],
        "patch_size": embed.shape[-1],
        "num_hidden_layers": block_count(infos),
        "num_attention_heads": heads,
        "mlp_ratio": _ratio(hidden, width),
        "qkv_bias": "full" if "blocks.0.attn.qkv.bias" in infos else _QKV_BIAS[role],
    }


def _ratio(hidden: int, width: int) -> float:
    """A ratio that gives `hidden` again when multiplied and rounded down; the published spelling where it does."""
    for ratio in (4.0, 4.3637, hidden / width):
        if int(width * ratio) == hidden:
            return ratio
    return (hidden + 0.5) / width


def _table_size(infos: Mapping[str, TensorInfo], patch_size: int, role: str) -> int:
    """Picture size that a position table of one class token and n x n patches belongs to."""
    rows = _needed(infos, "pos_embed", role, 3).shape[1] - 1
    grid = math.isqrt(max(rows, 0))
    if grid * grid != rows:
        raise InputError(f"{role}: the position table has {rows} rows beside the class token's; expected n x n")
    return grid * patch_size


def _patches_per_token(plan: Plan, width: int) -> int:
    columns = _needed(plan.infos("multi_modal_projector"), "patches.weight", "weights: llama_proj", 2, "").shape[1]
    if columns % width:
        raise InputError(
            f"llama_proj takes {columns} numbers, which is no multiple of EVA's width {width}; "
            "--weights and --eva do not belong together"
        )
    return columns // width


def _needed(
    infos: Mapping[str, TensorInfo], name: str, role: str, num_axes: int, hint: str = "is it the right file?"
) -> TensorInfo:
    if name not in infos:
        raise InputError(f"{role}: {name} is missing" + (f"; {hint}" if hint else ""))
    if len(infos[name].shape) != num_axes or 0 in infos[name].shape:
        raise InputError(f"{role}: {name} has shape {list(infos[name].shape)}; expected {num_axes} axes, none empty")
    return infos[name]


def _check_front_end(hubert: Path) -> None:
    """The audio recipe normalises 16 kHz sound; a HuBERT that was trained on anything else would hear it wrongly."""
    path = hubert / "preprocessor_config.json"
    stored = read_json_object(path) if path.is_file() else {}
    rate, normalised = stored.get("sampling_rate", 16_000), stored.get("do_normalize", True)
    if rate != 16_000 or not normalised:
        raise InputError(
            f"{path}: sampling_rate {rate}, do_normalize {normalised}; expected 16000 and true, as chinese-hubert-large"
        )


def _folder_config(folder: Path) -> Any:
    from huggingface_hub.errors import StrictDataclassError
    from transformers import AutoConfig

    if not (folder / "config.json").is_file():
        raise InputError(f"{folder}: no config.json; give the Hugging Face folder that holds it beside the weights")
    kind = read_json_object(folder / "config.json").get("model_type")
    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, TypeError, LookupError, AttributeError, StrictDataclassError) as error:
        raise InputError(
            f"{folder / 'config.json'}: transformers does not read it (model_type {kind!r}: "
            f"{(str(error).splitlines() or [''])[0]}); fetch it again, or a release of transformers that knows it"
        ) from error
    config.name_or_path = folder.resolve().name  # no paths of this machine in what may be published
    return config
