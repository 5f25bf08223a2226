"""Emotion label -> how the voice changes: the documented table, and draws from it.

Directions: Juslin & Laukka 2003 (Psychological Bulletin 129, 770; table of cue patterns) and Scherer 2003 (Speech
Communication 40, 227; table 2) for angry, happy, sad and fear; Banse & Scherer 1996 (J. Personality and Social
Psychology 70, 614) for contempt (low, soft, slow) and for worried (their anxiety: a little higher, soft); Murray &
Arnott 1993 (JASA 93, 1097) for surprise (wide range, rising); Swerts & Krahmer 2005 (J. Memory and Language 53, 81) for
doubt (delays, rising ends). None of them gives numbers that hold for every speaker: all numbers here are our own,
chosen so that classes differ where the sources say they do and overlap everywhere else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from emotion_llama.errors import InputError
from emotion_llama.labels import MERR9


@dataclass(frozen=True)
class ProsodyPlan:
    """How a sentence is to be spoken.

    Attributes:
        pitch_shift_semitones: of the median pitch, from the speaker's usual one.
        pitch_range_semitones: 10th to 90th percentile of the pitch.
        slope_semitones_per_second: of the pitch within each syllable.
        ending: melody's last step, -1 a full fall to +1 a full rise.
        articulation_rate: syllables per second without pauses, of a speaker of usual speed.
        loudness_db: median level re full scale (0 dB = sine of amplitude 1).
        pause_share: share of the time from the first to the last sound.
        tremor_percent, tremor_hz: depth and frequency of a sinusoidal modulation of the pitch.
        jitter_percent: local jitter.
        harmonicity_db: voice over breath noise.
        softness_db: attenuation at 3 kHz (large: soft, dark).
    """

    pitch_shift_semitones: float = 0.0
    pitch_range_semitones: float = 5.0
    slope_semitones_per_second: float = -2.0
    ending: float = -0.7
    articulation_rate: float = 4.5
    loudness_db: float = -21.0
    pause_share: float = 0.0
    tremor_percent: float = 0.0
    tremor_hz: float = 5.5
    jitter_percent: float = 0.4
    harmonicity_db: float = 18.0
    softness_db: float = 8.0


class Span(NamedTuple):
    """From where to where a figure is drawn, evenly."""

    low: float
    high: float


class ProsodyRow(NamedTuple):
    """One label of the table; fields as in `ProsodyPlan`."""

    pitch_shift_semitones: Span
    pitch_range_semitones: Span
    slope_semitones_per_second: Span
    ending: Span
    articulation_rate: Span
    loudness_db: Span
    pause_share: Span
    tremor_percent: Span
    jitter_percent: Span
    harmonicity_db: Span
    softness_db: Span
    source: str


_BASIC = "Juslin & Laukka 2003; Scherer 2003"
_NONE = Span(0.0, 0.0)

#    shift, range, slope, ending, rate, loudness, pauses, tremor, jitter, harmonicity, softness
PROSODY_TABLE: Mapping[str, ProsodyRow] = MappingProxyType(
    {
        "neutral": ProsodyRow(
            Span(-1.0, 1.0), Span(3.6, 6.5), Span(-4.0, -1.0), Span(-1.0, -0.4), Span(4.0, 5.0), Span(-24.0, -18.0),
            _NONE, _NONE, Span(0.3, 0.6), Span(16.0, 20.0), Span(6.0, 10.0), "own: the middle of all scales",
        ),
        "angry": ProsodyRow(
            Span(2.5, 6.0), Span(8.5, 14.0), Span(-14.0, -4.0), Span(-1.0, 0.0), Span(5.2, 6.5), Span(-11.0, -7.0),
            _NONE, _NONE, Span(0.8, 1.8), Span(10.0, 14.0), Span(0.0, 3.0), _BASIC,
        ),
        "happy": ProsodyRow(
            Span(2.5, 6.0), Span(9.0, 14.0), Span(-1.0, 6.0), Span(-0.5, 0.6), Span(4.8, 6.0), Span(-17.0, -11.0),
            _NONE, _NONE, Span(0.3, 0.6), Span(16.0, 20.0), Span(3.0, 6.0), _BASIC,
        ),
        "sad": ProsodyRow(
            Span(-4.0, -1.0), Span(1.6, 3.2), Span(-6.0, -2.0), Span(-1.0, -0.6), Span(2.3, 3.2), Span(-48.0, -33.0),
            Span(0.20, 0.42), Span(0.0, 2.0), Span(0.8, 1.6), Span(9.0, 13.0), Span(14.0, 20.0), _BASIC,
        ),
        "worried": ProsodyRow(
            Span(0.5, 2.5), Span(3.5, 6.0), Span(-2.0, 3.0), Span(-0.4, 0.4), Span(4.8, 6.2), Span(-31.0, -24.0),
            Span(0.08, 0.25), Span(2.0, 5.0), Span(0.7, 1.3), Span(12.0, 16.0), Span(8.0, 12.0),
            "Banse & Scherer 1996 (anxiety); else own: a weak fear",
        ),
        "surprise": ProsodyRow(
            Span(4.0, 8.0), Span(10.0, 16.0), Span(6.0, 16.0), Span(0.4, 1.0), Span(4.4, 5.6), Span(-18.0, -12.0),
            _NONE, _NONE, Span(0.3, 0.7), Span(15.0, 19.0), Span(4.0, 8.0), "Murray & Arnott 1993",
        ),
        "fear": ProsodyRow(
            Span(4.0, 8.0), Span(3.0, 7.0), Span(0.0, 5.0), Span(-0.2, 0.6), Span(5.4, 6.8), Span(-26.0, -16.0),
            Span(0.0, 0.10), Span(4.5, 9.0), Span(1.2, 2.4), Span(9.0, 13.0), Span(4.0, 9.0), _BASIC,
        ),
        "contempt": ProsodyRow(
            Span(-4.0, -1.5), Span(2.4, 4.4), Span(-10.0, -5.0), Span(-1.0, -0.7), Span(2.8, 3.7), Span(-26.0, -18.0),
            Span(0.0, 0.12), _NONE, Span(0.5, 1.0), Span(13.0, 17.0), Span(8.0, 13.0), "Banse & Scherer 1996",
        ),
        "doubt": ProsodyRow(
            Span(-0.5, 1.5), Span(5.0, 9.0), Span(4.0, 10.0), Span(0.5, 1.0), Span(2.7, 3.6), Span(-26.0, -20.0),
            Span(0.28, 0.44), _NONE, Span(0.4, 0.8), Span(14.0, 18.0), Span(7.0, 11.0), "Swerts & Krahmer 2005",
        ),
    }
)  # fmt: skip

TREMOR_HZ = Span(4.5, 7.0)  # of the involuntary tremor of frightened voices, own


def draw_prosody(label: str, style_seed: int, *, strength: float = 1.0) -> ProsodyPlan:
    """How one person says something in one emotion; the same seed gives the same plan.

    Args:
        label: one of MERR's nine.
        style_seed: of the person's way to express it.
        strength: 0 is a neutral voice, 1 the table's.

    Raises:
        InputError: no such label, or a strength outside 0..1.5.
    """
    MERR9.index(label)
    if not 0 <= strength <= 1.5:
        raise InputError(f"strength must be within 0..1.5, got {strength}")
    rng = np.random.default_rng([style_seed, 17])
    # One even number a figure, whatever the label: two labels of one seed differ by the table alone.
    drawn = {field.name: float(rng.random()) for field in fields(ProsodyPlan)}
    plan = ProsodyPlan(
        **{
            name: _between(PROSODY_TABLE[label], name, drawn[name], strength)
            for name in ProsodyRow._fields
            if name != "source"
        }
    )
    return replace(plan, tremor_hz=TREMOR_HZ.low + drawn["tremor_hz"] * (TREMOR_HZ.high - TREMOR_HZ.low))


def _between(row: ProsodyRow, name: str, share: float, strength: float) -> float:
    low, high = getattr(row, name)
    neutral = sum(getattr(PROSODY_TABLE["neutral"], name)) / 2
    value: float = neutral + strength * (low + share * (high - low) - neutral)
    return max(value, 0.0) if name in ("tremor_percent", "pause_share", "softness_db") else value
