"""The verb `merr` and its sub-verbs: build a data set, look at it, exchange it."""

from __future__ import annotations

from emotion_llama.cli.merr import build, exchange, look, status
from emotion_llama.cli.options import Verbs, add_verbs


def add_parser(verbs: Verbs) -> None:
    """Add the verb and its sub-verbs, in the order in which they are used."""
    add_verbs(
        verbs, "merr", (build, status, look, exchange),
        "a data set of emotions, with descriptions, from your own clips",
        "Build a MERR data set: clips in; labels, descriptions and where each\nof them comes from out.",
        "examples:\n  emotion-llama merr build videos/ --out merr/\n  emotion-llama merr status merr/\n\n"
        "'emotion-llama merr VERB --help' explains one.",
    )  # fmt: skip
