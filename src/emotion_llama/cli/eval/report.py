"""The sub-verb `eval report`: runs beside published rows, on the terminal or as Markdown, LaTeX or a page."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from emotion_llama.cli.common import begin_file, shown
from emotion_llama.cli.options import Verbs, add_verb


def add_parser(verbs: Verbs) -> None:
    """Add the sub-verb and its options."""
    parser = add_verb(
        verbs,
        "report",
        run,
        summary="runs beside published rows, with intervals and paired tests",
        description="Lay runs beside each other and beside published rows: figures with intervals,\n"
        "failures counted, paired tests, and what differs in protocol.",
        epilog="examples:\n  emotion-llama eval report runs/a runs/b\n"
        "  emotion-llama eval report runs/* --html report.html --markdown report.md\n"
        "  emotion-llama eval report runs/a --latex table.tex\n\n"
        "DIR is the folder of a run, or holds such folders. Without a file's name the report\n"
        "is printed.",
    )
    add = parser.add_argument
    add("folders", nargs="+", type=Path, metavar="DIR", help="folders of runs")
    add("--html", type=Path, metavar="FILE", help="write a page")
    add("--markdown", type=Path, metavar="FILE", help="write Markdown")
    add("--latex", type=Path, metavar="FILE", help="write LaTeX tables")
    add("--resamples", metavar="N", type=int, default=2000, help="of the paired tests' intervals (default: 2000)")


def run(args: argparse.Namespace) -> int:
    """Report; 0 whatever the figures are."""
    from emotion_llama.evaluation.report import report_of
    from emotion_llama.evaluation.run_folder import find_runs
    from emotion_llama.report.evaluation_page import render_evaluation_page
    from emotion_llama.report.evaluation_text import render_latex, render_markdown, render_report_text

    runs = find_runs(args.folders)
    files = {"--html": args.html, "--markdown": args.markdown, "--latex": args.latex}
    for option, path in files.items():
        if path is not None:
            begin_file(option, path)
    report = report_of(runs, num_resamples=args.resamples)
    renderers = {"--html": render_evaluation_page, "--markdown": render_markdown, "--latex": render_latex}
    for option, path in files.items():
        if path is not None:
            path.write_text(renderers[option](report), encoding="utf-8")
            sys.stdout.write(f"{shown(path)}\n")
    if all(path is None for path in files.values()):
        sys.stdout.write(render_report_text(report, colour=sys.stdout.isatty(), encoding=sys.stdout.encoding))
    return 0
