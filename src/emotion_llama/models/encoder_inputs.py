"""What of a batch of clips goes into the encoders (`EncoderInputs`), and the tokens they give (`EmotionLlamaEncoding`).

Legend: B clips, P clips that have a modality, F face crops of all clips together, S samples or pixels of a side,
L prompt positions, N patches, D width of an encoder, H width of the language model, K patch tokens of a frame.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from types import MappingProxyType

import torch

from emotion_llama.errors import InputError

# The columns of a modality mask. "image" stands for the patch tokens and the global token, one frame being both.
MODALITIES = ("image", "face", "temporal", "audio")

# modality -> (its encoder's input, the feature that may be given in its place)
_SOURCES: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "image": ("pixel_values", "vision_features"),
        "face": ("face_pixel_values", "face_features"),
        "temporal": ("clip_pixel_values", "temporal_features"),
        "audio": ("input_values", "audio_features"),
    }
)


@dataclass(frozen=True)
class EncoderInputs:
    """The encoders' inputs of a batch; per modality the raw input, its feature, or neither where no clip has it.

    Rows of a clip that lacks a modality are never used (NaN is a good filling); `modality_mask` says which those are.

    Args:
        pixel_values: [B, 3, S, S] one frame per clip for the global encoder.
        face_pixel_values: [F, 3, S, S] the face crops of all clips, one clip after the other.
        face_counts: [B] crops of each clip; may be left out when B is 1.
        clip_pixel_values: [B, 3, T, S, S] face crops for the temporal encoder.
        input_values: [B, S] normalised waveforms, filled at the end.
        input_lengths: [B] samples of each clip; left out, all rows are full.
        vision_features: [B, 1 + N, D] in place of `pixel_values`: `encode(...).vision_hidden`.
        face_features, temporal_features, audio_features: [B, D] utterance features in place of the raw inputs.
        modality_mask: [B, 4] bool, columns as `MODALITIES`; left out, a modality is there for every clip whose
            input is given (and has a crop or a sample).
    """

    pixel_values: torch.Tensor | None = None
    face_pixel_values: torch.Tensor | None = None
    face_counts: torch.Tensor | None = None
    clip_pixel_values: torch.Tensor | None = None
    input_values: torch.Tensor | None = None
    input_lengths: torch.Tensor | None = None
    vision_features: torch.Tensor | None = None
    face_features: torch.Tensor | None = None
    temporal_features: torch.Tensor | None = None
    audio_features: torch.Tensor | None = None
    modality_mask: torch.Tensor | None = None

    def __post_init__(self) -> None:
        for modality, (raw, feature) in _SOURCES.items():
            if getattr(self, raw) is not None and getattr(self, feature) is not None:
                raise InputError(f"{modality}: both {raw} and {feature} are given; give one of them")
        batch_sizes = {name: len(value) for name, value in self._per_clip().items()}
        if len(set(batch_sizes.values())) > 1:
            found = ", ".join(f"{name} {size}" for name, size in batch_sizes.items())
            raise InputError(f"the inputs are of different numbers of clips: {found}")
        if self.modality_mask is not None and tuple(self.modality_mask.shape[1:]) != (len(MODALITIES),):
            raise InputError(f"modality_mask is {list(self.modality_mask.shape)}, expected [B, {len(MODALITIES)}]")
        if self.face_pixel_values is None:
            return
        if self.face_counts is None and self.batch_size != 1:
            raise InputError(
                f"face_pixel_values of {self.batch_size} clips need face_counts [B]: the crops of each clip"
            )
        total, crops = int(self.crops_per_clip().sum()), len(self.face_pixel_values)
        if total != crops:
            raise InputError(f"face_counts add up to {total}, but face_pixel_values holds {crops} crops")

    def _given(self) -> list[torch.Tensor]:
        """The raw inputs and features that are given."""
        values = (getattr(self, name) for names in _SOURCES.values() for name in names)
        return [value for value in values if value is not None]

    def _per_clip(self) -> dict[str, torch.Tensor]:
        """Every given tensor whose first axis counts clips."""
        values = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "face_pixel_values"}
        return {name: value for name, value in values.items() if value is not None}

    @property
    def is_empty(self) -> bool:
        """Whether nothing of a clip is given at all."""
        return not self._given()

    @property
    def batch_size(self) -> int:
        """Clips of the batch; 1 where only crops without counts are given."""
        return next((len(value) for value in self._per_clip().values()), 1)

    @property
    def device(self) -> torch.device:
        """Where the inputs are; the CPU where nothing is given."""
        return next((value.device for value in self._given()), torch.device("cpu"))

    def crops_per_clip(self) -> torch.Tensor:
        """[B] face crops of each clip, on the crops' device."""
        assert self.face_pixel_values is not None
        device = self.face_pixel_values.device
        if self.face_counts is None:
            return torch.tensor([len(self.face_pixel_values)], device=device)
        return self.face_counts.to(device)

    def presence(self, batch_size: int) -> torch.Tensor:
        """[B, 4] bool on the CPU: which modality each clip has.

        Raises:
            InputError: the inputs are of another number of clips, or the mask claims a modality that is not given.
        """
        for name, value in self._per_clip().items():
            if len(value) != batch_size:
                raise InputError(f"{name} is of {len(value)} clips, input_ids of {batch_size}")
        given = torch.stack([self._has(modality, batch_size) for modality in MODALITIES], dim=1)
        if self.modality_mask is None:
            return given
        wanted = self.modality_mask.to("cpu", torch.bool)
        if lacking := (wanted & ~given).nonzero().tolist():
            clip, column = lacking[0]
            raise InputError(
                f"modality_mask says that clip {clip} has {MODALITIES[column]!r}, but its input is not given; "
                f"give {' or '.join(_SOURCES[MODALITIES[column]])}, or leave the modality out"
            )
        return wanted

    def _has(self, modality: str, batch_size: int) -> torch.Tensor:
        """[B] bool on the CPU: for which clips an input of the modality is given."""
        raw, feature = (getattr(self, name) for name in _SOURCES[modality])
        if modality == "face" and raw is not None:
            return self.crops_per_clip().cpu() > 0
        if modality == "audio" and raw is not None and self.input_lengths is not None:
            return self.input_lengths.cpu() > 0
        return torch.full((batch_size,), raw is not None or feature is not None, device="cpu")


ENCODER_INPUT_NAMES = tuple(field.name for field in fields(EncoderInputs))


@dataclass(frozen=True)
class EmotionLlamaEncoding:
    """Features and tokens of a batch of clips, named. Rows of what a clip lacks are NaN.

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
