"""The benchmarks by name; each opens the folder that holds its files as their owners distribute them."""

from __future__ import annotations

import inspect
from importlib import import_module
from pathlib import Path

from emotion_llama.errors import InputError
from emotion_llama.evaluation.benchmarks.benchmark import Benchmark

# Name -> module:factory. A factory takes the folder, and its options by keyword; each of the modules says which.
BENCHMARKS: dict[str, str] = {
    "mer2023-semi": "emotion_llama.evaluation.benchmarks.mer2023:mer2023_semi",
    "mer2024-semi": "emotion_llama.evaluation.benchmarks.mer2024:mer2024_semi",
    "mer2024-noise": "emotion_llama.evaluation.benchmarks.mer2024:mer2024_noise",
    "mer2024-ov": "emotion_llama.evaluation.benchmarks.mer2024:mer2024_ov",
    "mer2025-fg": "emotion_llama.evaluation.benchmarks.mer2025:mer2025_fg",
    "mer2026-fg": "emotion_llama.evaluation.benchmarks.mer2025:mer2026_fg",
    "dfew": "emotion_llama.evaluation.benchmarks.dfew:dfew",
    "emer": "emotion_llama.evaluation.benchmarks.emer:emer",
    "unibench-mer2023": "emotion_llama.evaluation.benchmarks.unibench:mer2023",
    "unibench-mer2024": "emotion_llama.evaluation.benchmarks.unibench:mer2024",
    "unibench-meld": "emotion_llama.evaluation.benchmarks.unibench:meld",
    "unibench-iemocap": "emotion_llama.evaluation.benchmarks.unibench:iemocap",
    "unibench-mosi": "emotion_llama.evaluation.benchmarks.unibench:mosi",
    "unibench-mosei": "emotion_llama.evaluation.benchmarks.unibench:mosei",
    "unibench-sims": "emotion_llama.evaluation.benchmarks.unibench:sims",
    "unibench-simsv2": "emotion_llama.evaluation.benchmarks.unibench:simsv2",
    "unibench-ovmerd": "emotion_llama.evaluation.benchmarks.unibench:ovmerd",
    "merr-synth": "emotion_llama.evaluation.benchmarks.merr_synth:merr_synth",
    "csv": "emotion_llama.evaluation.benchmarks.table_file:table_file",
}


def load_benchmark(name: str, folder: str | Path, **options: object) -> Benchmark:
    """The benchmark of that name, with its files in `folder` (for "csv": the table itself).

    Args:
        name: one of `BENCHMARKS`.
        folder: where the files are; nothing is read before `check` or `cases`.
        options: of this benchmark, see `benchmark_options`.

    Raises:
        InputError: the name or an option is unknown, or an option's value is not one of those possible.
    """
    factory = _factory(name)
    known = benchmark_options(name)
    if strange := sorted(set(options) - set(known)):
        raise InputError(f"{name} has no option {strange[0]!r} (it has: {', '.join(known) or 'none'})")
    found = factory(Path(folder), **options)
    assert isinstance(found, Benchmark)
    return found


def benchmark_options(name: str) -> dict[str, object]:
    """The options of a benchmark and their defaults.

    Raises:
        InputError: the name is unknown.
    """
    parameters = list(inspect.signature(_factory(name)).parameters.values())[1:]
    return {parameter.name: parameter.default for parameter in parameters}


def _factory(name: str):  # type: ignore[no-untyped-def]  # factories differ in their options
    if name not in BENCHMARKS:
        raise InputError(f"no benchmark {name!r} (there are: {', '.join(BENCHMARKS)})")
    module, _, function = BENCHMARKS[name].partition(":")
    return getattr(import_module(module), function)
