"""What a benchmark is: a question, files with truths, and a metric."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from emotion_llama.evaluation.parsers import parsers_for
from emotion_llama.evaluation.records import Ask, Case, FileProblem, Kind, Reply, Result
from emotion_llama.evaluation.scoring import Intervals, Judged, Run, Scorer, SynonymGroups, by_case


class Source(Protocol):
    """The files of a benchmark."""

    def check(self) -> list[FileProblem]:
        """What is not as the owners distribute it; empty when all is there."""

    def cases(self) -> list[Case]:
        """All cases, in the order of the files."""


@dataclass(frozen=True)
class Benchmark:
    """A benchmark whose files are in one folder.

    Attributes:
        name: as `BENCHMARKS` has it.
        version: of what is asked and scored here, with the options that change either; results of other versions are
            not to be compared.
        kind: of its truths.
        ask: what every case is asked.
        folder: of its files.
        primary: the figure it is ranked by.
        source: reads the files.
        scorer: its metric.
        groups: stored groups of synonyms, by case; None where the metric has none or no file holds them.
    """

    name: str
    version: str
    kind: Kind
    ask: Ask
    folder: Path
    primary: str
    source: Source = field(repr=False)
    scorer: Scorer = field(repr=False)
    groups: SynonymGroups | None = field(default=None, repr=False)

    @property
    def full_name(self) -> str:
        """Name and version, as results have it."""
        return f"{self.name} {self.version}"

    def check(self) -> list[FileProblem]:
        """What of the files is not as their owners distribute them.

        A problem that is not fatal leaves figures that are not comparable with published ones: they are of other clips.
        """
        return self.source.check()

    def cases(self) -> list[Case]:
        """All cases, in the order of the files.

        Raises:
            InputError: a file is missing or cannot be read; says which was expected.
        """
        return self.source.cases()

    def parsers(self, replies: Sequence[Reply], *, judged: Judged | None = None) -> tuple[str, ...]:
        """The ways in which these replies can be scored, to be reported side by side."""
        if self.kind == "description":
            return ("offline",) if judged is None else ("judge", "offline")
        return parsers_for(replies)

    def score(
        self,
        cases: Sequence[Case],
        replies: Iterable[Reply],
        parser: str,
        *,
        system: str,
        intervals: Intervals | None = None,
        groups: SynonymGroups | None = None,
        judged: Judged | None = None,
    ) -> Result:
        """Scores of some or all cases.

        Args:
            cases: of this benchmark.
            replies: to them, in any order; a case without one counts as unanswered.
            parser: one of `parsers`.
            system: its name, for the result.
            intervals: how intervals are made; None as `Intervals` has it by default.
            groups: of synonyms, by case, in place of the stored ones.
            judged: figures of a judge, by case.

        Raises:
            InputError: replies do not fit the cases, or something that the metric needs is missing.
        """
        run = Run(
            self.full_name, system, parser, intervals or Intervals(), self.groups if groups is None else groups, judged
        )
        return self.scorer.score(cases, by_case(cases, replies), run)

    def score_all(
        self,
        cases: Sequence[Case],
        replies: Sequence[Reply],
        *,
        system: str,
        intervals: Intervals | None = None,
        groups: SynonymGroups | None = None,
        judged: Judged | None = None,
    ) -> list[Result]:
        """Scores by every parser that applies, side by side; arguments as `score`'s."""
        return [
            self.score(cases, replies, parser, system=system, intervals=intervals, groups=groups, judged=judged)
            for parser in self.parsers(replies, judged=judged)
        ]
