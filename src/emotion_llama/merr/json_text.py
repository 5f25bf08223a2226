"""JSON that others wrote: what is no JSON at all, or could not be stored, is a ValueError and nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

Pairs = Callable[[list[tuple[str, Any]]], dict[str, Any]]


def parse_json(text: str, pairs: Pairs | None = None) -> Any:  # whatever JSON holds
    """The value of a JSON text.

    Args:
        text: whole.
        pairs: makes an object of its keys and values, such as to find keys that stand twice.

    Raises:
        ValueError: it is no JSON; it holds NaN or an infinity, which JSON does not have, or half a character (a lone
            surrogate), which no file can; or it is nested without end.
    """
    try:
        found = json.loads(text, object_pairs_hook=pairs, parse_constant=_no_number)
    except RecursionError:
        raise ValueError("parts stand in parts without end") from None
    if "\\ud" in text or "\\uD" in text:  # only an escape can bring in half a character
        try:
            json.dumps(found, ensure_ascii=False).encode("utf-8")
        except UnicodeEncodeError:
            raise ValueError("a text holds half a character (\\ud800 to \\udfff without its other half)") from None
    return found


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is no JSON")
