"""A child process of the measuring pool: `python -m ...workers.child FD PARENT MEMORY NICE WARM [ASR]`.

It measures one clip after the other over an inherited socket, and trusts what comes over it; the other side does not
trust what it sends. Standard output is discarded, standard error kept for the server's log.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from emotion_llama.analysis import Analyzer
from emotion_llama.errors import EmotionLlamaError, InputError, MediaError, MissingDependency
from emotion_llama.models.clips import ClipInputs, FaceCrops
from emotion_llama.records import Clip, UInt8, Waveform
from emotion_llama.results import Analysis, Missing, Prediction
from emotion_llama.serve.errors import ClipRefused
from emotion_llama.serve.workers import confine, sandbox
from emotion_llama.serve.workers.clip_check import ClipLimits, checked_clip
from emotion_llama.serve.workers.protocol import (
    LENGTH,
    BrokenProtocol,
    loaded,
    message_length,
    pack,
    read_options,
    read_prediction,
    sample_message,
    unpack,
)

if TYPE_CHECKING:
    from emotion_llama.analysis.options import Options
    from emotion_llama.models.inputs import FramePolicy
    from emotion_llama.predictors import Sample, Task
    from emotion_llama.predictors.base import TextStream
    from emotion_llama.prompts.builder import Turn

Arrays = Mapping[str, npt.NDArray[Any]]
_NO_ARRAYS: Arrays = {}
_MAX_REASON = 1500  # characters
_PROGRESS_SECONDS = 0.05  # progress is sent no more often, so that it costs nothing
TOO_MUCH_MEMORY = "it takes more memory than a clip may; make it smaller or shorter"


class Aborted(Exception):
    """The pool wants no more of this clip."""


class Channel:
    """The socket to the pool, one message at a time."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._file = connection.makefile("rb")

    def send(self, message: Mapping[str, Any], arrays: Arrays = _NO_ARRAYS) -> None:
        """Send one message; waits while the pool is busy."""
        data = pack(message, arrays)
        self._connection.sendall(LENGTH.pack(len(data)))
        self._connection.sendall(data)

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

    def warm_up(self, clip: Path, asr_model: Path | None = None) -> None:
        """Load all that a clip will need, so that the first one waits for nothing and no thread starts later."""
        from emotion_llama.document import analysis_document
        from emotion_llama.report.analysis_page import render_page

        backend = self._analyzer.mesh_backend()
        backend.observe(np.zeros((1, 64, 64, 3), np.uint8))
        backend.reset()
        analysis = self._analyzer.analyze(clip)
        if asr_model is not None:
            recogniser, noise = self._analyzer.recogniser(asr_model), np.random.default_rng(0).normal(0, 0.01, 16_000)
            sound = Waveform(noise.astype(np.float32), 16_000)
            recogniser.find_speech(sound)
            recogniser.recognise(sound, None)
        analysis_document(analysis).model_dump_json()
        render_page(analysis, {})

    def serve(self) -> None:
        """Clips until the pool closes the socket."""
        while True:
            try:
                message = self._channel.receive()
            except EOFError:
                return
            if message["type"] == "abort":  # it came when the work was done already
                self._channel.send({"type": "aborted"})
            elif not self._one(message):
                return

    def _one(self, request: Mapping[str, Any]) -> bool:
        """Work on one clip; False where this process had better not take another."""
        confine.for_clip(request["cpu_seconds"])
        clean = partial(_without_paths, request)
        try:
            self._measure(request)
        except Aborted:
            self._channel.send({"type": "aborted"})
        except ClipRefused as error:
            self._refuse(error.message, error.status, error.code or "damaged")
        except MediaError as error:
            self._refuse(clean(f"{error.problem}; {error.hint}" if error.hint else error.problem), 422, "damaged")
        except InputError as error:
            self._refuse(clean(str(error)), 422, "option")
        except MemoryError:
            self._refuse(TOO_MUCH_MEMORY, 413, "too_much_memory")
            return False
        except (EmotionLlamaError, BrokenProtocol) as error:
            self._fail(error, clean)
        except Exception as error:  # noqa: BLE001  the edge of a process: an error of ours costs one answer
            if _is_out_of_memory(error):
                self._refuse(TOO_MUCH_MEMORY, 413, "too_much_memory")
            else:
                self._fail(error, clean)
            return False
        return True

    def _measure(self, request: Mapping[str, Any]) -> None:
        """Check, analyse, and send document and page.

        Raises:
            ClipRefused: the clip is beyond a limit.
            MediaError, InputError, MissingDependency: as `Analyzer.analyze`.
        """
        path, options = Path(request["path"]), read_options(request["options"])
        limits, model = ClipLimits(**request["limits"]), request["model"]
        from emotion_llama.report.selection import choose_detailed

        asking = None
        with checked_clip(path, limits, options.audio_track) as file:
            if model is not None:
                _check_segment(file.clip, options, limits)
                asking = RemotePredictor(**model, limits=limits, ask=self._ask)
            self._channel.send({"type": "clip", "duration_seconds": file.clip.duration_seconds})
            self._analyzer.predictor = asking or self._rules
            progress = Throttle(self._channel.send)
            images = choose_detailed if request["html"] else None
            analysis = self._analyzer.run(file, options, progress=progress, images=images)
        if asking is not None:
            analysis = replace(analysis, warnings=(*analysis.warnings, *asking.warnings))
        progress("report", 0.0)
        texts = self._texts(analysis, request)
        progress("report", 1.0)
        parts = [
            [person.person_id, segment.start_seconds, segment.end_seconds]
            for person in analysis.people
            for segment in person.segments
        ]
        arrays = {name: np.frombuffer(text.encode(), np.uint8) for name, text in texts.items()}
        self._channel.send({"type": "done", "parts": parts}, arrays)

    def _texts(self, analysis: Analysis, request: Mapping[str, Any]) -> dict[str, str]:
        """Document and page, by the clip's shown name and without folders of the server."""
        from emotion_llama.document import analysis_document
        from emotion_llama.report.analysis_page import analysis_page

        settings = dict(analysis.settings)
        if request["options"]["asr_model"] is not None:
            settings["asr_model"] = Path(request["options"]["asr_model"]).name
        clip = replace(analysis.clip, path=Path(request["shown_name"]))
        shown = replace(analysis, clip=clip, settings=settings)
        texts = {"document": analysis_document(shown, curves=request["curves"]).model_dump_json()}
        if request["html"]:
            texts["html"] = analysis_page(shown)
        folder = f"{Path(request['path']).parent}{os.sep}"
        return {name: text.replace(folder, "") for name, text in texts.items()}

    def _ask(self, seen: Sample) -> Prediction:
        message, arrays = sample_message(seen)
        self._channel.send({"type": "seen", "seen": message}, arrays)
        reply = self._channel.receive()
        if reply["type"] == "abort":
            raise Aborted
        return read_prediction(reply["prediction"])

    def _refuse(self, reason: str, status: int, code: str) -> None:
        self._channel.send({"type": "refused", "reason": reason[:_MAX_REASON], "status": status, "code": code})

    def _fail(self, error: Exception, clean: Callable[[str], str]) -> None:
        problem = clean(str(error)) if isinstance(error, MissingDependency) else type(error).__name__
        trace = "".join(traceback.format_exception(type(error), error, error.__traceback__))
        self._channel.send({"type": "failed", "problem": problem[:_MAX_REASON], "trace": trace[-20_000:]})


