"""Action units as evidence: rules held in each frame, read at the peak and over time.

Notation: N frames, R units, M rules.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from emotion_llama.face.label_units import PRESENT
from emotion_llama.records import AU_DESCRIPTIONS, ActionUnits, Bool, Float, PeakFrame, frame_seconds
from emotion_llama.results import Cue
from emotion_llama.rules.phrases import expression_phrases
from emotion_llama.rules.rule_tables import (
    AGAINST_NEUTRAL,
    BLINK_UNITS,
    CALM,
    DEGREES,
    HELD_SHARE,
    MIN_CALM_SHARE,
    OWN,
    PEAK_SHARE,
    REST_UNITS,
    SPEECH_SHARES,
    FaceRule,
    FaceTable,
)

# Without a peak frame, a rule's own strongest moment stands in for it: this percentile, so that one frame of noise
# does not decide.
_STRONGEST_PERCENTILE = 95.0


class Face(NamedTuple):
    """Visible frames only, with what blinks and speech do taken off.

    Attributes:
        names: R units.
        intensity: [N, R] 0..5.
        confidence: [N] 0..1.
        peak_row: row of the peak frame; None when none was given.
        pts_seconds: [N]; None when only a peak frame was given.
        seconds: [N] how long each frame is shown; None where that is not known: all the same.
        is_speech: [N] the person talks.
    """

    names: tuple[str, ...]
    intensity: Float
    confidence: Float
    peak_row: int | None
    pts_seconds: Float | None
    seconds: Float | None = None
    is_speech: Bool = np.zeros(1, dtype=bool)

    def share(self, values: Float | Bool, *, by_confidence: bool = True) -> Float:
        """Mean over the visible time of [..., N] values; frames that were seen better count more."""
        weights = self.confidence if by_confidence else np.ones(len(self.confidence))
        weights = weights if self.seconds is None else weights * self.seconds
        return np.asarray(values @ weights / weights.sum())

    def column(self, name: str) -> Float:
        """[N] of one unit; zeros for a unit that was not measured."""
        return self.intensity[:, self.names.index(name)] if name in self.names else np.zeros(len(self.intensity))


class FaceReading(NamedTuple):
    """Cues, the units to put in words, and why there are no cues."""

    cues: tuple[Cue, ...]
    units: Mapping[str, float]  # intensities at the moment that was read, speech and blinks taken off
    problem: str | None
    visible: Face | None = None  # what the cues were read from


def read_face(units: ActionUnits | None, peak: PeakFrame | None, table: FaceTable) -> FaceReading:
    """What the face speaks for.

    Args:
        units: intensities over time; frames without a face are left out.
        peak: the frame of strongest expression, if it was looked for. Alone, it is read as the only frame.
        table: rules to hold against each frame.
    """
    face = _visible(units, peak)
    if face is None:
        return FaceReading((), {}, "no frame shows a face whose units could be measured" if units is not None else None)
    values = np.stack([rule_values(face, rule) for rule in table.rules])
    at_peak = values[:, face.peak_row] if face.peak_row is not None else np.percentile(values, _STRONGEST_PERCENTILE, 1)
    clarity = float(face.share(face.confidence, by_confidence=False))
    held = face.share(values)
    weights = clarity * (PEAK_SHARE * at_peak + HELD_SHARE * held)
    row = face.peak_row if face.peak_row is not None else int(np.argmax(face.intensity.sum(axis=1)))
    cues = [_cue(face, rule, values[i], float(weights[i])) for i, rule in enumerate(table.rules) if weights[i] > 0]
    used = {unit for i, rule in enumerate(table.rules) if weights[i] > 0 for unit in rule.units}
    cues += [_lone_cue(face, name, row, w, clarity) for name, w in table.lone_units.items() if name not in used
             and name in face.names and face.column(name)[row] >= PRESENT]  # fmt: skip
    calm = _calm_cue(face, table, values, at_peak, clarity)
    cues += [calm] if calm is not None else []
    shown = {name: float(face.intensity[row, i]) for i, name in enumerate(face.names)}
    return FaceReading(tuple(cues), shown, None if cues else "its movement fits no rule", face)


def saturating(intensity: Float) -> Float:
    """a(x) = 1 - 2 ** (-x / 0.8): 0, 1/2, 3/4, 7/8 at 0, 0.8, 1.6, 2.4."""
    return np.asarray(1.0 - np.exp2(-np.asarray(intensity, dtype=np.float64) / PRESENT))


def degree(intensity: float) -> str:
    """MER-Factory's word for a mean intensity; "faint" below its lowest threshold."""
    return next((word for word, least in DEGREES if intensity >= least), "faint")


