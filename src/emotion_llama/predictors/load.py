"""Annotators by name: from a recipe's part, or a dict, to something that answers questions."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from emotion_llama.chat.configs import (
    CONFIGS,
    AnnotatorConfig,
    EmotionLlamaConfig,
    OpenAIConfig,
    RulesConfig,
    StubConfig,
    TransformersConfig,
)
from emotion_llama.chat.questions import Annotator
from emotion_llama.errors import InputError

__all__ = [
    "ANNOTATORS",
    "CONFIGS",
    "AnnotatorConfig",
    "EmotionLlamaConfig",
    "OpenAIConfig",
    "RulesConfig",
    "StubConfig",
    "TransformersConfig",
    "annotator_config",
    "load_annotator",
    "prepare",
]

# Name -> "module:class", imported when it is asked for.
ANNOTATORS: dict[str, str] = {
    "rules": "emotion_llama.rules.rules_annotator:RulesAnnotator",
    "openai": "emotion_llama.chat.openai_compatible:OpenAICompatibleAnnotator",
    "transformers": "emotion_llama.chat.local_transformers:TransformersAnnotator",
    "emotion-llama": "emotion_llama.predictors.own_model:OwnModelAnnotator",
    "stub": "emotion_llama.chat.stub:StubAnnotator",
}


def annotator_config(config: Mapping[str, object]) -> AnnotatorConfig:
    """The checked configuration.

    Args:
        config: "name" and the annotator's own options, as YAML gives them (lists, texts, numbers).

    Raises:
        InputError: no or an unknown name, or options that do not fit; all of them are named.
    """
    name = config.get("name")
    if not isinstance(name, str) or name not in CONFIGS:
        raise InputError(f"no annotator {name!r} (there are: {', '.join(CONFIGS)}); give it as name")
    kind: type[AnnotatorConfig] = CONFIGS[name]
    try:
        return kind.model_validate(_from_yaml(dict(config), kind))
    except ValidationError as error:
        raise InputError(f"annotator {name}: {_mistakes(error, kind)}") from None


def load_annotator(config: Mapping[str, object], **shared: Any) -> Annotator:
    """The annotator of a configuration. Nothing is asked, downloaded or loaded before its first question.

    Args:
        config: as `annotator_config` takes it.
        shared: what its class takes besides, such as `budget=` or `spent=` of "openai".

    Raises:
        InputError: the configuration does not fit, or a folder in it cannot be used.
    """
    checked = annotator_config(config)
    module, _, attribute = ANNOTATORS[checked.name].partition(":")
    kind = getattr(import_module(module), attribute)
    annotator: Annotator
    annotator = kind(table=checked.table, **shared) if isinstance(checked, RulesConfig) else kind(checked, **shared)
    return annotator


def prepare(annotator: Annotator) -> tuple[str, ...]:
    """Check that an annotator could be asked now, without asking it; what its user has to know before it is.

    A build calls this once for each annotator before it begins and prints the lines, so that a missing key is found at
    once and not after an hour, and nobody sends pictures of people away without having read so.

    Raises:
        InputError: an environment variable that holds a key is not set.
        MissingDependency: a package is not installed.
    """
    check = getattr(annotator, "check_ready", None)
    if check is not None:
        check()
    host = getattr(annotator, "sends_to", None)
    if host is None:
        return ()
    return (
        f"Pictures, sound or words of the clips leave this machine: annotator {annotator.name} sends them to {host}.",
    )


def _from_yaml(config: dict[str, object], kind: type[AnnotatorConfig]) -> dict[str, object]:
    """Texts as paths, lists as tuples and whole numbers as floats, where the option is one: YAML knows neither."""
    for name, field in kind.model_fields.items():
        value, wanted = config.get(name), str(field.annotation)
        if isinstance(value, str) and "Path" in wanted:
            config[name] = Path(value).expanduser()
        elif isinstance(value, list) and "tuple" in wanted:
            config[name] = tuple(value)
    return config


def _mistakes(error: ValidationError, kind: type[AnnotatorConfig]) -> str:
    told = []
    for one in error.errors(include_url=False):
        place = ".".join(str(part) for part in one["loc"])
        if one["type"] == "extra_forbidden":
            told.append(f"no option {place!r} (there are: {', '.join(kind.model_fields)})")
        elif one["type"] == "missing":
            told.append(f"{place} is needed")
        else:
            told.append(f"{place}: {one['msg']}" if place else one["msg"].removeprefix("Value error, "))
    return "; ".join(told)