class RemotePredictor:
    """A predictor in place of the model's: `ask` sends the arrays of a sample and returns the model's prediction."""

    def __init__(
        self,
        name: str,
        frame_policy: FramePolicy,
        settings: Mapping[str, object],
        limits: ClipLimits,
        ask: Callable[[Sample], Prediction],
    ) -> None:
        self.name = name
        self.settings = settings
        self.warnings: list[str] = []
        self._policy = frame_policy
        self._limits = limits
        self._ask = ask

    @property
    def frame_policy(self) -> FramePolicy:
        """The frame that the model takes."""
        return self._policy

    def encode(self, sample: Sample) -> Sample:
        """The sample itself: the model's process encodes."""
        return sample

    def predict(self, samples: Sequence[Sample], task: Task | None = None) -> list[Prediction]:
        """The model's predictions for its own task."""
        assert task is None  # an Analyzer asks nothing else
        return [self._ask(self._seen(one)) for one in samples]

    def stream(self, sample: Sample, messages: Sequence[Turn], **options: Any) -> TextStream:
        """Chats go to the model itself."""
        raise InputError("a process that measures does not chat; ask the model in the server")

    def _seen(self, sample: Sample) -> Sample:
        inputs, longest = sample.inputs, self._limits.max_segment_seconds
        assert inputs is not None  # an Analyzer gives them to a predictor with a frame policy
        if inputs.samples is not None and len(inputs.samples) > longest * 16_000:
            reason = Missing("sound", f"the segment is longer than {longest:.0f} s")
            inputs = replace(inputs, samples=None, missing=(*inputs.missing, reason))
        wanted = kept_faces(inputs.num_faces, self._limits.max_faces)
        if len(wanted) < inputs.num_faces:
            self.warnings.append(f"the model was shown {len(wanted)} of {inputs.num_faces} pictures of a face")
            inputs = replace(inputs, faces=FaceCrops(len(wanted), partial(_thinned, inputs, wanted)))
        return loaded(replace(sample, inputs=inputs))  # the pool makes the id, of what it gets


