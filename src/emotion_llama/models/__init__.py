"""The published model as transformers classes, and what goes into it.

Importing this costs nothing; the first use of a class imports torch and transformers and makes the classes known to
transformers' Auto classes. `register_auto_classes()` does that alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from emotion_llama.models.configuration_emotion_llama import EmotionLlamaConfig, EmotionLlamaVitConfig
    from emotion_llama.models.encoder_inputs import EmotionLlamaEncoding, EncoderInputs
    from emotion_llama.models.modeling_emotion_llama import EmotionLlamaForConditionalGeneration
    from emotion_llama.models.pretrained import quantization_config
    from emotion_llama.models.processing_emotion_llama import EmotionLlamaProcessor
    from emotion_llama.models.scoring import LabelScores, rank_answers, score_labels
    from emotion_llama.models.vit import VisionTransformer

_HOMES = {
    "configuration_emotion_llama": ("EmotionLlamaConfig", "EmotionLlamaVitConfig"),
    "encoder_inputs": ("EmotionLlamaEncoding", "EncoderInputs"),
    "modeling_emotion_llama": ("EmotionLlamaForConditionalGeneration",),
    "processing_emotion_llama": ("EmotionLlamaProcessor",),
    "pretrained": ("quantization_config",),
    "scoring": ("LabelScores", "rank_answers", "score_labels"),
    "vit": ("VisionTransformer",),
}
_HOME_OF = {name: f"{__name__}.{home}" for home, names in _HOMES.items() for name in names}

__all__ = [
    "EmotionLlamaConfig",
    "EmotionLlamaEncoding",
    "EmotionLlamaForConditionalGeneration",
    "EmotionLlamaProcessor",
    "EmotionLlamaVitConfig",
    "EncoderInputs",
    "LabelScores",
    "VisionTransformer",
    "quantization_config",
    "rank_answers",
    "register_auto_classes",
    "score_labels",
]


def register_auto_classes() -> None:
    """Make AutoConfig, AutoModel, AutoModelForImageTextToText, AutoModelForMultimodalLM, AutoProcessor know these.

    Raises:
        MissingDependency: torch or transformers is not installed.
    """
    from emotion_llama.errors import MissingDependency

    try:
        import torch  # noqa: F401
        from transformers import (
            AutoConfig,
            AutoModel,
            AutoModelForImageTextToText,
            AutoModelForMultimodalLM,
            AutoProcessor,
        )
    except ImportError as error:
        raise MissingDependency("torch or transformers", "the model", "pip install 'emotion-llama[model]'") from error
    from emotion_llama.models.configuration_emotion_llama import EmotionLlamaConfig, EmotionLlamaVitConfig
    from emotion_llama.models.modeling_emotion_llama import EmotionLlamaForConditionalGeneration
    from emotion_llama.models.processing_emotion_llama import EmotionLlamaProcessor
    from emotion_llama.models.vit import VisionTransformer

    AutoConfig.register(EmotionLlamaConfig.model_type, EmotionLlamaConfig, exist_ok=True)
    AutoConfig.register(EmotionLlamaVitConfig.model_type, EmotionLlamaVitConfig, exist_ok=True)
    AutoModel.register(EmotionLlamaVitConfig, VisionTransformer, exist_ok=True)
    for auto_class in (AutoModel, AutoModelForImageTextToText, AutoModelForMultimodalLM):
        auto_class.register(EmotionLlamaConfig, EmotionLlamaForConditionalGeneration, exist_ok=True)
    AutoProcessor.register(EmotionLlamaConfig, EmotionLlamaProcessor, exist_ok=True)  # type: ignore[no-untyped-call]


def __getattr__(name: str) -> object:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    register_auto_classes()
    return getattr(importlib.import_module(_HOME_OF[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
