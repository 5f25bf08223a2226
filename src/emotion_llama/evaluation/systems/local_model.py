"""Chat models of the transformers library as systems: "transformers:FOLDER", or a folder that holds such a model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from emotion_llama.evaluation.systems.chat_model import ChatSystem, chat_system


def load(spec: str, options: Mapping[str, Any]) -> ChatSystem:
    """See `load_system`; options are `frames`, `prompts` and the fields of `annotators.configs.TransformersConfig`."""
    model = spec.removeprefix("transformers:")
    place = Path(model).expanduser()
    name = place.resolve().name if place.is_dir() else model
    return chat_system(f"transformers:{model}", name, options)
