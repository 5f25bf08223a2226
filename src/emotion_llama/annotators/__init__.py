"""Readers: one question about the evidence of a person, one answer, whoever gives it."""

from __future__ import annotations

from importlib import import_module
from inspect import signature
from typing import Any

from emotion_llama.annotators.reader import Reader
from emotion_llama.errors import InputError

__all__ = ["READERS", "Reader", "load_reader"]

# Name -> "module:class", imported when it is asked for.
READERS: dict[str, str] = {
    "rules": "emotion_llama.annotators.rules:RulesReader",
}


def load_reader(name: str, **options: Any) -> Reader:
    """The reader called `name`.

    Args:
        name: one of `READERS`.
        options: what its class takes, e.g. `table="mer-factory"` of `RulesReader`.

    Raises:
        InputError: there is no such reader, or its class refuses an option.
    """
    if name not in READERS:
        raise InputError(f"no reader {name!r} (there are: {', '.join(READERS)})")
    module, _, attribute = READERS[name].partition(":")
    kind = getattr(import_module(module), attribute)
    taken = set(signature(kind).parameters)
    if unknown := sorted(set(options) - taken):
        raise InputError(f"reader {name!r} takes no option {unknown[0]!r} (it takes: {', '.join(sorted(taken))})")
    reader: Reader = kind(**options)
    return reader
