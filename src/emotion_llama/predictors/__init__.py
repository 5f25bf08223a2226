"""Readers: one question about the evidence of a person, one answer, whoever gives it."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from inspect import signature
from pathlib import Path
from typing import Any

from emotion_llama.errors import InputError
from emotion_llama.predictors.reader import Reader

__all__ = ["DEFAULT_MODEL", "READERS", "Reader", "default_model", "load_reader", "shipped_folder"]

_MODEL_READER = "emotion_llama.predictors.emotion_llama:EmotionLlamaReader"
# Name -> "module:class", imported when it is asked for. Any other name is the folder of a model.
READERS: dict[str, str] = {
    "rules": "emotion_llama.rules.rules:RulesReader",
    "nano": _MODEL_READER,
}
# Models whose weights are part of the package.
_SHIPPED = {"nano": Path(__file__).parents[1] / "models" / "nano"}

# What reads a clip where nobody says what shall, for `analyze`, `Analyzer.load` and the server; and what does so where
# the extra `model` is not installed, which runs the former.
DEFAULT_MODEL, DEFAULT_WITHOUT_TORCH = "nano", "rules"
_RUN_MODELS = ("torch", "transformers", "peft", "safetensors")


def default_model() -> str:
    """The name of the default reader on this machine; imports nothing."""
    return DEFAULT_MODEL if all(find_spec(name) for name in _RUN_MODELS) else DEFAULT_WITHOUT_TORCH


def load_reader(name: str, **options: Any) -> Reader:
    """The reader called `name`.

    Args:
        name: one of `READERS`, or the folder of a model.
        options: what its class takes, e.g. `table="mer-factory"` of `RulesReader`, `dtype="bfloat16"` of a model.

    Raises:
        InputError: there is no such reader, its weights are not here, or its class refuses an option.
        MissingDependency: a model is asked for, and what runs it is not installed.
    """
    folder = shipped_folder(name) if name in _SHIPPED else Path(name) if name not in READERS else None
    if name not in READERS and not Path(name).is_dir():
        raise InputError(f"no reader {name!r} (there are: {', '.join(READERS)}); a model is named by its folder")
    module, _, attribute = READERS.get(name, _MODEL_READER).partition(":")
    kind = getattr(import_module(module), attribute)
    taken = set(signature(kind).parameters) - {"folder"}
    if unknown := sorted(set(options) - taken):
        raise InputError(f"reader {name!r} takes no option {unknown[0]!r} (it takes: {', '.join(sorted(taken))})")
    reader: Reader = kind(**options) if folder is None else kind(folder, **options)
    return reader


def shipped_folder(name: str) -> Path:
    """The folder of a model that comes with the package.

    Raises:
        InputError: none of that name does, or this copy of the package is without its weights.
    """
    if name not in _SHIPPED:
        raise InputError(f"no model {name!r} comes with the package (there are: {', '.join(_SHIPPED)})")
    folder = _SHIPPED[name]
    if not (folder / "config.json").is_file():
        raise InputError(
            f"model {name!r} is not in this copy of the package: {folder} is missing or holds no model; "
            "name another model, or a model's folder"
        )
    return folder
