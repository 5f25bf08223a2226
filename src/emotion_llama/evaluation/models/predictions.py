"""Predictions from elsewhere: a table of names and answers is a model like any other, and scored by the same code."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from emotion_llama.errors import InputError
from emotion_llama.evaluation.records import EXPECTED, EvalSample, Model, Output
from emotion_llama.evaluation.tasks.readers import clip_name
from emotion_llama.files import write_whole
from emotion_llama.predictors.base import Task
from emotion_llama.tables import parse_json, read_records

PROBABILITY_PREFIX = "p_"
_KNOWN = ("name", "answer", "label", "problem", "probabilities", "generated")
_NOT_THERE = "the file has no prediction for this clip"


class PredictionFile(Model):
    """A .csv or .jsonl file of predictions.

    Columns (CSV) or keys (JSONL): `name`; `answer`, the text as a model wrote it; or `label`, where only that is known;
    `p_LABEL` columns, or a `probabilities` object; `problem`, why there is no answer; `generated`, 0 where no text was
    generated (an empty `answer` is an empty answer otherwise, unless the row has probabilities, a label or a problem).
    A row with both answer and label is scored by its answer.

    A sample's row is the one of its id; where there is none, the one whose name is the same but for a folder, a media
    suffix, case or leading zeros ("videos/1000.mp4" of the sample 01000).

    Raises:
        InputError: the file cannot be read, has no name column, a doubled name, or figures that are no probabilities.
    """

    batch_size = 1024
    needs_clips = False

    def __init__(self, path: str | Path) -> None:
        from emotion_llama.media.probe import file_sha256

        self.path = Path(path)
        is_table = self.path.suffix != ".jsonl"
        self._outputs: dict[str, Output] = {}
        expected = "name and answer (or label, or p_LABEL), or problem, probabilities, generated"
        is_known = (lambda name: name in _KNOWN or _is_share(name)) if is_table else _KNOWN.__contains__
        for number, row in read_records(self.path, is_known, expected, needed=["name"]):
            where = f"{self.path}, line {number}"
            if is_table and not any(name in ("answer", "label", "probabilities") or _is_share(name) for name in row):
                raise InputError(f"{self.path} has the columns {', '.join(row)}; expected {expected}")
            output = _output(_of_cells(row, where) if is_table else row, where)
            if output.sample_id in self._outputs:
                raise InputError(f"{self.path}, line {number}: {output.sample_id!r} is there twice; keep one")
            self._outputs[output.sample_id] = output
        if not self._outputs:
            raise InputError(f"{self.path} holds no predictions")
        self._names: dict[str, list[str]] = {}
        for name in self._outputs:
            self._names.setdefault(_matched(name), []).append(name)
        self._sample_of: dict[str, str] = {}  # name of a row -> the sample that it was taken for
        self.name = self.path.stem
        self.settings = {"system": "predictions", "file": self.path.name, "sha256": file_sha256(self.path)}

    def answer(self, samples: Sequence[EvalSample], task: Task) -> Iterator[Output]:
        """The file's row of each sample; one with a problem that names the expected id where there is none.

        Raises:
            InputError: several rows fit a sample and none is of its very id, or one row fits several samples.
        """
        for sample in samples:
            one = sample.sample_id
            names = [one] if one in self._outputs else self._names.get(_matched(one), [])
            if len(names) > 1:
                raise InputError(
                    f"{self.path}: {' and '.join(map(repr, names))} could both be {one!r}; keep one of them"
                )
            for name in names:
                other = self._sample_of.setdefault(name, one)
                if other != one:
                    raise InputError(
                        f"{self.path}: {name!r} could be {other!r} and {one!r}; give each sample its own row"
                    )
                found = self._outputs[name]
                yield Output(one, found.text, found.probabilities, found.problem)
            if not names:
                yield Output(one, problem=f"{_NOT_THERE}{EXPECTED}{one!r}")


def _matched(name: str) -> str:
    """What the names of one clip share: neither folder, media suffix, case nor leading zeros."""
    stem = clip_name(name.replace("\\", "/")).casefold()
    return stem.lstrip("0") or "0" if stem.isdecimal() else stem


def write_predictions(path: Path, outputs: Sequence[Output]) -> Path:
    """Outputs as a CSV that `PredictionFile` reads back without loss."""
    labels = list(dict.fromkeys(label for output in outputs for label in output.probabilities or ()))
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(["name", "answer", "problem", "generated", *(f"{PROBABILITY_PREFIX}{label}" for label in labels)])
    for output in outputs:
        shares = output.probabilities or {}
        cells = [repr(shares[label]) if label in shares else "" for label in labels]
        generated = int(output.text is not None)
        writer.writerow([output.sample_id, output.text or "", output.problem or "", generated, *cells])
    return write_whole(path, text.getvalue().encode("utf-8", "surrogatepass"))


def _is_share(column: str) -> bool:
    return column.startswith(PROBABILITY_PREFIX) and len(column) > len(PROBABILITY_PREFIX)


def _of_cells(row: Mapping[str, str], where: str) -> dict[str, Any]:
    """The row's values; empty cells are left out, but for an answer that was generated and is empty."""
    found: dict[str, Any] = {key: row[key] for key in ("name", "label", "problem") if row.get(key)}
    cells = {key.removeprefix(PROBABILITY_PREFIX): row[key] for key in row if _is_share(key) and row[key]}
    if row.get("probabilities"):
        try:
            found["probabilities"] = parse_json(row["probabilities"])
        except ValueError as error:
            raise InputError(f"{where}: cannot be read as JSON ({error})") from error
    elif cells:
        try:
            found["probabilities"] = {label: float(cell) for label, cell in cells.items()}
        except ValueError as error:
            raise InputError(f"{where}: there is a cell that is no probability ({error})") from None
    says = row.get("generated", "")
    if says not in ("", "0", "1"):
        raise InputError(f"{where}: generated is {says!r}, expected 1 or 0")
    is_empty_answer = says == "1" or (says == "" and not found.keys() & {"label", "problem", "probabilities"})
    if row.get("answer") or ("answer" in row and is_empty_answer):
        found["answer"] = row["answer"]
    return found


def _output(row: Mapping[str, Any], where: str) -> Output:
    row = {key: value for key, value in row.items() if value is not None}
    name = row.get("name")
    if not isinstance(name, str) or not name:
        raise InputError(f"{where}: there is no name")
    text = row.get("answer", row.get("label"))
    if text is not None and not isinstance(text, str):
        raise InputError(f"{where}: the answer is {text!r}, expected a text")
    shares = row.get("probabilities")
    if shares is not None:
        _check_shares(shares, where)
    problem = row.get("problem")
    if problem is not None:
        return Output(name, problem=str(problem))
    if text is None and shares is None:
        return Output(name, problem="the file's row has neither answer nor label nor probabilities")
    return Output(name, text, shares)


def _check_shares(shares: object, where: str) -> None:
    is_table = isinstance(shares, dict) and shares
    values = list(shares.values()) if isinstance(shares, dict) else []
    numbers = [v for v in values if isinstance(v, (int, float)) and not isinstance(v, bool) and math.isfinite(v)]
    if not is_table or len(numbers) < len(values) or min(numbers) < 0 or abs(sum(numbers) - 1) > 1e-3:
        raise InputError(f"{where}: expected probabilities of 0 and more that sum to 1, got {shares!r}")
