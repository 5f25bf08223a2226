"""Probes find what is linearly there, and say so in R2, correlation and UAR."""

import numpy as np
import pytest

from emotion_llama.errors import InputError
from emotion_llama.labels import MERR9
from merr_synth.nano.encoders.lessons import FIGURES
from merr_synth.nano.encoders.probe import Vectors, figure_score, logistic, mean_r2, probe, probe_lines, ridge
from merr_synth.nano.encoders.targets import NO_LABEL


def made(count, seed, labels=None):
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(count, 6)).astype(np.float32)
    figures = np.full((count, len(FIGURES["audio_tower"])), np.nan, np.float32)
    figures[:, 0] = 3 * rows[:, 0] - 2 * rows[:, 1] + 7
    figures[:, 1] = rng.normal(size=count)
    found = np.where(rows[:, 2] > 0, 1, 0) if labels is None else labels
    return Vectors(rows, figures, rows, np.asarray(found, np.int64))


def test_ridge_finds_a_linear_map_and_leaves_out_what_is_not_told():
    learnt, asked = made(400, 0), made(100, 1)
    learnt.figures[::3, 0] = np.nan
    told = ridge(learnt.rows, learnt.figures, asked.rows)
    np.testing.assert_allclose(told[:, 0], asked.figures[:, 0], atol=0.1)
    assert np.isnan(told[:, 2]).all()


def test_a_figures_score_is_that_of_the_textbook():
    score = figure_score(np.array([1.0, 2.0, 3.0, np.nan]), np.array([1.0, 2.0, 4.0, 9.0]))
    assert score.r2 == pytest.approx(1 - 1 / 2)  # squares of errors 1, of deviations 2
    # Deviations -1, 0, 1 and -4/3, -1/3, 5/3: 3 / sqrt(2 * 42 / 9).
    assert score.correlation == pytest.approx(3 / np.sqrt(2 * 42 / 9))
    assert score.rows == 3
    assert figure_score(np.array([2.0, 2.0]), np.array([1.0, 3.0])) is None
    assert figure_score(np.array([1.0, 2.0]), np.array([5.0, 5.0])).correlation == 0.0


def test_labels_that_a_plane_parts_are_told():
    learnt, asked = made(400, 2), made(200, 3)
    told = logistic(learnt.clips, learnt.labels, asked.clips)
    assert (told == asked.labels).mean() > 0.97


def test_the_whole_probe():
    learnt, asked = made(400, 4), made(200, 5)
    asked.labels[:20] = NO_LABEL
    scores = probe("audio_tower", learnt, asked)
    assert scores.clips == 180
    assert scores.uar > 0.97
    assert set(scores.figures) == {"pitch_median_semitones", "pitch_range_semitones"}
    assert scores.figures["pitch_median_semitones"].r2 > 0.99
    assert scores.figures["pitch_range_semitones"].r2 < 0.1  # nothing to find
    assert mean_r2(scores, ["pitch_median_semitones"]) == scores.figures["pitch_median_semitones"].r2
    lines = probe_lines("audio_tower", scores)
    assert lines[0] == f"audio_tower: label UAR {scores.uar:.3f} of 180 clips"
    assert max(map(len, lines)) <= 80
    with pytest.raises(InputError, match="no clip has a label to probe for"):
        probe("audio_tower", learnt, made(10, 6, labels=[NO_LABEL] * 10))


def test_uar_weighs_labels_alike():
    learnt = made(400, 7)
    asked = made(200, 8)
    rare = np.flatnonzero(asked.labels == 1)[5:]
    asked.labels[rare] = NO_LABEL  # five of one, a hundred of the other
    scores = probe("audio_tower", learnt, asked)
    told = logistic(learnt.clips, learnt.labels, asked.clips)
    recalls = [(told[asked.labels == label] == label).mean() for label in (0, 1)]
    assert scores.uar == pytest.approx(np.mean(recalls))
    assert MERR9.labels[0] == "neutral"
