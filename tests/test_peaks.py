"""Our peaks are scipy's: on noise, on steps with plateaus and ties, on curves too short to have any."""

import numpy as np
import pytest
import scipy.signal

from emotion_llama.peaks import find_peaks


@pytest.mark.parametrize("levels", [3, 10, None], ids=["plateaus", "ties", "noise"])
@pytest.mark.parametrize("settings", [{}, {"distance": 5}, {"prominence": 0.6}, {"distance": 2.5, "prominence": 0.3}])
def test_peaks_are_those_of_scipy(levels: int | None, settings: dict[str, float]) -> None:
    draw = np.random.default_rng(5)
    for length in [0, 1, 2, 3, 4, *draw.integers(5, 200, 60)]:
        curve = draw.normal(size=length) if levels is None else draw.integers(0, levels, length) / levels
        expected, _ = scipy.signal.find_peaks(curve, height=0.1, **settings)
        np.testing.assert_array_equal(find_peaks(curve, 0.1, **settings), expected)


def test_a_height_in_the_middle_of_a_plateau_is_high_enough() -> None:
    np.testing.assert_array_equal(find_peaks([0.0, 1.0, 1.0, 1.0, 0.0, 0.5, 0.0], 1.0), [2])
