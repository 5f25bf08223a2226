"""The sub-verbs `merr export`, `merr import` and `merr validate`: a build's files for others, and those of others."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path

from emotion_llama.cli.common import write_json, write_wrapped
from emotion_llama.cli.options import Verbs, add_shared, add_verb
from emotion_llama.cli.progress import StatusLine

EXPORT_EXAMPLES = """examples:
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
IMPORT_EXAMPLES = """examples:
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
VALIDATE_EXAMPLES = """examples:
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
    """Add the sub-verbs and their options."""
    _add_validate(verbs)
    _add_export(verbs)
    _add_import(verbs)


def _add_validate(verbs: Verbs) -> None:
    parser = add_verb(
        verbs, "validate", run_validate, "check a build, or exported files",
        "Check a whole build and its exports, or a folder of exported or published\nfiles. Nothing is changed.",
        VALIDATE_EXAMPLES,
    )  # fmt: skip
    add_shared(parser, "build", metavar="DIR", help="folder of a build or of an export")
    parser.add_argument("--deep", action="store_true", help="also hash every media file again")
    parser.add_argument("--videos", type=Path, metavar="DIR",
                        help="of exported files: the clips' media, whose frames are counted")  # fmt: skip
    add_shared(parser, "json")


def _add_export(verbs: Verbs) -> None:
    parser = add_verb(
        verbs, "export", run_export, "write the data set in a format that others read",
        "Write a build's samples in one of four formats.", EXPORT_EXAMPLES,
    )  # fmt: skip
    add = parser.add_argument
    add_shared(parser, "build")
    add("--format", choices=("merr", "parquet", "sharegpt", "csv"), default="merr", help="see below")
    add("--to", type=Path, metavar="DIR", help="where to (default: BUILD/export/FORMAT)")
    add("--scope", choices=("coarse", "fine", "both"), default="both", help="which samples")
    add_shared(parser, "language", help="of the descriptions (default: en where it is; tables hold all)")
    add("--split", action="append", choices=("train", "validation", "test"), default=[],
        help="only this split; may be given again (default: all)")  # fmt: skip
    add("--media", choices=("none", "peak", "all"), default="none",
        help="parquet: also pictures of the peak, or pictures and sound; sharegpt: also the peak as an "
        "image")  # fmt: skip
    add("--reviews", choices=("honour", "ignore"), default="honour",
        help="what reviewers decided: leave out what they rejected and use what they fixed, or take the build as it "
        "is")  # fmt: skip
    add("--license", metavar="NAME", dest="licence", help="for the data-set card (parquet)")
    add("--name", default="merr", help="of the data set, in card and dataset_info.json")
    add("--jsonl", action="store_true", help="sharegpt: one object a line")
    add("--force", action="store_true", help="replace what is there, whoever wrote it")
    add_shared(parser, "json")
    add_shared(parser, "quiet", help="print nothing")


def _add_import(verbs: Verbs) -> None:
    parser = add_verb(
        verbs, "import", run_import, "take in published files, OpenFace tables, features, or an edited samples.csv",
        "Take files of other data sets and programs into a build, new or existing.", IMPORT_EXAMPLES,
    )  # fmt: skip
    add = parser.add_argument
    add("inputs", nargs="+", type=Path, metavar="FILE", help="files and folders")
    add("--into", type=Path, metavar="BUILD", required=True, help="folder of the build; made where there is none")
    add("--videos", type=Path, metavar="DIR", help="the clips' media, by name: taken in, and their frames counted")
    add_shared(parser, "labels", help="labels that may come (default: the build's, or merr9)")
    add_shared(parser, "language", default="en", help="of descriptions in MERR files")
    add("--replace", action="store_true", help="also where the build has a value of its own")
    add_shared(parser, "json")
    add_shared(parser, "quiet", help="print nothing")


def run_validate(args: argparse.Namespace) -> int:
    """Validate; 0 when nothing was found, else 1."""
    from emotion_llama.merr.io.validate import validate

    found = validate(args.folder, deep=args.deep, videos=args.videos)
    if args.json:
        write_json(found.document())
    else:
        write_wrapped(found.text())
    return 0 if found.is_valid else 1


def run_export(args: argparse.Namespace) -> int:
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
        write_json({**asdict(tally), "folder": str(tally.folder)})
    elif not args.quiet:
        write_wrapped(tally.text())
    return 0


def run_import(args: argparse.Namespace) -> int:
    """Import; 0 when the ids fit the media, 1 when they are likely of another release."""
    from emotion_llama.labels import MERR9, label_space
    from emotion_llama.merr.io.imports import import_files
    from emotion_llama.merr.io.sources import find_sources
    from emotion_llama.merr.store import Store

    find_sources(args.inputs)  # a wrong path must not leave an empty build behind
    with Store.create(args.into) as store, StatusLine(enabled=not args.quiet) as line:
        recipe = store.recipe
        space = label_space(args.labels) if args.labels else recipe.space if recipe else MERR9
        tally = import_files(
            args.inputs, store, space=space, language=args.language, videos=args.videos, replace_made=args.replace,
            progress=lambda done, total: line.draw(f"videos {done:,} of {total:,}"),
        )  # fmt: skip
    if args.json:
        write_json(tally.document())
    elif not args.quiet:
        write_wrapped(tally.text())
    return 1 if tally.frame_counts.verdict == "another release" else 0
