"""The verb `merr stats`: a build in figures, on the terminal, as a page or as JSON."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from emotion_llama.cli.common import begin_file, is_coloured, shown, write_json
from emotion_llama.cli.options import Verbs, add_verb


def add_parser(verbs: Verbs) -> None:
    """Add the verb and its options."""
    parser = add_verb(
        verbs,
        "stats",
        run,
        summary="what a build holds, how good it is, and how it stands beside published data sets",
        description="Count a build: clips by phase with the reasons why some left, labels, units, tone\n"
        "words, descriptions, splits, agreement of face, voice and words, quality without\n"
        "references, and the comparison with published data sets.",
        epilog="examples:\n  emotion-llama merr stats merr/\n  emotion-llama merr stats merr/ --html merr.html\n"
        "  emotion-llama merr stats merr/ --json > merr-stats.json\n\n"
        "The page holds pictures of people in the clips: mind to whom you give it.",
    )
    parser.add_argument("folder", type=Path, metavar="BUILD", help="folder of a build")
    parser.add_argument("--html", type=Path, metavar="FILE", help="write a page with charts and examples")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")


def run(args: argparse.Namespace) -> int:
    """Count, then write."""
    import json
    import shutil

    from emotion_llama.merr.overview import look_over, overview_document
    from emotion_llama.merr.store import Store

    with Store.open(args.folder, read_only=True) as store:
        if args.html is not None:
            begin_file("--html", args.html)
        overview = look_over(store, with_examples=args.html is not None)
    if args.html is not None:
        from emotion_llama.report.dataset_page import render_dataset_page

        args.html.write_text(render_dataset_page(overview), encoding="utf-8")
    if args.json:
        write_json(json.dumps(overview_document(overview), indent=2, ensure_ascii=False, allow_nan=False))
    elif args.html is None:
        from emotion_llama.report.dataset_text import render_dataset_text

        width = shutil.get_terminal_size((80, 24)).columns
        text = render_dataset_text(
            overview, width=max(40, width), colour=is_coloured(sys.stdout), encoding=sys.stdout.encoding
        )
        sys.stdout.write(text)
    else:
        sys.stdout.write(f"wrote {shown(args.html)}\n")
    return 0
