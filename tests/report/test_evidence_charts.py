from __future__ import annotations

import numpy as np
import pytest

from emotion_llama.report import charts, evidence_charts
from emotion_llama.report.charts import TimeAxis

NAN = float("nan")


def test_decimate_keeps_the_lowest_and_highest_of_each_run() -> None:
    # Two runs of four: 0 5 1 2 | 9 8 -3 7; the extremes in their own order.
    times, kept = evidence_charts.decimate(np.arange(8.0), np.array([0, 5, 1, 2, 9, 8, -3, 7.0]), 4)
    assert times.tolist() == [0, 1, 4, 6]
    assert kept.tolist() == [0, 5, 9, -3]


def test_decimate_keeps_gaps_and_single_spikes() -> None:
    values = np.zeros(10_000)
    values[3_000:5_000] = NAN
    values[7_777] = 4.2
    times, kept = evidence_charts.decimate(np.arange(10_000) / 25, values, 100)
    assert len(kept) <= 100
    assert np.nanmax(kept) == 4.2
    assert float(times[np.nanargmax(kept)]) == pytest.approx(7_777 / 25)
    assert evidence_charts.runs_of_values(kept) == [(0, 15), (25, len(kept))]


def test_decimate_leaves_a_short_series_alone() -> None:
    times, values = np.arange(3.0), np.array([1, NAN, 2])
    assert evidence_charts.decimate(times, values, 3) == (times, values)


def test_envelope_keeps_the_extremes_of_each_column() -> None:
    extremes = np.array([[-1, 1], [-3, 2], [-2, 5], [0, 0.5]])
    times, kept = evidence_charts.envelope(np.arange(4.0), extremes, 2)
    assert times.tolist() == [0, 2]
    assert kept.tolist() == [[-3, 2], [-2, 5]]


def test_spans_reach_half_a_step_beyond_the_samples() -> None:
    times = np.array([0.0, 1.0, 2.0, 3.0, 5.0])
    mask = np.array([True, False, True, True, True])
    assert evidence_charts.spans(mask, times) == [(-0.5, 0.5), (1.5, 6.0)]
    assert evidence_charts.spans(np.zeros(5, bool), times) == []
    assert evidence_charts.spans(np.zeros(0, bool), np.zeros(0)) == []
    assert evidence_charts.spans(np.array([True]), np.array([2.0])) == [(2.0, 2.0)]


def test_covered_joins_near_spans_and_drops_those_outside() -> None:
    axis = TimeAxis(10, 20)
    kept = evidence_charts.covered([(12, 13), (0, 9), (13.05, 14), (15, 16), (21, 22)], axis, 100)
    assert kept == [(12, 14), (15, 16)]  # a hundredth of the axis is 0.1 s


@pytest.mark.parametrize(
    ("start", "end", "ticks"),
    [
        (0, 6, [0, 1, 2, 3, 4, 5]),
        (0.3, 1.1, [0.4, 0.6, 0.8, 1.0]),
        (0, 90, [0, 15, 30, 45, 60, 75]),
        (0, 600, [0, 120, 240, 360, 480, 600]),
        (0, 7200, [0, 1800, 3600, 5400, 7200]),
        (3.0, 3.0, [3.0]),
    ],
)
def test_ticks_are_round_and_few(start: float, end: float, ticks: list[float]) -> None:
    assert TimeAxis(start, end).ticks() == pytest.approx(ticks)


@pytest.mark.parametrize(
    ("seconds", "step", "shown"),
    [
        (0.5, 0.1, "0.5 s"),
        (4, 1, "4 s"),
        (0.05, 0.05, "0.05 s"),
        (30, 15, "0:30"),
        (90, 1, "1:30"),
        (3660, 60, "1:01:00"),
    ],
)
def test_tick_labels(seconds: float, step: float, shown: str) -> None:
    assert charts.tick_label(seconds, step) == shown


def test_axis_positions() -> None:
    axis = TimeAxis(2, 10)
    assert [axis.percent(t) for t in (2, 5, 10, 99, 0)] == ["0%", "37.5%", "100%", "100%", "0%"]
    assert axis.units(np.array([2.0, 6.0, 10.0])).tolist() == [0, 1000, 2000]
    assert TimeAxis(3, 3).share(3) == 0
    assert TimeAxis(3, 3).units(np.array([3.0])).tolist() == [0]
