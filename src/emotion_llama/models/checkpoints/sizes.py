"""Configuration and tokenizer of a converted model: from the tensors' shapes and the folders' own files.

Shapes give everything of a vision transformer but its number of heads and, for VideoMAE, the picture size. The
published widths have one number of heads each (`HEADS_OF_WIDTH`); for any other width it has to be given, because a
wrong number of heads loads without an error and computes something else.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from emotion_llama.errors import InputError
from emotion_llama.models.checkpoints.keys import block_count
from emotion_llama.models.checkpoints.tensor_files import TensorInfo
from emotion_llama.models.folders import read_json_object
from emotion_llama.prompts.tokenise import PUBLISHED_PAD, load_tokenizer

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from emotion_llama.models.configuration_emotion_llama import EmotionLlamaConfig

# Width -> heads. 1408: EVA-CLIP ViT-g (88 wide heads); the others: ViT S, B, L, H of MAE and VideoMAE.
HEADS_OF_WIDTH = {1408: 16, 384: 6, 768: 12, 1024: 16, 1280: 16}
# The published EVA file may hold a 40th block; create_eva_vit_g(depth=39) never runs it.
EVA_DEPTH_OF_WIDTH = {1408: 39}
# The biases that a whole file of each encoder has.
_QKV_BIAS = {"eva": "query_value", "mae": "full", "videomae": "query_value"}
_TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json")
Dtype = Literal["stored", "float32", "float16", "bfloat16"]


@dataclass(frozen=True)
class ConversionOptions:
    """How to convert, and what shapes do not say; `None` takes the rule of this module."""

    dtype: Dtype = "stored"  # "stored" keeps every tensor as it came, so that `export` gives the same bits back
    merge: bool = False  # add the LoRA to the language model's weights instead of keeping it as an adapter
    # draw projections that no file holds (start weights have none for the face, temporal, audio and global tokens) as
    # torch draws a new linear layer, from this seed; None: they have to be there
    new_projections: int | None = None
    max_shard_bytes: int = 2 * 10**9  # size of one output file
    # eva_heads, mae_heads, videomae_heads: attention heads
    eva_heads: int | None = None
    mae_heads: int | None = None
    videomae_heads: int | None = None
    eva_depth: int | None = None  # blocks of the EVA ViT to keep
    image_size: int = 448  # side of the frame for EVA, pixels (MiniGPT-v2: 448)
    videomae_image_size: int = 224  # side of VideoMAE's frames, pixels
    # frames that VideoMAE takes together, an even number: half as many moments of a clip, two frames of each
    videomae_frames: int = 16
    # scale of the adapter; `None`: what the file's own record says, else 16 (UPSTREAM 1.3 E)
    lora_alpha: float | None = None

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if name in ("dtype", "merge", "new_projections", "max_shard_bytes"):
                continue
            if value is not None and not (value > 0 and math.isfinite(value)):
                raise InputError(f"--{name.replace('_', '-')} {value}: expected a number above 0")
        if self.videomae_frames % 2:
            raise InputError(
                f"--videomae-frames {self.videomae_frames}: expected an even number, 2 or more: VideoMAE takes pairs "
                "of consecutive frames"
            )


def model_config(
    infos: Mapping[str, TensorInfo], options: ConversionOptions, *, llama: Path, hubert: Path
) -> EmotionLlamaConfig:
    """The configuration that the placed tensors, by our names, imply.

    Raises:
        InputError: a folder without `config.json`, shapes that contradict each other, or heads that must be given.
    """
    from emotion_llama.models import register_auto_classes

    register_auto_classes()  # names the extra where transformers is missing
    from emotion_llama.models.configuration_emotion_llama import EmotionLlamaConfig

    towers = {name: _below(infos, f"{name}_tower") for name in ("vision", "face", "temporal")}
    vision = _vision(towers["vision"], "eva", options.eva_heads)
    vision |= {"image_size": options.image_size, "final_norm": False}
    table_size = _table_size(towers["vision"], vision["patch_size"], "eva")
    if table_size != options.image_size:
        vision["position_image_size"] = table_size
    face = _vision(towers["face"], "mae", options.mae_heads)
    face["image_size"] = _table_size(towers["face"], face["patch_size"], "mae")
    temporal = _vision(towers["temporal"], "videomae", options.videomae_heads)
    temporal |= {
        "use_class_token": False,
        "position_table": "sincos",
        "final_norm": False,
        "image_size": options.videomae_image_size,
        "num_frames": options.videomae_frames,
        "tubelet_size": _needed(towers["temporal"], "patch_embed.proj.weight", "videomae", 5).shape[2],
    }
    _check_front_end(hubert)
    return EmotionLlamaConfig(
        vision_config=vision,
        face_config=face,
        temporal_config=temporal,
        audio_config=_folder_config(hubert),
        text_config=_folder_config(llama),
        patches_per_token=_patches_per_token(_below(infos, "multi_modal_projector"), vision["hidden_size"]),
        prompt_layout="released",  # what the published evaluation feeds (UPSTREAM 1.3 F)
        frame_policy="first",  # UPSTREAM 1.3 D
    )


def unused_blocks(infos: Mapping[str, TensorInfo], options: ConversionOptions) -> tuple[list[str], str]:
    """Names in the EVA blocks that the reference does not build (the published file may hold a 40th), and why."""
    vision = _below(infos, "vision_tower")
    embed = vision.get("patch_embed.proj.weight")
    depth = options.eva_depth
    if depth is None:
        depth = EVA_DEPTH_OF_WIDTH.get(embed.shape[0]) if embed and embed.shape else None
    elif depth > block_count(vision):
        raise InputError(f"--eva-depth {depth}: the file of --eva has {block_count(vision)} blocks")
    blocks = [name for name in infos if depth is not None and name.startswith("vision_tower.blocks.")]
    past = [name for name in blocks if int(name.split(".")[2]) >= (depth or 0)]
    return past, f"the reference builds the first {depth} blocks"


def _below(infos: Mapping[str, TensorInfo], prefix: str) -> dict[str, TensorInfo]:
    return {name[len(prefix) + 1 :]: info for name, info in infos.items() if name.startswith(f"{prefix}.")}


def _vision(infos: Mapping[str, TensorInfo], role: str, heads: int | None) -> dict[str, Any]:
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


def _patches_per_token(projector: Mapping[str, TensorInfo], width: int) -> int:
    columns = _needed(projector, "patches.weight", "weights: llama_proj", 2, "").shape[1]
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


# --- the tokenizer ----------------------------------------------------------------------------------------------------


def read_vocabulary(folder: Path, vocab_size: int) -> tuple[PreTrainedTokenizerBase, int, list[str]]:
    """The tokenizer in a language model's folder, checked against its table of embeddings before anything is written.

    Tokens that were added without a row for them (a "<pad>" of id `vocab_size`, in many copies of LLaMA) are no
    obstacle: they are in no prompt, and padding is done with the published "$$" or the end token instead.

    Returns:
        the tokenizer, whose padding token has a row; the first id that no token and no row has, nor any after it;
        choices that the user did not make.

    Raises:
        InputError: no tokenizer, a broken one, or one with ordinary tokens that the language model has no row for.
        MissingDependency: without transformers, or sentencepiece where needed.
    """
    tokenizer = _tokenizer(folder)
    ids = tokenizer.get_vocab()
    beyond = {token: index for token, index in ids.items() if index >= vocab_size}
    ordinary = sorted(beyond.keys() - tokenizer.get_added_vocab().keys(), key=beyond.__getitem__)
    if ordinary:
        raise InputError(
            f"{folder}: its tokenizer has {len(ordinary):,} tokens past the language model's {vocab_size:,} rows "
            f"({', '.join(map(repr, ordinary[:5]))}); tokenizer and weights are of different models"
        )
    notes = []
    if beyond:
        notes.append(f"the tokenizer's {', '.join(beyond)} {'has' if len(beyond) == 1 else 'have'} no row in the model")
    if tokenizer.pad_token_id is not None and tokenizer.pad_token_id >= vocab_size:
        tokenizer.pad_token = PUBLISHED_PAD if PUBLISHED_PAD in ids else tokenizer.eos_token
        notes.append(f"prompts are padded with {tokenizer.pad_token!r}")
    return tokenizer, 1 + max([vocab_size - 1, *ids.values()]), notes


def _tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    for name in _TOKENIZER_FILES:
        if (folder / name).is_file():
            read_json_object(folder / name)
    try:
        return load_tokenizer(folder)
    except InputError:
        raise
    except Exception as error:
        known = (OSError, ValueError, RuntimeError, TypeError, LookupError, AttributeError)
        if not isinstance(error, known) and type(error) is not Exception:  # the tokenizers library raises a bare one
            raise
        reason = (str(error).splitlines() or [""])[0] or type(error).__name__
        raise InputError(
            f"{folder}: its tokenizer cannot be read ({reason}); fetch its tokenizer files again"
        ) from error
