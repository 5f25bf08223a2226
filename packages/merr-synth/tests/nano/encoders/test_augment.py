"""Variation changes pictures and sounds a little, by the draw alone, and leaves their form."""

import numpy as np
import pytest

from merr_synth.nano.encoders.augment import NOISE_DB, vary_pictures, vary_sound

CROPS = np.tile(np.linspace(40, 200, 64, dtype=np.uint8)[None, None, :, None], (3, 64, 1, 3))


@pytest.mark.parametrize("move", [True, False])
def test_the_same_draw_gives_the_same_pictures(move):
    first, again, other = (vary_pictures(CROPS, np.random.default_rng(seed), move=move) for seed in (0, 0, 1))
    assert first.shape == CROPS.shape
    assert first.dtype == np.uint8
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_pictures_stay_what_they_were():
    for seed in range(20):
        varied = vary_pictures(CROPS, np.random.default_rng(seed), move=True).astype(float)
        middle = varied[:, 16:48, 16:48].mean(axis=(0, 1, 3))
        assert np.corrcoef(middle, CROPS[0, 0, 16:48, 0])[0, 1] > 0.95


def test_a_stay_leaves_every_pixel_in_its_place():
    # One bright column in the dark: without a move it stays the brightest.
    column = np.full((1, 64, 64, 3), 20, np.uint8)
    column[:, :, 30] = 220
    for seed in range(10):
        varied = vary_pictures(column, np.random.default_rng(seed), move=False)
        assert int(varied[0].mean(axis=(0, 2)).argmax()) == 30


def test_added_noise_is_bounded_and_silence_stays_silent():
    tone = np.sin(2 * np.pi * 200 * np.arange(16_000) / 16_000).astype(np.float32)
    for seed in range(10):
        varied = vary_sound(tone, np.random.default_rng(seed))
        assert varied.dtype == np.float32
        # What is left beside the tone itself, whose level the tilt changes by a factor.
        scale = float(varied @ tone / (tone @ tone))
        rest = varied - scale * tone
        shift = 0.6 * 2 * np.pi * 200 / 16_000  # the tilt's own part out of phase
        assert np.std(rest) <= np.std(scale * tone) * (10 ** (-NOISE_DB[0] / 20) * 1.6 + shift)
    assert not vary_sound(np.zeros(1000, np.float32), np.random.default_rng(0)).any()
