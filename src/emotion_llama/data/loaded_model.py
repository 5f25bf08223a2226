"""A model's folder, loaded: weights, processor, and what makes features of a clip's pictures and sound."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from emotion_llama.data.features import FeatureExtractor
from emotion_llama.errors import InputError


class LoadedModel:
    """Everything of a model that answering, scoring and encoding need.

    Attributes:
        name: the folder's own name.
        device: where the weights are.
        model: an EmotionLlamaForConditionalGeneration, in evaluation mode.
        processor: its EmotionLlamaProcessor.
        extractor: makes a clip's utterance features with the model's own encoders and sound recipe.

    Raises:
        InputError: the folder holds no model.
        MissingDependency: torch or transformers is not installed.
    """

    def __init__(self, folder: str | Path, *, device: str | None = None, dtype: str = "auto") -> None:
        """Load from `folder`; `device` None takes a GPU where there is one, `dtype` "auto" the type stored."""
        place = Path(folder)
        if not (place / "config.json").is_file():
            raise InputError(
                f"{place} holds no model: config.json is missing; `emotion-llama convert` makes one of published files"
            )
        from emotion_llama import models  # names the extra where torch is missing

        build: Any = models.EmotionLlamaForConditionalGeneration
        prepare: Any = models.EmotionLlamaProcessor
        import torch

        from emotion_llama.data.encoders import TorchEncoders
        from emotion_llama.models.inputs import sound_recipe

        self.name = place.resolve().name
        self.device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        self.model: Any = build.from_pretrained(place, dtype=dtype).to(self.device).eval()
        self.processor: Any = prepare.from_pretrained(place)
        sound = sound_recipe(self.processor.audio_recipe)
        self.extractor = FeatureExtractor(TorchEncoders.of_model(self.model), sound=sound)
