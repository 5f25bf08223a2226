"""The sub-verb `eval run`, or `eval BENCHMARK`: a benchmark and a model in; metrics, outputs and a run card out."""

from __future__ import annotations

import argparse
import re
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emotion_llama.cli.common import check_model, complain, quiet_transformers, shown, style_of
from emotion_llama.cli.options import Verbs, add_shared, add_verb, key_values, names_in, whole_number
from emotion_llama.cli.progress import StatusLine
from emotion_llama.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from emotion_llama.evaluation.cache import Shard
    from emotion_llama.evaluation.judges import Judge
    from emotion_llama.evaluation.records import FileProblem, Model
    from emotion_llama.evaluation.run_folder import EvalRun
    from emotion_llama.evaluation.tasks.base import Benchmark

EXAMPLES = """examples:
  emotion-llama eval mer2023-semi --data MER2023/ --model emotion-llama-7b/ \\
      --layout train,released --out runs/mer2023
  emotion-llama eval dfew --data DFEW/ --model rules --out runs/dfew --resume
  emotion-llama eval emer --data EMER/ --model emotion-llama-7b/ --out runs/emer \\
      --judge openai:qwen2.5-72b@http://localhost:8000/v1
  emotion-llama eval csv --data clips.csv --model predictions.csv
  emotion-llama eval merr-synth --data synth/ --out runs/vlm \\
      --model openai:qwen2.5-vl@http://localhost:8000/v1 --option frames=4
  torchrun --nproc-per-node 4 -m emotion_llama eval mer2023-semi --data MER2023/ \\
      --model emotion-llama-7b/ --out runs/mer2023

MODEL is rules, nano, a model's folder, openai:MODEL@URL, transformers:FOLDER,
pipeline:TASK@FOLDER, or predictions in a .csv or .jsonl file. What it answers
is kept in DIR as it comes: a killed run goes on with --resume. Clips are sent
to a server only where MODEL or the judge names one. docs/evaluate.md explains
benchmarks, files, parsers, options and judges."""

_SETTINGS = {
    "--set": "benchmark, such as folds=[1]",
    "--option": "model, such as dtype=float32",
    "--judge-option": "judge, such as votes=3 or scale=0-10",
}


def add_parser(verbs: Verbs) -> None:
    """Add the sub-verb and its options."""
    parser = add_verb(
        verbs, "run", run, "a model on a benchmark ('run' may be left out)",
        "Ask a model about every case of a benchmark, score what it answers by every parser\n"
        "that applies, and print the figures with their intervals and all failures counted.",
        EXAMPLES,
    )  # fmt: skip
    add = parser.add_argument
    add("benchmark", metavar="BENCHMARK", help="a name that 'eval ls' prints")
    add("--data", metavar="DIR", type=Path, required=True, help="its files, as their owners distribute them")
    add("--model", metavar="MODEL", required=True, help="the model that is evaluated")
    add("--layout", metavar="NAMES", type=names_in, help="prompt layouts of our model, each a run: train,released")
    add("--parser", metavar="NAMES", type=names_in, help="upstream,tolerant,likelihood (default: all that apply)")
    add("--limit", metavar="N", type=whole_number(1), help="take the first N cases only")
    add_shared(parser, "out", required=False, help="folder of the run (default: nothing is kept)")
    add_shared(parser, "resume", help="go on with the run in DIR")
    for option, of_what in _SETTINGS.items():
        add(option, metavar="KEY=VALUE", action="append", default=[], help=f"an option of the {of_what}")
    add("--judge", metavar="MODEL", help="openai:MODEL@URL or transformers:FOLDER, where the metric needs one")
    add_shared(parser, "resamples")
    add_shared(parser, "quiet", help="no progress and no report")


