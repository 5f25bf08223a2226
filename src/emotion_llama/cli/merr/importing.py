"""The sub-verb `merr import`: files of other data sets and programs into a build."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from emotion_llama.cli.common import write_json
from emotion_llama.cli.merr.wrapped import write_wrapped
from emotion_llama.cli.options import Verbs, add_quiet, add_verb

EXAMPLES = """examples:
  emotion-llama merr import MERR/ --into merr/
  emotion-llama merr import relative_test3_NCEV.txt --into merr/ --videos test3/
  emotion-llama merr import transcription_en_all.csv --into merr/
  emotion-llama merr import openface/ features/ --into merr/
  emotion-llama merr import samples.csv --into merr/ --replace

Taken: MERR_*.json and .txt; lists of name, frame count, label, valence (of two
columns: name and label); tables with a column `name` and one of sentences,
labels or EMER's reasons; OpenFace tables; feature folders (mae_340_UTT, ...);
our own samples.csv. Of a folder, everything in it that is one of these. What a
build has made stays, unless --replace. Frame counts that a list states are
compared with the videos', so that labels of another release are found; exit
code 1 when they are."""


def add_parser(verbs: Verbs) -> None:
    """Add the sub-verb and its options."""
    parser = add_verb(
        verbs,
        "import",
        run,
        summary="take in published files, OpenFace tables, features, or an edited samples.csv",
        description="Take files of other data sets and programs into a build, new or existing.",
        epilog=EXAMPLES,
    )
    add = parser.add_argument
    add("inputs", nargs="+", type=Path, metavar="FILE", help="files and folders")
    add("--into", type=Path, metavar="BUILD", required=True, help="folder of the build; made where there is none")
    add("--videos", type=Path, metavar="DIR", help="the clips' media, by name: taken in, and their frames counted")
    add("--labels", choices=("merr9", "mer6", "dfew7"), help="labels that may come (default: the build's, or merr9)")
    add("--language", choices=("en", "zh"), default="en", help="of descriptions in MERR files (default: %(default)s)")
    add("--replace", action="store_true", help="also where the build has a value of its own")
    add("--json", action="store_true", help="print the tally as JSON")
    add_quiet(parser, "print nothing")


def run(args: argparse.Namespace) -> int:
    """Import; 0 when the ids fit the media, 1 when they are likely of another release."""
    from emotion_llama.labels import MERR9, label_space
    from emotion_llama.merr.io.imports import import_files
    from emotion_llama.merr.io.sources import find_sources
    from emotion_llama.merr.store import Store

    find_sources(args.inputs)  # a wrong path must not leave an empty build behind
    with Store.create(args.into) as store:
        recipe = store.recipe
        space = label_space(args.labels) if args.labels else recipe.space if recipe else MERR9
        tally = import_files(
            args.inputs, store, space=space, language=args.language, videos=args.videos, replace_made=args.replace,
            progress=_progress if sys.stderr.isatty() and not args.quiet else None,
        )  # fmt: skip
    if args.json:
        write_json(json.dumps(tally.document(), ensure_ascii=False, indent=2))
    elif not args.quiet:
        write_wrapped(tally.text())
    return 1 if tally.frame_counts.verdict == "another release" else 0


def _progress(done: int, total: int) -> None:
    sys.stderr.write(f"\r\x1b[Kvideos {done:,} of {total:,}" if done < total else "\r\x1b[K")
    sys.stderr.flush()
