"""Published results as tables, and the arithmetic that their rows allow to be checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import numpy as np

from emotion_llama.errors import InputError

RECALL = "recall/"
# Rounding of seven recalls and of their mean to two places each can move a mean by 0.005 + 0.005.
ROUNDING = 0.0101


@dataclass(frozen=True)
class PublishedTable:
    """Rows that were printed together.

    Attributes:
        name: of the table.
        benchmark: whose results they are, as `BENCHMARKS` names it; "unibench" for the nine sets of MER-UniBench.
        figures: name of each column, as results of this package call it; "recall/LABEL" is of the part "recall".
        scale: what 1 is printed as (100: percent).
        source: where the rows are printed.
        notes: what of the protocol differs or is unknown.
        rows: model -> values as printed.
    """

    name: str
    benchmark: str
    figures: Sequence[str]
    scale: float
    source: str
    notes: Sequence[str]
    rows: Mapping[str, Sequence[float]]

    def value(self, system: str, figure: str) -> float:
        """A value on the scale of results (shares are 0..1).

        Raises:
            InputError: no such model or metric.
        """
        if system not in self.rows or figure not in self.figures:
            raise InputError(f"{self.name} has no figure {figure!r} of {system!r}")
        return self.rows[system][self.figures.index(figure)] / self.scale


@cache
def published_tables() -> Mapping[str, PublishedTable]:
    """All tables of the package's data/published.yaml by name, in the order of the file."""
    import yaml

    text = (files("emotion_llama.evaluation") / "data" / "published.yaml").read_text(encoding="utf-8")
    tables = [PublishedTable(**table) for table in yaml.safe_load(text)["tables"]]
    return {table.name: table for table in tables}


def published_for(benchmark: str) -> list[PublishedTable]:
    """Tables of a benchmark; those of MER-UniBench for each of its nine sets."""
    name = "unibench" if benchmark.startswith("unibench-") else benchmark
    return [table for table in published_tables().values() if table.benchmark == name]


def recomputed(table: PublishedTable, sizes: Mapping[str, int]) -> dict[str, tuple[float, float]]:
    """UAR and WAR of every row, in percent as printed, recomputed from its recalls: mean, and weighted by class size.

    The sizes are those of the whole data set, from which those of a fold differ by a clip or two, so that WAR is near
    and not exact.

    Args:
        table: with recalls, uar and accuracy.
        sizes: label -> clips.

    Raises:
        InputError: the table has no such columns, or the sizes are of other labels.
    """
    labels = [name.removeprefix(RECALL) for name in table.figures if name.startswith(RECALL)]
    if not labels or not {"uar", "accuracy"} <= set(table.figures):
        raise InputError(f"{table.name} has no recalls by class, and cannot be recomputed")
    if set(labels) != set(sizes):
        raise InputError(f"recalls are of {sorted(labels)}, sizes of {sorted(sizes)}; give both for the same classes")
    weights = [sizes[label] for label in labels]
    found = {}
    for system, row in table.rows.items():
        recalls = [value for name, value in zip(table.figures, row, strict=True) if name.startswith(RECALL)]
        found[system] = float(np.mean(recalls)), float(np.average(recalls, weights=weights))
    return found


def table_checks(table: PublishedTable) -> tuple[str, ...]:
    """For tables with recalls: which printed UARs are not the mean of the printed recalls, up to rounding."""
    if not {"uar", "accuracy"} <= set(table.figures):
        return ()
    from emotion_llama.evaluation.tasks.dfew import CLASS_SIZES

    sentences = []
    for system, (mean, _) in recomputed(table, CLASS_SIZES).items():
        printed = table.value(system, "uar") * table.scale
        if abs(printed - mean) >= ROUNDING:
            sentences.append(
                f"{table.name}, {system}: the printed UAR {printed:.2f} is not the mean of the printed recalls "
                f"({mean:.2f})"
            )
    others = len(table.rows) - len(sentences)
    return (*sentences, f"{table.name}: of the other {others} rows, UAR is the mean of the recalls")
