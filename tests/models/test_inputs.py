"""Exact recipes of encoder inputs: the golden vectors bit for bit, and each rule by an independent computation."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from emotion_llama.errors import InputError, MissingDependency
from emotion_llama.models import inputs
from emotion_llama.models.inputs import HUBERT_LAST, HUBERT_SUM4, RECIPES

GOLDEN = Path(__file__).parents[1] / "golden"
RANDOM = np.random.default_rng(3)


@pytest.fixture(scope="module")
def golden() -> dict[str, np.ndarray]:
    return load_file(GOLDEN / "golden.safetensors") | load_file(GOLDEN / "golden_features.safetensors")


def picture(height: int, width: int) -> np.ndarray:
    return RANDOM.integers(0, 256, (height, width, 3)).astype(np.uint8)


# --- golden vectors -------------------------------------------------------------------------------------------------


def test_golden_frames(golden: dict[str, np.ndarray]) -> None:
    for frame, expected in zip(golden["frames"], golden["pixel_values"], strict=True):
        assert np.array_equal(inputs.global_pixel_values(frame, 56), expected)


def test_golden_faces(golden: dict[str, np.ndarray]) -> None:
    assert np.array_equal(inputs.face_pixel_values(golden["mae_faces_rgb"], 64), golden["mae_pixel_values"])


def test_golden_clip(golden: dict[str, np.ndarray]) -> None:
    faces = golden["videomae_faces_rgb"]
    indices = inputs.clip_frame_indices(len(faces))
    assert indices.tolist() == golden["videomae_frame_indices"].tolist()
    assert np.array_equal(inputs.clip_pixel_values(faces[indices], 32), golden["videomae_pixel_values"][0])


def test_golden_sound(golden: dict[str, np.ndarray]) -> None:
    values = inputs.sound_values(golden["hubert_waveform_16k"])
    # NumPy 1 and 2 sum in another order.
    assert values == pytest.approx(golden["hubert_input_values"][0], abs=1e-6)
    assert np.array_equal(inputs.sound_chunks(values, HUBERT_LAST)[0], values)


# --- pictures -------------------------------------------------------------------------------------------------------


def bicubic(x: np.ndarray) -> np.ndarray:
    """Keys' kernel with a = -0.5."""
    x = np.abs(x)
    return np.where(x < 1, (1.5 * x - 2.5) * x * x + 1, np.where(x < 2, ((-0.5 * x + 2.5) * x - 4) * x + 2, 0))


def bilinear(x: np.ndarray) -> np.ndarray:
    return np.maximum(1 - np.abs(x), 0)


def resampled_rows(rows: np.ndarray, size: int, kernel, radius: float) -> np.ndarray:
    """Pillow's resampling of axis 0: a kernel as wide as the step, 22-bit weights, sums rounded to 8 bits."""
    scale = len(rows) / size
    width = max(scale, 1.0)
    out = np.empty((size, *rows.shape[1:]), np.uint8)
    for i in range(size):
        centre = (i + 0.5) * scale
        first = max(int(centre - radius * width + 0.5), 0)
        last = min(int(centre + radius * width + 0.5), len(rows))
        weights = kernel((np.arange(first, last) - centre + 0.5) / width)
        weights = weights / weights.sum()
        fixed = np.trunc(weights * (1 << 22) + np.copysign(0.5, weights)).astype(np.int64)
        total = np.tensordot(fixed, rows[first:last].astype(np.int64), axes=1) + (1 << 21)
        out[i] = np.clip(total >> 22, 0, 255)
    return out


@pytest.mark.parametrize(("height", "width"), [(97, 130), (40, 25), (112, 112), (56, 200)])
@pytest.mark.parametrize(("name", "kernel", "radius"), [("bicubic", bicubic, 2.0), ("bilinear", bilinear, 1.0)])
def test_resize_is_pillows_whatever_its_version(height: int, width: int, name, kernel, radius: float) -> None:
    image = picture(height, width)
    across = resampled_rows(image.transpose(1, 0, 2), 56, kernel, radius).transpose(1, 0, 2)
    expected = resampled_rows(across, 56, kernel, radius)
    assert np.array_equal(inputs.resize(image, 56, name), expected)


