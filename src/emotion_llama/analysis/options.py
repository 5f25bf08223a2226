"""What one analysis is asked for: checked once, and named for the record."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from emotion_llama.analysis.spans import check_segment
from emotion_llama.errors import InputError


@dataclass(frozen=True)
class Options:
    """The choices of one call of `Analyzer.analyze`, which documents them.

    Raises:
        InputError: a choice is unknown, or words are to come from two places.
    """

    subtitle: str | None = None
    transcript: Path | None = None
    asr_model: Path | None = None
    people: Literal["main", "all"] = "main"
    segment: Literal["none", "auto"] | float = "none"
    peak_rule: Literal["all", "label"] = "all"

    def __post_init__(self) -> None:
        given = [name for name in ("subtitle", "transcript", "asr_model") if getattr(self, name) is not None]
        if len(given) > 1:
            raise InputError(f"words come from one place, got {' and '.join(given)}; give one of them")
        check_choice("people", self.people, ("main", "all"))
        check_choice("peak_rule", self.peak_rule, ("all", "label"))
        check_segment(self.segment)


def check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    """Raise InputError unless `value` is one of `choices`."""
    if value not in choices:
        raise InputError(f"{name}={value!r} is not known; expected one of: {', '.join(choices)}")


def file_and_hash(path: Path | None) -> str | None:
    """`name sha256:...` of a file; just its path where there is no such file (reading it will say so)."""
    if path is None:
        return None
    if not path.is_file():
        return str(path)
    from emotion_llama.media.probe import file_sha256

    return f"{path.name} sha256:{file_sha256(path)}"