def _visible(units: ActionUnits | None, peak: PeakFrame | None) -> Face | None:
    if units is None:
        if peak is None or not peak.units:
            return None
        return Face(tuple(peak.units), np.array([list(peak.units.values())]), np.ones(1), 0, None)
    valid = units.valid
    if not valid.any():
        return None
    # What was covered for most of the time was not measured, and is not at rest.
    known = np.flatnonzero(np.isfinite(units.intensity[valid]).mean(axis=0) >= 0.5)
    names = tuple(units.names[i] for i in known)
    intensity = np.nan_to_num(units.intensity[valid][:, known].astype(np.float64), nan=0.0)
    for i, name in enumerate(names):
        intensity[units.is_speech[valid], i] *= SPEECH_SHARES.get(name, 1.0)
        if name in BLINK_UNITS:
            intensity[units.is_blink[valid], i] = 0.0
    times = units.pts_seconds[valid]
    row = None if peak is None else int(np.argmin(np.abs(times - peak.pts_seconds)))
    seconds = frame_seconds(units.pts_seconds)[valid]
    confidence = units.confidence[valid].astype(np.float64)
    return Face(names, intensity, confidence, row, times, seconds, units.is_speech[valid])


def rule_values(face: Face, rule: FaceRule) -> Float:
    """[N] log-odds of the rule in each frame, 0 where it does not hold."""
    measured = [name for name in rule.units if name in face.names]
    if not measured:
        return np.zeros(len(face.intensity))
    intensity = np.stack([face.column(name) for name in measured])
    present = intensity >= PRESENT
    holds: Bool = (present.mean(axis=0) >= rule.needs) & (intensity.mean(axis=0) >= rule.min_mean)
    if rule.any_of:
        holds &= np.stack([face.column(name) >= PRESENT for name in rule.any_of]).any(axis=0)
    value = rule.strength * saturating(intensity).mean(axis=0)
    for name, weight in rule.against.items():
        value = value - weight * saturating(face.column(name))
    return np.where(holds, np.maximum(value, 0.0), 0.0)


def _cue(face: Face, rule: FaceRule, values: Float, weight: float) -> Cue:
    # Described where the rule holds best, unless it holds at the peak frame.
    row = face.peak_row if face.peak_row is not None and values[face.peak_row] > 0 else int(np.argmax(values))
    measured = [name for name in rule.units if name in face.names]
    mean = float(np.mean([face.column(name)[row] for name in measured]))
    shown = sorted((n for n in measured if face.column(n)[row] >= PRESENT), key=lambda n: -face.column(n)[row])
    absent = [n for n in measured if n not in shown]
    notes = [degree(mean)]
    if absent:
        notes.append(f"without {_joined(absent)}")
    if len(values) > 1:
        notes.append(f"held {100 * float(face.share(values > 0, by_confidence=False)):.0f} % of the visible time")
    text = f"{_listed(face, shown, row)}{_moment(face, row)} ({', '.join(notes)})"
    phrase = _phrase({name: float(face.column(name)[row]) for name in shown})
    return Cue("face", text, _with_neutral({rule.label: weight}), rule.origin, phrase)


def _lone_cue(face: Face, name: str, row: int, weights: Mapping[str, float], clarity: float) -> Cue:
    levels = saturating(face.column(name))
    level = clarity * (PEAK_SHARE * levels[row] + HELD_SHARE * float(face.share(levels, by_confidence=False)))
    text = f"{_listed(face, [name], row)}{_moment(face, row)}, in no combination"
    phrase = _phrase({name: float(face.column(name)[row])})
    return Cue("face", text, _with_neutral({label: w * level for label, w in weights.items()}), OWN, phrase)


def is_whole(face: Face) -> bool:
    """Whether brows and mouth were measured: the rest of a face that is partly covered says nothing of calm."""
    return face.pts_seconds is None or {"AU04", "AU12"} <= set(face.names)


def _calm_cue(face: Face, table: FaceTable, values: Float, at_peak: Float, clarity: float) -> Cue | None:
    if not is_whole(face):
        return None
    if table.rest == "no rule":
        resting = ~(values > 0).any(axis=0)
    else:
        resting = np.ones(len(face.intensity), dtype=bool)
        for i, name in enumerate(face.names):
            if name not in REST_UNITS:
                resting &= face.intensity[:, i] < PRESENT
    share = float(face.share(np.asarray(resting)))
    strongest = max(float(v) / rule.strength for v, rule in zip(at_peak, table.rules))
    weight = CALM * share * clarity * (1.0 - strongest)
    if share < MIN_CALM_SHARE or weight <= 0:
        return None
    what = "no unit reaches" if table.rest == "no unit" else "no combination of units reaches"
    text = f"a face at rest, where {what} {PRESENT} of 5 in {100 * share:.0f} % of the visible time"
    origin = OWN if table.rest == "no unit" else table.rules[0].origin
    return Cue("face", text, {"neutral": weight}, origin, "a face at rest")


def _with_neutral(weights: dict[str, float]) -> dict[str, float]:
    return {**weights, "neutral": weights.get("neutral", 0.0) - AGAINST_NEUTRAL * max(weights.values())}


def _phrase(units: Mapping[str, float]) -> str:
    return _joined(expression_phrases(units))


def _listed(face: Face, names: list[str], row: int) -> str:
    parts = [f"{AU_DESCRIPTIONS.get(n, 'unit')} ({n}) {face.column(n)[row]:.1f}" for n in names]
    return f"{_joined(parts)} of 5"


def _joined(parts: list[str]) -> str:
    return (", ".join(parts[:-1]) + " and " if len(parts) > 1 else "") + parts[-1]


def _moment(face: Face, row: int) -> str:
    return "" if face.pts_seconds is None else f" at {face.pts_seconds[row]:.2f} s"
