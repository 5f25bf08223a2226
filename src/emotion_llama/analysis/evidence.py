"""Evidence of one person in one segment: what was measured there, and why the rest is missing."""

from __future__ import annotations

from dataclasses import dataclass, replace

from emotion_llama.analysis.hearing import Sound
from emotion_llama.analysis.sight import Seen, Sight
from emotion_llama.records import ActionUnits, Evidence, Missing, PeakFrame, Prosody, Tone, Transcript


@dataclass(frozen=True)
class Scene:
    """All of a clip that was measured: what is seen, heard and said.

    `usual` is how the voice sounds over the whole clip, for words such as "louder than usual"; None when the clip is
    one segment, or when several people are in view, who may all have been heard.
    """

    sight: Sight
    sound: Sound
    words: Transcript | Missing
    usual: Prosody | None = None


def gather(scene: Scene, seen: Seen | None, span: tuple[float, float], silent_because: str | None) -> Evidence:
    """Everything of one person within `span`, start and end in seconds.

    Args:
        scene: what was measured of the clip.
        seen: the person in view; None for a voice without a face.
        span: start and end.
        silent_because: why voice and words of this span are somebody else's; None when they are this person's.
    """
    missing: list[Missing] = []
    units, peak = _face(scene.sight, seen, span, missing)
    usual = _reference(scene)
    prosody, tone = _voice(scene.sound, usual, span, silent_because, missing)
    spoken = _words(scene.words, span, silent_because, missing)
    return Evidence(units, peak, prosody, tone, spoken, tuple(missing), None if prosody is None else usual)


def with_label_peak(evidence: Evidence, label: str) -> Evidence:
    """The same with the peak frame of the label's units; unchanged where the label has none, or they never moved."""
    from emotion_llama.face.label_units import LABEL_UNIT_TABLES
    from emotion_llama.face.peak import find_peak

    has_units = any(label in table for table in LABEL_UNIT_TABLES.values())  # neutral and doubt have none
    if evidence.action_units is None or not has_units:
        return evidence
    peak = find_peak(evidence.action_units, rule="label", label=label)
    return evidence if peak is None else replace(evidence, peak_frame=peak)


def _face(
    sight: Sight, seen: Seen | None, span: tuple[float, float], missing: list[Missing]
) -> tuple[ActionUnits | None, PeakFrame | None]:
    from emotion_llama.face.peak import find_peak

    units = seen.units.between(*span) if seen is not None and seen.units is not None else None
    peak = find_peak(units) if units is not None and units.valid.any() else None
    if peak is not None:
        return units, peak
    if seen is None:
        reason = sight.why_nobody
    elif units is None:
        reason = seen.why_no_units
    else:
        reason = "the face was not seen in this segment"
    missing += [Missing("action_units", reason), Missing("peak_frame", reason)]
    return None, None


def _voice(
    sound: Sound,
    usual: Prosody | None,
    span: tuple[float, float],
    silent_because: str | None,
    missing: list[Missing],
) -> tuple[Prosody | None, Tone | None]:
    from emotion_llama.speech.tone import describe_tone, why_no_voice

    if sound.voice is None:
        missing.append(Missing("prosody", sound.why_none))
        return None, None
    if silent_because is not None:
        missing.append(Missing("prosody", silent_because))
        return None, None
    stretch = sound.voice.between(*span)
    if not stretch.is_speech.any():
        missing.append(Missing("prosody", "no speech was heard in this segment"))
        return None, None
    prosody = sound.summarise(stretch, *span)
    problem = why_no_voice(prosody)
    if problem is not None:
        missing.append(Missing("tone", problem))
    return prosody, describe_tone(prosody, usual)


def _reference(scene: Scene) -> Prosody | None:
    """The voice at large, if it is one: music over most of a clip says nothing about who speaks in the rest."""
    from emotion_llama.speech.tone import why_no_voice

    return None if scene.usual is None or why_no_voice(scene.usual) is not None else scene.usual


def _words(
    words: Transcript | Missing, span: tuple[float, float], silent_because: str | None, missing: list[Missing]
) -> Transcript | None:
    if isinstance(words, Missing):
        missing.append(words)
        return None
    if silent_because is not None:
        missing.append(Missing("transcript", silent_because))
        return None
    spoken = words.between(*span)
    if spoken is None:
        missing.append(Missing("transcript", "nothing was said in this segment"))
    return spoken
