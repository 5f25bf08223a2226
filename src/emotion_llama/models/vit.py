"""One vision transformer for EVA, MAE and VideoMAE, with the parameter names of their published checkpoints.

Legend: B inputs, T frames, N patches or tubelets, P = 1 with a class token, else 0, D width, S the side in pixels.
"""

# mypy: disable-error-code="misc, no-untyped-call, untyped-decorator"
# (transformers is only partly typed.)

from __future__ import annotations

from functools import lru_cache
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from transformers import initialization as init
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.modeling_outputs import BaseModelOutput
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS, PreTrainedModel
from transformers.utils.output_capturing import OutputRecorder, capture_outputs

from emotion_llama.errors import InputError
from emotion_llama.models.configuration_emotion_llama import EmotionLlamaVitConfig


@lru_cache(maxsize=8)
def sincos_positions(num_positions: int, dim: int) -> npt.NDArray[np.float32]:
    """[num_positions, dim] sine on even columns, cosine on odd, of position / 10000^(2 floor(column / 2) / dim).

    Source: VideoMAE, modeling_finetune.py, get_sinusoid_encoding_table; computed in float64 and rounded once, as there.
    Tubelets count time first, then rows, then columns.
    """
    column = np.arange(dim)
    angle = np.arange(num_positions)[:, None] / np.power(10_000, 2 * (column // 2) / dim)
    return np.where(column % 2 == 0, np.sin(angle), np.cos(angle)).astype(np.float32)


def interpolate_positions(table: torch.Tensor, grid_size: int, num_prefix_tokens: int = 1) -> torch.Tensor:
    """[1, P + grid_size^2, D] a learned table [1, P + n^2, D] for another picture size; the class token's row stays.

    Bicubic in float32 with `align_corners=False`, as MiniGPT-4's eva_vit.py does for eva_vit_g.pth (16x16 -> 32x32).

    Raises:
        InputError: the table is not of a square grid.
    """
    prefix, patches = table[:, :num_prefix_tokens], table[:, num_prefix_tokens:]
    side = round(patches.shape[1] ** 0.5)
    if side * side != patches.shape[1]:
        raise InputError(f"{patches.shape[1]} position vectors are not a square grid; expected n x n after the prefix")
    if side == grid_size:
        return table
    grid = patches.float().reshape(1, side, side, -1).permute(0, 3, 1, 2)
    grid = nn.functional.interpolate(grid, size=(grid_size, grid_size), mode="bicubic", align_corners=False)
    return torch.cat([prefix, grid.permute(0, 2, 3, 1).flatten(1, 2).to(table.dtype)], dim=1)


def eager_attention(
    module: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float,
    dropout: float = 0.0,
    **kwargs: Any,  # what other attention implementations of transformers take
) -> tuple[torch.Tensor, torch.Tensor]:
    """[B, N, heads, D / heads] and the weights; query, key, value are [B, heads, N, D / heads]."""
    weights = torch.softmax(query @ key.transpose(-1, -2) * scaling, dim=-1)
    return (weights @ value).transpose(1, 2).contiguous(), weights


class VitPatchEmbedding(nn.Module):
    """Pictures [B, 3, S, S] or clips [B, 3, T, S, S] to patch vectors [B, N, D]."""

    def __init__(self, config: EmotionLlamaVitConfig) -> None:
        super().__init__()
        patch, frames = config.patch_size, config.num_frames
        kernel: tuple[int, ...] = (patch, patch) if frames == 1 else (config.tubelet_size, patch, patch)
        conv: Any = nn.Conv2d if frames == 1 else nn.Conv3d
        self.proj = conv(config.num_channels, config.hidden_size, kernel_size=kernel, stride=kernel)
        self.input_shape = (config.num_channels,) + (() if frames == 1 else (frames,)) + (config.image_size,) * 2

    def forward(self, pixel_values: torch.Tensor) -> torch.Tensor:
        """[B, N, D]; raises InputError on pixel values of another size than the config's."""
        if tuple(pixel_values.shape[1:]) != self.input_shape:
            sizes = ", ".join(map(str, self.input_shape))
            raise InputError(f"pixel values are {list(pixel_values.shape)}, expected [B, {sizes}]")
        patches: torch.Tensor = self.proj(pixel_values.to(self.proj.weight.dtype))
        return patches.flatten(2).transpose(1, 2)


class VitAttention(nn.Module):
    """Self-attention with one matrix for queries, keys and values."""

    def __init__(self, config: EmotionLlamaVitConfig) -> None:
        super().__init__()
        self.config, self.is_causal = config, False
        width = config.hidden_size
        self.head_dim = width // config.num_attention_heads
        self.qkv = nn.Linear(width, 3 * width, bias=config.qkv_bias == "full")
        self.proj = nn.Linear(width, width)
        if config.qkv_bias == "query_value":
            self.q_bias, self.v_bias = nn.Parameter(torch.zeros(width)), nn.Parameter(torch.zeros(width))

    def forward(self, hidden: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
        """[B, P + N, D] of the same, and the weights [B, heads, P + N, P + N] where eager attention computes them."""
        qkv = self.qkv(hidden)
        if self.config.qkv_bias == "query_value":
            # Added to the product, not given to it, so that a quantised `qkv` computes the same.
            qkv = qkv + torch.cat([self.q_bias, torch.zeros_like(self.q_bias), self.v_bias])
        query, key, value = qkv.unflatten(-1, (3, -1, self.head_dim)).permute(2, 0, 3, 1, 4)  # 3 x [B, heads, N, D/h]
        attend = ALL_ATTENTION_FUNCTIONS.get_interface(self.config._attn_implementation, eager_attention)
        joined, weights = attend(self, query, key, value, None, scaling=self.head_dim**-0.5, dropout=0.0)
        return self.proj(joined.flatten(2)), weights


class VitMlp(nn.Module):
    """Two layers with an exact GELU between them."""

    def __init__(self, config: EmotionLlamaVitConfig) -> None:
        super().__init__()
        self.fc1 = nn.Linear(config.hidden_size, config.intermediate_size)
        self.fc2 = nn.Linear(config.intermediate_size, config.hidden_size)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """[B, P + N, D] of the same."""
        out: torch.Tensor = self.fc2(nn.functional.gelu(self.fc1(hidden)))
        return out


class VitBlock(GradientCheckpointingLayer):
    """One pre-norm transformer layer."""

    def __init__(self, config: EmotionLlamaVitConfig) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.attn = VitAttention(config)
        self.norm2 = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.mlp = VitMlp(config)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """[B, P + N, D] of the same."""
        hidden = hidden + self.attn(self.norm1(hidden))[0]
        out: torch.Tensor = hidden + self.mlp(self.norm2(hidden))
        return out


class VisionTransformer(PreTrainedModel):
    """`last_hidden_state` [B, P + N, D] of pictures [B, 3, S, S] or clips [B, 3, T, S, S]."""

    config: EmotionLlamaVitConfig
    config_class = EmotionLlamaVitConfig
    base_model_prefix = "vit"
    main_input_name = "pixel_values"
    supports_gradient_checkpointing = True
    _no_split_modules: ClassVar[list[str]] = ["VitBlock"]
    _supports_sdpa = True
    _supports_flash_attn = True
    _supports_attention_backend = True
    _can_record_outputs: ClassVar[dict[str, Any]] = {
        "hidden_states": VitBlock,
        "attentions": OutputRecorder(VitAttention, index=1),
    }

    def __init__(self, config: EmotionLlamaVitConfig) -> None:
        super().__init__(config)
        width, num_prefix = config.hidden_size, int(config.use_class_token)
        self.patch_embed = VitPatchEmbedding(config)
        if config.use_class_token:
            self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        if config.position_table == "learned":
            table_grid = (config.position_image_size or config.image_size) // config.patch_size
            num_patches = table_grid**2 * (config.num_frames // config.tubelet_size)
            self.pos_embed = nn.Parameter(torch.zeros(1, num_prefix + num_patches, width))
        self.blocks = nn.ModuleList(VitBlock(config) for _ in range(config.num_hidden_layers))
        self.norm = nn.LayerNorm(width, eps=config.layer_norm_eps) if config.final_norm else nn.Identity()
        self.gradient_checkpointing = False
        self.post_init()

    @capture_outputs
    def forward(
        self,
        pixel_values: torch.Tensor,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
    ) -> BaseModelOutput:
        """Encode; hidden_states (embeddings first) and attentions where asked for, a tuple with `return_dict=False`.

        Raises:
            InputError: pixel values of another size than the config's, or attentions of an implementation that
                computes none.
        """
        attention = self.config._attn_implementation
        if (output_attentions or self.config.output_attentions) and attention != "eager":
            raise InputError(f"{attention!r} attention keeps no weights; load with attn_implementation='eager'")
        hidden = self.patch_embed(pixel_values)
        if self.config.use_class_token:
            hidden = torch.cat([self.cls_token.expand(len(hidden), -1, -1), hidden], dim=1)
        hidden = hidden + self._positions(hidden)
        for block in self.blocks:
            hidden = block(hidden)
        return BaseModelOutput(last_hidden_state=self.norm(hidden))

    def get_input_embeddings(self) -> nn.Module:
        """The patch embedding, where gradient checkpointing hooks in."""
        return self.patch_embed

    def _positions(self, hidden: torch.Tensor) -> torch.Tensor:
        """[1, P + N, D] in the type and place of `hidden`."""
        if self.config.position_table == "learned":
            if self.config.position_image_size is None:
                return self.pos_embed
            return interpolate_positions(self.pos_embed, self.config.grid_size, int(self.config.use_class_token))
        # Not a buffer: buffers outside the checkpoint come out of meta-device loading and `half()` changed or empty.
        table = torch.tensor(sincos_positions(hidden.shape[1], hidden.shape[2]), device=hidden.device)
        return table.to(hidden.dtype)[None]

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        std = self.config.initializer_range
        if isinstance(module, VisionTransformer):
            if module.config.use_class_token:
                init.trunc_normal_(module.cls_token, mean=0.0, std=std)
            if module.config.position_table == "learned":
                init.trunc_normal_(module.pos_embed, mean=0.0, std=std)
        elif isinstance(module, VitAttention) and module.config.qkv_bias == "query_value":
            init.zeros_(module.q_bias)
            init.zeros_(module.v_bias)
