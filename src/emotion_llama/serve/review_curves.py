"""The strongest action units of a clip over time, read from what the build measured."""

from __future__ import annotations

import math

import numpy as np

from emotion_llama.errors import EmotionLlamaError
from emotion_llama.face.peak import BLINK_UNIT
from emotion_llama.merr.measured import from_bytes
from emotion_llama.merr.records import Sample
from emotion_llama.merr.store import Store
from emotion_llama.records import AU_DESCRIPTIONS, ActionUnits
from emotion_llama.serve.review_schemas import Curves, UnitCurve

MOST_UNITS, MOST_POINTS = 5, 600  # what a strip a few hundred pixels wide can show
LEAST_PEAK = 0.5  # a unit that never rises so far (of 5) is noise, and not drawn; own choice


def curves_of(store: Store, sample: Sample) -> Curves:
    """The curves of the main person's face, blinks aside; empty where nothing was measured, or it cannot be read."""
    try:
        data = store.artifact(sample.clip.clip_id, "evidence")
        units = None if data is None else from_bytes(data).evidence.action_units
    except EmotionLlamaError:  # an artifact that is lost or of another version: the page does without
        units = None
    return Curves(pts_seconds=[], units=[]) if units is None or not units.valid.any() else _curves(units)


def _curves(units: ActionUnits) -> Curves:
    step = max(1, math.ceil(len(units.pts_seconds) / MOST_POINTS))
    peaks = {
        name: float(np.nanmax(units.column(name))) for name in units.names if np.isfinite(units.column(name)).any()
    }
    shown = [name for name in peaks if peaks[name] >= LEAST_PEAK and name != BLINK_UNIT]
    chosen = sorted(shown, key=lambda name: (-peaks[name], name))[:MOST_UNITS]
    return Curves(
        pts_seconds=[round(float(t), 3) for t in units.pts_seconds[::step]],
        units=[
            UnitCurve(
                name=name,
                words=AU_DESCRIPTIONS.get(name, ""),
                intensity=[round(float(x), 2) if np.isfinite(x) else None for x in units.column(name)[::step]],
            )
            for name in chosen
        ],
    )
