"""How a verb is added, and the options and kinds of values that several verbs share."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeAlias

from emotion_llama.errors import InputError
from emotion_llama.labels import LABEL_SPACES
from emotion_llama.prompts.layouts import LAYOUTS

Verbs: TypeAlias = "argparse._SubParsersAction[AnyOrder]"
Run: TypeAlias = Callable[[argparse.Namespace], int]

# Name -> how an option is written, and its arguments for argparse; a verb may change these (`add_shared`).
SHARED: Mapping[str, tuple[tuple[str, ...], Mapping[str, Any]]] = {
    "clips": (
        ("inputs",),
        {"nargs": "+", "metavar": "CLIP", "help": "video or audio files, folders, or - for a list of paths on stdin"},
    ),
    "build": (("folder",), {"type": Path, "metavar": "BUILD", "help": "folder of a build"}),
    "converted": (
        ("--model",), {"required": True, "type": Path, "metavar": "MODELDIR", "help": "a converted model"},
    ),
    "faces": (("--faces",), {"default": "onnx_mesh", "metavar": "BACKEND", "help": "face mesh backend"}),
    "face_option": (
        ("--face-option",),
        {"action": "append", "default": [], "metavar": "KEY=VALUE",
         "help": "of the face backend: provider=cuda, min_score=0.7, detect_every=4, max_faces=2; repeatable"},
    ),
    "device": (
        ("--device",),
        {"metavar": "DEVICE", "help": "where models run: cpu, cuda, cuda:1 (default: a GPU if there is one)"},
    ),
    "option": (
        ("--option",),
        {"metavar": "KEY=VALUE", "action": "append", "default": [],
         "help": "an option of the model: of openai: and transformers: such as modalities=[text], frames=4, "
                 "api_key_env=NAME, probabilities=stated; repeatable"},
    ),
    "labels": (("--labels",), {"choices": tuple(LABEL_SPACES)}),
    "layout": (("--layout",), {"choices": tuple(LAYOUTS)}),
    "language": (("--language",), {"choices": ("en", "zh")}),
    "out": (("--out",), {"required": True, "type": Path, "metavar": "DIR"}),
    "html": (("--html",), {"type": Path, "metavar": "FILE", "help": "write a page"}),
    "json": (("--json",), {"action": "store_true", "help": "print the result as JSON"}),
    "resume": (("--resume",), {"action": "store_true"}),
    "resamples": (
        ("--resamples",), {"metavar": "N", "type": int, "default": 2000, "help": "of the bootstrap; 0 for none"},
    ),
    "quiet": (("--quiet", "-q"), {"action": "store_true", "help": "no progress and no lines about finished clips"}),
}  # fmt: skip


class VerbModule(Protocol):
    """A module of the command line."""

    def add_parser(self, verbs: Verbs) -> None:
        """Add its verb, or verbs."""


class HelpFormatter(argparse.ArgumentDefaultsHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """Leaves descriptions as they are written; names the default of each option that has one to name."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        nothing = action.default is None or isinstance(action.default, (bool, list))
        return action.help if nothing else super()._get_help_string(action)


class AnyOrder(argparse.ArgumentParser):
    """Takes positional arguments between the options and behind them too.

    What argparse leaves over belongs to the positional argument that takes several, if there is one: argparse itself
    fills such an argument at the first place only, and its "intermixed" parsing does not know sub-verbs.
    """

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:  # as argparse declares them
        """See `argparse`. A file whose name begins with - is no option, as where a shell wrote out `*`."""
        if args is not None:
            args = [f"./{text}" if self._is_file(text) else text for text in args]
        known, extras = super().parse_known_args(args, namespace)
        several = [a.dest for a in self._actions if not a.option_strings and a.nargs in ("+", "*")]
        if not several:
            return known, extras
        positional = [text for text in extras if text == "-" or not text.startswith("-")]
        getattr(known, several[-1]).extend(positional)
        return known, [text for text in extras if text not in positional]

    def _is_file(self, text: str) -> bool:
        return len(text) > 1 and text[0] == "-" and text not in self._option_string_actions and Path(text).exists()


def add_verb(verbs: Verbs, name: str, run: Run, summary: str, description: str, epilog: str) -> argparse.ArgumentParser:
    """Add a verb that calls `run`: `summary` is its line in the list of verbs, `epilog` has its examples."""
    parser = verbs.add_parser(name, help=summary, description=description, epilog=epilog, formatter_class=HelpFormatter)
    parser.set_defaults(run=run)
    return parser


def add_verbs(
    verbs: Verbs, name: str, modules: Iterable[VerbModule], summary: str, description: str, epilog: str
) -> Verbs:
    """Add a verb that has verbs of its own, those of `modules`."""
    parser = verbs.add_parser(name, help=summary, description=description, epilog=epilog, formatter_class=HelpFormatter)
    below = parser.add_subparsers(title="verbs", metavar="VERB", required=True, parser_class=AnyOrder)
    for module in modules:
        module.add_parser(below)
    return below


def add_shared(parser: argparse.ArgumentParser, *names: str, **changes: object) -> None:
    """Add options of `SHARED`, with what is different for this verb, such as `help`."""
    for name in names:
        flags, about = SHARED[name]
        parser.add_argument(*flags, **{**about, **changes})


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


def names_in(text: str) -> list[str]:
    """A kind of value: names separated by commas."""
    return [name.strip() for name in text.split(",") if name.strip()]


def key_values(option: str, given: Sequence[str]) -> dict[str, Any]:
    """KEY=VALUE pairs as a dict; values are read as YAML: numbers, true, [text, image], null, else text.

    Raises:
        InputError: one is no such pair, a key is there twice, or a value is no YAML.
    """
    found: dict[str, Any] = {}
    if not given:
        return found
    import yaml

    for text in given:
        key, separator, value = text.partition("=")
        if not separator or not key or key in found:
            what = "is there twice" if key in found else "is no KEY=VALUE"
            raise InputError(f"{option} {text!r} {what}; give such as {option} dtype=float32")
        try:
            found[key] = yaml.safe_load(value) if value else ""
        except yaml.YAMLError as error:
            raise InputError(f"{option} {key}: {value!r} cannot be read ({str(error).splitlines()[0]})") from error
    return found
