"""Answers that were given, and paid for, before their clip was through: kept for the build that asks again.

A stage of a clip is done when every language has its field. Where one language fails, or the build is stopped before
all are answered, the answers that are there would be asked for a second time; so they are kept in a file of the build's
folder until then.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields
from pathlib import Path

from emotion_llama.chat.records import Answer
from emotion_llama.errors import InputError

FILE = "kept-answers.jsonl"
_NAMES = tuple(field.name for field in fields(Answer))


class KeptAnswers:
    """A file of answers by key, a line each; a line that was cut off does not count.

    Args:
        path: of the file.
        stopped: whether the build is about to end: answers are then written as they come.

    Raises:
        InputError: the file is there and cannot be read.
    """

    def __init__(self, path: Path, stopped: Callable[[], bool] = lambda: False) -> None:
        self.path = path
        self._stopped = stopped
        self._lock = threading.Lock()
        self._held: dict[str, Answer] = {}  # of clips in work, in memory alone
        try:
            text = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
        except OSError as error:
            raise InputError(f"{path}: cannot be read ({error.strerror})") from error
        self._found = dict(pair for line in text.splitlines() if (pair := _parse(line)) is not None)

    def find(self, key: str) -> Answer | None:
        """The answer kept under a key."""
        return self._found.get(key)

    def hold(self, key: str, answer: Answer) -> None:
        """Hold an answer until its clip is through."""
        with self._lock:
            self._held[key] = answer
        if self._stopped():
            self.keep([key])

    def settle(self, keys: Sequence[str], good: Sequence[str], *, is_through: bool) -> None:
        """Let go of a clip's answers; the good ones are written down unless it is through and will be recorded."""
        if not is_through or self._stopped():
            self.keep(good)
        with self._lock:
            for key in keys:
                self._held.pop(key, None)

    def keep(self, keys: Iterable[str] | None = None) -> None:
        """Write down the answers held under these keys, or all; several threads may do so at a time."""
        with self._lock:
            for key in list(self._held) if keys is None else keys:
                answer = self._held.pop(key, None)
                if answer is None or key in self._found:
                    continue
                self._found[key] = answer
                values = {**{name: getattr(answer, name) for name in _NAMES}, "values": dict(answer.values)}
                # A line's end in front as well: what a killed build has left of a line spoils no other.
                with self.path.open("a", encoding="utf-8") as file:
                    file.write(f"\n{json.dumps({'key': key, 'answer': values}, ensure_ascii=False)}\n")


def _parse(line: str) -> tuple[str, Answer] | None:
    try:
        whole = json.loads(line)
        return str(whole["key"]), Answer(**{name: whole["answer"][name] for name in _NAMES})
    except (ValueError, TypeError, KeyError):
        return None
