"""Who speaks when: turns from an RTTM file, from the speakers of lines, or from a clear change of pitch."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import fields, replace
from itertools import groupby
from pathlib import Path

import numpy as np

from emotion_llama.errors import InputError
from emotion_llama.records import Bool, Float, Transcript, TranscriptLine, VoiceTrack
from emotion_llama.results import Turn
from emotion_llama.speech.activity import HOP_SECONDS, runs
from emotion_llama.speech.prosody import to_semitones
from emotion_llama.tables import read_utf8

EXPECTED = "SPEAKER clip 1 12.3 1.5 <NA> <NA> anna <NA> <NA>"
# The other types of the format (NIST RT-09 evaluation plan, appendix A), which say nothing of who speaks when.
_OTHER_TYPES = frozenset({
    "SEGMENT", "NOSCORE", "NO_RT_METADATA", "LEXEME", "NON-LEX", "NON-SPEECH", "FILLER", "EDIT", "IP", "SU", "CB",
    "A/P", "SPKR-INFO",
})  # fmt: skip
_MAX_NAMED = 3
# Another voice, by pitch alone: the medians of stretches fall into two groups that are farther apart than one voice
# moves from sentence to sentence, and both are heard for long enough. Own choice, made to miss rather than to invent:
# five voices reading (benchmarks/prosody_agreement.py) stay within 6 semitones from stretch to stretch.
MIN_GAP_SEMITONES, MAX_SPREAD_SEMITONES = 7.0, 5.0
MIN_VOICED_SECONDS, MIN_GROUP_SECONDS = 0.4, 1.0
JOINED_SECONDS = 0.25  # pauses that are shorter part no stretches


def read_rttm(path: Path, clip_name: str, duration_seconds: float) -> tuple[list[Turn], list[str]]:
    """The turns of one clip in a file of speaker turns (RTTM), in order of time; and what was left out, a line each.

    Args:
        path: the file, of one recording or of many.
        clip_name: the recording's name in it, the clip's without its suffix. A file of one recording of another name
            is taken all the same, which is said.
        duration_seconds: of the clip; turns beyond its end are left out, one that goes past it is cut.

    Raises:
        InputError: the file cannot be read, or no line of it is a speaker's turn.
    """
    turns, bad = [], []
    for number, line in enumerate(read_utf8(path).splitlines(), 1):
        kind = (line.split() or [";;"])[0].upper()
        if kind.startswith(";;") or kind in _OTHER_TYPES:
            continue
        turn = _turn(line.split()) if kind == "SPEAKER" else None
        if turn is None:
            bad.append(number)
        else:
            turns.append(turn)
    if not turns:
        came = f"{len(bad)} lines that are none, the first is line {bad[0]}" if bad else "none"
        raise InputError(f"{path}: expected speakers' turns such as {EXPECTED!r}, got {came}")
    notes = [f"{_counted(len(bad), 'line')} could not be read, the first is line {bad[0]}"] if bad else []
    names = Counter(name for name, _ in turns)
    own = next((name for name in names if _plain(name) == _plain(clip_name)), None)
    if own is None and len(names) == 1:
        own = next(iter(names))
        notes.append(f"the recording is called {own!r}, not {clip_name!r}; its turns are taken for this clip")
    others = [name for name in names if name != own]
    if others:
        count = sum(names[name] for name in others)
        notes.append(f"{_counted(count, 'turn')} of other recordings left out ({_listed(others)})")
    found = [turn for name, turn in turns if name == own]
    inside = [turn for turn in found if turn.start_seconds < duration_seconds]
    if len(inside) < len(found):
        notes.append(
            f"{_counted(len(found) - len(inside), 'turn')} beyond the clip's {duration_seconds:.2f} s left out"
        )
    inside = [turn._replace(end_seconds=min(turn.end_seconds, duration_seconds)) for turn in inside]
    return sorted(inside), [f"{path.name}: {note}" for note in notes]


def _turn(fields: Sequence[str]) -> tuple[str, Turn] | None:
    """The recording's name and the turn; None where the line is no turn."""
    try:
        start, length, speaker = float(fields[3]), float(fields[4]), fields[7]
    except (IndexError, ValueError):
        return None
    if not (math.isfinite(start) and math.isfinite(length) and start >= 0 and length > 0) or speaker == "<NA>":
        return None
    return fields[1], Turn(start, start + length, speaker)


def _plain(name: str) -> str:
    """Names hold no blanks in this format."""
    return name.casefold().replace(" ", "_")


def _counted(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:_MAX_NAMED]) + (", ..." if len(names) > _MAX_NAMED else "")


def line_turns(transcript: Transcript) -> list[Turn]:
    """The turns of lines that name their speaker and their time; none where fewer than two speakers are named."""
    named = [
        Turn(line.start_seconds, line.end_seconds, line.speaker)
        for line in transcript.lines
        if line.speaker is not None and line.start_seconds is not None and line.end_seconds is not None
    ]
    return sorted(named) if len({turn.speaker for turn in named}) > 1 else []


