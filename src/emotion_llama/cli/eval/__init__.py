"""The verb `eval` and its sub-verbs: run a benchmark, list them, report runs, make noisy copies of clips."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from importlib import import_module

# sub-verb -> module whose `add_parser` adds it
SUB_VERBS: Mapping[str, str] = {
    "run": "emotion_llama.cli.eval.run",
    "ls": "emotion_llama.cli.eval.listing",
    "report": "emotion_llama.cli.eval.report",
    "noise": "emotion_llama.cli.eval.noise",
}
EXAMPLES = """examples:
  emotion-llama eval ls
  emotion-llama eval mer2023-semi --data MER2023/ --model emotion-llama-7b/ --out runs/a
  emotion-llama eval merr-synth --data synth/ --model rules --out runs/rules
  emotion-llama eval report runs/a runs/rules --html report.html
  emotion-llama eval noise clips/ noisy/ --noise musan/speech/ --seed 1

'eval BENCHMARK' is short for 'eval run BENCHMARK';
'emotion-llama eval VERB --help' explains a verb."""


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb and its sub-verbs."""
    parser = verbs.add_parser(
        "eval",
        help="the field's benchmarks, for our model and any other",
        description="Benchmarks: a model answers all samples, its answers are scored as published,\n"
        "and reports lay the metrics beside the published rows.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    below = parser.add_subparsers(title="verbs", metavar="VERB", required=True, parser_class=EvalParser)
    for module in SUB_VERBS.values():
        import_module(module).add_parser(below)


class EvalParser(argparse.ArgumentParser):
    """The parser of the sub-verbs."""


def with_run(argv: list[str]) -> list[str]:
    """`eval BENCHMARK ...` as `eval run BENCHMARK ...`."""
    if len(argv) > 1 and argv[0] == "eval" and not argv[1].startswith("-") and argv[1] not in SUB_VERBS:
        return ["eval", "run", *argv[1:]]
    return argv
