"""What goes between processes and threads of the server: questions, samples, answers; as JSON and plain arrays.

Wire form: `ELW1`, the header's length (4 bytes, little-endian), the header (JSON: the message, and name, type and shape
of each array), then the arrays' values, row by row. Nothing of it is ever unpickled or evaluated, as the header of an
.npy file would be: a process that a hostile file has taken over can send wrong numbers, but no code.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from emotion_llama.errors import InputError
from emotion_llama.models.clips import ClipInputs
from emotion_llama.predictors.base import Sample
from emotion_llama.prompts.builder import Turn
from emotion_llama.prompts.cues import cue_text
from emotion_llama.prompts.tasks import TASKS, check_task
from emotion_llama.results import Cue, Evidence, Missing, Prediction
from emotion_llama.rules.tone_text import has_evidence

__all__ = [
    "Message",
    "Question",
    "Sample",
    "Turn",
    "loaded",
    "pack",
    "prediction_message",
    "read_prediction",
    "read_sample",
    "sample_message",
    "unpack",
]

Message = dict[str, Any]  # JSON, as it goes over the wire
Array = npt.NDArray[Any]
_Types = Mapping[str, type | tuple[type, ...]]

_MAGIC = b"ELW1"
# 2,000 crops of 112 pixels are 75 MB, a 4K frame is 25 MB, ten minutes of sound are 38 MB.
MAX_BYTES = 512 << 20
MAX_HEADER_BYTES = 64 << 20
_MAX_ARRAYS = 64
_MAX_AXES = 8
_TYPES = frozenset({"|u1", "|b1", "<f4", "<f8", "<i4", "<i8"})


@dataclass(frozen=True)
class Question:
    """A question in words about a clip.

    Attributes:
        instruction: what is asked; "" takes the task's own.
        task: a name of `prompts.TASKS`; None is free text, which needs an instruction.
        history: earlier turns of the chat, each with its answer.
        temperature: 0 takes the likeliest token each time; above it tokens are drawn.
        top_p: tokens are drawn among the likeliest that make up this share.
        max_new_tokens: longest answer.
        seed: the same for the same drawing; None draws anew.

    Raises:
        InputError: a number is out of range, the task is unknown, or nothing is asked.
    """

    instruction: str = ""
    task: str | None = None
    history: tuple[Turn, ...] = ()
    temperature: float = 0.0
    top_p: float = 1.0
    max_new_tokens: int = 200
    seed: int | None = None

    def __post_init__(self) -> None:
        has_own = self.task is not None and TASKS[check_task(self.task)] is not None
        if not has_own and not self.instruction.strip():
            raise InputError("nothing is asked; give an instruction, or a task that has its own")
        if not 0 <= self.temperature <= 10:
            raise InputError(f"temperature is {self.temperature}, expected 0 to 10")
        if not 0 < self.top_p <= 1:
            raise InputError(f"top_p is {self.top_p}, expected a number above 0, up to 1")
        if self.max_new_tokens < 1:
            raise InputError(f"max_new_tokens is {self.max_new_tokens}, expected 1 or more")


# --- wire form ------------------------------------------------------------------------------------------------------


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
            {"source": cue.source, "text": cue.text, "weights": dict(cue.weights), "origin": cue.origin}
            for cue in prediction.cues
        ],
        "problem": prediction.problem,
    }


def read_prediction(message: Mapping[str, Any]) -> Prediction:
    """What `prediction_message` made.

    Raises:
        InputError: a field is missing, unknown, or of another type, or the fields contradict each other.
    """
    text = (str, type(None))
    types: _Types = {
        "label": text, "probabilities": (dict, type(None)), "reasoning": str, "raw_text": str, "model": str,
        "cues": list, "problem": text,
    }  # fmt: skip
    _check_fields("an answer", message, types)
    try:
        cues = tuple(Cue(**cue) for cue in message["cues"])
        return Prediction(**{**message, "cues": cues})
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
