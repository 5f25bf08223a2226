"""The record of what the encoders computed of one clip."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

import numpy.typing as npt

from emotion_llama.models import inputs as recipes
from emotion_llama.models.inputs import Float32
from emotion_llama.records import Missing, UInt8

Modality = Literal["face", "temporal", "audio"]
# The order of the published stack [3, 1024] and of the feature tokens.
MODALITIES: tuple[Modality, ...] = ("face", "temporal", "audio")
NOTHING_GIVEN: Mapping[Modality, Float32] = MappingProxyType({})
GLOBAL_IMAGE = "global_image"


@dataclass(frozen=True, repr=False)
class ClipFeatures:
    """The features of one clip; what could not be made is None, with its reason in `missing`.

    Attributes:
        face: [D] mean over all face crops.
        temporal: [D] of the crops that the clip recipe chooses (published: 16).
        audio: [D] mean over time.
        global_image: [S, S, 3] uint8 RGB, the chosen frame resized for the global encoder, which runs in the model.
        num_faces: how many crops `face` is the mean of.
        frame_seconds: time of the chosen frame; None without one.
        frame_why: why this frame.
        missing: what is None, and why.
        given: which vectors were not computed but taken from published folders.
    """

    face: Float32 | None
    temporal: Float32 | None
    audio: Float32 | None
    global_image: UInt8 | None = None
    num_faces: int = 0
    frame_seconds: float | None = None
    frame_why: str = ""
    missing: tuple[Missing, ...] = ()
    given: tuple[str, ...] = ()

    def vectors(self) -> dict[Modality, Float32]:
        """The utterance features that are there, in the published order."""
        return {name: value for name in MODALITIES if (value := getattr(self, name)) is not None}

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Everything that is there: `vectors`, and `global_image`."""
        found: dict[str, npt.NDArray[Any]] = dict(self.vectors().items())
        if self.global_image is not None:
            found[GLOBAL_IMAGE] = self.global_image
        return found

    def pixel_values(self) -> Float32 | None:
        """[3, S, S] of the global image, as the global encoder takes it."""
        if self.global_image is None:
            return None
        return recipes.global_pixel_values(self.global_image, len(self.global_image))

    def __repr__(self) -> str:
        there = ", ".join(f"{name}{list(value.shape)}" for name, value in self.arrays().items())
        return f"ClipFeatures({there or 'none'})"
