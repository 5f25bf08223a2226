"""Model and processor of a folder of transformers, as far as chats need them: no speech output, no reading of videos.

Omni models write text and speak; their text part alone is loaded, which computes the same text and is given the clip's
frames and sound as pictures and audio of one message. Processors of models that can also read video files need
torchvision for that part alone, which is left out: what is sent are frames.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# Type of a whole omni model -> the class of its text part.
TEXT_PARTS: Mapping[str, str] = {
    "qwen2_5_omni": "Qwen2_5OmniThinkerForConditionalGeneration",
    "qwen3_omni_moe": "Qwen3OmniMoeThinkerForConditionalGeneration",
}
_LOADERS = {
    "image_processor": "AutoImageProcessor",
    "feature_extractor": "AutoFeatureExtractor",
    "tokenizer": "AutoTokenizer",
}


def model_class(transformers: Any, place: str, where: Mapping[str, Any], *, is_text: bool) -> Any:
    """The class that loads the model in `place`; errors as `from_pretrained`."""
    if is_text:
        return transformers.AutoModelForCausalLM
    part = TEXT_PARTS.get(transformers.AutoConfig.from_pretrained(place, **where).model_type)
    return transformers.AutoModelForMultimodalLM if part is None else getattr(transformers, part)


def load_processor(transformers: Any, place: str, where: Mapping[str, Any], *, is_text: bool) -> Any:
    """The tokenizer of a text model, else the processor; errors as `from_pretrained`."""
    if is_text:
        return transformers.AutoTokenizer.from_pretrained(place, **where)
    try:
        return transformers.AutoProcessor.from_pretrained(place, **where)
    except ImportError as error:
        if "orchvision" not in str(error):
            raise
    return _without_videos(transformers, place, where)


def _without_videos(transformers: Any, place: str, where: Mapping[str, Any]) -> Any:
    mixin = transformers.ProcessorMixin
    name = mixin.get_processor_dict(place, **where)[0].get("processor_class")
    if name is None:
        name = transformers.ImageProcessingMixin.get_image_processor_dict(place, **where)[0]["processor_class"]
    kind: Any = getattr(transformers, name)

    class Stills(kind):  # type: ignore[misc]
        def check_argument_for_proper_class(self, argument_name: str, argument: object) -> object:
            if argument is None:
                return None
            return super().check_argument_for_proper_class(argument_name, argument)

    parts = [
        None if part == "video_processor" else getattr(transformers, _LOADERS[part]).from_pretrained(place, **where)
        for part in kind.get_attributes()
    ]
    settings, options = kind.get_processor_dict(place, **where)
    return Stills.from_args_and_dict(parts, settings, **options)
