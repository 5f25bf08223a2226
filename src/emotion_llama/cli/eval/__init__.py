"""The verb `eval` and its sub-verbs: run a benchmark, list them, report runs, make noisy copies of clips."""

from __future__ import annotations

import argparse
import sys

from emotion_llama.cli.eval import noise, report
from emotion_llama.cli.eval import run as run_benchmark
from emotion_llama.cli.options import Verbs, add_verb, add_verbs

SUB_VERBS = ("run", "ls", "report", "noise")
EXAMPLES = """examples:
  emotion-llama eval ls
  emotion-llama eval mer2023-semi --data MER2023/ --model emotion-llama-7b/ --out runs/a
  emotion-llama eval merr-synth --data synth/ --model rules --out runs/rules
  emotion-llama eval report runs/a runs/rules --html report.html
  emotion-llama eval noise clips/ noisy/ --noise musan/speech/ --seed 1

'eval BENCHMARK' is short for 'eval run BENCHMARK';
'emotion-llama eval VERB --help' explains a verb."""


def add_parser(verbs: Verbs) -> None:
    """Add the verb and its sub-verbs."""
    below = add_verbs(
        verbs, "eval", (run_benchmark, report, noise), "the field's benchmarks, for our model and any other",
        "Benchmarks: a model answers all samples, its answers are scored as published,\n"
        "and reports lay the metrics beside the published rows.",
        EXAMPLES,
    )  # fmt: skip
    listing = add_verb(
        below, "ls", run_ls, "the benchmarks and their options",
        "The benchmarks by name, with their options (--set KEY=VALUE). With a name: which\n"
        "files that benchmark expects, and where.",
        "examples:\n  emotion-llama eval ls\n  emotion-llama eval ls dfew",
    )  # fmt: skip
    listing.add_argument("benchmark", nargs="?", metavar="BENCHMARK", help="one of them, in full")


def with_run(argv: list[str]) -> list[str]:
    """`eval BENCHMARK ...` as `eval run BENCHMARK ...`."""
    if len(argv) > 1 and argv[0] == "eval" and not argv[1].startswith("-") and argv[1] not in SUB_VERBS:
        return ["eval", "run", *argv[1:]]
    return argv


def run_ls(args: argparse.Namespace) -> int:
    """Print the benchmarks, or one of them in full."""
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
