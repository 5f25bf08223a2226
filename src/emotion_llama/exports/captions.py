"""SubRip and WebVTT: what is said, each line with the label of its stretch."""

from __future__ import annotations

from emotion_llama.exports.tiers import label_of
from emotion_llama.schema import AnalysisDocument


def srt(document: AnalysisDocument, clip: str) -> str:
    """SubRip text."""
    cues = [f"{i}\n{_time(a, ',')} --> {_time(b, ',')}\n{text}\n" for i, (a, b, text) in enumerate(_cues(document), 1)]
    return "\n".join(cues)


def vtt(document: AnalysisDocument, clip: str) -> str:
    """WebVTT text."""
    escaped = [
        (a, b, text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")) for a, b, text in _cues(document)
    ]
    return "\n".join(["WEBVTT\n", *(f"{_time(a, '.')} --> {_time(b, '.')}\n{text}\n" for a, b, text in escaped)])


def _cues(document: AnalysisDocument) -> list[tuple[float, float, str]]:
    """Start, end and text in order of time; a stretch without words has its label alone."""
    cues = []
    for person in document.people:
        who = f"Person {person.person_id}: " if len(document.people) > 1 else ""
        for segment in person.segments:
            label = label_of(segment)
            words = segment.evidence.transcript
            lines = [
                (segment.start_seconds if one.start_seconds is None else one.start_seconds,
                 segment.end_seconds if one.end_seconds is None else one.end_seconds, one.text)
                for one in (words.lines if words else ())
            ]  # fmt: skip
            for start, end, text in lines or [(segment.start_seconds, segment.end_seconds, "")]:
                said = " ".join(text.split())  # an empty line would end the cue
                cues.append((start, end, f"{who}{said} [{label}]".replace("  ", " ").replace("-->", "->")))
    return sorted(cues)


def _time(seconds: float, point: str) -> str:
    thousandths = round(seconds * 1000)
    hours, rest = divmod(thousandths, 3_600_000)
    minutes, rest = divmod(rest, 60_000)
    return f"{hours:02d}:{minutes:02d}:{rest // 1000:02d}{point}{rest % 1000:03d}"
