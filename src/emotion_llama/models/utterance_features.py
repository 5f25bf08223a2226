"""From the encoders' states to one vector per clip: the published poolings, batched.

Legend: B clips, F face crops of all clips together, S samples, T time steps, C chunks, D width.
"""

from __future__ import annotations

import torch
from torch import nn
from transformers import HubertModel

from emotion_llama.models.inputs import SoundRecipe, sound_recipe


def clip_means(vectors: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
    """[B, D] means of vectors [F, D], the first `counts[0]` of which belong to the first clip and so on.

    A clip of no vectors has no mean: its row is NaN.
    """
    clip_of = torch.arange(len(counts), device=vectors.device).repeat_interleave(counts)
    sums = torch.zeros(len(counts), vectors.shape[1], dtype=torch.float32, device=vectors.device)
    return (sums.index_add(0, clip_of, vectors.float()) / counts[:, None]).to(vectors.dtype)


def hubert_features(
    tower: HubertModel, input_values: torch.Tensor, input_lengths: torch.Tensor | None, recipe_name: str
) -> torch.Tensor:
    """[B, D] of normalised waveforms [B, S] with `input_lengths` [B] samples each (all S without it).

    States are summed and averaged in float32, whatever type the encoder computes in.

    Each clip gets what it would get alone: filling is masked, or cut off where the model cannot mask it (a HuBERT whose
    first layer is normalised over time, `feat_extract_norm="group"`).

    Raises:
        InputError: the recipe is not known.
    """
    recipe = sound_recipe(recipe_name)
    values = input_values.to(tower.dtype)
    full = torch.full((len(values),), values.shape[1], device="cpu")
    lengths = full if input_lengths is None else input_lengths.cpu()
    same_length = bool((lengths == values.shape[1]).all())
    if recipe.chunk_seconds is None and (same_length or tower.config.feat_extract_norm == "layer"):
        means = _batch_features(tower, values, None if same_length else lengths.to(values.device), recipe)
        return means.to(values.dtype)
    clips = [_chunks(row[:length], recipe) for row, length in zip(values, lengths.tolist())]
    alone = [_states(tower, clip, None, recipe.summed_layers).mean(dim=(0, 1)) for clip in clips]
    return torch.stack(alone).to(values.dtype)


def _batch_features(
    tower: HubertModel, values: torch.Tensor, lengths: torch.Tensor | None, recipe: SoundRecipe
) -> torch.Tensor:
    """[B, D] in one pass, each clip averaged over its own time steps."""
    if lengths is None:
        return _states(tower, values, None, recipe.summed_layers).mean(dim=1)
    mask = torch.arange(values.shape[1], device=values.device)[None] < lengths[:, None]
    states = _states(tower, values.masked_fill(~mask, 0), mask.long(), recipe.summed_layers)
    steps: torch.Tensor = tower._get_feat_extract_output_lengths(lengths)[:, None]  # type: ignore[arg-type]
    heard = torch.arange(states.shape[1], device=states.device)[None] < steps
    return states.masked_fill(~heard[..., None], 0).sum(dim=1) / steps


def _states(tower: HubertModel, values: torch.Tensor, mask: torch.Tensor | None, num_layers: int) -> torch.Tensor:
    """[B, T, D] float32, the sum of the last `num_layers` states, the last one after the final norm.

    transformers 4 gave the normalised state as the last of `hidden_states`, on which the published features are made;
    transformers 5 gives the last block's raw output there, so that it is replaced by `last_hidden_state`.
    """
    out = tower(values, attention_mask=mask, output_hidden_states=num_layers > 1)
    last: torch.Tensor = out.last_hidden_state.float()
    if num_layers == 1:
        return last
    return torch.stack([*out.hidden_states[:-1], last][-num_layers:]).sum(dim=0)


def _chunks(values: torch.Tensor, recipe: SoundRecipe) -> torch.Tensor:
    """[C, S] the rows one clip [S] goes through the encoder in, as `inputs.sound_chunks` says."""
    size = len(values) if recipe.chunk_seconds is None else round(recipe.chunk_seconds * recipe.sample_rate_hz)
    if len(values) <= size:
        return values[None]
    return nn.functional.pad(values, (0, -len(values) % size)).view(-1, size)
