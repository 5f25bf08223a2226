"""Problems by kind, with a few examples of each: what imports and `validate` report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from emotion_llama.merr.records import Json

MOST_EXAMPLES = 3


class Problems:
    """Counts problems; equal kinds are one line with a number and the first examples."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._examples: dict[str, list[str]] = {}

    def add(self, kind: str, example: str = "", count: int = 1) -> None:
        """Count `count` problems of a kind; `example` says where (file and line, or clip) and what."""
        self._counts[kind] += count
        examples = self._examples.setdefault(kind, [])
        if example and len(examples) < MOST_EXAMPLES:
            examples.append(example)

    def add_all(self, other: Problems) -> None:
        """Count what `other` has counted."""
        for kind, count in other._counts.items():
            self._counts[kind] += count
            self._examples[kind] = (self._examples.get(kind, []) + other._examples[kind])[:MOST_EXAMPLES]

    @property
    def counts(self) -> Mapping[str, int]:
        """Kind -> number, the largest first, equal ones by name."""
        return dict(sorted(self._counts.items(), key=lambda item: (-item[1], item[0])))

    def examples(self, kind: str) -> tuple[str, ...]:
        """The first examples of a kind."""
        return tuple(self._examples.get(kind, ()))

    def __bool__(self) -> bool:
        return bool(self._counts)

    def lines(self) -> list[str]:
        """For people: a line a kind, its examples below it."""
        out = []
        for kind, count in self.counts.items():
            out.append(f"{count:>8,}  {kind}")
            out += [f"          {example}" for example in self._examples[kind]]
        return out

    def document(self) -> list[Json]:
        """For JSON."""
        return [{"problem": k, "count": n, "examples": list(self._examples[k])} for k, n in self.counts.items()]
