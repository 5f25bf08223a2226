"""The sub-verb `merr status`: where a build stands, also while it runs."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

from emotion_llama.cli.common import is_coloured, write_json
from emotion_llama.cli.options import Verbs, add_verb

EXAMPLES = """examples:
  emotion-llama merr status merr/
  emotion-llama merr status merr/ --json | jq '.phases[] | {name, waiting}'
  watch emotion-llama merr status merr/"""


def add_parser(verbs: Verbs) -> None:
    """Add the sub-verb and its options."""
    parser = add_verb(
        verbs,
        "status",
        run,
        summary="what of a build is done, dropped, failed, running, waiting",
        description="Where a build stands: every clip counted in every phase, with reasons.\n"
        "Right while a build runs, and never in its way.",
        epilog=EXAMPLES,
    )
    parser.add_argument("folder", metavar="DIR", type=Path, help="folder of the build")
    parser.add_argument("--json", action="store_true", help="as JSON on stdout")


def run(args: argparse.Namespace) -> int:
    """Print the status; 0 whatever it says."""
    from emotion_llama.cli.merr.tables import status_text
    from emotion_llama.merr.status import build_status
    from emotion_llama.merr.store import Store

    with Store.open(args.folder, read_only=True) as store:
        status = build_status(store)
    if args.json:
        write_json(json.dumps({**asdict(status), "is_complete": status.is_complete}, ensure_ascii=False, indent=1))
    else:
        sys.stdout.write(status_text(status, colour=is_coloured(sys.stdout), encoding=sys.stdout.encoding))
    return 0
