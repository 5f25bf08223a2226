"""What was measured of a clip as bytes and back, exactly: the artifact "evidence" that all later stages read.

The bytes are a zip of arrays (.npy, uncompressed) with one JSON text, as `numpy.savez` writes it. They depend on the
values alone, not on time, machine or zlib, so that equal measurements have equal hashes.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
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

FORMAT, VERSION = "emotion-llama measured clip", 1
_HEADER = "header.json"
# Of a FaceTrack. The mesh's measurements went into the units, and the descriptor into the tracks: both are left out.
_TRACK_ARRAYS = ("pts_seconds", "frame_index", "valid", "boxes_xyxy", "scores", "points", "head_pose_degrees")
_UNIT_ARRAYS = ("pts_seconds", "intensity", "confidence", "is_blink", "is_speech")
Arrays = dict[str, np.ndarray[Any, np.dtype[Any]]]


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
    arrays: Arrays = {}
    header = {
        "format": FORMAT,
        "version": VERSION,
        "evidence": _evidence_json(measured.evidence, arrays),
        "people": [_person_json(i, person, arrays) for i, person in enumerate(measured.people)],
        "sources": dict(sorted(measured.sources.items())),
        "warnings": list(measured.warnings),
    }
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(_member(_HEADER), json.dumps(header, ensure_ascii=False, sort_keys=True))
        for name in sorted(arrays):
            part = io.BytesIO()
            np.save(part, np.ascontiguousarray(arrays[name]), allow_pickle=False)
            archive.writestr(_member(f"{name}.npy"), part.getvalue())
    return out.getvalue()


def from_bytes(data: bytes) -> Measured:
    """What `to_bytes` wrote.

    Raises:
        InputError: the bytes are damaged, or of another version.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            header = json.loads(archive.read(_HEADER))
            names = [name for name in archive.namelist() if name != _HEADER]
            arrays: Arrays = {
                name.removesuffix(".npy"): np.load(io.BytesIO(archive.read(name)), allow_pickle=False) for name in names
            }
        if header["version"] != VERSION:
            raise ValueError(f"version {header['version']} came, expected {VERSION}")
        people = tuple(_person(i, person, arrays) for i, person in enumerate(header["people"]))
        return Measured(_evidence(header["evidence"], arrays), people, header["sources"], tuple(header["warnings"]))
    except (zipfile.BadZipFile, KeyError, TypeError, ValueError, EOFError) as error:
        raise InputError(f"no measured clip: {error}; let the stage evidence run again") from None


def _member(name: str) -> zipfile.ZipInfo:
    """An entry without a clock (its date is 1980, ZipInfo's default) and without a mark of the system."""
    info = zipfile.ZipInfo(name)
    info.create_system = 3
    return info


# --- out --------------------------------------------------------------------------------------------------------------


def _evidence_json(evidence: Evidence, arrays: Arrays) -> dict[str, object]:
    units, tone, words = evidence.action_units, evidence.tone, evidence.transcript
    stored: dict[str, object] = {}
    if units is not None:
        stored = {"names": units.names, "neutral": units.neutral, "source": units.source}
        arrays |= {f"units.{name}": getattr(units, name) for name in _UNIT_ARRAYS}
        if units.presence is not None:
            stored["presence_names"] = units.presence_names
            arrays["units.presence"] = units.presence
    return {
        "action_units": None if units is None else stored,
        "peak_frame": _record_json(evidence.peak_frame),
        "prosody": _record_json(evidence.prosody),
        "tone": None if tone is None else {"phrase": tone.phrase, "words": list(tone.words.items())},  # in order
        "transcript": None if words is None else asdict(words),
        "missing": [asdict(missing) for missing in evidence.missing],
        "usual": _record_json(evidence.usual),
    }


def _record_json(record: PeakFrame | Prosody | None) -> dict[str, object] | None:
    return None if record is None else {f.name: _plain(getattr(record, f.name)) for f in fields(record)}


def _person_json(number: int, person: Person, arrays: Arrays) -> dict[str, object]:
    person_id, why, track = person
    if track is not None:
        arrays |= {f"track{number}.{name}": getattr(track, name) for name in _TRACK_ARRAYS}
    stored = None if track is None else {"track_id": track.track_id, "frame_size": list(track.frame_size)}
    return {"person_id": person_id, "why": why, "track": stored}


def _plain(value: Any) -> Any:  # a field of a record as a JSON value
    if hasattr(value, "items"):
        return [[key, _plain(item)] for key, item in value.items()]  # pairs: their order says which is strongest
    return value.item() if isinstance(value, np.generic) else value


# --- in ---------------------------------------------------------------------------------------------------------------


def _evidence(stored: dict[str, Any], arrays: Arrays) -> Evidence:
    units, peak, tone = stored["action_units"], stored["peak_frame"], stored["tone"]
    prosody, usual, words = stored["prosody"], stored["usual"], stored["transcript"]
    lines = tuple(_line(**line) for line in words["lines"]) if words else ()
    return Evidence(
        None if units is None else _units(units, arrays),
        None if peak is None else PeakFrame(**{**peak, "units": dict(peak["units"])}),
        None if prosody is None else Prosody(**prosody),
        None if tone is None else Tone(tone["phrase"], dict(tone["words"])),
        None if words is None else Transcript(**{**words, "lines": lines, "notes": tuple(words["notes"])}),
        tuple(Missing(**missing) for missing in stored["missing"]),
        None if usual is None else Prosody(**usual),
    )


def _line(*, words: Sequence[Sequence[Any]] = (), **stored: Any) -> TranscriptLine:  # fields of the record
    return TranscriptLine(**stored, words=tuple(Word(*word) for word in words))


def _units(stored: dict[str, Any], arrays: Arrays) -> ActionUnits:
    return ActionUnits(
        names=tuple(stored["names"]),
        neutral=stored["neutral"],
        source=stored["source"],
        presence_names=tuple(stored.get("presence_names", ())),
        presence=arrays.get("units.presence"),
        **{name: arrays[f"units.{name}"] for name in _UNIT_ARRAYS},
    )


def _person(number: int, stored: dict[str, Any], arrays: Arrays) -> Person:
    track = stored["track"]
    if track is None:
        return stored["person_id"], stored["why"], None
    found = {name: arrays[f"track{number}.{name}"] for name in _TRACK_ARRAYS}
    width, height = track["frame_size"]
    whole = FaceTrack(
        track_id=track["track_id"],
        frame_size=(width, height),
        shape_features=np.empty((len(found["valid"]), 0)),
        appearance=np.empty(0),
        **found,
    )
    return stored["person_id"], stored["why"], whole
