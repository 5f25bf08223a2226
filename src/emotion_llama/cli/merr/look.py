"""The sub-verbs `merr stats` and `merr show`: a build in figures, and everything that it knows of one clip."""

from __future__ import annotations

import argparse
import sys

from emotion_llama.cli.common import begin_file, shown, style_of, terminal_width, write_json
from emotion_llama.cli.options import Verbs, add_shared, add_verb
from emotion_llama.errors import InputError


def add_parser(verbs: Verbs) -> None:
    """Add the sub-verbs and their options."""
    stats = add_verb(
        verbs, "stats", run_stats, "what a build holds, how good it is, and how it stands beside published data sets",
        "Count a build: clips by phase with the reasons why some left, labels, units, tone\n"
        "words, descriptions, splits, agreement of face, voice and words, quality without\n"
        "references, and the comparison with published data sets.",
        "examples:\n  emotion-llama merr stats merr/\n  emotion-llama merr stats merr/ --html merr.html\n"
        "  emotion-llama merr stats merr/ --json > merr-stats.json\n\n"
        "The page contains images of faces: share with care.",
    )  # fmt: skip
    add_shared(stats, "build")
    add_shared(stats, "html", help="write a page with charts and examples")
    add_shared(stats, "json")
    show = add_verb(
        verbs, "show", run_show, "everything that a build knows of one clip, and where it comes from",
        "Show one clip of a build: its file, every field with who made it, why others are\n"
        "missing, and why it left the data set, if it did. Without CLIP: a line for\n"
        "each clip, with where it stands.",
        "examples:\n  emotion-llama merr show merr/ | grep failed\n"
        "  emotion-llama merr show merr/ anna_happy_01\n"
        "  emotion-llama merr show merr/ anna_happy_01 --json\n"
        "  emotion-llama merr show merr/ anna_happy_01 --html anna.html",
    )  # fmt: skip
    add_shared(show, "build")
    show.add_argument("clip", metavar="CLIP", nargs="?", help="its id, a beginning that only it has, or its media file")
    add_shared(show, "html", help="write a page with the peak frame")
    add_shared(show, "json")


def run_stats(args: argparse.Namespace) -> int:
    """Count a build, then write."""
    from emotion_llama.merr.overview import look_over, overview_document
    from emotion_llama.merr.store import Store

    with Store.open(args.folder, read_only=True) as store:
        begin_file("--html", args.html)
        overview = look_over(store, with_examples=args.html is not None)
    if args.html is not None:
        from emotion_llama.report.dataset_page import render_dataset_page

        args.html.write_text(render_dataset_page(overview), encoding="utf-8")
    if args.json:
        write_json(overview_document(overview))
    elif args.html is None:
        from emotion_llama.report.dataset_text import render_dataset_text

        sys.stdout.write(render_dataset_text(overview, width=terminal_width(), **style_of(sys.stdout)))
    else:
        sys.stdout.write(f"wrote {shown(args.html)}\n")
    return 0


def run_show(args: argparse.Namespace) -> int:
    """Look a clip up, then write; without one, list all."""
    if args.clip is None:
        return _list(args)
    from emotion_llama.merr.overview import find_clip, sample_document
    from emotion_llama.merr.store import Store

    with Store.open(args.folder, read_only=True) as store:
        sample = store.sample(find_clip(store, args.clip))
        begin_file("--html", args.html)
        picture = None if args.html is None else store.artifact(sample.clip.clip_id, "peak_frame")
    if args.html is not None:
        from emotion_llama.report.dataset_page import render_sample_page

        args.html.write_text(render_sample_page(sample, picture), encoding="utf-8")
    if args.json:
        write_json(sample_document(sample))
    elif args.html is None:
        from emotion_llama.report.dataset_text import render_sample_text

        sys.stdout.write(render_sample_text(sample, width=terminal_width(), **style_of(sys.stdout)))
    else:
        sys.stdout.write(f"wrote {shown(args.html)}\n")
    return 0


def _list(args: argparse.Namespace) -> int:
    from emotion_llama.merr.store import Store
    from emotion_llama.report.dataset_text import list_line

    if args.html is not None or args.json:
        raise InputError("--html and --json are of one clip; give its id, or use merr stats")
    with Store.open(args.folder, read_only=True) as store:
        for sample in store.samples("all"):
            sys.stdout.write(list_line(sample) + "\n")
    return 0
