"""The tables of docs/merr-recipes.md, made from the recipe's own descriptions."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from emotion_llama.labels import LabelSpace
from emotion_llama.merr.labels import label_rules
from emotion_llama.merr.recipe import Recipe


def part_table(name: str) -> str:
    """A Markdown table of the keys, defaults and reasons of a part; "recipe" for the keys at the top."""
    return (
        _table("", Recipe, only_plain=True) if name == "recipe" else _table(f"{name}.", PARTS[name], only_plain=False)
    )


def joined_table() -> str:
    """The units of each label in the table "joined"."""
    every = LabelSpace("all", ("happy", "sad", "surprise", "fear", "angry", "contempt", "worried", "doubt", "disgust"))
    rows = [
        f"| {rule.label} | {', '.join(rule.units)} | {rule.needs:.0%} | {', '.join(rule.any_of) or '-'} |"
        for rule in label_rules("joined", every)
    ]
    return "\n".join(["| label | units | present at least | one of |", "| --- | --- | --- | --- |", *rows])


def _table(front: str, kind: type[BaseModel], *, only_plain: bool) -> str:
    rows = []
    for name, info in kind.model_fields.items():
        if only_plain and isinstance(info.annotation, type) and issubclass(info.annotation, BaseModel):
            continue
        default = info.get_default()
        assert default is not PydanticUndefined, f"{name} has no default"
        assert info.description, f"{name} has no description"
        rows.append(f"| `{front}{name}` | `{_shown(default)}` | {info.description.replace('|', '&#124;')} |")
    return "\n".join(["| key | default | what, and why |", "| --- | --- | --- |", *rows])


def _shown(value: Any) -> str:  # any default
    return json.dumps(value, ensure_ascii=False, default=str)


PARTS: Mapping[str, type[BaseModel]] = {
    name: info.annotation
    for name, info in Recipe.model_fields.items()
    if isinstance(info.annotation, type) and issubclass(info.annotation, BaseModel)
}
# Page -> block -> what makes it.
RECIPE_BLOCKS: Mapping[str, Mapping[str, Callable[[], str]]] = {
    "docs/merr-recipes.md": {
        **{name: partial(part_table, name) for name in ("recipe", *PARTS)},
        "joined": joined_table,
    }
}
