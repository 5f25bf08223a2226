"""Measured evidence in words beside the tokens: what the layout `evidence` tells the model. Deterministic and short."""

from __future__ import annotations

from emotion_llama.records import AU_DESCRIPTIONS, Evidence, Prosody

_MOST_UNITS = 6
_MOST_VOICE_WORDS = 6
_LONGEST_REASON = 100  # characters
# 6 units of at most 42 characters, or 6 words of the voice of at most 60, and three reasons stay below this.
LONGEST = 900


def cue_text(evidence: Evidence) -> str:
    """What was measured of one person in one segment, in at most `LONGEST` characters; same evidence, same text.

    Face: the units of the peak frame, strongest first, with intensity 0..5. Voice: the tone's words with the figures
    behind them, else the figures alone. Words are told by the character line, so that only their absence is told here.
    What is missing is said, with the reason.
    """
    sentences = [f"Face: {_face(evidence)}.", f"Voice: {_voice(evidence)}."]
    if evidence.transcript is None:
        sentences.append(f"Words: {_missing(evidence, 'transcript')}.")
    return f"Measured cues. {' '.join(sentences)}"[:LONGEST]


def _face(evidence: Evidence) -> str:
    peak = evidence.peak_frame
    if peak is None:
        return _missing(evidence, "peak_frame")
    if not peak.units:
        return f"no marked movement, strongest at {peak.pts_seconds:.1f} s"
    ranked = sorted(peak.units.items(), key=lambda item: (-item[1], item[0]))[:_MOST_UNITS]
    units = ", ".join(f"{AU_DESCRIPTIONS.get(name, name)} {intensity:.1f}" for name, intensity in ranked)
    return f"strongest at {peak.pts_seconds:.1f} s, of 5: {units}"


def _voice(evidence: Evidence) -> str:
    if evidence.tone is not None:
        words = sorted(evidence.tone.words.items())[:_MOST_VOICE_WORDS]
        return ", ".join(f"{word} ({measured[:60]})" for word, measured in words) or evidence.tone.phrase[:60]
    figures = _figures(evidence.prosody) if evidence.prosody is not None else ""
    return figures or _missing(evidence, "prosody" if evidence.prosody is None else "tone")


def _figures(prosody: Prosody) -> str:
    measured = (
        ("pitch {:.0f} Hz", prosody.pitch_median_hz),
        ("pitch range {:.1f} semitones", prosody.pitch_range_semitones),
        ("loudness {:.0f} dB", prosody.loudness_median_db),
        ("{:.1f} syllables per second", prosody.syllables_per_second),
        ("{:.0%} pauses", prosody.pause_share),
    )
    return ", ".join(text.format(value) for text, value in measured if value is not None)


def _missing(evidence: Evidence, what: str) -> str:
    return f"not measured ({(evidence.why_missing(what) or 'not given')[:_LONGEST_REASON]})"
