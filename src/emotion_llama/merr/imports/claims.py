"""What an imported file says: claims about clips, frame counts that it states, and the problems it has."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from emotion_llama.merr.problems import Problems
from emotion_llama.merr.records import ClipRow, FieldKey, Json, Provenance


class Claim(NamedTuple):
    """A file says that a field of a clip has this value, or why there is none.

    `provenance` is None for what people and other programs wrote, and comes along with our own CSV.
    """

    clip_id: str
    key: FieldKey
    value: Json
    why_missing: str | None = None
    provenance: Provenance | None = None


@dataclass
class FileContent:
    """One file, read.

    Attributes:
        origin: its name, as provenance records it.
        sha256: of its bytes; of a folder's names and sizes.
        claims: what it says of clips, in its order.
        frame_counts: clip -> pictures that it states.
        clips: what our own CSV knows of the clips themselves.
        not_fine: clip -> why it is not in the fine set, though it has a fine description.
        rows: rows or entries read, good or not.
        problems: what could not be taken, by kind.
    """

    origin: str
    sha256: str
    claims: list[Claim] = field(default_factory=list)
    frame_counts: dict[str, int] = field(default_factory=dict)
    clips: list[ClipRow] = field(default_factory=list)
    not_fine: dict[str, str] = field(default_factory=dict)
    rows: int = 0
    problems: Problems = field(default_factory=Problems)


def is_name(text: str) -> bool:
    """Whether a text can be a clip's id."""
    return bool(text) and not any(c.isspace() or c in "/\\" for c in text)


def given_label(label: str) -> Json:
    """The value of the field `label` for a label that came from outside (`fields.PseudoLabel`)."""
    return {
        "label": label, "source": "given", "strength": None, "score": None, "confidence": None, "units": {},
        "candidates": {}, "table": "", "by_rules": None,
    }  # fmt: skip


def given_words(words: str, language: str | None) -> Json:
    """The value of the field `subtitle` for words that came from outside."""
    return {"text": words, "source": "imported", "language": language}
