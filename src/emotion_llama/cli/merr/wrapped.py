"""Lines for the terminal: control characters escaped, long ones continued further in."""

from __future__ import annotations

import shutil
import sys
import textwrap

from emotion_llama.cli.common import shown

_LEAST = 40


def write_wrapped(text: str) -> None:
    """Write `text` to stdout, its lines no wider than the terminal (80 columns where there is none)."""
    width = max(_LEAST, shutil.get_terminal_size((80, 24)).columns - 1)
    for line in text.splitlines():
        clean = shown(line)
        indent = " " * (len(clean) - len(clean.lstrip()) + 2)
        wrapped = textwrap.wrap(
            clean, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False,
            drop_whitespace=True, replace_whitespace=False,
        )  # fmt: skip
        sys.stdout.write("\n".join(wrapped) + "\n")
