"""What a run was, for whoever reads its figures: benchmark and data, system and weights, prompts, versions, machine."""

from __future__ import annotations

import os
import platform
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from emotion_llama import __version__
from emotion_llama.evaluation.benchmarks.benchmark import Benchmark
from emotion_llama.evaluation.case_keys import data_sha256
from emotion_llama.evaluation.records import Case, FileProblem, Reply, System
from emotion_llama.evaluation.reply_cache import asked

_PACKAGES = (
    "emotion-llama", "torch", "transformers", "numpy", "scikit-learn", "scipy", "av", "mediapipe",
    "opencv-python-headless",
)  # fmt: skip


def run_card(
    benchmark: Benchmark,
    system: System,
    cases: Sequence[Case],
    keys: dict[str, str],
    replies: Sequence[Reply],
    *,
    file_problems: Sequence[FileProblem],
    settings_sha256: str,
    judge: Mapping[str, object] | None,
    wall_seconds: float,
    fresh: int,
    limit: int | None,
    started_at: str,
    processes: int,
) -> dict[str, Any]:
    """The card, as JSON values.

    Args:
        benchmark: what was asked.
        system: who answered.
        cases: of the run.
        keys: of `case_keys`.
        replies: one a case.
        file_problems: of the benchmark's files.
        settings_sha256: of system and question.
        judge: its settings.
        wall_seconds: of this session.
        fresh: replies that were given in it.
        limit: of cases, where one was set.
        started_at: time of day, UTC.
        processes: that shared the work.
    """
    return {
        "emotion_llama": __version__,
        "benchmark": {
            "name": benchmark.name,
            "version": benchmark.version,
            "kind": benchmark.kind,
            "primary": benchmark.primary,
            "folder": str(benchmark.folder),
            "ask": asked(benchmark.ask),
            "cases": len(cases),
            "limit": limit,
            "data_sha256": data_sha256(cases, keys),
            "file_problems": [vars(problem) for problem in file_problems],
        },
        "system": {"name": system.name, "settings": _plain(system.settings), "settings_sha256": settings_sha256},
        "judge": None if judge is None else _plain(judge),
        "problems": dict(Counter(r.problem for r in replies if r.problem is not None).most_common()),
        "time": {
            "started_at": started_at,
            "wall_seconds": round(wall_seconds, 2),
            "asked_in_this_session": fresh,
            "seconds_of_all_replies": round(sum(reply.seconds for reply in replies), 2),
            "tokens_in": _total(reply.tokens_in for reply in replies),
            "tokens_out": _total(reply.tokens_out for reply in replies),
        },
        "versions": installed(),
        "machine": {**machine(), "processes": processes},
    }


def installed() -> dict[str, str]:
    """Versions of what makes the figures."""
    from contextlib import suppress
    from importlib.metadata import PackageNotFoundError, version

    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def machine() -> dict[str, Any]:
    """Processor and GPUs; torch is asked only where it is loaded."""
    torch = sys.modules.get("torch")
    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())] if torch is not None else []
    return {"processor": platform.machine(), "system": platform.system(), "cores": os.cpu_count(), "gpus": gpus}


def _total(counts: Any) -> int | None:
    known = [count for count in counts if count is not None]
    return sum(known) if known else None


def _plain(value: object) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple, frozenset, set)):
        return [_plain(one) for one in value]
    return value if value is None or isinstance(value, (str, int, float, bool)) else str(value)
