"""Evidence made by hand: constant or changing units, an ordinary voice, one line of speech."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from emotion_llama.records import AU_NAMES, ActionUnits, Prosody, Transcript, TranscriptLine

# In the middle of every band of voice_cues.VOICE_RULES.
ORDINARY_VOICE = Prosody(
    speech_seconds=4.0, voiced_seconds=2.5, pitch_median_hz=150.0, pitch_median_semitones=29.4,
    pitch_range_semitones=6.0, pitch_slope_semitones_per_second=-2.0, loudness_median_db=-25.0, loudness_range_db=15.0,
    syllables_per_second=4.5, articulation_rate=4.8, pause_count=1, pause_share=0.1, harmonicity_db=14.0,
    pitch_perturbation_percent=0.3, loudness_perturbation_db=0.5, tremor_depth_percent=None, tilt_db=14.0,
    backend="autocorrelation",
)  # fmt: skip


@pytest.fixture
def make_units() -> Callable[..., ActionUnits]:
    """Units by name: a number holds for all frames, a list gives one value a frame (10 frames a second)."""

    def make(num_frames: int = 10, *, confidence: float = 1.0, speech: bool = False, **levels: object) -> ActionUnits:
        intensity = np.zeros((num_frames, len(AU_NAMES)))
        for name, level in levels.items():
            intensity[:, AU_NAMES.index(name)] = level
        return ActionUnits(
            AU_NAMES, np.arange(num_frames) / 10, intensity, np.full(num_frames, confidence),
            np.zeros(num_frames, dtype=bool), np.full(num_frames, speech), "person", "hand",
        )  # fmt: skip

    return make


@pytest.fixture
def make_voice() -> Callable[..., Prosody]:
    """The ordinary voice with some figures changed."""
    return lambda **figures: replace(ORDINARY_VOICE, **figures)


@pytest.fixture
def say() -> Callable[..., Transcript]:
    """A transcript of the given lines."""
    return lambda *lines, language=None: Transcript(tuple(TranscriptLine(line) for line in lines), "given", language)
