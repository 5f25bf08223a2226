"""Which figures of the voice speak for which label, and how much.

As in `rule_tables`, the directions come from the literature and the weights (log-odds) are chosen, not learned.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

# Directions: Juslin & Laukka, Psychological Bulletin 129(5), 2003, table of cue patterns, and Scherer, Speech
# Communication 40, 2003, table 2, for anger, fear, happiness and sadness; Murray & Arnott, JASA 93(2), 1993, for
# surprise (wide range, rising). Own: worried is a weak fear; contempt slow, narrow and low; doubt slow, with pauses and
# a rise at the end (Swerts & Krahmer 2005). Level of pitch and of loudness depend on the speaker's sex and on the
# recording, so they weigh little; what is relative to the speaker weighs more.


class VoiceRule(NamedTuple):
    """One figure of `Prosody`.

    Between `low` and `high` it is ordinary and says nothing; `step` beyond either bound its weights count in full,
    nearer ones in proportion. The bounds are round figures for adults' conversation, this project's own.
    """

    field: str
    name: str
    unit: str
    low: float
    high: float
    step: float
    below: Mapping[str, float]
    above: Mapping[str, float]
    too_low: str
    too_high: str


VOICE_ORIGIN = "Juslin & Laukka 2003, Scherer 2003, Murray & Arnott 1993; weights of this project"
# An altogether ordinary voice: log-odds for neutral; none left when the figures are a whole step outside in sum.
ORDINARY = 0.6
MIN_VOICED_SECONDS = 0.3

VOICE_RULES: tuple[VoiceRule, ...] = (
    VoiceRule(
        "pitch_range_semitones", "pitch range", "semitones", 3.5, 9.0, 4.0,
        {"sad": 0.4, "contempt": 0.2, "fear": 0.1, "happy": -0.3, "surprise": -0.4},
        {"surprise": 0.5, "happy": 0.4, "angry": 0.35, "sad": -0.4, "neutral": -0.3}, "narrow", "wide",
    ),
    VoiceRule(
        "articulation_rate", "articulation rate", "syllables/s", 3.5, 6.0, 1.5,
        {"sad": 0.4, "doubt": 0.35, "contempt": 0.25, "angry": -0.3, "fear": -0.3, "happy": -0.2},
        {"fear": 0.4, "angry": 0.3, "happy": 0.3, "worried": 0.3, "surprise": 0.2, "sad": -0.4}, "slow", "fast",
    ),
    VoiceRule(
        "pause_share", "share of pauses", "of the speech", 0.0, 0.3, 0.25,
        {}, {"doubt": 0.4, "sad": 0.35, "contempt": 0.1, "angry": -0.2, "happy": -0.2}, "low", "high",
    ),
    VoiceRule(
        "pitch_slope_semitones_per_second", "pitch slope", "semitones/s", -10.0, 5.0, 10.0,
        {"sad": 0.2, "contempt": 0.15, "surprise": -0.2},
        {"surprise": 0.35, "doubt": 0.3, "happy": 0.15, "fear": 0.15}, "falling", "rising",
    ),
    VoiceRule(
        "tilt_db", "spectral tilt", "dB", 8.0, 20.0, 8.0,
        {"angry": 0.45, "happy": 0.15, "fear": 0.1, "sad": -0.3},
        {"sad": 0.35, "worried": 0.1, "angry": -0.35}, "bright", "soft",
    ),
    VoiceRule(
        "loudness_range_db", "loudness range", "dB", 8.0, 25.0, 8.0,
        {"sad": 0.25, "angry": -0.2},
        {"angry": 0.3, "surprise": 0.2, "fear": 0.15, "happy": 0.1}, "narrow", "wide",
    ),
    VoiceRule(
        "loudness_median_db", "level", "dBFS", -45.0, -15.0, 10.0,
        {"sad": 0.15, "worried": 0.1, "fear": 0.1},
        {"angry": 0.2, "happy": 0.1}, "quiet", "loud",
    ),
    VoiceRule(
        "pitch_median_hz", "pitch", "Hz", 85.0, 260.0, 60.0,
        {"contempt": 0.15, "sad": 0.1},
        {"fear": 0.2, "surprise": 0.2, "happy": 0.1, "angry": 0.1}, "low", "high",
    ),
    VoiceRule(
        "tremor_depth_percent", "tremor", "% of the pitch", 0.0, 2.0, 3.0,
        {}, {"fear": 0.5, "worried": 0.3, "sad": 0.2}, "low", "high",
    ),
    VoiceRule(
        "pitch_perturbation_percent", "pitch perturbation", "%", 0.0, 2.5, 3.0,
        {}, {"fear": 0.25, "angry": 0.15, "sad": 0.15, "happy": -0.15}, "low", "high",
    ),
    VoiceRule(
        "harmonicity_db", "harmonicity", "dB", 5.0, 25.0, 5.0,
        {"sad": 0.15, "angry": 0.1, "fear": 0.1}, {}, "breathy or rough", "clear",
    ),
)  # fmt: skip
