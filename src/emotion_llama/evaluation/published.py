"""Published results as tables, and the arithmetic that their rows allow to be checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import as_file, files
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from emotion_llama.errors import InputError
from emotion_llama.evaluation.classification import mean_recall, weighted_recall

if TYPE_CHECKING:
    from pydantic import BaseModel

RECALL = "recall/"
# Rounding of seven recalls and of their mean to two places each can move a mean by 0.005 + 0.005.
ROUNDING = 0.0101


@dataclass(frozen=True)
class PublishedTable:
    """Rows that were printed together.

    Attributes:
        name: of the table.
        benchmark: whose results they are, as `BENCHMARKS` names it; "unibench" for the nine sets of MER-UniBench.
        figures: of each column, as results of this package call them; "recall/LABEL" is a figure of the part "recall".
        scale: what 1 is printed as (100: percent).
        source: where the rows are printed.
        notes: what of the protocol differs or is unknown.
        rows: system -> figures as printed.
    """

    name: str
    benchmark: str
    figures: tuple[str, ...]
    scale: float
    source: str
    notes: tuple[str, ...]
    rows: Mapping[str, tuple[float, ...]]

    def value(self, system: str, figure: str) -> float:
        """A figure on the scale of results (shares are 0..1).

        Raises:
            InputError: no such system or figure.
        """
        if system not in self.rows or figure not in self.figures:
            raise InputError(f"{self.name} has no figure {figure!r} of {system!r}")
        return self.rows[system][self.figures.index(figure)] / self.scale


@dataclass(frozen=True)
class RowCheck:
    """Printed UAR and WAR beside those that the printed recalls give, in percent as printed.

    Attributes:
        system: of the row.
        uar, recomputed_uar: printed, and the plain mean of the recalls.
        war, recomputed_war: printed, and the mean weighted by class sizes; the sizes are those of the whole data set,
            from which those of a fold differ by a clip or two, so that this one is near and not exact.
    """

    system: str
    uar: float
    recomputed_uar: float
    war: float
    recomputed_war: float

    @property
    def uar_is_mean(self) -> bool:
        """Whether the printed UAR is the mean of the printed recalls, up to rounding."""
        return abs(self.uar - self.recomputed_uar) < ROUNDING


@cache
def published_tables() -> Mapping[str, PublishedTable]:
    """All tables of the package by name, in the order of the file."""
    with as_file(files("emotion_llama.evaluation") / "data" / "published.yaml") as path:
        return read_published(path)


def read_published(path: Path) -> Mapping[str, PublishedTable]:
    """Tables of a file of the form of the package's data/published.yaml.

    Raises:
        InputError: the file is of another form, or a row has another number of figures than its table.
    """
    from emotion_llama.config import checked, read_tree

    document = checked(_document(), read_tree(path), str(path))
    tables: dict[str, PublishedTable] = {}
    for table in document.tables:  # type: ignore[attr-defined]
        if wrong := [name for name, row in table.rows.items() if len(row) != len(table.figures)]:
            raise InputError(f"{path}: the row {wrong[0]} of {table.name} has not {len(table.figures)} figures")
        tables[table.name] = PublishedTable(
            table.name,
            table.benchmark,
            tuple(table.figures),
            table.scale,
            table.source,
            tuple(table.notes),
            MappingProxyType({name: tuple(row) for name, row in table.rows.items()}),
        )
    return MappingProxyType(tables)


def published_for(benchmark: str) -> list[PublishedTable]:
    """Tables of a benchmark; those of MER-UniBench for each of its nine sets."""
    name = "unibench" if benchmark.startswith("unibench-") else benchmark
    return [table for table in published_tables().values() if table.benchmark == name]


def check_recalls(table: PublishedTable, sizes: Mapping[str, int]) -> list[RowCheck]:
    """UAR and WAR of every row, recomputed from its recalls.

    Args:
        table: with recalls, uar and accuracy.
        sizes: label -> clips.

    Raises:
        InputError: the table has no such columns, or the sizes are of other labels.
    """
    labels = [name.removeprefix(RECALL) for name in table.figures if name.startswith(RECALL)]
    if not labels or not {"uar", "accuracy"} <= set(table.figures):
        raise InputError(f"{table.name} has no recalls by class, and cannot be recomputed")
    checks = []
    for system, row in table.rows.items():
        recalls = {name.removeprefix(RECALL): value for name, value in zip(table.figures, row, strict=True)
                   if name.startswith(RECALL)}  # fmt: skip
        printed = dict(zip(table.figures, row, strict=True))
        checks.append(
            RowCheck(
                system,
                printed["uar"],
                mean_recall(recalls),
                printed["accuracy"],
                weighted_recall(recalls, sizes),
            )
        )
    return checks


@cache
def _document() -> type[BaseModel]:
    """The strict form of the file; pydantic is imported when it is read."""
    from pydantic import BaseModel, ConfigDict

    class Table(BaseModel):
        model_config = ConfigDict(extra="forbid", strict=True)
        name: str
        benchmark: str
        figures: list[str]
        scale: float
        source: str
        notes: list[str]
        rows: dict[str, list[float]]

    class Document(BaseModel):
        model_config = ConfigDict(extra="forbid", strict=True)
        tables: list[Table]

    Table.model_rebuild()
    Document.model_rebuild(_types_namespace={"Table": Table})
    return Document
