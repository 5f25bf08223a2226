"""Action units as evidence: rules held against each frame, by what a tenth of the time shows and by how long.

Notation: N frames, R units, M rules.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from emotion_llama.face.label_units import PRESENT
from emotion_llama.records import AU_DESCRIPTIONS, ActionUnits, Bool, Float, PeakFrame, frame_seconds
from emotion_llama.results import Cue, held_value
from emotion_llama.rules.phrases import expression_phrases
from emotion_llama.rules.rule_tables import (
    AGAINST_NEUTRAL,
    BLINK_UNITS,
    CALM,
    DEGREES,
    DURATION_SHARE,
    MIN_CALM_SHARE,
    OWN,
    REST_UNITS,
    SPEECH_SHARES,
    STRENGTH_SHARE,
    FaceRule,
    FaceTable,
)


class Face(NamedTuple):
    """Visible frames only, with what blinks and speech do taken off.

    Attributes:
        names: R units.
        intensity: [N, R] 0..5.
        confidence: [N] 0..1.
        pts_seconds: [N]; None when only a peak frame was given.
        seconds: [N] how long each frame is shown; None where that is not known: all the same.
        is_speech: [N] the person talks.
    """

    names: tuple[str, ...]
    intensity: Float
    confidence: Float
    pts_seconds: Float | None
    seconds: Float | None = None
    is_speech: Bool = np.zeros(1, dtype=bool)

    def share(self, values: Float | Bool, *, by_confidence: bool = True) -> Float:
        """Mean over the visible time of [..., N] values; frames that were seen better count more."""
        weights = self.confidence if by_confidence else np.ones(len(self.confidence))
        weights = weights if self.seconds is None else weights * self.seconds
        return np.asarray(values @ weights / weights.sum())

    def held(self, values: Float) -> Float:
        """What a tenth of the visible time has or exceeds, of [M, N] values."""
        seconds = np.ones(len(self.confidence)) if self.seconds is None else self.seconds
        return np.array([held_value(row, seconds) for row in values])

    def column(self, name: str) -> Float:
        """[N] of one unit; zeros for a unit that was not measured."""
        return self.intensity[:, self.names.index(name)] if name in self.names else np.zeros(len(self.intensity))


class FaceReading(NamedTuple):
    """Cues, the units to put in words, and why there are no cues."""

    cues: tuple[Cue, ...]
    units: Mapping[str, float]  # intensities that are held, speech and blinks taken off
    problem: str | None
    visible: Face | None = None  # what the cues were read from


def read_face(units: ActionUnits | None, peak: PeakFrame | None, table: FaceTable) -> FaceReading:
    """What the face speaks for.

    Args:
        units: intensities over time; frames without a face are left out.
        peak: the frame of strongest expression: the only frame where there are no others.
        table: rules to hold against each frame.
    """
    face = _visible(units, peak)
    if face is None:
        return FaceReading((), {}, "no frame shows a face whose units could be measured" if units is not None else None)
    values = np.stack([rule_values(face, rule) for rule in table.rules])
    strongest, shown = face.held(values), dict(zip(face.names, face.held(face.intensity.T).tolist()))
    clarity = float(face.share(face.confidence, by_confidence=False))
    weights = clarity * (STRENGTH_SHARE * strongest + DURATION_SHARE * face.share(values))
    cues = [_cue(face, rule, values[i], float(weights[i])) for i, rule in enumerate(table.rules) if weights[i] > 0]
    used = {unit for i, rule in enumerate(table.rules) if weights[i] > 0 for unit in rule.units}
    cues += [_lone_cue(face, name, shown[name], w, clarity) for name, w in table.lone_units.items() if name not in used
             and shown.get(name, 0.0) >= PRESENT]  # fmt: skip
    calm = _calm_cue(face, table, values, strongest, clarity)
    cues += [calm] if calm is not None else []
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
        return Face(tuple(peak.units), np.array([list(peak.units.values())]), np.ones(1), None)
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
    seconds = frame_seconds(units.pts_seconds)[valid]
    confidence = units.confidence[valid].astype(np.float64)
    return Face(names, intensity, confidence, times, seconds, units.is_speech[valid])


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
    # Described by what is held of each unit over the frames in which the rule holds.
    measured, holds = [name for name in rule.units if name in face.names], values > 0
    seconds = np.ones(len(values)) if face.seconds is None else face.seconds
    level = {name: held_value(face.column(name)[holds], seconds[holds]) for name in measured}
    mean = float(np.mean(list(level.values())))
    shown = sorted((name for name in measured if level[name] >= PRESENT), key=lambda name: -level[name])
    absent = [n for n in measured if n not in shown]
    notes = [degree(mean)]
    if absent:
        notes.append(f"without {_joined(absent)}")
    if len(values) > 1:
        notes.append(f"held {100 * float(face.share(values > 0, by_confidence=False)):.0f} % of the visible time")
    when = "" if face.pts_seconds is None else f", most at {face.pts_seconds[int(np.argmax(values))]:.2f} s"
    text = f"{_listed({name: level[name] for name in shown})}{when} ({', '.join(notes)})"
    phrase = _joined(expression_phrases({name: level[name] for name in shown}))
    return Cue("face", text, _with_neutral({rule.label: weight}), rule.origin, phrase)


def _lone_cue(face: Face, name: str, held: float, weights: Mapping[str, float], clarity: float) -> Cue:
    duration = float(face.share(saturating(face.column(name)), by_confidence=False))
    level = clarity * (STRENGTH_SHARE * float(saturating(np.array(held))) + DURATION_SHARE * duration)
    text = f"{_listed({name: held})}, in no combination"
    phrase = _joined(expression_phrases({name: held}))
    return Cue("face", text, _with_neutral({label: w * level for label, w in weights.items()}), OWN, phrase)


def is_whole(face: Face) -> bool:
    """Whether brows and mouth were measured: the rest of a face that is partly covered says nothing of calm."""
    return face.pts_seconds is None or {"AU04", "AU12"} <= set(face.names)


def _calm_cue(face: Face, table: FaceTable, values: Float, held: Float, clarity: float) -> Cue | None:
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
    strongest = max(float(v) / rule.strength for v, rule in zip(held, table.rules))
    weight = CALM * share * clarity * (1.0 - strongest)
    if share < MIN_CALM_SHARE or weight <= 0:
        return None
    what = "no unit reaches" if table.rest == "no unit" else "no combination of units reaches"
    text = f"a face at rest, where {what} {PRESENT} of 5 in {100 * share:.0f} % of the visible time"
    origin = OWN if table.rest == "no unit" else table.rules[0].origin
    return Cue("face", text, {"neutral": weight}, origin, "a face at rest")


def _with_neutral(weights: dict[str, float]) -> dict[str, float]:
    return {**weights, "neutral": weights.get("neutral", 0.0) - AGAINST_NEUTRAL * max(weights.values())}


def _listed(units: Mapping[str, float]) -> str:
    parts = [f"{AU_DESCRIPTIONS.get(name, 'unit')} ({name}) {x:.1f}" for name, x in units.items()]
    return f"{_joined(parts)} of 5"


def _joined(parts: list[str]) -> str:
    return (", ".join(parts[:-1]) + " and " if len(parts) > 1 else "") + parts[-1]
