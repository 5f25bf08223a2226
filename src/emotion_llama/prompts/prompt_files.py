"""Prompts for other models as text files: of this package or of a folder, with named fields and a hash for provenance.

A file holds a part `[system]` (may be left out) and a part `[user]`. Named fields stand in braces; a brace that is
meant is doubled. The wording is this project's own; what MERR's reason prompt asks for (sort true clues from misleading
ones, infer, keep the label to the end) is what MERR's authors asked of their language model (Emotion-LLaMA, NeurIPS
2024, appendix).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from string import Formatter
from types import MappingProxyType
from typing import Literal

from emotion_llama.errors import InputError

Use = Literal["merr", "evaluation", "judge"]
LANGUAGES = ("en", "zh")
_CLUES = ("visual_expression", "visual_objective", "audio_tone", "subtitle")
# Question of a MERR build -> its fields. "reason" has the label and "infer" asks for it; "again" follows a reply that
# was no answer. The label is a field of "reason" alone, so that no other question can show it.
MERR_FIELDS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "expression": ("measured",),
        "visual": (),
        "audio": ("measured",),
        "reason": (*_CLUES, "label", "label_word", "labels"),
        "infer": (*_CLUES, "labels"),
        "check": (*_CLUES, "text"),
        "again": ("problem",),
    }
)
# Fields without which a prompt of one's own would ask another question; of the other uses, all.
MERR_NEEDED: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"reason": ("label",), "infer": ("labels",), "check": ("text",), "again": ("problem",)}
)
# Use -> prompt -> its fields.
FIELDS: Mapping[Use, Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "merr": {f"{question}.{language}": MERR_FIELDS[question] for question in MERR_FIELDS for language in LANGUAGES},
        "evaluation": {
            "label": ("words", "instruction", "labels"),
            "stated": ("words", "instruction", "labels"),
            "free": ("words", "instruction"),
        },
        "judge": {
            "clue_overlap": ("truth", "answer", "low", "high"),
            "label_overlap": ("truth", "answer", "low", "high"),
            "extract": ("answer",),
            "sentiment": ("answer",),
            "group": ("answer",),
            "again": ("problem",),
        },
    }
)
_PART = re.compile(r"^\[(system|user)\]$", re.MULTILINE)


@dataclass(frozen=True)
class PromptFile:
    """One prompt.

    Attributes:
        name: "visual.en".
        system, user: the two parts, with fields in braces; `system` is None where the file has none.
        sha256: of the file's text (UTF-8, line ends as LF), before anything is filled in.
    """

    name: str
    system: str | None
    user: str
    sha256: str

    @property
    def fields(self) -> frozenset[str]:
        """Names of the fields that occur."""
        return _fields(self.name, f"{self.system or ''}{self.user}")

    @property
    def wording(self) -> str:
        """Both parts with the fields taken out: what an answer must not repeat."""
        bare = (literal for literal, *_ in Formatter().parse(f"{self.system or ''}\n{self.user}"))
        return " \n ".join(bare)

    def filled(self, values: Mapping[str, str]) -> tuple[str | None, str]:
        """(system, user) with the fields filled in. What is filled in is never taken for a field itself.

        Raises:
            InputError: a field has no value.
        """
        if lacking := sorted(self.fields - set(values)):
            raise InputError(f"prompt {self.name} needs a value for {lacking[0]!r}")
        system = None if self.system is None else self.system.format_map(values)
        return system, self.user.format_map(values)


def load_prompt(use: Use, name: str, folder: str | Path | None = None) -> PromptFile:
    """The prompt `name` (of MERR builds "QUESTION.LANGUAGE"): of `folder` where it has a file NAME.txt, else ours.

    Raises:
        InputError: there is no prompt of that name, or a file cannot be used.
    """
    if name not in FIELDS[use]:
        raise InputError(f"no {use} prompt {name!r} (there are: {', '.join(FIELDS[use])})")
    own = None if folder is None else Path(folder) / f"{name}.txt"
    if own is None or not own.is_file():
        return parse_prompt((files(__package__) / use / f"{name}.txt").read_text(encoding="utf-8"), use, name)
    try:
        text = own.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{own}: cannot be read as UTF-8 text ({error})") from error
    return parse_prompt(text, use, name, str(own))


def parse_prompt(text: str, use: Use, name: str, where: str = "") -> PromptFile:
    """A prompt from the text of its file; `where` names the file in messages.

    Raises:
        InputError: no `[user]` part, a part twice or empty, text before the first part, a stray brace, a field that the
            prompt does not have, or one missing that it cannot do without.
    """
    place, allowed = where or name, FIELDS[use][name]
    needed = MERR_NEEDED.get(name.partition(".")[0], ()) if use == "merr" else allowed
    plain = text.replace("\r\n", "\n")
    before, *pieces = _PART.split(plain)
    parts = dict(zip(pieces[::2], (piece.strip() for piece in pieces[1::2])))
    if before.strip() or "user" not in parts or len(parts) != len(pieces) // 2 or not all(parts.values()):
        raise InputError(f"{place}: expected a part [system] (or none) and a part [user], each once and not empty")
    used = _fields(place, "".join(parts.values()))
    if unknown := sorted(used - set(allowed)):
        raise InputError(
            f"{place}: there is no field {{{unknown[0]}}} here (there are: {', '.join(allowed) or 'none'}); "
            "double a brace that is meant as a brace"
        )
    if lacking := [field for field in needed if field not in used]:
        raise InputError(f"{place}: the field {{{lacking[0]}}} is needed and does not occur")
    return PromptFile(name, parts.get("system"), parts["user"], hashlib.sha256(plain.encode()).hexdigest())


def prompt_hashes(use: Use, folder: str | Path | None = None, names: Collection[str] | None = None) -> dict[str, str]:
    """Name -> sha256 of every prompt of that use, or of some of them, for settings."""
    wanted = (name for name in FIELDS[use] if names is None or name in names)
    return {name: load_prompt(use, name, folder).sha256 for name in wanted}


def checked_folder(folder: str | Path | None) -> Path | None:
    """A folder of prompts of one's own.

    Raises:
        InputError: there is no such folder.
    """
    if folder is not None and not Path(folder).is_dir():
        raise InputError(f"prompts: {folder} is no folder")
    return None if folder is None else Path(folder)


def check_prompts(use: Use, folder: str | Path) -> tuple[str, ...]:
    """Names of the prompts that a folder brings, every one of them checked.

    Raises:
        InputError: there is no such folder, it holds a text file of another name or none at all, or a prompt is wrong.
    """
    place = checked_folder(folder) or Path()
    found = sorted(path.stem for path in place.glob("*.txt"))
    if strange := [name for name in found if name not in FIELDS[use]]:
        raise InputError(f"prompts: {place / strange[0]}.txt is no prompt's name (they are: {', '.join(FIELDS[use])})")
    if not found:
        raise InputError(
            f"prompts: {place} holds no prompt (their names: {', '.join(f'{n}.txt' for n in FIELDS[use])})"
        )
    for name in found:
        load_prompt(use, name, place)
    return tuple(found)


def _fields(place: str, text: str) -> frozenset[str]:
    try:
        parsed = [(name, spec, conversion) for _, name, spec, conversion in Formatter().parse(text)]
    except ValueError as error:
        raise InputError(f"{place}: a brace stands alone ({error}); double a brace that is meant as a brace") from error
    if any(spec or conversion for _, spec, conversion in parsed):
        raise InputError(f"{place}: a field is a name in braces, without format or conversion")
    return frozenset(name for name, *_ in parsed if name is not None)
