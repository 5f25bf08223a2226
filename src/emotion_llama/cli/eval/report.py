"""The sub-verb `eval report`: runs beside published rows, on the terminal or as Markdown, LaTeX or a page."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from emotion_llama.cli.common import begin_file, shown, style_of
from emotion_llama.cli.options import Verbs, add_shared, add_verb


def add_parser(verbs: Verbs) -> None:
    """Add the sub-verb and its options."""
    parser = add_verb(
        verbs, "report", run, "runs beside published rows, with intervals and paired tests",
        "Lay runs beside each other and beside published rows: figures with intervals,\n"
        "failures counted, paired tests, and what differs in protocol.",
        "examples:\n  emotion-llama eval report runs/a runs/b\n"
        "  emotion-llama eval report runs/* --html report.html --markdown report.md\n"
        "  emotion-llama eval report runs/a --latex table.tex\n\n"
        "DIR is the folder of a run, or holds such folders. Without a file's name the report\n"
        "is printed.",
    )  # fmt: skip
    parser.add_argument("folders", nargs="+", type=Path, metavar="DIR", help="folders of runs")
    add_shared(parser, "html")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write Markdown")
    parser.add_argument("--latex", type=Path, metavar="FILE", help="write LaTeX tables")
    add_shared(parser, "resamples")


def run(args: argparse.Namespace) -> int:
    """Report; 0 whatever the figures are."""
    from emotion_llama.evaluation.report import report_of
    from emotion_llama.evaluation.run_folder import find_runs
    from emotion_llama.report.evaluation import (
        render_evaluation_page,
        render_latex,
        render_markdown,
        render_report_text,
    )

    runs = find_runs(args.folders)
    renderers = {"html": render_evaluation_page, "markdown": render_markdown, "latex": render_latex}
    files = {kind: path for kind in renderers if (path := getattr(args, kind)) is not None}
    for kind, path in files.items():
        begin_file(f"--{kind}", path)
    report = report_of(runs, num_resamples=args.resamples)
    for kind, path in files.items():
        path.write_text(renderers[kind](report), encoding="utf-8")
        sys.stdout.write(f"{shown(path)}\n")
    if not files:
        sys.stdout.write(render_report_text(report, **style_of(sys.stdout)))
    return 0
