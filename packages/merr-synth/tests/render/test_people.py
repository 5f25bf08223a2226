"""Invented people: the same for the same seed, and as different as they are meant to be."""

import dataclasses

import numpy as np
import pytest

from merr_synth.render.people import HAIR_STYLES, MODE_NAMES, MONK_TONES, draw_person

CROWD = [draw_person(seed) for seed in range(200)]


def lightness(colour: tuple[int, int, int]) -> float:
    red, green, blue = colour
    return 0.299 * red + 0.587 * green + 0.114 * blue


def test_a_seed_is_one_person() -> None:
    assert draw_person(17) == draw_person(17)
    assert len({dataclasses.replace(person, name="", seed=0) for person in CROWD}) == 200
    assert len({person.name for person in CROWD}) == 200


def test_twenty_people_in_a_row_cover_the_range_of_skin_tones() -> None:
    """The scale's ten tones span lightness 238 to 33; the drawing stops at tone 7.5 of 9 and reddens all."""
    for first in range(0, 200, 20):
        tones = sorted(lightness(person.skin) for person in CROWD[first : first + 20])
        assert tones[0] < 85
        assert tones[-1] > 205
        assert np.diff(tones).max() < 45
    assert lightness(MONK_TONES[-1]) == pytest.approx(37.0, abs=0.1)  # 0.299 * 41 + 0.587 * 36 + 0.114 * 32


def test_all_hair_styles_and_ages_occur_and_nothing_leaves_its_range() -> None:
    assert {person.hair_style for person in CROWD} == set(HAIR_STYLES)
    ages = np.array([person.age_years for person in CROWD])
    assert ages.min() < 22
    assert ages.max() > 65
    assert ((ages >= 18) & (ages <= 80)).all()
    modes = np.array([person.modes for person in CROWD])
    assert modes.shape == (200, len(MODE_NAMES))
    assert np.abs(modes).max() <= 1.8
    assert (modes.std(axis=0) > 0.7).all()
    assert all(0.9 <= p <= 1.1 for person in CROWD for p in person.proportions)
    assert 0.1 < np.mean([person.glasses is not None for person in CROWD]) < 0.35


def test_age_shows() -> None:
    young = [person for person in CROWD if person.age_years < 30]
    old = [person for person in CROWD if person.age_years > 60]
    assert np.mean([p.lines for p in old]) > np.mean([p.lines for p in young]) + 0.4


def test_mode_by_name() -> None:
    person = CROWD[3]
    assert person.mode("jaw_width") == person.modes[MODE_NAMES.index("jaw_width")]


def test_long_hair_and_beards_do_not_come_together() -> None:
    assert all(person.beard == 0 for person in CROWD if person.hair_style in ("bob", "long", "tied", "scarf"))
    assert any(person.beard > 0 for person in CROWD)
