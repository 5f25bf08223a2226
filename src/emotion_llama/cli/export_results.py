"""The verbs `export-results` and `agree`: results to the files of people's tools, and beside what coders made there."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from emotion_llama.cli.common import begin_file, complain, input_paths, shown, style_of
from emotion_llama.cli.options import Verbs, add_shared, add_verb, names_in, positive_number
from emotion_llama.errors import InputError
from emotion_llama.exports import FORMATS, export, formats_of, names_of, read_result
from emotion_llama.files import RESULT_SUFFIX

AGREE_EXAMPLES = """examples:
  emotion-llama agree coders/anna coders/ben results/
  emotion-llama agree codings.csv results/ --csv agreement.csv --html agreement.html

Files: ELAN (.eaf), Praat (.TextGrid), BORIS (.csv, .tsv), tables with onset,
offset, label[, coder, clip, person, intensity], results of analyze (.json)."""


def add_parser(verbs: Verbs) -> None:
    """Add both verbs and their options."""
    _add_agree(verbs)
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


def _add_agree(verbs: Verbs) -> None:
    parser = add_verb(
        verbs, "agree", run_agree, "agreement of results with human coders",
        "Compare what human coders marked with each other and with results of analyze.", AGREE_EXAMPLES,
    )  # fmt: skip
    add = parser.add_argument
    add("codings", nargs="+", metavar="HUMAN", help="files or folders of human coders; the last one is ours")
    add("--step", type=positive_number("seconds"), default=0.1, metavar="SECONDS", help="between samples of time")
    add("--tier", metavar="PATTERN", help="tiers that hold labels, such as mood or 'mood*' (default: label, emotion)")
    add("--gaps", metavar="LABEL", help="the label of time without one (default: such time is left out)")
    add("--order", type=names_in, default=[], metavar="A,B,C", help="labels from low to high, for weighted kappa")
    add("--map", action="append", default=[], metavar="WORD=LABEL", help="what a coder's label means; repeatable")
    add_shared(parser, "resamples")
    add("--csv", type=Path, metavar="FILE", help="write every figure as a table")
    add_shared(parser, "html")


def run_agree(args: argparse.Namespace) -> int:
    """Compare and print; 0 when something could be compared."""
    from emotion_llama.evaluation.agreement import agree
    from emotion_llama.exports.coders import read_codings
    from emotion_llama.exports.tiers import csv_text
    from emotion_llama.report.evaluation import render_agreement_page, render_agreement_text

    *humans, ours = map(Path, input_paths(args.codings))
    if not humans:
        raise InputError("agree needs files of human coders and, as the last one, ours; got one")
    renamed = dict(pair.split("=", 1) for pair in args.map if "=" in pair)
    if len(renamed) != len(args.map):
        raise InputError(f"--map takes WORD=LABEL, each word once, such as --map joy=happy; got {' '.join(args.map)}")
    begin_file("--csv", args.csv)
    begin_file("--html", args.html)
    machine = read_codings([ours], tier=args.tier)
    clips = sorted({one.clip for one in machine})
    found = agree(
        [*read_codings(humans, clips=clips, tier=args.tier), *machine], step_seconds=args.step, gaps=args.gaps,
        order=args.order, renamed=renamed, num_resamples=max(0, args.resamples),
    )  # fmt: skip
    if args.csv is not None:
        rows = [(f.section, f.of, f.name, f.between, f.value, f.low, f.high) for f in found.figures]
        rows += [
            ("confusion", f"{true} > {said}", "samples", "human-machine", float(count), None, None)
            for true, counts in zip(found.labels, found.confusion, strict=True)
            for said, count in zip(found.labels, counts, strict=True)
        ]
        header = ("section", "of", "figure", "between", "value", "low", "high")
        args.csv.write_text(csv_text(header, rows), encoding="utf-8")
    if args.html is not None:
        args.html.write_text(render_agreement_page(found), encoding="utf-8")
    sys.stdout.write(render_agreement_text(found, **style_of(sys.stdout)))
    return 0
