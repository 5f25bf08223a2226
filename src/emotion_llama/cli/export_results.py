"""The verb `export-results`: stored results in the files that people's tools open."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from emotion_llama.cli.common import complain, input_paths, shown
from emotion_llama.cli.options import Verbs, add_shared, add_verb
from emotion_llama.errors import InputError
from emotion_llama.exports import FORMATS, export, formats_of, names_of, read_result
from emotion_llama.files import RESULT_SUFFIX


def add_parser(verbs: Verbs) -> None:
    """Add the verb and its options."""
    listed = "\n".join(f"  {name:9} {one.opens_in}" for name, one in FORMATS.items())
    parser = add_verb(
        verbs, "export-results", run, "write stored results as CSV, for ELAN, Praat, BORIS, or as subtitles",
        f"Write results that analyze stored (--out, --json) in other formats:\n\n{listed}",
        "examples:\n  emotion-llama analyze clips/ --out results/\n"
        "  emotion-llama export-results results/ --format summary,eaf --out tables/",
    )  # fmt: skip
    add = parser.add_argument
    add("results", nargs="+", metavar="RESULT", help="result files, or folders of them")
    add("--format", required=True, dest="formats", metavar="FORMAT[,FORMAT]", help=", ".join(FORMATS))
    add_shared(parser, "out", required=True, help="folder of the files")
    add("--overwrite", action="store_true", help="write over files that are there")


def run(args: argparse.Namespace) -> int:
    """Export everything that can be read; 1 where a result cannot."""
    formats, folder = formats_of(args.formats), Path(args.out)
    paths: list[Path] = []
    for given in map(Path, input_paths(args.results)):
        found = sorted(given.rglob(f"*{RESULT_SUFFIX}")) if given.is_dir() else [given]
        if not found:
            raise InputError(f"{given} holds no results (files that end in {RESULT_SUFFIX}); make them: analyze --out")
        paths += found
    results, failed = [], 0
    for path, name in zip(paths, names_of(paths), strict=True):
        try:
            results.append((name, read_result(path)))
        except InputError as error:  # noqa: PERF203  the others are exported all the same
            complain(str(error))
            failed += 1
    for path in export(results, formats, folder, overwrite=args.overwrite) if results else ():
        sys.stdout.write(f"wrote {shown(path)}\n")
    sys.stderr.write(f"{len(results)} results exported, {failed} failed\n")
    return 1 if failed else 0
