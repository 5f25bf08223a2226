"""Plans on disk: one JSON document a line, checked strictly when it is read."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from emotion_llama.errors import InputError
from merr_synth.render.plan import ClipPlan


@lru_cache(maxsize=1)
def _adapter() -> TypeAdapter[ClipPlan]:
    return TypeAdapter(ClipPlan)


def plan_to_json(plan: ClipPlan) -> str:
    """One line."""
    return _adapter().dump_json(plan).decode("utf-8")


def plan_from_json(text: str, where: str = "plan") -> ClipPlan:
    """The plan that a line holds.

    Raises:
        InputError: it is no plan; the message begins with `where` and names every field that is wrong.
    """
    try:
        plan = _adapter().validate_json(text, strict=True)
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'line'}: {e['msg']}" for e in error.errors())
        raise InputError(f"{where}: not a clip plan ({problems})") from None
    # The parts are plain dataclasses, some of another module's: pydantic would pass over fields that they do not have.
    unknown = list(_unknown(json.loads(text), json.loads(plan_to_json(plan)), ""))
    if unknown:
        raise InputError(f"{where}: not a clip plan (unknown fields: {', '.join(unknown)})")
    return plan


def _unknown(given: object, kept: object, path: str) -> Iterator[str]:
    if isinstance(given, dict) and isinstance(kept, dict):
        for name, value in given.items():
            if name in kept:
                yield from _unknown(value, kept[name], f"{path}{name}.")
            else:
                yield f"{path}{name}"
    elif isinstance(given, list) and isinstance(kept, list):
        for i, (a, b) in enumerate(zip(given, kept)):
            yield from _unknown(a, b, f"{path}{i}.")


def read_plans(path: str | Path) -> list[ClipPlan]:
    """All plans of a file written by `plans_text`.

    Raises:
        InputError: the file cannot be read, or a line is no plan.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: plans cannot be read ({error}); give a plans.jsonl of `synth render`") from None
    return [plan_from_json(line, f"{path}, line {number}") for number, line in enumerate(lines, 1) if line.strip()]


def plans_text(plans: Iterable[ClipPlan]) -> str:
    """The file's text."""
    return "".join(f"{plan_to_json(plan)}\n" for plan in plans)
