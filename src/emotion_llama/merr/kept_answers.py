"""Answers that were given, and paid for, while another of the same clip failed: kept for the build that asks again.

A stage of a clip is done when every language has its field. Where one language fails, the answers in others would be
asked for a second time; so they are kept in a file of the build's folder until then. A key names everything that the
answer depends on, so that a kept answer is only ever found by the very same question.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from dataclasses import fields
from hashlib import sha256
from pathlib import Path

from emotion_llama.chat.questions import Question
from emotion_llama.chat.records import Answer
from emotion_llama.errors import InputError
from emotion_llama.merr.records import StageInput

FILE = "kept-answers.jsonl"
_NAMES = tuple(field.name for field in fields(Answer))


class KeptAnswers:
    """A file of answers by key, a line each; a line that was cut off does not count.

    Raises:
        InputError: the file is there and cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        try:
            text = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
        except OSError as error:
            raise InputError(f"{path}: cannot be read ({error.strerror})") from error
        self._found = dict(pair for line in text.splitlines() if (pair := _read(line)) is not None)

    def __len__(self) -> int:
        return len(self._found)

    def find(self, key: str) -> Answer | None:
        """The answer kept under a key."""
        return self._found.get(key)

    def keep(self, key: str, answer: Answer) -> None:
        """Write an answer down, unless it is there. Several processes may do so at a time."""
        with self._lock:
            if key in self._found:
                return
            self._found[key] = answer
            values = {**{name: getattr(answer, name) for name in _NAMES}, "values": dict(answer.values)}
            # A line's end in front as well: what a killed build has left of a line spoils no other.
            with self.path.open("a", encoding="utf-8") as file:
                file.write(f"\n{json.dumps({'key': key, 'answer': values}, ensure_ascii=False)}\n")


def key_of(item: StageInput, question: Question, settings: Mapping[str, object]) -> str:
    """SHA-256 of what the answer depends on: the clip's artifacts, the question, and the annotator's settings."""
    facts = question.facts
    whole = {
        "clip": item.clip.clip_id,
        "artifacts": {name: sha256(data).hexdigest() for name, data in sorted(item.artifacts.items())},
        "question": [question.task, question.language, list(question.labels), question.variant],
        "facts": [facts.label, dict(facts.clues), dict(facts.why_missing), dict(facts.peak_units), facts.text],
        "settings": dict(settings),
    }
    text = json.dumps(whole, sort_keys=True, ensure_ascii=False, default=str)
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _read(line: str) -> tuple[str, Answer] | None:
    try:
        whole = json.loads(line)
        return str(whole["key"]), Answer(**{name: whole["answer"][name] for name in _NAMES})
    except (ValueError, TypeError, KeyError):
        return None
