"""The frame of strongest expression, by either published rule.

Legend: N frames, U units. Rules, both published for MERR (Emotion-LLaMA): "all" is the frame with the largest sum of
all unit intensities (the authors' answer to how peaks were found; MER-Factory does the same), "label" the one with the
largest sum of the label's units (the published figure of a surprised face: AU05 .36 + AU26 1.02 beats 0 + 1.25).
Against the published code: a frame without a face cannot win, the first and last frame can, and blinks and talking do
not count unless asked for. `include_blinks=True, include_speech=True` is the published sum.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from emotion_llama.errors import InputError
from emotion_llama.face.label_units import units_of
from emotion_llama.face.rhythms import runs
from emotion_llama.records import ActionUnits, Bool, PeakFrame

Rule = Literal["all", "label"]
BLINK_UNIT = "AU45"
SPEECH_UNITS = ("AU25", "AU26")
REPORT_ABOVE = 0.8  # MER-Factory calls a unit active above 0.8 of 5
MIN_CONFIDENCE = 0.2  # below: the face turned away, a few pixels large, or the mesh jumping
# The mesh of a face that was just found is still being laid: of a longer stretch its first frames do not win.
SETTLING_FRAMES, LONGER_STRETCH = 2, 15
FACING_SHARE = (
    0.75  # of the confidence of the best tenth: who turns away (40 degrees) does not win against who does not
)
HALF_SHUT = 2.5  # AU45 of eyes that are half shut, outside blinks too


def find_peak(
    units: ActionUnits,
    *,
    rule: Rule = "all",
    label: str | None = None,
    label_units: Sequence[str] | None = None,
    include_blinks: bool = False,
    include_speech: bool = False,
) -> PeakFrame | None:
    """The frame with the largest sum; the earliest of equals; None when no frame can be judged.

    Args:
        units: one person's intensities.
        rule: "all", or "label", which needs `label` or `label_units`.
        label: whose units to sum; looked up in the published tables (`label_units.units_of`) unless given.
        label_units: the units to sum, such as ("AU05", "AU26"); those that were not measured are skipped.
        include_blinks: let blink frames win and count AU45.
        include_speech: count AU25 and AU26 in frames where the person talks.

    Raises:
        InputError: unknown rule, a label without published units, or none of the units measured.
    """
    summed = _summed_units(units, rule, label, label_units, include_blinks)
    can_win = units.valid & (units.confidence > MIN_CONFIDENCE)
    if not can_win.any():
        can_win = units.valid
    blinks = can_win & units.is_blink
    if not include_blinks and not blinks[can_win].all():
        can_win = can_win & ~units.is_blink
    judged = can_win
    if can_win.any():
        can_win = _preferred(units, can_win, include_blinks)
    counted = np.nan_to_num(units.intensity[:, [units.names.index(name) for name in summed]])
    talking = np.array([name in SPEECH_UNITS for name in summed])[None] & units.is_speech[:, None]
    if not include_speech:
        counted = np.where(talking, 0.0, counted)
    if not can_win.any():
        return None
    score = np.where(can_win, counted.sum(axis=1), np.nan)
    row = int(np.nanargmax(score))
    values = {name: float(v) for name, v in zip(units.names, units.intensity[row]) if v > REPORT_ABOVE}
    strongest = dict(sorted(values.items(), key=lambda item: -item[1]))
    notes = [f"{int(can_win.sum())} of {len(units.pts_seconds)} frames could be judged"]
    if (left_out := blinks & ~judged).any():
        notes.append(f"{int(left_out.sum())} blink frames left out")
    if not include_speech and talking[can_win].any():
        notes.append("AU25 and AU26 not counted while talking")
    total = float(score[row])
    what = _what(dict(zip(units.names, np.nan_to_num(units.intensity[row]).tolist())), summed, total, rule, label)
    why = f"{what}; {', '.join(notes)}."
    return PeakFrame(row, float(units.pts_seconds[row]), total, rule, label, strongest, why)


def _preferred(units: ActionUnits, can_win: Bool, include_blinks: bool) -> Bool:
    """Of [N] frames those that show a settled mesh of a face that looks here with open eyes, where there are such."""
    settled = np.ones(len(can_win), bool)
    for start, end in runs(units.valid):
        if end - start >= LONGER_STRETCH:
            settled[start : start + SETTLING_FRAMES] = False
    wanted = [settled, units.confidence >= FACING_SHARE * np.quantile(units.confidence[can_win], 0.9)]
    if BLINK_UNIT in units.names and not include_blinks:
        wanted.append(~(np.nan_to_num(units.column(BLINK_UNIT)) >= HALF_SHUT))
    for condition in wanted:
        if (can_win & condition).any():
            can_win = can_win & condition
    return can_win


def _summed_units(
    units: ActionUnits, rule: Rule, label: str | None, label_units: Sequence[str] | None, include_blinks: bool
) -> tuple[str, ...]:
    if rule == "all":
        return tuple(name for name in units.names if include_blinks or name != BLINK_UNIT)
    if rule != "label":
        raise InputError(f'peak rule must be "all" or "label", got {rule!r}')
    if label_units is None:
        if label is None:
            raise InputError('peak rule "label" needs label or label_units, got neither')
        label_units = units_of(label)
    measured = tuple(name for name in label_units if name in units.names)
    if not measured:
        raise InputError(f"none of the label's units was measured: {', '.join(label_units)}; have {units.names}")
    return measured


def _what(at: dict[str, float], summed: tuple[str, ...], total: float, rule: Rule, label: str | None) -> str:
    """What was summed, by the intensities of the frame."""
    if rule == "label":
        whose = f"the units of {label}" if label else "the given units"
        terms = " + ".join(f"{name} {at[name]:.2f}" for name in summed)
        return f"largest sum of {whose}: {terms} = {total:.2f}"
    strongest = sorted(((at[name], name) for name in summed), reverse=True)[:3]
    first = ", ".join(f"{name} {value:.2f}" for value, name in strongest if value > 0)
    return f"largest sum of {len(summed)} units: {total:.2f}" + (f" ({first} lead)" if first else "")
