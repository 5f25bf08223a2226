"""Prompts of a MERR build as text files: one a question and language, with named fields and a hash for provenance.

A file holds a part `[system]` (may be left out) and a part `[user]`. Named fields stand in braces; a brace that is
meant is doubled. The wording is this project's own; what the reason prompt asks for (sort true clues from misleading
ones, infer, keep the label to the end) is what MERR's authors asked of their language model (Emotion-LLaMA, NeurIPS
2024, appendix).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from string import Formatter
from types import MappingProxyType

from emotion_llama.errors import InputError

LANGUAGES = ("en", "zh")
_CLUES = ("visual_expression", "visual_objective", "audio_tone", "subtitle")
# Use -> its fields. "reason" has the label and "infer" asks for it; "again" follows a reply that was no answer. The
# label is a field of "reason" alone, so that no other question can show it.
PROMPT_FIELDS: Mapping[str, tuple[str, ...]] = MappingProxyType(
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
# Fields without which a prompt of one's own would ask another question.
NEEDED_FIELDS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"reason": ("label",), "infer": ("labels",), "check": ("text",), "again": ("problem",)}
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
        """(system, user) with the fields filled in. What is filled in is never read as a field itself.

        Raises:
            InputError: a field has no value.
        """
        if lacking := sorted(self.fields - set(values)):
            raise InputError(f"prompt {self.name} needs a value for {lacking[0]!r}")
        system = None if self.system is None else self.system.format_map(values)
        return system, self.user.format_map(values)


def load_prompt(question: str, language: str, folder: str | Path | None = None) -> PromptFile:
    """The prompt for a question in a language.

    Args:
        question: one of `PROMPT_FIELDS`.
        language: "en" or "zh": of the answer.
        folder: of prompts of one's own; a file that it lacks is taken from the package.

    Raises:
        InputError: no such question or language, or a file cannot be used.
    """
    if question not in PROMPT_FIELDS or language not in LANGUAGES:
        raise InputError(
            f"no prompt {question}.{language} (questions: {', '.join(PROMPT_FIELDS)}; "
            f"languages: {', '.join(LANGUAGES)})"
        )
    name = f"{question}.{language}"
    own = None if folder is None else Path(folder) / f"{name}.txt"
    if own is not None and own.is_file():
        try:
            text = own.read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{own}: cannot be read as UTF-8 text ({error})") from error
        return parse_prompt(text, question, where=str(own), name=name)
    return parse_prompt((files(__package__) / "merr" / f"{name}.txt").read_text(encoding="utf-8"), question, name=name)


def check_folder(folder: str | Path) -> tuple[str, ...]:
    """Names of the prompts that a folder brings, every one of them checked.

    Raises:
        InputError: there is no such folder, it holds a text file of another name or none at all, or a prompt is wrong.
    """
    place = Path(folder)
    if not place.is_dir():
        raise InputError(f"prompts: {place} is no folder")
    known = {f"{question}.{language}": (question, language) for question in PROMPT_FIELDS for language in LANGUAGES}
    found = sorted(path.stem for path in place.glob("*.txt"))
    if strange := [name for name in found if name not in known]:
        raise InputError(f"prompts: {place / strange[0]}.txt is no prompt's name (they are: {', '.join(known)})")
    if not found:
        raise InputError(f"prompts: {place} holds no prompt (their names: {', '.join(f'{n}.txt' for n in known)})")
    for name in found:
        load_prompt(*known[name], place)
    return tuple(found)


def prompt_hashes(questions: frozenset[str], folder: str | Path | None = None) -> dict[str, str]:
    """Name -> sha256 of every prompt that these questions may use, for settings."""
    wanted = [
        question
        for question in PROMPT_FIELDS
        if question in questions or question == "again" or (question == "infer" and "reason" in questions)
    ]
    return {
        f"{question}.{language}": load_prompt(question, language, folder).sha256
        for question in wanted
        for language in LANGUAGES
    }


def parse_prompt(text: str, question: str, *, where: str = "", name: str = "") -> PromptFile:
    """A prompt from the text of its file.

    Raises:
        InputError: no `[user]` part, a part twice or empty, text before the first part, a stray brace, a field that the
            question does not have, or one missing that it cannot do without.
    """
    return split_prompt(
        text, PROMPT_FIELDS[question], needed=NEEDED_FIELDS.get(question, ()), where=where, name=name or question
    )


def split_prompt(
    text: str, allowed: Sequence[str], *, needed: Sequence[str] = (), where: str = "", name: str
) -> PromptFile:
    """A prompt of any use from the text of its file.

    Args:
        text: of the file.
        allowed: fields that it may have.
        needed: fields that it cannot do without.
        where: the file, for messages.
        name: of the prompt.

    Raises:
        InputError: as `parse_prompt`.
    """
    place = where or name
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
    digest = hashlib.sha256(plain.encode()).hexdigest()
    return PromptFile(name, parts.get("system"), parts["user"], digest)


def _fields(place: str, text: str) -> frozenset[str]:
    try:
        parsed = [(name, spec, conversion) for _, name, spec, conversion in Formatter().parse(text)]
    except ValueError as error:
        raise InputError(f"{place}: a brace stands alone ({error}); double a brace that is meant as a brace") from error
    if any(spec or conversion for _, spec, conversion in parsed):
        raise InputError(f"{place}: a field is a name in braces, without format or conversion")
    return frozenset(name for name, *_ in parsed if name is not None)
