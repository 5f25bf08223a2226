"""The sub-verb `merr validate`: is a build, or an export, what it should be?"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from emotion_llama.cli.common import write_json
from emotion_llama.cli.merr.wrapped import write_wrapped
from emotion_llama.cli.options import Verbs, add_verb

EXAMPLES = """examples:
  emotion-llama merr validate merr/
  emotion-llama merr validate merr/ --deep
  emotion-llama merr validate MERR/ --videos MER2023/test3/
  emotion-llama merr validate merr/ --json

Of a build: media and artifacts there and unchanged, fields complete as the
recipe wants them, labels in their space, no empty texts and no error messages
among them, the label last in fine descriptions, peaks within their clips,
splits that divide no person and no source, duplicates, stated frame counts, and
its exports. Of a folder of exported or published files: what the programs that
read them need. Exit code 1 when there is any problem."""


def add_parser(verbs: Verbs) -> None:
    """Add the sub-verb and its options."""
    parser = add_verb(
        verbs,
        "validate",
        run,
        summary="check a build, or exported files",
        description="Check a whole build and its exports, or a folder of exported or published\n"
        "files. Nothing is changed.",
        epilog=EXAMPLES,
    )
    add = parser.add_argument
    add("folder", type=Path, metavar="DIR", help="folder of a build or of an export")
    add("--deep", action="store_true", help="also hash every media file again")
    add("--videos", type=Path, metavar="DIR", help="of exported files: the clips' media, whose frames are counted")
    add("--json", action="store_true", help="print the result as JSON")


def run(args: argparse.Namespace) -> int:
    """Validate; 0 when nothing was found, else 1."""
    from emotion_llama.merr.io.validate import validate

    found = validate(args.folder, deep=args.deep, videos=args.videos)
    if args.json:
        write_json(json.dumps(found.document(), ensure_ascii=False, indent=2))
    else:
        write_wrapped(found.text())
    return 0 if found.is_valid else 1
