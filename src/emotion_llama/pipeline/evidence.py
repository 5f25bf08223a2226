"""Evidence of one person in one segment: what was measured there, and why the rest is missing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from emotion_llama.pipeline.sight import Seen
from emotion_llama.records import Evidence, Missing, PeakFrame, Prosody, Tone, Transcript, VoiceTrack


@dataclass(frozen=True)
class Sound:
    """What the clip sounds like: `voice` None with `why_none`; `summarise` makes figures of a stretch of it."""

    voice: VoiceTrack | None
    why_none: str
    summarise: Callable[[VoiceTrack, float, float], Prosody]


def gather(
    seen: Seen | None,
    why_unseen: str,
    sound: Sound,
    words: Transcript | Missing,
    span: tuple[float, float],
    *,
    silent_because: str | None,
    reference: Prosody | None = None,
) -> Evidence:
    """Everything of `seen` (None: a voice without a face) within `span` seconds.

    Args:
        seen: the person in view.
        why_unseen: the reason when `seen` is None.
        sound: the clip's sound.
        words: the clip's words.
        span: start and end in seconds.
        silent_because: why voice and words of this span are somebody else's; None when they are this person's.
        reference: how the same voice sounds over the whole clip, for words such as "quieter than usual".
    """
    missing: list[Missing] = []
    units = seen.units.between(*span) if seen is not None and seen.units is not None else None
    peak: PeakFrame | None = None
    if seen is None:
        missing.append(Missing("action_units", why_unseen))
    elif units is None:
        missing.append(Missing("action_units", seen.why_no_units))
    elif not units.valid.any():
        units = None
        missing.append(Missing("action_units", "the face was not seen in this segment"))
    if units is not None:
        from emotion_llama.face.peak import find_peak

        peak = find_peak(units)
    if peak is None:
        missing.append(Missing("peak_frame", missing[0].reason if missing else "no frame could be measured"))
    prosody, tone = _voice(sound, span, silent_because, reference, missing)
    spoken = _words(words, span, silent_because, missing)
    return Evidence(units, peak, prosody, tone, spoken, tuple(missing))


def _voice(
    sound: Sound,
    span: tuple[float, float],
    silent_because: str | None,
    reference: Prosody | None,
    missing: list[Missing],
) -> tuple[Prosody | None, Tone | None]:
    from emotion_llama.speech.tone import describe_tone

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
    tone = describe_tone(prosody, reference)
    if tone is None:
        missing.append(Missing("tone", f"only {prosody.speech_seconds:.1f} s of speech: too little to describe"))
    return prosody, tone


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
