"""Rooms, light and cameras: the same for the same seed, different for different ones, and of the size asked for."""

import dataclasses

import numpy as np
import pytest

from emotion_llama.errors import InputError
from merr_synth.render.setting import FRAMINGS, SCENES, Setting, background, developed, draw_setting

MANY = [draw_setting(seed) for seed in range(150)]
SIZE = (96, 64)


def grey(height: int = 64, width: int = 96) -> np.ndarray:
    return np.full((height, width, 3), 100.0, np.float32)


def test_a_seed_is_one_setting() -> None:
    assert draw_setting(8) == draw_setting(8)
    assert len({dataclasses.replace(setting, seed=0) for setting in MANY}) == 150
    assert np.array_equal(background(draw_setting(8), SIZE), background(draw_setting(8), (96, 64)))


def test_all_scenes_framings_and_sides_of_light_occur() -> None:
    assert {setting.scene for setting in MANY} == set(SCENES)
    assert {setting.framing for setting in MANY} == set(FRAMINGS)
    sides = np.array([setting.light.direction[0] for setting in MANY])
    assert (sides < -0.4).sum() > 20
    assert (sides > 0.4).sum() > 20
    assert 0.03 < np.mean([setting.exposure < 0.65 for setting in MANY]) < 0.25
    for setting in MANY:
        low, high = FRAMINGS[setting.framing][0]
        assert low <= setting.face_share <= high


@pytest.mark.parametrize("scene", SCENES)
def test_backgrounds_have_the_size_and_differ_by_seed(scene: str) -> None:
    one, other = (dataclasses.replace(MANY[k], scene=scene) for k in (1, 2))
    picture = background(one, SIZE)
    assert picture.shape == (64, 96, 3)
    assert picture.dtype == np.float32
    assert picture.min() >= 0
    assert picture.max() <= 255
    assert np.abs(picture - background(other, SIZE)).mean() > 5


def test_tiny_pictures_are_refused() -> None:
    with pytest.raises(InputError, match="at least 32 x 32 pixels, got 20 x 64"):
        background(MANY[0], (20, 64))


def test_exposure_scales_and_noise_has_its_strength() -> None:
    plain = Setting()
    assert developed(plain, grey(), 0).tolist() == np.full((64, 96, 3), 100).tolist()
    assert developed(dataclasses.replace(plain, exposure=0.5), grey(), 0).mean() == pytest.approx(50.0)
    noisy = developed(dataclasses.replace(plain, noise=4.0), grey(), 0).astype(float)
    assert noisy.std() == pytest.approx(4.0, rel=0.05)
    assert noisy.mean() == pytest.approx(100.0, abs=0.2)


def test_noise_changes_with_the_frame_and_not_with_the_call() -> None:
    noisy = dataclasses.replace(Setting(), noise=4.0)
    first, second = developed(noisy, grey(), 1), developed(noisy, grey(), 2)
    assert not np.array_equal(first, second)
    assert np.array_equal(first, developed(noisy, grey(), 1))
    assert abs(np.corrcoef(first.ravel(), second.ravel())[0, 1]) < 0.05


def test_blur_takes_edges_and_vignette_takes_corners() -> None:
    edge = grey()
    edge[:, 48:] = 200
    soft = developed(dataclasses.replace(Setting(), blur_pixels=8.0), edge.copy(), 0).astype(int)
    assert np.abs(np.diff(soft[32, :, 0])).max() < 60
    dark = developed(dataclasses.replace(Setting(), vignette=0.5), grey(), 0)
    assert dark[0, 0, 0] == 50  # 1 - 0.5 * 0.5 * (1 + 1)
    assert dark[32, 48, 0] >= 99
