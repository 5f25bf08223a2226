"""A child process of the measuring pool: `python -m emotion_llama.serve.isolation.child FD PARENT MEMORY NICE WARM`.

It takes one clip after the other over an inherited socket, and trusts what comes over it; the other side does not
trust what it sends. Standard output and error are the pool's to throw away.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from emotion_llama.analysis import Analyzer
from emotion_llama.errors import EmotionLlamaError, InputError, MediaError, MissingDependency
from emotion_llama.records import Prediction
from emotion_llama.serve.isolation import harden
from emotion_llama.serve.isolation.confine import confine
from emotion_llama.serve.isolation.limits import ClipRefused
from emotion_llama.serve.isolation.protocol import (
    LENGTH,
    AnalyzeMessage,
    BrokenProtocol,
    message_length,
    with_length,
)
from emotion_llama.serve.isolation.work import Worked, work
from emotion_llama.serve.questions import SeenArrays, pack, read_prediction, seen_message, unpack

Arrays = Mapping[str, npt.NDArray[Any]]
_NOTHING: Arrays = {}
_LONGEST_REASON = 1500
TOO_MUCH_MEMORY = "it takes more memory than a clip may; make it smaller or shorter"


class Aborted(Exception):
    """The pool wants no more of this clip."""


class Channel:
    """The socket to the pool, one message at a time."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._file = connection.makefile("rb")

    def send(self, message: Mapping[str, Any], arrays: Arrays = _NOTHING) -> None:
        """Send one message; waits while the pool is busy."""
        for piece in with_length(pack(message, arrays)):
            self._connection.sendall(piece)

    def receive(self) -> dict[str, Any]:
        """The next message of the pool.

        Raises:
            EOFError: the pool is gone.
        """
        message, _ = unpack(self._exactly(message_length(self._exactly(LENGTH.size))))
        return message

    def _exactly(self, count: int) -> bytes:
        data = self._file.read(count)
        if len(data) < count:
            raise EOFError
        return data


class Child:
    """One Analyzer, and the clips that come for it."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._analyzer = Analyzer.load("rules")
        self._rules = self._analyzer.predictor

    def warm_up(self, clip: Path) -> None:
        """Load all that a clip will need, so that the first one waits for nothing."""
        from emotion_llama.documents import analysis_document
        from emotion_llama.report.analysis_page import render_page

        backend = self._analyzer.mesh_backend()
        backend.observe(np.zeros((1, 64, 64, 3), np.uint8))
        backend.reset()
        analysis = self._analyzer.analyze(clip)
        analysis_document(analysis).model_dump_json()
        render_page(analysis, {})

    def serve(self) -> None:
        """Clips until the pool closes the socket."""
        while True:
            try:
                message = self._channel.receive()
            except EOFError:
                return
            if message.get("type") == "abort":  # it came when the work was done already
                self._channel.send({"type": "aborted"})
                continue
            if not self._one(AnalyzeMessage.model_validate(message)):
                return

    def _one(self, asked: AnalyzeMessage) -> bool:
        """Work on one clip; False where this process had better not take another."""
        harden.for_clip(asked.cpu_seconds)
        hidden = Hidden(asked)
        try:
            self._answer(work(self._analyzer, self._rules, asked, self._channel.send, self._ask))
        except Aborted:
            self._channel.send({"type": "aborted"})
        except ClipRefused as error:
            self._refuse(error.reason, error.status, error.code)
        except MediaError as error:
            text = f"{error.problem}; {error.hint}" if error.hint else error.problem
            self._refuse(hidden.clean(text), 422, "damaged")
        except InputError as error:
            self._refuse(hidden.clean(str(error)), 422, "option")
        except MemoryError:
            self._refuse(TOO_MUCH_MEMORY, 413, "too_much_memory")
            return False
        except (EmotionLlamaError, BrokenProtocol) as error:
            self._fail(error, hidden)
        except Exception as error:  # noqa: BLE001  the edge of a process: a fault of ours costs one answer
            if _is_out_of_memory(error):
                self._refuse(TOO_MUCH_MEMORY, 413, "too_much_memory")
            else:
                self._fail(error, hidden)
            return False
        return True

    def _ask(self, seen: SeenArrays) -> Prediction:
        message, arrays = seen_message(seen)
        self._channel.send({"type": "seen", "seen": message}, arrays)
        reply = self._channel.receive()
        if reply.get("type") == "abort":
            raise Aborted
        return read_prediction(reply["prediction"])

    def _answer(self, worked: Worked) -> None:
        texts = {"document": worked.document_json} | ({} if worked.html is None else {"html": worked.html})
        arrays = {name: np.frombuffer(text.encode(), np.uint8) for name, text in texts.items()}
        self._channel.send({"type": "done", "parts": [part.model_dump() for part in worked.parts]}, arrays)

    def _refuse(self, reason: str, status: int, code: str) -> None:
        self._channel.send({"type": "refused", "reason": reason[:_LONGEST_REASON], "status": status, "code": code})

    def _fail(self, error: Exception, hidden: Hidden) -> None:
        known = isinstance(error, MissingDependency)
        problem = hidden.clean(str(error)) if known else type(error).__name__
        trace = "".join(traceback.format_exception(type(error), error, error.__traceback__))
        self._channel.send({"type": "failed", "problem": problem[:_LONGEST_REASON], "trace": trace[-20_000:]})


class Hidden:
    """Paths of the server, which no client is to see."""

    def __init__(self, asked: AnalyzeMessage) -> None:
        self._clip = asked.path
        self._shown = asked.shown_name
        given = (asked.path, asked.options.transcript, asked.options.asr_model)
        self._folders = {f"{Path(path).parent}{os.sep}" for path in given if path is not None}

    def clean(self, text: str) -> str:
        """The text with the clip's shown name, and file names without folders."""
        text = text.replace(self._clip, self._shown)
        for folder in self._folders:
            text = text.replace(folder, "")
        return text


def _is_out_of_memory(error: Exception) -> bool:
    """OpenCV and libraries under it tell of missing memory in words alone."""
    return any(words in str(error).lower() for words in ("insufficient memory", "cannot allocate", "bad_alloc"))


def main() -> None:
    """Run as a child of the pool."""
    descriptor, parent_pid, memory_bytes, niceness = (int(text) for text in sys.argv[1:5])
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the server, which ends its children in order
    harden.at_start(parent_pid, niceness)
    harden.start_watch(parent_pid, memory_bytes)
    channel = Channel(socket.socket(fileno=descriptor))
    child = Child(channel)
    child.warm_up(Path(sys.argv[5]))
    harden.when_warm(memory_bytes)
    channel.send({"type": "ready", "confined": confine()})
    child.serve()


if __name__ == "__main__":
    main()
