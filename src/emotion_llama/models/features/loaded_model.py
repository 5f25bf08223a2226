"""A model's folder, loaded: weights, processor, and what makes features of a clip's pictures and sound."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from emotion_llama.models.features.extractor import FeatureExtractor, TorchEncoders, check_device
from emotion_llama.models.folders import check_model_folder
from emotion_llama.models.inputs import sound_recipe

_LONG_TO_LOAD_BYTES = 1_000_000_000


class LoadedModel:
    """Everything of a model that answering, scoring and encoding need.

    Utterance features are made in float32 whatever the type, and are those that the verb `features` makes.

    Attributes:
        name: the folder's own name.
        device: where the weights are.
        model: an EmotionLlamaForConditionalGeneration, in evaluation mode.
        processor: its EmotionLlamaProcessor.
        extractor: makes a clip's utterance features with the model's own encoders and sound recipe.

    Raises:
        InputError: the folder holds no whole model of ours (`folders.check_model_folder`), or there is no such device.
        MissingDependency: torch or transformers is not installed.
    """

    def __init__(self, folder: str | Path, *, device: str | None = None, dtype: str = "auto") -> None:
        """Load a model.

        Args:
            folder: as `emotion-llama convert` writes it.
            device: "cpu", "cuda", "cuda:1"; None takes a GPU where there is one.
            dtype: of the language model and the global encoder, a torch dtype's name. "auto" is the type stored; on a
                CPU, bfloat16 in place of float16, which CPUs compute many times slower.
        """
        place = Path(folder)
        check_model_folder(place)
        from emotion_llama import models  # names the extra where torch is missing

        build: Any = models.EmotionLlamaForConditionalGeneration
        prepare: Any = models.EmotionLlamaProcessor
        import torch

        self.name = place.resolve().name
        self.device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        check_device(self.device)
        kind = _cpu_dtype(place) if dtype == "auto" and self.device == "cpu" else dtype
        with _bar_if_long(place):
            self.model: Any = build.from_pretrained(place, dtype=kind).to(self.device).eval()
        self.processor: Any = prepare.from_pretrained(place)
        sound = sound_recipe(self.processor.audio_recipe)
        self.extractor = FeatureExtractor(TorchEncoders.of_model(self.model), sound=sound)


@contextmanager
def _bar_if_long(place: Path) -> Iterator[None]:
    """Without transformers' bar of loaded weights where there is nothing to wait for."""
    from transformers.utils import logging as untyped

    logging: Any = untyped
    weights = sum(file.stat().st_size for file in place.glob("*.safetensors"))
    hides = weights < _LONG_TO_LOAD_BYTES and logging.is_progress_bar_enabled()
    if hides:
        logging.disable_progress_bar()
    try:
        yield
    finally:
        if hides:
            logging.enable_progress_bar()


def _cpu_dtype(place: Path) -> str:
    """The type stored, but bfloat16 for float16."""
    from emotion_llama.models.configuration_emotion_llama import EmotionLlamaConfig

    stored = str(EmotionLlamaConfig.from_pretrained(place).dtype)
    return "bfloat16" if stored == "torch.float16" else "auto"
