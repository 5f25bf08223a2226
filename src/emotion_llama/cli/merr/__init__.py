"""The verb `merr` and its sub-verbs: build a data set, look at it, exchange it."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from importlib import import_module

from emotion_llama.cli.options import AnyOrder

# sub-verb -> module whose `add_parser` adds it; in the order in which they are used
SUB_VERBS: Mapping[str, str] = {
    "build": "emotion_llama.cli.merr.build",
    "status": "emotion_llama.cli.merr.status",
    "stats": "emotion_llama.cli.merr.stats",
    "show": "emotion_llama.cli.merr.show",
    "validate": "emotion_llama.cli.merr.validate",
    "export": "emotion_llama.cli.merr.export",
    "import": "emotion_llama.cli.merr.importing",
}
EXAMPLES = """examples:
  emotion-llama merr build videos/ --out merr/
  emotion-llama merr status merr/

'emotion-llama merr VERB --help' explains one."""


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb and its sub-verbs."""
    parser = verbs.add_parser(
        "merr",
        help="a data set of emotions, with descriptions, from your own clips",
        description="Build a MERR data set: clips in; labels, descriptions and where each\nof them comes from out.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    below = parser.add_subparsers(title="verbs", metavar="VERB", required=True, parser_class=AnyOrder)
    for module in SUB_VERBS.values():
        import_module(module).add_parser(below)
