"""What training learns from: clips, and the answers that each task wants of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from emotion_llama.errors import InputError
from emotion_llama.prompts.tasks import task_named


@dataclass(frozen=True)
class Example:
    """One clip with what it teaches.

    Attributes:
        name: unique within its data set; features are found by it.
        answers: task (of `prompts.TASKS`) -> what the model is to answer.
        media: the clip; None where features are at hand.
        words: what is said; None leaves the character line out.
        cues: measured cues in words, for layouts that tell them.
        group: person or source, for splits and intervals.
        note: kind of clip ("conflict", "silent", ...), for tables by kind.
    """

    name: str
    answers: Mapping[str, str]
    media: Path | None = None
    words: str | None = None
    cues: str | None = None
    group: str | None = None
    note: str = ""
    truths: Mapping[str, str] = field(default_factory=dict)  # what evaluation compares with, e.g. {"label": "sad"}

    def __post_init__(self) -> None:
        if not self.answers:
            raise InputError(f"{self.name} teaches nothing: it has no answer to any task")
        for task, answer in self.answers.items():
            task_named(task)
            if not answer.strip():
                raise InputError(f"{self.name}: the answer to task {task!r} is empty; leave the task out instead")
        for name in ("answers", "truths"):
            object.__setattr__(self, name, MappingProxyType(dict(getattr(self, name))))
