"""What goes between the server and its children: JSON and plain arrays; what a child sends is checked.

Wire form: the length of what follows (8 bytes, big-endian), `ELW1`, the header's length (4 bytes, little-endian), the
header (JSON: the message, and name, type and shape of each array), then the arrays' values, row by row. Nothing of it
is ever unpickled or evaluated, as the header of an .npy file would be: a process that a hostile file has taken over can
send wrong numbers, but no code.

A message is a mapping with "type". To the child, which trusts it: analyze, prediction, abort. From the child: what
`ChildMessage` allows, checked as if a client had sent it.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, Strict, StringConstraints

from emotion_llama.errors import BackendError, InputError
from emotion_llama.models.clips import ClipInputs
from emotion_llama.predictors.base import Sample
from emotion_llama.prompts.cues import cue_text
from emotion_llama.results import Cue, Evidence, Missing, OutOfDomain, Prediction
from emotion_llama.rules.tone_text import has_evidence

if TYPE_CHECKING:
    from emotion_llama.analysis.options import Options

Message = dict[str, Any]  # JSON, as it goes over the wire
Array = npt.NDArray[Any]
_Types = Mapping[str, type | tuple[type, ...]]

LENGTH = struct.Struct(">Q")
_MAGIC = b"ELW1"
# 2,000 crops of 112 pixels are 75 MB, a 4K frame is 25 MB, ten minutes of sound are 38 MB.
MAX_BYTES = 512 << 20
MAX_HEADER_BYTES = 64 << 20
_MAX_ARRAYS = 64
_MAX_AXES = 8
_TYPES = frozenset({"|u1", "|b1", "<f4", "<f8", "<i4", "<i8"})


class BrokenProtocol(BackendError):
    """What came over the pipe is no message that is expected there."""


# --- wire form ------------------------------------------------------------------------------------------------------


def message_length(head: bytes) -> int:
    """Bytes of the message after its first eight.

    Raises:
        BrokenProtocol: more than `MAX_BYTES`.
    """
    (length,) = LENGTH.unpack(head)
    if length > MAX_BYTES:
        raise BrokenProtocol(f"a message of {length} bytes was announced, at most {MAX_BYTES} are taken")
    return int(length)


def pack(message: Mapping[str, Any], arrays: Mapping[str, Array] | None = None) -> bytes:
    """A message and its arrays as bytes.

    Raises:
        InputError: the message is not JSON (NaN is none), an array is of a type that is not sent, or it is too much.
    """
    plain = {name: np.ascontiguousarray(array).reshape(array.shape) for name, array in (arrays or {}).items()}
    for name, array in plain.items():
        if array.dtype.str not in _TYPES:
            raise InputError(f"array {name!r} is of type {array.dtype}, expected one of {', '.join(sorted(_TYPES))}")
    listed = [[name, array.dtype.str, list(array.shape)] for name, array in plain.items()]
    try:
        text = json.dumps({"message": dict(message), "arrays": listed}, allow_nan=False, ensure_ascii=False).encode()
    except (TypeError, ValueError) as error:
        raise InputError(f"the message cannot be sent as JSON: {error}") from error
    size = len(text) + sum(array.nbytes for array in plain.values())
    if len(text) > MAX_HEADER_BYTES or size > MAX_BYTES:
        raise InputError(f"the message is {size} bytes long, up to {MAX_BYTES} are sent; cut the clip")
    return b"".join([_MAGIC, len(text).to_bytes(4, "little"), text, *(array.tobytes() for array in plain.values())])


def unpack(data: bytes, *, max_bytes: int = MAX_BYTES) -> tuple[Message, dict[str, Array]]:
    """What `pack` packed; the arrays are views of `data` and cannot be written to.

    Raises:
        InputError: the bytes are too many, cut off, or anything else than what `pack` makes.
    """
    if len(data) > max_bytes:
        raise InputError(f"the message is {len(data)} bytes long, up to {max_bytes} are taken")
    start = len(_MAGIC) + 4
    if len(data) < start or data[: len(_MAGIC)] != _MAGIC:
        raise InputError("the message does not begin as one of ours")
    end = start + int.from_bytes(data[len(_MAGIC) : start], "little")
    if end > len(data) or end - start > MAX_HEADER_BYTES:
        raise InputError(f"the message's header claims {end - start} bytes of {len(data) - start}")
    message, listed = _header(data[start:end])
    arrays: dict[str, Array] = {}
    at = end
    for name, kind, shape in listed:
        # Counted in whole numbers of any size before anything is set aside: a few bytes may claim terabytes.
        count = math.prod(shape)
        size = count * kind.itemsize
        if size > len(data) - at or math.prod(side or 1 for side in shape) > MAX_BYTES:
            raise InputError(f"array {name!r} claims the shape {list(shape)}, {len(data) - at} bytes are left")
        arrays[name] = np.frombuffer(data, kind, count, at).reshape(shape) if count else np.zeros(shape, kind)
        at += size
    if at != len(data):
        raise InputError(f"{len(data) - at} bytes follow the message's last array")
    return message, arrays


def _header(text: bytes) -> tuple[Message, list[tuple[str, np.dtype[Any], tuple[int, ...]]]]:
    try:
        header = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise InputError(f"the message's header is not JSON: {error}") from error
    if not isinstance(header, dict) or set(header) != {"message", "arrays"}:
        raise InputError("the message's header must hold exactly `message` and `arrays`")
    message, listed = header["message"], header["arrays"]
    if not isinstance(message, dict) or not isinstance(listed, list) or len(listed) > _MAX_ARRAYS:
        raise InputError(f"a message is an object with a list of up to {_MAX_ARRAYS} arrays")
    if not all(_is_listed(item) for item in listed) or len({item[0] for item in listed}) < len(listed):
        raise InputError("arrays are listed as [name, type, shape], each name once")
    return message, [(name, np.dtype(kind), tuple(shape)) for name, kind, shape in listed]


def _is_listed(item: object) -> bool:
    if not (isinstance(item, list) and len(item) == 3 and isinstance(item[0], str) and isinstance(item[1], str)):
        return False
    _, kind, shape = item
    is_shape = isinstance(shape, list) and len(shape) <= _MAX_AXES
    return kind in _TYPES and is_shape and all(type(side) is int and side >= 0 for side in shape)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


# --- messages of a child ----------------------------------------------------------------------------------------

# Type of a message from a child -> the fields that it has, all of them and no other.
_FIELDS: Mapping[str, frozenset[str]] = {
    "ready": frozenset({"confined"}),  # the child is warm; whether the kernel limits its reading and its system calls
    "clip": frozenset({"duration_seconds"}),  # the header has been read, and is within the limits
    "progress": frozenset({"stage", "share"}),
    "seen": frozenset({"seen"}),  # a question to the model; its arrays are frame, faces and sound
    "done": frozenset({"parts"}),  # document and page are arrays of bytes
    "refused": frozenset({"reason", "status", "code"}),  # the clip or an option cannot be processed
    "failed": frozenset({"problem", "trace"}),  # an error of ours; `trace` is for the server's log
    "aborted": frozenset(),  # the child is free again after an abort
}
_Text = Annotated[str, StringConstraints(max_length=2000)]
_Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
# person_id, start_seconds, end_seconds; a list in JSON
_Part = Annotated[tuple[int, _Seconds, Annotated[_Seconds, Field(gt=0)]], Strict(False)]


class ChildMessage(BaseModel):
    """A message of a child; `type` says which of the fields it has."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    type: Literal["ready", "clip", "progress", "seen", "done", "refused", "failed", "aborted"]
    confined: bool = False
    duration_seconds: _Seconds = Field(default=0.0, gt=0)
    stage: Annotated[str, StringConstraints(pattern="^[a-z]{1,20}$")] = ""
    share: float = Field(default=0.0, ge=0, le=1, allow_inf_nan=False)
    seen: dict[str, Any] = Field(default_factory=dict)  # checked by `read_sample`
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


