"""The generated documents: every verb's help, the JSON schema, tables. Run through scripts/generate-docs."""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from emotion_llama.errors import InputError


def generated_documents(root: Path) -> dict[str, str]:
    """Path below the project's `root` -> text, for every document that is generated whole or holds generated blocks."""
    from emotion_llama.schema import SCHEMA_VERSION, analysis_schema
    from reference_options import OPTION_BLOCKS
    from reference_tables import BLOCKS

    schema = json.dumps(analysis_schema(), indent=2, ensure_ascii=False) + "\n"
    filled = {**BLOCKS, **OPTION_BLOCKS}
    pages = {name: fill_blocks((root / name).read_text(encoding="utf-8"), blocks) for name, blocks in filled.items()}
    return {"docs/cli.md": _help_page(), f"docs/schema/analysis-{SCHEMA_VERSION}.schema.json": schema, **pages}


def fill_blocks(page: str, blocks: Mapping[str, Callable[[], str]]) -> str:
    """`page` with what stands between `<!-- generated: NAME -->` and `<!-- end -->` made anew.

    Raises:
        InputError: the page's marked blocks are not exactly those of `blocks`.
    """
    block = re.compile(r"<!-- generated: (.*?) -->\n.*?<!-- end -->", re.DOTALL)
    found = block.findall(page)
    if sorted(found) != sorted(blocks):
        raise InputError(f"expected one block each of {', '.join(blocks)}; the page has {', '.join(found) or 'none'}")
    return block.sub(lambda m: f"<!-- generated: {m[1]} -->\n{blocks[m[1]]()}\n<!-- end -->", page)


def _help_page() -> str:
    from emotion_llama.cli.main import build_parser
    from merr_synth.cli import build_parser as build_synth_parser

    os.environ["COLUMNS"] = "80"  # argparse wraps at the terminal's width: make the page independent of it
    commands = [*_help_of("emotion-llama", build_parser()), *_help_of("merr-synth", build_synth_parser())]
    return "\n".join(["# Command line\n\nGenerated from the code by `scripts/generate-docs`.\n", *commands])


def _help_of(command: str, parser: argparse.ArgumentParser) -> list[str]:
    """A command's help, and that of the verbs below it."""
    below = [a for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
    choices = below[0].choices.items() if below else ()
    block = f"## {command}\n\n```\n{parser.format_help().rstrip()}\n```\n"
    return [block, *(part for name, one in choices for part in _help_of(f"{command} {name}", one))]


def main(root: Path) -> None:
    """Write every generated document below `root`."""
    for name, text in generated_documents(root).items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
