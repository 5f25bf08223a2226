"""A run on disk: its results, its card, its outputs as a table; written whole, read back strictly."""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from emotion_llama.analysis.options import installed_versions
from emotion_llama.errors import InputError
from emotion_llama.evaluation.models.predictions import write_predictions
from emotion_llama.evaluation.records import EvalResult, FileProblem, Metric, Output
from emotion_llama.files import write_whole

RESULTS_FILE, CARD_FILE = "results.json", "run_card.json"
PREDICTIONS_FILE, CASES_FILE = "predictions.csv", "cases.jsonl"
VERSION = 1
_PACKAGES = (
    "emotion-llama", "torch", "transformers", "numpy", "scikit-learn", "scipy", "av", "onnxruntime",
    "opencv-python-headless",
)  # fmt: skip


@dataclass(frozen=True)
class SampleRow:
    """One sample as paired tests need it."""

    sample_id: str
    truth: str | None  # the true label; None where the truth is no label
    group: str | None  # as `EvalSample.group`
    # parser -> the predicted label, None where there is none; of benchmarks of one label
    answers: Mapping[str, str | None] = field(default_factory=dict)
    # parser -> name of a metric -> this sample's own score, where the metric is a mean over samples
    scores: Mapping[str, Mapping[str, float]] = field(default_factory=dict)


@dataclass(frozen=True)
class EvalRun:
    """A finished run."""

    name: str  # of the model, in reports
    results: tuple[EvalResult, ...]  # one a parser
    card: Mapping[str, Any]  # see `run.evaluate`
    rows: tuple[SampleRow, ...]  # one a sample
    # likewise; empty where the run was read from its folder
    outputs: tuple[Output, ...] = field(default=(), compare=False)
    file_problems: tuple[FileProblem, ...] = field(default=(), compare=False)  # of the benchmark's files; likewise
    folder: Path | None = field(default=None, compare=False)  # where it was written; None where it was not


def write_run(folder: Path, run: EvalRun) -> None:
    """Write a run; the results last, so that their presence says that it is done."""
    write_predictions(folder / PREDICTIONS_FILE, run.outputs)
    rows = ({("case_id" if key == "sample_id" else key): value for key, value in vars(row).items()} for row in run.rows)
    write_whole(folder / CASES_FILE, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    write_whole(folder / CARD_FILE, json.dumps(run.card, indent=1, ensure_ascii=False) + "\n")
    found = {"version": VERSION, "results": [_result_row(result) for result in run.results]}
    write_whole(folder / RESULTS_FILE, json.dumps(found, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def _result_row(result: EvalResult) -> dict[str, Any]:
    parts = {name: [vars(metric) for metric in metrics] for name, metrics in result.parts.items()}
    about = {"benchmark": result.benchmark, "system": result.model, "parser": result.parser}
    return {**about, "figures": [vars(one) for one in result.metrics], "counts": result.counts, "parts": parts}


def read_run(folder: Path) -> EvalRun:
    """The run in a folder.

    Raises:
        InputError: there is none, it is not finished, or a file was changed by hand into something else.
    """
    path = folder / RESULTS_FILE
    if not path.is_file():
        is_begun = folder.is_dir() and any(folder.glob("replies.*.jsonl"))
        state = "is not finished: run the same command with --resume" if is_begun else "holds no run"
        raise InputError(f"{folder} {state} ({RESULTS_FILE} is missing)")
    try:
        found = json.loads(path.read_bytes())
        results = tuple(_result_of_row(row) for row in found["results"])
        lines = [json.loads(line) for line in (folder / CASES_FILE).read_bytes().splitlines()]
        rows = tuple(SampleRow(line.pop("case_id"), **line) for line in lines)
        card = json.loads((folder / CARD_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{folder} cannot be read as a run ({str(error).splitlines()[0]}); evaluate again") from error
    if found.get("version") != VERSION or not results:
        raise InputError(f"{path} is of version {found.get('version')}, expected {VERSION}; evaluate again")
    return EvalRun(results[0].model, results, card, rows, folder=folder)


def _result_of_row(row: Mapping[str, Any]) -> EvalResult:
    parts = {name: tuple(Metric(**one) for one in metrics) for name, metrics in row["parts"].items()}
    metrics = tuple(Metric(**one) for one in row["figures"])
    return EvalResult(row["benchmark"], row["system"], row["parser"], metrics, row["counts"], parts)


def find_runs(folders: Sequence[Path]) -> list[EvalRun]:
    """The runs in folders and in the folders right below them; InputError where a folder holds none."""
    found = []
    for folder in folders:
        below = sorted(path.parent for path in folder.glob(f"*/{RESULTS_FILE}")) if folder.is_dir() else []
        places = [folder] if (folder / RESULTS_FILE).is_file() or not below else below
        found += [read_run(place) for place in places]
    return found


def installed(names: Sequence[str] = _PACKAGES) -> dict[str, str]:
    """Versions of Python and of packages, without those that are not installed."""
    return {"python": platform.python_version(), **installed_versions(names)}


def machine() -> dict[str, Any]:
    """Processor and GPUs; torch is asked only where it is loaded."""
    torch = sys.modules.get("torch")
    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())] if torch is not None else []
    return {"processor": platform.machine(), "system": platform.system(), "cores": os.cpu_count(), "gpus": gpus}
