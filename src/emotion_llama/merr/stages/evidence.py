"""Stages evidence and subtitle: one pass of the Analyzer over a clip, kept as artifacts; and what is said in it.

Beside them stands what all later stages share: reading the measurements, and fields that may be missing.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from emotion_llama.errors import InputError, MediaError
from emotion_llama.media.encoded import write_wav
from emotion_llama.merr.measured import Measured, from_analysis, from_bytes, to_bytes
from emotion_llama.merr.recipe import EvidencePart
from emotion_llama.merr.records import ClipRow, Field, Json, Provenance, now, to_json
from emotion_llama.merr.stage import ClipStage, StageInput, StageOutput
from emotion_llama.records import Transcript, Waveform
from emotion_llama.results import Evidence

if TYPE_CHECKING:
    from emotion_llama.analysis.analyzer import Analyzer
    from emotion_llama.analysis.options import Options
    from emotion_llama.media.reader import ClipFile
    from emotion_llama.merr.recipe import Recipe
    from emotion_llama.results import Analysis

EVIDENCE, SOUND = "evidence", "sound"  # artifacts

# One Analyzer a thread, kept from clip to clip: starting the face backend takes as long as measuring a short clip. It
# keeps no state between clips (it resets the backend at each), which a test holds it to; and what is kept belongs to
# the thread, since a backend must not be shared between threads.
_KEPT = threading.local()


class EvidenceStage(ClipStage):
    """Measures a clip. Fields people, prosody, tone; artifacts evidence (`measured.py`) and sound (16 kHz PCM16)."""

    name = "evidence"
    version = 3
    reads_clip = ("given_subtitle", "subtitle_source", "subtitle_language")
    pool = "process"

    def __init__(self, recipe: Recipe) -> None:
        self.part = recipe.evidence
        from emotion_llama.analysis.options import file_and_hash

        units, asr_model = self.part.units, self.part.asr_model
        self.settings = {
            **self.part.model_dump(mode="json"),
            "face_model": file_and_hash(self.part.face_model),
            "units": _folder_facts(Path(units)) if units and Path(units).is_dir() else units,
            "asr_model": None if asr_model is None else _folder_facts(asr_model),
        }

    def one(self, item: StageInput) -> StageOutput:
        """See `ClipStage`."""
        if item.clip.path is None:
            raise InputError(f"{item.clip.clip_id}: it was imported without a media file; name the folder that has it")
        with same_clip(item.clip) as file:
            analysis = analyzer_of(self.part).run(file, self._options(item.clip), keep_waveform=True)
        measured = from_analysis(analysis)
        measured = replace(measured, evidence=_with_word_source(measured.evidence, item.clip))
        artifacts = {f"{EVIDENCE}.npz": to_bytes(measured)}
        if analysis.clip.audio is not None:
            sound = analysis.waveform or Waveform(np.empty(0, np.float32))
            artifacts[f"{SOUND}.wav"] = write_wav(sound.samples, sound.sample_rate_hz)
        return StageOutput(_fields(measured, analysis), artifacts)

    def _options(self, clip: ClipRow) -> Options:
        from emotion_llama.analysis.options import Options

        # Without given words only the recogniser may be asked: a file beside the clip was looked for at ingest.
        given = clip.given_subtitle
        if given is not None or (self.part.asr_model is None and not self.part.screen_text):
            return Options(subtitle=given or "", people="all")
        return Options(asr_model=self.part.asr_model, screen_text=self.part.screen_text, people="all")


class SubtitleStage(ClipStage):
    """Field subtitle: {"text", "source", "language"}."""

    name = "subtitle"
    needs = ("evidence",)
    reads_artifacts = (EVIDENCE,)
    reads_clip = ("given_subtitle",)

    def __init__(self) -> None:
        self.settings = {}

    def one(self, item: StageInput) -> StageOutput:
        """See `ClipStage`."""
        evidence = measured_of(item).evidence
        words = evidence.transcript
        text = "" if words is None else " ".join(words.text.split())
        if words is None or not text:
            why = evidence.why_missing("transcript") or "nothing is said"
            return StageOutput((field("subtitle", None, Provenance("measured", "words", made_at=now()), why),))
        is_heard = item.clip.given_subtitle is None
        provenance = Provenance("measured" if is_heard else "given", words.source, made_at=now())
        value: Json = {"text": text, "source": words.source, "language": words.language}
        return StageOutput((Field("subtitle", value, provenance),))


def measured_of(item: StageInput) -> Measured:
    """What was measured of the clip; InputError where the artifact is not there or cannot be read."""
    data = item.artifacts.get(EVIDENCE)
    if data is None:
        raise InputError(f"{item.clip.clip_id}: its measurements are gone; build again")
    return _kept(data)


_kept = lru_cache(maxsize=8)(from_bytes)  # the next stages of a clip come soon, in the same process


def field(name: str, value: Json, provenance: Provenance, why_missing: str | None = None) -> Field:
    """A field without a language; the reason counts only where there is no value."""
    return Field(name, value, provenance, why_missing=why_missing or "not measured" if value is None else None)


def analyzer_of(part: EvidencePart) -> Analyzer:
    """This thread's Analyzer with these settings."""
    from emotion_llama.analysis import Analyzer

    key = part.model_dump_json()
    kept: Analyzer | None = getattr(_KEPT, "analyzer", None)
    if kept is not None and _KEPT.key != key:
        kept.close()
        kept = None
    if kept is None:
        kept = Analyzer.load(
            "rules",
            faces=part.faces,
            face_model=part.face_model,
            units=part.units,
            voice=part.voice,
            max_side=part.max_side,
            max_fps=part.max_fps,
        )
        _KEPT.analyzer, _KEPT.key = kept, key
    return kept


