"""What crosses the pipe: the same on the other side, and nothing but JSON and plain arrays."""

import json
import math

import numpy as np
import pytest

from emotion_llama.errors import InputError
from emotion_llama.models.clips import ClipInputs
from emotion_llama.predictors.base import Sample
from emotion_llama.results import Cue, Evidence, Missing, Prediction
from emotion_llama.serve.workers import protocol
from emotion_llama.serve.workers.protocol import (
    pack,
    prediction_message,
    read_prediction,
    read_sample,
    sample_message,
    unpack,
)

DRAW = np.random.default_rng(5)
FRAME = DRAW.integers(0, 255, (6, 5, 3), np.uint8)
INPUTS = ClipInputs(FRAME, DRAW.integers(0, 255, (2, 4, 4, 3), np.uint8), DRAW.normal(size=30).astype(np.float32))
SEEN = Sample(None, INPUTS, None, "你好, how nice", "Measured cues.", "abc")


def wire(header: object, *arrays: bytes) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return b"".join([b"ELW1", len(text).to_bytes(4, "little"), text, *arrays])


def test_arrays_and_message_come_out_as_they_went_in() -> None:
    arrays = {
        "frame": FRAME, "empty": np.zeros((0, 112, 112, 3), np.uint8), "flags": np.array([True, False]),
        "turned": np.arange(6.0).reshape(2, 3).T, "one": np.array(3, np.int64), "many": np.array([math.nan, 1.0]),
    }  # fmt: skip
    message, found = unpack(pack({"a": [1, None, "ü"], "b": {"c": 0.1}}, arrays))  # type: ignore[arg-type]
    assert message == {"a": [1, None, "ü"], "b": {"c": 0.1}}
    assert list(found) == list(arrays)
    for name, array in arrays.items():
        assert array is not None
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array, strict=True)
    assert unpack(pack({})) == ({}, {})


def test_a_sample_comes_out_as_it_went_in() -> None:
    found = read_sample(*unpack(pack(*sample_message(SEEN))))
    for name in ("sample_id", "transcript", "cues", "evidence"):
        assert getattr(found, name) == getattr(SEEN, name)
    for name in ("image", "faces", "samples"):
        np.testing.assert_array_equal(getattr(found.inputs, name), getattr(INPUTS, name), strict=True)
    nothing = (Missing("frame", "no video"), Missing("faces", "nobody"), Missing("sound", "silent"))
    bare = Sample(Evidence(), ClipInputs(missing=nothing), cues="")
    found = read_sample(*unpack(pack(*sample_message(bare))))
    assert found.inputs is not None
    assert (found.inputs.present, found.inputs.missing) == ((False,) * 4, nothing)
    assert (found.evidence, found.transcript) == (Evidence(), None)


@pytest.mark.parametrize(
    "prediction",
    [
        Prediction("sad", {"sad": 0.75, "happy": 0.25}, "Why.", "why", "toy"),
        Prediction("sad", None, "", "", "toy", (Cue("face", "a smile", {"happy": 1.5}, "published"),)),
        Prediction(None, None, "", "", "toy", problem="nobody"),
    ],
)
def test_answers_come_out_as_they_went_in(prediction: Prediction) -> None:
    message, _ = unpack(pack(prediction_message(prediction)))
    assert read_prediction(message) == prediction


# --- what is refused ------------------------------------------------------------------------------------------------


def test_objects_are_neither_sent_nor_made() -> None:
    with pytest.raises(InputError, match=r"array 'a' is of type object, expected one of <f4"):
        pack({}, {"a": np.array([object()])})
    for kind in ("|O", "O", "<U4", "|V8", ">f4", "f4,f4", "object"):
        with pytest.raises(InputError, match="arrays are listed as"):
            unpack(wire({"message": {}, "arrays": [["a", kind, [1]]]}, bytes(8)))


