"""Emotion label -> what a face does: documented prototypes of action units, and draws from them.

The voice's half of the same question is `prosody_table`, whose `draw_prosody` is offered here too.

Sources: EMFACS, the prototypes of Ekman & Friesen's FACS investigator's guide; MERR's published map of labels to units
(Emotion-LLaMA's documentation) and MER-Factory's table, both in `face.label_units`; Benitez-Quiroz, Wilbur & Martinez
2016 (Cognition 150, 77) for the face of negation; Swerts & Krahmer 2005 (J. Memory and Language 53, 81) for the brow of
uncertainty. Worried has no published set that is whole: ours joins the brow of distress (AU01+AU04, EMFACS) with
MER-Factory's AU20. EMFACS's contempt is one-sided; the units drawn here have two sides. Intensities, weights of
the alternatives, and times are our own.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from emotion_llama.errors import InputError
from emotion_llama.labels import MERR9
from merr_synth.render.motion import UnitEvent
from merr_synth.render.prosody_table import PROSODY_TABLE, ProsodyPlan, draw_prosody

__all__ = ["FACE_TABLE", "PROSODY_TABLE", "FacePrototype", "ProsodyPlan", "draw_expression", "draw_prosody"]


class FacePrototype(NamedTuple):
    """One way a face shows an emotion.

    Attributes:
        weight: share of this way among those of its label.
        units: unit -> intensity at the apex, 0..5, at strength 1.
        maybe: unit -> (probability that it joins, intensity).
        source: where the set is from.
    """

    weight: float
    units: Mapping[str, float]
    maybe: Mapping[str, tuple[float, float]]
    source: str


_EMFACS = "EMFACS"
_MERR = "MERR's map"
_FACTORY = "MER-Factory"
_NEGATION = "Benitez-Quiroz, Wilbur & Martinez 2016"


def _way(weight: float, source: str, units: Mapping[str, float], maybe: Mapping[str, tuple[float, float]] | None = None
) -> FacePrototype:  # fmt: skip
    return FacePrototype(weight, MappingProxyType(dict(units)), MappingProxyType(dict(maybe or {})), source)


FACE_TABLE: Mapping[str, tuple[FacePrototype, ...]] = MappingProxyType(
    {
        "neutral": (
            _way(1.0, "own: a face at rest, now and then a trace", {}, {"AU04": (0.15, 0.5), "AU01": (0.1, 0.4)}),
        ),
        "happy": (
            _way(0.55, f"{_EMFACS}; {_MERR}: 6+12", {"AU06": 2.8, "AU12": 3.4}, {"AU25": (0.5, 1.6)}),
            _way(0.30, f"{_EMFACS}: 6+12, lips parted", {"AU06": 3.2, "AU12": 4.0, "AU25": 2.4}, {"AU07": (0.3, 1.0)}),
            _way(0.15, f"{_FACTORY}: 6+12+14", {"AU06": 2.2, "AU12": 3.0, "AU14": 1.2}),
        ),
        "sad": (
            _way(0.50, f"{_EMFACS}; {_MERR}: 1+4+15", {"AU01": 2.8, "AU04": 2.2, "AU15": 2.6}, {"AU17": (0.4, 1.5)}),
            _way(0.30, f"{_EMFACS}: 1+4+15+17", {"AU01": 2.6, "AU04": 1.8, "AU15": 2.4, "AU17": 2.2}),
            _way(0.20, f"own: 1+15 of {_EMFACS}'s 1+4+15", {"AU01": 2.6, "AU15": 2.8}),
        ),
        "angry": (
            _way(0.50, f"{_EMFACS}; {_MERR}: 4+5+7+23", {"AU04": 3.4, "AU05": 1.8, "AU07": 2.6, "AU23": 2.4}),
            _way(0.25, f"{_EMFACS}: 4+5+7+10+23+25",
                 {"AU04": 3.4, "AU05": 1.6, "AU07": 2.4, "AU10": 1.8, "AU23": 2.0, "AU25": 1.5}),
            _way(0.25, f"{_FACTORY}: 4+7+17+23 of its six", {"AU04": 3.2, "AU07": 2.6, "AU17": 1.8, "AU23": 2.4}),
        ),
        "worried": (
            _way(0.50, f"own: 1+4 of {_EMFACS}'s distress, 20 of {_FACTORY}", {"AU01": 2.4, "AU04": 2.0, "AU20": 1.6}),
            _way(0.30, "own: 1+4+17", {"AU01": 2.4, "AU04": 2.2, "AU17": 1.4}, {"AU20": (0.5, 1.2)}),
            _way(0.20, "own: 1+2+4", {"AU01": 2.4, "AU02": 1.2, "AU04": 2.0}, {"AU20": (0.5, 1.4)}),
        ),
        "surprise": (
            _way(0.60, f"{_EMFACS}: 1+2+5+26", {"AU01": 3.2, "AU02": 3.2, "AU05": 2.8, "AU26": 2.8, "AU25": 2.4}),
            _way(0.20, f"{_EMFACS}: 1+2+5", {"AU01": 3.0, "AU02": 3.0, "AU05": 2.6}),
            _way(0.20, f"{_MERR}: 5+26", {"AU05": 3.2, "AU26": 2.8, "AU25": 2.4},
                 {"AU01": (0.5, 1.2), "AU02": (0.5, 1.2)}),
        ),
        "fear": (
            _way(0.50, f"{_EMFACS}; {_FACTORY}: 1+2+4+5+7+20+26",
                 {"AU01": 3.2, "AU02": 2.2, "AU04": 2.4, "AU05": 3.2, "AU07": 1.4, "AU20": 2.6,
                  "AU25": 2.0, "AU26": 2.0}),
            _way(0.35, f"{_EMFACS}: 1+2+4+5+20+25",
                 {"AU01": 3.0, "AU02": 2.2, "AU04": 2.2, "AU05": 3.0, "AU20": 2.8, "AU25": 1.8}),
            _way(0.15, f"{_EMFACS}: 1+2+4+5", {"AU01": 3.0, "AU02": 2.2, "AU04": 2.4, "AU05": 3.2}),
        ),
        "contempt": (
            _way(0.50, f"{_EMFACS}: 12+14, there of one side", {"AU12": 1.6, "AU14": 3.0}),
            _way(0.25, f"{_EMFACS}: 14", {"AU14": 3.2}, {"AU07": (0.3, 1.0)}),
            _way(0.25, f"{_FACTORY}: 10+14+17 of its four", {"AU10": 2.0, "AU14": 2.6, "AU17": 1.8}),
        ),
        "doubt": (
            _way(0.45, f"{_NEGATION}: 4+14+17", {"AU04": 2.4, "AU14": 1.8, "AU17": 2.4}),
            _way(0.35, "own, after Swerts & Krahmer 2005: 2 with 17", {"AU02": 2.8, "AU17": 2.2},
                 {"AU01": (0.3, 1.0), "AU14": (0.4, 1.4)}),
            _way(0.20, f"{_NEGATION}: 4+17", {"AU04": 2.4, "AU17": 2.6}, {"AU02": (0.4, 1.4)}),
        ),
    }
)  # fmt: skip

# A polite smile, put on: AU12 without the cheeks (Ekman, Davidson & Friesen 1990, JPSP 58, 342).
MASKING_SMILE = _way(1.0, "Ekman, Davidson & Friesen 1990: 12 without 6", {"AU12": 3.0}, {"AU25": (0.3, 1.0)})

INTENSITY_SPREAD = 0.12  # standard deviation of a unit's intensity between people, relative
ASYNCHRONY_SECONDS = 0.06  # units of one expression reach their apex nearly, not quite, together
ONSET_SECONDS = (0.30, 0.55)
FALL_SECONDS = (0.35, 0.60)  # from the apex to what is held: one frame is clearly the strongest
HELD_SHARE = 0.6  # of the apex, until it lets go
HELD_SECONDS = (0.9, 1.8)  # after the apex
MOST = 4.8


def draw_expression(
    label: str,
    style_seed: int,
    strength: float = 1.0,
    *,
    duration_seconds: float = 3.0,
    apex_seconds: float | None = None,
    is_mask: bool = False,
) -> tuple[UnitEvent, ...]:
    """What one person's face does over a clip in one emotion; the same seed gives the same.

    Args:
        label: one of MERR's nine.
        style_seed: of the person's way to show it.
        strength: factor on all intensities, 0..1.5.
        duration_seconds: of the clip.
        apex_seconds: when the expression is strongest; drawn between 35 % and 65 % of the clip unless given.
        is_mask: a smile that is put on, instead of the label's own prototypes ("happy" only).

    Returns:
        Two events a unit, the apex and what is held after it; none at all for most neutral faces.

    Raises:
        InputError: no such label, a strength outside 0..1.5, an apex outside the clip, or a mask that is no smile.
    """
    MERR9.index(label)
    if not 0 <= strength <= 1.5:
        raise InputError(f"strength must be within 0..1.5, got {strength}")
    if is_mask and label != "happy":
        raise InputError(f"only a smile can be put on here, got is_mask with {label!r}")
    rng = np.random.default_rng([style_seed, 31, MERR9.index(label)])
    apex = duration_seconds * float(rng.uniform(0.35, 0.65)) if apex_seconds is None else apex_seconds
    if not 0 <= apex <= duration_seconds:
        raise InputError(f"the apex must lie within the clip, 0..{duration_seconds} s, got {apex}")
    ways = (MASKING_SMILE,) if is_mask else FACE_TABLE[label]
    weights = np.array([way.weight for way in ways])
    way = ways[int(rng.choice(len(ways), p=weights / weights.sum()))]
    joined = {unit: level for unit, (probability, level) in way.maybe.items() if rng.random() < probability}
    onset, fall, held = (float(rng.uniform(*span)) for span in (ONSET_SECONDS, FALL_SECONDS, HELD_SECONDS))
    events = []
    for unit, level in sorted({**way.units, **joined}.items()):
        intensity = min(MOST, strength * level * float(np.clip(rng.normal(1.0, INTENSITY_SPREAD), 0.7, 1.3)))
        at = float(np.clip(apex + rng.normal(0, ASYNCHRONY_SECONDS / 2), 0.0, duration_seconds))
        if intensity > 0:
            events += _rise_and_hold(unit, intensity, at, onset, fall, held)
    return tuple(events)


def _rise_and_hold(unit: str, intensity: float, at: float, onset: float, fall: float, held: float) -> list[UnitEvent]:
    """Up to the apex, down to what is held, and back to rest; where two events overlap the stronger one counts."""
    end, release = at + fall, at + held
    return [
        UnitEvent(unit, at - onset, at, end, intensity, end - at),
        UnitEvent(unit, at - onset, at, release, HELD_SHARE * intensity, min(0.5, (release - at) / 2)),
    ]
