"""The verb `doctor`: what is here, what is optional, and the command that adds it."""

from __future__ import annotations

import argparse
import sys


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb and its options."""
    parser = verbs.add_parser(
        "doctor",
        help="versions, devices, and each backend: ready, or the command that makes it so",
        description="Say what this installation can do, and the command that adds what it cannot.",
        epilog="examples:\n  emotion-llama doctor\n  emotion-llama doctor --json\n\n"
        "Exit code 1 when something the base needs is missing.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the findings; 1 when a needed part is missing."""
    import json

    from emotion_llama.doctor import examine, findings_text

    findings = examine()
    if args.json:
        sys.stdout.write(json.dumps([finding.as_dict() for finding in findings], indent=2) + "\n")
    else:
        sys.stdout.write(findings_text(findings) + "\n")
    return 1 if any(f.status == "broken" for f in findings) else 0