def test_global_values_are_clips_normalisation() -> None:
    grey = np.full((30, 50, 3), 51, np.uint8)  # 51 / 255 = 0.2
    values = inputs.global_pixel_values(grey, 14)
    assert values.shape == (3, 14, 14)
    # (0.2 - mean) / deviation of CLIP's images, on paper: -0.28145466 / 0.26862954 and so on.
    assert values[:, 0, 0] == pytest.approx([-1.0477428, -0.9867009, -0.7549964], abs=1e-6)
    assert np.ptp(values, axis=(1, 2)) == pytest.approx([0, 0, 0], abs=1e-6)


def test_a_picture_already_of_the_right_size_is_not_touched() -> None:
    image = picture(56, 56)
    assert np.array_equal(inputs.resize(image, 56, "bicubic"), image)
    assert np.array_equal(
        inputs.global_pixel_values(image, 56), inputs.picture_values(image[None], inputs.EVA_PICTURE, 56)[0]
    )


def test_faces_are_between_0_and_1_and_not_normalised() -> None:
    faces = np.stack([np.zeros((112, 112, 3), np.uint8), np.full((112, 112, 3), 255, np.uint8)])
    values = inputs.face_pixel_values(faces)
    assert values.shape == (2, 3, 224, 224)
    assert [float(v.min()) for v in values] == [0, 1]
    assert [float(v.max()) for v in values] == [0, 1]


def test_clip_values_have_colours_before_frames() -> None:
    faces = np.zeros((16, 8, 8, 3), np.uint8)
    faces[5, :, :, 2] = 255  # blue in the sixth frame
    values = inputs.clip_pixel_values(faces, 8)
    assert values.shape == (3, 16, 8, 8)
    assert values[2, 5].min() == 1
    assert values.sum() == 64


def test_no_face_gives_no_pixels() -> None:
    assert inputs.face_pixel_values(np.empty((0, 112, 112, 3), np.uint8)).shape == (0, 3, 224, 224)


# --- which frames ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("num_faces", "expected"),
    [
        (1, [0] * 16),
        (2, [0, 1] * 8),
        (9, [0, 1] * 8),
        # tick 9/8: 0.5625 + 1.125 i = 0.56, 1.69, 2.81, 3.94, 5.06, 6.19, 7.31, 8.44
        (10, [0, 1, 1, 2, 2, 3, 3, 4, 5, 6, 6, 7, 7, 8, 8, 9]),
        # tick 2: 1 + 2 i
        (17, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]),
        # tick 12.375: 6.19, 18.56, 30.94, 43.31, 55.69, 68.06, 80.44, 92.81
        (100, [6, 7, 18, 19, 30, 31, 43, 44, 55, 56, 68, 69, 80, 81, 92, 93]),
    ],
)
def test_frames_of_the_temporal_encoder(num_faces: int, expected: list[int]) -> None:
    assert inputs.clip_frame_indices(num_faces).tolist() == expected


def test_frame_indices_never_leave_the_clip_and_never_go_back() -> None:
    for n in range(1, 400):
        indices = inputs.clip_frame_indices(n)
        assert indices.min() >= 0
        assert indices.max() <= n - 1
        if n > 9:
            assert np.all(np.diff(indices[::2]) > 0)
            assert np.all(indices[1::2] - indices[::2] == 1)


# --- sound ----------------------------------------------------------------------------------------------------------


def test_sound_is_normalised_as_transformers_does() -> None:
    from transformers import Wav2Vec2FeatureExtractor

    samples = (0.1 * RANDOM.standard_normal(20_000) + 0.02).astype(np.float32)
    theirs = Wav2Vec2FeatureExtractor(do_normalize=True)(samples, sampling_rate=16_000).input_values[0]
    ours = inputs.sound_values(samples)
    assert np.array_equal(ours, theirs)
    assert float(ours.mean()) == pytest.approx(0, abs=1e-5)
    assert float(ours.std()) == pytest.approx(1, abs=1e-4)


def test_a_short_sound_is_filled_to_a_second_before_it_is_normalised() -> None:
    values = inputs.sound_values(np.ones(4_000, np.float32))
    # A quarter ones: mean 0.25, variance 0.1875.
    assert len(values) == 16_000
    assert values[0] == pytest.approx(0.75 / np.sqrt(0.1875), rel=1e-5)
    assert values[-1] == pytest.approx(-0.25 / np.sqrt(0.1875), rel=1e-5)


def test_silence_is_zeros_not_nan() -> None:
    assert not inputs.sound_values(np.zeros(16_000, np.float32)).any()


