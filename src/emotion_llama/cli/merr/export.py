"""The sub-verb `merr export`: a build out, in a format that others read."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path

from emotion_llama.cli.common import write_json
from emotion_llama.cli.merr.wrapped import write_wrapped
from emotion_llama.cli.options import Verbs, add_quiet, add_verb

EXAMPLES = """examples:
  emotion-llama merr export merr/ --format merr
  emotion-llama merr export merr/ --format parquet --media peak --license mit
  emotion-llama merr export merr/ --format sharegpt --scope fine --to factory/
  emotion-llama merr export merr/ --format csv --language zh
  emotion-llama merr export merr/ --format csv --reviews ignore --to as-built/

formats:
  merr      MERR_coarse_grained.json/.txt, MERR_fine_grained.json/.txt and
            transcription_en_all.csv, as the published training code reads them
  parquet   data/SPLIT-*.parquet and a data-set card, as Hugging Face loads them
  sharegpt  conversations and dataset_info.json, as LLaMA-Factory reads them
  csv       samples.csv, everything in it; `merr import` brings it back

An export is complete once its export.json is there. The same build gives the
same bytes. docs/merr-files.md shows each file."""


def add_parser(verbs: Verbs) -> None:
    """Add the sub-verb and its options."""
    parser = add_verb(
        verbs,
        "export",
        run,
        summary="write the data set in a format that others read",
        description="Write a build's samples in one of four formats.",
        epilog=EXAMPLES,
    )
    add = parser.add_argument
    add("folder", type=Path, metavar="BUILD", help="folder of a build")
    add("--format", choices=("merr", "parquet", "sharegpt", "csv"), default="merr", help="default: %(default)s")
    add("--to", type=Path, metavar="DIR", help="where to (default: BUILD/export/FORMAT)")
    add("--scope", choices=("coarse", "fine", "both"), default="both", help="which samples (default: %(default)s)")
    add("--language", choices=("en", "zh"), help="of the descriptions (default: en where it is; tables hold all)")
    add(
        "--split",
        action="append",
        choices=("train", "validation", "test"),
        default=[],
        help="only this split; may be given again (default: all)",
    )
    add(
        "--media",
        choices=("none", "peak", "all"),
        default="none",
        help="parquet: also pictures of the peak, or pictures and sound; sharegpt: also the peak as an image",
    )
    add(
        "--reviews",
        choices=("honour", "ignore"),
        default="honour",
        help="what reviewers decided: leave out what they rejected and use what they fixed, or take the build as it "
        "is (default: %(default)s)",
    )
    add("--license", metavar="NAME", dest="licence", help="for the data-set card (parquet)")
    add("--name", default="merr", help="of the data set, in card and dataset_info.json (default: %(default)s)")
    add("--jsonl", action="store_true", help="sharegpt: one object a line")
    add("--force", action="store_true", help="replace what is there, whoever wrote it")
    add("--json", action="store_true", help="print the tally as JSON")
    add_quiet(parser, "print nothing")


def run(args: argparse.Namespace) -> int:
    """Export, then say what was written."""
    from emotion_llama.merr.io.export import export_build
    from emotion_llama.merr.io.rows import Choice
    from emotion_llama.merr.store import Store

    choice = Choice(
        args.scope, args.language, tuple(args.split), args.media, args.licence, name=args.name, lines=args.jsonl,
        reviews=args.reviews,
    )  # fmt: skip
    with Store.open(args.folder, read_only=True) as store:
        tally = export_build(store, args.to, args.format, choice, force=args.force)
    if args.json:
        write_json(json.dumps({**asdict(tally), "folder": str(tally.folder)}, ensure_ascii=False, indent=2))
    elif not args.quiet:
        write_wrapped(tally.text())
    return 0