# --- records as messages --------------------------------------------------------------------------------------------


def loaded(sample: Sample) -> Sample:
    """A sample as it is sent: all crops in memory, transcript and cues in words."""
    inputs, evidence = sample.inputs, sample.evidence
    assert inputs is not None
    cues = sample.cues if sample.cues is not None or evidence is None else cue_text(evidence)
    # Empty evidence says that nothing was measured; what was is in the cues.
    is_measured = evidence is None or has_evidence(evidence)
    sent = ClipInputs(inputs.image, inputs.all_faces(), inputs.samples, inputs.missing)
    return Sample(None if is_measured else Evidence(), sent, None, sample.text, cues or "", sample.sample_id)


def sample_message(sample: Sample) -> tuple[Message, dict[str, Array]]:
    """A sample that is `loaded` as a message and arrays, for `pack`."""
    inputs = sample.inputs
    assert inputs is not None
    message = {
        "sample_id": sample.sample_id,
        "transcript": sample.transcript,
        "cues": sample.cues or "",
        "has_evidence": sample.evidence is None,
        "missing": [[one.what, one.reason] for one in inputs.missing],
    }
    arrays = {"frame": inputs.image, "faces": inputs.all_faces(), "sound": inputs.samples}
    return message, {name: array for name, array in arrays.items() if array is not None}


