"""The messages between a pool and its children: JSON and plain arrays, a length in front, and nothing that is run.

A message is `serve.questions.pack` of a mapping with "type" and of arrays, after its length in 8 bytes, big endian.
To the child: analyze, prediction, abort. From it: ready, clip, progress, seen, done, refused, failed, aborted.
What comes from a child is checked as if a client had sent it, for its file may have taken the child over.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from emotion_llama.errors import BackendError
from emotion_llama.serve.isolation.limits import ClipLimits
from emotion_llama.serve.questions import MAX_BYTES

if TYPE_CHECKING:
    from emotion_llama.analysis.options import Options

LENGTH = struct.Struct(">Q")

ShortText = Annotated[str, StringConstraints(max_length=2000)]
Finite = Annotated[float, Field(allow_inf_nan=False)]


class BrokenProtocol(BackendError):
    """What came over the pipe is no message that is expected there."""


class Message(BaseModel):
    """The base of all messages: strict, and with nothing that is not expected."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, protected_namespaces=())


class OptionsMessage(Message):
    """`pipeline.options.Options`."""

    subtitle: str | None
    transcript: str | None
    asr_model: str | None
    people: Literal["main", "all"]
    segment: Literal["none", "auto"] | float
    peak_rule: Literal["all", "label"]

    @classmethod
    def of(cls, options: Options) -> OptionsMessage:
        """The message of `options`."""
        return cls(
            subtitle=options.subtitle,
            transcript=None if options.transcript is None else str(options.transcript.absolute()),
            asr_model=None if options.asr_model is None else str(options.asr_model.absolute()),
            people=options.people,
            segment=options.segment,
            peak_rule=options.peak_rule,
        )

    def options(self) -> Options:
        """The options of a message."""
        from emotion_llama.analysis.options import Options

        files = {"transcript": self.transcript, "asr_model": self.asr_model}
        paths = {name: None if text is None else Path(text) for name, text in files.items()}
        return Options(
            subtitle=self.subtitle, people=self.people, segment=self.segment, peak_rule=self.peak_rule, **paths
        )


class ModelMessage(Message):
    """A model that answers on the other side of the pipe."""

    name: str
    frame_policy: Literal["first", "middle", "peak"]
    settings: dict[str, Any]


class AnalyzeMessage(Message):
    """One clip to be analysed; without `model`, the rules read in the child."""

    type: Literal["analyze"] = "analyze"
    path: str
    shown_name: str
    options: OptionsMessage
    model: ModelMessage | None
    html: bool
    curves: bool
    limits: dict[str, int | float]
    cpu_seconds: float

    def clip_limits(self) -> ClipLimits:
        """The limits of a message."""
        return ClipLimits(**self.limits)  # type: ignore[arg-type]  # what the pool took from a ClipLimits


class ReadyMessage(Message):
    """The child is warm; `confined` where the kernel refuses it all but reading and computing."""

    type: Literal["ready"]
    confined: bool = False


class ClipMessage(Message):
    """The header has been read, and is within the limits."""

    type: Literal["clip"]
    duration_seconds: Finite = Field(gt=0)


class ProgressMessage(Message):
    """How far a stage has come."""

    type: Literal["progress"]
    stage: Annotated[str, StringConstraints(pattern="^[a-z]{1,20}$")]
    share: Finite = Field(ge=0, le=1)


class SeenMessage(Message):
    """A question to the model: the arrays and the fields of `SeenArrays`."""

    type: Literal["seen"]
    seen: dict[str, Any]


class PartMessage(Message):
    """A person in a segment."""

    person_id: int
    start_seconds: Finite = Field(ge=0)
    end_seconds: Finite = Field(gt=0)


class DoneMessage(Message):
    """The analysis is finished; document and page are arrays of bytes."""

    type: Literal["done"]
    parts: list[PartMessage] = Field(max_length=100_000)


class RefusedMessage(Message):
    """The clip or an option cannot be worked on."""

    type: Literal["refused"]
    reason: ShortText
    status: Literal[413, 415, 422]
    code: Annotated[str, StringConstraints(pattern="^[a-z_]{1,30}$")]


class FailedMessage(Message):
    """Something went wrong that should not; `trace` is for the server's log."""

    type: Literal["failed"]
    problem: ShortText
    trace: Annotated[str, StringConstraints(max_length=20_000)]


class AbortedMessage(Message):
    """The child is free again after an abort."""

    type: Literal["aborted"]


FROM_CHILD: Mapping[str, type[Message]] = {
    "ready": ReadyMessage,
    "clip": ClipMessage,
    "progress": ProgressMessage,
    "seen": SeenMessage,
    "done": DoneMessage,
    "refused": RefusedMessage,
    "failed": FailedMessage,
    "aborted": AbortedMessage,
}


def from_child(message: Mapping[str, Any]) -> Message:
    """The checked message of a child.

    Raises:
        BrokenProtocol: it is none.
    """
    kind = FROM_CHILD.get(str(message.get("type")))
    if kind is None:
        raise BrokenProtocol(f"a message of type {str(message.get('type'))[:40]!r} came from a child")
    try:
        return kind.model_validate(dict(message))
    except ValueError as error:
        raise BrokenProtocol(f"a malformed message {kind.__name__} came from a child: {str(error)[:300]}") from None


def message_length(head: bytes) -> int:
    """Bytes of the message after its first eight.

    Raises:
        BrokenProtocol: more than `serve.questions.MAX_BYTES`.
    """
    (length,) = LENGTH.unpack(head)
    if length > MAX_BYTES:
        raise BrokenProtocol(f"a message of {length} bytes was announced, at most {MAX_BYTES} are taken")
    return int(length)


def with_length(data: bytes) -> list[bytes]:
    """What goes over the pipe for a packed message."""
    return [LENGTH.pack(len(data)), data]
