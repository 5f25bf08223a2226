"""A run on disk: its results, its card, its replies as a table; written whole, read back strictly."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from emotion_llama.errors import InputError
from emotion_llama.evaluation.records import Case, Figure, Result

RESULTS_FILE, CARD_FILE, PREDICTIONS_FILE, CASES_FILE = (
    "results.json",
    "run_card.json",
    "predictions.csv",
    "cases.jsonl",
)
VERSION = 1


@dataclass(frozen=True)
class CaseRow:
    """One case as paired tests need it.

    Attributes:
        case_id: of the benchmark.
        truth: the true label; None where the truth is no label.
        group: as `Case.group`.
        answers: parser -> the label told, None where there is none; of benchmarks of one label.
        scores: parser -> name of a figure -> this case's own figure, where the figure is a mean over cases.
    """

    case_id: str
    truth: str | None = None
    group: str | None = None
    answers: Mapping[str, str | None] = field(default_factory=dict)
    scores: Mapping[str, Mapping[str, float]] = field(default_factory=dict)


@dataclass(frozen=True)
class RunRecord:
    """What a folder says of a run.

    Attributes:
        folder: where it is.
        results: one a parser.
        card: see `run_card`.
        rows: see `CaseRow`.
    """

    folder: Path
    results: tuple[Result, ...]
    card: Mapping[str, Any]
    rows: tuple[CaseRow, ...]

    @property
    def system(self) -> str:
        """Its name."""
        return self.results[0].system

    @property
    def judge(self) -> Mapping[str, Any] | None:
        """Settings of the judge; None where none was asked."""
        return self.card.get("judge")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class _Figure(_Strict):
    name: str
    value: float
    low: float | None
    high: float | None
    better: Literal["higher", "lower"]

    def record(self) -> Figure:
        return Figure(self.name, self.value, self.low, self.high, self.better)


class _Result(_Strict):
    benchmark: str
    system: str
    parser: str
    figures: list[_Figure]
    counts: dict[str, int]
    parts: dict[str, list[_Figure]]

    def record(self) -> Result:
        parts = {name: tuple(f.record() for f in figures) for name, figures in self.parts.items()}
        return Result(
            self.benchmark, self.system, self.parser, tuple(f.record() for f in self.figures), self.counts, parts
        )


class _Results(_Strict):
    version: int
    results: list[_Result]


class _Row(_Strict):
    case_id: str
    truth: str | None
    group: str | None
    answers: dict[str, str | None]
    scores: dict[str, dict[str, float]]


def write_run(folder: Path, results: Sequence[Result], card: Mapping[str, Any], rows: Sequence[CaseRow]) -> None:
    """Write a run; the results last, so that their presence says that it is done."""
    lines = (
        {"case_id": r.case_id, "truth": r.truth, "group": r.group, "answers": dict(r.answers),
         "scores": {parser: dict(scores) for parser, scores in r.scores.items()}}
        for r in rows
    )  # fmt: skip
    _write(folder / CASES_FILE, "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))
    _write(folder / CARD_FILE, json.dumps(card, indent=1, ensure_ascii=False) + "\n")
    found = {"version": VERSION, "results": [result_row(result) for result in results]}
    _write(folder / RESULTS_FILE, json.dumps(found, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def result_row(result: Result) -> dict[str, Any]:
    """A result as JSON values."""
    return {
        "benchmark": result.benchmark,
        "system": result.system,
        "parser": result.parser,
        "figures": [vars(figure) for figure in result.figures],
        "counts": dict(result.counts),
        "parts": {name: [vars(figure) for figure in figures] for name, figures in result.parts.items()},
    }


def read_run(folder: Path) -> RunRecord:
    """The run in a folder.

    Raises:
        InputError: there is none, it is not finished, or a file was changed by hand into something else.
    """
    path = folder / RESULTS_FILE
    if not path.is_file():
        state = "is not finished: run the same command with --resume" if _has_replies(folder) else "holds no run"
        raise InputError(f"{folder} {state} ({RESULTS_FILE} is missing)")
    try:
        found = _Results.model_validate_json(path.read_bytes())
        rows = [_Row.model_validate_json(line) for line in (folder / CASES_FILE).read_bytes().splitlines()]
        card = json.loads((folder / CARD_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError, ValidationError) as error:
        raise InputError(f"{folder} cannot be read as a run ({str(error).splitlines()[0]}); evaluate again") from error
    if found.version != VERSION or not found.results:
        raise InputError(f"{path} is of version {found.version}, expected {VERSION}; evaluate again with this release")
    return RunRecord(
        folder,
        tuple(result.record() for result in found.results),
        card,
        tuple(CaseRow(**row.model_dump()) for row in rows),
    )


def find_runs(folders: Sequence[Path]) -> list[RunRecord]:
    """The runs in folders and in the folders right below them.

    Raises:
        InputError: a folder holds none.
    """
    found = []
    for folder in folders:
        below = sorted(path.parent for path in folder.glob(f"*/{RESULTS_FILE}")) if folder.is_dir() else []
        places = [folder] if (folder / RESULTS_FILE).is_file() or not below else below
        found += [read_run(place) for place in places]
    return found


def row_of_case(case: Case, answers: Mapping[str, str | None], scores: Mapping[str, Mapping[str, float]]) -> CaseRow:
    """What is kept of a case."""
    return CaseRow(case.case_id, case.truth.label, case.group, answers, scores)


def _has_replies(folder: Path) -> bool:
    return folder.is_dir() and any(folder.glob("replies.*.jsonl"))


def _write(path: Path, text: str) -> None:
    half = path.with_name(f".{path.name}.tmp")
    try:
        half.write_text(text, encoding="utf-8")
        half.replace(path)
    except OSError as error:
        raise InputError(f"{path} cannot be written ({error.strerror}); make room, then resume") from error
