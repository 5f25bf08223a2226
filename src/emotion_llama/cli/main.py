"""Entry point of `emotion-llama`: choose the verb, translate errors into one line and an exit code.

Exit codes: 0 all done; 1 something failed, and the rest was done; 2 the command was not understood; 130 interrupted.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Sequence
from contextlib import suppress

from emotion_llama import __version__
from emotion_llama.cli import (
    analyze,
    compare,
    convert,
    doctor,
    download,
    encode,
    export,
    export_results,
    features,
    merr,
    serve,
    train,
    use,
)
from emotion_llama.cli import eval as evaluation
from emotion_llama.cli.common import complain
from emotion_llama.cli.options import AnyOrder
from emotion_llama.errors import EmotionLlamaError

VERBS = (
    analyze,
    serve,
    merr,
    features,
    encode,
    train,
    evaluation,
    compare,
    convert,
    export,
    export_results,
    download,
    use,
    doctor,
)


def build_parser() -> argparse.ArgumentParser:
    """The whole command line; importing and building it loads nothing heavy."""
    parser = argparse.ArgumentParser(
        prog="emotion-llama",
        description="Multimodal emotion recognition from video, with evidence and explanations.",
        epilog="examples:\n  emotion-llama analyze talk.mp4\n  emotion-llama doctor\n\n"
        "'emotion-llama VERB --help' explains a verb.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"emotion-llama {__version__}")
    verbs = parser.add_subparsers(title="verbs", metavar="VERB", required=True, parser_class=AnyOrder)
    for verb in VERBS:
        verb.add_parser(verbs)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    _open_streams()
    args = build_parser().parse_args(evaluation.with_run(list(sys.argv[1:] if argv is None else argv)))
    # The arrays here are small: OpenBLAS's threads would spin, and double the CPU time of finding faces.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    # transformers draws bars while it loads weights; the progress line of a verb says what is happening.
    os.environ.setdefault("TQDM_DISABLE", "1")
    try:
        code: int = args.run(args)
        sys.stdout.flush()
        return code
    except EmotionLlamaError as error:
        complain(str(error))
        return 1
    except KeyboardInterrupt:
        complain("interrupted")
        return 130
    except BrokenPipeError:
        # The reader of a pipe (head, less) has gone: not an error.
        _drop_stdout()
        return 0
    except OSError as error:
        # What is left of these is the output itself: a full disk, a closed terminal.
        _drop_stdout()
        complain(f"cannot write: {error}")
        return 1


def _open_streams() -> None:
    """Give a closed stdout or stderr a place to write to, and let names that the locale cannot show be escaped."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115, PTH123  for the process's life
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _drop_stdout() -> None:
    """Let what stdout still holds go nowhere, so that the interpreter's exit does not try it again."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def entry_point() -> None:
    """What the installed script calls."""
    sys.exit(main())
