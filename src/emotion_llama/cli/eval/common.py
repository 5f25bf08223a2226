"""What the sub-verbs of `eval` share: options given as KEY=VALUE, and numbers."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from emotion_llama.errors import InputError


def key_values(option: str, given: Sequence[str]) -> dict[str, Any]:
    """KEY=VALUE pairs as a dict; values are read as YAML: numbers, true, [text, image], null, else text.

    Raises:
        InputError: one is no such pair, a key is there twice, or a value is no YAML.
    """
    import yaml

    found: dict[str, Any] = {}
    for text in given:
        key, separator, value = text.partition("=")
        if not separator or not key or key in found:
            what = "is there twice" if key in found else "is no KEY=VALUE"
            raise InputError(f"{option} {text!r} {what}; give such as {option} dtype=float32")
        try:
            found[key] = yaml.safe_load(value) if value else ""
        except yaml.YAMLError as error:
            raise InputError(f"{option} {key}: {value!r} cannot be read ({str(error).splitlines()[0]})") from error
    return found


def positive(text: str) -> int:
    """A whole number from 1 up, for argparse."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a number from 1 up, got {text!r}")
    return int(text)
