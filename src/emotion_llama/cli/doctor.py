"""The verb `doctor`: what this installation can do, or what a weight file is and can do."""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from emotion_llama.cli.common import complain, write_json
from emotion_llama.cli.options import Verbs, add_shared, add_verb

if TYPE_CHECKING:
    from emotion_llama.models.checkpoints.inspect import FileReport


def add_parser(verbs: Verbs) -> None:
    """Add the verb and its options."""
    parser = add_verb(
        verbs, "doctor", run, "what is installed, and the command that adds what is not; what a weight file is",
        "List what is installed, and for the rest the command that installs it.\n"
        "With paths: identify each weight file or folder by its tensors; list what it can be\n"
        "used for, and what is missing.",
        "examples:\n  emotion-llama doctor\n  emotion-llama doctor --json\n"
        "  emotion-llama doctor checkpoint_best.pth\n  emotion-llama doctor downloads/\n\n"
        "Exit code 1 when a required package is missing, or a file is incomplete.",
    )  # fmt: skip
    parser.add_argument("paths", nargs="*", type=Path, metavar="PATH", help="weight file, model folder, or downloads")
    add_shared(parser, "json")
    parser.add_argument("--hashes", action="store_true", help="compare a converted folder's files with their SHA-256")


def run(args: argparse.Namespace) -> int:
    """Print the findings; 1 when a needed part is missing or a file is not whole."""
    return _run_paths(args) if args.paths else _run_installation(args)


def _run_installation(args: argparse.Namespace) -> int:
    from emotion_llama.doctor import examine, findings_text

    findings = examine()
    if args.json:
        write_json([asdict(finding) for finding in findings])
    else:
        sys.stdout.write(findings_text(findings) + "\n")
    return 1 if any(f.status == "broken" for f in findings) else 0


def _run_paths(args: argparse.Namespace) -> int:
    from emotion_llama.models.checkpoints.inspect import report_text

    looked_at = [_report(path, check_hashes=args.hashes) for path in args.paths]
    reports = [report for report in looked_at if report is not None]
    if args.json:
        write_json([asdict(report) for report in reports])
    elif reports:
        sys.stdout.write("\n\n".join(report_text(report) for report in reports) + "\n")
    return 1 if any(r is None or r.problems or r.kind == "unknown" for r in looked_at) else 0


def _report(path: Path, *, check_hashes: bool) -> FileReport | None:
    """What is at a path; None, and a complaint, when it is unreadable: the other paths are looked at all the same."""
    from emotion_llama.errors import InputError
    from emotion_llama.models.checkpoints.inspect import inspect

    try:
        return inspect(path, check_hashes=check_hashes)
    except InputError as error:
        complain(str(error))
        return None
