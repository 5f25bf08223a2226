"""The model: four encoders, five linear projections, and a causal language model over their tokens.

Legend: B clips, L prompt positions, F face crops of all clips together, S samples or pixels of a side, N patches,
D width of an encoder, H width of the language model, K tokens that a clip's frame gives (256 at published size).
"""

# mypy: disable-error-code="misc, no-any-return, no-untyped-call, untyped-decorator"
# (transformers is only partly typed.)

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from transformers import (
    AutoModelForCausalLM,
    GenerationConfig,
    GenerationMixin,
    HubertModel,
    LogitsProcessorList,
    RepetitionPenaltyLogitsProcessor,
)
from transformers.cache_utils import Cache
from transformers.modeling_outputs import BaseModelOutputWithPooling, CausalLMOutputWithPast
from transformers.utils.generic import can_return_tuple

from emotion_llama.errors import InputError
from emotion_llama.models import adapters
from emotion_llama.models.configuration_emotion_llama import EmotionLlamaConfig
from emotion_llama.models.encoder_inputs import (
    ENCODER_INPUT_NAMES,
    MODALITIES,
    EmotionLlamaEncoding,
    EncoderInputs,
    check_counts,
    check_filled_left,
    scatter,
    spread,
)
from emotion_llama.models.pretrained import FLOAT32_PARTS, EmotionLlamaPreTrainedModel
from emotion_llama.models.utterance_features import clip_means, hubert_features
from emotion_llama.models.vit import VisionTransformer

# Options of transformers' `generate` that make another model, or the prompt, propose tokens.
_ASSISTED = ("assistant_model", "assistant_early_exit", "prompt_lookup_num_tokens")
_TOWERS = ("vision_tower", "vision_layernorm", "face_tower", "temporal_tower", "audio_tower")


class EmotionLlamaMultiModalProjector(nn.Module):
    """Five linear maps into the language model's embedding space."""

    def __init__(self, config: EmotionLlamaConfig) -> None:
        super().__init__()
        width = config.text_config.hidden_size
        self.patches = nn.Linear(config.vision_config.hidden_size * config.patches_per_token, width)
        self.face = nn.Linear(config.face_config.hidden_size, width)
        self.temporal = nn.Linear(config.temporal_config.hidden_size, width)
        self.audio = nn.Linear(config.audio_config.hidden_size, width)
        self.global_view = nn.Linear(config.vision_config.hidden_size, width)


