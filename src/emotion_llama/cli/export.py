"""The verb `export`: a model folder in, the published file layout out."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from emotion_llama.cli.options import Verbs, add_shared, add_verb

PARTS = ("weights", "eva", "mae", "videomae", "hubert", "llama")


def add_parser(verbs: Verbs) -> None:
    """Add the verb and its options."""
    parser = add_verb(
        verbs, "export", run, "write a model folder in the published layout",
        "Write a model folder in the layout of the published files, so that the\n"
        "published code loads it: a .pth with the trained part under peft 0.2's names, and\n"
        "on request the encoders and the language model.",
        "examples:\n"
        "  emotion-llama export emotion-llama-7b --out published\n"
        f"  emotion-llama export emotion-llama-7b --out published --parts {' '.join(PARTS)}",
    )  # fmt: skip
    parser.add_argument("model", type=Path, metavar="MODEL", help="folder of `convert` or `save_pretrained`")
    add_shared(parser, "out", help="folder for the files")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=["weights"], metavar="PART",
                        help="weights (default), eva, mae, videomae, hubert, llama")  # fmt: skip


def run(args: argparse.Namespace) -> int:
    """Export, then say what was written."""
    from emotion_llama.models.checkpoints.export import FILE_NAMES, export

    counts = export(args.model, args.out, args.parts, lambda line: sys.stderr.write(line + " ...\n"))
    for part, count in counts.items():
        sys.stdout.write(f"{args.out / FILE_NAMES[part]}: {count} tensors\n")
    return 0
