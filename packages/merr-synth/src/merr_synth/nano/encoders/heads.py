"""One encoder with the linear heads that teach it; the heads read exactly the vectors that the model projects.

Legend: B clips, R rows that figures are told of, T figures, C labels, D width, N patches.
"""

# mypy: disable-error-code="misc"
# (transformers is only partly typed.)

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import torch
from torch import nn
from transformers import HubertModel

from emotion_llama.labels import MERR9
from emotion_llama.models.configuration_emotion_llama import EmotionLlamaConfig
from emotion_llama.models.utterance_features import hubert_features
from emotion_llama.models.vit import VisionTransformer
from merr_synth.nano.encoders.lessons import FIGURES, TowerName

CONFIG_OF: Mapping[TowerName, str] = MappingProxyType(
    {
        "vision_tower": "vision_config", "face_tower": "face_config", "temporal_tower": "temporal_config",
        "audio_tower": "audio_config",
    }
)  # fmt: skip
LABEL_WEIGHT = 0.3  # of the label's cross entropy beside the figures' error; own: labels say little that units do not
FARTHEST = 4.0  # deviations that a figure counts at most: a unit that is seldom there is many deviations off when it is


class Seen(NamedTuple):
    """Vectors of a batch.

    Attributes:
        rows: [R, D] that figures are told of.
        clips: [B, D] that labels are told of.
        places: [., N D] the patches of each picture, or of each tubelet of a clip, side by side; None of sound.
    """

    rows: torch.Tensor
    clips: torch.Tensor
    places: torch.Tensor | None


class TowerWithHeads(nn.Module):
    """An encoder, as the model holds it, and a linear head each for figures and labels.

    Heads are linear since the model reads these vectors through one linear map: what a deeper head would find there,
    the projection could not. A third head reads all patches in their places: a class token alone hears of a lip or a
    lid so late that a small encoder needs ten times the steps without it. Of a clip it reads each tubelet and is told
    what is true then: the strongest moments alone are one row a clip, from which nothing was learnt in three rounds.

    Args:
        tower: which one; its weights are drawn anew.
        config: sizes.
        mean, deviation: [T] of the figures, which are learnt in units of their deviation.
    """

    def __init__(
        self, tower: TowerName, config: EmotionLlamaConfig, mean: torch.Tensor, deviation: torch.Tensor
    ) -> None:
        super().__init__()
        self.tower_name = tower
        self.audio_recipe = config.recipes["audio"]
        part = getattr(config, CONFIG_OF[tower])
        width = part.hidden_size
        setattr(self, tower, HubertModel(part) if tower == "audio_tower" else VisionTransformer(part))
        draw_weights(getattr(self, tower))
        if tower == "vision_tower":
            self.vision_layernorm = nn.LayerNorm(width, eps=1e-5)
        self.figures = nn.Linear(width, len(FIGURES[tower]))
        self.num_moments = part.num_frames // part.tubelet_size if tower == "temporal_tower" else 1
        self.places = (
            None
            if tower == "audio_tower"
            else nn.Linear(part.num_patches // self.num_moments * width, len(FIGURES[tower]))
        )
        self.labels = nn.Linear(width, len(MERR9.labels))
        self.mean: torch.Tensor
        self.deviation: torch.Tensor
        self.register_buffer("mean", mean, persistent=False)
        self.register_buffer("deviation", deviation, persistent=False)

    @property
    def parts(self) -> tuple[str, ...]:
        """Names of what stays when training is over."""
        return ("vision_tower", "vision_layernorm") if self.tower_name == "vision_tower" else (self.tower_name,)

    def see(self, inputs: torch.Tensor, lengths: torch.Tensor, num_clips: int) -> Seen:
        """The vectors that the model projects.

        The global encoder gives two rows a frame: its CLS and the mean of its patches, both of which the model reads.
        """
        tower: Any = getattr(self, self.tower_name)
        if self.tower_name == "audio_tower":
            heard = hubert_features(tower, inputs, lengths, self.audio_recipe)
            return Seen(heard, heard, None)
        hidden = tower(inputs).last_hidden_state
        if self.tower_name == "temporal_tower":
            return Seen(hidden.mean(dim=1), hidden.mean(dim=1), hidden.reshape(len(hidden) * self.num_moments, -1))
        if self.tower_name == "face_tower":
            crops = hidden[:, 0]
            return Seen(crops, crops.unflatten(0, (num_clips, -1)).mean(dim=1), hidden[:, 1:].flatten(1))
        hidden = self.vision_layernorm(hidden)
        both = torch.cat([hidden[:, 0], hidden[:, 1:].mean(dim=1)])
        return Seen(both, hidden[:, 0], hidden[:, 1:].flatten(1))

    def forward(
        self, inputs: torch.Tensor, lengths: torch.Tensor, figures: torch.Tensor, labels: torch.Tensor,
        moments: torch.Tensor | None = None, **kwargs: Any,
    ) -> dict[str, torch.Tensor]:  # fmt: skip
        """Loss, and what the heads tell: figures [R, T] in deviations and label scores [B, C]."""
        seen = self.see(inputs, lengths, len(labels))
        told, scores = self.figures(seen.rows), self.labels(seen.clips)
        wanted = self._in_deviations(figures)
        loss = mean_error(told, wanted.repeat(len(told) // len(wanted), 1))
        if self.places is not None:
            then = wanted if moments is None else self._in_deviations(moments)
            loss = loss + mean_error(self.places(seen.places), then)
        if bool((labels >= 0).any()):
            loss = loss + LABEL_WEIGHT * nn.functional.cross_entropy(scores, labels, label_smoothing=0.05)
        return {"loss": loss, "figures": told, "scores": scores}

    def _in_deviations(self, figures: torch.Tensor) -> torch.Tensor:
        return ((figures - self.mean) / self.deviation).clamp(-FARTHEST, FARTHEST)


def mean_error(told: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """Mean square of the differences where `wanted` is a number; 0 where it nowhere is."""
    known = wanted.isfinite()
    return ((told - wanted.nan_to_num()) ** 2 * known).sum() / known.sum().clamp(min=1)


@torch.no_grad()
def draw_weights(tower: nn.Module) -> None:
    """Start as MAE starts (He et al. 2022, models_mae.py): Xavier's uniform weights, and positions as sines.

    The deviation of 0.02 that large encoders start with leaves a patch of a small one a tenth as loud as its position.
    """
    for module in tower.modules():
        if isinstance(module, nn.Linear):
            nn.init.xavier_uniform_(module.weight)
    if not isinstance(tower, VisionTransformer):
        return
    kernels = tower.patch_embed.proj.weight
    nn.init.xavier_uniform_(kernels.view(len(kernels), -1))
    config = tower.config
    if config.position_table == "learned":
        tower.pos_embed.zero_()
        tower.pos_embed[0, int(config.use_class_token) :] = plane_positions(config.grid_size, config.hidden_size)


def plane_positions(grid_size: int, width: int) -> torch.Tensor:
    """[N, D] sines of the columns in the first half, of the rows in the second: MAE's table."""
    rates = 1.0 / 10000 ** (torch.arange(width // 4, dtype=torch.float64) / (width // 4))
    angles = torch.arange(grid_size, dtype=torch.float64)[:, None] * rates
    line = torch.cat([angles.sin(), angles.cos()], dim=1)  # [grid, D / 2]
    across, down = line[None].expand(grid_size, -1, -1), line[:, None].expand(-1, grid_size, -1)
    return torch.cat([across, down], dim=-1).flatten(0, 1).float()
