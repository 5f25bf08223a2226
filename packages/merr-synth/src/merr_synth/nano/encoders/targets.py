"""What is true of a rendered clip, as numbers that an encoder can learn to tell.

Legend: N frames, U = 17 units, V voice figures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from emotion_llama.errors import InputError
from emotion_llama.labels import MERR9
from emotion_llama.records import AU_NAMES, Bool, Float
from merr_synth.agreement import read_truth
from merr_synth.render.plan import ClipPlan
from merr_synth.render.plan_file import read_plans

# Figures of the finished sound, from its truth.
HEARD_FIGURES = (
    "pitch_median_semitones",
    "pitch_range_semitones",
    "pitch_slope_semitones_per_second",
    "articulation_rate",
    "pause_share",
    "tremor_depth_percent",
)
# Figures that the voice was made by and that no truth of the sound holds: breath, hoarseness, darkness. Loudness is not
# among them: the published recipe divides a waveform by its deviation, so that an encoder hears none.
PLANNED_FIGURES = ("harmonicity_db", "jitter_percent", "softness_db")
VOICE_FIGURES = (*HEARD_FIGURES, *PLANNED_FIGURES)
NO_LABEL = -100  # of torch's cross entropy: nothing is asked


@dataclass(frozen=True, repr=False)
class ClipTruth:
    """One clip's truth.

    Attributes:
        name: the clip's id.
        split: "train", "validation" or "test".
        fps: frames a second; row i of `units` is the frame at i / fps.
        units: [N, U] intensity 0..5 as drawn, blinks and the talking mouth included.
        is_blink: [N].
        voice: [V] by `VOICE_FIGURES`; NaN where it cannot be told, all NaN without sound.
        face_label, voice_label: what face and voice show, by MERR's nine; `NO_LABEL` where they are missing.
    """

    name: str
    split: str
    fps: float
    units: Float
    is_blink: Bool
    voice: Float
    face_label: int
    voice_label: int

    def __repr__(self) -> str:
        return f"ClipTruth({self.name}, {len(self.units)} frames)"


def read_truths(folder: Path) -> list[ClipTruth]:
    """The truth of every finished clip of a rendered data set, in the order of its plans.

    Raises:
        InputError: the folder holds no data set, or a file of it cannot be used.
    """
    plans = read_plans(folder / "plans.jsonl")
    paths = {plan.id: folder / "truth" / f"{plan.id}.json" for plan in plans}
    found = [clip_truth(read_truth(paths[plan.id]), plan) for plan in plans if paths[plan.id].is_file()]
    if not found:
        raise InputError(f"{folder}: no clip is finished; render it first with `merr-synth render`")
    return found


def clip_truth(told: Any, plan: ClipPlan) -> ClipTruth:  # told: a JSON object, see `render.truth_of`
    """Numbers of a truth file and the plan it was made by.

    Raises:
        InputError: they are of different clips, or of other units than ours.
    """
    if told.get("id") != plan.id or told.get("unit_names") != list(AU_NAMES):
        raise InputError(
            f"the truth is of clip {told.get('id')!r} with units {told.get('unit_names')}, expected {plan.id!r} with "
            f"{', '.join(AU_NAMES)}; render the data set again"
        )
    units = np.array(told["units"], np.float32)
    is_blink = np.zeros(len(units), bool)
    is_blink[told["blink_frames"]] = True
    return ClipTruth(
        plan.id, plan.split, float(told["fps"]), units, is_blink, _voice(told, plan),
        label_id(told["face_label"]), label_id(told["voice_label"]),
    )  # fmt: skip


def label_id(label: str | None) -> int:
    """Place among MERR's nine; `NO_LABEL` for None."""
    return NO_LABEL if label is None else MERR9.index(label)


def _voice(told: Any, plan: ClipPlan) -> Float:
    """[V], all NaN where there is no sound or the voice does not tell what it did."""
    if told["tone"] is None:
        return np.full(len(VOICE_FIGURES), np.nan, np.float32)
    heard = [told["tone"]["figures"][name] for name in HEARD_FIGURES]
    planned = [getattr(plan.prosody, name) for name in PLANNED_FIGURES]
    return np.array([np.nan if value is None else value for value in (*heard, *planned)], np.float32)


def spread_of(rows: Sequence[Float]) -> tuple[Float, Float]:
    """Mean and standard deviation [T] of targets [R, T] each, NaN left out; 0 and 1 for one that is never told.

    A deviation is never 0: a target that never changes counts in its own unit.
    """
    table = np.concatenate([np.atleast_2d(row) for row in rows]).astype(np.float64)
    told = np.isfinite(table)
    count = np.maximum(told.sum(axis=0), 1)
    mean = np.where(told, table, 0).sum(axis=0) / count
    deviation = np.sqrt((np.where(told, table - mean, 0) ** 2).sum(axis=0) / count)
    return mean.astype(np.float32), np.where(deviation > 1e-6, deviation, 1.0).astype(np.float32)
