"""Models behind an OpenAI-compatible server as systems: "openai:MODEL@URL"."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from emotion_llama.evaluation.systems.chat_model import ChatSystem, chat_system


def load(spec: str, options: Mapping[str, Any]) -> ChatSystem:
    """See `load_system`; options are `frames`, `prompts` and the fields of `annotators.configs.OpenAIConfig`."""
    name = spec.removeprefix("openai:").rpartition("@")[0]
    return chat_system(spec, name or spec, options)
