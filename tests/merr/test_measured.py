"""What was measured, to bytes and back: exact, deterministic, and nothing unknown is let in."""

import io
import json
import zipfile
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from emotion_llama.errors import InputError
from emotion_llama.merr.measured import Measured, from_bytes, to_bytes
from emotion_llama.records import AU_NAMES, ActionUnits, FaceTrack, PeakFrame, Prosody, Tone, Transcript, TranscriptLine
from emotion_llama.results import Evidence, Missing

N = 7
RNG = np.random.default_rng(5)


def make_track(track_id: int) -> FaceTrack:
    valid = np.arange(N) % 3 > 0
    return FaceTrack(
        track_id, (640, 360), np.arange(N) / 29.97, np.arange(N) * 2, valid, RNG.random((N, 4)), RNG.random(N),
        RNG.random((N, 5, 2)), np.where(valid[:, None], RNG.random((N, 3)), np.nan), RNG.random((N, 80)), RNG.random(9),
    )  # fmt: skip


def make_measured() -> Measured:
    valid = np.arange(N) % 3 > 0
    units = ActionUnits(
        AU_NAMES, np.arange(N) / 29.97, np.where(valid[:, None], 5 * RNG.random((N, 17)), np.nan),
        np.where(valid, 0.9, 0.0), valid & (np.arange(N) == 4), ~valid, "person", "mesh",
    )  # fmt: skip
    peak = PeakFrame(3, 3 / 29.97, 0.1 + 0.2, "all", None, {"AU12": 3.0, "AU06": 1 / 3}, "because")
    prosody = Prosody(*([0.1] * 9), 1 / 3, 2, None, None, None, None, None, 7.5, "x")
    tone = Tone("loud, even voice", {"loud": "level -9 dB", "even": "range 2"})
    words = Transcript((TranscriptLine("你好 there", 0.5, None, "A"), TranscriptLine("bye")), "a.srt", "en")
    evidence = Evidence(units, peak, prosody, tone, words, (Missing("usual", "one segment"),), prosody)
    people = ((2, "in view", make_track(1)), (1, "smaller", make_track(0)), (3, "heard only", None))
    return Measured(evidence, people, {"voice": "x", "units": "mesh"}, ("a frame is damaged",))


def same(a: Any, b: Any) -> bool:
    """Equal to the last bit, through records and arrays; NaN equals NaN."""
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    if hasattr(a, "__dataclass_fields__"):
        return type(a) is type(b) and all(same(getattr(a, f.name), getattr(b, f.name)) for f in fields(a))
    if isinstance(a, tuple):
        return len(a) == len(b) and all(map(same, a, b))
    if hasattr(a, "items"):
        return list(a.items()) == list(b.items())  # the order says what is strongest
    return bool(a == b) and type(a) is type(b)


def test_everything_that_stages_read_comes_back_to_the_last_bit() -> None:
    measured = make_measured()
    back = from_bytes(to_bytes(measured))
    assert same(back.evidence, measured.evidence)
    assert back.sources == measured.sources
    assert back.warnings == measured.warnings
    assert back.num_seen == 2
    for mine, theirs in zip(measured.people, back.people, strict=True):
        assert mine[:2] == theirs[:2]
        if mine[2] is None:
            assert theirs[2] is None
            continue
        bare = replace(mine[2], shape_features=np.empty((N, 0)), appearance=np.empty(0))
        assert same(bare, theirs[2])  # the mesh's measurements and the descriptor are not kept


def test_equal_measurements_have_equal_bytes_and_a_changed_one_has_not() -> None:
    measured = make_measured()
    data = to_bytes(measured)
    assert to_bytes(from_bytes(data)) == data
    assert to_bytes(measured) == data
    assert to_bytes(replace(measured, warnings=())) != data
    reordered = replace(measured, sources=dict(reversed(measured.sources.items())))
    assert to_bytes(reordered) == data  # a mapping's order says nothing here


def test_a_voice_alone_and_nothing_at_all() -> None:
    heard = Measured(Evidence(missing=(Missing("action_units", "no video"),)), ((1, "heard", None),), {})
    back = from_bytes(to_bytes(heard))
    assert same(back.evidence, heard.evidence)
    assert back.track is None
    assert back.num_seen == 0
    assert from_bytes(to_bytes(Measured(Evidence(), (), {}))).people == ()


def test_people_of_another_program_count_without_tracks() -> None:
    units = make_measured().evidence.action_units
    measured = Measured(Evidence(action_units=units), ((1, "a", None), (2, "b", None)), {})
    assert measured.num_seen == 2


# --- refusals ---------------------------------------------------------------------------------------------------------


def rewritten(change: Any) -> bytes:
    """A stored clip with its header changed by `change(header, parts)`."""
    parts: dict[str, bytes] = {}
    with zipfile.ZipFile(io.BytesIO(to_bytes(make_measured()))) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    header = json.loads(parts.pop("header.json"))
    change(header, parts)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in {"header.json": json.dumps(header).encode(), **parts}.items():
            archive.writestr(name, data)
    return out.getvalue()


def object_array() -> bytes:
    out = io.BytesIO()
    np.save(out, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    return out.getvalue()


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda h, p: h.update(version=3), "version 3 came, expected 2; let the stage evidence run"),
        (lambda h, p: p.pop("1.npy"), "no measured clip: .*1.npy"),
        (lambda h, p: h["measured"].pop("evidence"), "no measured clip: .*evidence"),
        (lambda h, p: h["measured"].update(record="print"), "no measured clip: 'print'"),
        (lambda h, p: h["measured"]["evidence"].update(mood=1), "no measured clip: .*mood"),
        (lambda h, p: p.update({"1.npy": object_array()}), "no measured clip: .*allow_pickle=False"),
        (lambda h, p: p.update({"1.npy": b"no array"}), "no measured clip"),
    ],
)
def test_what_is_not_known_or_not_there_is_refused(change: Any, match: str) -> None:
    with pytest.raises(InputError, match=match):
        from_bytes(rewritten(change))


@pytest.mark.parametrize("data", [b"", b"PK", b"\x00" * 100])
def test_bytes_that_are_no_archive_are_refused(data: bytes) -> None:
    with pytest.raises(InputError, match="no measured clip"):
        from_bytes(data)


def test_presence_comes_with_its_names() -> None:
    units = make_measured().evidence.action_units
    assert units is not None
    with pytest.raises(ValueError, match="presence is"):
        replace(units, presence=np.zeros((N, 2)))
    known = replace(units, presence_names=("AU12", "AU28"), presence=np.eye(N, 2))
    measured = replace(make_measured(), evidence=Evidence(known))
    assert same(from_bytes(to_bytes(measured)).evidence, measured.evidence)
    assert known.between(0.0, 0.05).presence is not None
    assert np.array_equal(known.between(0.0, 0.05).presence, np.eye(N, 2)[:2])  # type: ignore[arg-type]


def test_a_file_cut_short_is_refused(tmp_path: Path) -> None:
    data = to_bytes(make_measured())
    for length in range(0, len(data), 997):
        with pytest.raises(InputError, match="no measured clip"):
            from_bytes(data[:length])
