"""Published results as tables, and the arithmetic that their rows allow to be checked."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np

from emotion_llama.errors import InputError
from emotion_llama.evaluation.records import EvalResult, Metric

RECALL = "recall/"
# Rounding of seven recalls and of their mean to two places each can move a mean by 0.005 + 0.005.
ROUNDING = 0.0101
# A table as data/published.yaml has it; the head of that file explains the keys.
Published = Mapping[str, Any]


@cache
def published_tables() -> Mapping[str, Published]:
    """All tables of data/published.yaml by name, in the order of the file."""
    import yaml

    text = (files("emotion_llama.evaluation") / "data" / "published.yaml").read_text(encoding="utf-8")
    return {table["name"]: table for table in yaml.safe_load(text)["tables"]}


def published_for(benchmark: str) -> list[Published]:
    """Tables of a benchmark; those of MER-UniBench for each of its nine sets."""
    name = "unibench" if benchmark.startswith("unibench-") else benchmark
    return [table for table in published_tables().values() if table["benchmark"] == name]


def published_results(table: Published) -> list[EvalResult]:
    """The rows of a table as results without a parser, on the scale of ours (shares are 0..1).

    Where a table states its setting, each row says it: a model may stand in several tables.
    """
    setting = f", {table['setting']}" if "setting" in table else ""
    return [
        EvalResult(
            table["benchmark"], f"{model}{setting}", "",
            tuple(Metric(name, value / table["scale"]) for name, value in zip(table["figures"], row, strict=True)),
        )
        for model, row in table["rows"].items()
    ]  # fmt: skip


def recomputed(table: Published, sizes: Mapping[str, int]) -> dict[str, tuple[float, float]]:
    """UAR and WAR of every row, in percent as printed, recomputed from its recalls: mean, and weighted by class size.

    The sizes are those of the whole data set, from which those of a fold differ by a clip or two, so that WAR is near
    and not exact.

    Args:
        table: with recalls, uar and accuracy.
        sizes: label -> clips.

    Raises:
        InputError: the table has no such columns, or the sizes are of other labels.
    """
    places = [place for place, name in enumerate(table["figures"]) if name.startswith(RECALL)]
    labels = [table["figures"][place].removeprefix(RECALL) for place in places]
    if not labels or not {"uar", "accuracy"} <= set(table["figures"]):
        raise InputError(f"{table['name']} has no recalls by class, and cannot be recomputed")
    if set(labels) != set(sizes):
        raise InputError(f"recalls are of {sorted(labels)}, sizes of {sorted(sizes)}; give both for the same classes")
    weights = [sizes[label] for label in labels]
    found = {}
    for model, row in table["rows"].items():
        recalls = [row[place] for place in places]
        found[model] = float(np.mean(recalls)), float(np.average(recalls, weights=weights))
    return found


def table_checks(table: Published) -> tuple[str, ...]:
    """For tables with recalls: which printed UARs are not the mean of the printed recalls, up to rounding."""
    if not {"uar", "accuracy"} <= set(table["figures"]):
        return ()
    from emotion_llama.evaluation.tasks.dfew import CLASS_SIZES

    sentences = []
    for model, (mean, _) in recomputed(table, CLASS_SIZES).items():
        printed = table["rows"][model][table["figures"].index("uar")]
        if abs(printed - mean) >= ROUNDING:
            sentences.append(
                f"{table['name']}, {model}: the printed UAR {printed:.2f} is not the mean of the printed recalls "
                f"({mean:.2f})"
            )
    others = len(table["rows"]) - len(sentences)
    return (*sentences, f"{table['name']}: of the other {others} rows, UAR is the mean of the recalls")
