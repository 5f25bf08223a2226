"""The verb `merr show`: everything that a build knows of one clip."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from emotion_llama.cli.common import begin_file, is_coloured, shown, write_json
from emotion_llama.cli.options import Verbs, add_verb
from emotion_llama.errors import InputError


def add_parser(verbs: Verbs) -> None:
    """Add the verb and its options."""
    parser = add_verb(
        verbs,
        "show",
        run,
        summary="everything that a build knows of one clip, and who said it",
        description="Show one clip of a build: its file, every field with who made it, why others are\n"
        "missing, and why it left the data set, if it did. Without CLIP: a line for\n"
        "each clip, with where it stands.",
        epilog="examples:\n  emotion-llama merr show merr/ | grep failed\n"
        "  emotion-llama merr show merr/ anna_happy_01\n"
        "  emotion-llama merr show merr/ anna_happy_01 --json\n"
        "  emotion-llama merr show merr/ anna_happy_01 --html anna.html",
    )
    parser.add_argument("folder", type=Path, metavar="BUILD", help="folder of a build")
    parser.add_argument(
        "clip", metavar="CLIP", nargs="?", help="its id, or a beginning that no other has, or its media file"
    )
    parser.add_argument("--html", type=Path, metavar="FILE", help="write a page with the peak frame")
    parser.add_argument("--json", action="store_true", help="print everything as JSON")


def run(args: argparse.Namespace) -> int:
    """Look it up, then write."""
    import json
    import shutil

    if args.clip is None:
        return _list(args)
    from emotion_llama.merr.overview import find_clip, sample_document
    from emotion_llama.merr.store import Store

    with Store.open(args.folder, read_only=True) as store:
        sample = store.sample(find_clip(store, args.clip))
        if args.html is not None:
            begin_file("--html", args.html)
        picture = None if args.html is None else store.artifact(sample.clip.clip_id, "peak_frame")
    if args.html is not None:
        from emotion_llama.report.dataset_page import render_sample_page

        args.html.write_text(render_sample_page(sample, picture), encoding="utf-8")
    if args.json:
        write_json(json.dumps(sample_document(sample), indent=2, ensure_ascii=False, allow_nan=False))
    elif args.html is None:
        from emotion_llama.report.sample_text import render_sample_text

        width = shutil.get_terminal_size((80, 24)).columns
        sys.stdout.write(render_sample_text(
            sample, width=max(40, width), colour=is_coloured(sys.stdout), encoding=sys.stdout.encoding
        ))  # fmt: skip
    else:
        sys.stdout.write(f"wrote {shown(args.html)}\n")
    return 0


def _list(args: argparse.Namespace) -> int:
    from emotion_llama.merr.store import Store
    from emotion_llama.report.sample_text import list_line

    if args.html is not None or args.json:
        raise InputError("--html and --json are of one clip; give its id, or use merr stats")
    with Store.open(args.folder, read_only=True) as store:
        for sample in store.samples("all"):
            sys.stdout.write(list_line(sample) + "\n")
    return 0
