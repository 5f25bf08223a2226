"""What is unlike a model's training clips is told apart by distance, kept beside the weights, and said first."""

from pathlib import Path

import numpy as np
import pytest

from emotion_llama.errors import InputError
from emotion_llama.labels import MERR9
from emotion_llama.predictors.model_prompts import reasons
from emotion_llama.predictors.out_of_domain import FILE, fit, load, outside, save, warning

RNG = np.random.default_rng(0)
# A first column ten times as wide as the second: 5 is near along the one and far along the other.
KNOWN = (RNG.normal(size=(4000, 2)) * (10.0, 1.0) + (3.0, 0.0)).astype(np.float32)
OTHERS = np.array([[3.0, 3.0], [13.0, 0.0]], np.float32)


def test_distances_are_in_deviations_of_the_known_clips() -> None:
    one = fit(KNOWN, OTHERS)
    expected = [
        np.sqrt((a - 3) ** 2 / 100.05 + b**2 / 1.05) for a, b in OTHERS
    ]  # a thousandth of 50.5 is added to each
    assert one.distance(OTHERS) == pytest.approx(expected, rel=0.05)
    assert one.farthest == pytest.approx(max(expected), rel=0.05)


def test_the_farthest_of_others_is_familiar_and_what_lies_beyond_is_not(tmp_path: Path) -> None:
    assert load(tmp_path) == {}
    save({"face": fit(KNOWN, OTHERS), "audio": fit(KNOWN, OTHERS)}, tmp_path)
    familiar = load(tmp_path)
    assert set(familiar) == {"face", "audio"}
    near, far = np.array([8.0, 0.0], np.float32), np.array([3.0, 5.0], np.float32)
    assert outside(familiar, {"face": near, "audio": far}) == ("audio",)
    assert outside(familiar, {"face": far, "temporal": far}) == ("face",)  # nothing is known of the third
    assert outside(familiar, {}) == ()


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"no tensors")
    with pytest.raises(InputError, match=r"familiar\.safetensors cannot be read .* delete it"):
        load(tmp_path)


def test_it_is_said_before_the_reasons() -> None:
    assert warning(()) == ""
    assert warning(("face",)).startswith(
        "The face is unlike all that this model learned from: take its answer as a guess"
    )
    assert warning(("face", "temporal", "audio")).startswith("The face, the face's movement and the voice are unlike")
    text = reasons("happy", "the voice sounds warm, so the person is happy", MERR9, outside=("audio",))
    assert text.startswith("The voice is unlike")
    assert text.endswith("The voice sounds warm, so the person is happy.")
