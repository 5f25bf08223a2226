"""Prosody -> words: a table of figures, bounds and adjectives.

Two sorts of bounds. Against a reference (the same person's usual voice) a word means a difference that listeners
notice. Without one it means a figure that is rare in the population: pitch and level differ more between people and
recordings than within them, so those bounds are wide, and most voices get no word there. Where no source is named, the
bound is this project's own. `judge` is the one place that compares: whoever reads the voice asks it, so that words and
cues cannot contradict each other.
"""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

from emotion_llama.records import Prosody, Tone, VoiceTrack
from emotion_llama.speech.prosody import held_notes, to_semitones


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


class Judgement(NamedTuple):
    """Where a figure lies beside what is ordinary.

    Attributes:
        value: the figure.
        direction: -1 below the ordinary, 1 above it, 0 within.
        word: of the scale for that side; None within, or where the scale has none.
        bound: the bound that was passed, in the figure's own unit; None within.
        usual: the reference's figure where the bounds are relative to it; None where they are absolute.
    """

    value: float
    direction: Literal[-1, 0, 1]
    word: str | None
    bound: float | None
    usual: float | None

    @property
    def excess(self) -> float:
        """How far beyond the bound, in the figure's own unit, negative below; 0 within."""
        return 0.0 if self.bound is None else self.value - self.bound


class Limit(NamedTuple):
    """What no voice does: a sound with the figure outside is a tone, music or a machine."""

    figure: str
    name: str
    unit: str
    least: float
    most: float
    source: str


LIMITS: tuple[Limit, ...] = (
    # Between the loudest and the softest speech the tilt differs by 12 to 19 dB; a held sine measures 90 dB and more.
    Limit(
        "tilt_db", "spectral tilt", "dB", -15.0, 55.0,
        "own: the darkest vowel of a synthetic voice, an [u] softened by 30 dB at 3 kHz, measures 51 dB; the change "
        "with loudness is 12-19 dB, Sundberg & Nordenberg 2006, JASA 120, 453",
    ),
    Limit(
        "harmonicity_db", "harmonicity", "dB", -math.inf, 40.0,
        "a held [u] of a healthy voice reaches about 40 dB, an [a] 20 dB: manual of Praat, \"Harmonicity\"",
    ),
)  # fmt: skip

MIN_WHISPER_SECONDS = 0.5
# Eight and more voices of read speech mixed: harmonicity 0.5-3.2 dB, level (10th-90th percentile) within 3.7-6.6 dB;
# one voice: 3.5-17 dB and 9-40 dB (own measurement on the recordings of docs/evidence.md).
CROWD_BELOW_DB, CROWD_WITHIN_DB = 3.5, 8.0
# Read speech holds 0-35 % of its pitch in notes that differ by up to 1.6 semitones, a melody 86 % and more by 3.2.
MIN_SUNG_SHARE, MIN_SUNG_SEMITONES = 0.5, 2.5

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
    """The voice in words, each with its measurement; None where there is no voice to describe (see `why_no_voice`).

    Args:
        prosody: of the stretch to describe.
        reference: of the same person in the same recording at large, for words relative to it.
    """
    if prosody is None or why_no_voice(prosody) is not None:
        return None
    judged = [(scale, judge(scale, prosody, reference)) for scale in SCALES]
    words = {found.word: _reason(scale, found) for scale, found in judged if found is not None and found.word}
    words |= _quality(prosody)
    if not words:
        words = _ordinary(prosody)
    return Tone(f"{', '.join(words)} voice", words)


def why_no_voice(prosody: Prosody, voice: VoiceTrack | None = None) -> str | None:
    """Why there is no voice to describe or to interpret; None if there is.

    Too little speech, speech without a pitch (whispered), or a sound that is not one person's speaking voice: a tone, a
    crowd, and, where the track of the same stretch is given, singing or music.
    """
    if prosody.pitch_median_semitones is None:
        if prosody.speech_seconds >= MIN_WHISPER_SECONDS:
            return f"the {prosody.speech_seconds:.1f} s of speech have no pitch: whispered, or covered by noise"
        return f"neither pitch nor tempo can be measured in {prosody.speech_seconds:.1f} s of speech"
    for limit in LIMITS:
        value = getattr(prosody, limit.figure)
        if value is not None and not limit.least <= value <= limit.most:
            side, bound = ("below", limit.least) if value < limit.least else ("above", limit.most)
            return (
                f"the sound is no voice: its {limit.name} of {value:.0f} {limit.unit} is {side} the {bound:g} "
                f"{limit.unit} of voices"
            )
    if _is_crowd(prosody):
        return (
            f"no single voice stands out: with a harmonicity of {prosody.harmonicity_db:.1f} dB and a level within "
            f"{prosody.loudness_range_db:.1f} dB it is a crowd, or a voice covered by noise"
        )
    share, spread = (0.0, 0.0) if voice is None else held_notes(voice)
    if share >= MIN_SUNG_SHARE and spread >= MIN_SUNG_SEMITONES:
        return (
            f"singing or music: {share:.0%} of the pitch are held notes, which differ by {spread:.1f} semitones "
            "(standard deviation)"
        )
    return None


def _is_crowd(prosody: Prosody) -> bool:
    """Whether what is heard is about as noisy as it is harmonic and never quiet: pauses of one are filled by others."""
    if prosody.harmonicity_db is None or prosody.loudness_range_db is None or prosody.speech_seconds < 1.0:
        return False
    return prosody.harmonicity_db < CROWD_BELOW_DB and prosody.loudness_range_db < CROWD_WITHIN_DB


def judge(scale: Scale, prosody: Prosody, reference: Prosody | None = None) -> Judgement | None:
    """One figure beside its bounds: relative to the reference where the scale and the reference have what that needs.

    None where the figure is missing or rests on too little speech.
    """
    value = getattr(prosody, scale.figure)
    if value is None or not _is_telling(scale, prosody):
        return None
    low, high = scale.low, scale.high
    usual = getattr(reference, scale.figure, None) if scale.relative else None
    if usual is not None and scale.relative == "difference":
        low, high = usual + scale.relative_low, usual + scale.relative_high
    elif usual is not None and usual > 0:
        low, high = usual * scale.relative_low, usual * scale.relative_high
    else:
        usual = None
    if value < low:
        return Judgement(value, -1, scale.low_word, low, usual)
    if value > high:
        return Judgement(value, 1, scale.high_word, high, usual)
    return Judgement(value, 0, None, None, usual)


def _is_telling(scale: Scale, prosody: Prosody) -> bool:
    """Whether there is enough speech for the words of a scale: one word is not monotone, one pause not halting."""
    if scale.figure == "pitch_range_semitones":
        return prosody.voiced_seconds >= MIN_VOICED_FOR_RANGE_SECONDS
    return scale.figure != "pause_share" or (prosody.pause_count or 0) >= MIN_PAUSES_FOR_HALTING


def _reason(scale: Scale, found: Judgement) -> str:
    text = measured(scale, found.value)
    return text if found.usual is None else f"{text} against a usual {_number(scale, found.usual)}"


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
