"""The tokens of a batch of clips, named, and how they come to stand in the prompt.

Legend: B clips, P clips that have a modality, L prompt positions, N patches, D width of an encoder, H width of the
language model, K patch tokens of a frame.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from emotion_llama.errors import InputError


@dataclass(frozen=True)
class EmotionLlamaEncoding:
    """What the encoders saw and what the language model reads of it. Rows of what a clip lacks are NaN.

    Args:
        modality_mask: [B, 4] bool, columns as `MODALITIES`: which rows below are there.
        vision_hidden: [B, 1 + N, D] the global encoder's CLS and patch vectors after `vision_layernorm`.
        face_features: [B, D] mean over the crops of the face encoder's CLS after its last norm ("local").
        temporal_features: [B, D] mean over the temporal encoder's raw tokens.
        audio_features: [B, D] mean over time of the audio encoder's states, as the config's audio recipe says.
        patch_tokens: [B, K, H] four neighbouring patch vectors joined and projected.
        face_token, temporal_token, audio_token, global_token: [B, H] the projected features and CLS.
    """

    modality_mask: torch.Tensor
    vision_hidden: torch.Tensor
    face_features: torch.Tensor
    temporal_features: torch.Tensor
    audio_features: torch.Tensor
    patch_tokens: torch.Tensor
    face_token: torch.Tensor
    temporal_token: torch.Tensor
    audio_token: torch.Tensor
    global_token: torch.Tensor

    @property
    def visual_tokens(self) -> torch.Tensor:
        """[B, K + 4, H] all tokens in the published order: patches, face, temporal, audio, global."""
        return torch.cat([self.patch_tokens, self.feature_tokens], dim=1)

    @property
    def feature_tokens(self) -> torch.Tensor:
        """[B, 4, H] the tokens of `<FeatureHere>` in their order: face, temporal, audio, global."""
        return torch.stack([self.face_token, self.temporal_token, self.audio_token, self.global_token], dim=1)


def spread(rows: torch.Tensor, there: torch.Tensor) -> torch.Tensor:
    """[B, ...] with the P rows [P, ...] where `there` [B] is true and NaN elsewhere."""
    if there.all():
        return rows
    spread = rows.new_full((len(there), *rows.shape[1:]), torch.nan)
    spread[there.to(rows.device)] = rows
    return spread


def scatter(embeds: torch.Tensor, where: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
    """`embeds` [B, L, H] with the positions of `where` [B, L] replaced by tokens, clip by clip in order."""
    return embeds.masked_scatter(where[..., None].to(embeds.device), tokens.to(embeds.device, embeds.dtype))


def check_filled_left(mask: torch.Tensor) -> None:
    """Raise InputError where a prompt's attention mask [B, L] ends with filling, which the answer would follow."""
    if mask.ndim == 2 and not bool(mask[:, -1].all()):
        raise InputError(
            "a prompt is filled on the right; answers can only follow prompts filled on the left: "
            "make the batch with padding_side='left'"
        )


def check_counts(kind: str, where: torch.Tensor, expected: torch.Tensor) -> None:
    """Raise InputError where a prompt's placeholders [B, L] and its clip's tokens [B] differ in number."""
    for clip, (placeholders, tokens) in enumerate(zip(where.sum(dim=1).tolist(), expected.tolist())):
        if placeholders != tokens:
            raise InputError(
                f"clip {clip}: the prompt has {placeholders} {kind} placeholders, the clip gives {tokens} {kind} "
                "tokens; build both with one processor call"
            )