@contextmanager
def same_clip(clip: ClipRow) -> Iterator[ClipFile]:
    """A clip's file, open; MediaError where it is not the one that was taken in."""
    from emotion_llama.media.probe import open_clip

    with open_clip(clip.path or "", warn=lambda line: None) as file:
        if file.clip.sha256 != clip.sha256:
            raise MediaError(file.path, "the file is not the one that was taken in", "build again")
        yield file


def _with_word_source(evidence: Evidence, clip: ClipRow) -> Evidence:
    words = evidence.transcript
    if clip.given_subtitle is None:
        reason = "no words came with the clip, none lie beside it, and no recogniser was asked for"
        empty = ("transcript", "the given subtitle is empty")
        missing = tuple(replace(m, reason=reason) if (m.what, m.reason) == empty else m for m in evidence.missing)
        return replace(evidence, missing=missing)
    if words is None:
        return evidence
    said = Transcript(words.lines, clip.subtitle_source or "given", clip.subtitle_language)
    return replace(evidence, transcript=said)


def _fields(measured: Measured, analysis: Analysis) -> tuple[Field, ...]:
    evidence, seconds = measured.evidence, sum(analysis.seconds_by_stage.values())
    made = now()
    sources = {
        what: Provenance("measured", who, made_at=made, seconds=seconds) for what, who in measured.sources.items()
    }
    nothing = Provenance("measured", "nothing found", made_at=made, seconds=seconds)
    face, voice = sources.get("units", nothing), sources.get("voice", nothing)
    prosody, tone = evidence.prosody, evidence.tone
    why_no_voice = evidence.why_missing("prosody")
    has_video = analysis.clip.video is not None
    return (
        field("people", _people(measured) if has_video else None, face, "the file has no video"),
        field("prosody", None if prosody is None else to_json(prosody), voice, why_no_voice),
        field("tone", None if tone is None else to_json(tone), voice, evidence.why_missing("tone") or why_no_voice),
    )


def _people(measured: Measured) -> Json:
    """Counts and shares of analysed frames; by units where another program found the faces."""
    units, track = measured.evidence.action_units, measured.track
    seen = track.valid if track is not None else units.valid if units is not None else np.empty(0, bool)
    return {
        "count": measured.num_seen,
        "main_person": measured.people[0][0] if measured.num_seen else None,
        "why_main": measured.people[0][1] if measured.num_seen else None,
        "num_frames": len(seen) if len(seen) else None,
        "main_share": float(seen.mean()) if len(seen) else 0.0,
    }


def _folder_facts(folder: Path) -> list[list[object]] | str:
    """Names, sizes and times of what lies in a folder: a changed file makes the clips be measured again."""
    if not folder.is_dir():
        return str(folder)
    found = sorted((path for path in folder.iterdir() if path.is_file()), key=lambda path: path.name)
    return [[path.name, path.stat().st_size, path.stat().st_mtime_ns] for path in found]
