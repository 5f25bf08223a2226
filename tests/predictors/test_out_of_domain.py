"""What is unlike a model's training clips is told apart by distance, kept beside the weights, and said first."""

from pathlib import Path

import numpy as np
import pytest

from emotion_llama.errors import InputError
from emotion_llama.labels import MERR9
from emotion_llama.predictors.model_prompts import (
    FILE,
    distances,
    fit_domain,
    load_domains,
    outside_domain,
    reasons,
    save_domains,
)

RNG = np.random.default_rng(0)
# A first column ten times as wide as the second: 5 is near along the one and far along the other.
KNOWN = (RNG.normal(size=(4000, 2)) * (10.0, 1.0) + (3.0, 0.0)).astype(np.float32)
OTHERS = np.array([[3.0, 3.0], [13.0, 0.0]], np.float32)


def test_distances_are_in_deviations_of_the_known_clips() -> None:
    one = fit_domain(KNOWN, OTHERS)
    expected = [
        np.sqrt((a - 3) ** 2 / 100.05 + b**2 / 1.05) for a, b in OTHERS
    ]  # a thousandth of 50.5 is added to each
    assert distances(one, OTHERS) == pytest.approx(expected, rel=0.05)
    assert one[2] == pytest.approx(max(expected), rel=0.05)


def test_the_farthest_of_others_is_familiar_and_what_lies_beyond_is_not(tmp_path: Path) -> None:
    assert load_domains(tmp_path) == {}
    save_domains({"face": fit_domain(KNOWN, OTHERS), "audio": fit_domain(KNOWN, OTHERS)}, tmp_path)
    familiar = load_domains(tmp_path)
    assert set(familiar) == {"face", "audio"}
    near, far = np.array([8.0, 0.0], np.float32), np.array([3.0, 5.0], np.float32)
    (audio,) = outside_domain(familiar, {"face": near, "audio": far})
    assert audio.what == "the voice"
    assert audio.score == pytest.approx(5.0, rel=0.05)
    assert audio.threshold == pytest.approx(3.0, rel=0.05)
    (face,) = outside_domain(familiar, {"face": far, "temporal": far})  # nothing is known of the third
    assert face.what == "the face"
    assert outside_domain(familiar, {}) == ()


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"no tensors")
    with pytest.raises(InputError, match=r"familiar\.safetensors cannot be read .* delete it"):
        load_domains(tmp_path)


def test_reasons_that_contradict_the_label_are_said_first() -> None:
    assert reasons("happy", "he is happy!", MERR9) == "He is happy!"
    contradicted = reasons("sad", "the person smiles, so he is happy", MERR9)
    assert contradicted.startswith("The model contradicts itself: sad is the likeliest label, its reasons name happy.")