class EmotionLlamaForConditionalGeneration(EmotionLlamaPreTrainedModel, GenerationMixin):
    """Emotion-LLaMA over any encoders and causal language model that its config names.

    The global encoder and the language model are in the type that is loaded; all else is, and computes, in float32.
    """

    def __init__(self, config: EmotionLlamaConfig) -> None:
        super().__init__(config)
        self.vision_tower = VisionTransformer(config.vision_config)
        # PyTorch's default eps of 1e-5, while the encoder's own norms use 1e-6: so the published model has it.
        self.vision_layernorm = nn.LayerNorm(config.vision_config.hidden_size, eps=1e-5)
        built = [tower for tower in _TOWERS if tower not in config.absent_towers]
        self.face_tower = VisionTransformer(config.face_config) if "face_tower" in built else None
        self.temporal_tower = VisionTransformer(config.temporal_config) if "temporal_tower" in built else None
        self.audio_tower = HubertModel(config.audio_config) if "audio_tower" in built else None
        self.multi_modal_projector = EmotionLlamaMultiModalProjector(config)
        self.language_model = AutoModelForCausalLM.from_config(config.text_config)
        # Not left to loading alone: parts that are offloaded to disk are read in the type they are built in.
        for part in filter(None, (getattr(self, name) for name in FLOAT32_PARTS)):
            part.float()
        self._keys_to_ignore_on_load_unexpected = [rf"^{tower}\." for tower in config.absent_towers]
        self.post_init()

    # --- encoders ---------------------------------------------------------------------------------------------------

    @can_return_tuple
    def get_image_features(self, pixel_values: torch.Tensor, **kwargs: Any) -> BaseModelOutputWithPooling:
        """What frames [B, 3, S, S] give; `kwargs` are the global encoder's.

        Returns:
            last_hidden_state [B, 1 + N, D], CLS and patch vectors after `vision_layernorm`; pooler_output [B, K, H],
            the patch tokens; hidden_states and attentions of the encoder where asked for.
        """
        out = self.vision_tower(pixel_values, **{**kwargs, "return_dict": True})
        hidden: torch.Tensor = self.vision_layernorm(out.last_hidden_state.to(self.vision_layernorm.weight.dtype))
        return BaseModelOutputWithPooling(hidden, self._patch_tokens(hidden), out.hidden_states, out.attentions)

    @can_return_tuple
    def get_face_features(
        self, face_pixel_values: torch.Tensor, face_counts: torch.Tensor | None = None, crops_per_pass: int = 64
    ) -> BaseModelOutputWithPooling:
        """What crops [F, 3, S, S] give, `face_counts` [B] of each clip (left out: all of one clip).

        Returns:
            last_hidden_state [B, 1, D], the mean over each clip's crops of the face encoder's CLS vectors;
            pooler_output [B, 1, H], its token.
        """
        tower = self._tower("face_tower")
        parts = [tower(crops).last_hidden_state[:, 0] for crops in face_pixel_values.split(crops_per_pass)]
        vectors = torch.cat(parts)
        if face_counts is None:
            face_counts = torch.tensor([len(vectors)], device=vectors.device)
        return self._utterance("face", clip_means(vectors, face_counts.to(vectors.device)))

    @can_return_tuple
    def get_temporal_features(self, clip_pixel_values: torch.Tensor) -> BaseModelOutputWithPooling:
        """What clips [B, 3, T, S, S] give.

        Returns:
            last_hidden_state [B, 1, D], the mean over all raw tokens of the temporal encoder; pooler_output [B, 1, H].
        """
        tokens: torch.Tensor = self._tower("temporal_tower")(clip_pixel_values).last_hidden_state
        return self._utterance("temporal", tokens.mean(dim=1))

    @can_return_tuple
    def get_audio_features(
        self, input_values: torch.Tensor, input_lengths: torch.Tensor | None = None, recipe: str | None = None
    ) -> BaseModelOutputWithPooling:
        """What normalised waveforms [B, S] with [B] samples each give; the recipe is the config's unless given.

        Returns:
            last_hidden_state [B, 1, D], the mean over time that the recipe takes; pooler_output [B, 1, H], its token.
        """
        name = recipe or self.config.recipes["audio"]
        return self._utterance("audio", hubert_features(self._tower("audio_tower"), input_values, input_lengths, name))

    def _utterance(self, modality: str, features: torch.Tensor) -> BaseModelOutputWithPooling:
        linear = getattr(self.multi_modal_projector, modality)
        return BaseModelOutputWithPooling(features[:, None], linear(features.to(linear.bias.dtype))[:, None])

    def _patch_tokens(self, hidden: torch.Tensor) -> torch.Tensor:
        """[P, K, H] of [P, 1 + N, D]: neighbouring patch vectors joined and projected."""
        linear = self.multi_modal_projector.patches
        joined = hidden[:, 1:].unflatten(1, (-1, self.config.patches_per_token)).flatten(2)
        # The type is the bias's: weights may be quantised.
        tokens: torch.Tensor = linear(joined.to(linear.bias.dtype))
        return tokens

    @torch.no_grad()
    def encode(self, **inputs: Any) -> EmotionLlamaEncoding:
        """Features and projected tokens of a batch of clips, named; takes `EncoderInputs`' fields, ignores text.

        Raises:
            InputError: nothing of a clip is given, or the inputs contradict each other.
        """
        named = {name: inputs[name] for name in ENCODER_INPUT_NAMES if inputs.get(name) is not None}
        clips = EncoderInputs(**named)
        if clips.is_empty:
            raise InputError(f"nothing to encode: none of {', '.join(ENCODER_INPUT_NAMES[:-1])} is given")
        return self._encode(clips, clips.presence(clips.batch_size))

    def _encode(
        self, clips: EncoderInputs, present: torch.Tensor, zeros_for_absent: bool = False
    ) -> EmotionLlamaEncoding:
        """Encode what `present` [B, 4] says, and vectors of zeros for the rest if asked for."""
        has = dict(zip(MODALITIES, present.unbind(dim=1)))
        global_view = self.multi_modal_projector.global_view
        hidden, patch_tokens = self._image_rows(clips, has["image"])
        out = {
            "vision_hidden": spread(hidden, has["image"]),
            "patch_tokens": spread(patch_tokens, has["image"]),
            "global_token": spread(global_view(hidden[:, 0].to(global_view.bias.dtype)), has["image"]),
        }
        for modality in MODALITIES[1:]:
            there, linear = has[modality], getattr(self.multi_modal_projector, modality)
            features = spread(self._feature_rows(modality, clips, there).to(linear.bias.dtype), there)
            if zeros_for_absent:
                features[~there], there = 0, torch.ones_like(there)
            out[f"{modality}_features"] = features
            out[f"{modality}_token"] = spread(linear(features[there]), there)
        return EmotionLlamaEncoding(modality_mask=present, **out)

    def _image_rows(self, clips: EncoderInputs, there: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """[P, 1 + N, D] and patch tokens [P, K, H] of the P clips that have a frame."""
        config = self.config.vision_config
        if there.any() and clips.pixel_values is not None:
            seen = self.get_image_features(clips.pixel_values[there], return_dict=True)
            return seen.last_hidden_state, seen.pooler_output
        if clips.vision_features is not None:
            hidden = clips.vision_features[there]
        else:
            hidden = torch.empty(0, 1 + config.num_patches, config.hidden_size, device=clips.device)
        hidden = hidden.to(self.multi_modal_projector.patches.bias.dtype)
        return hidden, self._patch_tokens(hidden)

    def _feature_rows(self, modality: str, clips: EncoderInputs, there: torch.Tensor) -> torch.Tensor:
        """[P, D] features of the P clips that have the modality, given or computed."""
        width = getattr(self.multi_modal_projector, modality).in_features
        if not there.any():
            return torch.empty(0, width, device=clips.device)
        given: torch.Tensor | None = getattr(clips, f"{modality}_features")
        if given is not None:
            if given.shape[1:] != (width,):
                raise InputError(f"{modality}_features are {list(given.shape)}, expected [B, {width}]")
            return given[there]
        if modality == "face":
            counts, crops = clips.crops_per_clip(), _given(clips.face_pixel_values)
            kept = there.to(counts.device)
            out = self.get_face_features(crops[kept.repeat_interleave(counts)], counts[kept], return_dict=True)
        elif modality == "temporal":
            out = self.get_temporal_features(_given(clips.clip_pixel_values)[there], return_dict=True)
        else:
            lengths = None if clips.input_lengths is None else clips.input_lengths.cpu()[there]
            out = self.get_audio_features(_given(clips.input_values)[there], lengths, return_dict=True)
        features: torch.Tensor = out.last_hidden_state[:, 0]
        return features

    def _tower(self, name: str) -> Any:
        tower = getattr(self, name)
        if tower is None:
            raise InputError(
                f"this model was loaded without its {name} (absent_towers); give utterance features instead, "
                "or load it with absent_towers=[]"
            )
        return tower

    # --- the prompt -------------------------------------------------------------------------------------------------

    def embed_prompt(
        self, input_ids: torch.Tensor, clips: EncoderInputs, compat_zero_features: bool | None = None
    ) -> torch.Tensor:
        """[B, L, H] embeddings of prompts [B, L] with every placeholder replaced by its clip's next token.

        Raises:
            InputError: a prompt's placeholders and its clip's tokens differ in number.
        """
        zeros = self.config.compat_zero_features if compat_zero_features is None else compat_zero_features
        present = clips.presence(len(input_ids))
        is_image, is_feature = input_ids.eq(self.config.image_token_id), input_ids.eq(self.config.feature_token_id)
        counted = present | torch.tensor([False, zeros, zeros, zeros], device=present.device)
        check_counts("image", is_image, counted[:, 0] * self.config.num_image_tokens)
        check_counts("feature", is_feature, counted.sum(dim=1))
        # Placeholders may lie outside the vocabulary: any row does, it is overwritten.
        embeds: torch.Tensor = self.get_input_embeddings()(input_ids.masked_fill(is_image | is_feature, 0))
        if not counted.any():
            return embeds
        tokens = self._encode(clips, present, zeros)
        embeds = scatter(embeds, is_image, tokens.patch_tokens[present[:, 0]])
        # Face, temporal, audio, global: the image's column of the mask goes last.
        return scatter(embeds, is_feature, tokens.feature_tokens[counted.roll(-1, dims=1)])

    @can_return_tuple
    def forward(
        self,
        input_ids: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        position_ids: torch.Tensor | None = None,
        past_key_values: Cache | None = None,
        inputs_embeds: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        pixel_values: torch.Tensor | None = None,
        face_pixel_values: torch.Tensor | None = None,
        face_counts: torch.Tensor | None = None,
        clip_pixel_values: torch.Tensor | None = None,
        input_values: torch.Tensor | None = None,
        input_lengths: torch.Tensor | None = None,
        vision_features: torch.Tensor | None = None,
        face_features: torch.Tensor | None = None,
        temporal_features: torch.Tensor | None = None,
        audio_features: torch.Tensor | None = None,
        modality_mask: torch.Tensor | None = None,
        compat_zero_features: bool | None = None,
        **kwargs: Any,  # what the language model's forward takes: use_cache, logits_to_keep, num_items_in_batch...
    ) -> CausalLMOutputWithPast:
        """The language model's output, its loss with `labels` [B, L] (-100: no target) averaged over all targets.

        The encoders' inputs are `EncoderInputs`' fields; they go with the prompt, not with later tokens.

        Raises:
            InputError: placeholders and tokens differ in number, or not exactly one of ids and embeddings is given.
        """
        if (input_ids is None) == (inputs_embeds is None):
            raise InputError("give exactly one of input_ids and inputs_embeds")
        if input_ids is not None:
            if past_key_values is not None and past_key_values.get_seq_length() > 0:
                inputs_embeds = self.get_input_embeddings()(input_ids)
            else:
                clips = EncoderInputs(
                    pixel_values, face_pixel_values, face_counts, clip_pixel_values, input_values, input_lengths,
                    vision_features, face_features, temporal_features, audio_features, modality_mask,
                )  # fmt: skip
                inputs_embeds = self.embed_prompt(input_ids, clips, compat_zero_features)
        output: CausalLMOutputWithPast = self.language_model(
            inputs_embeds=inputs_embeds, attention_mask=attention_mask, position_ids=position_ids,
            past_key_values=past_key_values, labels=labels, **kwargs,
        )  # fmt: skip
        return output

    @torch.no_grad()
    def generate(
        self,
        inputs: torch.Tensor | None = None,
        generation_config: GenerationConfig | None = None,
        logits_processor: LogitsProcessorList | None = None,
        *args: Any,
        **kwargs: Any,
    ) -> Any:
        """Answer prompts [B, L] (filled on the left) about their clips: [B, new tokens], without the prompt.

        Takes what a processor gives (`input_ids` may be called `inputs`) and every option of transformers' `generate`:
        sampling, streamer, beams... The prompt goes in as embeddings, as in the published code, so that a repetition
        penalty counts new tokens only.

        Raises:
            InputError: as `forward`, a prompt is filled on the right, or a draft is asked for (assisted decoding).
        """
        for name in _ASSISTED:
            if kwargs.get(name, getattr(generation_config, name, None)) is not None:
                raise InputError(
                    f"{name}: this model does not take drafts, which would have to be made from token ids, while its "
                    f"prompts hold the encoders' tokens; leave {name} out"
                )
        input_ids = kwargs.pop("input_ids", inputs)
        clips = EncoderInputs(**{name: kwargs.pop(name, None) for name in ENCODER_INPUT_NAMES})
        zeros = kwargs.pop("compat_zero_features", None)
        if (input_ids is None) == (kwargs.get("inputs_embeds") is None):
            raise InputError("give exactly one of input_ids and inputs_embeds")
        if kwargs.get("attention_mask") is not None:
            check_filled_left(kwargs["attention_mask"])
        if input_ids is not None:
            kwargs["inputs_embeds"] = self.embed_prompt(input_ids, clips, zeros)
        penalty = kwargs.pop("repetition_penalty", (generation_config or self.generation_config).repetition_penalty)
        processors = LogitsProcessorList(logits_processor or [])
        if penalty is not None and penalty != 1:
            # transformers (5.23) takes a row's filling on the left for as many new tokens and spares these.
            processors.insert(0, RepetitionPenaltyLogitsProcessor(float(penalty)))
            kwargs["repetition_penalty"] = 1.0
        return super().generate(None, generation_config, processors, *args, **kwargs)

    # --- training -------------------------------------------------------------------------------------------------

    def train(self, mode: bool = True) -> EmotionLlamaForConditionalGeneration:
        """Training mode, in which encoders that learn nothing stay as in evaluation (no dropout, no masked spans)."""
        super().train(mode)
        for tower in filter(None, (getattr(self, name) for name in _TOWERS)):
            tower.train(mode and any(parameter.requires_grad for parameter in tower.parameters()))
        return self

    def add_lora(self, **options: Any) -> None:
        """Attach a LoRA adapter to the language model, by default the published one; see `adapters.add_lora`."""
        adapters.add_lora(self, **options)

    def merge_adapter(self) -> None:
        """Add the adapter into the weights; see `adapters.merge`."""
        adapters.merge(self)

    def get_input_embeddings(self) -> nn.Module:
        """The language model's table."""
        return self.language_model.get_input_embeddings()

    def set_input_embeddings(self, value: nn.Module) -> None:
        """Replace the language model's table."""
        self.language_model.set_input_embeddings(value)

    def get_output_embeddings(self) -> nn.Module:
        """The language model's head."""
        return self.language_model.get_output_embeddings()

    def set_output_embeddings(self, new_embeddings: nn.Module) -> None:
        """Replace the language model's head."""
        self.language_model.set_output_embeddings(new_embeddings)


def _given(value: torch.Tensor | None) -> torch.Tensor:
    """The input that `EncoderInputs.presence` found to be there."""
    assert value is not None
    return value
