"""What flows through an evaluation: samples with their truth, models, outputs, and metrics with counts.

An output without an answer says why, and is counted; nothing stands in for it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from emotion_llama.errors import AnnotationError, EmotionLlamaError, InputError, MediaError
from emotion_llama.predictors.base import Task


@dataclass(frozen=True)
class Truth:
    """What is true of a sample: exactly one of these."""

    label: str | None = None  # one word of the benchmark's label space
    words: tuple[str, ...] | None = None  # emotion words, open vocabulary or several labels
    sentiment: float | None = None  # a number, negative to positive
    description: str | None = None  # a text to be compared with


@dataclass(frozen=True)
class EvalSample:
    """One clip of a benchmark."""

    sample_id: str  # unique within the benchmark
    truth: Truth
    media: Path | None = None  # the clip; None where only features or predictions are at hand
    transcript: str | None = None  # what is said; None where the benchmark has none
    group: str | None = None  # samples of one group are drawn together in a bootstrap (person or source); None: alone
    fold: int | None = None  # of a benchmark with folds, from 1
    frame_count: int | None = None  # frames that the benchmark's own file states
    note: str = ""  # "conflict: ...", "no_face" ...; metrics are also given by note
    parts: tuple[str, ...] = ()  # further parts of the result that the sample belongs to
    # modality -> the label that it alone shows, where modalities conflict
    alone: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Output:
    """What a model answered about one sample."""

    sample_id: str
    text: str | None = None  # the generated answer; None where none was generated
    # over the labels of the task, by likelihood; None where the model has none
    probabilities: Mapping[str, float] | None = None
    problem: str | None = None  # why there is neither; None otherwise
    seconds: float = 0.0  # it took; 0 from a file
    # tokens_in, tokens_out: where counted
    tokens_in: int | None = None
    tokens_out: int | None = None


# Problems of outputs are worded alike for all samples of one kind, so that they can be counted.
NO_CLIP = "the clip is not there"
NOBODY = "nobody is seen or heard"
EXPECTED = "; expected the name "  # behind the problem of a sample that a file has no row for: the name it should have
# Kinds of failures of a server that say nothing of the clip: the sample is asked again when the run goes on.
PASSING_KINDS = ("unreachable", "timeout", "overloaded", "budget")


def problem_of(error: EmotionLlamaError) -> str:
    """The reason, without what differs from clip to clip."""
    if isinstance(error, AnnotationError):
        return f"{error.kind}: {error.message}"
    if isinstance(error, MediaError):
        return f"the clip cannot be read: {error.problem}"
    return str(error)


def is_passing(problem: str | None) -> bool:
    """Whether another try may end otherwise."""
    return problem is not None and problem.partition(":")[0] in PASSING_KINDS


class Model(ABC):
    """What answers a benchmark: a predictor over clips, a classifier, a file of predictions.

    Attributes:
        name: as reports print it.
        settings: all that its outputs depend on beyond sample and task, as JSON values (hash of the weights, ...).
        batch_size: samples in a batch.
        needs_clips: it opens the clips' files.
        depends_on_batch: outputs can depend on the rest of the batch: resumed runs keep to the same batches.
        sends_to: the host that clips go to; None where they stay on this machine.
    """

    name: str
    settings: Mapping[str, object]
    batch_size = 1
    needs_clips = True
    depends_on_batch = False
    sends_to: str | None = None

    @abstractmethod
    def answer(self, samples: Sequence[EvalSample], task: Task) -> Iterator[Output]:
        """An output for each sample, in order, as they come; one with a problem where there is no answer."""

    def close(self) -> None:  # noqa: B027  (most have nothing to close)
        """Finish what is kept, and let files, models and connections go."""


@dataclass(frozen=True)
class FileProblem:
    """Something that is not as the benchmark's owners distribute it: what, where, and how often."""

    what: str
    where: str
    count: int = 1
    is_fatal: bool = False


@dataclass(frozen=True)
class Metric:
    """One value of a result, with its interval where one was made; `better` says which direction is good."""

    name: str
    value: float
    low: float | None = None
    high: float | None = None
    better: Literal["higher", "lower"] = "higher"


@dataclass(frozen=True)
class EvalResult:
    """Metrics of one model on one benchmark by one parser."""

    benchmark: str  # name and version
    model: str
    parser: str  # "upstream", "tolerant", "likelihood", "judge" or "offline"; "" of a published row
    metrics: tuple[Metric, ...]  # the primary one first
    # samples in all, answered, without an answer by reason, skipped by the metric's own rule
    counts: Mapping[str, int] = field(default_factory=dict)
    # the same metrics of parts: folds, notes, classes
    parts: Mapping[str, tuple[Metric, ...]] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """The model, with the parser of a run."""
        return f"{self.model} ({self.parser})" if self.parser else self.model

    def metric(self, name: str) -> Metric:
        """The metric of that name; InputError where there is none."""
        found = next((metric for metric in self.metrics if metric.name == name), None)
        if found is None:
            raise InputError(f"no metric {name!r} (there are: {', '.join(m.name for m in self.metrics)})")
        return found
