"""The tables of docs/merr-annotators.md, made from the annotators' options, prompts and replies."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from pydantic_core import PydanticUndefined

from emotion_llama.chat.questions import TASKS
from emotion_llama.chat.replies import reply_schema
from emotion_llama.merr.annotators import CONFIGS
from emotion_llama.prompts.merr_prompts import LANGUAGES, NEEDED_FIELDS, PROMPT_FIELDS, load_prompt


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
    for use, fields in PROMPT_FIELDS.items():
        needed = NEEDED_FIELDS.get(use, ())
        told = ", ".join(f"`{{{name}}}`" + (" (needed)" if name in needed else "") for name in fields) or "none"
        hashes = ", ".join(f"{language} `{load_prompt(use, language).sha256[:12]}`" for language in LANGUAGES)
        rows.append(f"| `{use}` | {told} | {hashes} |")
    return "\n".join(["| prompt | fields | sha256 begins |", "| --- | --- | --- |", *rows])


def reply_table() -> str:
    """A Markdown table of the tasks and what is answered."""
    rows = []
    for task in TASKS:
        properties = reply_schema(task)["properties"]
        told = ", ".join(f"`{key}` ({_KINDS[value['type']]})" for key, value in properties.items())
        rows.append(f"| `{task}` | {told} |")
    return "\n".join(["| task | the reply's one JSON object |", "| --- | --- |", *rows])


_KINDS = {"string": "text", "array": "list of texts", "boolean": "true or false"}


def _shown(value: Any) -> str:  # any default
    return json.dumps(value, ensure_ascii=False, default=str)


# Page -> block -> what makes it.
ANNOTATOR_BLOCKS: Mapping[str, Mapping[str, Callable[[], str]]] = {
    "docs/merr-annotators.md": {
        **{name: partial(option_table, name) for name in CONFIGS},
        "prompts": prompt_table,
        "replies": reply_table,
    }
}
