"""Marks on the image of a face."""

import numpy as np
import pytest

from emotion_llama.records import AU_NAMES
from emotion_llama.report import pages
from emotion_llama.results import PeakImage


def test_every_unit_has_points_on_the_mesh() -> None:
    assert set(pages.UNIT_POINTS) == set(AU_NAMES)
    assert all(0 <= point < 478 for points in pages.UNIT_POINTS.values() for point in points)


def test_labels_are_spread_over_both_sides() -> None:
    mesh = np.zeros((478, 2))
    mesh[[107, 336]] = ((40, 100), (60, 100))  # AU01
    mesh[[55, 285]] = ((45, 110), (55, 110))  # AU04
    mesh[[61, 291]] = ((40, 300), (60, 300))  # AU12
    marks = pages.place_marks(mesh, ["AU12", "AU01", "AU04", "AU99"], 400, 26)
    assert [mark[:3] for mark in marks] == [
        ("AU01", True, 100.0), ("AU12", True, 300.0), ("AU04", False, 110.0),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("wanted", "placed"),
    [
        ([50, 60, 200], [50, 76, 200]),  # 60 is moved down to keep 26
        ([390, 395], [361, 387]),  # both moved up from the lower end, 400 - 13
        ([0], [13]),
        ([], []),
    ],
)
def test_spread(wanted: list[float], placed: list[float]) -> None:
    assert pages.spread(wanted, 26, 13, 387) == placed


def test_leaders_end_at_the_point_nearest_to_the_label() -> None:
    mesh = np.zeros((478, 2))
    mesh[[61, 291]] = ((150, 300), (250, 302))
    drawn = pages.overlay(PeakImage(b"x", 480, 480, mesh), {"AU12": 3.25})
    assert 'x2="150" y2="300" class="leader"' in drawn
    assert 'cx="150" cy="300" r="6" class="ring"' in drawn
    assert 'cx="250" cy="302" r="6" class="ring"' in drawn
    assert "AU12 3.2</text>" in drawn