def test_a_shape_is_not_believed() -> None:
    """A header of a few bytes may claim terabytes, or numbers that overflow to few."""
    for shape in ([9, 9], [2**39, 2**39], [2**39] * 8, [2**32, 2**32], [2**62, 2**62, 0], [2**39, 0], [10**30]):
        with pytest.raises(InputError, match=r"array 'a' claims the shape .*, 80 bytes are left"):
            unpack(wire({"message": {}, "arrays": [["a", "|u1", shape]]}, bytes(80)))


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"", "does not begin as one of ours"),
        (b"PK\x03\x04aaaaaaaa", "does not begin as one of ours"),
        (wire({"message": {}, "arrays": []})[:-3], "the message's header claims"),
        (b"ELW1\xff\xff\xff\xff{}", "the message's header claims 4294967295 bytes of 2"),
        (wire(b"{"), "header is not JSON"),
        (wire(b'{"message": {"x": NaN}, "arrays": []}'), "header is not JSON: NaN is no JSON"),
        (wire(b"[" * 100_000), "header is not JSON"),
        (wire(b"\xff"), "header is not JSON"),
        (wire([]), "must hold exactly `message` and `arrays`"),
        (wire({"message": {}, "arrays": [], "more": 1}), "must hold exactly"),
        (wire({"message": [], "arrays": []}), "a message is an object with a list of up to 64 arrays"),
        (wire({"message": {}, "arrays": [["a", "|u1", [0]]] * 65}), "a list of up to 64 arrays"),
        (wire({"message": {}, "arrays": [["a", "|u1", [-1]]]}), "arrays are listed as"),
        (wire({"message": {}, "arrays": [["a", "|u1", [True]]]}), "arrays are listed as"),
        (wire({"message": {}, "arrays": [["a", "|u1", [1.0]]]}), "arrays are listed as"),
        (wire({"message": {}, "arrays": [["a", "|u1", [1] * 9]]}, b"a"), "arrays are listed as"),
        (wire({"message": {}, "arrays": [["a", "|u1"]]}), "arrays are listed as"),
        (wire({"message": {}, "arrays": [[1, "|u1", [1]]]}, b"a"), "arrays are listed as"),
        (wire({"message": {}, "arrays": [["a", "|u1", [1]], ["a", "|u1", [1]]]}, b"ab"), "each name once"),
        (wire({"message": {}, "arrays": [["a", "<f4", [2]]]}, bytes(7)), r"array 'a' claims the shape \[2\], 7 bytes"),
        (wire({"message": {}, "arrays": []}, b"abc"), "3 bytes follow the message's last array"),
    ],
)
def test_other_bytes_are_refused(data: bytes, told: str) -> None:
    with pytest.raises(InputError, match=told):
        unpack(data)


def test_sizes_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    data = pack({"a": "b" * 100})
    with pytest.raises(InputError, match=f"the message is {len(data)} bytes long, up to 99 are taken"):
        unpack(data, max_bytes=99)
    monkeypatch.setattr(protocol, "MAX_BYTES", 99)
    with pytest.raises(InputError, match="bytes long, up to 99 are sent; cut the clip"):
        pack({"a": "b" * 100})
    monkeypatch.setattr(protocol, "MAX_HEADER_BYTES", 50)
    with pytest.raises(InputError, match="the message's header claims"):
        unpack(data)


def test_what_is_no_json_is_not_sent() -> None:
    with pytest.raises(InputError, match="the message cannot be sent as JSON: Out of range float"):
        pack({"a": math.nan})
    with pytest.raises(InputError, match="the message cannot be sent as JSON: Object of type"):
        pack({"a": object()})


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"transcript": 3}, "a sample: transcript is a int"),
        ({"has_evidence": 1}, "a sample: has_evidence is a int"),
        ({"missing": [["a"]]}, "missing holds"),
        ({"more": 1}, "a sample has the fields"),
    ],
)
def test_messages_of_other_fields_are_refused(changes: dict[str, object], told: str) -> None:
    message, arrays = sample_message(SEEN)
    with pytest.raises(InputError, match=told):
        read_sample({**message, **changes}, arrays)


def test_other_arrays_are_refused() -> None:
    message, arrays = sample_message(SEEN)
    with pytest.raises(InputError, match="there is no faces, and `missing` gives no reason"):
        read_sample(message, {name: arrays[name] for name in ("frame", "sound")})
    with pytest.raises(InputError, match="has the arrays"):
        read_sample(message, {**arrays, "more": arrays["faces"]})


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"probabilities": {"sad": 0.5}}, "the message is no answer: probabilities must sum to 1"),
        ({"probabilities": {"sad": "1"}}, "the message is no answer"),
        ({"cues": [{"source": "face"}]}, "the message is no answer"),
        ({"reasoning": None}, "an answer: reasoning is a NoneType"),
        ({"more": ""}, "an answer has the fields"),
    ],
)
def test_answers_of_other_fields_are_refused(changes: dict[str, object], told: str) -> None:
    message = prediction_message(Prediction("sad", {"sad": 1.0}, "", "", "toy"))
    with pytest.raises(InputError, match=told):
        read_prediction({**message, **changes})