def _thinned(inputs: ClipInputs, wanted: npt.NDArray[np.int64]) -> Iterator[UInt8]:
    count = 0
    for chunk in inputs.face_chunks():
        here = wanted[(wanted >= count) & (wanted < count + len(chunk))] - count
        count += len(chunk)
        if len(here):
            yield chunk[here]


def kept_faces(count: int, limit: int) -> npt.NDArray[np.int64]:
    """Which of `count` crops are handed on: all up to `limit`, else pairs of neighbours at even distances.

    Pairs, because the published temporal encoder sees two consecutive crops of each part of the clip.
    """
    if count <= limit:
        return np.arange(count)
    starts = np.linspace(0, count - 2, max(limit // 2, 1)).astype(np.int64)
    return np.asarray(np.unique(np.concatenate([starts, starts + 1])), np.int64)


class Throttle:
    """Sends progress: each stage's beginning and end, and between them not too often."""

    def __init__(self, send: Callable[[Mapping[str, Any]], None]) -> None:
        self._send = send
        self._stage = ""
        self._sent = 0.0

    def __call__(self, stage: str, share: float) -> None:
        """Send it, or not."""
        now = time.monotonic()
        if stage == self._stage and share < 1.0 and now - self._sent < _PROGRESS_SECONDS:
            return
        self._stage, self._sent = stage, now
        self._send({"type": "progress", "stage": stage, "share": min(max(float(share), 0.0), 1.0)})


def _check_segment(clip: Clip, options: Options, limits: ClipLimits) -> None:
    """A model takes a segment at once: a long recording has to be cut."""
    longest = clip.duration_seconds if options.segment == "none" else options.segment
    if isinstance(longest, float | int) and min(longest, clip.duration_seconds) > limits.max_segment_seconds:
        raise ClipRefused(
            f"a model takes at most {limits.max_segment_seconds:.0f} s at once; ask for segments "
            "(segment=auto, or a number of seconds)",
            422,
            "option",
        )


def _without_paths(request: Mapping[str, Any], text: str) -> str:
    """A text for the client: the clip by its shown name, and files without folders of the server."""
    text = text.replace(request["path"], request["shown_name"])
    options = request["options"]
    for path in (request["path"], options["transcript"], options["asr_model"]):
        if path is not None:
            text = text.replace(f"{Path(path).parent}{os.sep}", "")
    return text


def _is_out_of_memory(error: Exception) -> bool:
    """OpenCV and the libraries under it report missing memory in their message alone."""
    return any(words in str(error).lower() for words in ("insufficient memory", "cannot allocate", "bad_alloc"))


def main() -> None:
    """Run as a child of the pool."""
    descriptor, parent_pid, memory_bytes, niceness = (int(text) for text in sys.argv[1:5])
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the server, which ends its children in order
    confine.at_start(parent_pid, niceness)
    warm_clip, *asr_model = map(Path, filter(None, sys.argv[5:7]))
    clips = list(map(Path, filter(None, sys.argv[7:])))
    reads_little = sandbox.limit_reading([*clips, *asr_model] if clips else [])  # before there are other threads
    confine.start_watch(parent_pid, memory_bytes)
    channel = Channel(socket.socket(fileno=descriptor))
    child = Child(channel)
    child.warm_up(warm_clip, *asr_model)
    confine.when_warm(memory_bytes)
    channel.send({"type": "ready", "confined": sandbox.confine() and reads_little})
    child.serve()


if __name__ == "__main__":
    main()
