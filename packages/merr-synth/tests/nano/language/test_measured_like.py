"""Evidence of clips that were never rendered: the statistics of measuring come back, and so does what cannot be."""

from collections.abc import Sequence

import numpy as np
import pytest

from emotion_llama.errors import InputError
from emotion_llama.prompts.cues import cue_text
from merr_synth.nano.language.measured_like import FEWEST, Likeness, Measuring, Pair, true_voice
from merr_synth.render.plan import draw_plans


def test_gain_offset_cross_talk_and_noise_come_back() -> None:
    rng = np.random.default_rng(0)
    true = rng.uniform(0, 4, (600, 2))
    gains = np.array([[0.5, 0.3], [0.0, 2.0]])  # the second figure hears a third of the first
    measured = true @ gains + [1.0, -0.5] + rng.normal(0, [0.1, 0.4], (600, 2))
    likeness = Likeness.fit(true, measured)
    asked = np.array([2.0, 1.0])
    drawn = np.array([likeness.draw(asked + rng.normal(0, 0.5, 2), rng) for _ in range(1500)])
    assert drawn.mean(axis=0) == pytest.approx([2.0, 2.1], abs=0.08)  # 0.5 * 2 + 1; 0.3 * 2 + 2 * 1 - 0.5
    at_point = np.array([likeness.draw(asked, rng) for _ in range(200)])
    assert 0.03 < at_point[:, 0].std() < 0.17
    assert 0.15 < at_point[:, 1].std() < 0.65
    assert likeness.slopes == pytest.approx(gains, abs=0.05)


def test_a_figure_that_could_not_be_measured_is_none_as_often() -> None:
    rng = np.random.default_rng(1)
    true = rng.uniform(0, 1, (400, 1))
    measured = np.where(rng.random((400, 1)) < 0.25, np.nan, true)
    likeness = Likeness.fit(true, measured)
    gone = [np.isnan(likeness.draw(rng.uniform(0, 1, 1), rng)[0]) for _ in range(2000)]
    assert np.mean(gone) == pytest.approx(0.25, abs=0.06)


def test_planned_clips_are_measured_as_rendered_ones_were(measuring: Measuring) -> None:
    rng = np.random.default_rng(2)
    plans = draw_plans(60, 9, split_shares={"train": 1.0}, missing_share=0.0, fps=12.5)
    for plan in plans[:20]:
        evidence = measuring.evidence(plan, plan.text, rng)
        assert evidence.prosody is not None
        assert evidence.prosody.pitch_median_semitones == pytest.approx(true_voice(plan)[0], abs=0.3)
        assert evidence.prosody.articulation_rate == pytest.approx(1.2 * true_voice(plan)[4], abs=0.3)
        assert evidence.prosody.tremor_depth_percent is None
        assert evidence.transcript is not None
        assert evidence.transcript.text == plan.text
    strong = next(p for p in plans if any(e.unit == "AU12" and e.intensity > 3 for e in p.events))
    levels = [measuring.evidence(strong, "x", rng).peak_frame for _ in range(30)]
    apex = max(e.intensity for e in strong.events if e.unit == "AU12")
    assert max(peak.units.get("AU12", 0.0) for peak in levels if peak) == pytest.approx(0.5 * apex + 0.4, abs=0.4)


def test_what_a_plan_lacks_is_missing_with_a_reason(measuring: Measuring) -> None:
    plans = draw_plans(80, 4, split_shares={"train": 1.0}, missing_share=0.9, conflict_share=0.0, fps=12.5)
    silent = next(p for p in plans if p.missing == ("silent", "no_face"))
    evidence = measuring.evidence(silent, silent.text, np.random.default_rng(0))
    assert evidence.peak_frame is None
    assert evidence.prosody is None
    assert evidence.tone is None
    text = cue_text(evidence)
    assert text.count("not measured (") == 2
    assert "not given" not in text.split("Words")[0]
    mute = next(p for p in plans if p.missing == ("no_face", "no_words"))
    assert measuring.evidence(mute, mute.text, np.random.default_rng(0)).transcript is None


def test_too_few_clips_are_refused(pairs: Sequence[Pair]) -> None:
    with pytest.raises(InputError, match=f"10 measured clips came .* expected {FEWEST} or more"):
        Measuring.fit(pairs[:10])
