"""The generated documents: every verb's help, and the JSON schema. Run through scripts/generate-docs."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path


def generated_documents() -> dict[str, str]:
    """Path below the project's root -> text, for every generated document."""
    from emotion_llama.documents import SCHEMA_VERSION, analysis_schema

    schema = json.dumps(analysis_schema(), indent=2, ensure_ascii=False) + "\n"
    return {"docs/cli.md": _help_page(), f"docs/schema/analysis-{SCHEMA_VERSION}.schema.json": schema}


def _help_page() -> str:
    from emotion_llama.cli.main import build_parser

    os.environ["COLUMNS"] = "80"  # argparse wraps at the terminal's width: make the page independent of it
    parser = build_parser()
    verbs = next(a for a in parser._actions if isinstance(a, argparse._SubParsersAction))
    parts = [
        "# Command line\n\nGenerated from the code by `scripts/generate-docs`.\n",
        _block("", parser.format_help()),
    ]
    parts += [_block(name, verb.format_help()) for name, verb in verbs.choices.items()]
    return "\n".join(parts)


def _block(verb: str, text: str) -> str:
    return f"## emotion-llama {verb}".rstrip() + f"\n\n```\n{text.rstrip()}\n```\n"


def main(root: Path) -> None:
    """Write every generated document below `root`."""
    for name, text in generated_documents().items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
