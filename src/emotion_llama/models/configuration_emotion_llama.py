"""Sizes and conventions of a model: every number that differs between the 7B model, the nano model and the toys."""

# mypy: disable-error-code="no-untyped-call"
# No postponed annotations here: transformers checks the fields' values against their types when a config is made.

from collections.abc import Mapping
from dataclasses import field
from types import MappingProxyType
from typing import Any, ClassVar, Literal

from huggingface_hub.dataclasses import strict
from transformers import AutoConfig, PreTrainedConfig
from transformers.configuration_utils import SubConfigSpec

from emotion_llama.errors import InputError

# The towers that a model may leave out when utterance features are given in their place (training on stored features).
OPTIONAL_TOWERS = ("face_tower", "temporal_tower", "audio_tower")


@strict
class EmotionLlamaVitConfig(PreTrainedConfig):
    """One vision transformer: EVA, MAE or VideoMAE, which differ in these fields alone.

    Args:
        image_size: height and width of what goes in, pixels.
        mlp_ratio: width of the hidden layer over `hidden_size`, rounded down (EVA: 4.3637 makes 6144 of 1408).
        qkv_bias: "full" one bias for all three, "query_value" none for the keys, "none".
        position_table: "learned" is a parameter; "sincos" is computed and in no checkpoint.
        position_image_size: picture size that the learned table belongs to, where it is not `image_size`: the table is
            kept as it was published and interpolated when images are encoded. `None`: the same size.
        final_norm: a layer norm after the last block.
        num_frames: images of one input; above 1 the patches are tubelets of `tubelet_size` frames.
    """

    model_type = "emotion_llama_vit"

    image_size: int = 224
    patch_size: int = 16
    num_channels: int = 3
    hidden_size: int = 1024
    num_hidden_layers: int = 24
    num_attention_heads: int = 16
    mlp_ratio: float = 4.0
    qkv_bias: Literal["full", "query_value", "none"] = "full"
    use_class_token: bool = True
    position_table: Literal["learned", "sincos"] = "learned"
    position_image_size: int | None = None
    final_norm: bool = True
    num_frames: int = 1
    tubelet_size: int = 1
    layer_norm_eps: float = 1e-6
    initializer_range: float = 0.02

    def __post_init__(self, **kwargs: Any) -> None:
        super().__post_init__(**kwargs)
        if self.image_size % self.patch_size or self.image_size < self.patch_size:
            raise InputError(f"image_size {self.image_size} is not a multiple of patch_size {self.patch_size}")
        if self.num_frames % self.tubelet_size:
            raise InputError(f"num_frames {self.num_frames} is not a multiple of tubelet_size {self.tubelet_size}")
        if self.hidden_size % self.num_attention_heads:
            raise InputError(f"hidden_size {self.hidden_size} does not divide into {self.num_attention_heads} heads")
        if self.position_image_size is not None and (self.position_image_size % self.patch_size or self.num_frames > 1):
            raise InputError(
                f"position_image_size {self.position_image_size} is for tables of single pictures, a multiple of "
                f"patch_size {self.patch_size}"
            )

    @property
    def grid_size(self) -> int:
        """Patches along one side."""
        return self.image_size // self.patch_size

    @property
    def num_patches(self) -> int:
        """Patches or tubelets of one input."""
        return self.grid_size**2 * (self.num_frames // self.tubelet_size)

    @property
    def intermediate_size(self) -> int:
        """Width of the perceptron's hidden layer."""
        return int(self.hidden_size * self.mlp_ratio)


# The published encoders at their published sizes.
EVA_G_448: Mapping[str, Any] = MappingProxyType(
    {
        "image_size": 448, "patch_size": 14, "hidden_size": 1408, "num_hidden_layers": 39, "num_attention_heads": 16,
        "mlp_ratio": 4.3637, "qkv_bias": "query_value", "final_norm": False,
    }
)  # fmt: skip
MAE_L_224: Mapping[str, Any] = MappingProxyType({"hidden_size": 1024, "num_hidden_layers": 24})
VIDEOMAE_L_224: Mapping[str, Any] = MappingProxyType(
    {
        "qkv_bias": "query_value", "use_class_token": False, "position_table": "sincos", "final_norm": False,
        "num_frames": 16, "tubelet_size": 2,
    }
)  # fmt: skip
HUBERT_L: Mapping[str, Any] = MappingProxyType(
    {
        "model_type": "hubert", "hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16,
        "intermediate_size": 4096, "do_stable_layer_norm": True, "feat_extract_norm": "layer", "conv_bias": True,
        # Nothing is masked here, so that there is no vector to mask with.
        "feat_proj_dropout": 0.0, "mask_time_prob": 0.0,
    }
)  # fmt: skip
LLAMA_2_7B: Mapping[str, Any] = MappingProxyType(
    {"model_type": "llama", "rms_norm_eps": 1e-5, "max_position_embeddings": 4096}
)

# Names of emotion_llama.models.inputs.RECIPES: what the published weights were trained on.
PUBLISHED_RECIPES: Mapping[str, str] = MappingProxyType(
    {
        "image": "eva-bicubic-clip", "face": "mae-bilinear-01", "temporal": "videomae-8x2",
        "audio": "hubert-last-whole",
    }
)  # fmt: skip


def _hubert(hidden: int, layers: int, conv: int) -> dict[str, Any]:
    """A small HuBERT with the large one's arithmetic; its convolutions keep their kernels and strides."""
    return {
        **HUBERT_L, "hidden_size": hidden, "num_hidden_layers": layers, "num_attention_heads": 4,
        "intermediate_size": 4 * hidden, "conv_dim": [conv] * 7, "num_conv_pos_embeddings": 16,
        "num_conv_pos_embedding_groups": 4,
    }  # fmt: skip


def _llama(hidden: int, layers: int, intermediate: int, vocab_size: int, tied: bool = False) -> dict[str, Any]:
    return {
        **LLAMA_2_7B, "hidden_size": hidden, "num_hidden_layers": layers, "num_attention_heads": 4,
        "num_key_value_heads": 4, "intermediate_size": intermediate, "vocab_size": vocab_size,
        "tie_word_embeddings": tied,
    }  # fmt: skip


def _vit(base: Mapping[str, Any], size: int, hidden: int, layers: int) -> dict[str, Any]:
    return {
        **base, "image_size": size, "hidden_size": hidden, "num_hidden_layers": layers, "num_attention_heads": 4
    }  # fmt: skip


# "7b" is the published model, "nano" one that a laptop trains, "toy" the size of the golden vectors (tests/golden).
# Nano: 5.8 million parameters, 23 MB in float32. Patches of faces have 8 pixels, since an action unit moves the
# skin by two or three; the frame is the peak, which every measured clip has.
PRESETS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "7b": {},
        "nano": {
            "vision_config": _vit(EVA_G_448, 112, 128, 4),
            "face_config": {**_vit(MAE_L_224, 64, 128, 3), "patch_size": 8},
            "temporal_config": _vit(VIDEOMAE_L_224, 64, 128, 4), "audio_config": _hubert(128, 4, 64),
            "text_config": _llama(192, 4, 512, 2048, tied=True),
            "frame_policy": "peak", "prompt_layout": "evidence", "languages": ["en"],
        },
        "toy": {
            "vision_config": _vit(EVA_G_448, 56, 32, 3), "face_config": _vit(MAE_L_224, 64, 24, 3),
            "temporal_config": _vit(VIDEOMAE_L_224, 32, 24, 3), "audio_config": _hubert(24, 2, 16),
            "text_config": _llama(48, 2, 96, 480),
        },
    }
)  # fmt: skip


