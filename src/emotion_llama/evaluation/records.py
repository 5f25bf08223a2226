"""What flows through an evaluation: cases with their truth, questions to a system, replies, and scores with counts.

A reply without an answer says why, and is counted; nothing stands in for it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Literal, Protocol, runtime_checkable

from emotion_llama.errors import InputError

Kind = Literal["label", "words", "sentiment", "description", "labels"]


@dataclass(frozen=True)
class Truth:
    """What is true of a case: exactly the one that its benchmark's `kind` names.

    Attributes:
        label: one word of the benchmark's label space ("label").
        words: emotion words, open vocabulary ("words") or several labels ("labels").
        sentiment: a figure, negative to positive ("sentiment").
        description: a text to be compared with ("description").
    """

    label: str | None = None
    words: tuple[str, ...] | None = None
    sentiment: float | None = None
    description: str | None = None

    def __post_init__(self) -> None:
        given = [x for x in (self.label, self.words, self.sentiment, self.description) if x is not None]
        if len(given) != 1:
            raise InputError(f"a truth is one of label, words, sentiment and description, got {len(given)} of them")


@dataclass(frozen=True)
class Case:
    """One clip of a benchmark.

    Attributes:
        case_id: unique within the benchmark.
        truth: what is true of it.
        media: the clip; None where only features or predictions are at hand.
        words: what is said; None where the benchmark has none.
        group: whoever's clips go together in a bootstrap (person or source); None: each alone.
        fold: of a benchmark with folds, from 1.
        frame_count: pictures that the benchmark's own file states.
        note: of MERR-Synth: "conflict", "silent" ...; scores are also given by note.
    """

    case_id: str
    truth: Truth
    media: Path | None = None
    words: str | None = None
    group: str | None = None
    fold: int | None = None
    frame_count: int | None = None
    note: str = ""


@dataclass(frozen=True)
class Ask:
    """What a benchmark asks of every case.

    Attributes:
        task: a name of `prompts.TASKS`.
        instruction: in place of the task's pool; None takes the pool's first.
        labels: the label space's words, where one of them is to be told; empty for free answers.
        max_new_tokens: of a generated answer (published: 500).
    """

    task: str
    instruction: str | None = None
    labels: tuple[str, ...] = ()
    max_new_tokens: int = 500


@dataclass(frozen=True)
class Reply:
    """What a system answered to one case.

    Attributes:
        case_id: whose.
        text: the generated answer; None where none was generated.
        probabilities: over the asked labels, by likelihood; None where the system has none.
        problem: why there is neither; None otherwise.
        seconds: it took; 0 from a file.
        tokens_in, tokens_out: where counted.
    """

    case_id: str
    text: str | None = None
    probabilities: Mapping[str, float] | None = None
    problem: str | None = None
    seconds: float = 0.0
    tokens_in: int | None = None
    tokens_out: int | None = None

    def __post_init__(self) -> None:
        if self.probabilities is not None:
            object.__setattr__(self, "probabilities", MappingProxyType(dict(self.probabilities)))
        if (self.problem is not None) == (self.text is not None or self.probabilities is not None):
            raise InputError(f"a reply to {self.case_id} is an answer, or a problem, and not both")


@runtime_checkable
class System(Protocol):
    """Something that answers cases: our model, rules, another model behind a server, a file of predictions."""

    @property
    def name(self) -> str:
        """As reports print it."""

    @property
    def settings(self) -> Mapping[str, object]:
        """Everything its replies depend on beyond case and ask, as JSON values (weights' hash, layout, dtype, ...)."""

    @property
    def batch_size(self) -> int:
        """Cases it likes to be asked at once."""

    def answer(self, cases: Sequence[Case], ask: Ask) -> Iterator[Reply]:
        """A reply for each case, in order, as they come. A case that cannot be answered gives a problem."""


@dataclass(frozen=True)
class FileProblem:
    """Something that is not as the benchmark's owners distribute it: what, where, and how often."""

    what: str
    where: str
    count: int = 1
    is_fatal: bool = False


@dataclass(frozen=True)
class Figure:
    """One figure of a result, with its interval where one was made; `better` says which direction is good."""

    name: str
    value: float
    low: float | None = None
    high: float | None = None
    better: Literal["higher", "lower"] = "higher"


@dataclass(frozen=True)
class Result:
    """Scores of one system on one benchmark by one parser.

    Attributes:
        benchmark: name and version.
        system: its name.
        parser: "upstream", "tolerant", "likelihood", or "as given".
        figures: the primary one first.
        counts: cases in all, answered, without an answer by reason, skipped by the metric's own rule.
        parts: the same figures for parts: folds, notes, classes.
    """

    benchmark: str
    system: str
    parser: str
    figures: tuple[Figure, ...]
    counts: Mapping[str, int]
    parts: Mapping[str, tuple[Figure, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "counts", MappingProxyType(dict(self.counts)))
        object.__setattr__(self, "parts", MappingProxyType(dict(self.parts)))

    def figure(self, name: str) -> Figure:
        """The figure of that name.

        Raises:
            InputError: there is none.
        """
        found = next((figure for figure in self.figures if figure.name == name), None)
        if found is None:
            raise InputError(f"no figure {name!r} (there are: {', '.join(f.name for f in self.figures)})")
        return found
