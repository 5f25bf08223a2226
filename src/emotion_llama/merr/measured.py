"""What was measured of a clip as bytes and back, exactly: the artifact "evidence" that all later stages read.

The bytes are a zip of arrays (.npy, uncompressed) with one JSON text of the records around them. They depend on the
values alone, not on time, machine or zlib, so that equal measurements have equal hashes.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

import numpy as np

from emotion_llama.errors import InputError
from emotion_llama.records import (
    ActionUnits,
    FaceTrack,
    PeakFrame,
    Prosody,
    Tone,
    Transcript,
    TranscriptLine,
)
from emotion_llama.results import Analysis, Evidence, Missing
from emotion_llama.speech.transcribe import Word

VERSION = 2
_HEADER = "header.json"
Arrays = list[np.ndarray[Any, np.dtype[Any]]]


# A person's number, why they have it, and their track: None for a voice alone, and where another program measured.
Person = tuple[int, str, FaceTrack | None]


@dataclass(frozen=True, repr=False)
class Measured:
    """A clip as measured."""

    evidence: Evidence  # of the main person, over the whole clip
    people: tuple[Person, ...]  # the main person first; tracks have no shape features ([N, 0]) and no appearance ([0])
    sources: dict[str, str]  # what measured, such as {"units": "onnx_mesh"}
    warnings: tuple[str, ...] = ()  # what was damaged in the file

    @property
    def track(self) -> FaceTrack | None:
        """The main person's."""
        return self.people[0][2] if self.people else None

    @property
    def num_seen(self) -> int:
        """How many people are in view at some time; None of them is only heard."""
        if self.track is None and self.evidence.action_units is not None:
            return len(self.people)  # another program's people, who have no tracks
        return sum(track is not None for _, _, track in self.people)

    def __repr__(self) -> str:
        return f"Measured({self.evidence!r}, {len(self.people)} people)"


def from_analysis(analysis: Analysis) -> Measured:
    """The measurements of an analysis of the whole clip as one segment."""
    evidence = analysis.people[0].segments[0].evidence
    units = evidence.action_units
    sources = {} if units is None else {"units": units.source}
    sources |= {} if evidence.prosody is None else {"voice": evidence.prosody.backend}
    people = tuple((p.person_id, p.why, p.track) for p in analysis.people)
    return Measured(evidence, people, sources, analysis.warnings)


def to_bytes(measured: Measured) -> bytes:
    """The measurements as bytes; equal measurements give equal bytes."""
    arrays: Arrays = []
    people = tuple((number, why, None if track is None else _bare(track)) for number, why, track in measured.people)
    measured = replace(measured, people=people, sources=dict(sorted(measured.sources.items())))
    header = {"version": VERSION, "measured": _plain(measured, arrays)}
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(_member(_HEADER), json.dumps(header, ensure_ascii=False, sort_keys=True))
        for number, array in enumerate(arrays):
            part = io.BytesIO()
            np.save(part, np.ascontiguousarray(array), allow_pickle=False)
            archive.writestr(_member(f"{number}.npy"), part.getvalue())
    return out.getvalue()


def from_bytes(data: bytes) -> Measured:
    """What `to_bytes` wrote; InputError where the bytes are damaged, or of another version."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            header = json.loads(archive.read(_HEADER))
            if header["version"] != VERSION:
                raise ValueError(f"version {header['version']} came, expected {VERSION}")
            found = _record(header["measured"], archive)
        if not isinstance(found, Measured):
            raise TypeError(f"a {type(found).__name__} came")
        return found
    except (zipfile.BadZipFile, KeyError, TypeError, ValueError, EOFError) as error:
        raise InputError(f"no measured clip: {error}; let the stage evidence run again") from None


def _member(name: str) -> zipfile.ZipInfo:
    """An entry without a clock (its date is 1980, ZipInfo's default) and without a mark of the system."""
    info = zipfile.ZipInfo(name)
    info.create_system = 3
    return info


def _bare(track: FaceTrack) -> FaceTrack:
    """The mesh's measurements went into the units, and the descriptor into the tracks: they are left out."""
    features = np.empty((len(track.valid), 0))
    return replace(track, shape_features=features, appearance=np.empty(0), blendshapes=None, lip_contrast=None)


_RECORDS: dict[str, Any] = {
    one.__name__: one
    for one in (
        Measured, Evidence, ActionUnits, FaceTrack, PeakFrame, Prosody, Tone, Transcript, TranscriptLine, Word, Missing,
    )
}  # fmt: skip


def _plain(value: Any, arrays: Arrays) -> Any:
    """A record as JSON values; its arrays go to `arrays`."""
    if isinstance(value, np.ndarray):
        arrays.append(value)
        return {"array": len(arrays) - 1}
    names = [field.name for field in fields(value)] if is_dataclass(value) else getattr(value, "_fields", None)
    if names is not None:
        return {"record": type(value).__name__, **{name: _plain(getattr(value, name), arrays) for name in names}}
    if isinstance(value, Mapping):
        return {"pairs": [[key, _plain(item, arrays)] for key, item in value.items()]}  # their order counts
    if isinstance(value, (list, tuple)):
        return [_plain(item, arrays) for item in value]
    return value.item() if isinstance(value, np.generic) else value


def _record(stored: Any, archive: zipfile.ZipFile) -> Any:
    """The inverse of `_plain`."""
    if isinstance(stored, list):
        return tuple(_record(item, archive) for item in stored)
    if not isinstance(stored, dict):
        return stored
    if "array" in stored:
        return np.load(io.BytesIO(archive.read(f"{stored['array']}.npy")), allow_pickle=False)
    if "pairs" in stored:
        return {key: _record(item, archive) for key, item in stored["pairs"]}
    values = {name: _record(item, archive) for name, item in stored.items() if name != "record"}
    return _RECORDS[stored["record"]](**values)