@strict
class EmotionLlamaConfig(PreTrainedConfig):
    """The whole model: four encoders, the projections between them and the language model, and what it was trained on.

    Without arguments it is the published 7B model. Sizes of the projections follow from the parts.

    Args:
        patches_per_token: neighbouring patch vectors joined into one token.
        image_token_id: the placeholder of one patch token in `input_ids`; -1 takes the first id after the
            vocabulary, which needs no row in the embedding table.
        feature_token_id: the placeholder of a face, temporal, audio or global token; -1 takes the next id.
        prompt_layout: the prompt the weights expect: one of `emotion_llama.prompts.layouts.LAYOUTS`.
        frame_policy: the frame the global encoder was trained on.
        recipes: modality -> the recipe of `emotion_llama.models.inputs` that its features were made with.
        compat_zero_features: "upstream demo zeros": a missing face, clip or sound is a vector of zeros that is
            projected like any other, as the published demo does; otherwise its token is left out.
        absent_towers: encoders (`OPTIONAL_TOWERS`) that are not built because utterance features replace them.
        languages: of spoken words that the weights can read (ISO 639-1); None is any.
    """

    model_type = "emotion_llama"
    sub_configs_defaults: ClassVar[dict[str, SubConfigSpec]] = {
        "vision_config": SubConfigSpec(EmotionLlamaVitConfig, init_kwargs=dict(EVA_G_448)),
        "face_config": SubConfigSpec(EmotionLlamaVitConfig, init_kwargs=dict(MAE_L_224)),
        "temporal_config": SubConfigSpec(EmotionLlamaVitConfig, init_kwargs=dict(VIDEOMAE_L_224)),
        "audio_config": SubConfigSpec(AutoConfig, model_type="hubert", init_kwargs=dict(HUBERT_L)),
        "text_config": SubConfigSpec(AutoConfig, model_type="llama", init_kwargs=dict(LLAMA_2_7B)),
    }

    # Any: a dict or None on the way in, a config of the class named above afterwards.
    vision_config: Any = None
    face_config: Any = None
    temporal_config: Any = None
    audio_config: Any = None
    text_config: Any = None
    patches_per_token: int = 4
    image_token_id: int = -1
    feature_token_id: int = -1
    prompt_layout: Literal["train", "released", "demo", "evidence"] = "train"
    frame_policy: Literal["first", "middle", "peak"] = "first"
    recipes: dict[str, str] = field(default_factory=dict)
    compat_zero_features: bool = False
    absent_towers: list[str] = field(default_factory=list)
    languages: list[str] | None = None
    tie_word_embeddings: bool = False

    def __post_init__(self, **kwargs: Any) -> None:
        super().__post_init__(**kwargs)
        text, vision = self.text_config, self.vision_config
        self.recipes = {**PUBLISHED_RECIPES, **self.recipes}
        self.absent_towers = list(self.absent_towers)
        self.image_token_id = text.vocab_size if self.image_token_id < 0 else self.image_token_id
        self.feature_token_id = self.image_token_id + 1 if self.feature_token_id < 0 else self.feature_token_id
        # The language model ties its own embeddings; transformers looks for the answer on the outermost config too.
        self.tie_word_embeddings = bool(text.tie_word_embeddings)
        if unknown := sorted(set(self.absent_towers) - set(OPTIONAL_TOWERS)):
            raise InputError(f"absent_towers names {', '.join(unknown)}; expected some of {', '.join(OPTIONAL_TOWERS)}")
        if unknown := sorted(set(self.recipes) - set(PUBLISHED_RECIPES)):
            raise InputError(f"recipes names {', '.join(unknown)}; expected some of {', '.join(PUBLISHED_RECIPES)}")
        if vision.num_patches % self.patches_per_token:
            raise InputError(
                f"{vision.num_patches} patches do not join into tokens of patches_per_token {self.patches_per_token}"
            )
        if self.image_token_id == self.feature_token_id:
            raise InputError(f"image_token_id and feature_token_id are both {self.image_token_id}; they must differ")

    @classmethod
    def from_dict(cls, config_dict: dict[str, Any], **kwargs: Any) -> Any:
        """As transformers' own, except that the config of another kind of model is refused.

        Raises:
            InputError: `model_type` is another; transformers would warn and make a model of the published size.
        """
        kind = config_dict.get("model_type", cls.model_type)
        if kind != cls.model_type:
            raise InputError(
                f"this is the config of a {kind} model, not of an Emotion-LLaMA model; name a folder that "
                "`emotion-llama convert` made, or, of a language model, transformers:FOLDER"
            )
        return super().from_dict(config_dict, **kwargs)

    @classmethod
    def preset(cls, name: str, **changes: Any) -> "EmotionLlamaConfig":
        """The config of that name (`PRESETS`) with fields replaced.

        Raises:
            InputError: there is no such preset.
        """
        if name not in PRESETS:
            raise InputError(f"preset {name!r} is not known; expected one of: {', '.join(PRESETS)}")
        return cls(**{**PRESETS[name], **changes})

    @property
    def num_image_tokens(self) -> int:
        """Patch tokens of one frame (256 at the published size)."""
        return int(self.vision_config.num_patches // self.patches_per_token)
