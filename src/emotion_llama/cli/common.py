"""What several verbs share: paths on the command line, messages, JSON, and a progress line."""

from __future__ import annotations

import os
import sys
import unicodedata
from collections.abc import Iterable
from typing import TYPE_CHECKING, TextIO

from emotion_llama.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path


def input_paths(inputs: Iterable[str]) -> list[str]:
    """Inputs with - replaced by the lines of standard input, which are taken as they are.

    Raises:
        InputError: a path is empty (an unset variable, say), which would mean the current folder.
    """
    paths: list[str] = []
    for item in inputs:
        if not item:
            raise InputError("an empty path was given; give . for the current folder")
        paths += _listed_paths() if item == "-" else [item]
    return paths


def _listed_paths() -> list[str]:
    # Names of files are bytes: they need not be text in the locale's encoding.
    buffer = getattr(sys.stdin, "buffer", None)
    lines = sys.stdin.read().splitlines() if buffer is None else os.fsdecode(buffer.read()).split("\n")
    return [line.rstrip("\r") for line in lines if line.strip()]


def complain(message: str) -> None:
    """One line on stderr; control characters of a file name do not reach the terminal."""
    sys.stderr.write(f"emotion-llama: {shown(message)}\n")


def shown(text: object) -> str:
    """`text` on one line, its control characters escaped."""
    return "".join(
        c if unicodedata.category(c) != "Cc" else c.encode("unicode_escape").decode("ascii") for c in str(text)
    )


def is_coloured(stream: TextIO) -> bool:
    """Whether a stream shows styles: a terminal, unless NO_COLOR is set to anything (no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR")


def write_json(text: str) -> None:
    """A JSON document and a line's end on stdout: in UTF-8 whatever the locale (RFC 8259)."""
    buffer = getattr(sys.stdout, "buffer", None)
    if buffer is None:
        sys.stdout.write(text + "\n")
    else:
        sys.stdout.flush()
        buffer.write(text.encode("utf-8") + b"\n")
    sys.stdout.flush()


def begin_file(option: str, path: Path) -> None:
    """Empty or make the file that `option` names, before the long work: an old one must not look like this run's.

    Raises:
        InputError: it is a folder, or cannot be written.
    """
    from emotion_llama.files import make_folder

    if path.is_dir():
        raise InputError(f"{option} {path} is a folder; give a file")
    make_folder(path.parent)
    try:
        path.write_bytes(b"")
    except OSError as error:
        raise InputError(f"{option} {path} cannot be written ({error.strerror}); give another place") from error


class ProgressLine:
    """One line on stderr with the progress of a run; a context manager, silent when stderr is no terminal."""

    def __init__(self, total: int, *, enabled: bool) -> None:
        self._total = total
        self._enabled = enabled and sys.stderr.isatty()
        self._shown = False

    def __enter__(self) -> ProgressLine:
        return self

    def __exit__(self, *exc: object) -> None:
        self.clear()

    def __call__(self, position: int, name: str, stage: str, share: float) -> None:
        """Show: clip `position` (from 0) is at `share` (0..1) of `stage`."""
        if not self._enabled:
            return
        count = f"[{position + 1}/{self._total}] " if self._total > 1 else ""
        line = f"{count}{shown(name)[:40]}  {stage} {100 * share:3.0f} %"
        sys.stderr.write(f"\r\x1b[K{line[:79]}")
        sys.stderr.flush()
        self._shown = True

    def clear(self) -> None:
        """Take the line away."""
        if self._shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
            self._shown = False


def quiet_transformers() -> None:
    """Silence the notices of transformers about file systems and progress; its errors still raise."""
    from emotion_llama.models import register_auto_classes

    register_auto_classes()  # names the extra where transformers is missing
    from transformers.utils import logging

    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