def run(args: argparse.Namespace) -> int:
    """Evaluate; 0 when every case was answered, 1 when some failed."""
    from emotion_llama.evaluation.cache import shard_of_environment
    from emotion_llama.evaluation.tasks import load_benchmark

    shard = shard_of_environment()
    benchmark = load_benchmark(args.benchmark, args.data, **key_values("--set", args.set))
    problems = benchmark.check()
    if not args.quiet and shard.is_first:
        _say_of_files(problems)
    layouts = [None] if args.layout is None else args.layout
    folders = _folders(args.out, layouts)
    finished: list[EvalRun] = []
    for layout, folder in zip(layouts, folders):
        finished += _one(args, benchmark, problems, shard, layout, folder)
    shard.leave()
    if not shard.is_first:
        return 0
    if not args.quiet:
        _report(finished)
    failed = sum(output.problem is not None for one in finished for output in one.outputs)
    if failed:
        complain(f"{failed} of {sum(len(one.outputs) for one in finished)} cases were not answered; see the counts")
    return 1 if failed else 0


def _one(
    args: argparse.Namespace,
    benchmark: Benchmark,
    problems: Sequence[FileProblem],
    shard: Shard,
    layout: str | None,
    folder: Path | None,
) -> list[EvalRun]:
    from emotion_llama.evaluation.run import evaluate

    model = _model(args, layout, shard)
    line = StatusLine(enabled=not args.quiet and shard.is_first)

    def progress(done: int, total: int) -> None:
        line.draw(f"{shown(model.name)[:40]}: {done} of {total} cases")

    try:
        with ExitStack() as open_things:
            open_things.callback(model.close)
            open_things.enter_context(line)
            judge = _judge(args, folder, open_things) if shard.is_first else None
            found = evaluate(
                benchmark, model, out=folder, limit=args.limit, resume=args.resume, parsers=args.parser,
                num_resamples=max(0, args.resamples), judge=judge, shard=shard, progress=progress,
                file_problems=problems,
            )  # fmt: skip
    except KeyboardInterrupt:
        if folder is not None:
            complain(f"interrupted; the same command with --resume goes on from {shown(folder)}")
        raise
    return [] if found is None else [found]


def _model(args: argparse.Namespace, layout: str | None, shard: Shard) -> Model:
    from emotion_llama.evaluation.models import load_model, model_kind

    options: dict[str, Any] = key_values("--option", args.option)
    kind = model_kind(args.model)
    if layout is not None:
        if kind != "own":
            raise InputError(f"--layout is for our own model's prompts; {args.model!r} has none")
        options["layout"] = layout
    if kind == "own":
        quiet_transformers()
        if (device := shard.device()) is not None:
            options.setdefault("device", device)
        if args.out is not None and "features" not in options:
            # Encoders run once for all layouts and for every resumed run; each process has a store of its own.
            options.setdefault("keep", args.out / f"features.{shard.rank}")
    model = load_model(args.model, **options)
    check_model(model, quiet=args.quiet or not shard.is_first)
    return model


def _judge(args: argparse.Namespace, folder: Path | None, open_things: ExitStack) -> Judge | None:
    options = key_values("--judge-option", args.judge_option)
    if args.judge is None:
        if options:
            raise InputError("--judge-option needs --judge")
        return None
    from emotion_llama.evaluation.cache import JsonlCache
    from emotion_llama.evaluation.judges import load_judge

    cache = None if folder is None else open_things.enter_context(JsonlCache(folder, "verdicts"))
    return load_judge(args.judge, cache=cache, **options)


def _folders(out: Path | None, layouts: list[str | None]) -> list[Path | None]:
    """A folder for each run: DIR itself, or one below it for each of several layouts."""
    if out is None:
        return [None] * len(layouts)
    return [out] if len(layouts) == 1 else [out / re.sub(r"[^\w.-]", "_", str(layout)) for layout in layouts]


def _say_of_files(problems: Sequence[FileProblem]) -> None:
    for problem in problems:
        if not problem.is_fatal:
            complain(f"{problem.where}: {problem.what}" + (f" ({problem.count} times)" if problem.count > 1 else ""))


def _report(finished: list[EvalRun]) -> None:
    from emotion_llama.evaluation.report import report_of
    from emotion_llama.report.evaluation import render_report_text

    sys.stdout.write(render_report_text(report_of(finished), **style_of(sys.stdout)))
