"""The verb `use`: which model answers where none is named."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from emotion_llama.cli.options import Verbs, add_verb
from emotion_llama.errors import InputError
from emotion_llama.predictors import DEFAULT_MODEL, PREDICTORS
from emotion_llama.predictors.chosen import choose_model, chosen_model, fetched, forget_model


def add_parser(verbs: Verbs) -> None:
    """Add the verb and its options."""
    parser = add_verb(
        verbs, "use", run, "choose the model that answers where none is named",
        "Choose the model that analyze, serve and Analyzer.load() take where none is named.\n"
        f"Without NAME: say which one that is. `use {DEFAULT_MODEL}` goes back to the measured evidence.",
        "examples:\n  emotion-llama use emotion-llama-7b/\n  emotion-llama use openai:qwen2.5-omni@http://127.0.0.1:8000/v1\n"
        "  emotion-llama use rules",
    )  # fmt: skip
    parser.add_argument("model", nargs="?", metavar="NAME|DIR",
        help=f"{', '.join(PREDICTORS)}, the folder or name of a fetched model, or openai:MODEL@URL")  # fmt: skip


def run(args: argparse.Namespace) -> int:
    """Remember the choice, or say what it is."""
    if args.model is None:
        chosen = chosen_model()
        sys.stdout.write(f"{DEFAULT_MODEL} (no model was chosen)\n" if chosen is None else f"{chosen}\n")
        return 0
    use(args.model)
    return 0


def use(model: str) -> None:
    """Check a model and remember it.

    Raises:
        InputError: it is no predictor and no folder of a model.
        BackendError: the user's folder cannot be written.
    """
    from emotion_llama.models.folders import check_model_folder

    if model == DEFAULT_MODEL:
        forget_model()
        sys.stdout.write(f"{DEFAULT_MODEL} answers where no model is named\n")
        return
    if model not in PREDICTORS and not model.startswith(("openai:", "transformers:")):
        model = str(fetched(model))
        if not Path(model).is_dir():
            raise InputError(
                f"no predictor and no folder {model!r}; give one of {', '.join(PREDICTORS)}, a model's folder, what "
                "`emotion-llama download` fetched, or openai:MODEL@URL"
            )
        check_model_folder(model)
    path = choose_model(model)
    sys.stdout.write(f"{chosen_model()} answers where no model is named (remembered in {path})\n")
