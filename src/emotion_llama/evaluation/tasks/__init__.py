"""The benchmarks by name; each opens the folder that holds its files as their owners distribute them."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from importlib import import_module
from pathlib import Path

from emotion_llama.errors import InputError
from emotion_llama.evaluation.tasks.base import Benchmark

# Name -> module and function below this folder, and for MER-UniBench the set. A function takes the folder, and its
# options by keyword; its docstring and that of its module say which options and files there are.
BENCHMARKS: dict[str, tuple[str, ...]] = {
    "mer2023-semi": ("mer", "mer2023_semi"),
    "mer2024-semi": ("mer", "mer2024_semi"),
    "mer2024-noise": ("mer", "mer2024_noise"),
    "mer2024-ov": ("open_vocabulary", "mer2024_ov"),
    "mer2025-fg": ("open_vocabulary", "mer2025_fg"),
    "mer2026-fg": ("open_vocabulary", "mer2026_fg"),
    "dfew": ("dfew", "dfew"),
    "emer": ("emer", "emer"),
    "unibench-mer2023": ("unibench", "scored_by_wheels", "mer2023"),
    "unibench-mer2024": ("unibench", "scored_by_wheels", "mer2024"),
    "unibench-meld": ("unibench", "scored_by_wheels", "meld"),
    "unibench-iemocap": ("unibench", "scored_by_wheels", "iemocap"),
    "unibench-mosi": ("unibench", "scored_by_sentiment", "mosi"),
    "unibench-mosei": ("unibench", "scored_by_sentiment", "mosei"),
    "unibench-sims": ("unibench", "scored_by_sentiment", "sims"),
    "unibench-simsv2": ("unibench", "scored_by_sentiment", "simsv2"),
    "unibench-ovmerd": ("unibench", "scored_by_wheels", "ovmerd"),
    "merr-synth": ("merr_synth", "merr_synth"),
    "csv": ("own_table", "table_file"),
}


def load_benchmark(name: str, folder: str | Path, **options: object) -> Benchmark:
    """The benchmark of that name, with its files in `folder` (for "csv": the table itself).

    Args:
        name: one of `BENCHMARKS`.
        folder: where the files are; nothing is read before `check` or `samples`, but for wheels, stored groups and
            one's own table.
        options: of this benchmark, see `benchmark_options`.

    Raises:
        InputError: the name or an option is unknown, or an option's value is not one of those possible.
    """
    known = benchmark_options(name)
    if unknown := sorted(set(options) - set(known)):
        raise InputError(f"{name} has no option {unknown[0]!r} (it has: {', '.join(known) or 'none'})")
    factory = _factory(name)
    for key, parameter in inspect.signature(factory).parameters.items():
        if parameter.annotation == "Path | None" and (value := options.get(key)) is not None:
            if not isinstance(value, (str, Path)):
                raise InputError(f"{key} is {value!r}, expected a path")
            options[key] = Path(value).expanduser()
    return factory(Path(folder), **options)


def benchmark_options(name: str) -> dict[str, object]:
    """The options of a benchmark and their defaults; InputError where the name is unknown."""
    parameters = inspect.signature(_factory(name)).parameters.values()
    return {one.name: one.default for one in parameters if one.kind is one.KEYWORD_ONLY}


def benchmark_text(name: str) -> str:
    """What a benchmark is, its files and its options, from the documentation of its module and function.

    Raises:
        InputError: the name is unknown.
    """
    factory = _factory(name)
    function = factory.func if isinstance(factory, partial) else factory
    return "\n\n".join(inspect.getdoc(one) or "" for one in (inspect.getmodule(function), function))


def _factory(name: str) -> Callable[..., Benchmark]:
    if name not in BENCHMARKS:
        raise InputError(f"no benchmark {name!r} (there are: {', '.join(BENCHMARKS)})")
    module, function, *given = BENCHMARKS[name]
    found: Callable[..., Benchmark] = getattr(import_module(f"{__name__}.{module}"), function)
    return partial(found, *given) if given else found