def test_chunks_are_filled_with_zeros_only_beyond_ten_seconds() -> None:
    values = np.arange(1, 330_001, dtype=np.float32)
    assert inputs.sound_chunks(values, HUBERT_LAST).shape == (1, 330_000)
    assert inputs.sound_chunks(values[:160_000], HUBERT_SUM4).shape == (1, 160_000)
    assert inputs.sound_chunks(values[:30_000], HUBERT_SUM4).shape == (1, 30_000)
    rows = inputs.sound_chunks(values, HUBERT_SUM4)
    assert rows.shape == (3, 160_000)
    assert np.array_equal(rows.reshape(-1)[:330_000], values)
    assert not rows[2, 10_000:].any()


# --- the table and what is refused ----------------------------------------------------------------------------------


def test_every_recipe_is_named_once_and_says_where_it_is_from() -> None:
    assert set(RECIPES) == {
        "eva-bicubic-clip", "mae-bilinear-01", "videomae-8x2", "hubert-last-whole", "hubert-sum4-chunks10"
    }  # fmt: skip
    assert all(name == recipe.name and len(recipe.source) > 20 for name, recipe in RECIPES.items())
    assert inputs.sound_recipe("hubert-sum4-chunks10").summed_layers == 4


def test_what_cannot_be_used_is_refused() -> None:
    image = picture(8, 8)
    with pytest.raises(InputError, match="'hubert'"):
        inputs.sound_recipe("hubert")
    with pytest.raises(InputError, match=r"expected one RGB picture \[H, W, 3\] uint8, got \[8, 8\] uint8"):
        inputs.resize(image[..., 0], 4, "bicubic")
    with pytest.raises(InputError, match=r"got .* float64"):
        inputs.resize(image / 255, 4, "bicubic")
    with pytest.raises(InputError, match="1 pixel or more, got 0"):
        inputs.resize(image, 0, "bicubic")
    with pytest.raises(InputError, match=r"expected pictures \[N, H, W, 3\] uint8, got \[8, 8, 3\]"):
        inputs.face_pixel_values(image)
    with pytest.raises(InputError, match="needs a face crop or more, got none"):
        inputs.clip_frame_indices(0)
    with pytest.raises(InputError, match="takes 16 crops, got 2"):
        inputs.clip_pixel_values(np.stack([image, image]), 8)
    with pytest.raises(InputError, match=r"mono samples \[L\] float32, got \[5\] float64"):
        inputs.sound_values(np.zeros(5))
    with pytest.raises(InputError, match="needs a sample or more, got none"):
        inputs.sound_values(np.zeros(0, np.float32))
    with pytest.raises(InputError, match="values that are not numbers"):
        inputs.sound_values(np.array([0, np.nan], np.float32))


def test_without_pillow_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(MissingDependency, match=r"Pillow.*pip install 'emotion-llama\[model\]'"):
        inputs.resize(picture(8, 8), 4, "bicubic")


def test_the_module_needs_no_torch() -> None:
    code = "import sys, emotion_llama.models.inputs; print('torch' in sys.modules, 'PIL' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


@pytest.mark.parametrize(
    ("num_frames", "num_faces", "expected"),
    [
        # 4 segments: tick 2.25: 1.125 + 2.25 i = 1.13, 3.38, 5.63, 7.88
        (8, 10, [1, 2, 3, 4, 5, 6, 7, 8]),
        (8, 5, [0, 1] * 4),
        # 1 segment: tick 9: 4.5
        (2, 10, [4, 5]),
        # 16 segments: tick 2: 1 + 2 i
        (32, 33, list(range(1, 33))),
    ],
)
def test_other_encoders_have_other_numbers_of_segments(num_frames: int, num_faces: int, expected: list[int]) -> None:
    """VideoMAEs of 8 or 32 pictures were handed 16."""
    recipe = inputs.clip_recipe(num_frames)
    assert recipe.name == f"videomae-{num_frames // 2}x2"
    indices = inputs.clip_frame_indices(num_faces, recipe)
    assert indices.tolist() == expected
    faces = np.broadcast_to(np.arange(num_faces, dtype=np.uint8)[:, None, None, None], (num_faces, 4, 4, 3))
    values = inputs.clip_pixel_values(faces[indices], 4, recipe)
    np.testing.assert_allclose(values[0, :, 0, 0] * 255, expected, atol=1e-4)


def test_the_published_encoder_has_the_published_recipe() -> None:
    assert inputs.clip_recipe(16) == inputs.VIDEOMAE_CLIP
    for number in (0, 7):
        with pytest.raises(InputError, match=f"takes {number} pictures, expected an even number"):
            inputs.clip_recipe(number)
