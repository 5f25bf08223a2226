"""Prompts that an evaluation sends to other models: text files of this package, or of a folder of one's own."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from emotion_llama.errors import InputError
from emotion_llama.prompts.merr_prompts import PromptFile, split_prompt

Use = Literal["evaluation", "judge"]

# Use -> prompt -> the fields that it has to have.
FIELDS: Mapping[Use, Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "evaluation": MappingProxyType({"label": ("words", "instruction", "labels"), "free": ("words", "instruction")}),
        "judge": MappingProxyType(
            {
                "clue_overlap": ("truth", "answer", "low", "high"),
                "label_overlap": ("truth", "answer", "low", "high"),
                "extract": ("answer",),
                "sentiment": ("answer",),
                "group": ("answer",),
                "again": ("problem",),
            }
        ),
    }
)


def load_prompt(use: Use, name: str, folder: str | Path | None = None) -> PromptFile:
    """The prompt `name`: of `folder` where it has a file of that name, else the package's.

    Raises:
        InputError: there is no prompt of that name, or a file lacks a field or cannot be read.
    """
    if name not in FIELDS[use]:
        raise InputError(f"no {use} prompt {name!r} (there are: {', '.join(FIELDS[use])})")
    fields = FIELDS[use][name]
    own = None if folder is None else Path(folder) / f"{name}.txt"
    if own is not None and own.is_file():
        try:
            text = own.read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{own}: cannot be read as UTF-8 text ({error})") from error
        return split_prompt(text, fields, needed=fields, where=str(own), name=name)
    text = (files("emotion_llama.prompts") / use / f"{name}.txt").read_text(encoding="utf-8")
    return split_prompt(text, fields, needed=fields, name=name)


def prompt_hashes(use: Use, folder: str | Path | None = None) -> dict[str, str]:
    """Name -> sha256 of every prompt of that use."""
    return {name: load_prompt(use, name, folder).sha256 for name in FIELDS[use]}


def checked_folder(folder: str | Path | None) -> Path | None:
    """A folder of prompts of one's own.

    Raises:
        InputError: there is no such folder.
    """
    if folder is None:
        return None
    place = Path(folder)
    if not place.is_dir():
        raise InputError(f"prompts: {place} is no folder")
    return place
