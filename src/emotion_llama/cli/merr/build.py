"""The sub-verb `merr build`: clips and a recipe in, a data set in a folder out; run again, it goes on."""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from emotion_llama.cli.common import complain, input_paths, shown, style_of
from emotion_llama.cli.merr.status import tally_text
from emotion_llama.cli.options import Verbs, add_shared, add_verb, positive_number, whole_number
from emotion_llama.cli.progress import BuildLine
from emotion_llama.errors import InputError

if TYPE_CHECKING:
    from emotion_llama.merr.recipe import Recipe

OVERRIDE = re.compile(r"[a-z_]+(\.[A-Za-z0-9_-]+)*=.*", re.DOTALL)
EXAMPLES = """examples:
  emotion-llama merr build videos/ --out merr/
  emotion-llama merr build clips.csv --out merr/ --limit 20 languages=[en,zh]
  emotion-llama merr build videos/ --out merr/ --recipe recipes/merr_offline.yaml
  emotion-llama merr build videos/ --out merr/ annotators.visual.name=openai \\
      annotators.visual.model=qwen2.5-vl

Stop it whenever you like (Ctrl-C, or worse) and run the same command again: what
is done is not done twice. A changed recipe does again what depends on the change.
Without --recipe a build that is there keeps its own (merr/recipe.yaml). Clips
whose files are no longer among the inputs are set aside, not deleted."""
MAX_EXAMPLES = 3  # failures that are written out in full


def add_parser(verbs: Verbs) -> None:
    """Add the sub-verb and its options."""
    parser = add_verb(
        verbs, "build", run, "make a data set of clips, or go on with it",
        "Make a MERR data set of clips: evidence, label, descriptions, splits.", EXAMPLES,
    )  # fmt: skip
    add = parser.add_argument
    add_shared(parser, "clips", metavar="INPUT",
               help="media files, folders, manifests (.csv, .jsonl), - for a list of paths on stdin; and choices of "
               "the recipe as PART.KEY=VALUE")  # fmt: skip
    add_shared(parser, "out", help="folder of the build")
    add("--recipe", metavar="FILE", type=Path, help="every choice, as YAML (default: offline, by rules)")
    add("--engine", choices=("local", "ray"), default="local", help="where work is done")
    add("--workers", metavar="N", type=whole_number(1), help="processes for media (default: one a core)")
    add("--in-flight", metavar="N", type=whole_number(1), default=8, help="requests at a time to a server")
    add("--time-limit", metavar="SECONDS", type=positive_number("seconds"), default=600.0,
        help="a clip that takes longer fails, plus 20 s for each second of it")  # fmt: skip
    add("--limit", metavar="N", type=whole_number(1), help="take the first N clips only")
    add_shared(parser, "quiet", help="no progress and no table")


def run(args: argparse.Namespace) -> int:
    """Build; 0 when no clip failed, 1 when some did, 130 when it was interrupted."""
    from emotion_llama.merr.build import build
    from emotion_llama.merr.engine import EngineOptions

    inputs, overrides = split_arguments(args.inputs)
    recipe = _recipe(args.recipe, args.out, overrides, quiet=args.quiet)
    options = EngineOptions(
        workers=args.workers or os.cpu_count() or 1, in_flight=args.in_flight, limit_seconds=args.time_limit
    )
    with BuildLine(enabled=not args.quiet) as line:
        tally = build(
            input_paths(inputs), args.out, recipe,
            engine=args.engine, options=options, limit=args.limit, progress=line,
        )  # fmt: skip
    if not args.quiet:
        sys.stderr.write(tally_text(tally, **style_of(sys.stderr)))
    if tally.failed:
        _complain_of_failures(args.out)
    if tally.was_interrupted:
        complain("interrupted; run the same command again to go on")
        return 130
    return 1 if tally.failed else 0


def split_arguments(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Inputs, and overrides of the recipe: what looks like `part.key=value` and is no file.

    Raises:
        InputError: there is no input among them.
    """
    overrides = [text for text in arguments if OVERRIDE.fullmatch(text) and not os.path.lexists(text)]
    inputs = [text for text in arguments if text not in overrides]
    if not inputs:
        raise InputError(f"no clips given, only choices of the recipe ({overrides[0]}); name files, folders, manifests")
    return inputs, overrides


def _recipe(path: Path | None, out: Path, overrides: Sequence[str], *, quiet: bool) -> Recipe:
    from emotion_llama.merr.recipe import load_recipe
    from emotion_llama.merr.store.ledger import RECIPE_NAME

    own = out / RECIPE_NAME
    if path is None and own.is_file():
        path = own
        if not quiet:
            sys.stderr.write(f"recipe: {shown(own)}, of the build that is there\n")
    return load_recipe(path, overrides)


def _complain_of_failures(out: Path) -> None:
    """One failure of each stage and kind in full, the newest: the table counts kinds, this says what to do."""
    from emotion_llama.merr.store import Store

    with Store.open(out, read_only=True) as store:
        newest = {(f.stage, (f.reason or "").partition(":")[0]): f for f in store.failures() if f.current}
    for failure in list(newest.values())[-MAX_EXAMPLES:]:
        complain(f"{failure.clip_id}, {failure.stage}: {failure.reason}")
