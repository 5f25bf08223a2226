"""What several verbs share: paths on the command line, messages, text and JSON on stdout, and files begun early."""

from __future__ import annotations

import json
import os
import shutil
import sys
import textwrap
import unicodedata
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, TextIO

from emotion_llama.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

MIN_WIDTH = 40  # columns


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


def check_model(model: object, *, quiet: bool = False) -> None:
    """Where a model sends clips to another machine, and what a chat model can do, each a line on stderr.

    Args:
        model: a predictor, or the model of an evaluation.
        quiet: say nothing but where clips go; a chat model is checked all the same.

    Raises:
        InputError: a chat model cannot be reached or loaded; said before any clip is measured for it.
        MissingDependency: a package is not installed.
    """
    if (host := getattr(model, "sends_to", None)) is not None:
        complain(f"images, audio and transcripts of the clips leave this machine: they are sent to {host}")
    probe = getattr(model, "probe", None)
    if probe is not None and (line := probe()) is not None and not quiet:
        complain(line)


def shown(text: object) -> str:
    """`text` on one line, its control characters escaped."""
    return "".join(
        c if unicodedata.category(c) != "Cc" else c.encode("unicode_escape").decode("ascii") for c in str(text)
    )


def style_of(stream: TextIO) -> dict[str, Any]:  # arguments of the `render_` functions of `report`
    """`colour` (a terminal, unless NO_COLOR is set to anything: no-color.org) and `encoding` of a stream."""
    return {"colour": stream.isatty() and not os.environ.get("NO_COLOR"), "encoding": stream.encoding}


def terminal_width() -> int:
    """Columns of the terminal; 80 where there is none."""
    return max(MIN_WIDTH, shutil.get_terminal_size((80, 24)).columns)


def write_wrapped(text: str) -> None:
    """Write `text` to stdout, its lines within the terminal, long ones continued further in."""
    for line in map(shown, text.splitlines()):
        indent = " " * (len(line) - len(line.lstrip()) + 2)
        wrapped = textwrap.wrap(
            line, terminal_width() - 1, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False,
            replace_whitespace=False,
        )  # fmt: skip
        sys.stdout.write("\n".join(wrapped) + "\n")


def write_json(value: object) -> None:
    """A value as a JSON document on stdout (text is taken to be JSON): in UTF-8 whatever the locale (RFC 8259)."""
    text = value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
    buffer = getattr(sys.stdout, "buffer", None)
    if buffer is None:
        sys.stdout.write(text + "\n")
    else:
        sys.stdout.flush()
        buffer.write(text.encode("utf-8") + b"\n")
    sys.stdout.flush()


def begin_file(option: str, path: Path | None) -> None:
    """Empty or make the file that `option` names, before the long work: an old one must not look like this run's.

    Raises:
        InputError: it is a folder, or cannot be written.
    """
    from emotion_llama.files import make_folder

    if path is None:
        return
    if path.is_dir():
        raise InputError(f"{option} {path} is a folder; give a file")
    make_folder(path.parent)
    try:
        path.write_bytes(b"")
    except OSError as error:
        raise InputError(f"{option} {path} cannot be written ({error.strerror}); give another place") from error


def quiet_transformers() -> None:
    """Silence the notices of transformers about file systems and progress; its errors still raise."""
    from emotion_llama.models import register_auto_classes

    register_auto_classes()  # names the extra where transformers is missing
    from transformers.utils import logging

    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
