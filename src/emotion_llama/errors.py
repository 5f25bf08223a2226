"""The exception tree: what a caller of this library can catch.

::

    EmotionLlamaError
     +-- MediaError            a file cannot be read as video or audio (also ValueError)
     +-- InputError            an option, a subtitle file or a table is not usable (also ValueError)
     +-- MissingDependency     an optional package or program is needed (also ImportError)
     +-- BackendError          an external program or model ran and failed (also RuntimeError)
          +-- AnnotationError  a model gave no usable answer

The library raises these; the command line turns each into one line and exit code 1.
"""

from __future__ import annotations

import os


class EmotionLlamaError(Exception):
    """Base of every error this package raises on purpose."""


class MediaError(EmotionLlamaError, ValueError):
    """A file cannot be read as video or audio.

    Args:
        path: the file as the user named it.
        problem: what came and what was expected, without the path.
        hint: what to do next.
    """

    def __init__(self, path: str | os.PathLike[str], problem: str, hint: str = "") -> None:
        self.path = os.fspath(path)
        self.problem = problem
        self.hint = hint
        super().__init__(f"{self.path}: {problem}" + (f"; {hint}" if hint else ""))


class InputError(EmotionLlamaError, ValueError):
    """An argument, option or side file cannot be used; the message says what to give instead."""


class MissingDependency(EmotionLlamaError, ImportError):
    """An optional package or program is not installed; the message holds the command that installs it."""

    def __init__(self, what: str, needed_for: str, install: str) -> None:
        self.what = what
        self.needed_for = needed_for
        self.install = install
        super().__init__(f"{needed_for} needs {what}, which is not installed; run: {install}")


class BackendError(EmotionLlamaError, RuntimeError):
    """An external program or model was started and failed."""


class AnnotationError(BackendError):
    """An annotator gave no usable answer.

    Args:
        kind: "refused", "empty", "malformed", "rejected" (the server says the request is wrong), "unreachable",
            "timeout", "overloaded" (still so after all retries), "budget" (ours is spent), "interrupted" (the build
            was stopped before it was asked) or "cannot" (it is not able to answer this question).
        message: what came, what was expected, what to do next; never the reply as it came.
        attempts: how often it was asked.
        tokens_in, tokens_out: spent without an answer, as far as the server said.
        reply: the last reply as it came, for whoever looks for the reason; "" where there was none. Never printed.
    """

    def __init__(
        self, kind: str, message: str, attempts: int = 1, tokens_in: int = 0, tokens_out: int = 0, *, reply: str = ""
    ) -> None:
        self.kind = kind
        self.message = message
        self.attempts = attempts
        self.tokens_in = tokens_in
        self.tokens_out = tokens_out
        self.reply = reply
        super().__init__(f"{kind}: {message}")

    def __reduce__(self) -> tuple[type[AnnotationError], tuple[str, str, int, int, int], dict[str, str]]:
        given = (self.kind, self.message, self.attempts, self.tokens_in, self.tokens_out)
        return AnnotationError, given, {"reply": self.reply}
