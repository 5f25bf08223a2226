"""Planned clips with evidence that was "measured" by a rule of arithmetic, so that what is learnt of it is known."""

from collections.abc import Sequence

import numpy as np
import pytest

from emotion_llama.records import AU_NAMES, ActionUnits, PeakFrame, Prosody
from emotion_llama.results import Evidence
from emotion_llama.speech.tone import describe_tone
from merr_synth.nano.language.measured_like import Measuring, Pair
from merr_synth.render.motion import unit_curves
from merr_synth.render.plan import ClipPlan, draw_plans

GAIN, OFFSET, FASTER = 0.5, 0.4, 1.2


def measured(plan: ClipPlan) -> Evidence:
    """Half of every unit and 0.4 more; pitch and pauses as planned, speech measured a fifth too fast, no tremor."""
    at = plan.apex_seconds
    levels = np.clip(GAIN * unit_curves(plan.events, np.array([at]))[0] + OFFSET, 0, 5)
    one = np.ones(1)
    talks = np.array([plan.speech_start_seconds <= at])
    units = ActionUnits(AU_NAMES, at * one, levels[None], one, np.zeros(1, bool), talks, "population", "test")
    shown = {name: float(x) for name, x in zip(AU_NAMES, levels) if x > 0.8}
    peak = PeakFrame(0, at, float(levels.sum()), "all", None, shown, "test")
    p = plan.prosody
    semitones = 12 * float(np.log2(plan.voice.pitch_hz / 27.5)) + p.pitch_shift_semitones
    prosody = Prosody(
        2.0, 1.5, 27.5 * 2 ** (semitones / 12), semitones, p.pitch_range_semitones, p.slope_semitones_per_second,
        p.loudness_db, 10.0, 4.0, FASTER * p.articulation_rate * plan.voice.rate_factor, 2, p.pause_share, 12.0, 0.5,
        0.5, None, 10.0, "test",
    )  # fmt: skip
    return Evidence(units, peak, prosody, describe_tone(prosody))


@pytest.fixture(scope="session")
def pairs() -> Sequence[Pair]:
    plans = draw_plans(120, 3, split_shares={"train": 1.0}, missing_share=0.0, fps=12.5)
    return [Pair(plan, measured(plan)) for plan in plans]


@pytest.fixture(scope="session")
def measuring(pairs: Sequence[Pair]) -> Measuring:
    return Measuring.fit(pairs)
