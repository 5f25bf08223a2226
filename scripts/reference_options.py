"""The tables of docs/merr-recipes.md and docs/merr-annotators.md, made from the options' own descriptions."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from emotion_llama.chat.asking import reply_schema
from emotion_llama.chat.questions import TASKS
from emotion_llama.labels import LabelSpace
from emotion_llama.merr.annotators import CONFIGS
from emotion_llama.merr.recipe import Recipe
from emotion_llama.merr.stages.labels import label_rules
from emotion_llama.prompts.prompt_files import LANGUAGES, MERR_FIELDS, MERR_NEEDED, load_prompt


def option_table(name: str) -> str:
    """A Markdown table of an annotator's options."""
    rows = []
    for option, info in CONFIGS[name].model_fields.items():
        if option == "name":
            continue
        default = info.get_default(call_default_factory=True)
        shown = "needed" if default is PydanticUndefined else f"`{_shown(default)}`"
        assert info.description, f"{name}.{option} has no description"
        rows.append(f"| `{option}` | {shown} | {info.description} |")
    return "\n".join(["| option | default | what it does |", "| --- | --- | --- |", *rows])


def prompt_table() -> str:
    """A Markdown table of the prompts, their fields and their hashes."""
    rows = []
    for use, fields in MERR_FIELDS.items():
        needed = MERR_NEEDED.get(use, ())
        shown_fields = ", ".join(f"`{{{name}}}`" + (" (needed)" if name in needed else "") for name in fields) or "none"
        digests = {language: load_prompt("merr", f"{use}.{language}").sha256 for language in LANGUAGES}
        hashes = ", ".join(f"{language} `{digest[:12]}`" for language, digest in digests.items())
        rows.append(f"| `{use}` | {shown_fields} | {hashes} |")
    return "\n".join(["| prompt | fields | sha256 begins |", "| --- | --- | --- |", *rows])


def reply_table() -> str:
    """A Markdown table of the tasks and what is answered."""
    rows = []
    for task in TASKS:
        properties = reply_schema(task)["properties"]
        shown_fields = ", ".join(f"`{key}` ({_KINDS[value['type']]})" for key, value in properties.items())
        rows.append(f"| `{task}` | {shown_fields} |")
    return "\n".join(["| task | the reply's one JSON object |", "| --- | --- |", *rows])


_KINDS = {"string": "text", "array": "list of texts", "boolean": "true or false"}


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
OPTION_BLOCKS: Mapping[str, Mapping[str, Callable[[], str]]] = {
    "docs/merr-recipes.md": {
        **{name: partial(part_table, name) for name in ("recipe", *PARTS)},
        "joined": joined_table,
    },
    "docs/merr-annotators.md": {
        **{name: partial(option_table, name) for name in CONFIGS},
        "prompts": prompt_table,
        "replies": reply_table,
    },
}
