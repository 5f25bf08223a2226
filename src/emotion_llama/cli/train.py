"""The verb `train`: a recipe in; a model's folder, checkpoints and a run card out."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from emotion_llama.cli.common import complain, quiet_transformers, shown
from emotion_llama.cli.options import Verbs, add_shared, add_verb

EXAMPLES = """examples:
  emotion-llama features videos/ --model start/ --out features/
  emotion-llama train recipes/train_stage1.yaml --out runs/stage1 \\
      model.start=start/ data.train=merr/ data.features=features/
  emotion-llama train recipes/train_stage2.yaml --out runs/stage2 \\
      model.start=runs/stage1/model data.train=merr/ data.features=features/
  emotion-llama train recipe.yaml --out runs/a --resume
  torchrun --nproc-per-node 4 -m emotion_llama train recipe.yaml --out runs/a

docs/train.md explains recipes, memory and several machines."""


def add_parser(verbs: Verbs) -> None:
    """Add the verb and its options."""
    parser = add_verb(
        verbs, "train", run, "train a model by a recipe",
        "Train a model by a recipe. DIR gets checkpoints/, model/ (the best, whole) and run_card.json.", EXAMPLES,
    )  # fmt: skip
    parser.add_argument("recipe", type=Path, metavar="RECIPE", help="a YAML file; its paths start from its own folder")
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="single choices, such as run.seed=7")
    add_shared(parser, "out", help="folder of the run")
    add_shared(parser, "resume", help="continue from the last checkpoint in DIR")
    add_shared(parser, "quiet", help="print the result only")


def run(args: argparse.Namespace) -> int:
    """Train; 0 when it came to its end."""
    import os

    from emotion_llama.train.recipe import load_train_recipe
    from emotion_llama.train.run import train

    is_first = os.environ.get("RANK", "0") == "0"

    def say(line: str) -> None:
        if is_first and not args.quiet:
            sys.stderr.write(f"{line}\n")
            sys.stderr.flush()

    recipe = load_train_recipe(args.recipe, args.overrides)
    quiet_transformers()
    try:
        result = train(recipe, args.out, resume=args.resume, say=say)
    except KeyboardInterrupt:
        complain(f"interrupted; `--resume` continues from the last checkpoint in {args.out}")
        return 130
    if is_first:
        best = "" if result.best_metric is None else f", {recipe.run.best_by} {result.best_metric:.3f}"
        sys.stdout.write(f"wrote {shown(result.model)} ({result.steps} steps, best at {result.best_step}{best})\n")
        if left_out := sum(result.left_out.values()):
            sys.stderr.write(f"{left_out} examples left out: {'; '.join(result.left_out)}\n")
    return 0