def read_sample(message: Mapping[str, Any], arrays: Mapping[str, Array]) -> Sample:
    """What `sample_message` made.

    Raises:
        InputError: a field or an array is missing, unknown, or of another type or shape; or what is not there has no
            reason.
    """
    types: _Types = {
        "sample_id": str, "transcript": (str, type(None)), "cues": str, "has_evidence": bool, "missing": list,
    }  # fmt: skip
    _check_fields("a sample", message, types)
    if set(arrays) - {"frame", "faces", "sound"}:
        raise InputError(f"a sample has the arrays {sorted(arrays)}, expected frame, faces and sound, if any")
    frame, faces, sound = (arrays.get(name) for name in ("frame", "faces", "sound"))
    if frame is not None and (frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3 or not frame.size):
        raise InputError(f"frame is {_kind(frame)}, expected one RGB picture [H, W, 3] uint8")
    if faces is not None:
        is_square = faces.ndim == 4 and faces.shape[1] == faces.shape[2] and faces.shape[3] == 3
        if faces.dtype != np.uint8 or not is_square or not faces.size:
            raise InputError(f"faces are {_kind(faces)}, expected crops [N, S, S, 3] uint8")
    if sound is not None and (sound.dtype != np.float32 or sound.ndim != 1 or not sound.size):
        raise InputError(f"sound is {_kind(sound)}, expected samples [S] float32 at 16000 Hz")
    if sound is not None and not np.isfinite(sound).all():
        raise InputError("sound holds values that are not finite numbers")
    missing = tuple(Missing(what, reason) for what, reason in _pairs(message["missing"]))
    if lacking := sorted({"frame", "faces", "sound"} - set(arrays) - {one.what for one in missing}):
        raise InputError(f"there is no {lacking[0]}, and `missing` gives no reason; add one")
    evidence = None if message["has_evidence"] else Evidence()
    inputs = ClipInputs(frame, faces, sound, missing)
    return Sample(evidence, inputs, None, message["transcript"], message["cues"], message["sample_id"])


def _kind(array: Array) -> str:
    return f"{list(array.shape)} {array.dtype}"


def prediction_message(prediction: Prediction) -> Message:
    """An answer as a message."""
    probabilities = prediction.probabilities
    return {
        "label": prediction.label,
        "probabilities": None if probabilities is None else {k: float(v) for k, v in probabilities.items()},
        "reasoning": prediction.reasoning,
        "raw_text": prediction.raw_text,
        "model": prediction.model,
        "cues": [
            {
                **{name: getattr(cue, name) for name in ("source", "text", "origin", "phrase")},
                "weights": dict(cue.weights),
            }
            for cue in prediction.cues
        ],
        "problem": prediction.problem,
        "out_of_domain": [asdict(one) for one in prediction.out_of_domain],
        "probabilities_from": prediction.probabilities_from,
    }


def read_prediction(message: Mapping[str, Any]) -> Prediction:
    """What `prediction_message` made.

    Raises:
        InputError: a field is missing, unknown, or of another type, or the fields contradict each other.
    """
    text = (str, type(None))
    types: _Types = {
        "label": text, "probabilities": (dict, type(None)), "reasoning": str, "raw_text": str, "model": str,
        "cues": list, "problem": text, "out_of_domain": list, "probabilities_from": text,
    }  # fmt: skip
    _check_fields("an answer", message, types)
    try:
        cues = tuple(Cue(**cue) for cue in message["cues"])
        outside = tuple(OutOfDomain(**one) for one in message["out_of_domain"])
        return Prediction(**{**message, "cues": cues, "out_of_domain": outside})
    except (TypeError, ValueError) as error:
        raise InputError(f"the message is no answer: {error}") from error


def _check_fields(what: str, message: Mapping[str, Any], types: _Types) -> None:
    if set(message) != set(types):
        raise InputError(f"{what} has the fields {sorted(message)}, expected {sorted(types)}")
    if wrong := [name for name, kind in types.items() if not isinstance(message[name], kind)]:
        raise InputError(f"{what}: {wrong[0]} is a {type(message[wrong[0]]).__name__}")


def _pairs(values: list[Any]) -> list[tuple[str, str]]:
    for value in values:
        if not (isinstance(value, list) and len(value) == 2 and all(isinstance(part, str) for part in value)):
            raise InputError(f"missing holds {str(value)[:80]}, expected [what, reason]")
    return [(what, reason) for what, reason in values]


def options_message(options: Options) -> dict[str, Any]:  # as JSON
    """Options for the message "analyze", files by absolute paths."""
    files = {"transcript": options.transcript, "asr_model": options.asr_model, "speakers": options.speakers}
    return {
        "subtitle": options.subtitle,
        "people": options.people,
        "segment": options.segment,
        "peak_rule": options.peak_rule,
        "audio_track": options.audio_track,
        "subtitle_track": options.subtitle_track,
        "encoding": options.encoding,
        "asr_language": options.asr_language,
        "asr_fallback": options.asr_fallback,
        "screen_text": options.screen_text,
        **{name: None if path is None else str(path.absolute()) for name, path in files.items()},
    }


def read_options(message: Mapping[str, Any]) -> Options:
    """What `options_message` made."""
    from emotion_llama.analysis.options import Options

    files = {name: message[name] for name in ("transcript", "asr_model", "speakers")}
    return Options(**{**message, **{name: None if path is None else Path(path) for name, path in files.items()}})
