"""What is unlike a model's training clips is told apart by distance, kept beside the weights, and said first."""

from pathlib import Path

import numpy as np
import pytest

from emotion_llama.errors import InputError
from emotion_llama.labels import MERR9
from emotion_llama.predictors.model_prompts import (
    FILE,
    distances,
    domain_warning,
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
    assert outside_domain(familiar, {"face": near, "audio": far}) == ("audio",)
    assert outside_domain(familiar, {"face": far, "temporal": far}) == ("face",)  # nothing is known of the third
    assert outside_domain(familiar, {}) == ()


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"no tensors")
    with pytest.raises(InputError, match=r"familiar\.safetensors cannot be read .* delete it"):
        load_domains(tmp_path)


def test_it_is_said_before_the_reasons() -> None:
    assert domain_warning(()) == ""
    assert domain_warning(("face",)).startswith(
        "The face is unlike all that this model learned from: take its answer as a guess"
    )
    assert domain_warning(("face", "temporal", "audio")).startswith(
        "The face, the face's movement and the voice are unlike"
    )
    text = reasons("happy", "the voice sounds warm, so the person is happy", MERR9, outside=("audio",))
    assert text.startswith("The voice is unlike")
    assert text.endswith("The voice sounds warm, so the person is happy.")
