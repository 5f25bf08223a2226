"""What a benchmark is: a prompt, files with truths, and a metric."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from emotion_llama.evaluation.records import EvalPrompt, EvalSample, FileProblem, Kind
from emotion_llama.evaluation.tasks.wheels import WheelFiles
from emotion_llama.labels import LabelSpace

MetricName = Literal["label", "groups", "wheels", "hit", "sentiment", "description"]
SynonymGroups = Mapping[str, Sequence[Sequence[str]]]  # sample -> groups of words that mean the same


class Source(Protocol):
    """The files of a benchmark."""

    def check(self) -> list[FileProblem]:
        """What is not as the owners distribute it; empty when all is there."""

    def samples(self) -> list[EvalSample]:
        """All samples, in the order of the files."""


@dataclass(frozen=True)
class Benchmark:
    """A benchmark whose files are in one folder.

    Attributes:
        name: as `BENCHMARKS` has it.
        version: of what is asked and scored here, with the options that change either; results of other versions are
            not to be compared.
        kind: of its truths.
        prompt: for every sample.
        folder: of its files.
        primary: the metric it is ranked by.
        source: reads the files.
        metric: "label", one label a clip; "groups", emotion words after synonyms were grouped (MER2024-OV); "wheels",
            emotion words on emotion wheels (EW); "hit", one word among those predicted (HIT); "sentiment" (WAF);
            "description", overlap of texts.
        asked, scored: labels that the prompt offers and labels of the benchmark, of the metric "label".
        wheels, levels: of the metrics "wheels" and "hit"; EW is the mean over the levels.
        groups: stored groups of synonyms, by sample; None where the metric has none or no file holds them.
    """

    name: str
    version: str
    kind: Kind
    prompt: EvalPrompt
    folder: Path
    primary: str
    source: Source = field(repr=False)
    metric: MetricName
    asked: LabelSpace | None = None
    scored: LabelSpace | None = None
    wheels: WheelFiles | None = field(default=None, repr=False)
    levels: tuple[int, ...] = (1,)
    groups: SynonymGroups | None = field(default=None, repr=False)

    @property
    def full_name(self) -> str:
        """Name and version, as results have it."""
        return f"{self.name} {self.version}"

    def check(self) -> list[FileProblem]:
        """What of the files is not as their owners distribute them.

        A problem that is not fatal leaves metrics that are not comparable with published ones: they are of other clips.
        """
        return self.source.check()

    def samples(self) -> list[EvalSample]:
        """All samples, in the order of the files.

        Raises:
            InputError: a file is missing or cannot be read; says which was expected.
        """
        return self.source.samples()
