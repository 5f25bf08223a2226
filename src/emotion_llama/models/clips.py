"""What encoders are given of one person in a clip (`ClipInputs`), and what they computed of it (`ClipFeatures`)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from emotion_llama.errors import InputError
from emotion_llama.models import inputs as recipes
from emotion_llama.models.inputs import Float32
from emotion_llama.records import Clip, UInt8
from emotion_llama.results import Missing

if TYPE_CHECKING:
    import torch

Modality = Literal["face", "temporal", "audio"]
# The order of the published stack [3, 1024] and of the feature tokens.
MODALITIES: tuple[Modality, ...] = ("face", "temporal", "audio")
NOTHING_GIVEN: Mapping[Modality, Float32] = MappingProxyType({})
GLOBAL_IMAGE = "global_image"
# Encoder -> the field of ClipFeatures that holds its part, in the order of the model's modality mask.
ENCODERS: Mapping[str, str] = MappingProxyType({"image": GLOBAL_IMAGE, **{name: name for name in MODALITIES}})


@dataclass(frozen=True)
class FaceCrops:
    """Aligned crops that are decoded chunk by chunk, from the first at each call of `chunks`; never all in memory."""

    count: int
    chunks: Callable[[], Iterator[UInt8]]

    def __len__(self) -> int:
        return self.count


@dataclass(frozen=True, repr=False)
class ClipInputs:
    """One person in one clip, or in a part of it; what is None is left out.

    Raises:
        InputError: `faces` holds no crop.
    """

    image: UInt8 | None = None  # [H, W, 3] uint8 RGB at full size, the frame for the global encoder
    # [F, S, S, 3] uint8 RGB, aligned crops in time order, for the face and the temporal encoder; an array, or decoded
    # while they are used
    faces: UInt8 | FaceCrops | None = None
    samples: Float32 | None = None  # [N] float32, mono at 16 kHz
    missing: tuple[Missing, ...] = ()  # the reason for each of "frame", "faces" and "sound" that is not there
    frame_seconds: float | None = None  # time of `image`
    frame_why: str = ""  # why this frame
    clip: Clip | None = None  # the file; None where there is none

    def __post_init__(self) -> None:
        if self.faces is not None and not len(self.faces):
            raise InputError("faces holds no crop; leave it out (None) where nobody is seen")

    @property
    def num_faces(self) -> int:
        """How many crops there are."""
        return 0 if self.faces is None else len(self.faces)

    @property
    def present(self) -> tuple[bool, bool, bool, bool]:
        """Whether there is an image, a face, a clip of faces and sound: the model's modality mask."""
        has_faces = self.faces is not None
        return self.image is not None, has_faces, has_faces, self.samples is not None

    @property
    def name(self) -> str:
        """The file, for messages."""
        return "the clip" if self.clip is None else str(self.clip.path)

    def face_chunks(self) -> Iterator[UInt8]:
        """Crops [n, S, S, 3], some at a time."""
        if isinstance(self.faces, FaceCrops):
            return self.faces.chunks()
        return iter(() if self.faces is None else (self.faces,))

    def all_faces(self) -> UInt8 | None:
        """All crops, in memory: for short clips."""
        return None if self.faces is None else np.concatenate(list(self.face_chunks()))

    def why_missing(self, what: str) -> str:
        """The reason why "frame", "faces" or "sound" is not there."""
        return next((one.reason for one in self.missing if one.what == what), "not given")

    def __repr__(self) -> str:
        image = "none" if self.image is None else f"{self.image.shape[1]}x{self.image.shape[0]}"
        seconds = "none" if self.samples is None else f"{len(self.samples) / 16_000:.2f} s"
        return f"ClipInputs({self.name!r}, image={image}, faces={self.num_faces}, sound={seconds})"


@dataclass(frozen=True, repr=False)
class ClipFeatures:
    """The features of one person in one clip; what could not be made is None, with its reason in `missing`."""

    face: Float32 | None = None  # [D] mean over all face crops
    temporal: Float32 | None = None  # [D] of the crops that the clip recipe chooses (published: 16)
    audio: Float32 | None = None  # [D] mean over time
    # [S, S, 3] uint8 RGB, the chosen frame resized for the global encoder, which runs in the model
    global_image: UInt8 | None = None
    num_faces: int = 0  # how many crops `face` is the mean of
    frame_seconds: float | None = None  # time of the chosen frame; None without one
    frame_why: str = ""  # why this frame
    missing: tuple[Missing, ...] = ()  # what is None, and why
    given: tuple[str, ...] = ()  # which vectors were not computed but taken from published folders
    # [1, 1 + N, D] of the global encoder, where it was computed: the dearest part of a short prompt
    vision: torch.Tensor | None = None

    @property
    def present(self) -> tuple[bool, bool, bool, bool]:
        """Whether there is an image, a face, a clip of faces and sound: the model's modality mask."""
        image, face, temporal, audio = (getattr(self, field) is not None for field in ENCODERS.values())
        return image, face, temporal, audio

    def vectors(self) -> dict[Modality, Float32]:
        """The utterance features that are there, in the published order."""
        return {name: value for name in MODALITIES if (value := getattr(self, name)) is not None}

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Everything that is there and kept: `vectors`, and `global_image`."""
        found: dict[str, npt.NDArray[Any]] = dict(self.vectors().items())
        if self.global_image is not None:
            found[GLOBAL_IMAGE] = self.global_image
        return found

    def pixel_values(self) -> Float32 | None:
        """[3, S, S] of the global image, as the global encoder takes it."""
        if self.global_image is None:
            return None
        return recipes.global_pixel_values(self.global_image, len(self.global_image))

    def without(self, encoders: Collection[str]) -> ClipFeatures:
        """The same without the parts of some of `ENCODERS`; other names do not matter."""
        gone = {ENCODERS[name]: None for name in encoders if name in ENCODERS}
        if GLOBAL_IMAGE in gone:
            gone["vision"] = None
        return replace(self, **gone) if gone else self  # type: ignore[arg-type]

    def __repr__(self) -> str:
        there = ", ".join(f"{name}{list(value.shape)}" for name, value in self.arrays().items())
        return f"ClipFeatures({there or 'none'})"


def rebatched(chunks: Iterator[UInt8], size: int) -> Iterator[UInt8]:
    """The same pictures in the same order, `size` at a time, the last batch smaller; holds a chunk and a batch."""
    held: list[UInt8] = []
    count = 0
    for chunk in chunks:
        rest = chunk
        while count + len(rest) >= size:
            need = size - count
            yield np.concatenate([*held, rest[:need]])
            held, count, rest = [], 0, rest[need:]
        if len(rest):
            held.append(rest)
            count += len(rest)
    if count:
        yield np.concatenate(held)
