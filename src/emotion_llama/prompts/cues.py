"""Measured evidence as text: the cues that the layout `evidence` puts into the prompt. Deterministic and short."""

from __future__ import annotations

from emotion_llama.records import AU_DESCRIPTIONS, Prosody
from emotion_llama.results import Evidence, saturated_units, shown_units

_MAX_UNITS = 6
_MAX_VOICE_WORDS = 6
_MAX_REASON = 100  # characters
_MIN_SATURATED = 0.1  # share of the time from which it is mentioned
# 6 units of at most 42 characters, 6 words of the voice, its figures, and three reasons stay below this.
MAX_CHARACTERS = 900
MAX_HELD_CHARACTERS = 450  # added by the held units


def cue_text(evidence: Evidence, *, held: bool = False) -> str:
    """What was measured of one person in one segment, in at most `MAX_CHARACTERS` characters; same evidence, same text.

    Face: the units of the peak frame, strongest first, with intensity 0..5, and whether the person talks there, which
    moves the mouth as well. With `held`, for models that did not learn from this text, the units that are held stand
    before them, in up to `MAX_HELD_CHARACTERS` more. Voice: the tone's words, and all measurements, also ordinary ones,
    which no word describes; of a tone without measurements each word with what it rests on. The transcript has its own
    line in the prompt, so that only its absence is mentioned here. What is missing is named with the reason.
    """
    face = _face(evidence)
    if held and evidence.action_units is not None and evidence.peak_frame is not None:
        face = f"{_held(evidence)}; {'at the peak frame, ' * face.startswith('strongest')}{face}"
    sentences = [f"Face: {face}.", f"Voice: {_voice(evidence)}."]
    if evidence.transcript is None:
        sentences.append(f"Words: {_missing(evidence, 'transcript')}.")
    return f"Measured cues. {' '.join(sentences)}"[: MAX_CHARACTERS + held * MAX_HELD_CHARACTERS]


def _held(evidence: Evidence) -> str:
    """The units that are held, strongest first, and which of them are at the most that a person can do."""
    units = evidence.action_units
    shown = list(shown_units(units).items())[:_MAX_UNITS]
    if units is None or not shown:
        return "no unit is held"
    listed = ", ".join(f"{AU_DESCRIPTIONS.get(name, name)} {x:.1f}" for name, x in shown)
    saturated = saturated_units(units)
    most = [f"{name} {saturated[name]:.0%}" for name, _ in shown if saturated[name] >= _MIN_SATURATED]
    return f"held for a tenth of the time or longer, of 5: {listed}" + (
        f" (at 4.5 or more of the time: {', '.join(most)})" if most else ""
    )


def named_units(evidence: Evidence) -> dict[str, float]:
    """Units of the peak frame that the cues name -> intensity 0..5, strongest first; empty where there is none."""
    peak = evidence.peak_frame
    ranked = [] if peak is None else sorted(peak.units.items(), key=lambda item: (-item[1], item[0]))
    return dict(ranked[:_MAX_UNITS])


def is_talking(evidence: Evidence) -> bool:
    """Whether the mouth moves because the person talks at the peak frame; False where that was not measured."""
    units, peak = evidence.action_units, evidence.peak_frame
    return (
        units is not None and peak is not None and peak.row < len(units.is_speech) and bool(units.is_speech[peak.row])
    )


def _face(evidence: Evidence) -> str:
    peak = evidence.peak_frame
    if peak is None:
        return _missing(evidence, "peak_frame")
    when = f"strongest at {peak.pts_seconds:.1f} s{' while talking' * is_talking(evidence)}"
    units = ", ".join(f"{AU_DESCRIPTIONS.get(name, name)} {x:.1f}" for name, x in named_units(evidence).items())
    return f"{when}, of 5: {units}" if units else f"no marked movement, {when}"


def _voice(evidence: Evidence) -> str:
    figures = _figures(evidence.prosody) if evidence.prosody is not None else ""
    if evidence.tone is not None:
        words = sorted(evidence.tone.words.items())[:_MAX_VOICE_WORDS]
        if words and figures:
            return f"{', '.join(_relative(word[:60], measured) for word, measured in words)}; {figures}"
        return ", ".join(f"{word} ({measured[:60]})" for word, measured in words) or evidence.tone.phrase[:60]
    return figures or _missing(evidence, "prosody" if evidence.prosody is None else "tone")


def _relative(word: str, measured: str) -> str:
    """A word that compares with the speaker's baseline is marked so."""
    return f"{word} for this person" if " against a usual " in measured else word


def _figures(prosody: Prosody) -> str:
    measured = (
        ("pitch {:.0f} Hz", prosody.pitch_median_hz),
        ("pitch range {:.1f} semitones", prosody.pitch_range_semitones),
        ("slope {:.0f} semitones/s", prosody.pitch_slope_semitones_per_second),
        ("level {:.0f} dB", prosody.loudness_median_db),
        ("{:.1f} syllables per second", prosody.articulation_rate or prosody.syllables_per_second),
        ("{:.0%} pauses", prosody.pause_share),
        ("tremor {:.1f}%", prosody.tremor_depth_percent),
        ("harmonicity {:.0f} dB", prosody.harmonicity_db),
        ("tilt {:.0f} dB", prosody.tilt_db),
    )
    return ", ".join(text.format(value) for text, value in measured if value is not None)


def _missing(evidence: Evidence, what: str) -> str:
    return f"not measured ({(evidence.why_missing(what) or 'not given')[:_MAX_REASON]})"
