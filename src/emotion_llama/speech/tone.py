"""Prosody -> words: a table of figures, bounds and adjectives.

Two sorts of bounds. Against a reference (the same person's usual voice) a word means a difference that listeners
notice. Without one it means a figure that is rare in the population: pitch and level differ more between people and
recordings than within them, so those bounds are wide, and most voices get no word there. Where no source is named, the
bound is this project's own.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from emotion_llama.records import Prosody, Tone
from emotion_llama.speech.prosody import to_semitones


class Scale(NamedTuple):
    """One row of the table: the word below `low`, the word above `high`, and what the same needs beside a reference.

    `relative` is "difference" (figure - reference) or "ratio" (figure / reference), compared with `relative_low` and
    `relative_high`; None: the reference plays no part.
    """

    figure: str  # a field of Prosody
    name: str
    unit: str
    low_word: str | None
    low: float
    high_word: str | None
    high: float
    relative: Literal["difference", "ratio"] | None
    relative_low: float
    relative_high: float
    source: str


# In the order of the phrase.
SCALES: tuple[Scale, ...] = (
    # Typical speech of men lies at 120 Hz, of women at 210 Hz: the bounds are 3 and 4 semitones outside both.
    Scale(
        "pitch_median_semitones", "median pitch", "semitones above 27.5 Hz",
        "low-pitched", float(to_semitones(100.0)), "high-pitched", float(to_semitones(260.0)), "difference", -3.0, 3.0,
        "Traunmüller & Eriksson 1995, manuscript, Stockholm University; relative: only differences of more than 3 "
        "semitones play a part in communication, 't Hart 1981, JASA 69, 811",
    ),
    # The livelier the discourse, the larger the spread (the same source); 10th to 90th percentile = 2.6 SD.
    Scale(
        "pitch_range_semitones", "pitch range", "semitones",
        "monotone", 3.0, "lively", 10.0, "ratio", 0.6, 1.6, "direction: Traunmüller & Eriksson 1995",
    ),
    # Dialogue is mixed near -23 dB (EBU R 128) or -27 dB; absolute level says more about the recording than the voice.
    Scale(
        "loudness_median_db", "level", "dB re full scale",
        "quiet", -40.0, "loud", -10.0, "difference", -6.0, 6.0, "EBU R 128 and 6 dB = twice the amplitude",
    ),
    # Conversation runs at about 5 syllables a second; the estimate reads 4 % low at that speed (benchmarks/).
    Scale(
        "articulation_rate", "articulation rate", "syllables/s",
        "slow", 3.0, "fast", 5.5, "ratio", 0.8, 1.2,
        "average conversation: 300 syllables a minute, D. Jones after S. Wood 1973, Lund Working Papers; relative: "
        "four times the noticeable 5 % of Quené 2007, J. Phonetics 35",
    ),
    Scale("pause_share", "share of pauses", "", None, -1.0, "halting", 0.35, None, 0.0, 0.0, ""),
    # Unmoved speech of a synthesiser reached 3.7 % where its melody happened to swing evenly (espeak-ng).
    Scale(
        "tremor_depth_percent", "tremor", "% of the pitch", None, -1.0, "trembling", 4.0, None, 0.0, 0.0,
        "direction: depth is the main cue of perceived tremor, J. Voice 2012, doi:10.1016/j.jvoice.2012.02.007",
    ),
    # Statements fall by 2-6 semitones a second within voiced runs; only clearly more, or a rise, is a word.
    Scale(
        "pitch_slope_semitones_per_second", "pitch slope", "semitones/s",
        "falling", -12.0, "rising", 5.0, None, 0.0, 0.0, "",
    ),
)  # fmt: skip

# Little harmonicity: the tilt tells breath (dark) from roughness (bright), after Klatt & Klatt 1990, JASA 87, 820.
# Noise and music in the recording lower harmonicity just as well, hence a low bound.
NOISY_BELOW_DB = 4.0
BREATHY_ABOVE_TILT_DB, HARSH_BELOW_TILT_DB = 15.0, 8.0
MIN_PAUSES_FOR_HALTING = 2
MIN_VOICED_FOR_RANGE_SECONDS = 1.0

# What an ordinary voice is described with.
ORDINARY_FIGURES = (
    ("even", ("pitch_range_semitones", "tremor_depth_percent")),
    ("moderate", ("pitch_median_semitones", "loudness_median_db", "articulation_rate")),
)


def describe_tone(prosody: Prosody | None, reference: Prosody | None = None) -> Tone | None:
    """The voice in words, each with its measurement; None where there is no voice to describe.

    Args:
        prosody: of the stretch to describe.
        reference: of the same person in the same recording at large, for words relative to it.
    """
    if prosody is None or (prosody.pitch_median_semitones is None and prosody.articulation_rate is None):
        return None
    words: dict[str, str] = {}
    for scale in SCALES:
        words |= _judge(scale, prosody, reference)
    words |= _quality(prosody)
    if not words:
        words = _ordinary(prosody)
    return Tone(f"{', '.join(words)} voice", words)


def _judge(scale: Scale, prosody: Prosody, reference: Prosody | None) -> dict[str, str]:
    """The word of one scale, if there is one, with the figure that earned it."""
    value = getattr(prosody, scale.figure)
    if value is None or not _is_telling(scale, prosody):
        return {}
    usual = getattr(reference, scale.figure, None) if scale.relative else None
    judged, low, high, text = value, scale.low, scale.high, measured(scale, value)
    if usual is not None and (scale.relative == "difference" or usual > 0):
        judged = value - usual if scale.relative == "difference" else value / usual
        low, high = scale.relative_low, scale.relative_high
        text = f"{text} against a usual {_number(scale, usual)}"
    word = scale.low_word if judged < low else scale.high_word if judged > high else None
    return {word: text} if word else {}


def _is_telling(scale: Scale, prosody: Prosody) -> bool:
    """Whether there is enough speech for the words of a scale: one word is not monotone, one pause not halting."""
    if scale.figure == "pitch_range_semitones":
        return prosody.voiced_seconds >= MIN_VOICED_FOR_RANGE_SECONDS
    return scale.figure != "pause_share" or (prosody.pause_count or 0) >= MIN_PAUSES_FOR_HALTING


def measured(scale: Scale, value: float) -> str:
    """The figure with its name and unit: "median pitch 98 Hz (22.0 semitones above 27.5 Hz)"."""
    return f"{scale.name} {_number(scale, value)}"


def _number(scale: Scale, value: float) -> str:
    if scale.figure == "pitch_median_semitones":
        return f"{27.5 * 2 ** (value / 12):.0f} Hz ({value:.1f} {scale.unit})"
    if scale.figure == "pause_share":
        return f"{value:.0%}"
    return f"{value:.1f} {scale.unit}"


def _quality(prosody: Prosody) -> dict[str, str]:
    if prosody.harmonicity_db is None or prosody.tilt_db is None or prosody.harmonicity_db >= NOISY_BELOW_DB:
        return {}
    text = f"harmonicity {prosody.harmonicity_db:.1f} dB, tilt {prosody.tilt_db:.1f} dB"
    if prosody.tilt_db > BREATHY_ABOVE_TILT_DB:
        return {"breathy": text}
    return {"harsh": text} if prosody.tilt_db < HARSH_BELOW_TILT_DB else {"hoarse": text}


def _ordinary(prosody: Prosody) -> dict[str, str]:
    scales = {scale.figure: scale for scale in SCALES}
    words = {}
    for word, figures in ORDINARY_FIGURES:
        values = [(scales[name], getattr(prosody, name)) for name in figures]
        texts = [measured(scale, value) for scale, value in values if value is not None]
        if texts:
            words[word] = ", ".join(texts)
    return words
