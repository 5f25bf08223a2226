"""Readers: one question about the evidence of a person, one answer, whoever gives it."""

from __future__ import annotations

from importlib import import_module
from inspect import signature
from pathlib import Path
from typing import Any

from emotion_llama.annotators.reader import Reader
from emotion_llama.errors import InputError

__all__ = ["READERS", "Reader", "load_reader"]

# Name -> "module:class", imported when it is asked for. Any other name is the folder of a model.
READERS: dict[str, str] = {
    "rules": "emotion_llama.annotators.rules:RulesReader",
}
_MODEL_READER = "emotion_llama.annotators.emotion_llama:EmotionLlamaReader"


def load_reader(name: str, **options: Any) -> Reader:
    """The reader called `name`.

    Args:
        name: one of `READERS`, or the folder of a model.
        options: what its class takes, e.g. `table="mer-factory"` of `RulesReader`, `dtype="bfloat16"` of a model.

    Raises:
        InputError: there is no such reader, or its class refuses an option.
        MissingDependency: a model is asked for, and what runs it is not installed.
    """
    is_folder = name not in READERS and Path(name).is_dir()
    if name not in READERS and not is_folder:
        raise InputError(f"no reader {name!r} (there are: {', '.join(READERS)}); a model is named by its folder")
    module, _, attribute = (_MODEL_READER if is_folder else READERS[name]).partition(":")
    kind = getattr(import_module(module), attribute)
    taken = set(signature(kind).parameters) - {"folder"}
    if unknown := sorted(set(options) - taken):
        raise InputError(f"reader {name!r} takes no option {unknown[0]!r} (it takes: {', '.join(sorted(taken))})")
    reader: Reader = kind(name, **options) if is_folder else kind(**options)
    return reader
