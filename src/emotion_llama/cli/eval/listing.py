"""The sub-verb `eval ls`: the benchmarks, their options, and which files one of them expects."""

from __future__ import annotations

import argparse
import sys

from emotion_llama.cli.options import Verbs, add_verb


def add_parser(verbs: Verbs) -> None:
    """Add the sub-verb."""
    parser = add_verb(
        verbs,
        "ls",
        run,
        summary="the benchmarks and their options",
        description="The benchmarks by name, with their options (--set KEY=VALUE). With a name: which\n"
        "files that benchmark expects, and where.",
        epilog="examples:\n  emotion-llama eval ls\n  emotion-llama eval ls dfew",
    )
    parser.add_argument("benchmark", nargs="?", metavar="BENCHMARK", help="one of them, in full")


def run(args: argparse.Namespace) -> int:
    """Print them."""
    from emotion_llama.evaluation.tasks import BENCHMARKS, benchmark_options, benchmark_text

    if args.benchmark is not None:
        text = benchmark_text(args.benchmark)
        sys.stdout.write(f"{text}\n\n{_settings(benchmark_options(args.benchmark))}\n")
        return 0
    for name in BENCHMARKS:
        sys.stdout.write(f"{name:<18}{_settings(benchmark_options(name))}\n")
    return 0


def _settings(options: dict[str, object]) -> str:
    named = (key if value is None else f"{key}={value}" for key, value in options.items())
    return " ".join(f"--set {one}" for one in named) or "(no options)"
