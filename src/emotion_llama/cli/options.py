"""How a verb is added, and the options and kinds of values that several verbs share."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

Verbs: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"
Run: TypeAlias = Callable[[argparse.Namespace], int]


class AnyOrder(argparse.ArgumentParser):
    """Takes positional arguments between the options and behind them too.

    What argparse leaves over belongs to the positional argument that takes several, if there is one: argparse itself
    fills such an argument at the first place only, and its "intermixed" parsing does not know sub-verbs.
    """

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:  # as argparse declares them
        """See `argparse`."""
        known, extras = super().parse_known_args(args, namespace)
        several = [a.dest for a in self._actions if not a.option_strings and a.nargs in ("+", "*")]
        if not several:
            return known, extras
        positional = [text for text in extras if text == "-" or not text.startswith("-")]
        getattr(known, several[-1]).extend(positional)
        return known, [text for text in extras if text not in positional]


def add_verb(
    verbs: Verbs, name: str, run: Run, *, summary: str, description: str, epilog: str | None = None
) -> argparse.ArgumentParser:
    """Add a verb that calls `run`: `summary` is its line in the list of verbs, `epilog` has its examples."""
    parser = verbs.add_parser(
        name, help=summary, description=description, epilog=epilog, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.set_defaults(run=run)
    return parser


def add_clips(parser: argparse.ArgumentParser) -> None:
    """The clips: `inputs`; see `common.input_paths`."""
    text = "video or audio files, folders, or - for a list of paths on stdin"
    parser.add_argument("inputs", nargs="+", metavar="CLIP", help=text)


def add_converted_model(parser: argparse.ArgumentParser, text: str = "a converted model") -> None:
    """`--model`, the folder of `convert`."""
    parser.add_argument("--model", required=True, type=Path, metavar="MODELDIR", help=text)


def add_faces(parser: argparse.ArgumentParser) -> None:
    """`--faces`."""
    text = "face mesh backend (default: %(default)s)"
    parser.add_argument("--faces", default="onnx_mesh", metavar="BACKEND", help=text)


def add_device(parser: argparse.ArgumentParser) -> None:
    """`--device`; None takes a GPU where there is one."""
    text = "where the model runs: cpu, cuda, cuda:1 (default: a GPU if there is one)"
    parser.add_argument("--device", metavar="DEVICE", help=text)


def add_resume(parser: argparse.ArgumentParser, text: str) -> None:
    """`--resume`."""
    parser.add_argument("--resume", action="store_true", help=text)


def add_quiet(parser: argparse.ArgumentParser, text: str = "no progress and no lines about finished clips") -> None:
    """`--quiet`, `-q`."""
    parser.add_argument("--quiet", "-q", action="store_true", help=text)


def whole_number(minimum: int, what: str = "a number") -> Callable[[str], int]:
    """A kind of value: a whole number from `minimum` up."""

    def convert(text: str) -> int:
        if not text.isdecimal() or int(text) < minimum:
            raise argparse.ArgumentTypeError(f"expected {what} from {minimum} up, got {text!r}")
        return int(text)

    return convert


def positive_number(what: str) -> Callable[[str], float]:
    """A kind of value: a finite number above 0."""

    def convert(text: str) -> float:
        try:
            number = float(text)
        except ValueError:
            number = 0.0
        if not 0 < number < float("inf"):
            raise argparse.ArgumentTypeError(f"expected {what} above 0, got {text!r}")
        return number

    return convert