def pitch_turns(voice: VoiceTrack) -> list[Turn]:
    """The turns of two voices whose pitch is clearly apart, the first heard is "voice 1"; none where it is not."""
    stretches = _stretches(voice)
    semitones = to_semitones(voice.f0_hz)
    pitches, seconds, spans = [], [], []
    for first, stop in stretches:
        voiced = semitones[first:stop][np.isfinite(semitones[first:stop])]
        if len(voiced) * HOP_SECONDS >= MIN_VOICED_SECONDS:
            pitches.append(float(np.median(voiced)))
            seconds.append(len(voiced) * HOP_SECONDS)
            spans.append((first, stop))
    order = np.argsort(pitches)
    if len(order) < 2:
        return []
    ranked = np.array(pitches)[order]
    cut = int(np.argmax(np.diff(ranked))) + 1
    groups = (ranked[:cut], ranked[cut:])
    lasting = [float(np.array(seconds)[part].sum()) for part in (order[:cut], order[cut:])]
    apart = float(groups[1][0] - groups[0][-1])
    if apart < MIN_GAP_SEMITONES or min(lasting) < MIN_GROUP_SECONDS:
        return []
    if max(float(np.ptp(group)) for group in groups) > MAX_SPREAD_SEMITONES:
        return []
    is_high = [pitch >= ranked[cut] for pitch in pitches]
    edge = voice.times_seconds - HOP_SECONDS / 2
    return [
        Turn(float(edge[first]), float(edge[stop - 1]) + HOP_SECONDS, f"voice {1 if high == is_high[0] else 2}")
        for (first, stop), high in zip(spans, is_high)
    ]


def _stretches(voice: VoiceTrack) -> list[tuple[int, int]]:
    """(first, one past last) frame of each stretch of speech; short pauses inside a stretch do not part it."""
    joined: list[tuple[int, int]] = []
    for first, stop in runs(voice.is_speech):
        if joined and first - joined[-1][1] < round(JOINED_SECONDS / HOP_SECONDS):
            joined[-1] = (joined[-1][0], stop)
        else:
            joined.append((first, stop))
    return joined


def with_speakers(transcript: Transcript, turns: Sequence[Turn]) -> Transcript:
    """The lines with who says them, parted where the speaker changes between recognised words.

    A line that names its speaker, or has no times, stays as it is, and so does one outside all turns.
    """
    lines: list[TranscriptLine] = []
    for line in transcript.lines:
        if line.speaker is not None or line.start_seconds is None or line.end_seconds is None:
            lines.append(line)
            continue
        parts = [
            (speaker, list(words))
            for speaker, words in groupby(line.words, lambda word: speaker_in(turns, word[1], word[2]))
        ]
        if len({speaker for speaker, _ in parts}) < 2:
            lines.append(replace(line, speaker=speaker_in(turns, line.start_seconds, line.end_seconds)))
            continue
        blank = " " if " " in line.text.strip() else ""
        lines += [
            replace(
                line, text=blank.join(word[0] for word in words), start_seconds=words[0][1], end_seconds=words[-1][2],
                speaker=speaker, words=tuple(words),
            )
            for speaker, words in parts
        ]  # fmt: skip
    return replace(transcript, lines=tuple(lines))


def speaker_in(turns: Sequence[Turn], start_seconds: float, end_seconds: float) -> str | None:
    """Who speaks for most of a stretch of time; None where nobody does."""
    shares: Counter[str] = Counter()
    for turn in turns:
        overlap = min(turn.end_seconds, end_seconds) - max(turn.start_seconds, start_seconds)
        if overlap > 0:
            shares[turn.speaker] += overlap  # type: ignore[assignment]
    return max(shares, key=lambda name: shares[name], default=None)


def within(seconds: Float, turns: Sequence[Turn]) -> Bool:
    """[N] Whether each time lies in one of the turns."""
    inside = np.zeros(len(seconds), dtype=bool)
    for turn in turns:
        inside |= (seconds >= turn.start_seconds) & (seconds < turn.end_seconds)
    return inside


def voice_of(voice: VoiceTrack, turns: Sequence[Turn], others: Sequence[Turn] = ()) -> VoiceTrack:
    """The voice with speech within the given turns alone.

    The time of `others` outside these is cut out, so that it counts as no pause.
    """
    own = within(voice.times_seconds, turns)
    voice = replace(
        voice, is_speech=voice.is_speech & own, f0_hz=np.where(own, voice.f0_hz, np.nan),
        harmonicity_db=np.where(own, voice.harmonicity_db, np.nan), tilt_db=np.where(own, voice.tilt_db, np.nan),
    )  # fmt: skip
    keep = own | ~within(voice.times_seconds, others)
    return VoiceTrack(**{field.name: getattr(voice, field.name)[keep] for field in fields(voice)})
