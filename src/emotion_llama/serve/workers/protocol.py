"""The messages between a pool and its children: JSON and plain arrays, a length in front, and nothing that is executed.

A message is `serve.questions.pack` of a mapping with "type" and of arrays, after its length in 8 bytes, big endian.
To the child, which trusts it: analyze, prediction, abort. From the child: what `ChildMessage` allows, checked as if a
client had sent it, for the child's file may have taken it over.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, Strict, StringConstraints

from emotion_llama.errors import BackendError
from emotion_llama.serve.questions import MAX_BYTES

if TYPE_CHECKING:
    from emotion_llama.analysis.options import Options

LENGTH = struct.Struct(">Q")

# Type of a message from a child -> the fields that it has, all of them and no other.
_FIELDS: Mapping[str, frozenset[str]] = {
    "ready": frozenset({"confined"}),  # the child is warm; whether the kernel refuses it all but reading and computing
    "clip": frozenset({"duration_seconds"}),  # the header has been read, and is within the limits
    "progress": frozenset({"stage", "share"}),
    "seen": frozenset({"seen"}),  # a question to the model; its arrays are those of `SeenArrays`
    "done": frozenset({"parts"}),  # document and page are arrays of bytes
    "refused": frozenset({"reason", "status", "code"}),  # the clip or an option cannot be processed
    "failed": frozenset({"problem", "trace"}),  # an error of ours; `trace` is for the server's log
    "aborted": frozenset(),  # the child is free again after an abort
}
_Text = Annotated[str, StringConstraints(max_length=2000)]
_Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
# person_id, start_seconds, end_seconds; a list in JSON
_Part = Annotated[tuple[int, _Seconds, Annotated[_Seconds, Field(gt=0)]], Strict(False)]


class BrokenProtocol(BackendError):
    """What came over the pipe is no message that is expected there."""


class ChildMessage(BaseModel):
    """A message of a child; `type` says which of the fields it has."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    type: Literal["ready", "clip", "progress", "seen", "done", "refused", "failed", "aborted"]
    confined: bool = False
    duration_seconds: _Seconds = Field(default=0.0, gt=0)
    stage: Annotated[str, StringConstraints(pattern="^[a-z]{1,20}$")] = ""
    share: float = Field(default=0.0, ge=0, le=1, allow_inf_nan=False)
    seen: dict[str, Any] = Field(default_factory=dict)  # checked by `read_seen`
    parts: list[_Part] = Field(default_factory=list, max_length=100_000)
    reason: _Text = ""
    status: Literal[413, 415, 422] = 422
    code: Annotated[str, StringConstraints(pattern="^[a-z_]{1,30}$")] = ""
    problem: _Text = ""
    trace: Annotated[str, StringConstraints(max_length=20_000)] = ""


def from_child(message: Mapping[str, Any]) -> ChildMessage:
    """The checked message of a child.

    Raises:
        BrokenProtocol: it is none.
    """
    try:
        checked = ChildMessage.model_validate(dict(message))
    except ValueError as error:
        raise BrokenProtocol(f"a malformed message came from a child: {str(error)[:300]}") from None
    if checked.model_fields_set - {"type"} != _FIELDS[checked.type]:
        raise BrokenProtocol(f"a message {checked.type!r} came from a child with {sorted(checked.model_fields_set)}")
    return checked


def options_message(options: Options) -> dict[str, Any]:  # as JSON
    """Options for the message "analyze", files by absolute paths."""
    files = {"transcript": options.transcript, "asr_model": options.asr_model}
    return {
        "subtitle": options.subtitle,
        "people": options.people,
        "segment": options.segment,
        "peak_rule": options.peak_rule,
        "audio_track": options.audio_track,
        "subtitle_track": options.subtitle_track,
        "encoding": options.encoding,
        **{name: None if path is None else str(path.absolute()) for name, path in files.items()},
    }


def read_options(message: Mapping[str, Any]) -> Options:
    """What `options_message` made."""
    from emotion_llama.analysis.options import Options

    files = {name: message[name] for name in ("transcript", "asr_model")}
    return Options(**{**message, **{name: None if path is None else Path(path) for name, path in files.items()}})


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
